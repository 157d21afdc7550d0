"""One step of the audit, and its digest.

The digest is SHA-256 over the canonical JSON of everything else in the record, the previous digest included: nobody
can change, drop or move a record without changing every digest after it. What `body` means, its `kind` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from interlock.kernel.call import digest_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One step: number `seq` (from 1) at time `at` (s), about `run`, after the record whose digest is `previous`."""

    seq: int
    at: float
    kind: str
    run: str
    body: Mapping[str, object]
    previous: str
    digest: str

    def computed(self) -> str:
        """The digest that this record should have."""
        return digest_of(
            {
                "seq": self.seq,
                "at": self.at,
                "kind": self.kind,
                "run": self.run,
                "body": dict(self.body),
                "previous": self.previous,
            }
        )


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: the number and the digest of its last record."""

    seq: int
    digest: str


EMPTY = Head(0, "0" * 64)
