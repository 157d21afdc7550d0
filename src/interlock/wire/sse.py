"""Server-sent events, incrementally: any split of the bytes gives the same frames.

A frame keeps its raw bytes. It is `plain` if every reader takes it the same way: at most one event line, one data line,
one kind of line end. What is not plain is never passed on as it came; comments are not either, since a reader that
splits lines elsewhere than the standard does would see events in them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from interlock.wire.errors import SseError

MAX_EVENT = 16_000_000  # bytes of one event
_SMALL = 65_536  # bytes that may be copied for each piece
_BOM = b"\xef\xbb\xbf"
_LINE = re.compile(rb"\r\n|\n|\r")
_BLANK = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n))")


class Frame(NamedTuple):
    """One event with its blank line. `data` is None if it has none: a comment, or fields without data."""

    raw: bytes
    event: bytes
    data: bytes | None
    plain: bool


class Parser:
    """Turns bytes into frames."""

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._seen = 0  # bytes of the rest in which no frame ends
        self._begun = False

    @property
    def between(self) -> bool:
        """Whether what comes next begins an event, as far as has been seen."""
        return self._begun and not self._rest

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames that are whole now.

        Raises:
            SseError: an event is too large.
        """
        rest = self._rest
        if self._begun and len(rest) < _SMALL and b"\r" not in chunk and b"\r" not in rest:
            whole = bytes(rest) + chunk
            if end := whole.rfind(b"\n\n") + 1:
                rest[:] = whole[end + 1 :]
                self._seen = max(0, len(rest) - 4)
                self._check()
                return [frame_of(raw + b"\n\n") for part in whole[:end].split(b"\n\n") if (raw := part.strip(b"\n"))]
        rest += chunk
        if not self._begun:
            if len(rest) < len(_BOM) and _BOM.startswith(bytes(rest)):
                return []
            self._begun = True
            if rest.startswith(_BOM):
                del rest[:3]
        frames = []
        start = 0
        # The last byte of a CR may be half a line end.
        end = len(rest) - rest.endswith(b"\r")
        while True:
            while start < end and rest[start] in b"\r\n":  # blank lines between frames
                start += 1
            if (blank := _BLANK.search(rest, max(start, self._seen), end)) is None:
                break
            frames.append(frame_of(bytes(rest[start : blank.end()])))
            start = blank.end()
            self._seen = 0
        del rest[:start]
        self._seen = max(0, len(rest) - 4)
        self._check()
        return frames

    def _check(self) -> None:
        if len(self._rest) > self._limit:
            raise SseError(f"an event of the stream has more than {self._limit} bytes")

    def end(self) -> list[Frame]:
        """The last frame, if only the second half of a line end was awaited. A frame without its blank line is none."""
        rest, self._rest = bytes(self._rest), bytearray()
        return [frame_of(rest)] if rest.endswith(b"\r") and _BLANK.search(rest) else []


def frame_of(raw: bytes) -> Frame:
    """The frame in `raw`, which ends with its blank line."""
    lines = raw.count(b"\n")
    if b"\r" not in raw:
        if raw.startswith(b"data: ") and lines == 2:  # noqa: PLR2004 - one line and the blank one
            return Frame(raw, b"", raw[6:-2], True)  # noqa: FBT003
        if raw.startswith(b"event: ") and lines == 3:  # noqa: PLR2004
            first = raw.index(b"\n")
            if raw.startswith(b"data: ", first + 1):
                return Frame(raw, raw[7:first], raw[first + 7 : -2], True)  # noqa: FBT003
    return _any_frame(raw)


def _any_frame(raw: bytes) -> Frame:
    event, data, names = b"", [], []
    for line in _LINE.split(raw):
        if not line:
            continue
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        names.append(name)
        if name == b"event":
            event = value
        elif name == b"data":
            data.append(value)
    ends = set(_LINE.findall(raw))
    plain = names in ([b"data"], [b"event", b"data"]) and len(ends) == 1 and b"\r" not in ends
    return Frame(raw, event, b"\n".join(data) if data else None, plain)
