"""How the injection classifier is made: `python -m training --data DIR`. Not part of the package."""
