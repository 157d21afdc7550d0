"""Stores that live as long as the process: for tests and for trying things out. One file a port."""
