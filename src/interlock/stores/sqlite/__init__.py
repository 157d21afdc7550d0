"""Stores in one SQLite file a machine: the default. One file a port; `database` holds what they share."""
