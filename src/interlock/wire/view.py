"""A request as it was read, and the bytes that go on.

The body is parsed once, strictly; what is judged is what is sent. Where no reading differs from what stands there, the
original bytes go on; otherwise the parsed value, with the readings in their places, is written anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from interlock.kernel.call import Json
from interlock.wire.errors import ShapeError
from interlock.wire.events import Declared, Event, Hosted, Opaque, Position, Problem, Result, Words
from interlock.wire.strict import dumps, loads


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestView:
    """One request. With any `problems` it must not be sent."""

    format: str
    body: bytes = field(repr=False)
    model: str
    stream: bool
    n: int = 1  # answers that are asked for
    limit: int | None = None  # tokens that the answer may have
    counted: bool = True  # whether a stream's end says its usage
    events: tuple[Event, ...] = ()
    tools: tuple[Declared, ...] = ()
    hosted: tuple[Hosted, ...] = ()
    state: tuple[str, ...] = ()  # fields that bring in or keep a history at the provider
    problems: tuple[Problem, ...] = ()
    text_type: str = "text"  # of a text part in this format
    add_system: Callable[[dict[str, Any], str], None] = field(repr=False)
    add_count: Callable[[dict[str, Any]], None] | None = field(default=None, repr=False)

    def rewrite(self, readings: Mapping[int, Json], *, system: str = "", count: bool = False) -> bytes:
        """The body in which the model reads `readings` (by index of the event) and, after the system's words, `system`.

        `count`: a stream's end shall say its usage; the machine keeps that from a client who has not asked for it.

        Raises:
            ShapeError: a reading does not fit its place.
        """
        edits = [edit for at, reading in readings.items() for edit in self._edits(self.events[at], reading)]
        count = count and not self.counted
        if not edits and not system and not count:
            return self.body
        value = loads(self.body)
        for position, new in edits:
            put(value, position, new)
        if system:
            self.add_system(value, system)
        if count and self.add_count is not None:
            self.add_count(value)
        return dumps(value)

    def _edits(self, event: Event, reading: Json) -> list[tuple[Position, Json]]:
        match event:
            case Words(at=at, text=text) if isinstance(reading, str):
                return [] if reading == text else [(at, reading)]
            case Opaque(at=at) if isinstance(reading, str):
                return [(at, self._part(reading))]
            case Opaque() if reading is None:
                return []
            case Result() if reading == event.content:
                return []
            case Result() if isinstance(reading, str):
                return [(event.parts[0] if isinstance(event.content, str) else event.at, reading)]
            case Result(content=list() as old) if isinstance(reading, list) and len(reading) == len(old):
                return [
                    self._piece(*each) for each in zip(event.parts, old, reading, strict=True) if each[1] != each[2]
                ]
            case _:
                raise ShapeError(f"a reading does not fit the event at {'/'.join(map(str, event.at))}")

    def _piece(self, at: Position, old: Json, new: Json) -> tuple[Position, Json]:
        if not isinstance(new, str):
            raise ShapeError("a part of a tool result can only be read as text")
        return (at, new) if isinstance(old, str) else (at, self._part(new))

    def _part(self, text: str) -> Json:
        return {"type": self.text_type, "text": text}


def put(value: Any, position: Position, new: Json) -> None:  # noqa: ANN401 - JSON
    """Set the place `position` of `value`, which is there."""
    for key in position[:-1]:
        value = value[key]
    value[position[-1]] = new
