"""Events that say more of one text: read by their mould or in full, the client gets the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.wire.anthropic import ANTHROPIC
from interlock.wire.format import Format
from interlock.wire.mould import mould
from interlock.wire.openai_chat import CHAT
from interlock.wire.openai_responses import RESPONSES
from interlock.wire.sse import frame_of
from interlock.wire.steps import Emit, Step, Texts
from tests.wire.driver import opened
from tests.wire.test_streams import Redactor

every_format = pytest.mark.parametrize("fmt", [CHAT, RESPONSES, ANTHROPIC], ids=lambda f: f.name)

WORDS = [
    "word",
    " word",
    "w",
    "geheim",
    "Grüße",
    "\n",
    '"',
    "\\",
    "\u2028",
    "\x85",
    "\xa0",
    "\x7f",
    "😀",
    "\u200d",
    "null",
]
pieces = st.lists(st.text(st.sampled_from("ab {[:,geheim")) | st.sampled_from(WORDS), max_size=25)
manners = st.fixed_dictionaries(
    {
        "ascii": st.booleans(),
        "spaces": st.booleans(),
        "padded": st.booleans(),
        "role": st.booleans(),
        "ends": st.booleans(),
    }
)


def written(value: dict[str, Any], manner: dict[str, bool]) -> bytes:
    separators = (", ", ": ") if manner["spaces"] else (",", ":")
    return json.dumps(value, ensure_ascii=manner["ascii"], separators=separators).encode()


def events(fmt: Format, said: list[str], manner: dict[str, bool]) -> list[dict[str, Any]]:
    """An answer that says `said`, piece by piece: a thought first, then the text."""
    half = len(said) // 2
    parts = [(said[:half], True), (said[half:], False)]
    found: list[dict[str, Any]] = []
    if fmt is CHAT:
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        for texts, thought in parts:
            for text in texts:
                delta: dict[str, Any] = {"reasoning" if thought else "content": text}
                if manner["role"]:
                    delta["role"] = "assistant"
                found.append(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        found.append(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    elif fmt is ANTHROPIC:
        usage = {"input_tokens": 1, "output_tokens": 1}
        message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage}
        found.append({"type": "message_start", "message": message | {"stop_reason": None, "stop_sequence": None}})
        for index, (texts, thought) in enumerate(parts):
            kind = "thinking" if thought else "text"
            found.append({"type": "content_block_start", "index": index, "content_block": {"type": kind, kind: ""}})
            for text in texts:
                delta = {"type": f"{kind}_delta", kind: text}
                found.append({"type": "content_block_delta", "index": index, "delta": delta})
            found.append({"type": "content_block_stop", "index": index})
        found.append({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}})
        found.append({"type": "message_stop"})
    else:
        response = {"id": "r", "object": "response", "created_at": 1, "status": "in_progress", "output": []}
        found.append({"type": "response.created", "response": response})
        item: dict[str, Any] = {
            "id": "msg",
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        found.append({"type": "response.output_item.added", "output_index": 0, "item": item})
        where = {"item_id": "msg", "output_index": 0, "content_index": 0}
        part = {"type": "output_text", "text": "", "annotations": []}
        found.append({"type": "response.content_part.added", "part": part} | where)
        found += [{"type": "response.output_text.delta", "delta": text} | where for text in said]
        whole = part | {"text": "".join(said)}
        found.append({"type": "response.output_text.done", "text": "".join(said)} | where)
        found.append({"type": "response.content_part.done", "part": whole} | where)
        item = item | {"status": "completed", "content": [whole]}
        found.append({"type": "response.output_item.done", "output_index": 0, "item": item})
        found.append({"type": "response.completed", "response": response | {"status": "completed", "output": [item]}})
        for number, event in enumerate(found):
            event["sequence_number"] = number
    return found


def stream(fmt: Format, said: list[str], manner: dict[str, bool]) -> list[bytes]:
    end = b"\r\n" if manner["ends"] else b"\n"
    found = []
    for number, event in enumerate(events(fmt, said, manner)):
        if manner["padded"] and fmt is not ANTHROPIC:
            event["obfuscation"] = "x" * (number % 7)
        name = b"" if fmt is CHAT else b"event: " + event["type"].encode() + end
        padding = b" " * (number % 3) if manner["padded"] and fmt is ANTHROPIC else b""
        found.append(name + b"data: " + written(event, manner) + padding + end + end)
    if fmt is CHAT:
        found.append(b"data: [DONE]" + end + end)
    return found


def told(fmt: Format, frames: list[bytes], texts: Texts | None, *, tries: int | None = None) -> list[tuple[bytes, Any]]:
    """What the client gets, event by event; `tries` 0: everything is read in full."""
    machine = opened(fmt, texts=texts)
    if tries is not None:
        machine._tries = tries  # type: ignore[attr-defined]
    steps: list[Step] = [step for frame in frames for step in machine.feed(frame)] + machine.end()
    assert machine.finished
    assert all(isinstance(step, Emit) for step in steps)
    found = []
    for step in steps:
        for block in step.data.replace(b"\r\n", b"\n").split(b"\n\n"):  # type: ignore[union-attr]
            frame = frame_of(block + b"\n\n")
            found.append(
                (frame.event, frame.data if frame.data in {None, b"[DONE]"} else json.loads(frame.data or b""))
            )
    return found


@every_format
@settings(max_examples=150, deadline=None)
@given(said=pieces, manner=manners, guarded=st.booleans())
def test_moulds_change_nothing(fmt: Format, said: list[str], manner: dict[str, bool], guarded: bool) -> None:
    frames = stream(fmt, said, manner)
    short = told(fmt, frames, Redactor() if guarded else None)
    assert short == told(fmt, frames, Redactor() if guarded else None, tries=0)


@every_format
@pytest.mark.parametrize("padded", [False, True])
def test_most_events_of_a_stream_are_not_read_in_full(
    fmt: Format, padded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    manner = {"ascii": False, "spaces": False, "padded": padded and fmt is not ANTHROPIC, "role": False, "ends": False}
    machine = opened(fmt, texts=Redactor())
    full: list[bytes] = []
    kind = type(machine)
    read = kind._frame  # type: ignore[attr-defined]

    def counted(self: Any, frame: Any, data: bytes) -> None:
        full.append(data)
        read(self, frame, data)

    monkeypatch.setattr(kind, "_frame", counted)
    for frame in stream(fmt, [f"word{n} " for n in range(100)], manner):
        machine.feed(frame)
    assert len(full) < 15


TEXT = b'data: {"id":"c","choices":[{"delta":{"content":"word"}}],"n":7}\n\n'
AT = ("choices", 0, "delta", "content")


@pytest.mark.parametrize(
    "raw",
    [
        TEXT.replace(b"word", b'x"},"y":{"content":"'),  # ends the string
        TEXT.replace(b"word", b"x\\"),
        TEXT.replace(b"word", b"x\n"),
        TEXT.replace(b"word", b"x\x00"),
        TEXT.replace(b"word", b"x\x7f"),
        TEXT.replace(b"word", b"\xff"),
        TEXT.replace(b"word", "\u2028".encode()),
        TEXT.replace(b"word", "\u0085".encode()),
        TEXT.replace(b"word", b"\xed\xa0\x80"),  # a lone surrogate
        TEXT.replace(b"7", b"07"),
        TEXT.replace(b"7", b"-7"),
        TEXT.replace(b"7", b"7.0"),
        TEXT.replace(b"7", b""),
        TEXT.replace(b"7", b"1234567890123456"),
        TEXT.replace(b'"n"', b'"m"'),
        TEXT + b"\n",
        b"\n" + TEXT,
        TEXT[:-1],
        b"event: x\n" + TEXT,
    ],
)
def test_what_could_mean_more_does_not_fit(raw: bytes) -> None:
    made = mould(frame_of(TEXT), AT, ("n",))
    assert made is not None
    assert made.fit(raw) is None


@given(st.binary(max_size=30), st.binary(max_size=5))
def test_what_fits_is_what_a_reader_reads(word: bytes, number: bytes) -> None:
    made = mould(frame_of(TEXT), AT, ("n",))
    assert made is not None
    raw = TEXT.replace(b"word", word).replace(b"7", number)
    fitting = made.fit(raw)
    if fitting is not None:
        text, holes = fitting
        frame = frame_of(raw)
        assert frame.plain
        assert json.loads(frame.data or b"") == {
            "id": "c",
            "choices": [{"delta": {"content": text}}],
            "n": made.number(holes),
        }
        assert made.fill(holes, text) == raw
        other = json.loads(frame_of(made.fill(holes, 'a"\n', 3)).data or b"")
        assert other == {"id": "c", "choices": [{"delta": {"content": 'a"\n'}}], "n": 3}


@pytest.mark.parametrize(
    "raw",
    [
        TEXT.replace(b"word", b"\\u0041"),
        TEXT.replace(b'"content":"word"', b'"content": "word"'),
        TEXT.replace(b'"n":7', b'"n":7,"x":{"content":"word"}'),  # which of the two?
        b": c\n" + TEXT,
    ],
)
def test_what_cannot_be_proven_has_no_mould(raw: bytes) -> None:
    assert mould(frame_of(raw), AT, ("n",)) is None
