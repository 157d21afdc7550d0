"""Files to a `Policy`. The only module of this ring that reads files; every problem is found before anything is said.

Three passes: the text becomes data with lines (`document`), the data becomes a manifest (`manifest`; what is wrong is
reported and cut out, so that the rest can still be judged), the manifest is judged against itself, the tools' schemas
and the rules. What is cut out is never filled in: one problem and nothing loads.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import cast

import jsonschema_rs
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from interlock.kernel.call import NAME, Json, digest_of, freeze, thaw
from interlock.kernel.errors import CallError
from interlock.kernel.labels import Integrity
from interlock.kernel.spec import Argument, Condition, Effect, Returns, Role, Sharing, Show, ToolSpec
from interlock.policy import document, readback
from interlock.policy.document import MAX_BYTES, Document
from interlock.policy.errors import ConfigError, PolicyError, Problem, meant
from interlock.policy.infer import infer_spec
from interlock.policy.manifest import ROLES, ArgumentPart, Manifest, ReturnsPart, SharingPart, ToolPart
from interlock.policy.part_limits import ToolLimits
from interlock.policy.policy import AgentPolicy, Entry, Kind, Policy
from interlock.policy.readback import Readback
from interlock.policy.rules import GROUPS, Rule, Tools, check, parse_rules, split, used_arguments
from interlock.policy.types import argument_paths

_BASE = Path(__file__).with_name("base.cedar")
_FOUND = Path(__file__).with_name("found.cedar")
_MAX_RULE_FILES = 200
_MAX_ROUNDS = 20  # of cutting out what is wrong; each removes all errors of one validation
_CONDITION = re.compile(r"([^\s=<>!]+)\s*(==|<=|\sin\s)\s*me")
_INTEGRITY = {i.word: i for i in Integrity}

Schemas = Mapping[str, Mapping[str, object]]


def load_policy(
    path: str | Path,
    *,
    schemas: Schemas | None = None,
    descriptions: Mapping[str, str] | None = None,
    obligations: Iterable[str] = (),
    kinds: Mapping[str, Kind] | None = None,
) -> Policy:
    """The policy that the manifest at `path` and its rules state.

    `obligations` are those that somebody can discharge, `kinds` what a tool can be beside a function.

    Raises:
        PolicyError: with every problem that was found.
    """
    file = str(path)
    try:
        text = _read(Path(path))
    except _Unreadable as error:
        raise PolicyError([Problem(file=file, line=0, message=error.message, remedy=error.remedy)]) from None
    doc, problems = document.parse(text, file)
    source = _source(file, Path(path).parent, doc, problems, obligations, kinds or {})
    return source.resolve(schemas or {}, descriptions or {})


def policy_from(
    mapping: Mapping[str, object],
    base_dir: str | Path = ".",
    *,
    schemas: Schemas | None = None,
    descriptions: Mapping[str, str] | None = None,
    obligations: Iterable[str] = (),
    kinds: Mapping[str, Kind] | None = None,
) -> Policy:
    """The policy that a manifest given as data states; its rules lie relative to `base_dir`.

    Raises:
        PolicyError: with every problem that was found.
    """
    try:
        data = thaw(freeze(mapping, where="manifest"))
    except CallError as error:
        raise PolicyError([Problem(file="manifest", line=0, message=str(error))]) from None
    source = _source("manifest", Path(base_dir), Document(data), [], obligations, kinds or {})
    return source.resolve(schemas or {}, descriptions or {})


# reading


class _Unreadable(Exception):
    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message, self.remedy = message, remedy


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "no path"
        raise _Unreadable(f"the file cannot be read: {reason.lower()}") from None
    if len(data) > MAX_BYTES:
        raise _Unreadable(f"the file is larger than {MAX_BYTES // 1024} KiB", "split the rules over several files")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Unreadable(f"the file is no UTF-8 text: byte {error.start + 1}", "save it as UTF-8") from None


def _source(
    file: str,
    folder: Path,
    doc: Document,
    problems: list[Problem],
    obligations: Iterable[str],
    kinds: Mapping[str, Kind],
) -> _Source:
    found = list(problems)
    data = copy.deepcopy(doc.data)
    entries = _entries(data, kinds, doc, file, found)
    manifest = _manifest(data, doc, file, found) if doc.data is not None or not problems else None
    rules: list[Rule] = []
    if manifest is not None:
        for rule_file in _rule_files(manifest, folder, doc, file, found):
            try:
                rules += split(_read(rule_file), str(rule_file))
            except _Unreadable as error:
                found.append(Problem(file=str(rule_file), line=0, message=error.message, remedy=error.remedy))
    return _Source(
        file=file,
        doc=doc,
        manifest=manifest,
        entries=entries,
        rules=tuple(rules),
        problems=tuple(found),
        known=frozenset(obligations),
    )


def _entries(
    data: Json, kinds: Mapping[str, Kind], doc: Document, file: str, problems: list[Problem]
) -> dict[str, tuple[Entry, tuple[ToolSpec, ...]]]:
    """The entries of other kinds, taken out of `data`, each with the tools that its kind makes of it."""
    tools = data.get("tools") if isinstance(data, dict) else None
    found: dict[str, tuple[Entry, tuple[ToolSpec, ...]]] = {}
    for name, part in list(tools.items()) if isinstance(tools, dict) else ():
        word = part.get("kind") if isinstance(part, dict) else None
        kind = kinds.get(word) if isinstance(word, str) else None
        if kind is None or not isinstance(tools, dict) or not isinstance(part, dict) or not isinstance(word, str):
            continue
        del tools[name]
        limits = _limits(name, part, doc, file, problems)
        config = {k: v for k, v in part.items() if k != "kind" and k not in ToolLimits.model_fields}
        try:
            specs = kind.specs(name, config) if NAME.fullmatch(name) else ()
        except ConfigError as error:
            line = doc.line(("tools", name, *error.path))
            problems.append(Problem(file=file, line=line, message=str(error), remedy=error.hint))
            specs = ()
        tools_made = tuple(s.name for s in specs)
        entry = Entry(name=name, kind=word, config=MappingProxyType(config), tools=tools_made, limits=limits)
        found[name] = (entry, specs)
    return found


def _limits(name: str, part: Mapping[str, Json], doc: Document, file: str, problems: list[Problem]) -> ToolLimits:
    """The limits of an entry of another kind: the keys that tools of all kinds have."""
    said = {k: part[k] for k in ToolLimits.model_fields if k in part}
    try:
        return ToolLimits.model_validate(said)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            where: document.Path = ("tools", name, *_inside(said, detail["loc"]))
            message, remedy = _explain(detail, where)
            problems.append(Problem(file=file, line=doc.line(where), message=message, remedy=remedy))
        return ToolLimits()


def _rule_files(manifest: Manifest, folder: Path, doc: Document, file: str, problems: list[Problem]) -> list[Path]:
    found: dict[Path, None] = {}
    for index, pattern in enumerate(manifest.rules):
        line = doc.line(("rules", index))
        try:
            matches = sorted(p for p in folder.glob(pattern) if p.is_file())
        except (NotImplementedError, ValueError, OSError, IndexError):  # absolute; NUL; `**x`; only dots
            told = f"`{pattern}` is no pattern of files beside the manifest"
            problems.append(Problem(file=file, line=line, message=told, remedy="write for example `rules/*.cedar`"))
            continue
        if not matches:
            told = f"`{pattern}` matches no file"
            remedy = "patterns are relative to the manifest's folder"
            problems.append(Problem(file=file, line=line, message=told, remedy=remedy))
        found |= dict.fromkeys(matches)
        if len(found) > _MAX_RULE_FILES:
            told = f"`{pattern}` matches more than {_MAX_RULE_FILES} files"
            problems.append(Problem(file=file, line=line, message=told, remedy="write for example `rules/*.cedar`"))
            return []
    return list(found)


# the manifest's shape


def _manifest(data: Json, doc: Document, file: str, problems: list[Problem]) -> Manifest | None:
    """The manifest without what is wrong with its shape, which goes to `problems`; None if nothing is left."""
    cut: set[document.Path] = set()
    for _ in range(_MAX_ROUNDS):
        try:
            return Manifest.model_validate(data)
        except ValidationError as error:
            details = error.errors(include_url=False)
        places = {_inside(data, d["loc"]) for d in details}
        for detail in details:
            path = _inside(data, detail["loc"])
            ours = any(path == c[: len(path)] for c in cut)  # what is wrong now may be what was cut out
            if not ours and not _silent(detail, data) and not _outdone(detail, details, data):
                message, remedy = _explain(detail, path)
                problems.append(Problem(file=file, line=doc.line(path), message=message, remedy=remedy))
        if not isinstance(data, dict):
            return None
        for path in sorted(places, key=_order, reverse=True):
            _cut(data, path)
        cut |= places
        data |= {name: data.get(name, empty) for name, empty in _NEEDED.items()}
    return None  # problems were found in every round: nothing will be loaded


def _inside(data: Json, loc: document.Path) -> document.Path:
    """The part of pydantic's location that exists in the data: without names of union branches and missing keys."""
    path: list[int | str] = []
    for step in loc:
        if (isinstance(data, dict) and step in data) or (isinstance(data, list) and isinstance(step, int)):
            data = _at(data, step)
            path.append(step)
    return tuple(path)


