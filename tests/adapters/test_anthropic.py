"""`adapters/anthropic.py`: nothing that could be a call is skipped, every call is answered once."""

from types import SimpleNamespace
from typing import Any

import pytest

from interlock.adapters.anthropic import anthropic_proposals, anthropic_results, anthropic_tools
from interlock.adapters.errors import ToolError, WireError
from interlock.adapters.functions import Tool
from interlock.adapters.proposal import Answer, Proposal, Unreadable


def look(city: str, days: int = 1) -> str:
    """Tell the weather."""
    return f"{city} {days}"


def now(city: str) -> str:
    """Tell the weather now."""
    return city


def test_tools() -> None:
    tool = Tool.from_function(look)
    assert anthropic_tools([tool]) == [
        {"name": "look", "description": "Tell the weather.", "input_schema": tool.parameters}
    ]
    assert anthropic_tools([Tool.from_function(now)], strict=True)[0]["strict"] is True
    with pytest.raises(ToolError, match="`look` cannot be strict: `days`"):
        anthropic_tools([tool], strict=True)
    with pytest.raises(ToolError, match="no name for this provider"):
        anthropic_tools([Tool.from_function(look, name="a.b")])


def use(call_id: str, given: Any, **more: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "look", "input": given} | more


def message(*blocks: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks), "stop_reason": "tool_use"} | more


def as_objects(value: dict[str, Any]) -> SimpleNamespace:
    """As the SDK has it: objects down to the blocks, a dictionary as `input`."""
    blocks = value["content"]
    return SimpleNamespace(
        **value | {"content": [SimpleNamespace(**block) for block in blocks] if isinstance(blocks, list) else blocks}
    )


BLOCKS = [
    {"type": "thinking", "thinking": "..."},
    {"type": "text", "text": "Wait."},
    use("t2", {"city": "Rome"}, caller={"type": "direct"}),
    use("t1", {"city": float("nan")}),
]


@pytest.mark.parametrize("shape", [dict, as_objects])
def test_calls_in_order_and_their_results(shape: Any) -> None:
    proposed = anthropic_proposals(shape(message(*BLOCKS)))
    assert proposed == [
        Proposal(id="t2", name="look", arguments={"city": "Rome"}),
        Unreadable(id="t1", name="look", problem="`arguments.city` is not a finite number"),
    ]
    assert anthropic_results(proposed, [Answer({"sky": "é"}), Answer("no", failed=True)]) == [
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t2", "content": '{"sky": "é"}', "is_error": False},
                {"type": "tool_result", "tool_use_id": "t1", "content": "no", "is_error": True},
            ],
        }
    ]


def test_no_calls_no_message() -> None:
    assert anthropic_proposals(message({"type": "text", "text": "Hello."})) == []
    assert anthropic_proposals({"role": "assistant", "content": "Hello."}) == []
    assert anthropic_results([], []) == []


@pytest.mark.parametrize("reason", ["max_tokens", "model_context_window_exceeded"])
def test_a_call_that_was_cut_off_is_not_taken_for_whole(reason: str) -> None:
    whole, cut = anthropic_proposals(message(use("t1", {"city": "Rome"}), use("t2", {}), stop_reason=reason))
    assert whole == Proposal(id="t1", name="look", arguments={"city": "Rome"})
    assert cut == Unreadable(id="t2", name="look", problem="the call was cut off")


@pytest.mark.parametrize(
    "kind",
    [
        "server_tool_use",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "tool_search_tool_result",
        "container_upload",
        "mcp_tool_use",
        "something_new",
    ],
)
def test_blocks_that_cannot_be_mediated_are_refused_by_name(kind: str) -> None:
    for shape in (dict, as_objects):
        with pytest.raises(WireError, match=f"a block `{kind}`"):
            anthropic_proposals(shape(message(use("t1", {}), {"type": kind})))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (message(use("t1", {}, caller={"type": "code_execution_20260120"})), "comes from `code_execution_20260120`"),
        (message(use("t1", {}, toolset_name="crm")), "`toolset_name`"),
        (message(use("t1", {}), use("t1", {})), "share an id"),
        (message(use("", {})), "has no id"),
        (message("text"), "a block `None`"),
        (message(role="user"), "no assistant message"),
        ({"role": "assistant", "content": None}, "not a list of blocks"),
        (None, "no assistant message"),
    ],
)
def test_messages_that_cannot_be_mediated(wrong: Any, says: str) -> None:
    with pytest.raises(WireError, match=says):
        anthropic_proposals(wrong)


@pytest.mark.parametrize("given", ['{"city": "Rome"}', None, [], 7])
def test_input_that_is_no_object_is_a_problem(given: Any) -> None:
    (proposed,) = anthropic_proposals(message(use("t1", given)))
    assert proposed == Unreadable(id="t1", name="look", problem="`arguments` must be a JSON object")


def test_a_call_without_an_answer_is_an_error() -> None:
    with pytest.raises(WireError, match="exactly one"):
        anthropic_results(anthropic_proposals(message(use("t1", {}))), [])
