"""Finds secrets and personal data in texts and takes them out (docs/redaction.md)."""

from interlock.detect.redact.redaction import Known, Policy, Redaction, RedactionError
from interlock.detect.redact.stream import Stream
from interlock.detect.redact.vault import Vault

__all__ = ["Known", "Policy", "Redaction", "RedactionError", "Stream", "Vault"]
