"""Requests: everything that the model reads is an event, what nobody sees into is refused, readings stand in their places."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from interlock.wire.anthropic import ANTHROPIC
from interlock.wire.errors import NotJson, ShapeError, WireError
from interlock.wire.events import Allowed, Asked, Opaque, Result, Words
from interlock.wire.format import Format
from interlock.wire.openai_chat import CHAT
from interlock.wire.openai_responses import RESPONSES
from interlock.wire.view import RequestView
from tests.wire.driver import request

FORMATS = {"chat": CHAT, "anthropic": ANTHROPIC, "responses": RESPONSES}
CASES = tomllib.loads((Path(__file__).parents[1] / "corpora" / "wire.toml").read_text())["request"]
NOTHING = Allowed()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['format']}-{case['id']}")
def test_what_can_be_read_in_two_ways_or_not_at_all_is_refused(case: dict[str, Any]) -> None:
    fmt = FORMATS[case["format"]]
    body = case["body"].encode() if "body" in case else request(fmt, **json.loads(case["with"]))
    if case["expect"] == "unreadable":
        with pytest.raises(WireError):
            fmt.read(body, NOTHING)
        return
    problems = {problem.code for problem in fmt.read(body, NOTHING).problems}
    assert problems == (set() if case["expect"] == "pass" else {case["expect"]})


@pytest.mark.parametrize("raw", [b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b'{"a":"\xff"}', b'{"a":"\x00"}'])
def test_other_encodings_are_refused(raw: bytes) -> None:
    for fmt in FORMATS.values():
        with pytest.raises(NotJson):
            fmt.read(raw, NOTHING)


def test_what_is_allowed_by_name_passes() -> None:
    allowed = Allowed(
        hosted=frozenset({"web_search", "mcp"}),
        state=frozenset({"previous_response_id"}),
        fields=frozenset({"plugins", "tool_reference"}),
    )
    bodies: list[tuple[Format, dict[str, Any]]] = [
        (CHAT, {"web_search_options": {}, "plugins": [{"id": "x"}]}),
        (RESPONSES, {"tools": [{"type": "mcp", "server_label": "x"}], "previous_response_id": "r"}),
        (ANTHROPIC, {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
    ]
    for fmt, more in bodies:
        view = fmt.read(request(fmt, **more), allowed)
        assert not view.problems
        assert view.hosted or view.state


CHAT_BODY: dict[str, Any] = {
    "model": "m",
    "max_tokens": 50,
    "messages": [
        {"role": "system", "content": "You help."},
        {"role": "user", "content": [{"type": "text", "text": "Look:"}, {"type": "image_url", "image_url": {"url": "https://x.example/i.png"}}]},
        {"role": "assistant", "content": "Yes.", "reasoning_content": "hm", "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "find", "arguments": '{"q": 1}'}},
            {"id": "b", "type": "custom", "custom": {"name": "note", "input": "free text"}},
            {"id": "c", "type": "function", "function": {"name": "bad", "arguments": '{"q": 1, "q": 2}'}},
        ]},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "noted"}]},
        {"role": "tool", "tool_call_id": "a", "content": "a page"},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "one"}, {"type": "image_url", "image_url": {"url": "data:"}}]},
        {"role": "assistant", "function_call": {"name": "old", "arguments": "{}"}, "content": None},
        {"role": "function", "name": "old", "content": "old page"},
        {"role": "tool", "tool_call_id": "nobody", "content": "stray"},
    ],
    "tools": [{"type": "function", "function": {"name": "find", "description": "d", "parameters": {"type": "object"}}}],
}  # fmt: skip
ANTHROPIC_BODY = {
    "model": "m",
    "max_tokens": 50,
    "system": [{"type": "text", "text": "You help.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "Look:"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
            {"type": "document", "title": "T", "context": "C", "source": {"type": "text", "media_type": "text/plain", "data": "a plain page"}},
            {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "inner"}]}},
            {"type": "search_result", "title": "S", "source": "https://s.example", "content": [{"type": "text", "text": "hit"}]},
        ]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "redacted_thinking", "data": "x"},
            {"type": "tool_use", "id": "a", "name": "find", "input": {"q": 1}},
            {"type": "tool_use", "id": "b", "name": "look", "input": {}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "a", "content": "a page", "is_error": True},
            {"type": "tool_result", "tool_use_id": "b", "content": [
                {"type": "text", "text": "one"},
                {"type": "image", "source": {"type": "url", "url": "https://x.example/i"}},
                {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "two"}},
                {"type": "search_result", "title": "S", "source": "https://s.example", "content": [{"type": "text", "text": "hit"}]},
            ]},
            {"type": "tool_result", "tool_use_id": "stray"},
        ]},
        {"role": "user", "content": "and now?"},
    ],
    "tools": [{"name": "find", "input_schema": {"type": "object"}}, {"type": "bash_20250124", "name": "bash"}],
}  # fmt: skip
RESPONSES_BODY = {
    "model": "m",
    "max_output_tokens": 50,
    "instructions": "You help.",
    "input": [
        {"role": "user", "content": "Hello"},
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Briefly."}]},
        {"role": "user", "content": [{"type": "input_file", "file_data": "AAAA", "filename": None}]},
        {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "x"},
        {"type": "message", "id": "msg", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "Yes.", "annotations": []}]},
        {"type": "function_call", "id": "fc", "call_id": "a", "name": "find", "arguments": '{"q": 1}'},
        {"type": "custom_tool_call", "call_id": "b", "name": "note", "input": "free"},
        {"type": "local_shell_call", "id": "c", "call_id": "c", "action": {"type": "exec", "command": ["ls"], "env": {}}, "status": "completed"},
        {"type": "shell_call", "call_id": "d", "action": {"commands": ["ls"]}},
        {"type": "apply_patch_call", "call_id": "e", "operation": {"type": "delete_file", "path": "x"}, "status": "completed"},
        {"type": "computer_call", "id": "f", "call_id": "f", "action": {"type": "screenshot"}, "pending_safety_checks": [], "status": "completed"},
        {"type": "function_call_output", "call_id": "a", "output": "a page"},
        {"type": "custom_tool_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "noted"}, {"type": "input_image", "image_url": "data:"}]},
        {"type": "local_shell_call_output", "id": "c", "output": "files"},
        {"type": "shell_call_output", "call_id": "d", "output": [{"stdout": "out", "stderr": "err", "outcome": {"type": "exit", "exit_code": 0}}]},
        {"type": "apply_patch_call_output", "call_id": "e", "status": "failed", "output": "no such file"},
        {"type": "computer_call_output", "call_id": "f", "output": {"type": "computer_screenshot", "image_url": "data:"}},
    ],
    "tools": [{"type": "function", "name": "find", "parameters": {"type": "object"}, "strict": True}, {"type": "local_shell"}],
}  # fmt: skip
BODIES: list[tuple[Format, dict[str, Any]]] = [
    (CHAT, CHAT_BODY),
    (ANTHROPIC, ANTHROPIC_BODY),
    (RESPONSES, RESPONSES_BODY),
]
every_body = pytest.mark.parametrize(("fmt", "value"), BODIES, ids=[f.name for f, _ in BODIES])


def read(fmt: Format, value: object) -> RequestView:
    return fmt.read(json.dumps(value).encode(), NOTHING)


def place(value: Any, at: tuple[str | int, ...]) -> Any:
    for key in at:
        value = value[key]
    return value


def test_chat_says_everything() -> None:
    view = read(CHAT, CHAT_BODY)
    assert not view.problems
    assert [(e.role, e.text) for e in view.events if isinstance(e, Words)] == [
        ("system", "You help."), ("user", "Look:"), ("assistant", "hm"), ("assistant", "Yes."),
    ]  # fmt: skip
    assert [(e.id, e.name, e.arguments) for e in view.events if isinstance(e, Asked)] == [
        ("a", "find", {"q": 1}), ("b", "note", {"input": "free text"}), ("c", "bad", None), ("", "old", {}),
    ]  # fmt: skip
    results = [e for e in view.events if isinstance(e, Result)]
    assert [(r.name, r.asked >= 0) for r in results] == [
        ("note", True), ("find", True), ("bad", True), ("old", True), ("", False),
    ]  # fmt: skip
    assert results[0].content == "noted"
    assert isinstance(results[2].content, list)
    assert [type(part) for part in results[2].content] == [str, dict]
    assert [e.kind for e in view.events if isinstance(e, Opaque)] == ["image"]
    assert [(t.name, t.kind) for t in view.tools] == [("find", "function")]
    assert (view.model, view.n, view.limit, view.stream) == ("m", 1, 50, False)


def test_anthropic_says_everything() -> None:
    view = read(ANTHROPIC, ANTHROPIC_BODY)
    assert not view.problems
    assert [(e.role, e.text) for e in view.events if isinstance(e, Words)] == [
        ("system", "You help."), ("user", "Look:"),
        ("document", "T"), ("document", "C"), ("document", "a plain page"), ("document", "inner"),
        ("document", "S"), ("document", "https://s.example"), ("document", "hit"),
        ("assistant", "hm"), ("user", "and now?"),
    ]  # fmt: skip
    results = [e for e in view.events if isinstance(e, Result)]
    assert [(r.name, r.failed) for r in results] == [("find", True), ("look", False), ("", False)]
    assert isinstance(results[1].content, list)
    assert [part for part in results[1].content if isinstance(part, str)] == [
        "one", "T", "two", "S", "https://s.example", "hit",
    ]  # fmt: skip
    assert [e.kind for e in view.events if isinstance(e, Opaque)] == ["image", "reasoning"]
    assert [(t.name, t.kind) for t in view.tools] == [("find", "function"), ("bash", "bash_20250124")]


def test_responses_says_everything() -> None:
    view = read(RESPONSES, RESPONSES_BODY)
    assert not view.problems
    assert [(e.role, e.text) for e in view.events if isinstance(e, Words)] == [
        ("system", "You help."), ("user", "Hello"), ("system", "Briefly."), ("assistant", "hm"), ("assistant", "Yes."),
    ]  # fmt: skip
    names = ["find", "note", "local_shell", "shell", "apply_patch", "computer"]
    assert [e.name for e in view.events if isinstance(e, Asked)] == names
    results = [e for e in view.events if isinstance(e, Result)]
    assert [r.name for r in results] == names
    assert [r.failed for r in results] == [False, False, False, False, True, False]
    assert results[3].content == ["out", "err"]
    assert view.state == ("store",)


@every_body
def test_an_untouched_request_goes_on_byte_for_byte(fmt: Format, value: Any) -> None:
    body = b"\n " + json.dumps(value, indent=3).encode()
    view = fmt.read(body, NOTHING)
    readings = {at: getattr(e, "text", getattr(e, "content", None)) for at, e in enumerate(view.events)}
    assert view.rewrite({}) is view.body
    assert view.rewrite({at: r for at, r in readings.items() if r is not None}) == body


@every_body
def test_every_text_can_be_read_otherwise(fmt: Format, value: Any) -> None:
    """All words, results and opaque parts are replaced, one by one and together: nothing else changes."""
    view = read(fmt, value)
    readings: dict[int, Any] = {}
    for at, event in enumerate(view.events):
        match event:
            case Words():
                readings[at] = f"reading {at}"
            case Result(content=list() as parts):
                readings[at] = [f"reading {at}.{i}" for i in range(len(parts))]
            case Result():
                readings[at] = f"reading {at}"
            case _:
                pass
    again = fmt.read(view.rewrite(readings, system="Mind the marks."), NOTHING)
    assert not again.problems
    whole = json.dumps(json.loads(again.body))
    for event in view.events:
        for text in [event.text] if isinstance(event, Words) else []:
            if len(text) > 3:
                assert json.dumps(text)[1:-1] not in whole
        if isinstance(event, Result):
            for piece in event.content if isinstance(event.content, list) else [event.content]:
                if isinstance(piece, str) and len(piece) > 3:
                    assert json.dumps(piece)[1:-1] not in whole
    assert "Mind the marks." in whole
    assert [type(e).__name__ for e in again.events if not isinstance(e, Opaque)][-1] == [
        type(e).__name__ for e in view.events if not isinstance(e, Opaque)
    ][-1]
    for at, reading in readings.items():
        alone = json.loads(view.rewrite({at: reading}))
        event = view.events[at]
        if isinstance(event, Words):
            assert place(alone, event.at) == reading
        elif isinstance(event, Result) and isinstance(reading, str):
            assert place(alone, event.parts[0]) == reading or place(alone, event.at) == reading


def test_opaque_parts_give_way_to_text() -> None:
    view = read(CHAT, CHAT_BODY)
    (image,) = (at for at, e in enumerate(view.events) if isinstance(e, Opaque))
    value = json.loads(view.rewrite({image: "[image removed]"}))
    assert value["messages"][1]["content"][1] == {"type": "text", "text": "[image removed]"}
    (mixed,) = (at for at, e in enumerate(view.events) if isinstance(e, Result) and e.name == "bad")
    content = view.events[mixed].content  # type: ignore[union-attr]
    value = json.loads(view.rewrite({mixed: ["clean", content[1]]}))  # type: ignore[index]
    assert value["messages"][5]["content"] == [
        {"type": "text", "text": "clean"},
        CHAT_BODY["messages"][5]["content"][1],
    ]
    value = json.loads(view.rewrite({mixed: "one text"}))
    assert value["messages"][5]["content"] == "one text"


def test_a_reading_that_does_not_fit_is_refused() -> None:
    view = read(CHAT, CHAT_BODY)
    (mixed,) = (at for at, e in enumerate(view.events) if isinstance(e, Result) and e.name == "bad")
    for reading in (["only one"], {"a": 1}, None, [None, None]):
        with pytest.raises(ShapeError):
            view.rewrite({mixed: reading})  # type: ignore[dict-item]


@every_body
def test_the_systems_words_come_last_of_the_systems(fmt: Format, value: Any) -> None:
    for body in (value, {k: v for k, v in value.items() if k not in {"system", "instructions"}}):
        view = fmt.read(read(fmt, body).rewrite({}, system="Mind the marks."), NOTHING)
        assert not view.problems
        said = [e.text for e in view.events if isinstance(e, Words) and e.role == "system"]
        assert any(text.endswith("Mind the marks.") for text in said)


def test_digests_tell_opaque_parts_apart() -> None:
    def digest(data: str) -> str:
        part = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
        view = read(ANTHROPIC, {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": [part]}]})
        (event,) = view.events
        assert isinstance(event, Opaque)
        return event.digest

    assert digest("AAAA") == digest("AAAA") != digest("AAAB")
