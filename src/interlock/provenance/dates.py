"""Days and times of day in text, as a person writes them: ISO, month names, ordinals, ranges, "tomorrow".

A day without a year stands for that day of any year. Slash dates are read only when they can be read in one way.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from itertools import pairwise
from typing import NamedTuple

_MONTHS = "january february march april may june july august september october november december".split()
_WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
_MONTH = r"(?P<{0}>" + "|".join(f"{m[:3]}(?:{m[3:]})?" if len(m) > 3 else m for m in _MONTHS) + r"|sept)\.?"  # noqa: PLR2004
_DAY = r"(?P<{0}>\d{{1,2}})(?:st|nd|rd|th)?"
_UNTIL = r"\s*(?:-|–|—|to|until|till|through|thru|and|or|/|,)\s*(?:the\s+)?"
_YEAR = r"(?:,?\s+(?P<{0}>\d{{4}}))?"
_ISO = re.compile(r"(?<!\d)(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)")
_SLASH = re.compile(r"(?<![\d/.-])(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})(?!\d)")
_MONTH_FIRST = re.compile(
    rf"\b{_MONTH.format('m')}\s+(?:the\s+)?{_DAY.format('a')}\b(?:{_UNTIL}{_DAY.format('b')}\b(?!:))?{_YEAR.format('y')}",
    re.IGNORECASE,
)
_DAY_FIRST = re.compile(
    rf"\b(?:{_DAY.format('a')}{_UNTIL})?{_DAY.format('b')}\s+(?:of\s+)?{_MONTH.format('m')}\b{_YEAR.format('y')}",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"^\s*(?:-|–|—|to|until|till|through|thru)\s*(?:the\s+)?$", re.IGNORECASE)
_CLOCK = re.compile(
    r"(?<![\d:])(\d{1,2})(?:[:.h](\d{2}))(?::\d{2})?\s*([ap]\.?m\b\.?)?|(?<![\d:.])(\d{1,2})\s*([ap]\.?m\b)",
    re.IGNORECASE,
)
_RELATIVE = re.compile(
    r"\b(?:(today|tonight|tomorrow|yesterday)|(?:(next|this|on|last)\s+)?("
    + "|".join(_WEEKDAYS)
    + r")s?|in\s+(\d{1,3}|an?|one|two|three)\s+(day|week)s?)\b",
    re.IGNORECASE,
)
_SMALL = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3}
_LETTERS = re.compile(r"[a-z]+|[^\w\s:.,/+()-]")
_TELLING_TIME = frozenset(
    "t z am pm a p m h st nd rd th at on of the to from until till through thru and between by in utc gmt bst cet cest "
    "est edt cst cdt mst mdt pst pdt ist jst o clock noon today tonight tomorrow yesterday next this last day days "
    "week weeks sept morning afternoon evening".split()
) | {w for name in (*_MONTHS, *_WEEKDAYS) for w in (name, name[:3])}
MAX_RANGE = 62  # days between the ends of a range whose inner days count as said


class Day(NamedTuple):
    """A day; `year` is None when the text has none."""

    year: int | None
    month: int
    day: int


class When(NamedTuple):
    """What a text says about time."""

    days: frozenset[Day]
    clocks: frozenset[tuple[int, int]]  # hour, minute; 24 h

    def __bool__(self) -> bool:
        return bool(self.days or self.clocks)


def when(text: str, today: date | None = None) -> When:
    """All days and times of day in `text`; words such as "tomorrow" only if `today` is known."""
    spans: list[tuple[int, int, Day]] = []
    for m in _ISO.finditer(text):
        spans += _day(m, int(m[1]), int(m[2]), int(m[3]))
    for m in _SLASH.finditer(text):
        first, second, year = int(m[1]), int(m[2]), int(m[3])
        if first > 12 or second > 12 or first == second:  # noqa: PLR2004 - months; else two readings
            spans += _day(m, year, *((second, first) if first > 12 else (first, second)))  # noqa: PLR2004
    for pattern in (_MONTH_FIRST, _DAY_FIRST):
        for m in pattern.finditer(text):
            month = next(i for i, name in enumerate(_MONTHS, 1) if name.startswith(m["m"].lower()[:3]))
            said_year = int(m["y"]) if m["y"] else None
            ends = [int(m[g]) for g in ("a", "b") if m[g]]
            for number in ends if len(ends) == 1 or "," in m[0] else range(ends[0], ends[1] + 1):
                spans += _day(m, said_year, month, number)
    days = {d for _, _, d in spans} | _inside(text, spans)
    if today is not None:
        days |= {Day(d.year, d.month, d.day) for d in _relative(text, today)}
    return When(frozenset(days), frozenset(_clocks(text)))


def _day(m: re.Match[str], year: int | None, month: int, number: int) -> list[tuple[int, int, Day]]:
    try:
        date(year or 2024, month, number)  # a leap year, so that 29 February passes without a year
    except ValueError:
        return []
    return [(m.start(), m.end(), Day(year, month, number))]


def _inside(text: str, spans: list[tuple[int, int, Day]]) -> set[Day]:
    """The days between two dates that the text joins to a range."""
    found: set[Day] = set()
    ordered = sorted(spans)
    for (_, end, a), (start, _, b) in pairwise(ordered):
        if end <= start and _BETWEEN.match(text[end:start]):
            year = a.year or b.year
            first, last = date(year or 2024, a.month, a.day), date(b.year or year or 2024, b.month, b.day)
            for n in range(1, min((last - first).days, MAX_RANGE)):
                d = first + timedelta(days=n)
                found.add(Day(d.year if year else None, d.month, d.day))
    return found


def _relative(text: str, today: date) -> set[date]:
    found: set[date] = set()
    for m in _RELATIVE.finditer(text):
        if m[1]:
            found.add(today + timedelta(days={"tomorrow": 1, "yesterday": -1}.get(m[1].lower(), 0)))
        elif m[3]:
            ahead = (_WEEKDAYS.index(m[3].lower()) - today.weekday()) % 7
            found.add(today + timedelta(days=ahead - 7 if (m[2] or "").lower() == "last" else ahead))
            if (m[2] or "").lower() == "next":
                found.add(today + timedelta(days=ahead + 7))
        else:
            count = _SMALL.get(m[4].lower()) or int(m[4])
            found.add(today + timedelta(days=count * (7 if m[5].lower() == "week" else 1)))
    return found


def _clocks(text: str) -> set[tuple[int, int]]:
    found: set[tuple[int, int]] = set()
    for m in _CLOCK.finditer(text):
        hour, minute = int(m[1] or m[4]), int(m[2] or 0)
        half = (m[3] or m[5] or "").lower().replace(".", "")
        if half and 1 <= hour <= 12:  # noqa: PLR2004 - hours
            hour = hour % 12 + (12 if half == "pm" else 0)
        if hour < 24 and minute < 60:  # noqa: PLR2004
            found.add((hour, minute))
    return found


def said(value: str, user: When) -> bool:
    """The days that `value` names are all among those the user said; without days, its times of day are.

    A value that says anything else beside a time is no time.
    """
    if not value.isascii() or not set(_LETTERS.findall(value.lower())) <= _TELLING_TIME:
        return False
    asked = when(value)
    if asked.days:
        return all(any(_same(d, u) for u in user.days) for d in asked.days)
    return bool(asked.clocks) and asked.clocks <= user.clocks


def _same(a: Day, b: Day) -> bool:
    return a[1:] == b[1:] and (a.year is None or b.year is None or a.year == b.year)
