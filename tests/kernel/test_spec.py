"""What nobody said of a tool is read the unsafe way, and a description that contradicts itself is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.kernel.labels import Integrity
from interlock.kernel.spec import ORIGINS, Argument, Condition, Effect, Returns, Role, Show, ToolSpec
from tests.kernel.strategies import effects

roles = st.sampled_from([role for role in Role if role is not Role.ID])
paths = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=3).map(".".join)


@given(st.dictionaries(paths, roles, max_size=4), paths)
def test_an_argument_is_what_its_longest_listed_path_says(listed: dict[str, Role], path: str) -> None:
    spec = ToolSpec(name="t", arguments=tuple(Argument(path=p, role=r) for p, r in listed.items()))
    steps = path.split(".")
    covering = [".".join(steps[:n]) for n in range(len(steps), 0, -1) if ".".join(steps[:n]) in listed]
    assert spec.argument(path).role is (listed[covering[0]] if covering else Role.UNKNOWN)


@given(effects)
def test_an_effect_is_first_in_its_own_group_and_all_but_read_are_effects(effect: Effect) -> None:
    assert effect.groups[0] == effect.value
    assert ("effect" in effect.groups) == (effect is not Effect.READ)


def test_only_amounts_and_options_take_any_origin() -> None:
    anybody = {role for role in Role if Integrity.EXTERNAL in ORIGINS[role]}
    assert anybody == {Role.AMOUNT, Role.OPTION}
    assert set(ORIGINS) == set(Role)


def test_what_is_left_out_is_the_unsafe_case() -> None:
    spec = ToolSpec(name="t")
    assert spec.effect is Effect.EGRESS
    assert spec.argument("x").role is Role.UNKNOWN
    assert spec.returns == Returns()
    assert spec.returns.own == spec.returns.typed == ()
    assert spec.returns.when == ()


def test_show_is_parsed_and_kept() -> None:
    given_ = {"body": "handle"}
    returns = Returns(show=given_)  # type: ignore[arg-type]  # as a manifest has it
    given_["body"] = "inline"
    assert returns.show == {"body": Show.HANDLE}
    with pytest.raises(ValueError, match="hide"):
        Returns(show={"body": "hide"})  # type: ignore[dict-item]


@pytest.mark.parametrize("operator", ["==", "in", "<="])
def test_conditions_have_three_operators(operator: str) -> None:
    assert Condition(field="a", operator=operator, fields=("b",)).operator == operator
