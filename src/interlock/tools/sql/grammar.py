"""PostgreSQL's own grammar: text to nodes that a generic walk can visit.

The parser is libpg_query (PostgreSQL 18), bound by `postgast`. Its trees are protocol buffers; each message becomes a
`Node` that knows its kind and holds what is set, so that the gate sees every field without knowing the schema. What
nests deeper than protocol buffers may (about 45 levels of one expression) does not decode and is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Protocol, TypeAlias, cast

from interlock.tools.kind import ConfigError

Value: TypeAlias = "Node | tuple[Any, ...] | str | int | float | bool | None"
_PLACES = frozenset({"location", "rexpr_list_start", "rexpr_list_end", "list_start", "list_end", "name_location"})


class ParseError(Exception):
    """The text is no SQL that can be judged."""


class _Postgast(Protocol):
    """What is used of `postgast`."""

    PgQueryError: type[Exception]

    def parse(self, sql: str) -> Any:  # noqa: ANN401 - a message
        """The statements of a text."""

    def scan(self, sql: str) -> Any:  # noqa: ANN401 - a message
        """Its tokens."""


class Node:
    """One node: `kind` is its type in PostgreSQL's grammar; what is not set reads as None. Equal by what it says."""

    __slots__ = ("_set", "kind")

    def __init__(self, kind: str, values: Mapping[str, Value]) -> None:
        self.kind = kind
        self._set = dict(values)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - which fields there are depends on the kind
        return self._set.get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._set)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and (self.kind, self._set) == (other.kind, other._set)

    def __hash__(self) -> int:
        return hash(self.kind)

    def __repr__(self) -> str:
        return f"{self.kind}({', '.join(self._set)})"


def postgast() -> _Postgast:
    """The parser, which comes with an extra.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        found = import_module("postgast")  # an optional dependency; its stubs are no Python that mypy reads
    except ImportError:
        told = "SQL for PostgreSQL needs `postgast`, which is not installed"
        raise ConfigError(told, hint='pip install "interlock[tools]"') from None
    return cast("_Postgast", found)


def tokens(sql: str) -> int:
    """How many tokens `sql` has.

    Raises:
        ParseError: it has what is no token.
    """
    lib = postgast()
    try:
        return len(lib.scan(sql).tokens)
    except lib.PgQueryError as error:
        raise ParseError(str(error)) from None
    except (UnicodeError, ValueError, MemoryError):
        raise ParseError("it is no text") from None


def statements(sql: str) -> list[tuple[Node, str]]:
    """Each statement of `sql` with its own text.

    Raises:
        ParseError: it does not parse, or nests too deeply.
    """
    lib = postgast()
    try:
        raw = lib.parse(sql).stmts
    except lib.PgQueryError as error:
        raise ParseError(str(error)) from None
    except (UnicodeError, ValueError, MemoryError):
        raise ParseError("it is no text") from None
    except Exception as error:
        if type(error).__name__ != "DecodeError":  # of protocol buffers, which are not imported here
            raise
        raise ParseError("it is nested too deeply") from None
    octets = sql.encode()
    found = []
    for one in raw:
        end = one.stmt_location + one.stmt_len if one.stmt_len else len(octets)
        tree = _value(one.stmt)
        if not isinstance(tree, Node):
            raise ParseError("it is no statement")
        found.append((tree, octets[one.stmt_location : end].decode().strip()))
    return found


def _value(message: Any) -> Value:  # noqa: ANN401 - a message
    """A message as what it stands for: the node in a wrapper, the items of a list, the value of a constant."""
    kind = message.DESCRIPTOR.name
    if kind == "Node":
        chosen = message.WhichOneof("node")
        return None if chosen is None else _value(getattr(message, chosen))
    if kind == "List":
        return tuple(_value(item) for item in message.items)
    values: dict[str, Value] = {}
    for field in message.DESCRIPTOR.fields:
        if field.json_name in _PLACES:
            continue
        held = getattr(message, field.name)
        if field.is_repeated:
            if held:
                values[field.json_name] = tuple(_value(item) if field.message_type else item for item in held)
        elif field.message_type is not None:
            if message.HasField(field.name):
                values[field.json_name] = _value(held)
        elif field.enum_type is not None:
            values[field.json_name] = field.enum_type.values_by_number[held].name
        elif held or kind in _NUMBERS:
            values[field.json_name] = held
    if kind == "A_Const":
        values = {"val": next((v for v in values.values() if isinstance(v, Node)), None)}
    return Node(kind, values)


_NUMBERS = frozenset({"Integer", "Boolean"})  # whose 0 and false are values
