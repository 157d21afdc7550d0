"""A second kernel, plain and slow: rules as a small syntax tree, evaluated here, without Cedar.

`tests/reference/test_kernel.py` asks both kernels the same and wants the same answer: kind, names of rules,
obligations. Names may differ nowhere. The tree renders itself as Cedar text; what Cedar's documentation says about that
text is written here a second time:

- `&&` and `||` look at the right side only if the left one leaves it open; either must be a boolean, or it is an error;
- `==` never errs, values of different types are unequal; `<` wants two integers, `contains` a set on its left,
  `isEmpty` a set, `has` and `.` a record, and `.` wants the attribute to be there;
- a rule is satisfied if its scope fits and all `when` and no `unless` hold; a scope never errs.

Nothing is imported from the kernel but what a call and facts are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from interlock.kernel.decide import Request
from interlock.kernel.spec import Effect

GROUPS = {
    Effect.READ: ["read"],
    Effect.FETCH: ["fetch", "egress", "effect"],
    Effect.WRITE: ["write", "effect"],
    Effect.EGRESS: ["egress", "effect"],
    Effect.SPEND: ["spend", "egress", "effect"],
    Effect.DESTROY: ["destroy", "effect"],
}


class EvaluationError(Exception):
    """The rule cannot be evaluated."""


class Unbuildable(Exception):
    """Cedar has no such value."""


# values: tagged, because for Python `True == 1`


@dataclass(frozen=True)
class Bool:
    value: bool


@dataclass(frozen=True)
class Long:
    value: int


@dataclass(frozen=True)
class String:
    value: str


@dataclass(frozen=True)
class Set:
    items: "frozenset[Value]"


@dataclass(frozen=True)
class Record:
    fields: "frozenset[tuple[str, Value]]"

    def get(self, name: str) -> "Value | None":
        return dict(self.fields).get(name)


Value: TypeAlias = Bool | Long | String | Set | Record


def value_of(data: object) -> Value:
    """A Cedar value for JSON, as Cedar reads JSON."""
    match data:
        case bool():
            return Bool(data)
        case int() if -(2**63) <= data < 2**63:
            return Long(data)
        case str() if not any(0xD800 <= ord(c) < 0xE000 for c in data):
            return String(data)
        case list() | tuple() | frozenset():
            return Set(frozenset(value_of(item) for item in data))
        case Mapping():
            return Record(frozenset((k, value_of(v)) for k, v in data.items()))
        case _:
            raise Unbuildable


# expressions


@dataclass(frozen=True)
class Context:
    """`context` itself."""


@dataclass(frozen=True)
class Literal:
    value: bool | int | str


@dataclass(frozen=True)
class Strings:
    """A set of texts."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Get:
    of: "Expr"
    name: str


@dataclass(frozen=True)
class Has:
    of: "Expr"
    name: str


@dataclass(frozen=True)
class Not:
    of: "Expr"


@dataclass(frozen=True)
class IsEmpty:
    of: "Expr"


@dataclass(frozen=True)
class Binary:
    operator: str  # && || == != < <= contains
    left: "Expr"
    right: "Expr"


@dataclass(frozen=True)
class If:
    test: "Expr"
    then: "Expr"
    other: "Expr"


Expr: TypeAlias = Context | Literal | Strings | Get | Has | Not | IsEmpty | Binary | If


def evaluate(e: Expr, context: Record) -> Value:
    match e:
        case Context():
            return context
        case Literal(value):
            return value_of(value)
        case Strings(items):
            return value_of(list(items))
        case Get(of, name):
            found = record(evaluate(of, context)).get(name)
            if found is None:
                raise EvaluationError(f"no attribute {name}")
            return found
        case Has(of, name):
            return Bool(record(evaluate(of, context)).get(name) is not None)
        case Not(of):
            return Bool(not boolean(evaluate(of, context)))
        case IsEmpty(of):
            return Bool(not a_set(evaluate(of, context)))
        case If(test, then, other):
            return evaluate(then if boolean(evaluate(test, context)) else other, context)
        case Binary("&&", left, right):
            return Bool(boolean(evaluate(left, context)) and boolean(evaluate(right, context)))
        case Binary("||", left, right):
            return Bool(boolean(evaluate(left, context)) or boolean(evaluate(right, context)))
        case Binary(operator, left, right):
            a, b = evaluate(left, context), evaluate(right, context)
            match operator:
                case "==":
                    return Bool(a == b)
                case "!=":
                    return Bool(a != b)
                case "<":
                    return Bool(integer(a) < integer(b))
                case "<=":
                    return Bool(integer(a) <= integer(b))
                case _:
                    return Bool(b in a_set(a))


def boolean(value: Value) -> bool:
    if not isinstance(value, Bool):
        raise EvaluationError("expected a boolean")
    return value.value


def integer(value: Value) -> int:
    if not isinstance(value, Long):
        raise EvaluationError("expected an integer")
    return value.value


def a_set(value: Value) -> "frozenset[Value]":
    if not isinstance(value, Set):
        raise EvaluationError("expected a set")
    return value.items


def record(value: Value) -> Record:
    if not isinstance(value, Record):
        raise EvaluationError("expected a record")
    return value


# rules


@dataclass(frozen=True, kw_only=True)
class Rule:
    """An empty scope or group list means any."""

    id: str
    permits: bool
    user: str = ""
    tool: str = ""
    groups: tuple[str, ...] = ()
    resource: tuple[str, str] = ("", "")  # type, or type and id
    when: tuple[Expr, ...] = ()
    unless: tuple[Expr, ...] = ()
    obliges: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """`kind`, names of rules and obligations of a decision."""

    kind: str
    rules: tuple[str, ...]
    obligations: tuple[str, ...] = ()


