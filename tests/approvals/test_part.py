"""`approvals:` in a manifest: who may approve what; a need that nobody can meet stops the start."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from interlock.approvals.approvers import NAME, Need, approvers_of, check_name, same_person
from interlock.approvals.errors import NotYours
from interlock.approvals.stored import Limits, limits_of
from interlock.policy.part_approvals import ApprovalsPart

GROUPS = {"finance": ["ana@example.com", "ben@example.com"], "it": ["cem"]}


def part(**keys: Any) -> ApprovalsPart:
    return ApprovalsPart.model_validate({"approvers": GROUPS, **keys})


def test_groups_and_names_become_needs() -> None:
    approvers = approvers_of(
        part(tools={"send_money": {"by": ["finance"], "four_eyes": True}, "reboot": {"by": ["it", "ana@example.com"]}})
    )
    assert approvers.need("send_money") == Need(may=frozenset(GROUPS["finance"]), count=2)
    assert approvers.need("reboot").may == {"cem", "ana@example.com"}
    assert approvers.need("anything").may == {"cem", *GROUPS["finance"]}  # not: whoever comes along


def test_times_and_numbers_become_limits() -> None:
    assert limits_of(part(wait=5, expires=60, most=7, most_per_run=2)) == Limits(
        wait=5, life=60, most=7, most_per_run=2
    )
    assert limits_of(ApprovalsPart()) == Limits()


def test_without_approvers_every_approver_may() -> None:
    approvers = approvers_of(ApprovalsPart())
    assert approvers.need("anything") == Need(may=frozenset())
    assert approvers_of(ApprovalsPart.model_validate({"tools": {"x": {"four_eyes": True}}})).need("x").count == 2


@pytest.mark.parametrize(
    "keys",
    [
        {"approvers": {"finance": []}},
        {"approvers": {"finance": ["Ana"]}},
        {"approvers": {"finance": ["\u0430na"]}},
        {"approvers": {"finance": ["ana "]}},
        {"approvers": {"finance": ["ana\n"]}},
        {"tools": {"x": {"by": ["fnance"]}}},
        {"tools": {"x": {"by": ["cem"], "four_eyes": True}}},
        {"tools": {"x": {"by": ["it"], "four_eyes": True}}},
        {"tools": {"x": {"by": ["cem", "it"], "four_eyes": True}}},
        {"tools": {"x": {"four-eyes": True}}},
        {"tools": {"x y": {}}},
        {"wait": -1},
        {"wait": "60"},
        {"expires": 0},
        {"expires": float("inf")},
        {"most": 0},
        {"seal": "a literal key"},
        {"webhook": {"url": "https://example.com"}},
        {"webhook": {"url": "https://example.com", "secret": "a literal secret"}},
        {"stores": "x"},
    ],
    ids=str,
)
def test_what_nobody_can_meet_or_means_nothing_is_refused(keys: dict[str, Any]) -> None:
    part()
    with pytest.raises(ValidationError):
        part(**keys)


@pytest.mark.parametrize("name", ["ana", "ana@example.com", "a.b_c+d-e", "0"])
def test_names(name: str) -> None:
    assert check_name(name) == name
    assert NAME.fullmatch(name)


@pytest.mark.parametrize("name", ["", "Ana", "-ana", ".a", "ana b", "ana\n", "ана", "a" * 129, "ana\0", "ana,ben"])
def test_no_names(name: str) -> None:
    with pytest.raises(NotYours):
        check_name(name)


@pytest.mark.parametrize(
    ("approver", "principal", "same"),
    [
        ("ana", "ana", True),
        ("ana", "Ana", True),
        ("ana", "ana@example.com", True),
        ("ana@example.com", "ana", True),
        ("ana@example.com", "ANA@EXAMPLE.COM ", True),
        ("ana@example.com", "ana@example.org", False),
        ("ana", "anna", False),
        ("ana", "", False),
    ],
)
def test_who_may_be_one_human(approver: str, principal: str, same: bool) -> None:
    assert same_person(approver, principal) is same
