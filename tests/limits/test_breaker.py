"""Breakers: the table, the windows, the trials, and a plain second implementation that must agree."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.limits import breaker
from interlock.limits.breaker import (
    TABLE,
    Breaker,
    Event,
    Settings,
    State,
    admit,
    admits,
    record,
    shift,
    turned,
    withdraw,
)
from interlock.limits.errors import TermsError

QUICK = Settings(window=4, minimum=2, failures=0.5, slow=0.75, slow_after=10, open=60, trials=2)


def test_every_pair_of_state_and_event_has_one_meaning() -> None:
    operators = {Event.FORCE_OPEN: State.FORCED_OPEN, Event.DISABLE: State.DISABLED, Event.RESET: State.CLOSED}
    own = {
        (State.CLOSED, Event.TRIPPED): State.OPEN,
        (State.OPEN, Event.WAITED): State.HALF_OPEN,
        (State.HALF_OPEN, Event.HEALED): State.CLOSED,
        (State.HALF_OPEN, Event.RELAPSED): State.OPEN,
    }
    for state, event in product(State, Event):
        before = Breaker(state, 7, 1.0)
        after = shift(before, event, 2.0)
        expected = operators.get(event) or own.get((state, event))
        assert TABLE.get((state, event)) == expected
        if expected is None:
            assert after is before
        else:
            assert after == Breaker(expected, 8, 2.0)


def ended(held: Breaker, outcomes: str, settings: Settings = QUICK, now: float = 0.0) -> Breaker:
    """The breaker after calls that were admitted and ended one by one: `.` well, `F` failed, `S` slow."""
    for outcome in outcomes:
        admitted = admit(held, settings, now)
        assert admitted is not None
        took = 10.0 if outcome == "S" else 0.1
        held = record(admitted, settings, now, term=admitted.term, failed=outcome == "F", took=took)
    return held


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ("F", State.CLOSED),  # fewer than the minimum
        ("FF", State.OPEN),
        (".F", State.OPEN),  # half of two
        ("..F", State.CLOSED),
        ("..FF", State.OPEN),
        ("...F....F..", State.CLOSED),  # the first has left the window
        ("..S", State.CLOSED),
        (".SSS", State.OPEN),
        ("..F...F...F...", State.CLOSED),
    ],
)
def test_a_window_of_calls(outcomes: str, state: State) -> None:
    assert ended(Breaker(), outcomes).state is state


def test_an_open_one_admits_nothing_until_its_time_is_over() -> None:
    held = ended(Breaker(), "FF", now=100.0)
    for now in (100.0, 159.9, 0.0, -1e9):  # also when the clock goes back
        assert not admits(held, QUICK, now)
        assert admit(held, QUICK, now) is None
    assert admits(held, QUICK, 160.0)


@pytest.mark.parametrize(
    ("outcomes", "state"), [("..", State.CLOSED), (".F", State.OPEN), ("SS", State.OPEN), (".S", State.CLOSED)]
)
def test_trials_decide(outcomes: str, state: State) -> None:
    held = ended(Breaker(), "FF", now=100.0)
    assert ended(held, outcomes, now=200.0).state is state


def test_half_open_admits_its_quota_and_no_more() -> None:
    held = ended(Breaker(), "FF", now=100.0)
    first = admit(held, QUICK, 200.0)
    assert first is not None
    second = admit(first, QUICK, 200.0)
    assert second is not None
    assert admit(second, QUICK, 200.0) is None
    assert admit(withdraw(second, second.term), QUICK, 200.0) is not None  # it was not made: another may


def test_a_trial_that_never_ends_neither_closes_nor_blocks_for_ever() -> None:
    held = ended(Breaker(), "FF", now=100.0)
    one = admit(held, QUICK, 200.0)
    assert one is not None
    lost = admit(record(one, QUICK, 201.0, term=one.term, failed=False, took=0.1), QUICK, 201.0)
    assert lost is not None
    assert turned(lost, QUICK, 261.0).state is State.OPEN
    assert admits(turned(lost, QUICK, 261.0), QUICK, 321.0)


def test_few_trials_that_end_well_are_enough_after_a_while() -> None:
    held = ended(Breaker(), "FF", now=100.0)
    one = admit(held, QUICK, 200.0)
    assert one is not None
    well = record(one, QUICK, 201.0, term=one.term, failed=False, took=0.1)
    assert well.state is State.HALF_OPEN
    assert turned(well, QUICK, 260.0).state is State.CLOSED
    assert admit(well, QUICK, 260.0) is not None


def test_what_was_admitted_before_tells_nothing_about_now() -> None:
    early = Breaker()
    held = ended(early, "FF", now=100.0)
    assert record(held, QUICK, 101.0, term=early.term, failed=False, took=0.1) == held
    half = admit(held, QUICK, 200.0)
    assert half is not None
    assert record(half, QUICK, 201.0, term=early.term, failed=False, took=0.1) == half
    assert withdraw(half, early.term) == half


@pytest.mark.parametrize(("state", "passes"), [(State.FORCED_OPEN, False), (State.DISABLED, True)])
def test_forced_states_stay_whatever_happens(state: State, passes: bool) -> None:
    held = Breaker(state)
    for n in range(50):
        assert admits(held, QUICK, n * 1e6) is passes
        assert (admit(held, QUICK, n * 1e6) is not None) is passes
        held = record(held, QUICK, n * 1e6, term=held.term, failed=True, took=99)
    assert held.state is state


def test_a_window_of_time() -> None:
    timed = Settings(window=10, timed=True, minimum=4, failures=0.5, open=60)
    held = ended(Breaker(), "FFF", timed, now=100.0)
    assert held.state is State.CLOSED
    assert ended(held, "F", timed, now=105.0).state is State.OPEN  # all four are in the window
    assert ended(held, "F", timed, now=120.0).state is State.CLOSED  # the three have left it
    assert ended(held, "F", timed, now=0.0).state is State.OPEN  # back in time: none leaves early


@pytest.mark.parametrize(
    "wrong",
    [
        {"failures": 0.0},
        {"failures": 1.5},
        {"failures": float("nan")},
        {"slow": 0.0},
        {"open": 0.0},
        {"trials": 0},
        {"window": 0},
        {"minimum": 0},
        {"window": 10, "minimum": 11},
    ],
)
def test_settings_that_cannot_be_meant(wrong: dict[str, float]) -> None:
    with pytest.raises(TermsError):
        Settings(**wrong)  # type: ignore[arg-type]


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 40)), max_size=120),
    st.integers(1, 12),
    st.integers(1, 12),
)
def test_a_plain_implementation_agrees(calls: list[tuple[bool, bool, int]], window: int, trials: int) -> None:
    settings = Settings(
        window=window, minimum=min(3, window), failures=0.5, slow=0.8, slow_after=5, open=30, trials=trials
    )
    held, plain, now = Breaker(), Plain(settings), 0.0
    for failed, slow, step in calls:
        now += step
        admitted = admit(held, settings, now)
        assert (admitted is not None) == plain.admit(now)
        if admitted is not None:
            held = record(admitted, settings, now, term=admitted.term, failed=failed, took=5.0 * slow)
            plain.ended(failed, slow, now)
            assert held.state.value == plain.state


class Plain:
    """A breaker by lists; calls end before the next is admitted."""

    def __init__(self, settings: breaker.Settings) -> None:
        self.settings, self.state, self.since = settings, "closed", 0.0
        self.seen: list[tuple[bool, bool]] = []

    def admit(self, now: float) -> bool:
        if self.state == "half-open" and self.seen and now - self.since >= self.settings.open:
            self.to("open" if self.bad(self.seen) else "closed", self.since + self.settings.open)
        if self.state == "open" and now - self.since >= self.settings.open:
            self.to("half-open", now)
        return self.state != "open"

    def ended(self, failed: bool, slow: bool, now: float) -> None:
        self.seen.append((failed, slow))
        if self.state == "half-open":
            if len(self.seen) == self.settings.trials:
                self.to("open" if self.bad(self.seen) else "closed", now)
        else:
            self.seen = self.seen[-self.settings.window :]
            if len(self.seen) >= self.settings.minimum and self.bad(self.seen):
                self.to("open", now)

    def bad(self, seen: list[tuple[bool, bool]]) -> bool:
        failed, slow = sum(f for f, _ in seen), sum(s for _, s in seen)
        return failed >= 0.5 * len(seen) or slow >= 0.8 * len(seen)

    def to(self, state: str, now: float) -> None:
        self.state, self.since, self.seen = state, now, []
