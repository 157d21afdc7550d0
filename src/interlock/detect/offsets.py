"""Where the characters of a rewritten text stand in the text that was given."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

# A part of the new text: its start there, its range in the old text, and how the two agree: 1 character by character,
# -1 the same backwards, 0 the part as a whole stands for the range as a whole.
Piece: TypeAlias = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Offsets:
    """A map from ranges of the new text to ranges of the old one, and on through `under` to the raw text."""

    size: int  # of the new text
    pieces: tuple[Piece, ...]
    under: Offsets | None = None
    starts: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "starts", tuple(piece[0] for piece in self.pieces))

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The raw range that the new text's [start, end) came from; the smallest one that the map can tell."""
        start, end = max(0, min(start, self.size)), max(0, min(end, self.size))
        if not self.pieces:
            found = (0, 0)
        elif start >= end:
            at = self._one(min(start, self.size - 1))
            found = (at[1], at[1]) if start == self.size else (at[0], at[0])
        else:
            found = self._range(start, end)
        return self.under.span(*found) if self.under else found

    def _range(self, start: int, end: int) -> tuple[int, int]:
        first, last = bisect_right(self.starts, start) - 1, bisect_right(self.starts, end - 1) - 1
        edges = [*self._one(start), *self._one(end - 1)]
        if any(self.pieces[i][3] < 0 for i in (first, last)):  # backwards: the ends of a piece are its middle's borders
            for place in range(first + 1, last):
                edges += self.pieces[place][1:3]
            if first != last:
                edges += [*self._one(self._end(first) - 1), *self._one(self.starts[last])]
        return min(edges), max(edges)

    def _end(self, place: int) -> int:
        return self.starts[place + 1] if place + 1 < len(self.starts) else self.size

    def _one(self, at: int) -> tuple[int, int]:
        place = bisect_right(self.starts, at) - 1
        new, start, end, step = self.pieces[place]
        if step > 0:
            return start + at - new, start + at - new + 1
        if step < 0:
            return end - (at - new) - 1, end - (at - new)
        return start, end


def identity(size: int, under: Offsets | None = None) -> Offsets:
    """Every character stands where it stood."""
    return Offsets(size, ((0, 0, size, 1),) if size else (), under)


class Rewriting:
    """Puts a new text together, and remembers where its parts came from."""

    def __init__(self, old: str) -> None:
        self._old = old
        self._parts: list[str] = []
        self._pieces: list[Piece] = []
        self._size = 0

    def keep(self, start: int, end: int) -> None:
        """The old text's [start, end), as it is."""
        self.put(self._old[start:end], start, end, step=1)

    def put(self, text: str, start: int, end: int, *, step: int = 0) -> None:
        """`text` in place of [start, end); with `step` 1 or -1 both are equally long."""
        if not text:
            return
        if not step and len(text) == 1 == end - start:
            step = 1
        self._parts.append(text)
        before = self._pieces[-1] if self._pieces else None
        # A straight piece grows when the next one goes on where it ended, here and there.
        if not (
            step == 1
            and before
            and before[3] == 1
            and before[2] == start
            and self._size - before[0] == start - before[1]
        ):
            self._pieces.append((self._size, start, end, step))
        else:
            self._pieces[-1] = (before[0], before[1], end, 1)
        self._size += len(text)

    def done(self, under: Offsets | None = None) -> tuple[str, Offsets]:
        """The new text and its map."""
        return "".join(self._parts), Offsets(self._size, tuple(self._pieces), under)


def rewrite(text: str, edits: Iterable[tuple[int, int, str]], under: Offsets | None = None) -> tuple[str, Offsets]:
    """`text` with each [start, end) replaced; the edits are in order and do not overlap."""
    made = Rewriting(text)
    at = 0
    for start, end, new in edits:
        made.keep(at, start)
        made.put(new, start, end)
        at = end
    made.keep(at, len(text))
    return made.done(under)
