"""Loops: calls that bring nothing new. Judged by what was asked *and* what came back; changing results are progress.

Three spellings of a call are kept, each coarser than the one before:
  cosmetic   case, blanks, invisible characters, final punctuation and counters (`page`, `attempt`, …) left out
  numbers    all numbers left out too
  tool       all arguments left out
An outcome is new if its cosmetic spelling with its result was not seen in the last `MEMORY` calls; something new ends
every count but the last one below. Counted since then: the same cosmetic call with the same result (`repeat`), the same
but for numbers (`jitter`), and in a row the same tool with the same result (`stuck`); the last 2, 3 or 4 outcomes over
and over (`cycle`); and one outcome in all that is remembered, whatever stood between (`stuck`).

`jitter` and `stuck` count for calls that only read, and for those that fail: hundred rows that are deleted one by one
with "ok" are no loop, hundred that cannot be found are. Looking at a thing that does not change *is* one; tools that
are meant for that are named in `polling`, for which nothing counts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from interlock.kernel.call import Frozen
from interlock.limits.errors import TermsError

Pair: TypeAlias = tuple[int, int]  # when to warn, when to halt

MEMORY: Final = 64  # outcomes
LENGTHS: Final = (2, 3, 4)  # of cycles
LONG: Final = 2_000  # characters; a longer text is compared as it is
NO_MATCH: Final = (0, 0, 0)
COUNTERS: Final = frozenset(
    "page pagenumber page_number pageno offset cursor skip attempt attempts try retry retries counter count iteration "
    "step seq sequence nonce timestamp request_id requestid idempotency_key trace_id".split()
)
_NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]+)*")
_DIGITS = re.compile(_NUMBER.pattern.encode())
_LOWER = bytes(range(256)).lower()
_BLANK = b"\t\n\v\f\r\x1c\x1d\x1e\x1f "  # of ASCII, what `str.split` divides at


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """After how many outcomes without progress a run is warned of, and halted. 0 for halting: never."""

    repeat: Pair = (3, 5)
    cycle: Pair = (3, 4)  # times that the same 2, 3 or 4 outcomes follow each other
    jitter: Pair = (6, 10)
    stuck: Pair = (10, 20)
    polling: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name in ("repeat", "cycle", "jitter", "stuck"):
            warn, halt = getattr(self, name)
            if not (warn >= 2 and (halt == 0 or halt >= warn)):  # noqa: PLR2004 - once is no loop
                raise TermsError(f"`loops: {name}` warns from 2 on and halts later than that: `[{warn}, {halt}]`")


@dataclass(frozen=True, slots=True)
class Alarm:
    """A loop: in constant words, with no argument in them."""

    why: str
    halt: bool


@dataclass(slots=True)
class _Still:
    """One tool's calls since its result has changed. The first is spelled out only when a second one comes."""

    result: str
    first: object
    row: int = 1  # how often in a row
    blurred: dict[int, int] = field(default_factory=dict)  # call without numbers -> times

    def another(self, plain: object) -> int:
        """How many calls are now the same as this one, but for numbers."""
        if not self.blurred:
            self.blurred[hash(_blurred(self.first))] = 1
            self.first = None
        elif len(self.blurred) >= MEMORY:
            self.blurred.clear()
        name = hash(_blurred(plain))
        times = self.blurred[name] = self.blurred.get(name, 0) + 1
        return times


