"""Where records stay. Each module implements ports of the monitor; `tests/stores/conformance.py` is what they share."""
