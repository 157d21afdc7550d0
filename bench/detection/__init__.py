"""How much the injection detector sees, misses and costs."""