@dataclass(slots=True)
class Trail:
    """The last outcomes of one run. `saw` is the only thing that changes it."""

    recent: list[int] = field(default_factory=list)  # no deque: an empty one takes 700 bytes, and most stay empty
    known: dict[int, int] = field(default_factory=dict)  # outcome -> times among `recent`
    since: dict[int, int] = field(default_factory=dict)  # outcome -> times since the last new one
    matches: tuple[int, ...] = NO_MATCH  # by length of cycle: outcomes in a row that are the same as so many before
    idle: dict[str, _Still] = field(default_factory=dict)  # by tool: results that do not change
    row: str = ""  # the tool that has brought one result

    def saw(
        self, tool: str, arguments: Mapping[str, Frozen], result: str, settings: Settings, *, idle: bool
    ) -> Alarm | None:
        """Take in an outcome; `idle`: the call has only read, or has failed.

        `result` stands for all that came back.
        """
        if tool in settings.polling:
            return None
        plain = _object(arguments)
        outcome = hash((tool, plain, result))
        worst: Alarm | None = None
        known = self._remember(outcome)
        if known == 1:
            self.since = {outcome: 1}
            self.matches = NO_MATCH
        else:
            times = self.since[outcome] = self.since.get(outcome, 0) + 1
            worst = _alarm(settings.repeat, times, "the same call brought the same result {} times", worst)
            worst = _alarm(settings.stuck, known, "one call brought the same result {} times", worst)
            worst = self._cycles(settings, worst)
        if not idle:
            self.idle.clear()
            return worst
        return self._unmoved(tool, plain, result, settings, worst)

    def _unmoved(self, tool: str, plain: object, result: str, settings: Settings, worst: Alarm | None) -> Alarm | None:
        still = self.idle.get(tool)
        if still is None:
            if len(self.idle) >= MEMORY:
                self.idle.clear()
            self.idle[tool] = _Still(result, plain)
            self.row = tool
            return worst
        if still.result != result:
            still.result, still.first, still.row = result, plain, 1
            if still.blurred:
                still.blurred = {}
            self.row = tool
            return worst
        still.row = still.row + 1 if self.row == tool else 1
        self.row = tool
        times = still.another(plain)
        worst = _alarm(
            settings.jitter, times, "calls that differ in numbers only brought the same result {} times", worst
        )
        return _alarm(settings.stuck, still.row, "one tool brought the same result {} times in a row", worst)

    def _remember(self, outcome: int) -> int:
        """How often this outcome is now among the recent ones."""
        recent, known = self.recent, self.known
        if len(recent) == MEMORY:
            oldest = recent.pop(0)
            if known[oldest] == 1:
                del known[oldest]
            else:
                known[oldest] -= 1
        recent.append(outcome)
        times = known[outcome] = known.get(outcome, 0) + 1
        return times

    def _cycles(self, settings: Settings, worst: Alarm | None) -> Alarm | None:
        recent = self.recent
        newest, size = recent[-1], len(recent)
        matches = []
        for before, length in zip(self.matches, LENGTHS, strict=True):
            match = before + 1 if size > length and recent[-1 - length] == newest else 0
            matches.append(match)
            if match and match % length == 0:
                times = match // length + 1
                worst = _alarm(
                    settings.cycle, times, f"the same {length} calls brought the same results {{}} times", worst
                )
        self.matches = tuple(matches)
        return worst


def _alarm(limits: Pair, times: int, why: str, worst: Alarm | None) -> Alarm | None:
    warn, halt = limits
    if times < warn or (worst is not None and worst.halt):
        return worst
    return Alarm(why.format(times), halt=0 < halt <= times)


def _object(arguments: Mapping[str, Frozen]) -> object:
    """The cosmetic spelling of an object: equal for calls that ask for the same."""
    spelled: list[object] = []
    for name, value in sorted(arguments.items()):
        spelled += name, _plain(value, name)
    return tuple(spelled)


def _plain(value: Frozen, name: str) -> object:
    if isinstance(value, str):
        text = _text(value)
        return _DIGITS.sub(b"", text) if name.lower() in COUNTERS and isinstance(text, bytes) else text
    if value is None or isinstance(value, bool):
        return type(value), value  # True == 1, but does not ask for the same
    if isinstance(value, (int, float)):
        return b"" if name.lower() in COUNTERS else value
    if isinstance(value, tuple):
        return tuple([_plain(item, name) for item in value])
    return _object(value)


def _text(text: str) -> str | bytes:
    """Bytes, since those lose case and blanks in one step; a text that is too long stays one."""
    if len(text) > LONG:
        return text
    if text.isascii():
        return text.encode().translate(_LOWER, _BLANK).rstrip(b".!?;,:")
    text = unicodedata.normalize("NFKC", text)
    text = "".join([c for c in text if unicodedata.category(c) != "Cf"])
    return "".join(text.casefold().split()).encode().rstrip(b".!?;,:")


def _blurred(plain: object) -> object:
    """A cosmetic spelling without its numbers."""
    if isinstance(plain, tuple):
        return tuple([_blurred(item) for item in plain])
    if isinstance(plain, bytes):
        return _DIGITS.sub(b"", plain)
    if isinstance(plain, str):  # a name, or a long text
        return plain if len(plain) > LONG else _NUMBER.sub("", plain)
    if isinstance(plain, (int, float)) and not isinstance(plain, bool):
        return 0
    return plain
