"""Circuit breakers: what fails too often, or is too slow, is left alone for a while and then tried with care.

The states and what leads from one to the other are `TABLE`; a pair that is not in it changes nothing. The semantics are
Resilience4j's: a window of calls or of seconds, a minimum number of calls, a rate of failures and a rate of slow calls.

An admission carries the breaker's *term*, which counts its changes of state: what comes of a call that was admitted in
an earlier term tells nothing about now and is ignored. Half-open admits `trials` calls and judges them when all have
ended, or once the time that it was open has passed again: then a trial that has not ended counts as failed for all. So
a trial whose caller died closes nothing, and blocks nothing for ever. Times are seconds of a clock that is never set;
one that goes back keeps an open breaker open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from interlock.limits.errors import TermsError


class State(StrEnum):
    """Whether calls are let through."""

    CLOSED = "closed"  # all
    OPEN = "open"  # none
    HALF_OPEN = "half-open"  # a few, to see
    FORCED_OPEN = "forced-open"  # none, until an operator says otherwise
    DISABLED = "disabled"  # all, nothing is counted, until an operator says otherwise


CLOSED: Final = State.CLOSED  # found in half the time, and asked for with each call


class Event(StrEnum):
    """What changes a state."""

    TRIPPED = "tripped"  # too many failures or slow calls in the window
    WAITED = "waited"  # open for long enough
    HEALED = "healed"  # the trials ended well
    RELAPSED = "relapsed"  # they did not, or not in time
    FORCE_OPEN = "force-open"  # an operator
    DISABLE = "disable"  # an operator
    RESET = "reset"  # an operator


TABLE: Final[Mapping[tuple[State, Event], State]] = MappingProxyType(
    {
        (State.CLOSED, Event.TRIPPED): State.OPEN,
        (State.OPEN, Event.WAITED): State.HALF_OPEN,
        (State.HALF_OPEN, Event.HEALED): State.CLOSED,
        (State.HALF_OPEN, Event.RELAPSED): State.OPEN,
    }
    | {(state, Event.FORCE_OPEN): State.FORCED_OPEN for state in State}
    | {(state, Event.DISABLE): State.DISABLED for state in State}
    | {(state, Event.RESET): State.CLOSED for state in State}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """When a breaker opens, and for how long."""

    window: int = 100  # calls, or seconds if `timed`
    timed: bool = False
    minimum: int = 20  # calls in the window before anything is judged
    failures: float = 0.5  # share of calls that fails
    slow: float = 1.0  # share of calls that takes `slow_after` or longer
    slow_after: float = 60.0  # seconds
    open: float = 60.0  # seconds
    trials: int = 10  # calls while half-open

    def __post_init__(self) -> None:
        shares = 0 < self.failures <= 1 and 0 < self.slow <= 1
        times = self.slow_after > 0 and self.open > 0
        if not (shares and times and 0 < self.window <= 10_000 and self.trials > 0 and self.minimum > 0):  # noqa: PLR2004
            raise TermsError("a breaker needs shares in (0, 1], and times and numbers above 0 (window: up to 10000)")
        if not self.timed and self.minimum > self.window:
            raise TermsError(f"a breaker that judges {self.minimum} calls in a window of {self.window} never opens")


class Breaker(NamedTuple):  # made anew for each call that ends: a dataclass would take three times as long
    """The state of one breaker. A window of calls is two bit rows, newest last; one of time is its buckets."""

    state: State = State.CLOSED
    term: int = 0
    since: float = 0.0  # when the state was entered
    admitted: int = 0  # trials let through
    calls: int = 0  # in the window, or trials that ended
    failed: int = 0  # bits; or how many trials
    slow: int = 0
    buckets: tuple[tuple[int, int, int, int], ...] = ()  # number of the bucket, calls, failed, slow


BUCKETS: Final = 10  # in a window of time


def shift(breaker: Breaker, event: Event, now: float) -> Breaker:
    """The breaker after `event`, with nothing counted yet; the same one if the event means nothing in its state."""
    state = TABLE.get((breaker.state, event))
    return breaker if state is None else Breaker(state, breaker.term + 1, now)


def turned(breaker: Breaker, settings: Settings, now: float) -> Breaker:
    """The breaker as the mere passing of time has left it."""
    if breaker.state is State.HALF_OPEN and breaker.admitted and now - breaker.since >= settings.open:
        lost = breaker.admitted > breaker.calls
        bad = lost or _too_many(settings, breaker.calls, breaker.failed, breaker.slow)
        # As of when its time was over, not of when somebody looks: looking must not begin it anew.
        breaker = shift(breaker, Event.RELAPSED if bad else Event.HEALED, breaker.since + settings.open)
    if breaker.state is State.OPEN and now - breaker.since >= settings.open:
        return shift(breaker, Event.WAITED, now)
    return breaker


def admits(breaker: Breaker, settings: Settings, now: float) -> bool:
    """Whether one more call would be let through now."""
    state = breaker.state
    if state is CLOSED or state is State.DISABLED:
        return True
    if state is State.FORCED_OPEN:
        return False
    breaker = turned(breaker, settings, now)
    trying = breaker.state is State.HALF_OPEN and breaker.admitted < settings.trials
    return trying or breaker.state is State.CLOSED


def admit(breaker: Breaker, settings: Settings, now: float) -> Breaker | None:
    """The breaker after one more call was let through; None if it is not."""
    if breaker.state is CLOSED or breaker.state is State.DISABLED:
        return breaker
    breaker = turned(breaker, settings, now)
    if not admits(breaker, settings, now):
        return None
    return breaker._replace(admitted=breaker.admitted + 1) if breaker.state is State.HALF_OPEN else breaker


def withdraw(breaker: Breaker, term: int) -> Breaker:
    """The breaker after a call that was admitted in `term` was not made."""
    if breaker.term != term or breaker.state is not State.HALF_OPEN:
        return breaker
    return breaker._replace(admitted=breaker.admitted - 1)


def record(breaker: Breaker, settings: Settings, now: float, *, term: int, failed: bool, took: float) -> Breaker:
    """The breaker after a call that was admitted in `term` has ended."""
    if breaker.term != term:
        return breaker
    slow = took >= settings.slow_after
    if breaker.state is CLOSED:
        if breaker.calls == settings.window and not (failed or slow or breaker.failed or breaker.slow):
            return breaker  # nothing but good calls, and one more
        return _counted(breaker, settings, now, failed=failed, slow=slow)
    if breaker.state is not State.HALF_OPEN:
        return breaker
    calls, failures, slows = breaker.calls + 1, breaker.failed + failed, breaker.slow + slow
    if calls < settings.trials:
        return breaker._replace(calls=calls, failed=failures, slow=slows)
    event = Event.RELAPSED if _too_many(settings, calls, failures, slows) else Event.HEALED
    return shift(breaker, event, now)


def _counted(breaker: Breaker, settings: Settings, now: float, *, failed: bool, slow: bool) -> Breaker:
    if settings.timed:
        return _timed(breaker, settings, now, failed=failed, slow=slow)
    calls, failures, slows = breaker.calls, breaker.failed << 1 | failed, breaker.slow << 1 | slow
    if calls == settings.window:
        mask = (1 << calls) - 1
        failures, slows = failures & mask, slows & mask
    else:
        calls += 1
    counted = Breaker(State.CLOSED, breaker.term, breaker.since, 0, calls, failures, slows)
    bad = failures or slows
    if bad and calls >= settings.minimum and _too_many(settings, calls, failures.bit_count(), slows.bit_count()):
        return shift(counted, Event.TRIPPED, now)
    return counted


def _timed(breaker: Breaker, settings: Settings, now: float, *, failed: bool, slow: bool) -> Breaker:
    number = int(now * BUCKETS / settings.window)
    # After a clock went back, the newest bucket goes on; none is counted out early.
    number = max(number, breaker.buckets[-1][0]) if breaker.buckets else number
    buckets = tuple(b for b in breaker.buckets if number - BUCKETS < b[0] < number)
    last = breaker.buckets[-1] if breaker.buckets and breaker.buckets[-1][0] == number else (number, 0, 0, 0)
    buckets += ((number, last[1] + 1, last[2] + failed, last[3] + slow),)
    counted = breaker._replace(buckets=buckets)
    calls, failures, slows = (sum(b[i] for b in buckets) for i in (1, 2, 3))
    if calls >= settings.minimum and _too_many(settings, calls, failures, slows):
        return shift(counted, Event.TRIPPED, now)
    return counted


def _too_many(settings: Settings, calls: int, failed: int, slow: int) -> bool:
    return failed >= settings.failures * calls or slow >= settings.slow * calls
