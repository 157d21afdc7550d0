"""Where a call can hide: what names it never reaches a client who is refused everything, whatever the split."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.testing.model import Reply, Use
from interlock.wire.anthropic import ANTHROPIC
from interlock.wire.format import Format
from interlock.wire.openai_chat import CHAT
from interlock.wire.openai_responses import RESPONSES
from tests.wire.driver import Seen, drive, no, opened, stream_of, yes

Case = dict[str, Any]
TABLE = tomllib.loads((Path(__file__).parents[1] / "corpora" / "wire.toml").read_text())
FORMATS = {"chat": CHAT, "anthropic": ANTHROPIC, "responses": RESPONSES}
CASES = [(name, case) for name in FORMATS for case in TABLE[name]]
IDS = [f"{name}-{case['id']}" for name, case in CASES]


def named(data: str) -> str:
    kind = data[data.index('"type":"') + 8 :].partition('"')[0]
    return f"event: {kind}\ndata: {data}\n\n"


def unescaped(raw: str) -> str:
    for escape, character in (("\\n", "\n"), ("\\r", "\r"), ("\\uFEFF", "\ufeff"), ("\\u2028", "\u2028")):
        raw = raw.replace(escape, character)
    return raw


def completed(name: str, frames: list[str]) -> list[str]:
    """`frames`, with what has begun in them ended, so that nothing is refused for being half."""
    values = [value for value in map(json.loads, frames) if "index" in value or "output_index" in value]
    if name == "anthropic":
        begun = [v["index"] for v in values if v["type"] == "content_block_start"]
        ended = [v["index"] for v in values if v["type"] == "content_block_stop"]
        more = [{"type": "content_block_stop", "index": at} for at in begun[len(ended) :]]
    else:
        ended = [v["output_index"] for v in values if v["type"] == "response.output_item.done"]
        more = [
            {"type": "response.output_item.done", "output_index": v["output_index"], "item": v["item"]}
            for v in values
            if v["type"] == "response.output_item.added" and v["output_index"] not in ended
        ]
    return [*frames, *(json.dumps(event, separators=(",", ":")) for event in more)]


def stream(name: str, case: Case) -> bytes:
    frames = case.get("frames", [])
    if name != "chat":
        frames = frames if case.get("half") else completed(name, frames)
    raw = unescaped(case.get("raw", ""))
    match name:
        case "chat" if raw:
            return raw.encode()
        case "chat":
            deltas = case.get("deltas", ())
            head = '{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
            finish = f'{head}{{}},"finish_reason":"{case.get("finish", "tool_calls")}"}}]}}'
            chunks = [f'{head}{delta},"finish_reason":null}}]}}' for delta in deltas]
            frames = [*chunks, finish] if deltas else [*frames, finish]
            return "".join(f"data: {data}\n\n" for data in [*frames, "[DONE]"]).encode()
        case "anthropic":
            start = (
                '{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"m",'
                f'"content":{case.get("start", "[]")},"usage":{{"input_tokens":1,"output_tokens":1}}}}}}'
            )
            delta = {"stop_reason": case.get("stop", "tool_use")}
            ends: list[Case] = [{"type": "message_delta", "delta": delta, "usage": {"output_tokens": 2}}]
            ends += [{"type": "message_stop"}]
        case _:
            kind = case.get("end", "response.completed")
            start = f'{{"type":"response.created","response":{{"id":"r","output":{case.get("created", "[]")}}}}}'
            output = [json.loads(item) for item in case.get("output", ())]
            ends = [{"type": kind, "response": {"id": "r", "status": kind[9:], "output": output}}]
    last = [json.dumps(end, separators=(",", ":")) for end in ends]
    events = map(named, [*frames, *last, *case.get("after", ())])
    return (named(start) + raw + "".join(events)).encode()


def check(case: Case, seen: Seen) -> None:
    plain = seen.out.decode().replace("\\u0065", "e").replace("\\u0061", "a")
    assert "evil" not in plain, "the client got the call"
    match case["expect"]:
        case "judge":
            assert any(
                call.name in {"evil", "", "shell", "local_shell", "apply_patch", "computer"} for call in seen.calls
            )
            assert not seen.problem
        case "refuse":
            assert seen.problem
        case _:
            assert not seen.problem
            assert not seen.calls


@pytest.mark.parametrize(("name", "case"), CASES, ids=IDS)
def test_a_hidden_call_never_gets_out(name: str, case: Case) -> None:
    fmt, raw = FORMATS[name], stream(name, case)
    check(case, drive(opened(fmt), [raw], no))
    check(case, drive(opened(fmt), [raw], no, late=True))
    check(case, drive(opened(fmt), [raw[at : at + 1] for at in range(len(raw))], no))


@pytest.mark.parametrize("case", TABLE["whole"], ids=lambda case: f"{case['format']}-{case['id']}")
def test_a_call_hidden_in_a_body_never_gets_out(case: Case) -> None:
    message = case.get("message", "")
    body = (
        case.get("body") or f'{{"id":"c","choices":[{{"index":0,"message":{message},"finish_reason":"tool_calls"}}]}}'
    )
    check(case, drive(opened(FORMATS[case["format"]], stream=False), [body.encode()], no))


@pytest.mark.parametrize(("name", "case"), CASES, ids=IDS)
def test_what_is_permitted_is_what_was_judged(name: str, case: Case) -> None:
    """With everything permitted, an independent reader finds in the client's stream the judged calls and no others."""
    seen = drive(opened(FORMATS[name]), [stream(name, case)], yes)
    judged = [call.name for call in seen.calls if call.arguments is not None]
    assert read_calls(FORMATS[name], seen) == (judged if case["expect"] == "judge" else [])