def _silent(detail: ErrorDetails, data: Json) -> bool:
    """An unknown key in a tool of another kind: that the kind is missing says it all."""
    match detail["loc"]:
        case ("tools", str(name), _, *_) if detail["type"] == "extra_forbidden" and isinstance(data, dict):
            tools = data.get("tools")
            tool = tools.get(name) if isinstance(tools, dict) else None
            return isinstance(tool, dict) and tool.get("kind", "function") != "function"
        case _:
            return False


def _outdone(detail: ErrorDetails, details: list[ErrorDetails], data: Json) -> bool:
    """Where a key takes one shape or another: the shape that was meant says more than the one that was not."""
    path, fit = _inside(data, detail["loc"]), _fit(detail)
    others = [(_inside(data, d["loc"]), _fit(d)) for d in details if d is not detail]
    return fit < _FITS and any(p[: len(path)] == path and (len(p) > len(path) or f > fit) for p, f in others)


_FITS = 2


def _fit(detail: ErrorDetails) -> int:
    if detail["type"] == "literal_error":
        return _FITS if isinstance(detail["input"], str) else 0
    return 1 if detail["type"] in _TYPES else _FITS


def _order(path: document.Path) -> list[tuple[int, str]]:
    return [(step, "") if isinstance(step, int) else (0, step) for step in path]


