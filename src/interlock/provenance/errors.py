"""What the ledger raises; a leaf of the tree in `kernel.errors`."""

from __future__ import annotations

from interlock.kernel.errors import InterlockError


class ProvenanceError(InterlockError):
    """A handle, an endorsement or an extraction that the ledger does not know or allow."""