def fits(rule: Rule, request: Request, effects: Mapping[str, Effect]) -> bool:
    tool, resource = request.call.tool, request.resource
    member = {tool, *(GROUPS[effects[tool]] if tool in effects else ())}
    return (
        rule.user in {"", request.call.principal}
        and rule.tool in {"", tool}
        and (not rule.groups or any(g in member for g in rule.groups))
        and rule.resource[0] in {"", resource.type}
        and rule.resource[1] in {"", resource.id}
    )


def context_of(request: Request, *, approved: bool) -> Record:
    f = request.facts
    built = value_of(
        {
            "agent": request.call.agent,
            "args": f.arguments,
            "listed": f.listed,
            "unvouched": f.unvouched,
            "unpointed": f.unpointed,
            "receivers": f.receivers,
            "unnamed": f.unnamed,
            "blind": f.blind,
            "run": {"external": f.external, "confidential": f.confidential, "sources": f.sources},
            "findings": f.findings,
            "mandate": f.mandate,
            "blocked": f.blocked,
            "approved": approved,
        }
    )
    return record(built)


def once(rules: list[Rule], request: Request, effects: Mapping[str, Effect], *, approved: bool) -> Answer:
    """One pass: `allow`, `deny` or `error`."""
    try:
        context = context_of(request, approved=approved)
    except Unbuildable:
        return Answer("error", ("error:request",))
    permits: set[str] = set()
    forbids: set[str] = set()
    errors: set[str] = set()
    for rule in rules:
        if not fits(rule, request, effects):
            continue
        try:
            holds = True
            for wanted, conditions in ((True, rule.when), (False, rule.unless)):
                for condition in conditions:
                    holds = holds and boolean(evaluate(condition, context)) == wanted
        except EvaluationError:
            errors.add(f"error:{rule.id}")
            continue
        if holds:
            (permits if rule.permits else forbids).add(rule.id)
    if errors:
        return Answer("error", tuple(sorted(errors)))
    if forbids:
        return Answer("deny", tuple(sorted(forbids)))
    if permits:
        due = {o for rule in rules if rule.id in permits for o in rule.obliges}
        return Answer("allow", tuple(sorted(permits)), tuple(sorted(due)))
    return Answer("deny", ("default-deny",))


def decide(rules: list[Rule], request: Request, effects: Mapping[str, Effect]) -> Answer:
    plain = once(rules, request, effects, approved=False)
    if plain.kind == "allow":
        return Answer("Permitted", plain.rules, plain.obligations)
    if plain.kind == "error":
        return Answer("Forbidden", plain.rules)
    lifted = once(rules, request, effects, approved=True)
    if lifted.kind == "allow":
        return Answer("NeedsApproval", plain.rules)
    return Answer("Forbidden", lifted.rules)


def decide_approved(rules: list[Rule], request: Request, effects: Mapping[str, Effect]) -> Answer:
    plain = once(rules, request, effects, approved=False)
    lifted = once(rules, request, effects, approved=True)
    if plain.kind == "error":
        return Answer("Forbidden", plain.rules)
    if lifted.kind == "allow":
        return Answer("Permitted", lifted.rules, lifted.obligations)
    return Answer("Forbidden", lifted.rules)


# as Cedar text


def quote(text: str) -> str:
    return '"' + "".join(c if c.isascii() and c.isalnum() else f"\\u{{{ord(c):x}}}" for c in text) + '"'


def cedar(e: Expr) -> str:
    match e:
        case Context():
            return "context"
        case Literal(bool(value)):
            return "true" if value else "false"
        case Literal(int(value)):
            return f"({value})"
        case Literal(value):
            return quote(str(value))
        case Strings(items):
            return f"[{', '.join(quote(i) for i in items)}]"
        case Get(of, name):
            return f"{cedar(of)}[{quote(name)}]"
        case Has(of, name):
            return f"({cedar(of)} has {quote(name)})"
        case Not(of):
            return f"(!({cedar(of)}))"
        case IsEmpty(of):
            return f"{cedar(of)}.isEmpty()"
        case If(test, then, other):
            return f"(if {cedar(test)} then {cedar(then)} else {cedar(other)})"
        case Binary("contains", left, right):
            return f"{cedar(left)}.contains({cedar(right)})"
        case Binary(operator, left, right):
            return f"({cedar(left)} {operator} {cedar(right)})"


def rule_text(rule: Rule) -> str:
    principal = f"principal == User::{quote(rule.user)}" if rule.user else "principal"
    groups = [f"Action::{quote(g)}" for g in rule.groups]
    if rule.tool:
        action = f"action == Action::{quote(rule.tool)}"
    elif len(groups) == 1:
        action = f"action in {groups[0]}"
    else:
        action = f"action in [{', '.join(groups)}]" if groups else "action"
    kind, name = rule.resource
    resource = f"resource is {kind}" if kind else "resource"
    if name:
        resource = f"resource == {kind}::{quote(name)}"
    notes = f"@id({quote(rule.id)})" + (f" @obliges({quote(','.join(rule.obliges))})" if rule.obliges else "")
    clauses = "".join(f"\nwhen {{ {cedar(c)} }}" for c in rule.when)
    clauses += "".join(f"\nunless {{ {cedar(c)} }}" for c in rule.unless)
    return f"{notes}\n{'permit' if rule.permits else 'forbid'} ({principal}, {action}, {resource}){clauses};"


def text_of(rules: list[Rule]) -> str:
    return "\n".join(rule_text(rule) for rule in rules)
