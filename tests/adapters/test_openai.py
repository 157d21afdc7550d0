"""`adapters/openai.py`: nothing that could be a call is skipped, every call is answered once."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Literal

import pydantic
import pytest

from interlock.adapters.errors import ToolError, WireError
from interlock.adapters.functions import Tool
from interlock.adapters.openai import (
    chat_proposals,
    chat_results,
    chat_tools,
    responses_proposals,
    responses_results,
    responses_tools,
)
from interlock.adapters.proposal import Answer, Proposal, Unreadable


class Place(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    city: str


def weather(place: Place, unit: Literal["C", "F"]) -> str:
    """Tell the weather."""
    return f"{place.city} {unit}"


def later(days: int = 1) -> str:
    """Tell the weather to come."""
    return str(days)


def as_objects(value: Any) -> Any:
    """The same with attributes instead of keys, as the SDK's models have them."""
    match value:
        case dict():
            return SimpleNamespace(**{name: as_objects(item) for name, item in value.items()})
        case list():
            return [as_objects(item) for item in value]
        case _:
            return value


SHAPES: list[Callable[[Any], Any]] = [lambda value: value, as_objects]

WEATHER = Tool.from_function(weather)
LATER = Tool.from_function(later)


def test_tools_for_both_apis() -> None:
    function = {
        "name": "weather",
        "description": "Tell the weather.",
        "parameters": WEATHER.parameters,
        "strict": False,
    }
    assert chat_tools([WEATHER]) == [{"type": "function", "function": function}]
    assert responses_tools([WEATHER]) == [{"type": "function"} | function]


def test_strict_is_said_only_of_a_schema_that_is() -> None:
    assert chat_tools([WEATHER], strict=True)[0]["function"]["strict"] is True
    assert responses_tools([WEATHER], strict=True)[0]["strict"] is True
    with pytest.raises(ToolError, match="`later` cannot be strict: `days` of the arguments is optional"):
        chat_tools([WEATHER, LATER], strict=True)

    class Open(pydantic.BaseModel):
        city: str

    def look(places: list[Open]) -> None: ...

    with pytest.raises(ToolError, match="`Open` may have more properties"):
        responses_tools([Tool.from_function(look)], strict=True)


@pytest.mark.parametrize("name", ["shop.order", "x" * 65, "mcp/tool", "a:b"])
def test_a_name_the_provider_does_not_take_is_refused(name: str) -> None:
    with pytest.raises(ToolError, match="no name for this provider"):
        chat_tools([Tool.from_function(weather, name=name)])


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ToolError, match="two tools are named `weather`"):
        responses_tools([WEATHER, WEATHER])


def call(call_id: str, arguments: str, name: str = "weather") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def message(*calls: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(calls)} | more


def item(call_id: str, arguments: str, **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "id": "fc", "call_id": call_id, "name": "weather", "arguments": arguments} | more


@pytest.mark.parametrize("shape", SHAPES, ids=["dictionaries", "objects"])
def test_chat_calls_in_order_and_their_results(shape: Callable[[Any], Any]) -> None:
    proposed = chat_proposals(shape(message(call("c2", '{"a": 1}'), call("c1", "{"), content="Wait.")))
    assert proposed == [
        Proposal(id="c2", name="weather", arguments={"a": 1}),
        Unreadable(id="c1", name="weather", problem="`arguments` are not valid JSON"),
    ]
    assert chat_results(proposed, [Answer({"sky": "é"}), Answer("no", failed=True)]) == [
        {"role": "tool", "tool_call_id": "c2", "content": '{"sky": "é"}'},
        {"role": "tool", "tool_call_id": "c1", "content": "no"},
    ]


@pytest.mark.parametrize("shape", SHAPES, ids=["dictionaries", "objects"])
def test_response_calls_in_order_and_their_results(shape: Callable[[Any], Any]) -> None:
    output = [
        {"type": "reasoning", "id": "r", "summary": []},
        item("c2", '{"a": 1}', status="completed", caller={"type": "direct"}),
        {"type": "message", "role": "assistant", "content": []},
        item("c1", "{"),
        item("c3", '{"a": 1}', status="incomplete"),
    ]
    proposed = responses_proposals(shape({"output": output}))
    assert proposed == [
        Proposal(id="c2", name="weather", arguments={"a": 1}),
        Unreadable(id="c1", name="weather", problem="`arguments` are not valid JSON"),
        Unreadable(id="c3", name="weather", problem="the call was cut off"),
    ]
    assert responses_results(proposed, [Answer([1]), Answer("no"), Answer("no")]) == [
        {"type": "function_call_output", "call_id": "c2", "output": "[1]"},
        {"type": "function_call_output", "call_id": "c1", "output": "no"},
        {"type": "function_call_output", "call_id": "c3", "output": "no"},
    ]