def _cut(data: Json, path: document.Path) -> None:
    """Remove what stands at `path`: the value that is wrong, or the mapping that lacks a key."""
    *outer, last = path or (None,)
    for step in outer:
        data = _at(data, step)
    match data, last:
        case dict(), str():
            del data[last]
        case list(), int():
            del data[last]
        case _:
            pass


def _at(data: Json, step: int | str | None) -> Json:
    if isinstance(data, dict) and isinstance(step, str):
        return data.get(step)
    return data[step] if isinstance(data, list) and isinstance(step, int) and step < len(data) else None


_NEEDED: Mapping[str, Json] = {"version": 1, "agents": {}, "tools": {}}

_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def _explain(detail: ErrorDetails, path: document.Path) -> tuple[str, str]:
    """What pydantic found, in our words: message and remedy."""
    kind, loc = detail["type"], detail["loc"]
    name = _dotted(path)
    value = detail.get("input")
    context = detail.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key `{loc[-1]}`{_in(path[:-1])}", meant(str(loc[-1]), _keys(path[:-1]))
    if kind == "missing":
        return f"`{loc[-1]}` is missing{_in(path)}", (
            not path and _MISSING.get(str(loc[-1]))
        ) or f"write `{loc[-1]}: …`"
    if kind == "literal_error":
        if path and path[-1] == "kind" and isinstance(value, str):
            return f"kind `{value}` is not available yet", "declare the tool as `function`"
        if path == ("version",):
            told = f"version `{value}` is not known" if isinstance(value, int) else "`version` must be a number"
            return told, "write `version: 1`"
        words = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        key = "show" if "show" in path else _key(path)
        return f"`{value}` is no value of `{key}`", _choice(str(value), words)
    if kind == "string_pattern_mismatch":
        return _mismatch(str(value), path)
    if kind in _TYPES:
        return f"{f'`{name}`' if name else 'the manifest'} must be {_TYPES[kind]}", _shape(kind, path)
    if kind == "too_short" and context.get("min_length", 1) > 1:
        return f"`{name}` needs {context['min_length']} values", ""
    if kind in {"too_short", "string_too_short"}:
        return f"`{name}` is empty", "name something, or leave the key out"
    if kind == "string_too_long":
        return f"`{name}` is too long", f"use at most {context.get('max_length')} characters"
    return f"`{name}`: {detail['msg'].lower()}", ""


