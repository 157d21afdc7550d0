"""Three wire formats: requests read into conversations, replies written as bodies and as streams of events.

Requests are held to what the providers hold them to, as far as a monitor could get it wrong: every call is answered
once, at once, tools have plain names and object schemas. Tokens are counted as one for four characters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from interlock.testing.model import Conversation, Message, Reply, ScriptError, Use, texts

Body = dict[str, Any]
PIECE = 7  # characters in one piece of a stream, so that words, escapes and keys are torn apart
CREATED = 1_700_000_000  # the same each time, so that recordings compare


class RequestError(Exception):
    """A request that a provider would answer with status 400."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """One format."""

    name: str
    read: Callable[[Body], Conversation]
    body: Callable[[Body, Reply, int], Body]  # request, reply, number of the request
    stream: Callable[[Body, Reply, int], Iterator[str]]
    error: Callable[[int, str], Body]


def _list(body: Body, name: str, *, least: int = 0) -> list[Any]:
    value = body.get(name)
    if value is None and not least:
        return []
    if not isinstance(value, list) or len(value) < least or not all(isinstance(item, dict) for item in value):
        raise RequestError(f"`{name}` must be a list of objects")
    return value


def _tools(entries: Iterable[Body], schema: str, longest: int) -> tuple[str, ...]:
    names: list[str] = []
    for entry in entries:
        name, parameters = entry.get("name"), entry.get(schema)
        if not isinstance(name, str) or not re.fullmatch(r"[a-zA-Z0-9_-]+", name) or len(name) > longest:
            raise RequestError(f"tool name {name!r} does not match ^[a-zA-Z0-9_-]{{1,{longest}}}$")
        if name in names:
            raise RequestError(f"tool names must be unique: {name}")
        if not isinstance(parameters, dict) or parameters.get("type") != "object":
            raise RequestError(f'`{schema}` of tool {name} must be a JSON Schema of `type: "object"`')
        if wrong := {"oneOf", "anyOf", "allOf", "not", "enum"} & set(parameters):
            raise RequestError(f"`{schema}` of tool {name} has {min(wrong)} at the top level")
        names.append(name)
    return tuple(names)


def _answered(messages: Sequence[Message]) -> tuple[Message, ...]:
    """`messages`, if each call is answered exactly once, before anything else is said."""
    due: dict[str, bool] = {}  # call id: still unanswered
    for message in messages:
        if message.role == "tool":
            if not due.pop(message.answers, False):
                raise RequestError(f"tool result for {message.answers!r} answers no open call of the message before")
            continue
        if due:
            raise RequestError(f"tool calls without a result: {', '.join(sorted(due))}")
        due = {call_id: True for call_id, _ in message.calls}
    if due:
        raise RequestError(f"tool calls without a result: {', '.join(sorted(due))}")
    return tuple(messages)


def _joined(content: object) -> str:
    return "\n".join(texts(content))


def _tokens(text: str) -> int:
    return len(text) // 4 + 1


def _shown(request: Body) -> int:
    return _tokens(json.dumps(request))


def _said(reply: Reply) -> int:
    return _tokens(reply.text + "".join(use.tool + use.json for use in reply.calls))


def _pieces(text: str) -> list[str]:
    return [text[at : at + PIECE] for at in range(0, len(text), PIECE)]


def _event(data: Body, *, named: bool) -> str:
    name = f"event: {data['type']}\n" if named else ""
    return f"{name}data: {json.dumps(data)}\n\n"


# OpenAI Chat Completions


def _chat_read(request: Body) -> Conversation:
    messages = []
    for entry in _list(request, "messages", least=1):
        role, text = entry.get("role"), _joined(entry.get("content"))
        match role:
            case "system" | "developer":
                messages.append(Message(role="system", text=text))
            case "user":
                messages.append(Message(role="user", text=text))
            case "assistant":
                calls = [_chat_call(call) for call in _list(entry, "tool_calls")]
                messages.append(Message(role="assistant", text=text, calls=tuple(calls)))
            case "tool":
                messages.append(Message(role="tool", text=text, answers=str(entry.get("tool_call_id"))))
            case _:
                raise RequestError(f"invalid role {role!r}")
    tools = _list(request, "tools")
    if any(tool.get("type") != "function" or not isinstance(tool.get("function"), dict) for tool in tools):
        raise RequestError("only function tools are served here")
    return Conversation(_answered(messages), _tools((tool["function"] for tool in tools), "parameters", 64))


def _chat_call(call: Body) -> tuple[str, Use]:
    function = call.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("arguments"), str):
        raise RequestError("a tool call of the history has no function with arguments as text")
    return str(call.get("id")), Use(str(function.get("name")), function["arguments"])


def _chat_calls(reply: Reply, number: int) -> list[Body]:
    return [
        {"id": f"call_{number}_{at}", "type": "function", "function": {"name": use.tool, "arguments": use.json}}
        for at, use in enumerate(reply.calls)
    ]


def _chat_head(request: Body, number: int, kind: str) -> Body:
    return {"id": f"chatcmpl-{number}", "object": kind, "created": CREATED, "model": request.get("model", "")}


def _chat_usage(request: Body, reply: Reply) -> Body:
    shown, said = _shown(request), _said(reply)
    return {"prompt_tokens": shown, "completion_tokens": said, "total_tokens": shown + said}


def _chat_body(request: Body, reply: Reply, number: int) -> Body:
    message: Body = {"role": "assistant", "content": reply.text or None, "refusal": None, "annotations": []}
    if reply.calls:
        message["tool_calls"] = _chat_calls(reply, number)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _chat_finish(reply)}
    return _chat_head(request, number, "chat.completion") | {
        "choices": [choice],
        "usage": _chat_usage(request, reply),
    }


def _chat_finish(reply: Reply) -> str:
    return "tool_calls" if reply.calls else "stop"


def _chat_stream(request: Body, reply: Reply, number: int) -> Iterator[str]:
    head = _chat_head(request, number, "chat.completion.chunk")
    counted = bool((request.get("stream_options") or {}).get("include_usage"))

    def chunk(delta: Body, finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _event(head | {"choices": [choice]} | ({"usage": None} if counted else {}), named=False)

    yield chunk({"role": "assistant", "content": "" if reply.text else None})
    for piece in _pieces(reply.text):
        yield chunk({"content": piece})
    for at, call in enumerate(_chat_calls(reply, number)):
        whole = call["function"]
        yield chunk({"tool_calls": [{"index": at} | call | {"function": {"name": whole["name"], "arguments": ""}}]})
        for piece in _pieces(whole["arguments"]):
            yield chunk({"tool_calls": [{"index": at, "function": {"arguments": piece}}]})
    yield chunk({}, _chat_finish(reply))
    if counted:
        yield _event(head | {"choices": [], "usage": _chat_usage(request, reply)}, named=False)
    yield "data: [DONE]\n\n"


def _openai_error(status: int, message: str) -> Body:
    kind = "invalid_request_error" if status < 500 else "server_error"  # noqa: PLR2004 - HTTP
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


# OpenAI Responses


def _responses_read(request: Body) -> Conversation:
    if request.get("previous_response_id") or request.get("conversation"):
        raise RequestError("no history is kept here; send the whole input")
    messages: list[Message] = []
    if instructions := request.get("instructions"):
        messages.append(Message(role="system", text=_joined(instructions)))
    given = request.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else _list(request, "input", least=1)
    for item in items:
        match item.get("type", "message"):
            case "message" if item.get("role") in {"user", "system", "developer", "assistant"}:
                role = "system" if item["role"] == "developer" else item["role"]
                _say(messages, Message(role=role, text=_joined(item.get("content"))))
            case "function_call":
                call = (str(item.get("call_id")), Use(str(item.get("name")), str(item.get("arguments"))))
                _say(messages, Message(role="assistant", calls=(call,)))
            case "function_call_output":
                text = _joined(item.get("output"))
                messages.append(Message(role="tool", text=text, answers=str(item.get("call_id"))))
            case "reasoning":
                pass
            case kind:
                raise RequestError(f"invalid input item {kind!r}")
    tools = _list(request, "tools")
    if any(tool.get("type") != "function" for tool in tools):
        raise RequestError("only function tools are served here")
    return Conversation(_answered(messages), _tools(tools, "parameters", 64))


def _say(messages: list[Message], message: Message) -> None:
    """Append; items of one assistant's turn become one message."""
    if message.role == "assistant" and messages and messages[-1].role == "assistant":
        before = messages.pop()
        text = "\n".join(part for part in (before.text, message.text) if part)
        message = Message(role="assistant", text=text, calls=before.calls + message.calls)
    messages.append(message)


