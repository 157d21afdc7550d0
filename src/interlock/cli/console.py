"""What reaches the console, redacted. A bug's last words lose secrets and personal data; all else loses secrets.

Whoever sits at the console typed names and addresses, and approves by them: personal data is taken out where it is kept
and asked about, as the manifest says. Patterns are loaded with the first text, so that help stays at hand at once.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from interlock.detect.redact import Redaction
    from interlock.kernel.call import Json

UNTOLD = "[not shown: it could not be redacted]"


class Uncaught:
    """Takes out of errors that nobody caught."""

    def text(self, text: str, /) -> str:
        """`text` without secrets and personal data."""
        return _redaction(personal=True).text(text)

    def __call__(self, value: Json, /) -> Json:
        """`value` without them."""
        return _redaction(personal=True)(value)


def told(text: str) -> str:
    """`text` without secrets, or a constant line."""
    try:
        return _redaction(personal=False).text(text)
    except Exception:  # noqa: BLE001 - whatever it is, the text is not shown
        return UNTOLD


@cache
def _redaction(*, personal: bool) -> Redaction:
    from interlock.detect.redact import Redaction

    return Redaction(policies={} if personal else {"pii": "keep"})
