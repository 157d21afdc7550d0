"""What a manifest says of limits, parsed: text in, values out. The guard asks these and nothing else.

The input is plain data in the shape of `policy.part_limits`, so that neighbours in a ring need not know each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

from interlock.limits import loop
from interlock.limits.breaker import Settings as BreakerSettings
from interlock.limits.breaker import State
from interlock.limits.budget import Budget, Meter, Scope
from interlock.limits.depth import MAX_DEPTH
from interlock.limits.errors import TermsError
from interlock.limits.prices import Prices
from interlock.limits.rate import Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTerms:
    """The limits of one agent. Loops are watched unless somebody says otherwise."""

    budgets: tuple[Budget, ...] = ()
    rate: Rate | None = None  # of its calls
    loops: loop.Settings | None = field(default_factory=loop.Settings)
    depth: int = MAX_DEPTH


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolTerms:
    """The limits of one tool, for all agents together."""

    rate: Rate | None = None
    breaker: BreakerSettings | None = None
    state: State = State.CLOSED  # in which its breaker starts
    timeout: float | None = None  # seconds that a call may take
    reads: bool = False  # a call changes nothing in the world


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantTerms:
    """A group of principals with budgets of its own."""

    principals: tuple[str, ...]  # exact names, or a prefix with one trailing `*`
    budgets: tuple[Budget, ...]

    def has(self, principal: str) -> bool:
        """Whether `principal` belongs to it."""
        return any(
            principal.startswith(name[:-1]) if name.endswith("*") else principal == name for name in self.principals
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """All limits of a manifest."""

    agents: Mapping[str, AgentTerms]
    tools: Mapping[str, ToolTerms]
    tenants: Mapping[str, TenantTerms]
    prices: Prices

    @classmethod
    def parse(
        cls,
        *,
        agents: Mapping[str, Mapping[str, Any]],
        tools: Mapping[str, Mapping[str, Any]],
        tenants: Mapping[str, Mapping[str, Any]],
        prices: Mapping[str, Mapping[str, object]],
    ) -> Self:
        """The terms that plain data mean; `prices` come before the shipped ones.

        Raises:
            TermsError: something cannot be meant.
        """
        return cls(
            agents=MappingProxyType({name: _agent(name, part) for name, part in agents.items()}),
            tools=MappingProxyType({name: _tool(name, part) for name, part in tools.items()}),
            tenants=MappingProxyType({name: _tenant(name, part) for name, part in tenants.items()}),
            prices=Prices.shipped().overridden(prices),
        )


def _agent(name: str, part: Mapping[str, Any]) -> AgentTerms:
    rates = part.get("rates") or {}
    loops = part.get("loops")
    depth = part.get("depth")
    return AgentTerms(
        budgets=_budgets(f"agents.{name}", part.get("budgets") or {}, Scope.AGENT),
        rate=Rate.parse(rates["calls"]) if rates.get("calls") else None,
        loops=None if loops is False else _loops(loops or {}),
        depth=MAX_DEPTH if depth is None else depth,
    )


def _tool(name: str, part: Mapping[str, Any]) -> ToolTerms:
    said = part.get("breaker")
    state = State.CLOSED
    if isinstance(said, str):
        if said not in {State.FORCED_OPEN, State.DISABLED}:
            raise TermsError(f"`tools.{name}.breaker` is `forced-open`, `disabled`, or its settings; not `{said}`")
        state, said = State(said), {}
    given = None if said is None else {key: value for key, value in said.items() if value is not None}
    return ToolTerms(
        rate=Rate.parse(part["rate"]) if part.get("rate") else None,
        breaker=None if given is None else BreakerSettings(**given),
        state=state,
        timeout=part.get("timeout"),
        reads=part.get("effect") in {"read", "fetch"},
    )


def _tenant(name: str, part: Mapping[str, Any]) -> TenantTerms:
    budgets = _budgets(f"tenants.{name}", part.get("budgets") or {}, Scope.TENANT)
    if wrong := [b for b in budgets if b.scope is not Scope.TENANT]:
        raise TermsError(f"`tenants.{name}.budgets` are the tenant's; `{wrong[0]}` is another's")
    names = tuple(part.get("principals") or ())
    for principal in names:
        if "*" in principal[:-1] or not principal:
            raise TermsError(f"`{principal}` of `tenants.{name}` is no exact name or prefix with one trailing `*`")
    return TenantTerms(principals=names, budgets=budgets)


def _loops(part: Mapping[str, Any]) -> loop.Settings:
    pairs = {name: tuple(part[name]) for name in ("repeat", "cycle", "jitter", "stuck") if part.get(name) is not None}
    return loop.Settings(**pairs, polling=frozenset(part.get("polling") or ()))


def _budgets(where: str, part: Mapping[str, str | Sequence[str] | None], scope: Scope) -> tuple[Budget, ...]:
    found: dict[tuple[object, ...], Budget] = {}
    for name, said in part.items():
        for text in [said] if isinstance(said, str) else said or ():
            budget = Budget.parse(Meter(name), text, scope=scope)
            key = (budget.meter, budget.window, budget.scope)
            if key in found:
                raise TermsError(f"`{where}.budgets.{name}` has two limits for one window and scope")
            found[key] = budget
    return tuple(found.values())
