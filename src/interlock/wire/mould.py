"""Events that differ by their text alone from one that was read in full: most of a stream.

A mould is the bytes of an event with holes: the text, and what else changes from event to event (a counter, padding).
It is made with proof: with other words in the holes the bytes are read, strictly, as the same value with those words in
their places. What fits needs no second reading, whatever the event says besides: a hole takes printable characters
without quote and backslash, or a number, and these end neither the string nor the line. All else is read in full.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from interlock.wire.errors import WireError
from interlock.wire.events import Position
from interlock.wire.sse import Frame, frame_of
from interlock.wire.strict import dumps, loads

TRIES = 8  # moulds that are made in a row without any use
_NUMBER = re.compile(rb"0|[1-9][0-9]{0,14}")
_WORD, _COUNT = "a.b: Gr\u00fc\u00dfe {[", 987_654_321_098_765  # the proof's


class Mould:
    """The bytes around the holes, and what each hole takes."""

    __slots__ = ("_after", "_around", "_counts", "_first", "_text")

    def __init__(self, around: Sequence[bytes], counts: Sequence[bool], text: int) -> None:
        """`around`: before, between and after the holes; `counts`: which take a number; `text`: which is the text's."""
        self._around, self._counts, self._text = around, counts, text
        quoted = [b"" if count else b'"' for count in counts]
        self._first = around[0] + quoted[0]
        self._after = [a + b + c for a, b, c in zip(quoted, around[1:], [*quoted[1:], b""], strict=True)]

    def fit(self, raw: bytes) -> tuple[str, list[bytes]] | None:
        """The text in `raw`, and what is in all holes; None if it does not fit."""
        holes = self._alone(raw) if len(self._after) == 1 else self._each(raw)
        if holes is None:
            return None
        try:
            words = [hole.decode() for hole in holes]
        except UnicodeDecodeError:
            return None
        plain = words[0] if len(words) == 1 else "".join(words)
        return (words[self._text], holes) if plain.isprintable() and "\\" not in plain else None

    def _alone(self, raw: bytes) -> list[bytes] | None:
        first, (after,) = self._first, self._after
        if not raw.startswith(first) or not raw.endswith(after):
            return None
        hole = raw[len(first) : -len(after)]
        return None if b'"' in hole or len(first) + len(hole) + len(after) != len(raw) else [hole]

    def _each(self, raw: bytes) -> list[bytes] | None:
        if not raw.startswith(self._first):
            return None
        at, holes = len(self._first), []
        for count, after in zip(self._counts, self._after, strict=True):
            if count:
                matched = _NUMBER.match(raw, at)
                end = -1 if matched is None else matched.end()
            else:
                end = raw.find(b'"', at)
            if end < 0 or not raw.startswith(after, end):
                return None
            holes.append(raw[at:end])
            at = end + len(after)
        return holes if at == len(raw) else None

    def number(self, holes: Sequence[bytes]) -> int:
        """The counter's number."""
        return int(holes[self._counts.index(True)])

    def fill(self, holes: Sequence[bytes], text: str | None, number: int | None = None) -> bytes:
        """The event with another text, or with none, and another number."""
        if len(holes) == 1:
            return b"".join((self._around[0], b"null" if text is None else dumps(text), self._around[1]))
        parts = [self._around[0]]
        for place, (hole, count, after) in enumerate(zip(holes, self._counts, self._around[1:], strict=True)):
            if place == self._text:
                parts.append(b"null" if text is None else dumps(text))
            elif count:
                parts.append(hole if number is None else b"%d" % number)
            else:
                parts.append(b'"%b"' % hole)
            parts.append(after)
        return b"".join(parts)


def mould(frame: Frame, text: Position, *others: Position) -> Mould | None:
    """The mould of `frame`, with holes for the text and `others`; None if there is no proof for it.

    Raises:
        NotJson: there is more than one reading of it.
    """
    raw, data = frame.raw, frame.data
    if data is None or not frame.plain or b"\\" in raw:
        return None
    value = loads(data)
    cuts: list[tuple[int, int, bool, bool]] = []
    for at in (text, *others):
        *way, name = at
        inside = value
        for step in way:
            inside = inside[step]
        told, key = inside[name], dumps(name) + b":"
        start, written = raw.find(key) + len(key), dumps(told)
        if raw.count(key) != 1 or not raw.startswith(written, start):
            return None
        cuts.append((start, start + len(written), isinstance(told, int), at == text))
        inside[name] = _COUNT if isinstance(told, int) else _WORD
    cuts.sort()
    edges = [0, *(edge for start, end, _, _ in cuts for edge in (start, end)), len(raw)]
    around = [raw[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]
    made = Mould(around, [count for _, _, count, _ in cuts], [is_text for *_, is_text in cuts].index(True))
    proof = frame_of(made.fill([_WORD.encode()] * len(cuts), _WORD, _COUNT))
    try:
        proven = proof.plain and proof.event == frame.event and loads(proof.data or b"") == value
    except WireError:
        return None
    return made if proven else None
