"""The vendors' own SDKs as one kind of client: what they were given, in the same words."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anthropic
import openai

from tests.gateway.world import KEY, TOOLS

SYSTEM = "You help."
MODELS = {"chat": "gpt-test", "responses": "gpt-test", "anthropic": "claude-test"}


@dataclass
class Turn:
    """What the client was given."""

    text: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    finish: str = ""
    said: Any = None  # what an application would append to its history
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Client:
    """One SDK, plain or streamed, against a gateway at `url`."""

    dialect: str
    stream: bool
    url: str
    key: str = KEY
    options: dict[str, Any] = field(default_factory=dict)

    def ask(self, history: list[Any] | str, **more: Any) -> Turn:
        """One turn. `history` is the user's words, or what `history` of this module makes."""
        words = [{"role": "user", "content": history}] if isinstance(history, str) else history
        return _ASK[self.dialect](self, words, more)

    def result(self, turn: Turn, *outputs: str) -> list[Any]:
        """What an application appends after it has made the calls of `turn`."""
        match self.dialect:
            case "chat":
                told = [
                    {"role": "tool", "tool_call_id": i, "content": o} for i, o in zip(turn.ids, outputs, strict=True)
                ]
                return [turn.said, *told]
            case "responses":
                made = [
                    {"type": "function_call", "call_id": i, "name": n, "arguments": json.dumps(a)}
                    for i, (n, a) in zip(turn.ids, turn.calls, strict=True)
                ]
                told = [
                    {"type": "function_call_output", "call_id": i, "output": o}
                    for i, o in zip(turn.ids, outputs, strict=True)
                ]
                said = [{"role": "assistant", "content": turn.text}] if turn.text else []
                return [*said, *made, *told]
            case _:
                blocks = [
                    {"type": "tool_result", "tool_use_id": i, "content": o}
                    for i, o in zip(turn.ids, outputs, strict=True)
                ]
                return [turn.said, {"role": "user", "content": blocks}]

    def said(self, turn: Turn) -> list[Any]:
        """What an application appends after a turn without calls."""
        return [{"role": "assistant", "content": turn.text}]


def _openai(c: Client) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{c.url}/v1", api_key=c.key, max_retries=0, timeout=30, **c.options)


def _chat(c: Client, words: list[Any], more: dict[str, Any]) -> Turn:
    tools: Any = [
        {"type": "function", "function": {"name": n, "description": "", "parameters": t["schema"]}}
        for n, t in TOOLS.items()
    ]
    messages: Any = [{"role": "system", "content": SYSTEM}, *words]
    asked: Any = {"model": MODELS["chat"], "messages": messages, "tools": tools} | more
    turn = Turn()
    with _openai(c) as client:
        if not c.stream:
            raw = client.chat.completions.with_raw_response.create(**asked)
            turn.headers = dict(raw.headers)
            choice = raw.parse().choices[0]
            for x in choice.message.tool_calls or ():
                turn.calls.append((x.function.name, json.loads(x.function.arguments)))
                turn.ids.append(x.id)
            turn.text, turn.finish = choice.message.content or "", choice.finish_reason
            turn.said = choice.message.model_dump(exclude_none=True)
            return turn
        with client.chat.completions.stream(**asked) as stream:
            turn.headers = dict(stream._response.headers)
            stream.until_done()
            message = stream.get_final_completion().choices[0]
        for x in message.message.tool_calls or ():
            turn.calls.append((x.function.name, json.loads(x.function.arguments)))
            turn.ids.append(x.id)
        turn.text, turn.finish = message.message.content or "", message.finish_reason
        turn.said = {"role": "assistant", "content": turn.text or None}
        if turn.calls:
            turn.said["tool_calls"] = [
                {"id": i, "type": "function", "function": {"name": n, "arguments": json.dumps(a)}}
                for i, (n, a) in zip(turn.ids, turn.calls, strict=True)
            ]
        return turn


def _responses(c: Client, words: list[Any], more: dict[str, Any]) -> Turn:
    tools: Any = [
        {"type": "function", "name": n, "description": "", "parameters": t["schema"], "strict": False}
        for n, t in TOOLS.items()
    ]
    asked: Any = {"model": MODELS["responses"], "instructions": SYSTEM, "input": words, "tools": tools, "store": False}
    asked |= more
    turn = Turn()
    with _openai(c) as client:
        if c.stream:
            with client.responses.stream(**asked) as stream:
                turn.headers = dict(stream._response.headers)
                stream.until_done()
                answer = stream.get_final_response()
        else:
            raw = client.responses.with_raw_response.create(**asked)
            turn.headers = dict(raw.headers)
            answer = raw.parse()
    for item in answer.output:
        if item.type == "function_call":
            turn.calls.append((item.name, json.loads(item.arguments)))
            turn.ids.append(item.call_id)
    turn.text, turn.finish = answer.output_text, answer.status or ""
    return turn


def _anthropic(c: Client, words: list[Any], more: dict[str, Any]) -> Turn:
    tools: Any = [{"name": n, "description": "", "input_schema": t["schema"]} for n, t in TOOLS.items()]
    asked: Any = {"model": MODELS["anthropic"], "max_tokens": 500, "system": SYSTEM, "messages": words, "tools": tools}
    asked |= more
    turn = Turn()
    with anthropic.Anthropic(base_url=c.url, api_key=c.key, max_retries=0, timeout=30, **c.options) as client:
        if c.stream:
            with client.messages.stream(**asked) as stream:
                turn.headers = dict(stream.response.headers)
                answer: Any = stream.get_final_message()
        else:
            raw = client.messages.with_raw_response.create(**asked)
            turn.headers = dict(raw.headers)
            answer = raw.parse()
    for block in answer.content:
        if block.type == "tool_use":
            turn.calls.append((block.name, block.input))
            turn.ids.append(block.id)
        elif block.type == "text":
            turn.text += block.text
    turn.finish = answer.stop_reason or ""
    turn.said = {
        "role": "assistant",
        "content": [b.model_dump(exclude_none=True, include=_KEPT) for b in answer.content],
    }
    return turn


_KEPT = {"type", "text", "id", "name", "input"}
_ASK: dict[str, Callable[[Client, list[Any], dict[str, Any]], Turn]] = {
    "chat": _chat,
    "responses": _responses,
    "anthropic": _anthropic,
}
STOPPED = {"chat": "stop", "responses": "completed", "anthropic": "end_turn"}
CALLED = {"chat": "tool_calls", "responses": "completed", "anthropic": "tool_use"}
