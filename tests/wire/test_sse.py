"""Server-sent events: any split of the bytes gives the same frames; a second reader, written from the standard, agrees."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.wire.errors import SseError
from interlock.wire.sse import Frame, Parser

PIECES = [
    "data: a",
    "data:b",
    "data",
    "data: é\u2028",
    "event: x",
    "event:",
    "id: 1",
    "retry: 2",
    ": c",
    "x",
    "\ufeff",
    " ",
]
ENDS = ["\n", "\r\n", "\r", "\n\n", "\r\r", "\r\n\r\n", "\n\r\n"]
streams = st.lists(st.sampled_from(PIECES + ENDS * 2), max_size=25).map(lambda p: "".join(p).encode())


def frames(chunks: list[bytes]) -> list[Frame]:
    parser = Parser()
    return [frame for chunk in chunks for frame in parser.feed(chunk)] + parser.end()


def by_the_standard(raw: bytes) -> list[tuple[bytes, bytes | None]]:
    """Event names and data, read slowly: blank lines end events, a last event without one is none."""
    found: list[tuple[bytes, bytes | None]] = []
    data: list[bytes] = []
    event, seen = b"", False
    *lines, _ = re.split(rb"\r\n|\n|\r", raw.removeprefix(b"\xef\xbb\xbf"))
    for line in lines:
        if not line:
            if seen:
                found.append((event, b"\n".join(data) if data else None))
            event, data, seen = b"", [], False
            continue
        seen = True
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            event = value
        if name == b"data":
            data.append(value)
    return found


@given(streams)
def test_it_reads_what_the_standard_says(raw: bytes) -> None:
    assert [(frame.event, frame.data) for frame in frames([raw])] == by_the_standard(raw)


@given(streams, st.lists(st.integers(0, 200), max_size=6))
def test_any_split_gives_the_same_frames(raw: bytes, cuts: list[int]) -> None:
    cuts = sorted(min(cut, len(raw)) for cut in cuts)
    chunks = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert frames(chunks) == frames([raw])
    assert frames([raw[at : at + 1] for at in range(len(raw))]) == frames([raw])


@given(streams)
def test_plain_frames_are_read_alike_line_by_line(raw: bytes) -> None:
    for frame in frames([raw]):
        if frame.plain:
            lines = [line for line in frame.raw.splitlines() if line]
            assert len(lines) == (2 if lines[0].startswith(b"event") else 1)
            assert lines[-1].startswith(b"data")


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        (b"data: x\n\n", True),
        (b"data:x\n\n", True),
        (b"data: x\r\n\r\n", True),
        (b"event: e\ndata: x\n\n", True),
        (b"event: e\r\ndata: x\r\n\r\n", True),
        (b"data: x\r\r", False),
        (b"data: x\n\r\n", False),
        (b"data: x\ndata: y\n\n", False),
        (b"data: x\nevent: e\n\n", False),
        (b": c\ndata: x\n\n", False),
        (b"id: 1\ndata: x\n\n", False),
        (b"event: e\nevent: f\ndata: x\n\n", False),
    ],
)
def test_what_is_plain(raw: bytes, plain: bool) -> None:
    (frame,) = frames([raw])
    assert frame.plain is plain
    assert frame.raw == raw


def test_an_event_is_bounded() -> None:
    parser = Parser(limit=100)
    parser.feed(b"data: " + b"x" * 50)
    with pytest.raises(SseError):
        parser.feed(b"x" * 100)
    assert Parser(limit=100).feed(b"data: x\n\n" * 100), "the bound is for one event, not for all"


def test_a_long_event_in_small_pieces_is_read_in_linear_time() -> None:
    parser = Parser()
    for _ in range(200_000):
        assert not parser.feed(b"xxxxxxxxxx")
    assert parser.feed(b"\n\n")
