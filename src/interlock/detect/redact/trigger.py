"""Where in a text something may stand: exact texts and coarse shapes, all looked for at once.

A trigger finds nothing by itself: it says at which places the finders look, in Python. Both engines name the same
places, so what is found does not depend on which is there. The text is searched as one byte per character (what is
not Latin-1 becomes `?`, which no trigger has), so that a place in the bytes is a place in the text.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

Hit: TypeAlias = tuple[int, int]  # where it ends, which trigger


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """An exact text to look for."""

    text: str
    caseless: bool


class Engine(Protocol):
    """Finds triggers, and lines that a finder of lines must look at. One may be named for nothing, none is missed."""

    def __call__(self, text: str) -> tuple[list[Hit], Mapping[str, list[int] | None]]:
        """Every place where a trigger ends; for each gate that is open, places in its lines, or None for all lines."""
        ...


class PureEngine:
    """The standard library's: one search for each trigger, each of them fast. All gates are open."""

    __slots__ = ("__gates", "__triggers")

    def __init__(self, triggers: Sequence[Trigger], gates: Mapping[str, Sequence[str]]) -> None:
        self.__triggers = [
            (number, (t.text.lower() if t.caseless else t.text).encode("latin-1"), t.caseless)
            for number, t in enumerate(triggers)
        ]
        self.__gates: dict[str, list[int] | None] = dict.fromkeys(gates)

    def __call__(self, text: str) -> tuple[list[Hit], Mapping[str, list[int] | None]]:
        """As `Engine` says."""
        exact = text.encode("latin-1", "replace")
        lower = exact.lower()
        hits: list[Hit] = []
        for number, needle, caseless in self.__triggers:
            data = lower if caseless else exact
            at = data.find(needle)
            while at >= 0:
                hits.append((at + len(needle), number))
                at = data.find(needle, at + 1)
        hits.sort()
        return hits, self.__gates


class VectorscanEngine:
    """Vectorscan's: one pass over the text for all of them (extra `detect`)."""

    __slots__ = ("__count", "__database", "__gates", "__local", "__scratch")

    def __init__(self, hyperscan: Any, triggers: Sequence[Trigger], gates: Mapping[str, Sequence[str]]) -> None:  # noqa: ANN401 - a module that may be absent
        self.__scratch = hyperscan.Scratch
        self.__count = len(triggers)
        expressions = [re.escape(t.text).encode("latin-1") for t in triggers]
        flags = [hyperscan.HS_FLAG_CASELESS if t.caseless else 0 for t in triggers]
        numbers = list(range(self.__count))
        self.__gates: list[str] = []
        for gate, shapes in gates.items():
            for shape in shapes:
                numbers.append(len(expressions))
                expressions.append(shape.encode("latin-1"))
                flags.append(0)
                self.__gates.append(gate)
        self.__database = hyperscan.Database()
        self.__database.compile(expressions=expressions, ids=numbers, elements=len(numbers), flags=flags)
        self.__local = threading.local()

    def __call__(self, text: str) -> tuple[list[Hit], Mapping[str, list[int] | None]]:
        """As `Engine` says."""
        scratch = getattr(self.__local, "scratch", None)
        if scratch is None:
            scratch = self.__local.scratch = self.__scratch(self.__database)  # one for each thread
        found: list[Hit] = []
        self.__database.scan(
            text.encode("latin-1", "replace"), match_event_handler=_on_match, context=found, scratch=scratch
        )
        count = self.__count
        hits = [hit for hit in found if hit[1] < count]
        hits.sort()
        open_: dict[str, list[int] | None] = {}
        if len(hits) < len(found):
            places: dict[str, set[int]] = {}
            for end, number in found:
                if number >= count:
                    places.setdefault(self.__gates[number - count], set()).add(end)
            open_.update((gate, sorted(ends)) for gate, ends in places.items())
        return hits, open_


def _on_match(number: int, _start: int, end: int, _flags: int, found: list[Hit]) -> None:
    found.append((end, number))


def engine(triggers: Sequence[Trigger], gates: Mapping[str, Sequence[str]], *, pure: bool = False) -> Engine:
    """The fastest engine that is there."""
    if not pure:
        try:
            import hyperscan  # noqa: PLC0415 - an extra
        except ImportError:
            pass
        else:
            return VectorscanEngine(hyperscan, triggers, gates)
    return PureEngine(triggers, gates)
