"""Budgets that live as long as the process: for one process, for tests, and for what only one process can use."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Lock

from interlock.limits.budget import Line, Window, started
from interlock.limits.errors import Exhausted, LimitError
from interlock.limits.ledger import KEPT, LEASE

_OFTEN = 4_096  # reservations between two clearings
_IDLE = 7 * 86_400.0  # seconds after which the accounts of a run are forgotten


class _Account:
    """What is used in the newest window that was seen; `touched` is when."""

    __slots__ = ("start", "touched", "used", "window")

    def __init__(self, window: Window, start: int) -> None:
        self.window, self.start, self.used, self.touched = window, start, 0, 0.0


class _Held:
    """A reservation: for each line its account, in which window it counts, and how much of it does."""

    __slots__ = ("expires", "lines", "parts", "state")

    def __init__(self, lines: tuple[Line, ...], expires: float, parts: list[tuple[_Account, int, int]]) -> None:
        self.lines, self.expires, self.parts = lines, expires, parts
        self.state = "held"


class MemoryBudgets:
    """The ledger in dictionaries, under one lock."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = Lock()
        self._accounts: dict[str, _Account] = {}
        self._held: dict[str, _Held] = {}
        self._made = 0

    def reserve(self, key: str, lines: Sequence[Line], *, lease: float = LEASE) -> None:
        """Count the amounts of all `lines` as used, or none of them."""
        lines = tuple(lines)
        with self._lock:
            known = self._held.get(key)
            if known is not None:
                if [(n.account, n.amount) for n in known.lines] != [(n.account, n.amount) for n in lines]:
                    raise LimitError("this key stands for another reservation", kind="budget")
                return
            now = self._clock()
            parts = []
            for line in lines:
                account = self._open(line, now)
                if account.used + line.amount > line.limit:
                    raise Exhausted(line.account)
                parts.append((account, account.start, line.amount))
            for account, _, amount in parts:
                account.used += amount
                account.touched = now
            self._held[key] = _Held(lines, now + lease, parts)
            self._made += 1
            if self._made % _OFTEN == 0:
                self._prune(now, _IDLE)

    def settle(self, key: str, used: Mapping[str, int]) -> bool:
        """Count what was `used` by account instead of what was reserved."""
        with self._lock:
            held = self._held.get(key)
            if held is None or held.state == "settled":
                return False
            held.state = "settled"
            amounts = [used.get(line.account, line.amount) for line in held.lines]
            self._correct(held, amounts)
            return True

    def release(self, key: str) -> bool:
        """Count nothing instead of what was reserved."""
        with self._lock:
            held = self._held.get(key)
            if held is None or held.state != "held":
                return False
            held.state = "released"
            self._correct(held, [0] * len(held.lines))
            return True

    def full(self, lines: Sequence[Line]) -> str:
        """The first account that has no room for its line; empty if all have."""
        with self._lock:
            now = self._clock()
            for line in lines:
                if self._used(line, now) + line.amount > line.limit:
                    return line.account
        return ""

    def used(self, lines: Sequence[Line]) -> tuple[int, ...]:
        """What is used of each account in the window that is open."""
        with self._lock:
            now = self._clock()
            return tuple(self._used(line, now) for line in lines)

    def lapsed(self) -> int:
        """How many reservations have outlived their lease and wait for somebody to say what became of them."""
        with self._lock:
            now = self._clock()
            return sum(1 for held in self._held.values() if held.state == "held" and held.expires <= now)

    def prune(self, *, idle: float) -> int:
        """Forget reservations that are long over, and accounts of runs without a change for `idle` seconds."""
        with self._lock:
            return self._prune(self._clock(), idle)

    def _used(self, line: Line, now: float) -> int:
        account = self._accounts.get(line.account)
        return 0 if account is None or account.start < started(line.window, now) else account.used

    def _open(self, line: Line, now: float) -> _Account:
        start = started(line.window, now)
        account = self._accounts.get(line.account)
        if account is None:
            account = self._accounts[line.account] = _Account(line.window, start)
        elif account.start < start:  # never the other way: a clock that went back finds the newest window open
            account.start, account.used = start, 0
        return account

    def _correct(self, held: _Held, amounts: list[int]) -> None:
        parts = []
        for (account, start, counted), amount in zip(held.parts, amounts, strict=True):
            more = amount - counted
            if account.start == start or more > 0:
                account.used = max(0, account.used + more)
            parts.append((account, account.start, amount) if more > 0 else (account, start, amount))
        held.parts = parts

    def _prune(self, now: float, idle: float) -> int:
        over = [key for key, held in self._held.items() if held.expires + KEPT < now or self._done(held, now)]
        for key in over:
            del self._held[key]
        still = {id(account) for held in self._held.values() for account, _, _ in held.parts}
        gone = [
            name
            for name, account in self._accounts.items()
            if account.window is Window.RUN and account.touched + idle < now and id(account) not in still
        ]
        for name in gone:
            del self._accounts[name]
        return len(over) + len(gone)

    @staticmethod
    def _done(held: _Held, now: float) -> bool:
        return held.state != "held" and held.expires < now
