"""Budgets: how much of something may be used in a window, by whom. Whole numbers only; nothing is ever rounded down.

Amounts are counted in the smallest unit that matters: calls, tokens, bytes, milliseconds, millionths of a US dollar.
Windows are calendar windows in UTC, so that every process and every machine means the same one: a budget of a day is
full again at midnight, not 24 hours after its first use, and around a border twice the amount can pass. `total` never
ends.

An *account* is one budget of one subject: `agent:support|cost/day`. The account keeps the start of the newest window it
has seen; a clock that goes back finds that window still open, so time never gives a budget back by going backwards.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, Self, assert_never

from interlock.limits.errors import TermsError

MAX_AMOUNT: Final = 2**62  # fits every store, also after adding one more


class Meter(StrEnum):
    """What is counted."""

    CALLS = "calls"
    TOKENS = "tokens"
    COST = "cost"  # millionths of a US dollar
    SECONDS = "seconds"  # milliseconds
    BYTES = "bytes"


class Window(StrEnum):
    """For how long a limit holds."""

    RUN = "run"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


class Scope(StrEnum):
    """Who shares a budget."""

    RUN = "run"
    AGENT = "agent"
    PRINCIPAL = "principal"  # of this agent
    TENANT = "tenant"
    KEY = "key"  # the key that a client shows to the gateway


SECONDS: Final = {Window.MINUTE: 60, Window.HOUR: 3_600, Window.DAY: 86_400}
_TEXT = re.compile(
    r"(?P<number>[0-9]{1,15}(?:\.[0-9]{1,6})?) ?(?P<unit>[A-Za-z]{1,3})?"
    r"/(?P<window>[a-z]{1,10})(?:/(?P<scope>[a-z]{1,10}))?"
)
_SPECIAL = re.compile(r"[%/|\0]")  # what separates, and what PostgreSQL keeps in no text
_COUNT = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}
_UNITS: Final = {
    Meter.CALLS: _COUNT,
    Meter.TOKENS: _COUNT,
    Meter.COST: {"USD": 1_000_000},
    Meter.SECONDS: {"": 1_000, "s": 1_000, "min": 60_000, "h": 3_600_000},
    Meter.BYTES: _COUNT
    | {"B": 1, "kB": 1_000, "KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}
    | {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """At most `limit` of `meter` in each `window`, shared by everything in `scope`."""

    meter: Meter
    limit: int
    window: Window
    scope: Scope

    def __post_init__(self) -> None:
        if not 0 <= self.limit <= MAX_AMOUNT:
            raise TermsError(f"a budget of {self.limit} {self.meter} cannot be meant")
        if (self.window is Window.RUN) != (self.scope is Scope.RUN):
            raise TermsError(f"a budget of a run counts per run: `{self.meter}: …/run`, without another scope")

    @classmethod
    def parse(cls, meter: Meter, text: str, *, scope: Scope = Scope.AGENT) -> Self:
        """The budget that `text` means: `40/run`, `400k/day`, `5 USD/month/tenant`; `scope` is for what names none.

        Raises:
            TermsError: it is no budget of this meter.
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise TermsError(f"`{text}` is no budget; it is an amount per window, such as `40/run` or `5 USD/day`")
        units = _UNITS[meter]
        unit = found["unit"] or ""
        if unit not in units:
            raise TermsError(f"`{text}` is no amount of {meter}; {_units_of(meter)}")
        amount = Decimal(found["number"]) * units[unit]
        if amount != amount.to_integral_value():
            raise TermsError(f"`{text}` is finer than {meter} are counted")
        try:
            window = Window(found["window"])
            scope = Scope(found["scope"]) if found["scope"] else Scope.RUN if window is Window.RUN else scope
        except ValueError:
            names = ", ".join(w.value for w in Window)
            scopes = ", ".join(s.value for s in Scope)
            raise TermsError(f"`{text}` names no window or scope; windows: {names}; scopes: {scopes}") from None
        return cls(meter=meter, limit=int(amount), window=window, scope=scope)

    def account(self, subject: str) -> str:
        """The name under which stores keep what `subject` has used."""
        return f"{self.scope}:{subject}|{self.meter}/{self.window}"

    def __str__(self) -> str:
        return f"{self.meter}: {self.limit}/{self.window}/{self.scope}"


@dataclass(frozen=True, slots=True)
class Line:
    """One account that a reservation touches: take `amount` if all that is used then stays within `limit`."""

    account: str
    amount: int
    limit: int
    window: Window


def started(window: Window, now: float) -> int:
    """When the window that `now` (seconds since 1970, UTC) lies in began; 0 for windows that never end.

    Raises:
        ValueError: `now` is no time.
    """
    if not math.isfinite(now):
        raise ValueError("the clock gives no time")
    match window:
        case Window.RUN | Window.TOTAL:
            return 0
        case Window.MINUTE | Window.HOUR | Window.DAY:
            return int(now // SECONDS[window]) * SECONDS[window]
        case Window.MONTH:
            day = datetime.fromtimestamp(math.floor(now), UTC)  # which would round up
            return int(datetime(day.year, day.month, 1, tzinfo=UTC).timestamp())
        case _:
            assert_never(window)


def ended(window: Window, start: int) -> float:
    """When the window that began at `start` ends."""
    match window:
        case Window.RUN | Window.TOTAL:
            return math.inf
        case Window.MINUTE | Window.HOUR | Window.DAY:
            return start + SECONDS[window]
        case Window.MONTH:
            day = datetime.fromtimestamp(start, UTC)
            return datetime(day.year + day.month // 12, day.month % 12 + 1, 1, tzinfo=UTC).timestamp()
        case _:
            assert_never(window)


def subject(*names: str) -> str:
    """One text for several names: no two lists of names have the same."""
    return "/".join(
        n.replace("%", "%25").replace("/", "%2F").replace("|", "%7C").replace("\0", "%00") if _SPECIAL.search(n) else n
        for n in names
    )


def _units_of(meter: Meter) -> str:
    named = [f"`{u}`" for u in _UNITS[meter] if u]
    return f"units: {', '.join(named)}" + ("" if "" in _UNITS[meter] else " (prices are in US dollars)")
