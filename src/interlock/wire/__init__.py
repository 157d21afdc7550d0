"""Wire formats as state machines without I/O: bytes to events and back, any split of the bytes alike."""
