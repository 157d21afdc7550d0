"""The guard as the monitor asks it: who is blocked by what, what is counted, and what happens when a store is away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import pytest

from interlock.kernel.call import Call
from interlock.limits.breaker import Event, State
from interlock.limits.budget import Line
from interlock.limits.errors import Exhausted, LimitError, TermsError
from interlock.limits.guard import Limits
from interlock.limits.ledger import LEASE
from interlock.limits.prices import Prices, Usage
from interlock.limits.terms import Terms
from interlock.monitor.ports import Guard
from interlock.stores.errors import StoreAway
from interlock.stores.memory.budgets import MemoryBudgets


class World:
    """A guard, its ledger and its clock."""

    def __init__(
        self, agent: Mapping[str, Any] | None = None, tool: Mapping[str, Any] | None = None, **more: Any
    ) -> None:
        self.now = 1_000.0
        self.ledger = Fragile(clock=lambda: 1_772_000_000.0 + self.now)
        tools = {"look": {"effect": "read"} | dict(tool or {}), "act": {}}
        terms = Terms.parse(
            agents={"a": agent or {}}, tools=tools, tenants=more.pop("tenants", {}), prices=more.pop("prices", {})
        )
        self.limits = Limits(terms, self.ledger, clock=lambda: self.now, **more)
        self.keys = count()

    def call(self, q: Any = "x", *, tool: str = "look", agent: str = "a", principal: str = "p", run: str = "r") -> Call:
        return Call(tool=tool, arguments={"q": q}, agent=agent, principal=principal, run=run)

    def make(
        self, call: Call | None = None, *, failed: bool = False, result: str = "", takes: float = 0.0, size: int = 10
    ) -> None:
        """Reserve, let time pass, settle."""
        call, key = call or self.call(next(self.keys)), f"k{next(self.keys)}"
        self.limits.reserve(call, key)
        self.now += takes
        self.limits.settle(call, key, failed=failed, result=result or f"r{next(self.keys)}", size=size)

    def granted(self, times: int, **who: Any) -> int:
        made = 0
        for _ in range(times):
            try:
                self.make(self.call(next(self.keys), **who))
            except LimitError:
                continue
            made += 1
        return made


class Fragile(MemoryBudgets):
    """A ledger that can be away; `half` times it counts and then does not answer."""

    away = False
    half = 0

    def reserve(self, key: str, lines: Sequence[Line], *, lease: float = LEASE) -> None:
        self._ask()
        super().reserve(key, lines, lease=lease)
        if self.half:
            self.half -= 1
            raise StoreAway("no answer")

    def settle(self, key: str, used: Mapping[str, int]) -> bool:
        self._ask()
        return super().settle(key, used)

    def release(self, key: str) -> bool:
        self._ask()
        return super().release(key)

    def full(self, lines: Sequence[Line]) -> str:
        self._ask()
        return super().full(lines)

    def _ask(self) -> None:
        if self.away:
            raise StoreAway("the store is away")


def test_it_is_the_monitors_guard() -> None:
    guard: Guard = World().limits
    assert guard.blocked(World().call()) == frozenset()


@pytest.mark.parametrize(
    ("text", "same", "other_run", "other_principal", "other_agent"),
    [
        ("3/run", 3, 3, 3, 9),
        ("3/day", 3, 0, 0, 9),
        ("3/day/principal", 3, 0, 3, 9),
        ("3/total", 3, 0, 0, 9),
    ],
)
def test_who_shares_a_budget(text: str, same: int, other_run: int, other_principal: int, other_agent: int) -> None:
    world = World({"budgets": {"calls": text}})
    assert world.granted(9) == same
    assert world.granted(9, run="r2") == other_run
    assert world.granted(9, run="r3", principal="q") == other_principal
    assert world.granted(9, run="r4", agent="b") == other_agent


def test_a_full_budget_blocks_before_anybody_is_asked() -> None:
    world = World({"budgets": {"calls": "2/day"}})
    assert world.granted(2) == 2
    assert world.limits.blocked(world.call()) == {"budget"}
    assert "agent:a|calls/day" in world.limits.reasons(world.call())[0][1]
    with pytest.raises(Exhausted):
        world.limits.reserve(world.call(), "late")


def test_the_same_run_id_of_somebody_else_is_another_run() -> None:
    world = World({"budgets": {"calls": "2/run"}})
    for _ in range(9):
        world.limits.blocked(world.call("same", principal="mallory", run="r"))
        world.granted(1, principal="mallory", run="r")
    assert world.limits.halted("r", agent="a", principal="mallory")
    assert world.granted(9, principal="p", run="r") == 2


def test_tenants_and_keys() -> None:
    tenants = {"acme": {"principals": ["anna", "ops-*"], "budgets": {"calls": "4/day"}}}
    world = World({"budgets": {"calls": "2/day/key"}}, tenants=tenants)
    for n, (principal, key) in enumerate([("anna", "k1"), ("ops-1", "k2"), ("ops-2", "k3"), ("carl", "k4")]):
        world.limits.enter(agent="a", principal=principal, run=f"r{n}", key=key)
    assert [world.granted(9, principal=p, run=f"r{n}") for n, p in enumerate(["anna", "ops-1", "ops-2", "carl"])] == [
        2,
        2,
        0,
        2,
    ]


def test_a_retry_takes_nothing_more() -> None:
    world = World({"budgets": {"calls": "3/run"}, "rates": {"calls": "9/minute"}})
    for _ in range(20):
        world.limits.reserve(world.call(), "k")
    assert world.granted(9) == 2


def test_what_is_released_is_free_again() -> None:
    world = World({"budgets": {"calls": "1/run"}})
    for n in range(5):
        world.limits.reserve(world.call(), f"k{n}")
        world.limits.release(world.call(), f"k{n}")
    assert world.granted(9) == 1


def test_seconds_and_bytes_are_what_they_turn_out_to_be() -> None:
    world = World({"budgets": {"seconds": "100/run", "bytes": "200 kB/run"}})
    world.make(takes=60, size=100_000)
    world.make(takes=5, size=30_000)
    world.make(takes=6, size=10_000)
    with pytest.raises(Exhausted):  # 29 s are left, less than one call may take
        world.make(takes=6, size=10_000)
    lines = [n for part in world.limits._needs(world.limits._run(world.call()), "look").reserved for n in part.lines]
    assert all(used <= line.limit for used, line in zip(world.ledger.used(lines), lines, strict=True))


def test_a_call_that_somebody_else_makes_is_settled_when_its_result_comes() -> None:
    world = World({"budgets": {"bytes": "200 kB/run"}})
    call = world.call()
    world.limits.reserve(call, "k")
    world.limits.settle(call, "k", failed=False, result="", size=0)  # handed over
    world.limits.settle(call, "", failed=False, result="r", size=1_000)
    line = world.limits._needs(world.limits._run(call), "look").reserved[0].lines
    assert world.ledger.used(line) == (1_000,)


def test_rates() -> None:
    world = World({"rates": {"calls": "60/minute burst 2"}}, {"rate": "1/minute"})
    assert world.granted(9) == 1  # the tool's
    assert world.limits.blocked(world.call()) == {"rate"}
    assert world.limits.blocked(world.call(tool="act")) == frozenset()
    assert world.granted(9, tool="act") == 1  # what the agent's burst has left
    world.now += 60
    assert world.limits.blocked(world.call()) == frozenset()
    world.now -= 59
    assert world.granted(1) == 1
    assert world.granted(1) == 0


def test_a_breaker_opens_for_everybody_and_lets_trials_through() -> None:
    world = World(None, {"breaker": {"minimum": 2, "open": 30.0, "trials": 1}})
    for n in range(2):
        world.make(world.call(n, run=f"r{n}"), failed=True)
    assert world.limits.blocked(world.call(principal="q")) == {"breaker"}
    with pytest.raises(LimitError, match="breaker"):
        world.make()
    assert world.limits.blocked(world.call(tool="act")) == frozenset()
    world.now += 30
    world.limits.reserve(world.call(), "trial")
    with pytest.raises(LimitError, match="breaker"):
        world.make()
    world.limits.settle(world.call(), "trial", failed=False, result="r", size=1)
    assert world.limits.state("tool:look") is State.CLOSED


@pytest.mark.parametrize("how", ["released", "no budget", "store away"])
def test_a_trial_that_is_not_made_leaves_its_place_to_another(how: str) -> None:
    world = World({"budgets": {"calls": "3/total"}}, {"breaker": {"minimum": 2, "open": 30.0, "trials": 1}})
    for n in range(2):
        world.make(world.call(n, run=f"r{n}"), failed=True)
    world.now += 30
    if how == "released":
        world.limits.reserve(world.call(), "trial")
        world.limits.release(world.call(), "trial")
    else:
        if how == "no budget":
            world.make(world.call(tool="act"))  # the last that it has room for
        world.ledger.away = how == "store away"
        with pytest.raises((LimitError, StoreAway)):
            world.limits.reserve(world.call(), "trial")
        world.ledger.away = False
    assert world.limits.state("tool:look") is State.HALF_OPEN
    assert "breaker" not in world.limits.blocked(world.call())
    if how != "no budget":
        world.limits.reserve(world.call(), "another")
        with pytest.raises(LimitError, match="breaker"):
            world.limits.reserve(world.call(), "a third")


def test_an_operator_forces_a_breaker() -> None:
    assert World(None, {"breaker": "forced-open"}).limits.blocked(World().call()) == {"breaker"}
    world = World(None, {"breaker": {}})
    world.limits.shift("tool:look", Event.FORCE_OPEN)
    assert world.limits.blocked(world.call()) == {"breaker"}
    world.limits.shift("tool:look", Event.RESET)
    assert world.granted(1) == 1


def test_a_loop_halts_its_run_and_no_other() -> None:
    world = World()
    for n in range(5):
        assert world.limits.halted("r") == ""
        assert bool(world.limits.warnings(agent="a", principal="p", run="r")) == (n > 2)
        world.make(world.call("same"), result="unchanged")
    assert "circles" in world.limits.halted("r")
    assert world.limits.blocked(world.call("else")) == {"halted", "loop"}
    with pytest.raises(LimitError, match="circles"):
        world.limits.reserve(world.call("else"), "k")
    with pytest.raises(LimitError, match="circles"):
        world.limits.reserve_model("a", "p", "r", "m", model="gpt-5", tokens_estimate=1)
    assert world.granted(3, run="r2") == 3


def test_refused_calls_that_come_again_and_again_are_a_loop() -> None:
    world = World()
    for _ in range(5):
        world.limits.refused(world.call("same"), "unlisted-tool")
    assert "circles" in world.limits.halted("r")


def test_a_run_that_begs_after_its_budget_is_used_up_is_halted() -> None:
    world = World({"budgets": {"calls": "1/run"}})
    world.make()
    for _ in range(3):
        assert world.limits.halted("r") == ""
        world.limits.blocked(world.call())
    assert "used up" in world.limits.halted("r")


def test_depth_counts_agents_across_runs() -> None:
    world = World({"depth": 2})
    world.limits.enter(agent="a", principal="p", run="r1")
    for n in (1, 2):
        chain = world.limits.chain(agent="a", principal="p", run=f"r{n}")
        world.limits.enter(agent="a", principal="p", run=f"r{n + 1}", chain=chain)
    assert world.limits.blocked(world.call(run="r2")) == frozenset()
    assert world.limits.blocked(world.call(run="r3")) == {"depth"}
    with pytest.raises(LimitError, match="3 agents deep"):
        world.limits.reserve(world.call(run="r3"), "k")


# models


def ask(world: World, key: str, model: str = "gpt-5", tokens: int = 1_000, output: int = 0, run: str = "r") -> None:
    world.limits.reserve_model("a", "p", run, key, model=model, tokens_estimate=tokens, output_estimate=output)


def test_tokens_are_estimated_before_and_corrected_after() -> None:
    world = World({"budgets": {"tokens": "10k/day"}})
    ask(world, "k1", tokens=6_000)
    with pytest.raises(Exhausted):
        ask(world, "k2", tokens=6_000)
    world.limits.settle_model("k1", Usage(input=1_000, output=200, cached=50))
    ask(world, "k2", tokens=6_000)
    world.limits.settle_model("k2", None)  # nobody knows: the estimate stands
    world.limits.settle_model("k2", Usage(input=0, output=0))
    ask(world, "k3", tokens=10_000 - 1_250 - 6_000)
    with pytest.raises(Exhausted):
        ask(world, "k4", tokens=1)
    assert world.limits.blocked(world.call()) == {"budget"}  # nothing left to think with: no calls either


def test_cost_is_counted_in_millionths() -> None:
    world = World({"budgets": {"cost": "0.01 USD/day"}})
    ask(world, "k1", tokens=4_000, output=500)  # 5,000 + 5,000 millionths
    with pytest.raises(Exhausted):
        ask(world, "k2", tokens=1)
    world.limits.release_model("k1")
    ask(world, "k2", tokens=8_000)


def test_a_model_without_a_price_is_refused_where_cost_is_limited() -> None:
    world = World({"budgets": {"cost": "5 USD/day"}})
    with pytest.raises(LimitError, match="`mystery` has no price"):
        ask(world, "k", model="mystery")
    ask(World({"budgets": {"tokens": "5k/day"}}), "k", model="mystery")
    ask(World({"budgets": {"cost": "5 USD/day"}}, prices={"mystery": {"input": 1, "output": 2}}), "k", model="mystery")
    with pytest.raises(LimitError):
        world.limits.used_model("a", "p", "r", "k", model="mystery", usage=Usage(input=1, output=1))
    assert world.limits.halted("r")


def test_what_was_used_without_asking_counts_once_and_beyond_any_limit() -> None:
    world = World({"budgets": {"tokens": "1k/run"}})
    for _ in range(3):
        world.limits.used_model("a", "p", "r", "k", model="gpt-5", usage=Usage(input=5_000, output=0))
    assert world.limits.blocked(world.call()) == {"budget"}
    assert world.granted(1, run="r2") == 1


def test_an_upstream_that_fails_is_left_alone() -> None:
    world = World()
    for n in range(20):
        world.limits.reserve_model("a", "p", "r", f"k{n}", model="m", tokens_estimate=1, upstream="openai")
        world.limits.settle_model(f"k{n}", None, failed=True)
    with pytest.raises(LimitError, match="upstream:openai"):
        world.limits.reserve_model("a", "p", "r", "k", model="m", tokens_estimate=1, upstream="openai")
    world.limits.reserve_model("a", "p", "r", "k", model="m", tokens_estimate=1, upstream="anthropic")


# faults


def test_a_store_that_is_away_refuses_and_says_so() -> None:
    world = World({"budgets": {"calls": "9/day"}})
    world.ledger.away = True
    assert world.limits.blocked(world.call()) == {"budget"}
    assert "away" in world.limits.reasons(world.call())[0][1]
    with pytest.raises(StoreAway):
        world.limits.reserve(world.call(), "k")
    world.ledger.away = False
    assert world.granted(20) == 9


def test_what_a_store_has_counted_without_answering_is_given_back() -> None:
    world = World({"budgets": {"calls": "3/day"}})
    world.ledger.half = 2
    for n in range(2):
        with pytest.raises(StoreAway):
            world.limits.reserve(world.call(), f"half{n}")
    assert world.granted(9) == 3


def test_what_cannot_be_settled_now_is_settled_later_and_counts_until_then() -> None:
    world = World({"budgets": {"tokens": "10k/day"}})
    ask(world, "k1", tokens=8_000)
    world.ledger.away = True
    world.limits.settle_model("k1", Usage(input=100, output=0))
    world.ledger.away = False
    with pytest.raises(Exhausted):
        ask(world, "k2", tokens=8_000)
    ask(world, "k3", tokens=1_000)
    world.limits.settle_model("k3", None)  # and now the store is told of both
    ask(world, "k4", tokens=8_000)


def test_two_ledgers_take_both_or_none() -> None:
    own = Fragile(clock=lambda: 0.0)
    world = World({"budgets": {"calls": ["5/run", "3/day"]}}, run_ledger=own)
    assert world.granted(9) == 3
    run = world.limits._needs(world.limits._run(world.call()), "look").reserved
    assert [part.ledger.used(part.lines) for part in run] == [(3,), (3,)]


@pytest.mark.parametrize("now", [float("nan"), float("inf")])
def test_a_clock_that_gives_no_time_makes_no_call(now: float) -> None:
    world = World({"rates": {"calls": "9/minute"}}, {"breaker": {}})
    world.now = now
    with pytest.raises(ValueError, match="no time"):
        world.limits.reserve(world.call(), "k")
    with pytest.raises(ValueError, match="no time"):
        world.limits.blocked(world.call())


@pytest.mark.parametrize(
    "wrong",
    [
        {"agents": {"a": {"budgets": {"calls": "many/run"}}}},
        {"agents": {"a": {"budgets": {"calls": ["1/run", "2/run"]}}}},
        {"agents": {"a": {"loops": {"repeat": [5, 3]}}}},
        {"agents": {"a": {"rates": {"calls": "0/minute"}}}},
        {"tools": {"t": {"breaker": "open"}}},
        {"tenants": {"t": {"budgets": {"calls": "1/run"}}}},
        {"tenants": {"t": {"principals": ["a*b"], "budgets": {}}}},
        {"prices": {"m": {"input": "free", "output": 1}}},
        {"prices": {"m": {"input": 1}}},
        {"prices": {"m": {"input": -1, "output": 1}}},
    ],
)
def test_terms_that_cannot_be_meant(wrong: dict[str, Any]) -> None:
    with pytest.raises(TermsError):
        Terms.parse(**({"agents": {}, "tools": {}, "tenants": {}, "prices": {}} | wrong))


# prices


def test_shipped_prices_are_whole_and_plausible() -> None:
    for name, price in Prices.shipped().models.items():
        assert 0 < price.input < price.output, name
        assert price.cached <= price.input <= price.written, name
        assert price.long is None or price.long.input >= price.input, name


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("gpt-5", True),
        ("gpt-5-2025-08-07", True),
        ("claude-opus-4-5-20251101", True),
        ("claude-haiku-4-5@20251001", True),
        ("gpt-5-turbo-max", False),
        ("gpt-5-2025", False),
        ("my-gpt-5", False),
        ("", False),
    ],
)
def test_a_model_is_found_by_its_name_or_with_a_date(model: str, known: bool) -> None:
    assert (Prices.shipped().find(model) is not None) == known


def test_long_prompts_cost_their_own_price_and_nothing_is_rounded_down() -> None:
    price = Prices.shipped().find("claude-haiku-5-5")
    assert price is not None
    assert price.of(Usage(input=1, output=0)) == 1  # 0.1 millionths
    assert price.of(Usage(input=100_000, output=1_000)) == 10_500
    assert price.of(Usage(input=100_001, output=1_000)) == 52_501
    assert price.of(Usage(input=50_000, cached=50_001, output=0)) == 25_000 + 2_501


def test_a_loop_is_seen_however_many_other_runs_come_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.limits.guard.RUNS", 8)
    world = World()
    looping = world.call("the same")
    for number in range(5):
        world.make(looping, result="the same")
        for other in range(6):
            world.limits.enter(agent="a", principal="p", run=f"r{number}-{other}")
    assert world.limits.halted("r", agent="a", principal="p")
    assert len(world.limits._runs) == 8


def test_a_conversation_that_comes_back_is_not_the_first_to_be_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.limits.guard.RUNS", 8)
    world = World()
    world.limits.enter(agent="a", principal="p", run="r", tenant="acme")
    for number in range(50):
        world.limits.enter(agent="a", principal="p", run=f"r{number}")
        world.limits.enter(agent="a", principal="p", run="r")
    assert world.limits._runs["a", "p", "r"].tenant == "acme"