_MISSING = {
    "version": "start with `version: 1`",
    "agents": "list each agent with its tools: `agents: {support: {tools: [orders]}}`",
    "tools": "describe each tool: `tools: {orders: {effect: read}}`",
}


def _choice(value: str, words: list[str]) -> str:
    return meant(value, words, otherwise="use " + ", ".join(f"`{w}`" for w in words))


_FORMS = {
    "budgets": "write an amount per window, such as `40/run`, `5 USD/day` or `10 min/run`",
    "rates": "write a count per second, minute, hour or day, such as `30/minute`",
    "rate": "write a count per second, minute, hour or day, such as `30/minute`",
}


def _mismatch(value: str, path: document.Path) -> tuple[str, str]:
    if path[:1] == ("tools",) and len(path) == 2:  # noqa: PLR2004 - the tool's own name
        return f"`{path[1]}` is no tool name", "letters, digits and _ . : / - are allowed, a letter or _ first"
    place = _dotted(path)
    if form := _FORMS.get(str(path[2]) if len(path) > 2 else ""):  # noqa: PLR2004 - after section and name
        return f"`{value}` is nothing that `{place}` can be", form
    if path[:1] not in {("tools",), ("agents",)}:
        if path[-1:] in {("key",), ("secret",), ("seal",)}:  # what stands there may be the secret itself
            return f"`{place}` is no handle", "write `secret://NAME`, and the value where NAME is looked for"
        return f"`{place}` has not the form that it needs", "see the page of this section"
    if "arguments" in path:
        if value == Role.ID or value.startswith("id:"):
            return f"`{value}` names no kind of object", "write for example `id:order`"
        return f"`{value}` is no role", meant(value, [r for r in ROLES if r != Role.ID] + ["id:<kind>"])
    return f"`{value}` is no kind of object", "use letters, digits, _ and -, starting with a letter"


def _shape(kind: str, path: document.Path) -> str:
    if kind == "list_type":
        return f"write `{_key(path)}: [one, two]`"
    if kind in {"dict_type", "model_type", "model_attributes_type"}:
        return f"write `{_key(path)}: {{…}}`" if path else "start with `version: 1`"
    return ""


def _key(path: document.Path) -> str:
    return next((str(step) for step in reversed(path) if isinstance(step, str)), "manifest")


def _dotted(path: document.Path) -> str:
    return ".".join(str(step + 1) if isinstance(step, int) else step for step in path)


def _in(path: document.Path) -> str:
    return f" in `{_dotted(path)}`" if path else ""


def _keys(path: document.Path) -> list[str]:
    """The keys that the manifest knows at `path`."""
    shape = Manifest.model_json_schema()
    here: Mapping[str, object] = shape
    for step in path:
        here = _deeper(here, step, shape)
    properties = _followed(here, shape).get("properties")
    return list(properties) if isinstance(properties, dict) else []


