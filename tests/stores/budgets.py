"""What every ledger does, whatever it is made of. A store's own test file subclasses `BudgetConformance`."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count

import pytest

from interlock.limits.budget import MAX_AMOUNT, Line, Window
from interlock.limits.errors import Exhausted, LimitError
from interlock.limits.ledger import KEPT, Ledger

START = datetime(2026, 2, 27, 23, 58, tzinfo=UTC).timestamp()  # two minutes before a day, 24 hours before a month
MINUTE, DAY = 60.0, 86_400.0


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def line(account: str = "agent:a|calls/day", amount: int = 1, limit: int = 10, window: Window = Window.DAY) -> Line:
    return Line(account, amount, limit, window)


def take(ledger: Ledger, line: Line, times: int = 1, keys: count[int] | None = None) -> int:
    """How many of `times` reservations are granted."""
    keys = count() if keys is None else keys
    granted = 0
    for _ in range(times):
        try:
            ledger.reserve(f"take-{next(keys)}", [line])
        except Exhausted:
            continue
        granted += 1
    return granted


class BudgetConformance:
    """Tests; `make` is a fixture that returns a function from a clock to a ledger over the same, at first empty, store."""

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def ledger(self, make: Callable[[Clock], Ledger], clock: Clock) -> Ledger:
        return make(clock)

    def test_a_limit_is_reached_and_not_passed(self, ledger: Ledger) -> None:
        assert take(ledger, line(limit=3), times=9) == 3
        assert ledger.used([line()]) == (3,)
        assert ledger.full([line(limit=3)]) == line().account
        assert ledger.full([line(limit=4)]) == ""

    @pytest.mark.parametrize(
        ("amount", "limit", "fits"),
        [(10, 10, True), (11, 10, False), (0, 0, True), (1, 0, False), (MAX_AMOUNT, MAX_AMOUNT, True), (0, 10, True)],
    )
    def test_the_first_reservation_obeys_the_limit(self, ledger: Ledger, amount: int, limit: int, fits: bool) -> None:
        assert take(ledger, line(amount=amount, limit=limit)) == fits
        assert ledger.used([line()]) == (amount if fits else 0,)

    def test_all_accounts_or_none(self, ledger: Ledger) -> None:
        wide, narrow = line("agent:a|calls/day", limit=100), line("run:r|calls/run", limit=2, window=Window.RUN)
        for n in range(2):
            ledger.reserve(f"k{n}", [wide, narrow])
        for lines in ([wide, narrow], [narrow, wide]):
            with pytest.raises(Exhausted) as refused:
                ledger.reserve("k2", lines)
            assert refused.value.account == narrow.account
        assert ledger.used([wide, narrow]) == (2, 2)
        ledger.reserve("k2", [wide])  # the key was not used up by being refused
        assert ledger.used([wide, narrow]) == (3, 2)

    def test_a_key_counts_once_whatever_became_of_it(self, ledger: Ledger) -> None:
        for _ in range(3):
            ledger.reserve("k", [line(amount=4)])
        assert ledger.used([line()]) == (4,)
        assert ledger.settle("k", {line().account: 7})
        ledger.reserve("k", [line(amount=4)])
        assert ledger.used([line()]) == (7,)

    def test_a_retry_succeeds_although_the_budget_is_now_full(self, ledger: Ledger) -> None:
        ledger.reserve("k", [line(amount=10)])
        ledger.reserve("k", [line(amount=10)])
        assert ledger.used([line()]) == (10,)

    def test_a_key_stands_for_one_reservation(self, ledger: Ledger) -> None:
        ledger.reserve("k", [line(amount=4)])
        for other in ([line(amount=5)], [line("agent:b|calls/day", amount=4)], [line(amount=4), line("x|y", 1)], []):
            with pytest.raises(LimitError, match="another reservation"):
                ledger.reserve("k", other)
        assert ledger.used([line(), line("agent:b|calls/day")]) == (4, 0)

    @pytest.mark.parametrize("actual", [0, 3, 4, 9, 25])
    def test_what_was_used_replaces_what_was_reserved(self, ledger: Ledger, actual: int) -> None:
        ledger.reserve("k", [line(amount=4)])
        assert ledger.settle("k", {line().account: actual})
        assert ledger.used([line()]) == (actual,)
        assert not ledger.settle("k", {line().account: 99})
        assert not ledger.release("k")
        assert ledger.used([line()]) == (actual,)
        assert take(ledger, line(limit=10)) == (actual < 10)

    def test_an_account_that_is_not_settled_stays_as_reserved(self, ledger: Ledger) -> None:
        other = line("agent:a|bytes/day", amount=8)
        ledger.reserve("k", [line(), other])
        assert ledger.settle("k", {other.account: 2})
        assert ledger.used([line(), other]) == (1, 2)

    def test_what_is_released_is_free_again(self, ledger: Ledger) -> None:
        ledger.reserve("k", [line(amount=10)])
        assert ledger.release("k")
        assert not ledger.release("k")
        assert ledger.used([line()]) == (0,)
        assert take(ledger, line(amount=10)) == 1

    def test_a_key_that_was_released_counts_when_it_is_tried_again(self, ledger: Ledger) -> None:
        for _ in range(3):
            ledger.reserve("k", [line(amount=6)])
            assert ledger.used([line()]) == (6,)
            assert ledger.release("k")
        ledger.reserve("other", [line(amount=6)])
        with pytest.raises(Exhausted):
            ledger.reserve("k", [line(amount=6)])
        assert ledger.used([line()]) == (6,)
        ledger.release("other")
        ledger.reserve("k", [line(amount=7)])
        assert ledger.settle("k", {})
        assert ledger.used([line()]) == (7,)

    def test_whoever_says_that_it_was_made_after_all_is_believed(self, ledger: Ledger) -> None:
        ledger.reserve("k", [line(amount=4)])
        assert ledger.release("k")
        assert ledger.settle("k", {})
        assert ledger.used([line()]) == (4,)

    def test_unknown_keys_change_nothing(self, ledger: Ledger) -> None:
        assert not ledger.settle("nobody", {line().account: 5})
        assert not ledger.release("nobody")
        assert ledger.used([line()]) == (0,)

    # windows

    def test_a_new_window_is_empty(self, ledger: Ledger, clock: Clock) -> None:
        keys = count()
        month, run = line("agent:a|calls/month", window=Window.MONTH), line("run:r|calls/run", window=Window.RUN)
        total, minute = line("t", window=Window.TOTAL), line("m", window=Window.MINUTE)
        for each in (line(), month, run, total, minute):
            assert take(ledger, each, 11, keys) == 10
        clock.now += 1 * MINUTE  # 23:59
        assert ledger.used([line(), month, run, total, minute]) == (10, 10, 10, 10, 0)
        clock.now += 1 * MINUTE  # the next day
        assert take(ledger, line(), 11, keys) == 10
        assert take(ledger, month, 1, keys) == take(ledger, run, 1, keys) == take(ledger, total, 1, keys) == 0
        clock.now += DAY  # 1 March
        assert take(ledger, month, 11, keys) == 10
        assert take(ledger, run, 1, keys) == take(ledger, total, 1, keys) == 0

    def test_a_clock_that_goes_back_gives_nothing_back(self, ledger: Ledger, clock: Clock) -> None:
        keys = count()
        for window in Window:
            each = line(f"w:{window}", window=window)
            assert take(ledger, each, 11, keys) == 10
        for back in (1.0, MINUTE, DAY, 40 * DAY, 4_000 * DAY):
            clock.now = START - back
            for window in Window:
                each = line(f"w:{window}", window=window)
                assert ledger.full([each]) == each.account
                assert take(ledger, each, 1, keys) == 0, (window, back)

    def test_a_clock_that_jumps_ahead_and_back_gives_one_window_only(self, ledger: Ledger, clock: Clock) -> None:
        keys = count()
        assert take(ledger, line(), 99, keys) == 10
        clock.now = START + 400 * DAY
        assert take(ledger, line(), 99, keys) == 10
        for later in (0.0, 10 * DAY, 399 * DAY, 400 * DAY):
            clock.now = START + later
            assert take(ledger, line(), 99, keys) == 0
        clock.now = START + 401 * DAY
        assert take(ledger, line(), 99, keys) == 10

    def test_two_clocks_that_disagree_share_one_budget(self, make: Callable[[Clock], Ledger], clock: Clock) -> None:
        slow, fast = make(clock), make(ahead := Clock())
        if slow is fast:
            pytest.skip("one process, one clock")
        ahead.now = START + 3 * MINUTE  # it is tomorrow there
        keys = count()
        assert take(slow, line(), 5, keys) == 5
        granted = take(fast, line(), 99, keys) + take(slow, line(), 99, keys) + take(fast, line(), 99, keys)
        assert granted == 10  # the new window, once
        assert slow.used([line()]) == (10,)

    @pytest.mark.parametrize("now", [math.nan, math.inf, -math.inf])
    def test_a_clock_that_gives_no_time_refuses(self, ledger: Ledger, clock: Clock, now: float) -> None:
        clock.now = now
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it is, nothing is granted
            ledger.reserve("k", [line()])
        clock.now = START
        assert ledger.used([line()]) == (0,)

    def test_a_call_belongs_to_the_window_in_which_it_began(self, ledger: Ledger, clock: Clock) -> None:
        ledger.reserve("less", [line(amount=4)])
        ledger.reserve("more", [line(amount=4)])
        ledger.reserve("gone", [line(amount=2)])
        clock.now += 5 * MINUTE
        ledger.reserve("new", [line(amount=1)])
        ledger.settle("less", {line().account: 1})
        ledger.release("gone")
        assert ledger.used([line()]) == (1,)  # giving back in yesterday's window frees nothing today
        ledger.settle("more", {line().account: 7})
        assert ledger.used([line()]) == (4,)  # what was used beyond the reservation is never lost

    # crashes

    def test_a_reservation_that_nobody_settles_stays_spent(self, ledger: Ledger, clock: Clock) -> None:
        ledger.reserve("k", [line(amount=10, window=Window.TOTAL)], lease=30)
        assert ledger.lapsed() == 0
        clock.now += 31
        assert ledger.lapsed() == 1
        clock.now += 100 * DAY
        assert take(ledger, line(window=Window.TOTAL)) == 0
        ledger.prune(idle=DAY)
        assert take(ledger, line(window=Window.TOTAL)) == 0

    @pytest.mark.parametrize(("late", "left"), [("settle", 7), ("release", 10)])
    def test_what_comes_after_the_lease_still_corrects(
        self, ledger: Ledger, clock: Clock, late: str, left: int
    ) -> None:
        ledger.reserve("k", [line(amount=10)], lease=30)
        clock.now += 60
        assert ledger.settle("k", {line().account: 3}) if late == "settle" else ledger.release("k")
        assert ledger.lapsed() == 0
        assert take(ledger, line(), 20) == left

    def test_what_is_forgotten_stays_counted(self, ledger: Ledger, clock: Clock) -> None:
        ledger.reserve("old", [line(amount=4, window=Window.TOTAL)], lease=30)
        ledger.reserve("run", [line("run:r|calls/run", window=Window.RUN)], lease=30)
        clock.now += KEPT + 60
        assert ledger.prune(idle=KEPT) == 3
        assert not ledger.settle("old", {line().account: 0})
        assert ledger.used([line(window=Window.TOTAL), line("run:r|calls/run", window=Window.RUN)]) == (4, 0)
        assert ledger.prune(idle=KEPT) == 0

    @pytest.mark.parametrize(
        "name", ["ü%/|'\"\\", "a" * 300, "\u202e", "'; DROP TABLE budget_accounts; --", "*", "[a]"]
    )
    def test_names_are_only_names(self, ledger: Ledger, name: str) -> None:
        assert take(ledger, line(name), 11) == 10
        ledger.reserve(name, [line("else")])
        assert ledger.settle(name, {"else": 2})
        assert ledger.used([line(name), line("else")]) == (10, 2)

    # many at once

    def test_64_threads_overspend_nothing(self, make: Callable[[Clock], Ledger], clock: Clock) -> None:
        ledger = make(clock)
        wide, narrow = line("agent:a|calls/day", limit=150), line("agent:a|cost/day", amount=7, limit=700)
        start, granted = threading.Barrier(64), list[str]()

        def work(n: int) -> None:
            start.wait()
            for i in range(5):
                key = f"{n}-{i}"
                lines = [wide, narrow] if n % 2 else [narrow, wide]
                try:
                    ledger.reserve(key, lines)
                    ledger.reserve(key, lines)  # a retry
                except Exhausted:
                    continue
                granted.append(key)

        run_all([threading.Thread(target=work, args=(n,)) for n in range(64)])
        assert len(granted) == 100
        assert ledger.used([wide, narrow]) == (100, 700)

    def test_64_threads_that_settle_and_release_lose_nothing(
        self, make: Callable[[Clock], Ledger], clock: Clock
    ) -> None:
        ledger = make(clock)
        one, other = line("agent:a|calls/day", limit=10_000), line("agent:a|bytes/day", amount=5, limit=100_000)
        start = threading.Barrier(64)

        def work(n: int) -> None:
            start.wait()
            for i in range(4):
                key = f"{n}-{i}"
                ledger.reserve(key, [one, other])
                if i == 3:
                    ledger.release(key)
                else:
                    ledger.settle(key, {other.account: i})

        run_all([threading.Thread(target=work, args=(n,)) for n in range(64)])
        assert ledger.used([one, other]) == (64 * 3, 64 * (0 + 1 + 2))

    def test_one_key_from_many_threads_counts_once(self, make: Callable[[Clock], Ledger], clock: Clock) -> None:
        ledger = make(clock)
        start = threading.Barrier(16)

        def work(_n: int) -> None:
            start.wait()
            ledger.reserve("k", [line(amount=3)])

        run_all([threading.Thread(target=work, args=(n,)) for n in range(16)])
        assert ledger.used([line()]) == (3,)


def run_all(threads: list[threading.Thread]) -> None:
    failed: list[BaseException] = []
    before = threading.excepthook
    threading.excepthook = lambda args: failed.append(args.exc_value) if args.exc_value is not None else None
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        threading.excepthook = before
    assert not failed, failed[0]