def test_no_calls_no_proposals_no_results() -> None:
    assert chat_proposals({"role": "assistant", "content": "Hello."}) == []
    assert chat_proposals({"role": "assistant", "content": "Hello.", "tool_calls": None, "function_call": None}) == []
    assert responses_proposals({"output": []}) == []
    assert chat_results([], []) == responses_results([], []) == []


@pytest.mark.parametrize("shape", SHAPES, ids=["dictionaries", "objects"])
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (message(function_call={"name": "weather", "arguments": "{}"}), "legacy `function_call`"),
        (message({"id": "c1", "type": "custom", "custom": {"name": "x", "input": "y"}}), "a `custom` tool call"),
        (message({"id": "c1", "type": "shell", "function": {"name": "x", "arguments": "{}"}}), "a `shell` tool call"),
        (message({"id": "c1", "type": "function"}), "tool call"),
        (message(annotations=[{"type": "url_citation"}]), "searched the web"),
        (message(call("c1", "{}"), call("c1", "{}")), "share an id"),
        (message(call("", "{}")), "has no id"),
        (message(tool_calls="none"), "not a list"),
        ({"role": "user", "content": "x"}, "no assistant message"),
        ({"choices": []}, "no assistant message"),
    ],
)
def test_chat_messages_that_cannot_be_mediated(wrong: Any, says: str, shape: Callable[[Any], Any]) -> None:
    with pytest.raises(WireError, match=says):
        chat_proposals(shape(wrong))


PROVIDER_RUN = [
    "web_search_call",
    "file_search_call",
    "computer_call",
    "code_interpreter_call",
    "image_generation_call",
    "local_shell_call",
    "shell_call",
    "apply_patch_call",
    "mcp_call",
    "mcp_list_tools",
    "mcp_approval_request",
    "custom_tool_call",
    "program",
    "tool_search_call",
    "additional_tools",
    "something_new",
]


@pytest.mark.parametrize("kind", PROVIDER_RUN)
def test_items_of_a_response_that_cannot_be_mediated_are_refused_by_name(kind: str) -> None:
    for shape in SHAPES:
        with pytest.raises(WireError, match=f"an item `{kind}`"):
            responses_proposals(shape({"output": [item("c1", "{}"), {"type": kind, "id": "x"}]}))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"choices": []}, "no `output`"),
        (None, "no `output`"),
        ({"output": "text"}, "not a list"),
        ({"output": ["text"]}, "an item `None`"),
        ({"output": [item("c1", "{}", caller={"type": "program"})]}, "comes from a `program`"),
        ({"output": [item("c1", "{}", namespace="crm")]}, "`namespace`"),
        ({"output": [item("c1", "{}"), item("c1", "{}")]}, "share an id"),
        ({"output": [item("", "{}")]}, "has no id"),
    ],
)
def test_responses_that_cannot_be_mediated(wrong: Any, says: str) -> None:
    with pytest.raises(WireError, match=says):
        responses_proposals(wrong)


@pytest.mark.parametrize("given", [{"a": 1}, None, 7])
def test_arguments_somebody_else_has_read_are_no_arguments(given: Any) -> None:
    (chat,) = chat_proposals(message(call("c1", given)))
    (response,) = responses_proposals({"output": [item("c1", given)]})
    assert chat == response == Unreadable(id="c1", name="weather", problem="`arguments` must be a JSON object")


@pytest.mark.parametrize("results", [chat_results, responses_results])
def test_a_call_without_an_answer_is_an_error(results: Callable[..., Any]) -> None:
    proposed = chat_proposals(message(call("c1", "{}"), call("c2", "{}")))
    with pytest.raises(WireError, match="exactly one"):
        results(proposed, [Answer("one")])
