"""Loops: the table, and what holds for every sequence."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.kernel.call import freeze
from interlock.limits.errors import TermsError
from interlock.limits.loop import MEMORY, Settings, Trail

CASES = tomllib.loads((Path(__file__).parent.parent / "corpora" / "loops.toml").read_text())["case"]
SETTINGS = Settings(polling=frozenset({"poll"}))


def word(n: int) -> str:
    return "".join(chr(97 + n // 26**k % 26) for k in range(3))


def filled(value: Any, n: int) -> Any:
    if isinstance(value, dict):
        return {k: filled(v, n) for k, v in value.items()}
    if isinstance(value, str):
        return value.replace("{n}", str(n)).replace("{w}", word(n)).replace("{long}", "lorem ipsum " * 300)
    return value


def judged(case: dict[str, Any], settings: Settings = SETTINGS) -> str:
    trail, worst = Trail(), "pass"
    for n in range(case["times"]):
        for tool, arguments, result in case["calls"]:
            some: Any = freeze(filled(arguments, n))
            alarm = trail.saw(tool, some, filled(result, n), settings, idle=tool in {"look", "fail"})
            if alarm is not None:
                worst = "halt" if alarm.halt or worst == "halt" else "warn"
    return worst


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_the_table(case: dict[str, Any]) -> None:
    assert judged(case) == case["expect"]


def test_ids_are_unique_and_both_sides_are_there() -> None:
    assert len({case["id"] for case in CASES}) == len(CASES)
    assert {case["expect"] for case in CASES} == {"pass", "warn", "halt"}


def test_halting_can_be_switched_off_by_kind() -> None:
    never = Settings(repeat=(3, 0), cycle=(3, 0), jitter=(6, 0), stuck=(10, 0))
    assert judged(CASES[0] | {"times": 100}, never) == "warn"


@pytest.mark.parametrize("pair", [(1, 5), (0, 0), (5, 3), (3, 1)])
def test_settings_that_cannot_be_meant(pair: tuple[int, int]) -> None:
    with pytest.raises(TermsError):
        Settings(repeat=pair)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), max_size=300))
def test_memory_is_bounded_and_a_result_that_is_always_new_never_alarms(steps: list[tuple[str, str]]) -> None:
    trail, fresh = Trail(), Trail()
    for n, (query, result) in enumerate(steps):
        arguments: Any = freeze({"q": query})
        trail.saw("look", arguments, result, SETTINGS, idle=True)
        assert fresh.saw("look", arguments, f"{result}{n}", SETTINGS, idle=True) is None
        assert len(trail.recent) <= MEMORY
        assert len(trail.known) <= MEMORY
        assert len(trail.since) <= MEMORY + 1
        assert sum(trail.known.values()) == len(trail.recent)


@given(st.integers(1, 4), st.data())
def test_every_short_cycle_halts_wherever_it_begins(length: int, data: st.DataObject) -> None:
    before = data.draw(st.integers(0, 80))
    trail = Trail()
    for n in range(before):
        assert trail.saw("act", freeze({"n": n}), f"r{n}", SETTINGS, idle=False) is None  # type: ignore[arg-type]
    alarms = [
        trail.saw("look", freeze({"q": word(n % length)}), f"same{n % length}", SETTINGS, idle=True)  # type: ignore[arg-type]
        for n in range(5 * length)
    ]
    assert any(alarm is not None and alarm.halt for alarm in alarms)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_any_arguments_are_spelled_out(value: Any) -> None:
    try:
        arguments: Any = freeze({"a": value})
    except Exception:  # noqa: BLE001 - no call can have them
        return
    trail = Trail()
    for _ in range(3):
        trail.saw("look", arguments, "r", SETTINGS, idle=True)
    alarm = trail.saw("look", arguments, "r", SETTINGS, idle=True)
    assert alarm is not None
