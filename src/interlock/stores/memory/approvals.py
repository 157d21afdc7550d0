"""Approvals that live as long as the process: for tests and for trying things out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition

from interlock.approvals.book import OPEN, Book, Row, moment_at
from interlock.approvals.entry import Moment, Seal

_NO_KEY = Seal()


class MemoryApprovals(Book):
    """The store of approvals over a dictionary."""

    def __init__(self, *, seal: Seal = _NO_KEY, clock: Callable[[], float] = time.time) -> None:
        super().__init__(seal)
        self._changed = Condition()
        self._rows = _Rows(clock)

    @contextmanager
    def _changing(self) -> Iterator[_Rows]:
        with self._changed:
            yield self._rows
            self._changed.notify_all()

    @contextmanager
    def _reading(self) -> Iterator[_Rows]:
        with self._changed:
            yield self._rows

    def version(self) -> int:
        """A number that grows with every change."""
        return self._rows.version

    def wait(self, since: int, timeout: float) -> int:
        """The version as soon as it is not `since`, or after `timeout` (s)."""
        with self._changed:
            self._changed.wait_for(lambda: self._rows.version != since, timeout)
            return self._rows.version


class _Rows:
    """The rows, in the order in which they were asked."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.version = 0
        self._clock = clock
        self._latest = Moment(-math.inf, 0)
        self._rows: dict[str, Row] = {}

    def moment(self) -> Moment:
        self._latest = moment_at(self._clock(), self._latest.now, self._latest.epoch)
        return self._latest

    def body(self, ref: str) -> str | None:
        row = self._rows.get(ref)
        return row.body if row else None

    def bodies(self, digest: str) -> list[str]:
        wanted = OPEN | {"denied"}
        return [r.body for r in self._rows.values() if r.digest == digest and r.standing in wanted][::-1]

    def opened(self) -> list[tuple[str, str]]:
        return [(r.id, r.body) for r in self._rows.values() if r.standing in OPEN]

    def last(self, tool: str) -> str | None:
        used = [r.body for r in self._rows.values() if r.tool == tool and r.standing == "used"]
        return used[-1] if used else None

    def put(self, row: Row) -> None:
        self._rows[row.id] = row
        self.version += 1

    def forget(self, before: float) -> None:
        for row in [r for r in self._rows.values() if r.standing not in OPEN and r.asked < before]:
            del self._rows[row.id]
