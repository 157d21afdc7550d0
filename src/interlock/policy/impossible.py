"""Whether a rule can apply at all, for one tool. The engine's check finds wrong types, not contradictions.

What a rule's conditions depend on is tried out: the tool is fixed, the few fields with few values take each of them,
and every other comparison is true once and false once. If no combination makes all `when` true and all `unless`
false, the rule can never apply. Where there are too many combinations the rule gets the benefit of the doubt: this
check finds mistakes, nothing rests on it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from interlock.policy.types import Fields, find

Expr: TypeAlias = "Mapping[str, Any]"

MAX_TRIALS = 2000
_BOOLS = (False, True)
_FLAGS = frozenset(
    {("listed",), ("blind",), ("approved",), ("run", "external"), ("run", "confidential")},
)
_MANDATES = ("none", "on", "off")


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is fixed for one tool: its name, the type of its resource, its groups, the type of its arguments."""

    tool: str
    resource: str  # `Tool`, and then the tool itself; of any other type only the call knows which
    groups: frozenset[str]
    arguments: Fields


@dataclass(frozen=True, slots=True)
class _Entity:
    type: str
    id: str


class _Unknown:
    """A value that nothing fixes."""


_UNKNOWN = _Unknown()


class _Branch(Exception):
    def __init__(self, key: str, values: tuple[object, ...]) -> None:
        super().__init__(key)
        self.key, self.values = key, values


def applies(body: Expr, world: World) -> bool:
    """Some facts make this rule apply to a call of the world's tool."""
    waiting: list[dict[str, object]] = [{}]
    for _ in range(MAX_TRIALS):
        if not waiting:
            return False
        chosen = waiting.pop()
        try:
            if _Trial(world, chosen).holds(body):
                return True
        except _Branch as branch:
            waiting += [chosen | {branch.key: value} for value in branch.values]
    return True


class _Trial:
    """One reading of the conditions, with `chosen` values for what is not fixed."""

    def __init__(self, world: World, chosen: Mapping[str, object]) -> None:
        self.world, self.chosen = world, chosen

    def holds(self, body: Expr) -> bool:
        if not (self._scope(body["action"], "action") and self._scope(body["resource"], "resource")):
            return False
        return all(self._truth(c["body"]) == (c["kind"] == "when") for c in body["conditions"])

    def _scope(self, part: Expr, name: str) -> bool:
        match part:
            case {"op": "==", "entity": entity}:
                return self._within(name, [entity], reflexive_only=True)
            case {"op": "in", "entity": entity}:
                return self._within(name, [entity])
            case {"op": "in", "entities": list(entities)}:
                return self._within(name, entities)
            case {"op": "is", "entity_type": kind, **rest}:
                inner = rest.get("in")
                return kind == self.world.resource and (inner is None or self._within(name, [inner["entity"]]))
            case _:
                return True

    def _within(self, name: str, entities: list[Mapping[str, str]], *, reflexive_only: bool = False) -> bool:
        if name == "resource":
            return any(
                e["type"] == self.world.resource and (e["type"] != "Tool" or e["id"] == self.world.tool)
                for e in entities
            )
        names = {self.world.tool} if reflexive_only else self.world.groups
        return any(e["id"] in names for e in entities)

    def _choose(self, key: str, values: tuple[object, ...]) -> object:
        if key not in self.chosen:
            raise _Branch(key, values)
        return self.chosen[key]

    def _truth(self, node: Expr) -> bool:
        value = self._value(node)
        if isinstance(value, _Unknown):
            value = self._choose(json.dumps(node, sort_keys=True), _BOOLS)
        return value is True

    def _value(self, node: Expr) -> object:
        match node:
            case {"Value": {"__entity": entity}}:
                return _Entity(entity["type"], entity["id"])
            case {"Value": (bool() | int() | str()) as value}:
                return value
            case {"Set": list(items)}:
                values = [self._value(i) for i in items]
                return _UNKNOWN if any(isinstance(v, (_Unknown, list)) for v in values) else values
            case {"Var": "action"}:
                return _Entity("Action", self.world.tool)
            case {"Var": "resource"} if self.world.resource == "Tool":
                return _Entity("Tool", self.world.tool)
            case {"&&": {"left": left, "right": right}}:
                return self._truth(left) and self._truth(right)
            case {"||": {"left": left, "right": right}}:
                return self._truth(left) or self._truth(right)
            case {"!": {"arg": inner}}:
                return not self._truth(inner)
            case {"if-then-else": {"if": test, "then": then, "else": otherwise}}:
                return self._value(then if self._truth(test) else otherwise)
            case {"==": {"left": left, "right": right}}:
                return self._equal(left, right)
            case {"!=": {"left": left, "right": right}}:
                return not self._truth({"==": {"left": left, "right": right}})
            case {"<": _} | {"<=": _} | {">": _} | {">=": _}:
                return self._ordered(node)
            case {"in": {"left": left, "right": right}}:
                return self._member(self._value(left), self._value(right))
            case {"has": {"left": left, "attr": str(attr)}}:
                return self._has(left, attr)
            case {"contains": {"left": left, "right": right}}:
                group, item = self._value(left), self._value(right)
                return _UNKNOWN if not isinstance(group, list) or isinstance(item, _Unknown) else item in group
            case {".": _}:
                return self._field(node)
            case _:
                return _UNKNOWN

    def _equal(self, left: Expr, right: Expr) -> object:
        if left == right:
            return True
        one, two = self._value(left), self._value(right)
        if isinstance(one, (_Unknown, list)) or isinstance(two, (_Unknown, list)):
            return _UNKNOWN  # sets too: their order means nothing
        return type(one) is type(two) and one == two

    def _ordered(self, node: Expr) -> object:
        ((operator, sides),) = node.items()
        one, two = self._value(sides["left"]), self._value(sides["right"])
        if not isinstance(one, int) or not isinstance(two, int):
            return _UNKNOWN
        return {"<": one < two, "<=": one <= two, ">": one > two, ">=": one >= two}[operator]

    def _member(self, item: object, group: object) -> object:
        groups = group if isinstance(group, list) else [group]
        if not isinstance(item, _Entity) or not all(isinstance(g, _Entity) for g in groups):
            return _UNKNOWN
        names = self.world.groups if item == _Entity("Action", self.world.tool) else {item.id}
        return any(isinstance(g, _Entity) and g.type == item.type and g.id in names for g in groups)

    def _has(self, left: Expr, attr: str) -> object:
        path = _path(left)
        if path is None or path[:1] != ("args",):
            return _UNKNOWN if path is None else True  # every other field is always there, or refused before
        record = find(self.world.arguments, path[1:])
        if not isinstance(record, Fields) or attr not in record.types:
            return False
        return _UNKNOWN if attr in record.optional else True

    def _field(self, node: Expr) -> object:
        path = _path(node)
        if path in _FLAGS:
            return self._choose(".".join(path or ()), _BOOLS)
        if path == ("mandate",):
            return self._choose("mandate", _MANDATES)
        return _UNKNOWN


def _path(node: object) -> tuple[str, ...] | None:
    match node:
        case {"Var": "context"}:
            return ()
        case {".": {"left": left, "attr": str(attr)}}:
            inner = _path(left)
            return None if inner is None else (*inner, attr)
        case _:
            return None