def _responses_items(reply: Reply, number: int) -> list[Body]:
    items: list[Body] = []
    if reply.text or not reply.calls:
        part = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
        items.append(
            {
                "type": "message",
                "id": f"msg_{number}",
                "status": "completed",
                "role": "assistant",
                "content": [part],
            }
        )
    for at, use in enumerate(reply.calls):
        ids = {"id": f"fc_{number}_{at}", "call_id": f"call_{number}_{at}"}
        items.append({"type": "function_call", "status": "completed", "name": use.tool, "arguments": use.json} | ids)
    return items


def _responses_body(request: Body, reply: Reply, number: int) -> Body:
    shown, said = _shown(request), _said(reply)
    usage = {
        "input_tokens": shown,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": said,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": shown + said,
    }
    return _responses_head(request, number) | {
        "status": "completed",
        "output": _responses_items(reply, number),
        "usage": usage,
    }


def _responses_head(request: Body, number: int) -> Body:
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": CREATED,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": request.get("instructions"),
        "metadata": {},
        "model": request.get("model", ""),
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": request.get("tool_choice", "auto"),
        "tools": request.get("tools", []),
        "usage": None,
    }


def _responses_stream(request: Body, reply: Reply, number: int) -> Iterator[str]:
    for at, data in enumerate(_responses_events(request, reply, number)):
        yield _event(data | {"sequence_number": at}, named=True)


