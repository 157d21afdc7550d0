"""What reading a request is made of, the same for every format: events, answers to calls, fields that nobody knows.

An unknown field is harmless if nothing in it could be a tool, a call, a sentence or a reference to any of these:
numbers, false, null, and short plain words under names that say nothing of the kind. Everything else needs the
operator's name for it. A name that is a known one but for case, dashes or underscores is refused: to some readers it
is the known one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from interlock.kernel.call import Json, canonical
from interlock.wire.errors import ShapeError
from interlock.wire.events import (
    Allowed,
    Asked,
    Declared,
    Event,
    Hosted,
    Opaque,
    Position,
    Problem,
    Result,
    Words,
    opaque_part,
)
from interlock.wire.shelf import Read, Shelf
from interlock.wire.strict import loads, read_arguments, read_input, spelt
from interlock.wire.view import RequestView

MAX_WORD = 256  # characters of a text in an unknown field
SUSPECT = re.compile(
    r"tool|func|call|plugin|mcp|agent|search|brows|web|server|connector|retriev|ground|code|exec|shell|computer|contain"
    r"|skill|memor|session|thread|convers|histor|previous|prior|prompt|messag|input|instruct|system|document|file|context"
    r"|content|text|citation|image|audio|video|action|command|invo|extens|hook|callback|url|uri|role|delta|output|item|block|templ|argum|param|construct"
)
# What steers servers that stand before other servers: which model answers, where it is, what is sent there.
STEERS = re.compile(
    r"models|fallbacks|presets?|routes?|transforms|betas|anthropic_beta|(\w+_)?headers|api_\w+|(\w+_)?base|endpoint|host"
    r"|prox(y|ies)|mock_\w+|data_?sources|guardrails"
)


def harmless(name: str, value: object) -> bool:
    """Whether an unknown field can be passed on unread."""
    if name.startswith("__"):  # `__proto__` changes what an object is where JavaScript merges it
        return False
    if value and STEERS.fullmatch(name.casefold()):
        return False
    match value:
        case None | False:
            return True
        case True:
            return not SUSPECT.search(name.casefold())
        case int() | float():
            return True
        case str():
            return len(value) <= MAX_WORD and "\n" not in value and not SUSPECT.search(name.casefold())
        case dict():
            return not SUSPECT.search(name.casefold()) and all(harmless(key, item) for key, item in value.items())
        case list():
            return all(harmless(name, item) for item in value)
        case _:
            return False


def folded(name: str) -> str:
    """`name` as a lax reader compares it."""
    return name.casefold().replace("_", "").replace("-", "")


def hosts(allowed: Allowed, name: str) -> bool:
    """Whether provider-run tool `name` is allowed, by its name with its date or without."""
    return name in allowed.hosted or re.sub(r"_\d{8}$", "", name) in allowed.hosted


_CALLS = frozenset({"arguments", "functioncall", "partialjson", "toolcall", "toolcalls", "tooluse", "tooluses"})
_CALL = re.compile(r"(?s).*(_call|tool_use|tool_call)")


def quiet(value: object) -> bool:
    """Whether nothing in `value`, which nobody here reads, has the shape of a call."""
    match value:
        case dict():
            kind, names = value.get("type"), {folded(name) for name in value}
            if (isinstance(kind, str) and _CALL.fullmatch(kind)) or names >= {"name", "input"}:
                return False
            told = (name for name, item in value.items() if isinstance(item, str | dict | list))
            return not any(folded(name) in _CALLS for name in told) and all(map(quiet, value.values()))
        case list():
            return all(map(quiet, value))
        case _:
            return True


class Known:
    """The fields that an object may have. Those that it `reads` are looked into elsewhere."""

    def __init__(self, names: str, *, reads: str = "") -> None:
        self.names = frozenset(names.split())
        self.reads = frozenset(reads.split())
        self._folded = frozenset(map(folded, self.names))

    def unknown(self, value: Mapping[str, Any]) -> list[str]:
        """The other fields of `value`."""
        return [] if value.keys() <= self.names else [name for name in value if name not in self.names]

    def disguised(self, name: str) -> bool:
        """Whether unknown `name` is a known one to a lax reader."""
        return folded(name) in self._folded


def passes(known: Known, value: Mapping[str, Any], allowed: Allowed) -> str:
    """The first field of `value` that must not pass unread, "" if there is none."""
    for name in known.unknown(value):
        if known.disguised(name) or not (name in allowed.fields or harmless(name, value[name])):
            return name
    return _loud(known, value)


def only(known: Known, value: Mapping[str, Any]) -> str:
    """The first field of a call that is not known and says anything: here a single word changes what is meant."""
    for name in known.unknown(value):
        if value[name] is not None or name.startswith("__"):
            return name
    return _loud(known, value)


def _loud(known: Known, value: Mapping[str, Any]) -> str:
    """The first field of `value` that nobody reads although a call could be in it, "" if there is none."""
    for name, item in value.items():
        if type(item) in {dict, list} and name not in known.reads and not quiet(item):
            return name
    return ""


def read_object(body: bytes) -> dict[str, Any]:
    """The object in `body`.

    Raises:
        NotJson: as `loads`.
        ShapeError: it is something else.
    """
    value = loads(body)
    if not isinstance(value, dict):
        raise ShapeError("the body must be a JSON object")
    return value


def opaque(at: Position, kind: str, value: object) -> Opaque:
    """The event for `value`, which is not looked into."""
    raw = canonical(value)
    return Opaque(at=at, kind=kind, digest=hashlib.sha256(raw).hexdigest(), size=len(raw))


class Reader:
    """Collects what a request says."""

    def __init__(self, allowed: Allowed, shelf: Shelf | None = None) -> None:
        self.allowed = allowed
        self._shelf = shelf
        self.events: list[Event] = []
        self.tools: list[Declared] = []
        self.hosted: list[Hosted] = []
        self.state: list[str] = []
        self.problems: list[Problem] = []
        self._names: set[str] = set()  # of the tools
        self._open: dict[str, int] = {}  # id of a call: index of its event, until it is answered

    def problem(
        self,
        at: Position,
        code: Literal["hosted-tool", "server-state", "unknown-field", "unknown-item", "contradiction", "shape"],
        why: str,
    ) -> None:
        """The request is refused."""
        self.problems.append(Problem(at=at, code=code, why=why))

    def fields(self, at: Position, value: Mapping[str, Any], known: Known) -> None:
        """Look at the fields of `value` that are not known."""
        for name in known.unknown(value):
            here = (*at, name[:80])
            if known.disguised(name):
                self.problem(here, "contradiction", f"`{name[:80]}` is another field's name to some readers")
            elif not (name in self.allowed.fields or harmless(name, value[name])):
                self.problem(here, "unknown-field", f"`{name[:80]}` is unknown and could carry a call or a text")

    def uses_state(self, name: str, *, brings: bool) -> None:
        """Field `name` keeps a history at the provider; `brings`: it also brings one in, which nobody here has seen."""
        self.state.append(name)
        if brings and name not in self.allowed.state:
            self.problem((name,), "server-state", f"`{name}` brings in a history that was not seen here; send it whole")

    def objects(self, at: Position, value: object, *, after: int = 0) -> Iterable[tuple[Position, dict[str, Any]]]:
        """The objects of list `value` from index `after` on; None is an empty one."""
        if value is None:
            return
        if not isinstance(value, list):
            self.problem(at, "shape", f"`{at[-1]}` must be a list")
            return
        for index, item in enumerate(value[after:] if after else value, after):
            if isinstance(item, dict):
                yield (*at, index), item
            else:
                self.problem((*at, index), "shape", f"`{at[-1]}` must be a list of objects")

    def items(self, at: Position, items: list[Any], read: Callable[[Position, dict[str, Any]], None]) -> None:
        """Have the history's `items` read, from where an earlier request leaves off, if there was one that fits."""
        shelf, events = self._shelf, tuple(self.events)
        if shelf is None or self.problems:
            for here, item in self.objects(at, items):
                read(here, item)
            return
        written = spelt(items)[1:-1]
        first = next((n for n, i in enumerate(items, 1) if isinstance(i, dict) and i.get("role") == "user"), 1)
        key = (shelf.format, shelf.whose, hashlib.sha256(spelt(items[:first])).digest())
        known, digest = shelf.prefixes.find(key, written, events)
        if known is not None:
            self.events, self.tools, self.hosted = [*known.events], [*known.tools], [*known.hosted]
            self.state, self._names, self._open = [*known.state], set(known.names), dict(known.open)
            if known.items == len(items):
                return
        for here, item in self.objects(at, items, after=known.items if known is not None else 0):
            read(here, item)
        if not self.problems:
            now = Read(
                before=len(events),
                items=len(items),
                size=len(written),
                digest=digest,
                events=tuple(self.events),
                tools=tuple(self.tools),
                hosted=tuple(self.hosted),
                state=tuple(self.state),
                names=frozenset(self._names),
                open=dict(self._open),
            )
            shelf.prefixes.keep(key, now, known)

    def words(self, at: Position, role: Literal["system", "user", "assistant", "document"], text: object) -> None:
        """Somebody's words at `at`."""
        if isinstance(text, str):
            self.events.append(Words(at=at, role=role, text=text))
        elif text is not None:
            self.problem(at, "shape", f"`{at[-1]}` must be text")

    def alone(self, at: Position, part: Mapping[str, Any], own: str, says: Iterable[str]) -> None:
        """`part` is the text in its field `own`; with another field that `says` something it would be two things."""
        if other := next((name for name in says if name != own and part.get(name)), ""):
            self.problem((*at, other), "contradiction", f"a part says `{own}` and `{other}`; send two parts")

    def opaque(self, at: Position, kind: str, value: object) -> None:
        """Something that is not read here."""
        self.events.append(opaque(at, kind, value))

    def cited(self, at: Position, kind: str, value: object) -> None:
        """What a text cites is somebody else's words, too many shapes of them to be read."""
        if value:
            self.opaque(at, kind, value)

    def declare(self, at: Position, name: object, *, kind: str, description: object, schema: object) -> None:
        """A tool that the client runs."""
        if not isinstance(name, str) or not name:
            self.problem(at, "shape", "a tool has no name")
            return
        if name in self._names:
            self.problem(at, "contradiction", "two tools have the same name")
        self._names.add(name)
        self.tools.append(
            Declared(
                at=at,
                name=name,
                kind=kind,
                description=description if isinstance(description, str) else "",
                schema=schema if isinstance(schema, dict) else None,
            )
        )

    def host(self, at: Position, name: object) -> None:
        """A tool that the provider runs."""
        word = name[:80] if isinstance(name, str) else "?"
        self.hosted.append(Hosted(at=at, name=word))
        if not hosts(self.allowed, word):
            self.problem(at, "hosted-tool", f"tool `{word}` runs at the provider, past the monitor; allow it by name")

    def asked(self, at: Position, call_id: object, name: object, arguments: object, kind: str = "function") -> None:
        """A call in the history; legacy ones have the id ""."""
        if not isinstance(call_id, str) or not isinstance(name, str) or not name:
            self.problem(at, "shape", "a tool call of the history has no id or no name")
            return
        key = call_id or f"\0{name}"
        if key in self._open:
            self.problem(at, "contradiction", "two tool calls share an id, so their results cannot be told apart")
        self._open[key] = len(self.events)
        read, problem = read_input(arguments) if kind == "custom" else read_arguments(arguments)
        self.events.append(Asked(at=at, id=call_id, name=name, arguments=read, problem=problem, kind=kind))

    def result(
        self,
        at: Position,
        content: object,
        call_id: object,
        part: Callable[[Position, dict[str, Any]], list[tuple[Position, Json]]],
        *,
        name: str = "",
        failed: bool = False,
    ) -> None:
        """What a call returned; `part` reads what one of its parts says. A legacy result has a `name` and no id."""
        if not isinstance(call_id, str):
            self.problem(at, "shape", "a tool result names no call")
            return
        asked = self._open.pop(call_id or f"\0{name}", -1)
        if asked >= 0:
            event = self.events[asked]
            name = event.name if isinstance(event, Asked) else name
        parts: tuple[Position, ...] = (at,)
        read: Json
        match content:
            case str() | None:
                read = content or ""
            case list():
                pairs = [pair for here, item in self.objects(at, content) for pair in part(here, item)]
                parts, contents = tuple(here for here, _ in pairs), [item for _, item in pairs]
                read = contents[0] if len(contents) == 1 and isinstance(contents[0], str) else contents
            case _:
                self.problem(at, "shape", "a tool result must be text or a list of parts")
                return
        self.events.append(Result(at=at, parts=parts, id=call_id, name=name, asked=asked, content=read, failed=failed))

    def sealed(self, at: Position, kind: str, value: object) -> list[tuple[Position, Json]]:
        """A part of a result that is not read here."""
        return [(at, opaque_part(kind, opaque(at, kind, value).digest))]

    def unknown_item(self, at: Position, kind: object) -> str:
        """The name of an item, part or block that is not known; it is refused unless it is allowed by this name."""
        word = kind[:80] if isinstance(kind, str) else "?"
        if word not in self.allowed.fields:
            self.problem((*at, "type"), "unknown-item", f"`{word}` is not known here")
        return word

    def view(
        self,
        *,
        format: str,  # noqa: A002
        body: bytes,
        value: Mapping[str, Any],
        n: int = 1,
        limit: object = None,
        counted: bool = True,
        text_type: str = "text",
        add_system: Callable[[dict[str, Any], str], None],
        add_count: Callable[[dict[str, Any]], None] | None = None,
    ) -> RequestView:
        """All of it."""
        model, stream = value.get("model"), value.get("stream")
        if not isinstance(model, str):
            self.problem(("model",), "shape", "`model` must be text")
        if stream is not None and not isinstance(stream, bool):
            self.problem(("stream",), "shape", "`stream` must be true or false")
        return RequestView(
            format=format,
            body=body,
            model=model if isinstance(model, str) else "",
            stream=stream is True,
            n=n,
            limit=limit if isinstance(limit, int) else None,
            counted=counted,
            events=tuple(self.events),
            tools=tuple(self.tools),
            hosted=tuple(self.hosted),
            state=tuple(self.state),
            problems=tuple(self.problems),
            text_type=text_type,
            add_system=add_system,
            add_count=add_count,
        )
