"""What looks at texts on the monitor's behalf: our own detectors joined, and those of others."""
