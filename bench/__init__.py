"""What the README's numbers are made with: each folder is one `python -m bench.<name>`."""
