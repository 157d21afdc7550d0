"""Rates, by the generic cell rate algorithm (GCRA): the leaky bucket kept as one number, the theoretical arrival time.

`30/minute` lets one call pass every 2 s on average and up to 30 at once after a rest; `30/minute burst 5` up to 5. In
any window of a minute at most rate + burst calls pass. Times are seconds of a clock that is never set; a reading below
an earlier one lets nothing pass sooner.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final, Protocol, Self

from interlock.limits.errors import TermsError

_TEXT = re.compile(r"(?P<count>[0-9]{1,9})/(?P<window>second|minute|hour|day)(?: burst (?P<burst>[0-9]{1,9}))?")
_WINDOWS: Final = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
_GRAIN: Final = 1e-9  # seconds: what adding up intervals may lose


@dataclass(frozen=True, slots=True)
class Rate:
    """One every `interval` seconds, and up to `burst` at once."""

    interval: float
    burst: int

    def __post_init__(self) -> None:
        if not (self.interval > 0 and self.burst > 0):
            raise TermsError("a rate lets something pass: an interval and a burst above 0")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The rate that `text` means: `30/minute`, `30/minute burst 5`.

        Raises:
            TermsError: it is no rate.
        """
        found = _TEXT.fullmatch(text)
        if found is None or not int(found["count"]) or found["burst"] == "0":
            raise TermsError(f"`{text}` is no rate; it is a count per second, minute, hour or day, such as `30/minute`")
        count = int(found["count"])
        return cls(_WINDOWS[found["window"]] / count, int(found["burst"] or count))


def waits(due: float, rate: Rate, now: float) -> float:
    """Seconds until one more may pass, 0 if it may now. `due` is the theoretical arrival time."""
    wait = due - (rate.burst - 1) * rate.interval - now
    return wait if wait > _GRAIN else 0.0


class Rates(Protocol):
    """Keeps buckets by name. Raising: nothing passes."""

    def wait(self, buckets: Sequence[tuple[str, Rate]]) -> float:
        """Seconds until one more would pass through all `buckets`; 0 if it would now."""
        ...

    def take(self, buckets: Sequence[tuple[str, Rate]]) -> float:
        """0 if one more has passed through all `buckets`, else how long to wait; then it passed through none."""
        ...


class LocalRates:
    """The buckets of this process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds since any fixed moment."""
        self._clock = clock
        self._latest = float("-inf")
        self._due: dict[str, float] = {}
        self._lock = Lock()

    def wait(self, buckets: Sequence[tuple[str, Rate]]) -> float:
        """Seconds until one more would pass through all `buckets`; 0 if it would now."""
        return self._wait(buckets, self._now())

    def take(self, buckets: Sequence[tuple[str, Rate]]) -> float:
        """0 if one more has passed through all `buckets`, else how long to wait; then it passed through none."""
        with self._lock:
            now = self._now()
            if wait := self._wait(buckets, now):
                return wait
            due = self._due
            for name, rate in buckets:  # the theoretical arrival time after one more has passed
                at = due.get(name, now)
                due[name] = (at if at > now else now) + rate.interval  # noqa: FURB136 - a call less
            return 0.0

    def _wait(self, buckets: Sequence[tuple[str, Rate]], now: float) -> float:
        longest = 0.0
        for name, rate in buckets:
            at = self._due.get(name)
            if at is not None and at > now and (wait := waits(at, rate, now)) > longest:
                longest = wait
        return longest

    def _now(self) -> float:
        now = self._clock()
        if now > self._latest:
            if now == math.inf:
                raise ValueError("the clock gives no time")
            self._latest = now
        elif not now > -math.inf:  # also when it is no number
            raise ValueError("the clock gives no time")
        return self._latest
