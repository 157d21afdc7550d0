"""Budgets that live as long as the process: for one process, for tests, and for what only one process can use."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Final

from interlock.limits.budget import Line, Window, ended, started
from interlock.limits.errors import Exhausted, LimitError
from interlock.limits.ledger import KEPT, LEASE

CLOSED: Final = 10_000  # reservations that are remembered after they were settled or released


class _Account:
    """What is used in the newest window that was seen; `touched` is when."""

    __slots__ = ("end", "start", "touched", "used", "window")

    def __init__(self, window: Window, now: float) -> None:
        self.window, self.used, self.touched = window, 0, now
        self.start = started(window, now)
        self.end = ended(window, self.start)

    def turn(self, now: float) -> None:
        """Begin the window of `now`, which is a later one: a clock that went back finds the newest window open."""
        self.start, self.used = started(self.window, now), 0
        self.end = ended(self.window, self.start)


class _Held:
    """A reservation: its lines, and for each the account, in which window it counts, and how much of it does."""

    __slots__ = ("expires", "lines", "parts", "state")

    def __init__(self, lines: Sequence[Line], expires: float, parts: list[tuple[_Account, int, int]]) -> None:
        self.lines, self.expires, self.parts, self.state = lines, expires, parts, "held"


class MemoryBudgets:
    """The ledger in dictionaries, under one lock."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = Lock()
        self._accounts: dict[str, _Account] = {}
        self._held: dict[str, _Held] = {}
        self._closed: OrderedDict[str, _Held] = OrderedDict()

    def reserve(self, key: str, lines: Sequence[Line], *, lease: float = LEASE) -> None:
        """Count the amounts of all `lines` as used, or none of them."""
        with self._lock:
            known = self._held.get(key) or self._closed.get(key)
            if known is not None and known.state != "released":
                if [(n.account, n.amount) for n in known.lines] != [(n.account, n.amount) for n in lines]:
                    raise LimitError("this key stands for another reservation", kind="budget")
                return
            now = self._now()
            accounts, parts = self._accounts, []
            for line in lines:
                account, amount = accounts.get(line.account), line.amount
                if account is None:
                    account = accounts[line.account] = _Account(line.window, now)
                elif account.end <= now:
                    account.turn(now)
                if account.used + amount > line.limit:
                    raise Exhausted(line.account)
                parts.append((account, account.start, amount))
            for account, _, amount in parts:
                account.used += amount
                account.touched = now
            self._held[key] = _Held(lines, now + lease, parts)
            if known is not None:
                del self._closed[key]

    def settle(self, key: str, used: Mapping[str, int]) -> bool:
        """Count what was `used` by account instead of what was reserved."""
        with self._lock:
            held = self._held.get(key) or self._closed.get(key)
            if held is None or held.state == "settled":
                return False
            if used or held.state == "released":
                self._correct(held, [used.get(line.account, line.amount) for line in held.lines])
            self._close(key, held, "settled")
            return True

    def release(self, key: str) -> bool:
        """Count nothing instead of what was reserved."""
        with self._lock:
            held = self._held.get(key)
            if held is None:
                return False
            self._correct(held, [0] * len(held.lines))
            self._close(key, held, "released")
            return True

    def full(self, lines: Sequence[Line]) -> str:
        """The first account that has no room for its line; empty if all have."""
        now, accounts = self._now(), self._accounts
        for line in lines:
            account = accounts.get(line.account)
            if line.amount + (0 if account is None or account.end <= now else account.used) > line.limit:
                return line.account
        return ""

    def used(self, lines: Sequence[Line]) -> tuple[int, ...]:
        """What is used of each account in the window that is open."""
        now = self._now()
        found = [self._accounts.get(line.account) for line in lines]
        return tuple(0 if account is None or account.end <= now else account.used for account in found)

    def lapsed(self) -> int:
        """How many reservations have outlived their lease and wait for somebody to say what became of them."""
        with self._lock:
            now = self._now()
            return sum(1 for held in self._held.values() if held.expires <= now)

    def prune(self, *, idle: float) -> int:
        """Forget reservations that are long over, and accounts of runs without a change for `idle` seconds."""
        with self._lock:
            now, gone = self._now(), 0
            for reservations in (self._held, self._closed):
                for key in [key for key, held in reservations.items() if held.expires + KEPT < now]:
                    del reservations[key]
                    gone += 1
            still = {id(account) for held in self._held.values() for account, _, _ in held.parts}
            for name, account in list(self._accounts.items()):
                if account.window is Window.RUN and account.touched + idle < now and id(account) not in still:
                    del self._accounts[name]
                    gone += 1
            return gone

    def _close(self, key: str, held: _Held, state: str) -> None:
        self._held.pop(key, None)
        held.state = state
        closed = self._closed
        closed[key] = held
        if len(closed) > CLOSED:
            closed.popitem(last=False)

    @staticmethod
    def _correct(held: _Held, amounts: list[int]) -> None:
        parts = []
        for (account, start, counted), amount in zip(held.parts, amounts, strict=True):
            more = amount - counted
            if account.start == start or more > 0:
                account.used = max(0, account.used + more)
            parts.append((account, account.start if more > 0 else start, amount))
        held.parts = parts

    def _now(self) -> float:
        now = self._clock()
        if not -math.inf < now < math.inf:
            raise ValueError("the clock gives no time")
        return now
