"""Answers of providers, byte by byte, in three dialects: the honest shapes, and every shape in which a call can hide.

`Part`s are what an answer holds; `plain` and `stream` write them as the vendors do. `hidden` holds the other shapes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from zlib import crc32

Dialect: TypeAlias = Literal["chat", "responses", "anthropic"]
DIALECTS: tuple[Dialect, ...] = ("chat", "responses", "anthropic")
PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "anthropic": "/v1/messages"}


@dataclass(frozen=True, slots=True)
class Text:
    """Words of the model."""

    text: str


@dataclass(frozen=True, slots=True)
class Use:
    """A call of the model."""

    name: str
    arguments: Mapping[str, Any]
    id: str = "call_1"

    @property
    def json(self) -> str:
        return json.dumps(dict(self.arguments), ensure_ascii=False)


Part: TypeAlias = Text | Use


def sse(*objects: Any, event: bool = False) -> bytes:
    """Frames of a stream."""
    return b"".join(
        (f"event: {o['type']}\n" if event else "").encode() + b"data: " + json.dumps(o).encode() + b"\n\n"
        for o in objects
    )


def pieces(text: str, size: int = 7) -> list[str]:
    return [text[i : i + size] for i in range(0, len(text), size)] or [""]


# Chat Completions


def chat_chunk(delta: Mapping[str, Any], *, finish: str | None = None, index: int = 0) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": index, "delta": dict(delta), "finish_reason": finish}],
    }


def chat_call(use: Use, index: int | None = None) -> dict[str, Any]:
    call: dict[str, Any] = {"id": use.id, "type": "function", "function": {"name": use.name, "arguments": use.json}}
    return call if index is None else {"index": index, **call}


def chat_deltas(parts: Iterable[Part], index: int = 0) -> Iterator[dict[str, Any]]:
    yield chat_chunk({"role": "assistant", "content": ""}, index=index)
    number = 0
    for part in parts:
        match part:
            case Text(text):
                for piece in pieces(text):
                    yield chat_chunk({"content": piece}, index=index)
            case Use():
                head = chat_call(part, number)
                head["function"] = {"name": part.name, "arguments": ""}
                yield chat_chunk({"tool_calls": [head]}, index=index)
                for piece in pieces(part.json):
                    yield chat_chunk({"tool_calls": [{"index": number, "function": {"arguments": piece}}]}, index=index)
                number += 1
    yield chat_chunk({}, finish="tool_calls" if number else "stop", index=index)


def chat_message(parts: Iterable[Part]) -> dict[str, Any]:
    parts = list(parts)
    calls = [chat_call(p) for p in parts if isinstance(p, Use)]
    text = "".join(p.text for p in parts if isinstance(p, Text))
    return {"role": "assistant", "content": text or None} | ({"tool_calls": calls} if calls else {})


def chat_body(*choices: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": i,
                "message": dict(message),
                "finish_reason": "tool_calls" if message.get("tool_calls") else "stop",
            }
            for i, message in enumerate(choices)
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


# Responses


def _id(kind: str, number: int, text: str) -> str:
    """A provider never gives two things one id."""
    return f"{kind}_{number}_{crc32(text.encode()):08x}"


def response_item(part: Part, number: int, *, empty: bool = False) -> dict[str, Any]:
    match part:
        case Text(text):
            content = [] if empty else [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
            status = "in_progress" if empty else "completed"
            return {
                "type": "message",
                "id": _id("msg", number, text),
                "status": status,
                "role": "assistant",
                "content": content,
            }
        case Use():
            return {
                "type": "function_call",
                "id": _id("fc", number, part.json),
                "call_id": part.id,
                "name": part.name,
                "arguments": "" if empty else part.json,
                "status": "in_progress" if empty else "completed",
            }


def response(output: Iterable[Mapping[str, Any]], status: str = "completed") -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": "m",
        "output": [dict(o) for o in output],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": 10,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 15,
        },
    }


def numbered(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": e["type"], "sequence_number": i, **e} for i, e in enumerate(events)]


def response_item_events(part: Part, number: int) -> Iterator[dict[str, Any]]:
    item = response_item(part, number)
    yield {
        "type": "response.output_item.added",
        "output_index": number,
        "item": response_item(part, number, empty=True),
    }
    at = {"item_id": item["id"], "output_index": number}
    match part:
        case Text(text):
            at["content_index"] = 0
            empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            yield {"type": "response.content_part.added", **at, "part": empty}
            for piece in pieces(text):
                yield {"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []}
            yield {"type": "response.output_text.done", **at, "text": text, "logprobs": []}
            yield {"type": "response.content_part.done", **at, "part": empty | {"text": text}}
        case Use():
            for piece in pieces(part.json):
                yield {"type": "response.function_call_arguments.delta", **at, "delta": piece}
            yield {"type": "response.function_call_arguments.done", **at, "name": part.name, "arguments": part.json}
    yield {"type": "response.output_item.done", "output_index": number, "item": item}


def response_events(parts: Iterable[Part]) -> list[dict[str, Any]]:
    parts = list(parts)
    start = response([], "in_progress") | {"usage": None}
    events = [{"type": "response.created", "response": start}, {"type": "response.in_progress", "response": start}]
    for number, part in enumerate(parts):
        events += response_item_events(part, number)
    whole = response(response_item(p, n) for n, p in enumerate(parts))
    return numbered([*events, {"type": "response.completed", "response": whole}])


# Messages


def block(part: Part) -> dict[str, Any]:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Use():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": dict(part.arguments)}


def message(content: Iterable[Mapping[str, Any]], stop: str | None = None) -> dict[str, Any]:
    blocks = [dict(b) for b in content]
    uses = any(b["type"] == "tool_use" for b in blocks)
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": blocks,
        "stop_reason": stop or ("tool_use" if uses else "end_turn"),
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 5},
    }


def block_events(part: Part, number: int) -> Iterator[dict[str, Any]]:
    match part:
        case Text(text):
            yield {"type": "content_block_start", "index": number, "content_block": {"type": "text", "text": ""}}
            for piece in pieces(text):
                delta = {"type": "text_delta", "text": piece}
                yield {"type": "content_block_delta", "index": number, "delta": delta}
        case Use():
            start = block(part) | {"input": {}}
            yield {"type": "content_block_start", "index": number, "content_block": start}
            for piece in pieces(part.json):
                delta = {"type": "input_json_delta", "partial_json": piece}
                yield {"type": "content_block_delta", "index": number, "delta": delta}
    yield {"type": "content_block_stop", "index": number}


def message_events(parts: Iterable[Part]) -> list[dict[str, Any]]:
    parts = list(parts)
    start = message([]) | {"stop_reason": None, "usage": {"input_tokens": 10, "output_tokens": 1}}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": start}]
    for number, part in enumerate(parts):
        events += block_events(part, number)
    stop = "tool_use" if any(isinstance(p, Use) for p in parts) else "end_turn"
    delta = {"stop_reason": stop, "stop_sequence": None}
    return [*events, {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 5}}, {"type": "message_stop"}]


# the honest shapes


def stream(dialect: Dialect, parts: Iterable[Part]) -> bytes:
    """The whole stream of an answer."""
    match dialect:
        case "chat":
            return sse(*chat_deltas(parts)) + b"data: [DONE]\n\n"
        case "responses":
            return sse(*response_events(parts), event=True)
        case "anthropic":
            return sse(*message_events(parts), event=True)


def plain(dialect: Dialect, parts: Iterable[Part]) -> bytes:
    """The body of an answer."""
    parts = list(parts)
    match dialect:
        case "chat":
            body = chat_body(chat_message(parts))
        case "responses":
            body = response(response_item(p, n) for n, p in enumerate(parts))
        case _:
            body = message(block(p) for p in parts)
    return json.dumps(body).encode()


# the other shapes: a function makes bytes of a call; beside it, whether they stream

Hidden: TypeAlias = Callable[[Use], bytes]


def _replaced(data: bytes, old: str, new: str) -> bytes:
    assert old.encode() in data, old
    return data.replace(old.encode(), new.encode())


def _chat(*chunks: dict[str, Any]) -> bytes:
    return sse(*chunks) + b"data: [DONE]\n\n"


def _responses(*events: dict[str, Any], output: Iterable[Mapping[str, Any]] = ()) -> bytes:
    start = {"type": "response.created", "response": response([], "in_progress") | {"usage": None}}
    end = {"type": "response.completed", "response": response(output)}
    return sse(*numbered([start, *events, end]), event=True)


def _with(value: dict[str, Any], *way: str | int, **more: Any) -> dict[str, Any]:
    """`value` with more in the object that `way` leads to."""
    made: dict[str, Any] = json.loads(json.dumps(value))
    inside: Any = made
    for step in way:
        inside = inside[step]
    inside |= more
    return made


def _last_told(events: list[dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
    """`events`, the last of which says more in the first part of the first item."""
    return [*events[:-1], _with(events[-1], "response", "output", 0, "content", 0, **more)]


def _added(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": 0, "item": dict(item)}


def _done(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": 0, "item": dict(item)}


def _anthropic(
    *events: dict[str, Any],
    stop: str = "tool_use",
    content: Iterable[Mapping[str, Any]] = (),
    usage: Mapping[str, Any] | None = None,
) -> bytes:
    start = message([]) | {"stop_reason": None, "content": [dict(c) for c in content]}
    end = {
        "type": "message_delta",
        "delta": {"stop_reason": stop, "stop_sequence": None},
        "usage": usage or {"output_tokens": 5},
    }
    return sse({"type": "message_start", "message": start}, *events, end, {"type": "message_stop"}, event=True)


def _item(use: Use, **other: Any) -> dict[str, Any]:
    return response_item(use, 0) | other


def _custom(use: Use) -> dict[str, Any]:
    return {"type": "custom_tool_call", "id": "ctc_0", "call_id": use.id, "name": use.name, "input": use.json}


def _other(kind: str, **fields: Any) -> Callable[[Use], dict[str, Any]]:
    def made(use: Use) -> dict[str, Any]:
        texts = {k: use.json if v is None else v for k, v in fields.items()}
        return {"type": kind, "id": "x_0", "call_id": use.id, "status": "completed", **texts}

    return made


_SERVER_ITEMS = {
    "mcp-call": _other("mcp_call", name="send", arguments=None, server_label="s"),
    "shell-call": lambda use: _other("shell_call")(use) | {"action": {"commands": [use.json]}},
    "local-shell": lambda use: (
        _other("local_shell_call")(use) | {"action": {"type": "exec", "command": [use.json], "env": {}}}
    ),
    "apply-patch": lambda use: (
        _other("apply_patch_call")(use) | {"operation": {"type": "create_file", "path": "x", "diff": use.json}}
    ),
    "computer": lambda use: _other("computer_call")(use) | {"action": {"type": "type", "text": use.json}},
    "unknown-item": _other("future_call", name="send", arguments=None),
}


def _streamed(made: Callable[[Use], dict[str, Any]]) -> Hidden:
    return lambda u: _responses(_added(made(u)), _done(made(u)), output=[made(u)])


def _whole(made: Callable[[Use], dict[str, Any]]) -> Hidden:
    return lambda u: json.dumps(response([made(u)])).encode()


HIDDEN: dict[tuple[Dialect, str, bool], Hidden] = {
    # Chat Completions, streamed
    ("chat", "one-delta", True): lambda u: _chat(chat_chunk({"tool_calls": [chat_call(u, 0)]}, finish="tool_calls")),
    ("chat", "message-instead-of-delta", True): lambda u: _chat(
        chat_chunk({"content": ""})
        | {"choices": [{"index": 0, "message": chat_message([u]), "finish_reason": "tool_calls"}]}
    ),
    ("chat", "message-beside-delta", True): lambda u: _chat(
        chat_chunk({"content": "x"})
        | {"choices": [{"index": 0, "delta": {"content": "x"}, "message": chat_message([u]), "finish_reason": None}]},
        chat_chunk({}, finish="stop"),
    ),
    ("chat", "finish-stop", True): lambda u: _chat(
        chat_chunk({"tool_calls": [chat_call(u, 0)]}), chat_chunk({}, finish="stop")
    ),
    ("chat", "escaped-keys", True): lambda u: _replaced(
        stream("chat", [u]), '"tool_calls": [', '"\\u0074ool_\\u0063alls": ['
    ),
    ("chat", "legacy-function-call", True): lambda u: _chat(
        chat_chunk({"role": "assistant", "function_call": {"name": u.name, "arguments": ""}}),
        *(chat_chunk({"function_call": {"arguments": p}}) for p in pieces(u.json)),
        chat_chunk({}, finish="function_call"),
    ),
    ("chat", "custom-call", True): lambda u: _chat(
        chat_chunk(
            {"tool_calls": [{"index": 0, "id": u.id, "type": "custom", "custom": {"name": u.name, "input": u.json}}]}
        ),
        chat_chunk({}, finish="tool_calls"),
    ),
    ("chat", "second-choice", True): lambda u: (
        sse(*chat_deltas([Text("hello")], 0), *chat_deltas([u], 1)) + b"data: [DONE]\n\n"
    ),
    ("chat", "after-done", True): lambda u: stream("chat", [Text("hello")]) + stream("chat", [u]),
    ("chat", "after-finish", True): lambda u: _chat(
        chat_chunk({"content": "hello"}), chat_chunk({}, finish="stop"), chat_chunk({"tool_calls": [chat_call(u, 0)]})
    ),
    ("chat", "never-finished", True): lambda u: sse(chat_chunk({"tool_calls": [chat_call(u, 0)]})),
    ("chat", "same-index-twice", True): lambda u: _chat(
        chat_chunk({"tool_calls": [chat_call(Use("read_mail", {}, "call_0"), 0)]}),
        chat_chunk({"tool_calls": [chat_call(u, 0)]}),
        chat_chunk({}, finish="tool_calls"),
    ),
    ("chat", "unknown-field", True): lambda u: _chat(
        chat_chunk({"content": "x", "tool_uses": [chat_call(u)]}), chat_chunk({}, finish="stop")
    ),
    ("chat", "in-usage", True): lambda u: _chat(
        chat_chunk({"content": "x"}, finish="stop") | {"usage": {"prompt_tokens": 1, "tool_calls": [chat_call(u)]}}
    ),
    ("chat", "in-extra-content", True): lambda u: _chat(
        chat_chunk({"content": "x", "extra_content": {"vendor": chat_call(u)}}), chat_chunk({}, finish="stop")
    ),
    ("chat", "in-filter-results", True): lambda u: _chat(
        chat_chunk({"content": "x"}, finish="stop") | {"prompt_filter_results": [block(u)]}
    ),
    ("chat", "in-logprobs", True): lambda u: sse(
        _with(chat_chunk({"content": "x"}, finish="stop"), "choices", 0, logprobs={"content": [chat_call(u)]})
    ),
    ("chat", "legacy-after-finish", True): lambda u: _chat(
        chat_chunk({"content": "x"}, finish="stop"),
        chat_chunk({"function_call": {}}),
        chat_chunk({"function_call": {"name": u.name, "arguments": u.json}}),
    ),
    ("chat", "carriage-returns", True): lambda u: stream("chat", [u]).replace(b"\n", b"\r"),
    ("chat", "many-data-lines", True): lambda u: (
        b"".join(
            b"data: " + b"\ndata: ".join(json.dumps(c, indent=1).encode().split(b"\n")) + b"\n\n"
            for c in chat_deltas([u])
        )
        + b"data: [DONE]\n\n"
    ),
    ("chat", "byte-order-mark", True): lambda u: b"\xef\xbb\xbf" + stream("chat", [u]),
    ("chat", "other-event-name", True): lambda u: stream("chat", [u]).replace(b"data:", b"event: ping\ndata:"),
    ("chat", "duplicate-key", True): lambda u: _replaced(
        stream("chat", [u]), '"delta": {"tool_calls"', '"delta": {}, "delta": {"tool_calls"'
    ),
    # Chat Completions, plain
    ("chat", "legacy-function-call", False): lambda u: json.dumps(
        chat_body({"role": "assistant", "content": None, "function_call": {"name": u.name, "arguments": u.json}})
    ).encode(),
    ("chat", "custom-call", False): lambda u: json.dumps(
        chat_body(
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": u.id, "type": "custom", "custom": {"name": u.name, "input": u.json}}],
            }
        )
    ).encode(),
    ("chat", "second-choice", False): lambda u: json.dumps(
        chat_body(chat_message([Text("hello")]), chat_message([u]))
    ).encode(),
    ("chat", "second-call", False): lambda u: plain("chat", [Use("read_mail", {}, "call_0"), u]),
    ("chat", "finish-stop", False): lambda u: plain("chat", [u]).replace(
        b'"finish_reason": "tool_calls"', b'"finish_reason": "stop"'
    ),
    ("chat", "escaped-keys", False): lambda u: _replaced(
        plain("chat", [u]), '"tool_calls": [', '"\\u0074ool_calls": ['
    ),
    ("chat", "duplicate-key", False): lambda u: _replaced(
        plain("chat", [u]), '"choices": [', '"choices": [], "choices": ['
    ),
    ("chat", "delta-in-a-body", False): lambda u: json.dumps(
        chat_body({"role": "assistant", "content": "x"})
        | {"choices": [{"index": 0, "delta": chat_message([u]), "finish_reason": "tool_calls"}]}
    ).encode(),
    ("chat", "unknown-field", False): lambda u: json.dumps(
        chat_body({"role": "assistant", "content": "x", "tool_uses": [chat_call(u)]})
    ).encode(),
    ("chat", "in-usage", False): lambda u: json.dumps(
        chat_body(chat_message([Text("x")]))
        | {"usage": {"prompt_tokens": 1, "function_call": chat_call(u)["function"]}}
    ).encode(),
    ("chat", "in-metadata-of-a-vendor", False): lambda u: json.dumps(
        chat_body(chat_message([Text("x")])) | {"x_groq": {"id": "r", "calls": [chat_call(u)]}}
    ).encode(),
    ("chat", "stream-for-a-body", False): lambda u: stream("chat", [u]),
    # Responses, streamed
    ("responses", "only-done", True): lambda u: _responses(_done(_item(u)), output=[_item(u)]),
    ("responses", "only-completed", True): lambda u: _responses(output=[_item(u)]),
    ("responses", "only-added", True): lambda u: _responses(_added(_item(u))),
    ("responses", "only-arguments-done", True): lambda u: _responses(
        _added(_item(u, arguments="")),
        {
            "type": "response.function_call_arguments.done",
            "output_index": 0,
            "item_id": "fc_0",
            "arguments": u.json,
            "name": u.name,
        },
        output=[_item(u)],
    ),
    ("responses", "done-differs-from-deltas", True): lambda u: _responses(
        *list(response_item_events(Use("read_mail", {}, u.id), 0))[:-1], _done(_item(u)), output=[_item(u)]
    ),
    ("responses", "completed-differs", True): lambda u: _responses(
        *response_item_events(Use("read_mail", {}, u.id), 0), output=[_item(u)]
    ),
    ("responses", "incomplete-carries-it", True): lambda u: sse(
        *numbered(
            [
                {"type": "response.created", "response": response([], "in_progress") | {"usage": None}},
                {"type": "response.incomplete", "response": response([_item(u)], "incomplete")},
            ]
        ),
        event=True,
    ),
    ("responses", "custom-call", True): lambda u: _responses(
        _added(_custom(u)), _done(_custom(u)), output=[_custom(u)]
    ),
    ("responses", "item-in-a-text-event", True): lambda u: sse(
        *[
            e | ({"item": _item(u)} if e["type"].endswith("text.delta") else {})
            for e in response_events([Text("hello")])
        ],
        event=True,
    ),
    ("responses", "arguments-in-a-text-event", True): lambda u: sse(
        *[
            e | ({"name": u.name, "arguments": u.json} if e["type"].endswith("text.done") else {})
            for e in response_events([Text("hello")])
        ],
        event=True,
    ),
    ("responses", "part-of-the-last-telling", True): lambda u: sse(
        *_last_told(response_events([Text("hello")]), tool_calls=[_item(u)]), event=True
    ),
    ("responses", "citation-of-the-last-telling", True): lambda u: sse(
        *_last_told(response_events([Text("hello")]), annotations=[{"type": "file_citation", "filename": u.json}]),
        event=True,
    ),
    ("responses", "action-of-a-function-call", True): lambda u: _responses(
        _added(_item(Use("read_mail", {}), action=block(u))),
        _done(_item(Use("read_mail", {}), action=block(u))),
        output=[_item(Use("read_mail", {}), action=block(u))],
    ),
    ("responses", "in-usage", True): lambda u: sse(
        *[
            _with(e, "response", usage={"input_tokens": 1, "calls": [_item(u)]})
            if e["type"].endswith("completed")
            else e
            for e in response_events([Text("hello")])
        ],
        event=True,
    ),
    ("responses", "text-beside-the-items", True): lambda u: sse(
        *[
            _with(e, "response", output_text=u.json) if e["type"].endswith("completed") else e
            for e in response_events([Text("hello")])
        ],
        event=True,
    ),
    ("responses", "text-beside-no-items", True): lambda u: sse(
        *[
            _with(e, "response", output_text=u.json) if e["type"].endswith("created") else e
            for e in response_events([Text("hello")])
        ],
        event=True,
    ),
    ("responses", "event-name-lies", True): lambda u: stream("responses", [u]).replace(
        b"event: response.output_item.done", b"event: response.in_progress"
    ),
    ("responses", "escaped-keys", True): lambda u: stream("responses", [u]).replace(
        b'"function_call"', b'"function_c\\u0061ll"'
    ),
    ("responses", "never-finished", True): lambda u: sse(*response_events([u])[:-1], event=True),
    **{("responses", name, True): _streamed(made) for name, made in _SERVER_ITEMS.items()},
    # Responses, plain
    ("responses", "custom-call", False): lambda u: json.dumps(response([_custom(u)])).encode(),
    ("responses", "action-of-a-function-call", False): lambda u: json.dumps(
        response([_item(Use("read_mail", {}), action=block(u))])
    ).encode(),
    ("responses", "in-usage", False): lambda u: json.dumps(
        response([response_item(Text("x"), 0)]) | {"usage": {"input_tokens": 1, "calls": [_item(u)]}}
    ).encode(),
    ("responses", "text-beside-the-items", False): lambda u: json.dumps(
        response([response_item(Text("x"), 0)]) | {"output_text": u.json}
    ).encode(),
    ("responses", "second-call", False): lambda u: plain("responses", [Use("read_mail", {}, "call_0"), u]),
    ("responses", "escaped-keys", False): lambda u: plain("responses", [u]).replace(
        b'"function_call"', b'"function_c\\u0061ll"'
    ),
    ("responses", "incomplete-carries-it", False): lambda u: json.dumps(response([_item(u)], "incomplete")).encode(),
    ("responses", "duplicate-key", False): lambda u: _replaced(
        plain("responses", [u]), '"output": [', '"output": [], "output": ['
    ),
    **{("responses", name, False): _whole(made) for name, made in _SERVER_ITEMS.items()},
    # Messages, streamed
    ("anthropic", "input-at-the-start", True): lambda u: _anthropic(
        {"type": "content_block_start", "index": 0, "content_block": block(u)},
        {"type": "content_block_stop", "index": 0},
    ),
    ("anthropic", "in-message-start", True): lambda u: _anthropic(content=[block(u)]),
    ("anthropic", "never-stopped", True): lambda u: _anthropic(*list(block_events(u, 0))[:-1]),
    ("anthropic", "stop-says-end-turn", True): lambda u: _anthropic(*block_events(u, 0), stop="end_turn"),
    ("anthropic", "server-tool-use", True): lambda u: _anthropic(
        {"type": "content_block_start", "index": 0, "content_block": block(u) | {"type": "server_tool_use"}},
        {"type": "content_block_stop", "index": 0},
        stop="end_turn",
    ),
    ("anthropic", "mcp-tool-use", True): lambda u: _anthropic(
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": block(u) | {"type": "mcp_tool_use", "server_name": "s"},
        },
        {"type": "content_block_stop", "index": 0},
        stop="end_turn",
    ),
    ("anthropic", "unknown-block", True): lambda u: _anthropic(
        {"type": "content_block_start", "index": 0, "content_block": block(u) | {"type": "future_use"}},
        {"type": "content_block_stop", "index": 0},
        stop="end_turn",
    ),
    ("anthropic", "after-message-stop", True): lambda u: (
        stream("anthropic", [Text("hello")]) + sse(*message_events([u])[1:], event=True)
    ),
    ("anthropic", "same-index-twice", True): lambda u: _anthropic(
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "x"}}, *block_events(u, 0)
    ),
    ("anthropic", "json-in-a-text-block", True): lambda u: _anthropic(
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *list(block_events(u, 0))[1:],
    ),
    ("anthropic", "in-usage", True): lambda u: _anthropic(usage={"input_tokens": 1, "uses": [block(u)]}),
    ("anthropic", "in-a-citation", True): lambda u: _anthropic(
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": block(u)}},
        {"type": "content_block_stop", "index": 0},
        stop="end_turn",
    ),
    ("anthropic", "event-name-lies", True): lambda u: stream("anthropic", [u]).replace(
        b"event: content_block_start", b"event: ping"
    ),
    ("anthropic", "escaped-keys", True): lambda u: stream("anthropic", [u]).replace(b'"tool_use"', b'"tool\\u005fuse"'),
    ("anthropic", "many-data-lines", True): lambda u: b"".join(
        f"event: {e['type']}\n".encode()
        + b"data: "
        + b"\ndata: ".join(json.dumps(e, indent=1).encode().split(b"\n"))
        + b"\n\n"
        for e in message_events([u])
    ),
    # Messages, plain
    ("anthropic", "second-call", False): lambda u: plain("anthropic", [Use("read_mail", {}, "call_0"), u]),
    ("anthropic", "stop-says-end-turn", False): lambda u: json.dumps(message([block(u)], "end_turn")).encode(),
    ("anthropic", "server-tool-use", False): lambda u: json.dumps(
        message([block(u) | {"type": "server_tool_use"}])
    ).encode(),
    ("anthropic", "mcp-tool-use", False): lambda u: json.dumps(
        message([block(u) | {"type": "mcp_tool_use", "server_name": "s"}])
    ).encode(),
    ("anthropic", "in-usage", False): lambda u: json.dumps(
        message([{"type": "text", "text": "x"}]) | {"usage": {"input_tokens": 1, "uses": [block(u)]}}
    ).encode(),
    ("anthropic", "in-a-citation", False): lambda u: json.dumps(
        message([{"type": "text", "text": "x", "citations": [block(u)]}])
    ).encode(),
    ("anthropic", "in-what-was-edited", False): lambda u: json.dumps(
        message([{"type": "text", "text": "x"}]) | {"context_management": {"applied_edits": [block(u)]}}
    ).encode(),
    ("anthropic", "unknown-block", False): lambda u: json.dumps(message([block(u) | {"type": "future_use"}])).encode(),
    ("anthropic", "escaped-keys", False): lambda u: plain("anthropic", [u]).replace(b'"tool_use"', b'"tool\\u005fuse"'),
    ("anthropic", "duplicate-key", False): lambda u: _replaced(
        plain("anthropic", [u]), '"content": [', '"content": [], "content": ['
    ),
}