def _deeper(here: Mapping[str, object], step: int | str, shape: Mapping[str, object]) -> Mapping[str, object]:
    here = _followed(here, shape)
    properties = here.get("properties")
    inner: object = here.get("items") if isinstance(step, int) else None
    if isinstance(properties, dict) and step in properties:
        inner = properties[step]
    elif inner is None:
        by_pattern = here.get("patternProperties")
        inner = here.get("additionalProperties") or (next(iter(by_pattern.values())) if by_pattern else None)  # type: ignore[attr-defined]
    return inner if isinstance(inner, dict) else {}


def _followed(here: Mapping[str, object], shape: Mapping[str, object]) -> Mapping[str, object]:
    """The object behind a reference or among alternatives."""
    alternatives = here.get("anyOf") or here.get("oneOf")
    if isinstance(alternatives, list):
        here = next((a for a in alternatives if "$ref" in a), {})
    reference = here.get("$ref")
    definitions = shape["$defs"]
    if isinstance(reference, str) and isinstance(definitions, dict):
        found = definitions[reference.rpartition("/")[2]]
        return found if isinstance(found, dict) else {}
    return here


# the manifest's meaning


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """All that was read. Judged as a whole each time the schemas of functions become known."""

    file: str
    doc: Document
    manifest: Manifest | None
    entries: Mapping[str, tuple[Entry, tuple[ToolSpec, ...]]]
    rules: tuple[Rule, ...]
    problems: tuple[Problem, ...]  # found while reading
    known: frozenset[str]  # obligations

    def resolve(self, schemas: Schemas, descriptions: Mapping[str, str]) -> Policy:
        """The policy, with what functions say of themselves; see `Policy.with_schemas`."""
        if self.manifest is None:
            raise PolicyError(self.problems)
        shipped = [*split(_read(_BASE), _BASE.name, shipped=True)]
        if self.manifest.detect and self.manifest.detect.ask:
            shipped = [*shipped, *split(_read(_FOUND), _FOUND.name, shipped=True)]
        base, broken = parse_rules(shipped)
        view = _View(self, self.manifest, schemas, descriptions, shipped=[r.id for r in base])
        problems = [*self.problems, *broken, *view.problems()]
        own, wrong = parse_rules(self.rules, taken=[r.id for r in base], obligations=self.known)
        rules = [*(r for r in base if r.id not in self.manifest.relax), *own]
        tools = Tools(specs=view.specs, pending=view.pending, agents=frozenset(self.manifest.agents))
        problems += wrong
        if _sound(view.specs):
            problems += check(rules, tools)
        if problems:
            raise PolicyError(problems)
        text = "\n\n".join(r.text for r in rules) + "\n"
        return Policy(
            manifest_path=self.file,
            tools=MappingProxyType(view.specs),
            agents=MappingProxyType(view.agents()),
            entries=tuple(entry for entry, _ in self.entries.values()),
            me=tuple(self.manifest.me),
            rules_text=text,
            relaxed=tuple(self.manifest.relax),
            digest=digest_of({"manifest": self.doc.data, "rules": text}),
            args_used=used_arguments(rules),
            manifest=self.manifest,
            tool_limits=MappingProxyType(
                {n: t for n, t in self.manifest.tools.items() if n in view.specs}
                | {s.name: entry.limits for entry, specs in self.entries.values() for s in specs if entry.limits}
            ),
            verify=MappingProxyType(
                {
                    name: Readback(tool=v.tool, arguments=_json(v.arguments), expect=_json(v.expect))
                    for name, v in self.manifest.verify.items()
                }
            ),
            pending=view.pending,
            inferred=frozenset(view.inferred),
            source=self,
        )


def _sound(specs: Mapping[str, ToolSpec]) -> bool:
    """No tool takes an effect's name: rules about that effect would speak of the tool."""
    return all(name not in GROUPS or name == spec.effect for name, spec in specs.items())


