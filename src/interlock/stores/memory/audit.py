"""An audit that lives as long as the process: for tests and for trying things out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from threading import Lock

from interlock.audit import chain
from interlock.audit.record import EMPTY, Head, Record


class MemoryAudit:
    """The audit port over a list."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = Lock()
        self._records: list[Record] = []

    def append(self, kind: str, run: str, body: Mapping[str, object]) -> Record:
        """The next record of the chain."""
        with self._lock:
            record = chain.link(self.head(), at=self._clock(), kind=kind, run=run, body=body)
            self._records.append(record)
            return record

    def head(self) -> Head:
        """The end of the chain."""
        last = self._records[-1:]
        return Head(last[0].seq, last[0].digest) if last else EMPTY

    def records(self, *, after: int = 0) -> Iterator[Record]:
        """The records with a larger number than `after`, in order."""
        return iter(self._records[after:])

    def verify(self, known: Head | None = None) -> chain.Verdict:
        """Whether the chain holds and contains `known`."""
        return chain.verify(self.records(), known=known)
