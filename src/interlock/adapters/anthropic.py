"""Anthropic's Messages: tools out, calls in, results out.

Takes what the SDK returns, its accumulated streams, or the same as dictionaries; imports no SDK. Blocks of tools that
the provider has run itself (`server_tool_use` and its results) are refused by name, never skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from interlock.adapters.errors import WireError
from interlock.adapters.functions import Tool, provider_names
from interlock.adapters.proposal import Answer, Proposed, Unreadable, answered, each_once, part, propose

MAX_NAME = 128
HARMLESS_BLOCKS = frozenset({"text", "thinking", "redacted_thinking"})
CUT_OFF = frozenset({"max_tokens", "model_context_window_exceeded"})  # the last call of such a message may be half one


def anthropic_tools(tools: Iterable[Tool], *, strict: bool = False) -> list[dict[str, Any]]:
    """`tools=` of `client.messages.create`.

    Raises:
        ToolError: a name that the provider does not take, or a schema that does not fit `strict`.
    """
    listed = []
    for tool in provider_names(tools, MAX_NAME):
        entry: dict[str, Any] = {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
        if strict:
            tool.check_strict()
            entry["strict"] = True
        listed.append(entry)
    return listed


def anthropic_proposals(message: object) -> list[Proposed]:
    """The `tool_use` blocks of a message, in order.

    Raises:
        WireError: no assistant message, a block that is neither text nor a call of the model itself, calls that cannot
            be answered.
    """
    if part(message, "role") != "assistant":
        raise WireError("this is no assistant message; pass what `client.messages.create` returned")
    content = part(message, "content")
    if isinstance(content, str):
        return []
    if not isinstance(content, list | tuple):
        raise WireError(f"`content` is a {type(content).__name__}, not a list of blocks")
    proposed: list[Proposed] = []
    for block in content:
        kind = part(block, "type")
        if kind in HARMLESS_BLOCKS:
            continue
        if kind != "tool_use":
            raise WireError(f"the message has a block `{kind}`, which is not mediated; declare client tools only")
        if (caller := part(block, "caller")) is not None and part(caller, "type") != "direct":
            raise WireError(f"a tool call comes from `{part(caller, 'type')}`, which is not mediated")
        if part(block, "toolset_name"):
            raise WireError("a tool call has a `toolset_name`; two tools could share its name")
        given = part(block, "input")
        call = propose(part(block, "id"), part(block, "name"), given if isinstance(given, Mapping) else None)
        if block is content[-1] and part(message, "stop_reason") in CUT_OFF:
            call = Unreadable(id=call.id, name=call.name, problem="the call was cut off")
        proposed.append(call)
    return each_once(proposed)


def anthropic_results(proposed: Sequence[Proposed], answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """The messages to append after the assistant's: one user message with all results, none if there were no calls.

    Raises:
        WireError: not exactly one answer for each call.
    """
    blocks = [
        {"type": "tool_result", "tool_use_id": call.id, "content": answer.text, "is_error": answer.failed}
        for call, answer in answered(proposed, answers)
    ]
    return [{"role": "user", "content": blocks}] if blocks else []
