"""What a decision costs. Run by `python -m bench.decision`."""
