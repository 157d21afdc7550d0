"""What budget texts mean, and when windows begin and end."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.limits.budget import Budget, Meter, Scope, Window, ended, started, subject
from interlock.limits.errors import TermsError

C, T, COST, S, B = Meter.CALLS, Meter.TOKENS, Meter.COST, Meter.SECONDS, Meter.BYTES


@pytest.mark.parametrize(
    ("meter", "text", "limit", "window", "scope"),
    [
        (C, "40/run", 40, Window.RUN, Scope.RUN),
        (C, "40/run/run", 40, Window.RUN, Scope.RUN),
        (C, "0/day", 0, Window.DAY, Scope.AGENT),
        (T, "400k/day", 400_000, Window.DAY, Scope.AGENT),
        (T, "1.5M/month/tenant", 1_500_000, Window.MONTH, Scope.TENANT),
        (T, "50k/hour/principal", 50_000, Window.HOUR, Scope.PRINCIPAL),
        (T, "2G/total/key", 2_000_000_000, Window.TOTAL, Scope.KEY),
        (COST, "5 USD/day", 5_000_000, Window.DAY, Scope.AGENT),
        (COST, "0.000001USD/minute", 1, Window.MINUTE, Scope.AGENT),
        (S, "90/run", 90_000, Window.RUN, Scope.RUN),
        (S, "0.5 h/day", 1_800_000, Window.DAY, Scope.AGENT),
        (S, "10 min/hour", 600_000, Window.HOUR, Scope.AGENT),
        (B, "64 KiB/run", 65_536, Window.RUN, Scope.RUN),
        (B, "10 MB/day", 10_000_000, Window.DAY, Scope.AGENT),
    ],
)
def test_texts(meter: Meter, text: str, limit: int, window: Window, scope: Scope) -> None:
    assert Budget.parse(meter, text) == Budget(meter=meter, limit=limit, window=window, scope=scope)


@pytest.mark.parametrize(
    ("meter", "text"),
    [
        (C, "40"),
        (C, ""),
        (C, "/run"),
        (C, "-1/run"),
        (C, "1e9/run"),
        (C, "40/week"),
        (C, "40/run/agent"),
        (C, "40/day/run"),
        (C, "40/day/everybody"),
        (C, "0.5/day"),
        (C, "40 USD/day"),
        (C, "٤٠/run"),
        (C, "40/run\n"),
        (C, "40 k /day"),
        (C, "9999999999999999/day"),
        (COST, "5/day"),
        (COST, "5 EUR/day"),
        (COST, "0.0000001 USD/day"),
        (T, "10 MB/day"),
        (B, "10 MEGA/day"),
        (S, "10 days/month"),
    ],
)
def test_texts_that_cannot_be_meant(meter: Meter, text: str) -> None:
    with pytest.raises(TermsError):
        Budget.parse(meter, text)


def test_other_money_is_named() -> None:
    with pytest.raises(TermsError, match="US dollars"):
        Budget.parse(COST, "5 EUR/day")


TIMES = st.floats(min_value=0, max_value=datetime(2999, 1, 1, tzinfo=UTC).timestamp(), allow_nan=False)


@given(st.sampled_from(list(Window)), TIMES)
def test_every_moment_lies_in_one_window(window: Window, now: float) -> None:
    start = started(window, now)
    end = ended(window, start)
    assert start <= now < end
    assert started(window, start) == start
    if end < math.inf:
        assert started(window, end) == end  # half-open
        assert started(window, math.nextafter(end, 0)) == start


def test_months() -> None:
    leap = datetime(2028, 2, 29, 23, 59, 59, tzinfo=UTC).timestamp()
    assert started(Window.MONTH, leap) == datetime(2028, 2, 1, tzinfo=UTC).timestamp()
    december = int(datetime(2026, 12, 1, tzinfo=UTC).timestamp())
    assert ended(Window.MONTH, december) == datetime(2027, 1, 1, tzinfo=UTC).timestamp()


@given(st.lists(st.text(max_size=4), min_size=1, max_size=3), st.lists(st.text(max_size=4), min_size=1, max_size=3))
def test_two_subjects_never_share_a_name(one: list[str], other: list[str]) -> None:
    assert (subject(*one) == subject(*other)) == (one == other)
    assert "|" not in subject(*one)
    assert "\0" not in subject(*one)
