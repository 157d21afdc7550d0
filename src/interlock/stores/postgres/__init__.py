"""Stores in PostgreSQL, for more than one machine. One file a port; `database` holds what they share."""
