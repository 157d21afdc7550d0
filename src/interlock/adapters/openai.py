"""OpenAI's two shapes, Chat Completions and Responses: tools out, calls in, results out.

Takes what the SDK returns, its accumulated streams, or the same as dictionaries; imports no SDK. A call that the
provider has run itself, or that could not be judged as a function call, is refused by name, never skipped: skipping it
would leave something unmediated that looks mediated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from interlock.adapters.errors import WireError
from interlock.adapters.functions import Tool, provider_names
from interlock.adapters.proposal import Answer, Proposed, Unreadable, answered, each_once, part, propose
from interlock.kernel.call import Json

MAX_NAME = 64
HARMLESS_ITEMS = frozenset({"message", "reasoning"})  # of a response's output; everything else may be a call


def chat_tools(tools: Iterable[Tool], *, strict: bool = False) -> list[dict[str, Any]]:
    """`tools=` of `client.chat.completions.create`.

    Raises:
        ToolError: a name that the provider does not take, or a schema that does not fit `strict`.
    """
    return [
        {"type": "function", "function": _function(tool, strict=strict)} for tool in provider_names(tools, MAX_NAME)
    ]


def responses_tools(tools: Iterable[Tool], *, strict: bool = False) -> list[dict[str, Any]]:
    """`tools=` of `client.responses.create`. `strict` is always said: left out, this API takes it for true.

    Raises:
        ToolError: as `chat_tools`.
    """
    return [{"type": "function"} | _function(tool, strict=strict) for tool in provider_names(tools, MAX_NAME)]


def _function(tool: Tool, *, strict: bool) -> dict[str, Any]:
    if strict:
        tool.check_strict()
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters, "strict": strict}


def chat_proposals(message: object) -> list[Proposed]:
    """The calls in `completion.choices[0].message`, in order.

    Raises:
        WireError: no assistant message, a kind of call that is not a function call, calls that cannot be answered.
    """
    if part(message, "role") != "assistant":
        raise WireError("this is no assistant message; pass `completion.choices[0].message`")
    if part(message, "function_call"):
        raise WireError("the message has a legacy `function_call`; declare `tools` instead of `functions`")
    if part(message, "annotations"):
        raise WireError("the message has `annotations`: the provider has searched the web past the monitor")
    proposed = []
    for call in _listed(part(message, "tool_calls"), "tool_calls"):
        # Streams accumulated by hand often lack the type; a call that has a function and no type is a function call.
        kind = part(call, "type") or "function"
        function = part(call, "function")
        if kind != "function" or function is None:
            raise WireError(f"the message has a `{kind}` tool call, which is not mediated; declare function tools only")
        proposed.append(propose(part(call, "id"), part(function, "name"), _text(part(function, "arguments"))))
    return each_once(proposed)


def responses_proposals(response: object) -> list[Proposed]:
    """The function calls in a response's `output`, in order.

    Raises:
        WireError: no response, an output item that is neither text nor a function call of the model itself, calls
            that cannot be answered.
    """
    output = part(response, "output")
    if output is None:
        raise WireError("this is no response: it has no `output`; pass what `client.responses.create` returned")
    proposed: list[Proposed] = []
    for item in _listed(output, "output"):
        kind = part(item, "type")
        if kind in HARMLESS_ITEMS:
            continue
        if kind != "function_call":
            raise WireError(f"the response has an item `{kind}`, which is not mediated; declare function tools only")
        if (caller := part(item, "caller")) is not None and part(caller, "type") != "direct":
            raise WireError(f"a function call comes from a `{part(caller, 'type')}`, which is not mediated")
        if part(item, "namespace"):
            raise WireError("a function call has a `namespace`; two tools could share its name")
        call = propose(part(item, "call_id"), part(item, "name"), _text(part(item, "arguments")))
        if part(item, "status") == "incomplete":
            call = Unreadable(id=call.id, name=call.name, problem="the call was cut off")
        proposed.append(call)
    return each_once(proposed)


def _text(arguments: object) -> object:
    """What this API carries as text is read as text; an object in its place has been read by somebody else."""
    return arguments if isinstance(arguments, str) else None


def _listed(value: object, name: str) -> Sequence[object]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise WireError(f"`{name}` is a {type(value).__name__}, not a list")
    return value


def chat_results(proposed: Sequence[Proposed], answers: Sequence[Answer]) -> list[dict[str, Json]]:
    """The messages to append after the assistant's: one for each call.

    Raises:
        WireError: not exactly one answer for each call.
    """
    return [
        {"role": "tool", "tool_call_id": call.id, "content": answer.text}
        for call, answer in answered(proposed, answers)
    ]


def responses_results(proposed: Sequence[Proposed], answers: Sequence[Answer]) -> list[dict[str, Json]]:
    """The input items to append after the response's output: one for each call.

    Raises:
        WireError: not exactly one answer for each call.
    """
    return [
        {"type": "function_call_output", "call_id": call.id, "output": answer.text}
        for call, answer in answered(proposed, answers)
    ]