class _View:
    """The manifest together with what functions say: specs, and what is wrong with them."""

    def __init__(
        self,
        source: _Source,
        manifest: Manifest,
        schemas: Schemas,
        descriptions: Mapping[str, str],
        *,
        shipped: list[str],
    ) -> None:
        self.file, self.doc, self.manifest, self.shipped = source.file, source.doc, manifest, shipped
        self.found: list[Problem] = []
        self.inferred: set[str] = set()
        self.raw = source.doc.data if isinstance(source.doc.data, dict) else {}
        self.schemas: dict[str, Mapping[str, object]] = {}
        for name, tool in manifest.tools.items():
            self._schema(name, tool.arguments_schema, schemas.get(name))
        self.pending = frozenset(manifest.tools) - frozenset(self.schemas)
        self.specs = {n: self._spec(n, t, descriptions.get(n, "")) for n, t in manifest.tools.items()}
        self.entries = source.entries
        for name, (_, specs) in self.entries.items():
            for spec in specs:
                if spec.name in self.specs:
                    self._add(
                        ("tools", name), f"`{name}` makes a tool `{spec.name}`, which exists", "rename one of them"
                    )
                self.specs[spec.name] = spec

    def problems(self) -> list[Problem]:
        """All problems of meaning."""
        kinds = {k for s in self.specs.values() for k in (s.returns.object, s.refers) if k}
        for name in self.specs:
            self._name(name)
        for name, tool in self.manifest.tools.items():
            self._arguments(name, tool, kinds)
        self._agents()
        self._relaxed()
        self._verify()
        return self.found

    def agents(self) -> dict[str, AgentPolicy]:
        """The agents, as plain data."""
        return {
            name: AgentPolicy(
                name=name,
                tools=frozenset(t for listed in a.tools for t in self._meant(listed)),
                mandate=a.mandate,
                show=Show(a.show),
            )
            for name, a in self.manifest.agents.items()
        }

    def _meant(self, listed: str) -> tuple[str, ...]:
        """The tools that an agent's list means by a name: an entry of another kind means all that it yields."""
        return self.entries[listed][0].tools if listed in self.entries else (listed,)

    def _add(self, path: document.Path, message: str, remedy: str = "") -> None:
        self.found.append(Problem(file=self.file, line=self.doc.line(path), message=message, remedy=remedy))

    def _item(self, path: document.Path, value: str, *, last: bool = False) -> document.Path:
        """The place of `value` in the list at `path` of the file: positions of the cut manifest may have moved."""
        here: Json = self.raw
        for step in path:
            here = _at(here, step)
        places = [i for i, v in enumerate(here) if v == value] if isinstance(here, list) else []
        return (*path, places[-1 if last else 0]) if places else path

    def _name(self, name: str) -> None:
        if name not in GROUPS or name == self.specs[name].effect:
            return
        remedy = "rename the tool" if name == "effect" else f"declare `effect: {name}`, or rename the tool"
        self._add(("tools", name), f"a tool named `{name}` would stand for all tools with that effect", remedy)

    def _schema(self, name: str, declared: Mapping[str, object] | None, brought: Mapping[str, object] | None) -> None:
        where: document.Path = ("tools", name, "schema") if declared is not None else ("tools", name)
        for schema in (s for s in (brought, declared) if s is not None):
            if reason := _no_schema(schema):
                owner = "the function's schema" if schema is brought else "the schema"
                self._add(where, f"{owner} of `{name}` is no JSON Schema: {reason}", "describe an object's properties")
                return
        if declared is not None and brought is not None:
            paths = argument_paths(brought)
            for path in sorted(argument_paths(declared).known):
                if not paths.has(path):
                    self._add(where, f"the function `{name}` has no argument `{path}`", meant(path, paths.known))
        chosen = declared if declared is not None else brought
        if chosen is not None:
            self.schemas[name] = copy.deepcopy(dict(chosen))

    def _spec(self, name: str, tool: ToolPart, told: str) -> ToolSpec:
        description = tool.description or told
        tight = self.manifest.labels == "tight"
        guessed = infer_spec(name, description, self.schemas.get(name, {}), tight=tight)
        given = [
            Argument(path=path, role=_role(a), kind=_kind(a), origins=_origins(a))
            for path, a in tool.arguments.items()
            if all(path.split("."))
        ]
        more = [g for g in guessed.arguments if not any(_covers(a.path, g.path) for a in given)]
        self.inferred |= {f"{name}.arguments.{g.path}" for g in more}
        self.inferred |= {f"{name}.effect"} if tool.effect is None else set()
        self.inferred |= {f"{name}.refers"} if tool.refers is None and guessed.refers else set()
        self.inferred |= {f"{name}.returns"} if tool.returns is None and guessed.returns != Returns() else set()
        return ToolSpec(
            name=name,
            effect=guessed.effect if tool.effect is None else Effect(tool.effect),
            description=description,
            arguments=(*given, *more),
            returns=guessed.returns if tool.returns is None else self._returns(name, tool.returns),
            refers=guessed.refers if tool.refers is None else tool.refers,
            schema=self.schemas.get(name, {}),
            timeout=tool.timeout,
        )

    def _returns(self, name: str, part: ReturnsPart) -> Returns:
        here: document.Path = ("tools", name, "returns")
        for field in sorted(set(part.own) & set(part.presumed)):
            told = f"`{field}` of `{name}` is both `own` and `presumed`"
            place = self._item((*here, "presumed"), field)
            self._add(place, told, "`presumed` is for fields that are own under `labels: tight` only; keep one")
        conditions = []
        for index, when in enumerate(part.when):
            place = (*here, "when", index, "if")
            found = _CONDITION.fullmatch(when.condition.strip())
            if found is None:
                told = f"`{when.condition}` is no condition"
                self._add(place, told, "write `field == me`, `field in me` or `writers <= me`")
                continue
            field, operator = found[1], found[2].strip()
            if field == "writers" and part.sharing is None and not self._says(name, "sharing"):
                told = f"`{when.condition}` needs to know who writes"
                self._add(place, told, "add `sharing: {owner: …, members: …}`")
            if field == "writers" and operator != "<=":
                self._add(place, f"`writers` is a set, and `{operator}` compares one value", "write `writers <= me`")
            conditions.append(Condition(field=field, operator=operator, fields=tuple(when.own)))
        presumed = part.presumed if self.manifest.labels == "tight" else []
        return Returns(
            object=part.object or "",
            records=part.records or "",
            id=tuple(part.id),
            names=tuple(part.names),
            own=tuple(dict.fromkeys([*part.own, *presumed])),
            typed=tuple(part.typed),
            when=tuple(conditions),
            sharing=_sharing(part.sharing),
            confidential=part.confidential,
            show={name: Show(show) for name, show in part.show.items()},
        )

    def _says(self, tool: str, key: str) -> bool:
        """The file has this key in the tool's `returns`, even if what it says is wrong."""
        here: Json = self.raw
        for step in ("tools", tool, "returns"):
            here = _at(here, step)
        return isinstance(here, dict) and key in here

    def _arguments(self, name: str, tool: ToolPart, kinds: set[str]) -> None:
        paths = argument_paths(self.schemas[name]) if name in self.schemas else None
        for path, argument in tool.arguments.items():
            place = ("tools", name, "arguments", path)
            if not all(path.split(".")):
                self._add(place, f"`{path}` is no argument path", "join names by dots: `attachments.file_id`")
                continue
            if paths is not None and not paths.has(path):
                known = {p for p in paths.known if "." in path or "." not in p}
                other = "" if known else "the tool takes no arguments; leave it out"
                self._add(place, f"`{name}` has no argument `{path}`", meant(path, known, otherwise=other))
            kind = _kind(argument)
            if kind and kind not in kinds:
                remedy = f"write `returns: {{object: {kind}}}` at the tool that finds it, or `refers: {kind}` here"
                if kinds:
                    remedy = meant(kind, kinds, otherwise=remedy)
                self._add(place, f"no tool returns the kind of object `{kind}` that `{name}` takes", remedy)

    def _agents(self) -> None:
        tools = self.raw.get("tools")
        known = {*(tools if isinstance(tools, dict) else ()), *self.specs}
        for name, agent in self.manifest.agents.items():
            here: document.Path = ("agents", name, "tools")
            for tool in dict.fromkeys(agent.tools):
                if tool not in known:
                    self._add(
                        self._item(here, tool),
                        f"agent `{name}` lists the unknown tool `{tool}`",
                        _undeclared(tool, known),
                    )
                if agent.tools.count(tool) > 1:
                    self._add(self._item(here, tool, last=True), f"agent `{name}` lists `{tool}` twice", "keep one")

    def _verify(self) -> None:
        for name, part in self.manifest.verify.items():
            here: document.Path = ("verify", name)
            for tool in (name, part.tool):
                if tool not in self.specs:
                    self._add(here, f"`verify` names the unknown tool `{tool}`", _undeclared(tool, {*self.specs}))
            if part.tool in self.specs and self.specs[part.tool].effect is not Effect.READ:
                told = f"`{part.tool}` reads back `{name}`, but its effect is `{self.specs[part.tool].effect}`"
                self._add((*here, "tool"), told, "read back with a tool whose effect is `read`")
            if part.tool in self.manifest.verify:
                self._add((*here, "tool"), f"`{part.tool}` is verified itself", "read back with a tool that is not")
            for agent, listed in self.manifest.agents.items():
                have = {t for n in listed.tools for t in self._meant(n)}
                if name in have and part.tool not in have:
                    told = f"agent `{agent}` has `{name}` but not `{part.tool}`, which reads it back"
                    self._add((*here, "tool"), told, f"list `{part.tool}` under the agent's tools")
            for template in readback.names([_json(part.arguments), _json(part.expect)]):
                if not re.fullmatch(r"\$(arguments|result)(\.[^.]+)*", template):
                    remedy = "write `$arguments.<path>`, `$result.<path>`, or `$$` for a dollar sign"
                    self._add(here, f"`{template}` is no template", remedy)

    def _relaxed(self) -> None:
        for name in dict.fromkeys(self.manifest.relax):
            if name not in self.shipped:
                self._add(self._item(("relax",), name), f"`{name}` is no shipped rule", meant(name, self.shipped))


