"""An audit that lives as long as the process: for tests and for trying things out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from threading import RLock

from interlock.audit import chain
from interlock.audit.base import Base
from interlock.audit.erasure import Erasure, concerned, erasure, retention, tallies
from interlock.audit.errors import AuditError
from interlock.audit.record import EMPTY, Head, Record
from interlock.audit.verify import examine
from interlock.stores.salt import fresh


class MemoryAudit:
    """The audit port over a list."""

    def __init__(self, *, clock: Callable[[], float] = time.time, stream: str = "") -> None:
        self.stream = stream
        self._clock = clock
        self._lock = RLock()
        self._records: list[Record] = []
        self._base = Base()
        self._checkpoint = Base()

    def append(self, kind: str, run: str, body: Mapping[str, object]) -> Record:
        """The next record of the chain."""
        with self._lock:
            record = chain.link(
                self.head(), at=self._clock(), kind=kind, run=run, body=body, salt=fresh(), stream=self.stream
            )
            self._records.append(record)
            return record

    def extend(self, records: Sequence[Record]) -> None:
        """Keep `records`, which somebody linked to the head.

        Raises:
            AuditError: they do not follow the head; then none is kept.
        """
        with self._lock:
            if records and (records[0].seq - 1, records[0].previous) != self.head():
                raise AuditError("somebody else writes the same stream; each writer needs one of its own")
            self._records.extend(records)

    def head(self) -> Head:
        """The end of the chain."""
        return self._records[-1].head if self._records else EMPTY

    def records(self, *, after: int = 0) -> Iterator[Record]:
        """The records with a larger number than `after`, in order."""
        first = self._base.head.seq
        return islice(self._records, max(0, after - first), None)

    def verify(self, known: Head | None = None) -> chain.Verdict:
        """Whether the chain holds and contains `known`."""
        return examine(self.records(), stream=self.stream, base=self._base, known=known)

    def base(self) -> Base:
        """Where the kept records begin."""
        return self._base

    def checkpoint(self) -> Base:
        """The latest checkpoint."""
        return self._checkpoint

    def keep(self, checkpoint: Base) -> None:
        """Note a checkpoint, to go on from there."""
        self._checkpoint = checkpoint

    def erase(self, principal: str, *, by: str, why: str = "") -> Erasure:
        """Forget what the records of `principal` say; on record."""
        with self._lock:
            seqs = set(concerned(self.records, principal))
            done = erasure(
                self.head(),
                seqs,
                principal,
                by=by,
                why=why,
                at=self._clock(),
                salt=fresh(),
                stream=self.stream,
            )
            self._records = [
                r._replace(salt="", personal="", erased=done.record.seq) if r.seq in seqs else r for r in self._records
            ]
            self._records.append(done.record)
            return done

    def drop(self, *, by: str) -> Record:
        """Drop the records up to the latest checkpoint; on record.

        Raises:
            AuditError: there is no checkpoint.
        """
        with self._lock:
            base = self._checkpoint
            record = retention(self.head(), base, by=by, at=self._clock(), stream=self.stream)
            self._base = Base(
                head=base.head,
                frontier=base.frontier,
                note=base.note,
                tallies=tallies(self.records(), self._base, base),
            )
            self._records = [r for r in self._records if r.seq > base.head.seq] + [record]
            return record