def read_calls(fmt: Format, seen: Seen) -> list[str]:
    names: dict[int, str] = {}
    for data in seen.data:
        for choice in data.get("choices", ()):
            delta = choice["delta"]
            for call in delta.get("tool_calls") or ():
                inner = call.get("function") or call.get("custom") or {}
                names[call["index"]] = names.get(call["index"], "") + (inner.get("name") or "")
            if delta.get("function_call"):
                names[0] = delta["function_call"]["name"]
        block = data.get("content_block") or {}
        if block.get("type") == "tool_use":
            names[data["index"]] = block["name"]
        if data.get("type") == "response.output_item.done" and "call_id" in data["item"]:
            item = data["item"]
            names[data["output_index"]] = item.get("name") or item["type"].removesuffix("_call")
    return [names[at] for at in sorted(names)]


@pytest.mark.parametrize(("name", "case"), CASES, ids=IDS)
def test_the_client_gets_a_stream_of_its_dialect(name: str, case: Case) -> None:
    for verdict in (no, yes):
        for block in drive(opened(FORMATS[name]), [stream(name, case)], verdict).out.decode().split("\n\n"):
            lines = [line for line in block.split("\n") if line and not line.startswith(":")]
            if [line.replace(" ", "") for line in lines] in ([], ["data:[DONE]"]):
                continue
            assert lines[-1].startswith("data:")
            value = json.loads(lines[-1][5:])
            assert lines[:-1] == ([] if name == "chat" else [f"event: {value['type']}"])


# Streams that a table does not foresee

KEYS = ["name", "function", "tool_calls", "id", "index", "type", "item", "delta", "content_block", "input", "arguments"]
KEYS += ["call_id", "output_index", "finish_reason", "output", "stop_reason", "partial_json", "choices", "response"]
NEW = ["Name", "functions", "toolCalls", "x", "NAME", "inputs", "__proto__", "message", "extra"]


@st.composite
def spoilt(draw: st.DrawFn, name: str) -> list[bytes]:
    """A stream with calls of `evil`, in which something has been dropped, doubled, moved, renamed or retyped."""
    reply = Reply("Well.", (Use("evil", {"a": 1}), Use("evil", {"b": [2]})))
    blocks = stream_of(FORMATS[name], reply).split(b"\n\n")[:-1]
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(blocks) - 1))
        match draw(st.sampled_from(["drop", "double", "move", "rename", "remove", "retype"])):
            case "drop":
                del blocks[at]
            case "double":
                blocks.insert(draw(st.integers(0, len(blocks))), blocks[at])
            case "move":
                blocks.insert(draw(st.integers(0, len(blocks) - 1)), blocks.pop(at))
            case what:
                blocks[at] = spoil(draw, blocks[at], what)
        if not blocks:
            break
    return [block + b"\n\n" for block in blocks]


def spoil(draw: st.DrawFn, block: bytes, what: str) -> bytes:
    head, _, data = block.rpartition(b"data: ")
    if data == b"[DONE]":
        return block
    value = json.loads(data)
    objects = [value]
    for item in objects:
        objects += [v for v in (item.values() if isinstance(item, dict) else item) if isinstance(v, dict | list)]
    places = [(item, key) for item in objects if isinstance(item, dict) for key in item if key in KEYS]
    if not places:
        return block
    item, key = draw(st.sampled_from(places))
    if what == "rename":
        item[draw(st.sampled_from(NEW))] = item.pop(key)
    elif what == "remove":
        del item[key]
    else:
        item[key] = draw(st.sampled_from([None, True, 0, -1, 1, [], {}, [item[key]], {"name": item[key]}]))
    return head + b"data: " + json.dumps(value).encode()


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_a_spoilt_stream_gives_nothing_away(name: str, data: st.DataObject) -> None:
    chunks = data.draw(spoilt(name))
    refused = drive(opened(FORMATS[name]), chunks, no)
    assert "evil" not in refused.out.decode()
    permitted = drive(opened(FORMATS[name]), chunks, yes)
    assert read_calls(FORMATS[name], permitted).count("evil") <= len([c for c in permitted.calls if c.name == "evil"])
