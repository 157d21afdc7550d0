"""What leaves for a log, a trace, an error or the console passes the redactor first (docs/logs.md)."""

from interlock.logs.cleaner import Cleaner, Redacts
from interlock.logs.filter import RedactingFilter, protect

__all__ = ["Cleaner", "RedactingFilter", "Redacts", "protect"]
