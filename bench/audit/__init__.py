"""What the audit costs: appending, waiting for the disk, verifying, opening after a kill, room."""
