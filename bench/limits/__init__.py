"""What limits cost. Run by `python -m bench.limits`."""
