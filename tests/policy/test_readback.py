"""Templates and comparisons of outcome contracts."""

from __future__ import annotations

import pytest

from interlock.kernel.call import Json
from interlock.policy.errors import PolicyError
from interlock.policy.load import policy_from
from interlock.policy.readback import Readback, TemplateError, Verdict, filled, same
from tests.monitor.world import MANIFEST

CALL: Json = {"to": "bob", "items": [{"id": 1}, {"id": 2}]}
RESULT: Json = {"id": "m7"}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("plain", "plain"),
        ("$$5", "$5"),
        ("$result.id", "m7"),
        ("$arguments.items.1.id", 2),
        ("$arguments", CALL),
        ({"a": ["$arguments.to"]}, {"a": ["bob"]}),
        (None, None),
    ],
)
def test_templates(template: Json, value: Json) -> None:
    assert filled(template, CALL, RESULT) == value


@pytest.mark.parametrize("template", ["$result.none", "$arguments.items.*.id", "$arguments.items.9", "$other.x"])
def test_what_is_not_there_is_no_value(template: str) -> None:
    with pytest.raises(TemplateError):
        filled(template, CALL, RESULT)


@pytest.mark.parametrize(
    ("expect", "found", "verdict"),
    [
        ({"to": "$arguments.to"}, {"to": "bob"}, "verified"),
        ({"to": "$arguments.to"}, {"to": "eve"}, "failed"),
        ({"to": "$arguments.to"}, {}, "failed"),
        ({"mails.*.id": "$result.id"}, {"mails": [{"id": "m6"}, {"id": "m7"}]}, "verified"),
        ({"mails.*.id": "$result.id"}, {"mails": []}, "failed"),
        ({"id": "$result.id", "to": "bob"}, {"id": "m7", "to": "eve"}, "failed"),
        ({"id": "$result.missing"}, {"id": "m7"}, "unknown"),
        ({"n": 1}, {"n": True}, "failed"),
        ({"n": 1}, {"n": 1.0}, "verified"),
    ],
)
def test_verdicts(expect: dict[str, Json], found: Json, verdict: Verdict) -> None:
    assert Readback(tool="x", arguments={}, expect=expect).judge(found, CALL, RESULT) == verdict


def test_true_is_not_one_at_any_depth() -> None:
    assert not same({"a": [1]}, {"a": [True]})
    assert same({"a": [1, {"b": None}]}, {"a": [1.0, {"b": None}]})


@pytest.mark.parametrize(
    ("verify", "told"),
    [
        ({"send": {"tool": "none", "expect": {"a": 1}}}, "`verify` names the unknown tool `none`"),
        ({"none": {"tool": "read_mail", "expect": {"a": 1}}}, "`verify` names the unknown tool `none`"),
        ({"send": {"tool": "destroy", "expect": {"a": 1}}}, "`destroy` reads back `send`, but its effect is `destroy`"),
        ({"send": {"tool": "read_mail", "expect": {"a": "$to"}}}, "`$to` is no template"),
        ({"send": {"tool": "read_mail", "expect": {}}}, "`verify.send.expect` is empty"),
        (
            {
                "send": {"tool": "read_mail", "expect": {"a": 1}},
                "read_mail": {"tool": "read_mail", "expect": {"a": 1}},
            },
            "`read_mail` is verified itself",
        ),
    ],
)
def test_a_contract_that_cannot_hold_stops_start_up(verify: Json, told: str) -> None:
    with pytest.raises(PolicyError, match=told.replace("$", r"\$")):
        policy_from({**MANIFEST, "verify": verify})


def test_an_agent_that_cannot_read_back_stops_start_up() -> None:
    agents = {**MANIFEST["agents"], "writer": {"tools": ["send"]}}  # type: ignore[dict-item]
    with pytest.raises(PolicyError, match="agent `writer` has `send` but not `read_mail`"):
        policy_from({**MANIFEST, "agents": agents, "verify": {"send": {"tool": "read_mail", "expect": {"a": 1}}}})
