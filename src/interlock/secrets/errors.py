"""What secrets raise. No message, attribute, cause or local variable of these holds a value.

SecretError           a secret cannot be had, or is used against its contract
├── SecretMissing     no source knows the name
├── InjectRefused     a secret is not bound to this host, port, method or header
└── ScanError         a path or a history that cannot be scanned
"""

from __future__ import annotations

from interlock.kernel.errors import InterlockError


class SecretError(InterlockError):
    """A secret cannot be had, or is used against its contract."""


class SecretMissing(SecretError):
    """No source knows the name. `places` is everywhere that was looked at."""

    def __init__(self, message: str, *, places: tuple[str, ...], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.places = places


class InjectRefused(SecretError):
    """A secret is not bound to this host, port, method or header. Nothing was sent."""


class ScanError(SecretError):
    """A path or a history that cannot be scanned; nothing was found out about it."""
