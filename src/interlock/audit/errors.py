"""What the audit raises.

AuditError            a record could not be made or kept: no record, no call (M4)
"""

from __future__ import annotations

from interlock.kernel.errors import InterlockError


class AuditError(InterlockError):
    """A record could not be made or kept. Whoever wanted to act on it must not."""