def _responses_events(request: Body, reply: Reply, number: int) -> Iterator[Body]:
    head = _responses_head(request, number)
    yield {"type": "response.created", "response": head}
    yield {"type": "response.in_progress", "response": head}
    for at, item in enumerate(_responses_items(reply, number)):
        here: Body = {"item_id": item["id"], "output_index": at}
        if item["type"] == "message":
            (part,) = item["content"]
            there = here | {"content_index": 0}
            begun = item | {"status": "in_progress", "content": []}
            yield {"type": "response.output_item.added", "output_index": at, "item": begun}
            yield {"type": "response.content_part.added", "part": part | {"text": ""}} | there
            for piece in _pieces(part["text"]):
                yield {"type": "response.output_text.delta", "delta": piece, "logprobs": []} | there
            yield {"type": "response.output_text.done", "text": part["text"], "logprobs": []} | there
            yield {"type": "response.content_part.done", "part": part} | there
        else:
            begun = item | {"status": "in_progress", "arguments": ""}
            yield {"type": "response.output_item.added", "output_index": at, "item": begun}
            for piece in _pieces(item["arguments"]):
                yield {"type": "response.function_call_arguments.delta", "delta": piece} | here
            yield {"type": "response.function_call_arguments.done", "arguments": item["arguments"]} | here
        yield {"type": "response.output_item.done", "output_index": at, "item": item}
    yield {"type": "response.completed", "response": _responses_body(request, reply, number)}


# Anthropic Messages


