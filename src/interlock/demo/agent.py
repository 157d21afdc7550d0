"""The agent: a tool loop as the SDKs' own documentation writes it, around whatever makes the calls.

`Run` from the library makes them through Interlock, `Unguarded` makes them straight. The loops know no difference.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from interlock.adapters import anthropic, openai
from interlock.adapters.functions import Tool, tool_of
from interlock.adapters.proposal import Answer, Proposal, Proposed
from interlock.testing import Model, respond

TURNS = 20  # of one conversation; a model that wants more has lost its way
OPENAI_MODEL, ANTHROPIC_MODEL = "gpt-5.4-mini", "claude-haiku-4-5"

Saw = Callable[[str, Mapping[str, Any], str], None]  # a call's tool and arguments, and what the model read in return


class Calls(Protocol):
    """What makes the calls of one conversation: `interlock.Run`, or `Unguarded`."""

    def openai_tools(self) -> list[dict[str, Any]]:
        """`tools=` for OpenAI."""

    def openai_results(self, message: object) -> list[dict[str, Any]]:
        """One tool message for each call."""

    def anthropic_tools(self) -> list[dict[str, Any]]:
        """`tools=` for Anthropic."""

    def anthropic_results(self, message: object) -> list[dict[str, Any]]:
        """The user message with one result for each call."""


class Unguarded:
    """Makes every call that the model asks for, as agents do without a monitor."""

    def __init__(self, functions: Sequence[Callable[..., Any]]) -> None:
        self._tools: dict[str, Tool] = {tool.name: tool for tool in map(tool_of, functions)}

    def openai_tools(self) -> list[dict[str, Any]]:
        """`tools=` for OpenAI."""
        return openai.chat_tools(self._tools.values())

    def openai_results(self, message: object) -> list[dict[str, Any]]:
        """One tool message for each call."""
        proposed = openai.chat_proposals(message)
        return openai.chat_results(proposed, [self._answer(p) for p in proposed])

    def anthropic_tools(self) -> list[dict[str, Any]]:
        """`tools=` for Anthropic."""
        return anthropic.anthropic_tools(self._tools.values())

    def anthropic_results(self, message: object) -> list[dict[str, Any]]:
        """The user message with one result for each call."""
        proposed = anthropic.anthropic_proposals(message)
        return anthropic.anthropic_results(proposed, [self._answer(p) for p in proposed])

    def _answer(self, proposed: Proposed) -> Answer:
        if not isinstance(proposed, Proposal) or proposed.name not in self._tools:
            return Answer("there is no such call", failed=True)
        try:
            return Answer(self._tools[proposed.name].call(proposed.arguments))
        except Exception as error:  # noqa: BLE001 - the model is told what went wrong, as in any loop
            return Answer(str(error), failed=True)


class Agent(Protocol):
    """A model behind one of the loops."""

    @property
    def name(self) -> str:
        """What it is called on the screen; empty for the script."""

    def work(self, system: str, user: str, calls: Calls, saw: Saw) -> None:
        """One conversation, until the model makes no more calls."""


@dataclass(frozen=True, slots=True)
class Scripted:
    """A model without intelligence in place of OpenAI's: no network, the same messages."""

    model: Model
    name: str = ""

    def work(self, system: str, user: str, calls: Calls, saw: Saw) -> None:
        """One conversation, until the script makes no more calls."""

        def complete(messages: list[Any], tools: list[dict[str, Any]]) -> Any:  # noqa: ANN401 - what the SDK would give
            request = {"model": "script", "messages": messages, "tools": tools}
            body = respond(self.model, "/v1/chat/completions", request, number=len(messages))  # makes the calls' ids
            if "error" in body:
                raise RuntimeError(body["error"]["message"])
            return body["choices"][0]["message"]

        _chat(complete, system, user, calls, saw)


@dataclass(frozen=True, slots=True)
class OpenAI:
    """A real model, through OpenAI's SDK."""

    name: str

    def work(self, system: str, user: str, calls: Calls, saw: Saw) -> None:
        """One conversation, until the model makes no more calls."""
        from openai import OpenAI as Client

        client: Any = Client()

        def complete(messages: list[Any], tools: list[dict[str, Any]]) -> Any:  # noqa: ANN401 - the SDK's message
            answer = client.chat.completions.create(model=self.name, messages=messages, tools=tools)
            return answer.choices[0].message

        _chat(complete, system, user, calls, saw)


@dataclass(frozen=True, slots=True)
class Anthropic:
    """A real model, through Anthropic's SDK."""

    name: str

    def work(self, system: str, user: str, calls: Calls, saw: Saw) -> None:
        """One conversation, until the model makes no more calls."""
        from anthropic import Anthropic as Client

        client: Any = Client()
        messages: list[Any] = [{"role": "user", "content": user}]
        for _ in range(TURNS):
            message = client.messages.create(
                model=self.name, max_tokens=2000, system=system, messages=messages, tools=calls.anthropic_tools()
            )
            messages.append({"role": "assistant", "content": message.content})
            results = calls.anthropic_results(message)
            if not results:
                return
            messages += results
            uses = [part for part in message.content if part.type == "tool_use"]
            for use, result in zip(uses, results[0]["content"], strict=True):
                saw(use.name, use.input, result["content"])


def _chat(
    complete: Callable[[list[Any], list[dict[str, Any]]], Any], system: str, user: str, calls: Calls, saw: Saw
) -> None:
    messages: list[Any] = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    for _ in range(TURNS):
        message = complete(messages, calls.openai_tools())
        messages.append(message)
        results = calls.openai_results(message)
        if not results:
            return
        messages += results
        for proposed, result in zip(openai.chat_proposals(message), results, strict=True):
            arguments = proposed.arguments if isinstance(proposed, Proposal) else {}
            saw(proposed.name, arguments, result["content"])


def real(environment: Mapping[str, str] = os.environ) -> Agent | None:
    """The real model that a key is there for; None without one."""
    chosen = environment.get("INTERLOCK_DEMO_MODEL", "")
    if environment.get("OPENAI_API_KEY"):
        return OpenAI(chosen or OPENAI_MODEL)
    if environment.get("ANTHROPIC_API_KEY"):
        return Anthropic(chosen or ANTHROPIC_MODEL)
    return None


def told(arguments: Mapping[str, Any]) -> str:
    """Arguments in one line."""
    return ", ".join(v if isinstance(v, str) else json.dumps(v) for v in arguments.values() if v is not None)
