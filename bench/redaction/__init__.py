"""How well, how fast and how safely the redactor works, beside its peers."""
