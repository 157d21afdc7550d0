"""GCRA: never more than the rate and its burst, in any window, whatever the clock does."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.limits.errors import TermsError
from interlock.limits.rate import LocalRates, Rate


def test_a_burst_then_one_at_a_time() -> None:
    now = [100.0]
    rates = LocalRates(lambda: now[0])
    bucket = [("agent:a", Rate.parse("30/minute burst 3"))]
    assert [rates.take(bucket) for _ in range(4)] == [0, 0, 0, pytest.approx(2)]
    now[0] += 1.9
    assert rates.wait(bucket) == pytest.approx(0.1)
    now[0] += 0.1
    assert [rates.take(bucket) for _ in range(2)] == [0, pytest.approx(2)]
    now[0] += 3_600
    assert [rates.take(bucket) for _ in range(4)] == [0, 0, 0, pytest.approx(2)]


def test_all_buckets_or_none() -> None:
    rates = LocalRates(lambda: 0.0)
    wide, narrow = ("agent:a", Rate.parse("9/minute")), ("tool:t", Rate.parse("1/minute"))
    assert rates.take([wide, narrow]) == 0
    for _ in range(20):
        assert rates.take([wide, narrow]) > 0
    assert [rates.take([wide]) for _ in range(9)][:8] == [0] * 8  # refusals took nothing from the other


@pytest.mark.parametrize(
    "text", ["", "30", "0/minute", "30/week", "30/minute burst 0", "-3/minute", "30/minute ", "3.5/hour"]
)
def test_texts_that_are_no_rates(text: str) -> None:
    with pytest.raises(TermsError):
        Rate.parse(text)


@pytest.mark.parametrize("now", [math.nan, math.inf, -math.inf])
def test_a_clock_that_gives_no_time_refuses(now: float) -> None:
    rates = LocalRates(lambda: now)
    with pytest.raises(ValueError, match="no time"):
        rates.take([("a", Rate.parse("1/minute"))])
    with pytest.raises(ValueError, match="no time"):
        rates.wait([("a", Rate.parse("1/minute"))])


@given(
    st.lists(st.floats(min_value=-50, max_value=20, allow_nan=False), max_size=200),
    st.integers(1, 10),
    st.integers(1, 10),
)
def test_no_window_holds_more_than_rate_and_burst(steps: list[float], count: int, burst: int) -> None:
    """The clock goes forth and back; windows are judged by the furthest reading, as time is."""
    now, latest = [0.0], -math.inf
    rates, rate = LocalRates(lambda: now[0]), Rate.parse(f"{count}/minute burst {burst}")
    taken = []
    for step in steps:
        now[0] += step
        latest = max(latest, now[0])
        waits = rates.wait([("a", rate)])
        wait = rates.take([("a", rate)])
        assert wait == waits
        if not wait:
            taken.append(latest)
    for start in taken:
        assert sum(1 for at in taken if start <= at < start + 60 - 1e-6) <= count + burst
    assert not steps or taken  # and the first passes
