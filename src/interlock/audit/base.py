"""Where a tree stood at a checkpoint: what is needed to go on from there without the records before it.

Taken at each checkpoint, so that the next one costs what is new. When old records are dropped, verifying starts from
one (`Base` of the chain): the note is signed, the hashes must give its root, and the tallies lead to the digests that
erasures have on record, so nothing in it has to be believed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from interlock.audit.chain import Tally
from interlock.audit.errors import AuditError
from interlock.audit.record import EMPTY, Head
from interlock.audit.tree import Frontier


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The chain up to `head`, its tree, the signed checkpoint, and what erasures took of it."""

    head: Head = EMPTY
    frontier: Frontier = field(default_factory=Frontier)
    note: str = ""
    tallies: Mapping[int, Tally] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """As JSON."""
        return json.dumps(
            {
                "head": list(self.head),
                "frontier": [h.hex() for h in self.frontier.hashes],
                "note": self.note,
                "tallies": {str(n): [t.count, t.running.hex()] for n, t in self.tallies.items()},
            }
        )

    @classmethod
    def parse(cls, text: str) -> Base:
        """The base that `text` writes.

        Raises:
            AuditError: it is none.
        """
        try:
            said = json.loads(text)
            seq, digest = said["head"]
            return cls(
                head=Head(int(seq), str(digest)),
                frontier=Frontier(int(seq), tuple(bytes.fromhex(h) for h in said["frontier"])),
                note=str(said["note"]),
                tallies={int(n): Tally(int(c), bytes.fromhex(r)) for n, (c, r) in said["tallies"].items()},
            )
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError):
            raise AuditError("what should say where the kept records begin is unreadable") from None