def _json(part: Mapping[str, object]) -> dict[str, Json]:
    return cast("dict[str, Json]", thaw(freeze(part, where="verify")))


def _undeclared(tool: str, known: set[str]) -> str:
    example = f"describe it under `tools`, for example `{tool}: {{effect: egress}}`"
    return meant(tool, known, otherwise=example if NAME.fullmatch(tool) else "a tool is named as under `tools`")


def _covers(path: str, inner: str) -> bool:
    return inner == path or inner.startswith(path + ".")


def _role(argument: str | ArgumentPart) -> Role:
    text = argument if isinstance(argument, str) else argument.role
    return Role(text.partition(":")[0])


def _kind(argument: str | ArgumentPart) -> str:
    text = argument if isinstance(argument, str) else argument.role
    return text.partition(":")[2]


def _origins(argument: str | ArgumentPart) -> frozenset[Integrity]:
    named = () if isinstance(argument, str) else argument.origins or ()
    return frozenset(_INTEGRITY[word] for word in named)


def _sharing(part: SharingPart | None) -> Sharing | None:
    if part is None:
        return None
    sharing = Sharing(owner=part.owner, members=part.members)
    return sharing if part.write is None else replace(sharing, write=frozenset(part.write))


def _no_schema(schema: Mapping[str, object]) -> str:
    """Why `schema` does not describe a tool's arguments; empty if it does."""
    if schema.get("type") != "object":
        return "its `type` is not `object`"

    def refuse(uri: str) -> Json:
        raise ValueError(f"`{uri}` lies outside the schema, and nothing is fetched")

    try:
        jsonschema_rs.validator_for(dict(schema), retriever=refuse)
    except (ValueError, TypeError, RecursionError) as error:
        return str(error).split("\n", 1)[0]
    return ""
