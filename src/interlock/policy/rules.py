"""Cedar rules against what the tools are: a schema made from the tool specs, and a place for every mistake.

The engine reports neither lines nor files, so files are split into rules here (a rule ends at the `;` outside strings
and comments) and each rule is parsed and checked on its own. Beyond the engine's type check, what a rule reads must
exist in a tool that the rule speaks of (`has` makes the engine silent about a misspelt name), words are compared only
with words that can occur, and a rule that can never apply is an error (`impossible`).

The context of a request, as `kernel.decide.Request` writes it, is `CONTEXT`; docs/rules.md explains each field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import cedarpy

from interlock.kernel.spec import Effect, ToolSpec
from interlock.policy.errors import Problem, meant
from interlock.policy.impossible import World, applies
from interlock.policy.types import (
    Fields,
    Paths,
    Untyped,
    argument_paths,
    arguments_type,
    cedar_type,
    cedar_value,
    find,
)

Expr: TypeAlias = "Mapping[str, Any]"  # a node of Cedar's JSON syntax

_SET = "Set<String>"
_RUN = {"external": "Bool", "confidential": "Bool", "sources": _SET}
CONTEXT: Mapping[str, object] = {
    "agent": "String",
    "args": None,  # per tool
    "listed": "Bool",
    "unvouched": _SET,
    "unpointed": _SET,
    "receivers": _SET,
    "unnamed": _SET,
    "blind": "Bool",
    "run": _RUN,
    "findings": _SET,
    "mandate": "String",
    "blocked": _SET,
    "approved": "Bool",
}
MANDATES = frozenset({"none", "on", "off"})
BLOCKED = frozenset({"secret", "budget", "breaker", "scope"})
ARGUMENT_SETS = frozenset({"unvouched", "unpointed", "receivers", "unnamed"})
GROUPS = frozenset(g for e in Effect for g in e.groups)
ANNOTATIONS = frozenset({"id", "obliges"})

_TOKEN = re.compile(r'\s+|//[^\n]*|"(?:[^"\\]|\\.)*"|;|[^\s";/]+|.', re.DOTALL)
_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_RESERVED_IDS = frozenset({"default-deny", "error"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of a file: `line` is where its first word stands, `text` includes the comment above it."""

    file: str
    line: int
    text: str
    id: str = ""
    body: Expr | None = None  # Cedar's JSON; None if it does not parse
    shipped: bool = False

    def problem(self, message: str, remedy: str = "", *, near: str = "") -> Problem:
        """A problem of this rule; in the line of `near` if that stands in it, else where the rule starts."""
        return Problem(file=self.file, line=self._line(near), message=message, remedy=remedy)

    def _line(self, near: str) -> int:
        start = self.line
        if near:
            offset = 0
            for token in _TOKEN.findall(self.text):
                if near in token and not token.startswith("//"):
                    skipped = self.text.count("\n", 0, _first(self.text))
                    return start + self.text.count("\n", 0, offset + token.index(near)) - skipped
                offset += len(token)
        return start


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The tools that rules speak of: `pending` ones have a schema that is not known yet."""

    specs: Mapping[str, ToolSpec]
    pending: frozenset[str] = frozenset()
    agents: frozenset[str] = frozenset()

    def members(self, group: str) -> frozenset[str]:
        """The tools in an action group."""
        return frozenset(n for n, s in self.specs.items() if group in s.effect.groups)


def split(text: str, file: str, *, shipped: bool = False) -> Iterator[Rule]:
    """The rules in `text`, unparsed. What follows the last `;` is one too, unless it is only comment."""
    start = end = 0
    for token in _TOKEN.findall(text):
        end += len(token)
        if token == ";":  # noqa: S105 - a token of the text
            yield _cut(text, start, end, file, shipped=shipped)
            start = end
    if _first(text[start:]) < len(text[start:]):
        yield _cut(text, start, end, file, shipped=shipped)


def _cut(text: str, start: int, end: int, file: str, *, shipped: bool) -> Rule:
    line = text.count("\n", 0, start + _first(text[start:end])) + 1
    return Rule(file=file, line=line, text=text[start:end].strip(), shipped=shipped)


def _first(text: str) -> int:
    """Where the first word stands, after space and comments."""
    offset = 0
    for token in _TOKEN.findall(text):
        if not token.isspace() and not token.startswith("//"):
            break
        offset += len(token)
    return offset


def parse_rules(
    rules: Iterable[Rule], *, taken: Iterable[str] = (), obligations: frozenset[str] = frozenset()
) -> tuple[list[Rule], list[Problem]]:
    """The rules, parsed, each with an id of its own that is not `taken` by a shipped one."""
    seen = dict.fromkeys(taken, "")
    parsed, problems = [], []
    for rule in rules:
        result = _parse(rule, obligations)
        if isinstance(result, list):
            problems += result
        elif result.id in seen:
            where = seen[result.id]
            told = (
                f"the rule `{result.id}` is there already, in {where}" if where else f"`{result.id}` is a shipped rule"
            )
            problems.append(result.problem(told, "give the rule another `@id`", near=f'"{result.id}"'))
        else:
            seen[result.id] = f"{rule.file}:{rule.line}"
            parsed.append(result)
    return parsed, problems


def _parse(rule: Rule, obligations: frozenset[str]) -> Rule | list[Problem]:
    if not rule.text.endswith(";"):
        return [rule.problem("the rule that starts here does not end", "close its strings and brackets and write `;`")]
    try:
        found = json.loads(cedarpy.policies_to_json_str(rule.text))
    except ValueError as error:
        return [rule.problem(f"the rule does not parse: {error}")]
    if found["templates"]:
        slot = "?principal" if "?principal" in rule.text else "?resource"
        return [rule.problem(f"`{slot}` is a template's slot", "write the principal or resource out", near=slot)]
    policies = list(found["staticPolicies"].values())
    if len(policies) != 1:  # the splitting above and Cedar's grammar disagree: refuse rather than guess
        return [rule.problem("the rule does not parse: it is not one rule")]
    body = policies[0]
    notes: Mapping[str, str | None] = body.get("annotations", {})
    problems = [
        rule.problem(f"`@{n}` is no annotation that is read", meant(n, ANNOTATIONS), near=n)
        for n in sorted(set(notes) - ANNOTATIONS)
    ]
    name = notes.get("id") or ""
    if not name:
        problems.append(rule.problem("the rule has no name", 'write `@id("some-name")` before it'))
    elif not _ID.fullmatch(name) or name in _RESERVED_IDS:
        remedy = "choose another; letters, digits, _ and - are allowed, a letter first"
        problems.append(rule.problem(f"`{name}` cannot be a rule's name", remedy, near=f'"{name}"'))
    if "obliges" in notes:
        problems += _obligations(rule, body, (notes["obliges"] or "").split(","), obligations)
    return problems or Rule(file=rule.file, line=rule.line, text=rule.text, id=name, body=body, shipped=rule.shipped)


def _obligations(rule: Rule, body: Expr, texts: Iterable[str], known: frozenset[str]) -> Iterator[Problem]:
    if body["effect"] != "permit":
        yield rule.problem("a rule that forbids cannot oblige", "put `@obliges` on a permit", near="obliges")
    for text in texts:
        name = text.strip().partition(":")[0]
        if name not in known:
            remedy = meant(name, known, otherwise="" if known else "no obligation is known yet")
            yield rule.problem(f"`{name}` is no obligation", remedy, near="obliges")


# the schema


def cedar_schema(specs: Iterable[ToolSpec]) -> str:
    """The Cedar schema of requests about these tools: one action a tool, in the groups of its effect."""
    tools = sorted(specs, key=lambda s: s.name)
    names = {s.name for s in tools}
    lines = [f"entity {kind};" for kind in sorted({"User", "Tool", *(s.resource for s in tools)})]
    lines += [f'action "{g}"{_parents(_GROUP_PARENTS[g])};' for g in sorted(GROUPS - names)]
    for spec in tools:
        parents = tuple(g for g in spec.effect.groups if g != spec.name)
        context = ", ".join(f"{field}: {_field(field, spec)}" for field in CONTEXT)
        applies_to = f"principal: User, resource: {spec.resource}, context: {{{context}}}"
        lines.append(f'action "{spec.name}"{_parents(parents)} appliesTo {{{applies_to}}};')
    return "\n".join(lines) + "\n"


_GROUP_PARENTS: Mapping[str, tuple[str, ...]] = {"effect": ()} | {e.value: e.groups[1:] for e in Effect}


def _parents(groups: tuple[str, ...]) -> str:
    return " in [" + ", ".join(f'"{g}"' for g in groups) + "]" if groups else ""


def _field(name: str, spec: ToolSpec) -> str:
    match CONTEXT[name]:
        case str(kind):
            return kind
        case dict(inner):
            return "{" + ", ".join(f"{k}: {v}" for k, v in inner.items()) + "}"
        case _:
            return cedar_type(arguments_type(spec.schema))


def cedar_args(spec: ToolSpec, arguments: Mapping[str, object], used: frozenset[str]) -> dict[str, object]:
    """The arguments that rules read (`used`), in Cedar's JSON. What rules cannot read of this tool is left out.

    Raises:
        RuleError: a value is not what the schema promised, or a number that Cedar cannot carry exactly.
    """
    kind = arguments_type(spec.schema)
    wanted = Fields({n: t for n, t in kind.types.items() if n in used}, kind.optional)
    found: dict[str, object] = {}
    for name, inner in wanted.types.items():
        value = arguments.get(name)
        if isinstance(inner, Untyped) or (value is None and (name in kind.optional or name not in arguments)):
            continue  # a rule that reads a required one without `has` then fails to evaluate, and so forbids (K3)
        found[name] = cedar_value(inner, value, name)
    return found


# the check


def check(rules: Iterable[Rule], tools: Tools) -> list[Problem]:
    """All that is wrong with parsed rules, given the tools they speak of."""
    schema = cedarpy.Schema.from_str(cedar_schema(tools.specs.values()))
    paths = {name: _paths(spec) for name, spec in tools.specs.items()}
    problems: list[Problem] = []
    for rule in rules:
        problems += _Check(rule, tools, paths).run(schema)
    return problems


def used_arguments(rules: Iterable[Rule]) -> frozenset[str]:
    """The names of the arguments that some rule reads."""
    reads = (path for rule in rules if rule.body for path, _ in _reads(rule.body))
    return frozenset(path[1] for path in reads if path[0] == "args" and len(path) > 1)


def _paths(spec: ToolSpec) -> Paths:
    found = argument_paths(spec.schema)
    return Paths(found.known | {a.path for a in spec.arguments}, found.open if spec.schema else frozenset())


class _Check:
    """The check of one rule."""

    def __init__(self, rule: Rule, tools: Tools, paths: Mapping[str, Paths]) -> None:
        self.rule, self.tools, self.paths = rule, tools, paths
        self.body: Expr = rule.body or {}
        self.problems: list[Problem] = []

    def run(self, schema: cedarpy.Schema) -> list[Problem]:
        scope = self._scope(self.body["action"])
        if self.problems:
            return self.problems  # what follows would only repeat that the scope is wrong
        if not scope:
            if not self.rule.shipped and not self.tools.pending:
                names = ", ".join(f"`{n}`" for n in sorted(_action_names(self.body["action"]))) or "any action"
                self._add(f"the rule never applies: no tool is in {names}", "change its scope or remove it")
            return self.problems
        reads_args = self._names(scope)
        self._words(scope)
        if self.problems or (reads_args and scope & self.tools.pending):
            return self.problems
        self._validate(schema)
        if not self.problems and not any(applies(self.body, self._world(tool)) for tool in sorted(scope)):
            self._add("the rule never applies: its conditions contradict each other", "correct or remove it")
        return self.problems

    def _add(self, message: str, remedy: str = "", *, near: str = "") -> None:
        problem = self.rule.problem(message, remedy, near=near)
        if problem not in self.problems:
            self.problems.append(problem)

    def _scope(self, action: Expr) -> frozenset[str]:
        found: set[str] = set(self.tools.specs) if action["op"] == "All" else set()
        entities = action.get("entities", [action["entity"]] if "entity" in action else [])
        for entity in entities:
            kind, name = entity["type"], entity["id"]
            near = f'"{name}"'
            if kind != "Action":
                self._add(f"`{kind}` is no type of action", f'write `Action::"{name}"`', near=near)
            elif name in self.tools.specs:
                found.add(name)
                if action["op"] == "in":
                    found |= self.tools.members(name)
            elif name not in GROUPS:
                known = set(self.tools.specs) | (GROUPS if action["op"] == "in" else set())
                what = "tool" if action["op"] == "==" else "tool and no effect"
                self._add(f"`{name}` is no {what}", meant(name, known), near=near)
            elif action["op"] == "in":
                found |= self.tools.members(name)
            else:
                self._add(f"`{name}` is an effect, not a tool", f'write `action in Action::"{name}"`', near=near)
        return frozenset(found)

    def _names(self, scope: frozenset[str]) -> bool:
        """Report what is read and does not exist; whether arguments are read."""
        reads_args = False
        for path, whole in _reads(self.body):
            if not path or (path == ("args",) and whole):
                name = ".".join(("context", *path))
                self._add(f"the rule reads `{name}` as a whole", f"name the field: `{name}.something`", near=name)
            elif path[0] not in CONTEXT:
                self._add(f"`context.{path[0]}` does not exist", meant(path[0], CONTEXT), near=path[0])
            elif path[0] == "run" and len(path) > 1 and path[1] not in _RUN:
                self._add(f"`context.run.{path[1]}` does not exist", meant(path[1], _RUN), near=path[1])
            elif path[0] == "args":
                reads_args = True
                self._argument(path[1:], scope)
        return reads_args

    def _argument(self, path: tuple[str, ...], scope: frozenset[str]) -> None:
        if scope & self.tools.pending:
            return
        types = {tool: arguments_type(self.tools.specs[tool].schema) for tool in sorted(scope)}
        found = {tool: find(kind, path) for tool, kind in types.items()}
        if all(kind is None for kind in found.values()):
            names = {n for kind in types.values() for n in _fields(kind, path[:-1])}
            where = f"`{next(iter(types))}` has" if len(types) == 1 else "no tool in the rule's scope has"
            told = f"{where} {'no' if len(types) == 1 else 'an'} argument `{'.'.join(path)}`"
            self._add(told, meant(path[-1], names), near=path[-1])
        for tool, kind in found.items():
            if isinstance(kind, Untyped):
                told = f"rules cannot read the argument `{'.'.join(path)}` of `{tool}`: {kind.reason}"
                self._add(
                    told, "give it one plain type in the tool's schema, or narrow the rule's scope", near=path[-1]
                )

    def _words(self, scope: frozenset[str]) -> None:
        """Report words compared with a field that never holds them."""
        for path, word in _comparisons(self.body):
            near = f'"{word}"'
            match path:
                case ("mandate",) if word not in MANDATES:
                    self._add(f"`context.mandate` is never `{word}`", meant(word, MANDATES), near=near)
                case ("blocked",) if word not in BLOCKED:
                    self._add(f"`context.blocked` never holds `{word}`", meant(word, BLOCKED), near=near)
                case ("agent",) if word not in self.tools.agents:
                    self._add(f"`{word}` is no agent", meant(word, self.tools.agents), near=near)
                case (field,) if field in ARGUMENT_SETS:
                    self._argument_word(field, word, scope)
                case _:
                    pass
        for entity in _entities(self.body):
            kind, name = entity["type"], entity["id"]
            if kind == "Tool" and name not in self.tools.specs:
                self._add(f"`{name}` is no tool", meant(name, self.tools.specs), near=f'"{name}"')

    def _argument_word(self, field: str, word: str, scope: frozenset[str]) -> None:
        if scope & self.tools.pending or any(self.paths[t].has(word) for t in scope):
            return
        known = {p for t in scope for p in self.paths[t].known}
        remedy = meant(word, known, otherwise="" if known else "no tool in the rule's scope has arguments")
        self._add(f"`context.{field}` never holds `{word}`", remedy, near=f'"{word}"')

    def _validate(self, schema: cedarpy.Schema) -> None:
        errors = [e.error for e in cedarpy.validate_policies(self.rule.text, schema).errors]
        texts = [re.sub(r"^for policy `[^`]*`, ", "", e) for e in errors]
        for text in [t for t in texts if t != _NOWHERE] or texts:  # that one follows from any other
            for pattern, message, remedy in _EXPLAINED:
                if found := re.fullmatch(pattern, text, re.DOTALL):
                    parts = {k: v or "" for k, v in found.groupdict().items()}
                    parts["meant"] = meant(parts.get("word", ""), [*self.tools.specs, *GROUPS])
                    self._add(message.format(**parts), remedy.format(**parts), near=parts.get("word", ""))
                    break
            else:
                self._add(text)

    def _world(self, tool: str) -> World:
        spec = self.tools.specs[tool]
        return World(
            tool=tool,
            resource=spec.resource,
            groups=frozenset({tool, *spec.effect.groups}),
            arguments=arguments_type(spec.schema),
        )


_NOWHERE = "unable to find an applicable action given the policy scope constraints"
_EXPLAINED: tuple[tuple[str, str, str], ...] = (
    (
        (
            r"unable to guarantee safety of access to optional attribute `args\.(?P<word>[^`]*)` "
            r'in context for Action::"(?P<tool>.*)"'
        ),
        "a call of `{tool}` may lack the argument `{word}`",
        "ask for it first: `context.args has {word} && …`",
    ),
    (
        r'attribute `args\.(?P<word>[^`]*)` in context for Action::"(?P<tool>.*)" not found',
        "`{tool}`, to which the rule applies too, has no argument `{word}`",
        "narrow the rule's scope, or ask first: `context.args has {word} && …`",
    ),
    (_NOWHERE, "the rule never applies: no call has such a principal, action and resource", "change its scope"),
    (r'unrecognized action `Action::"(?P<word>.*)"`', "`{word}` is no tool", "{meant}"),
    (
        r"unrecognized entity type `(?P<word>[^`]*)`",
        "`{word}` is no type of entity",
        "principals are `User`, resources are `Tool`",
    ),
    (
        r"attribute `(?P<word>[^`]*)` on entity type `(?P<kind>[^`]*)` not found",
        "a `{kind}` has no attribute `{word}`",
        "what is known of a call stands in `context`",
    ),
    (
        r"error during extension function argument validation: failed to parse as a decimal value: `(?P<word>.*)`",
        "{word} is no decimal",
        'write digits on both sides of the point: `decimal("10.0")`',
    ),
    (
        r"unexpected type: expected (?P<want>.*?) but saw decimal",
        "wrong type: expected {want} but saw decimal",
        'numbers are decimals: `context.args.x.lessThan(decimal("10.0"))`',
    ),
    (r"unexpected type: expected (?P<want>.*?) but saw (?P<got>.*?)", "wrong type: expected {want} but saw {got}", ""),
)


# walks over Cedar's JSON


def _action_names(action: Expr) -> set[str]:
    entities = action.get("entities", [action["entity"]] if "entity" in action else [])
    return {e["id"] for e in entities}


def _fields(kind: Fields, path: tuple[str, ...]) -> Iterable[str]:
    found = find(kind, path)
    return found.types if isinstance(found, Fields) else ()


def chain(node: object) -> tuple[str, ...] | None:
    """The path of `context.a.b`, without `context`; None for anything else."""
    match node:
        case {"Var": "context"}:
            return ()
        case {".": {"left": left, "attr": str(attr)}}:
            path = chain(left)
            return None if path is None else (*path, attr)
        case _:
            return None


def _reads(node: object) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Every path into the context that `node` reads, with whether the value there is taken as a whole."""
    if (path := chain(node)) is not None:
        yield path, True
        return
    match node:
        case {"has": {"left": left, "attr": str(attr)}} if (path := chain(left)) is not None:
            yield (*path, attr), False
        case Mapping():
            for key, value in node.items():
                if key != "Value":
                    yield from _reads(value)
        case list():
            for value in node:
                yield from _reads(value)
        case _:
            pass


def _comparisons(node: object) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every word that a field of the context is compared with: `field == "x"`, `field.contains("x")`, and so on."""
    if isinstance(node, list):
        for value in node:
            yield from _comparisons(value)
    if not isinstance(node, Mapping):
        return
    for operator, sides in node.items():
        if operator in {"==", "!=", "contains", "containsAny", "containsAll"} and isinstance(sides, Mapping):
            for field, other in ((sides["left"], sides["right"]), (sides["right"], sides["left"])):
                if path := chain(field):
                    yield from ((path, word) for word in _literals(other))
        if operator != "Value":
            yield from _comparisons(sides)


def _literals(node: object) -> Iterator[str]:
    match node:
        case {"Value": str(word)}:
            yield word
        case {"Set": list(items)}:
            for item in items:
                yield from _literals(item)
        case _:
            pass


def _entities(node: object) -> Iterator[Mapping[str, str]]:
    match node:
        case {"__entity": entity} | {"entity": entity}:
            yield entity
        case Mapping():
            for value in node.values():
                yield from _entities(value)
        case list():
            for value in node:
                yield from _entities(value)
        case _:
            pass
