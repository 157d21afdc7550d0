"""What is wrong with the limits of a manifest is named, with its key and what would be right, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.policy.errors import PolicyError
from interlock.policy.load import load_policy

SCHEMAS = {"look": {"type": "object", "properties": {}}}
BUDGET = "write an amount per window, such as `40/run`, `5 USD/day` or `10 min/run`"
RATE = "write a count per second, minute, hour or day, such as `30/minute`"


def load(tmp_path: Path, agent: str, tool: str, top: str) -> None:
    (tmp_path / "interlock.yaml").write_text(
        f"version: 1\nagents: {{support: {{tools: [look]{agent}}}}}\ntools: {{look: {{effect: read{tool}}}}}\n{top}\n"
    )
    load_policy(tmp_path / "interlock.yaml", schemas=SCHEMAS)


@pytest.mark.parametrize(
    ("agent", "tool", "top"),
    [
        ("budgets: {calls: 40/run, tokens: [400k/day, 50k/day/principal], cost: 5.5 USD/month}", "", ""),
        ("budgets: {seconds: 10 min/run, bytes: 20 MiB/run}, rates: {calls: 30/minute burst 5}", "", ""),
        ("loops: false, depth: 3", "", ""),
        ("loops: {repeat: [3, 0], polling: [look]}", "", ""),
        ("", "rate: 10/minute, breaker: {}", ""),
        ("", "breaker: forced-open", ""),
        ("", "breaker: {window: 60, timed: true, failures: 0.1}", ""),
        ("", "", "tenants: {acme: {principals: [anna, 'b-*'], budgets: {cost: 1 USD/day}}}"),
        ("", "", "prices: {m: {input: 0.4, output: 1, above: {tokens: 200000, input: 1, output: 2}}}"),
    ],
)
def test_what_can_be_meant_loads(agent: str, tool: str, top: str, tmp_path: Path) -> None:
    load(tmp_path, f", {agent}" if agent else "", f", {tool}" if tool else "", top)


@pytest.mark.parametrize(
    ("agent", "tool", "top", "said", "remedy"),
    [
        ("budgets: {calls: lots}", "", "", "`lots` is nothing that `agents.support.budgets.calls` can be", BUDGET),
        ("budgets: {calls: 40}", "", "", "`agents.support.budgets.calls` must be", None),
        ("budgets: {calls: 40/fortnight}", "", "", "`40/fortnight` is nothing", BUDGET),
        ("budgets: {calls: 40/day/world}", "", "", "`40/day/world` is nothing", BUDGET),
        ("budgets: {calls: -4/run}", "", "", "`-4/run` is nothing", BUDGET),
        ("budgets: {calls: 4 USD/run}", "", "", "`4 USD/run` is nothing", BUDGET),
        ("budgets: {cost: 5/day}", "", "", "`5/day` is nothing that `agents.support.budgets.cost` can be", BUDGET),
        ("budgets: {seconds: 5 MB/day}", "", "", "nothing that `agents.support.budgets.seconds` can be", BUDGET),
        ("budgets: {bytes: 5 min/day}", "", "", "nothing that `agents.support.budgets.bytes` can be", BUDGET),
        ("budgets: {calls: [4/run, x/day]}", "", "", "nothing that `agents.support.budgets.calls.2` can be", BUDGET),
        ("budgets: {houses: 3/run}", "", "", "unknown key `houses` in `agents.support.budgets`", None),
        ("rates: {calls: 5 a minute}", "", "", "nothing that `agents.support.rates.calls` can be", RATE),
        ("loops: {repeat: [3]}", "", "", "`agents.support.loops.repeat` needs 2 values", None),
        ("loops: {repeat: [a, b]}", "", "", "`agents.support.loops.repeat.1` must be a whole number", None),
        ("loops: true", "", "", "`agents.support.loops` must be a mapping", None),
        ("depth: 0", "", "", "`agents.support.depth`", None),
        ("", "rate: fast", "", "`fast` is nothing that `tools.look.rate` can be", RATE),
        ("", "breaker: open", "", "`open` is no value of `breaker`", "`forced-open`"),
        ("", "breaker: {failures: 2}", "", "`tools.look.breaker.failures`", None),
        ("", "", "tenants: {acme: {budgets: {tokens: 5/x}}}", "that `tenants.acme.budgets.tokens` can be", BUDGET),
        ("", "", "tenants: {acme: {principals: [a]}}", "`budgets` is missing in `tenants.acme`", None),
        ("", "", "prices: {m: {input: -1, output: 2}}", "`prices.m.input`", None),
        ("", "", "prices: {m: {input: 1}}", "`output` is missing in `prices.m`", None),
    ],
)
def test_what_cannot_be_meant_is_named(
    agent: str, tool: str, top: str, said: str, remedy: str | None, tmp_path: Path
) -> None:
    with pytest.raises(PolicyError) as caught:
        load(tmp_path, f", {agent}" if agent else "", f", {tool}" if tool else "", top)
    first = caught.value.problems[0]
    assert said in first.message
    assert remedy is None or remedy in first.remedy
    assert first.line == (2 if agent else 3 if tool else 4)
    twice = {"budgets: {calls: 40}", "loops: {repeat: [a, b]}"}  # neither text nor list; two texts
    assert len(caught.value.problems) == (2 if agent in twice else 1)