def _anthropic_read(request: Body) -> Conversation:
    if not isinstance(request.get("max_tokens"), int):
        raise RequestError("max_tokens: field required")
    messages: list[Message] = []
    if system := request.get("system"):
        messages.append(Message(role="system", text=_joined(system)))
    for entry in _list(request, "messages", least=1):
        content = entry.get("content")
        blocks: list[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else _list(entry, "content")
        results = [block for block in blocks if block.get("type") == "tool_result"]
        others = [block for block in blocks if block.get("type") != "tool_result"]
        match entry.get("role"):
            case "user":
                if blocks[: len(results)] != results:
                    raise RequestError("tool_result blocks come first in a message")
                for block in results:
                    text = _joined(block.get("content"))
                    messages.append(Message(role="tool", text=text, answers=str(block.get("tool_use_id"))))
                if others or not results:
                    messages.append(Message(role="user", text=_joined(others)))
            case "assistant" if not results:
                calls = [
                    (str(block.get("id")), Use(str(block.get("name")), block.get("input") or {}))
                    for block in others
                    if block.get("type") == "tool_use"
                ]
                said = [block for block in others if block.get("type") == "text"]
                messages.append(Message(role="assistant", text=_joined(said), calls=tuple(calls)))
            case role:
                raise RequestError(f"messages: invalid role or content of {role!r}")
    tools = _list(request, "tools")
    if any(tool.get("type") not in {None, "custom"} for tool in tools):
        raise RequestError("only client tools are served here")
    return Conversation(_answered(messages), _tools(tools, "input_schema", 128))


def _anthropic_blocks(reply: Reply, number: int) -> list[Body]:
    blocks: list[Body] = [{"type": "text", "text": reply.text}] if reply.text or not reply.calls else []
    for at, use in enumerate(reply.calls):
        block = {"type": "tool_use", "id": f"toolu_{number}_{at}", "name": use.tool, "input": _object(use)}
        blocks.append(block | {"caller": {"type": "direct"}})
    return blocks


def _object(use: Use) -> Mapping[str, Any]:
    try:
        value = json.loads(use.json)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ScriptError(f"the arguments for `{use.tool}` are no object, and this wire format carries nothing else")
    return value


def _anthropic_head(request: Body, number: int) -> Body:
    return {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": request.get("model", ""),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": _shown(request), "output_tokens": 1},
    }


def _anthropic_stop(reply: Reply) -> str:
    return "tool_use" if reply.calls else "end_turn"


def _anthropic_body(request: Body, reply: Reply, number: int) -> Body:
    return _anthropic_head(request, number) | {
        "content": _anthropic_blocks(reply, number),
        "stop_reason": _anthropic_stop(reply),
        "usage": {"input_tokens": _shown(request), "output_tokens": _said(reply)},
    }


def _anthropic_stream(request: Body, reply: Reply, number: int) -> Iterator[str]:
    for data in _anthropic_events(request, reply, number):
        yield _event(data, named=True)


def _anthropic_events(request: Body, reply: Reply, number: int) -> Iterator[Body]:
    yield {"type": "message_start", "message": _anthropic_head(request, number)}
    for at, block in enumerate(_anthropic_blocks(reply, number)):
        if block["type"] == "text":
            begun, deltas = block | {"text": ""}, [{"type": "text_delta", "text": p} for p in _pieces(block["text"])]
        else:
            written = json.dumps(block["input"], ensure_ascii=False)
            begun = block | {"input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": p} for p in ["", *_pieces(written)]]
        yield {"type": "content_block_start", "index": at, "content_block": begun}
        if at == 0:
            yield {"type": "ping"}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": at, "delta": delta}
        yield {"type": "content_block_stop", "index": at}
    stop = {"stop_reason": _anthropic_stop(reply), "stop_sequence": None}
    yield {"type": "message_delta", "delta": stop, "usage": {"output_tokens": _said(reply)}}
    yield {"type": "message_stop"}


_ANTHROPIC_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def _anthropic_error(status: int, message: str) -> Body:
    error = {"type": _ANTHROPIC_ERRORS.get(status, "api_error"), "message": message}
    return {"type": "error", "error": error, "request_id": None}


CHAT = Wire(name="openai-chat", read=_chat_read, body=_chat_body, stream=_chat_stream, error=_openai_error)
RESPONSES = Wire(
    name="openai-responses", read=_responses_read, body=_responses_body, stream=_responses_stream, error=_openai_error
)
ANTHROPIC = Wire(
    name="anthropic", read=_anthropic_read, body=_anthropic_body, stream=_anthropic_stream, error=_anthropic_error
)
# With and without /v1: the SDKs do not agree on which part of it is the base URL.
WIRES = {
    prefix + path: wire
    for path, wire in (("/chat/completions", CHAT), ("/responses", RESPONSES), ("/messages", ANTHROPIC))
    for prefix in ("", "/v1")
}
