"""K9, first half: one digest stands for exactly one call, and what two parties could read differently is no call."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.kernel.call import MAX_DEPTH, MAX_INT, canonical, digest_of, freeze, thaw
from interlock.kernel.errors import CallError
from tests.kernel import invariants
from tests.kernel.invariants import call_of, nested, no_call
from tests.kernel.strategies import arguments, hidden, json_values, near_misses, not_json, texts


@given(arguments, arguments)
def test_k9_digests_are_equal_exactly_for_equal_arguments(a: dict[str, Any], b: dict[str, Any]) -> None:
    invariants.k9_digests_tell_values(a, b)


@given(near_misses, near_misses, st.data())
def test_k9_near_misses_deep_inside_are_told_apart(a: Any, b: Any, data: st.DataObject) -> None:
    around = data.draw(hidden(st.just("HERE")))

    def with_(value: Any, inside: Any) -> Any:
        match inside:
            case "HERE":
                return value
            case dict():
                return {k: with_(value, v) for k, v in inside.items()}
            case list() | tuple():
                return [with_(value, v) for v in inside]
            case _:
                return inside

    invariants.k9_digests_tell_values({"x": with_(a, around)}, {"x": with_(b, around)})


@given(st.sampled_from(["agent", "principal", "run"]), texts, texts)
def test_k9_digests_tell_agent_principal_and_run(field: str, a: str, b: str) -> None:
    invariants.k9_digests_tell_names(field, "x" + a, "x" + b)


@given(arguments)
def test_k9_key_order_and_tuples_mean_nothing(value: dict[str, Any]) -> None:
    shuffled = {k: tuple(v) if isinstance(v, list) else v for k, v in reversed(value.items())}
    assert call_of(shuffled).digest == call_of(value).digest


@given(arguments)
def test_arguments_are_immutable_all_the_way_down(value: dict[str, Any]) -> None:
    invariants.arguments_stay(copy.deepcopy(value))


@given(json_values)
def test_freezing_and_thawing_lose_nothing(value: Any) -> None:
    assert json.dumps(thaw(freeze(value))) == json.dumps(value)
    assert json.loads(canonical(value)) == value
    assert digest_of(value) == digest_of(thaw(freeze(value)))


@given(hidden(not_json))
def test_what_two_readers_could_read_differently_is_no_call(value: Any) -> None:
    no_call(value)


@given(st.integers(MAX_DEPTH - 1, 3 * MAX_DEPTH))
def test_bottomless_nesting_is_no_call(depth: int) -> None:
    no_call(nested(depth))


def test_nesting_far_beyond_python_s_own_limit_is_refused_like_any_other() -> None:
    no_call(nested(100_000))


@given(st.integers(-MAX_INT, MAX_INT))
def test_64_bits_pass(value: int) -> None:
    assert call_of({"x": value}).arguments["x"] == value


def test_messages_name_the_place() -> None:
    with pytest.raises(CallError, match=r"`arguments\.items\.id` is an integer beyond 64 bits; pass it as text"):
        call_of({"items": [{"id": 2**63}]})
