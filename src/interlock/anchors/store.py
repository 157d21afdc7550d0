"""Checkpoints as records of a second audit: another database, under somebody else's administration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from interlock.anchors.file import contradicted
from interlock.anchors.ports import Proof
from interlock.audit.checkpoint import Note, parse
from interlock.audit.record import Record


class Audit(Protocol):
    """The second audit."""

    def append(self, kind: str, run: str, body: Mapping[str, object]) -> Record:
        """The next record."""
        ...

    def records(self, *, after: int = 0) -> Iterator[Record]:
        """The records with a larger number than `after`."""
        ...


class StoreAnchor:
    """Notes in `audit`, which has a chain of its own."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def put(self, note: Note, proof: Proof) -> Note:  # noqa: ARG002 - the port's shape: a store checks no proof
        """Record `note`.

        Raises:
            AuditError: it could not be recorded, or contradicts one that was.
        """
        contradicted(note, self.notes())
        self._audit.append("anchor", "", {"note": note.text})
        return note

    def notes(self) -> list[Note]:
        """Every checkpoint on record."""
        return [parse(str(r.body["note"])) for r in self._audit.records() if r.kind == "anchor"]
