"""Typed comparison: tables of values that must be vouched for, and of those that must not."""

from typing import Any

import pytest

from interlock.kernel.spec import Effect, Role, ToolSpec
from interlock.provenance import dates, kinds
from interlock.provenance.dates import Day
from tests.provenance.runs import World, cases, reader, role_argument

VALUES = cases("values")
ACTIONABLE = cases("actionable")


def world(case: dict[str, Any]) -> World:
    kind = case.get("kind", "")
    act = ToolSpec(
        name="act", effect=Effect.WRITE, arguments=(role_argument("x", case["role"], kind, case.get("origins")),)
    )
    other = ToolSpec(name="other", arguments=(role_argument("x", "id", "file"),))
    orders = reader("orders", object="order", id=("id",), own=("id",))
    run = World(act, other, orders, reader("service", own=(".",)))
    if "user" in case:
        run.user(case["user"])
    if "own" in case:
        run.returned("service", case["own"])
    if "seen" in case:
        run.returned("orders", [{"id": case["seen"]}])
    run.ledger.read("something else that others wrote", "mail")
    return run


@pytest.mark.parametrize("case", VALUES, ids=[c["id"] for c in VALUES])
def test_a_value_is_vouched_for_whole_and_by_its_kind_or_not_at_all(case: dict[str, Any]) -> None:
    bound = world(case).bind("act", x=case["value"]).arguments[0]
    assert ("vouched" if bound.vouched else "refused") == case["expect"], f"{case['why']} ({bound.why})"


@pytest.mark.parametrize("case", ACTIONABLE, ids=[c["id"] for c in ACTIONABLE])
def test_free_text_hides_no_link_address_or_account(case: dict[str, Any]) -> None:
    found = {value for _, value in kinds.actionable(case["input"])}
    assert set(case["expect"]) == found, case["why"]


@pytest.mark.parametrize("case", ACTIONABLE, ids=[c["id"] for c in ACTIONABLE])
def test_what_free_text_could_act_on_is_refused_unless_the_user_said_it(case: dict[str, Any]) -> None:
    run = world({"role": "text", "user": case.get("user", "Write a note")})
    bound = run.bind("act", x=case["input"]).arguments[0]
    assert bound.vouched == case.get("vouched", not case["expect"] or "user" in case), case["why"]
    assert bool(bound.culprits) != bound.vouched


def test_ids_of_the_corpora_are_unique() -> None:
    for topic in ("values", "actionable", "dates", "pointing", "labels", "laundering"):
        ids = [c["id"] for c in cases(topic)]
        assert len(ids) == len(set(ids)), topic


DATES = cases("dates")


@pytest.mark.parametrize("case", DATES, ids=[c["id"] for c in DATES])
def test_a_time_is_one_that_the_user_said(case: dict[str, Any]) -> None:
    run = world({"role": "time"})
    if "today" in case:
        run = World(run.tools["act"], reader("clock", object="now", own=(".",)))
        run.user(case["user"])
        run.returned("clock", case["today"])
        run.ledger.read("something else", "mail")
    else:
        run.user(case["user"])
    bound = run.bind("act", x=case["value"]).arguments[0]
    assert ("vouched" if bound.vouched else "refused") == case["expect"], case["why"]


def test_a_range_has_bounded_length() -> None:
    found = dates.when("from 1 January 2024 to 31 December 2024")
    assert len(found.days) <= dates.MAX_RANGE + 2
    assert Day(2024, 1, 1) in found.days


def test_every_role_is_in_the_table() -> None:
    assert {c["role"] for c in VALUES} | {"time", "title", "text", "option"} == {str(r) for r in Role}
