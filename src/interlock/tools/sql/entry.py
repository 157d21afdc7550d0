"""An entry `kind: sql` of the manifest, parsed: which tables, columns, rows and operations, within which limits.

`dsn` makes it PostgreSQL, `path` SQLite. Everything that is left out is the narrow reading: `select` only, results
external, no free SQL, every limit on. Names are compared exactly as the database holds them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias, TypeVar

from interlock.kernel.spec import Role
from interlock.policy.lexicon import singular
from interlock.tools.kind import Config, ConfigError

Scalar: TypeAlias = "str | int | float | bool | None"
_T = TypeVar("_T")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_ $.-]{0,62}")  # 63 is where PostgreSQL cuts an identifier
_WORD = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_PRINCIPAL = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/ | (?P<it>(?<![\w.$])principal(?![\w$(.]))""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
PRINCIPAL = "principal"


class Engine(StrEnum):
    """The database that enforces."""

    POSTGRESQL = "postgresql"
    SQLITE = "sqlite"


class Operation(StrEnum):
    """What may be done to a table's rows."""

    SELECT = "select"
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"


class Type(StrEnum):
    """What a parameter of a named query is."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    UUID = "uuid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one call may take. Seconds are wall time, bytes are of the rows as JSON."""

    rows: int = 500
    bytes: int = 262_144
    seconds: float = 5.0  # the engine stops a statement after this
    lock_seconds: float = 1.0
    write_rows: int = 100  # a write that changes more is rolled back
    sql_chars: int = 10_000
    connections: int = 10  # of the role, at once

    @property
    def grace(self) -> float:
        """Seconds after the engine's own limit at which the watchdog acts, and again until it terminates."""
        return 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One declared table."""

    name: str
    columns: tuple[str, ...]
    rows: str = ""  # condition on the rows; the word `principal` stands for whom the agent acts
    operations: frozenset[Operation] = frozenset({Operation.SELECT})
    own: tuple[str, ...] = ()
    object: str = ""
    id: tuple[str, ...] = ()
    roles: Mapping[str, Role] = field(default_factory=dict)
    fixed: Mapping[str, Scalar] = field(
        default_factory=dict
    )  # what an insert always sets; `principal` is the principal

    def condition(self, principal: str) -> str:
        """`rows` as SQL, with the SQL expression `principal` for the word."""
        return substitute(self.rows, principal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One typed argument of a named query."""

    name: str
    type: Type = Type.STRING
    choices: tuple[str, ...] = ()
    role: Role = Role.UNKNOWN
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A statement of the operator, run with arguments of the model."""

    name: str
    sql: str
    parameters: tuple[Parameter, ...] = ()
    description: str = ""
    object: str = ""
    id: tuple[str, ...] = ()
    own: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A whole entry of the manifest."""

    name: str
    engine: Engine
    dsn: str = ""
    path: str = ""
    immutable: bool = False
    schema: str = "public"
    role: str = ""  # empty: whoever the DSN logs in as
    key: str = ""
    tables: Mapping[str, Table]
    queries: tuple[Query, ...] = ()
    free_sql: bool = False
    functions: frozenset[str] = frozenset()
    limits: Limits = field(default_factory=Limits)

    @property
    def bound(self) -> bool:
        """Some rows depend on the principal or on any other condition."""
        return any(t.rows for t in self.tables.values())

    @property
    def writes(self) -> frozenset[Operation]:
        """Operations other than `select` that some table has."""
        return frozenset().union(*(t.operations for t in self.tables.values())) - {Operation.SELECT}


def substitute(condition: str, principal: str) -> str:
    """`condition` with the SQL expression `principal` in place of the bare word, outside quotes and comments."""
    return _PRINCIPAL.sub(lambda m: principal if m["it"] else m[0], condition)


def parse(name: str, config: Config) -> Entry:
    """The entry `name` with `config`.

    Raises:
        ConfigError: an unknown key, a wrong type, or a combination that cannot be enforced.
    """
    known = ("kind", "dsn", "path", "immutable", "schema", "role", "key", "tables", "queries", "free_sql", "functions")
    _only(config, (*known, "limits"), ())
    engine = _engine(config)
    tables = {t: _table(t, _mapping(c, ("tables", t)), engine) for t, c in _items(config, "tables")}
    if not tables:
        raise ConfigError("`tables` names no table", path=("tables",), hint="tables: {orders: {columns: [id, status]}}")
    queries = tuple(_query(q, _mapping(c, ("queries", q)), tables) for q, c in _items(config, "queries"))
    dsn = _text(config, "dsn")
    if re.search(r"://[^/@\s]*:[^/@\s]+@|\bpassword\s*=", dsn):
        raise ConfigError("`dsn` holds a password", path=("dsn",), hint="dsn: secret://DATABASE_URL")
    role = _text(config, "role")
    if role and not _NAME.fullmatch(role):
        raise ConfigError(f"`{role}` is no name of a role", path=("role",))
    if engine is Engine.SQLITE and (wrong := {"schema", "role", "key"} & config.keys()):
        raise ConfigError(f"`{min(wrong)}` is for PostgreSQL; SQLite has none", path=(min(wrong),))
    if engine is Engine.POSTGRESQL and "immutable" in config:
        raise ConfigError("`immutable` is for SQLite", path=("immutable",))
    return Entry(
        name=name,
        engine=engine,
        dsn=dsn,
        path=_text(config, "path"),
        immutable=_bool(config, "immutable"),
        schema=_name(_text(config, "schema", default="public"), ("schema",)),
        role=role,
        key=_text(config, "key"),
        tables=MappingProxyType(tables),
        queries=queries,
        free_sql=_bool(config, "free_sql"),
        functions=frozenset(_texts(config, "functions", ())),
        limits=_limits(_mapping(config.get("limits", {}), ("limits",))),
    )


def _engine(config: Config) -> Engine:
    match ("dsn" in config, "path" in config):
        case (True, False):
            return Engine.POSTGRESQL
        case (False, True):
            return Engine.SQLITE
        case _:
            raise ConfigError(
                "an entry of kind `sql` has either `dsn` (PostgreSQL) or `path` (SQLite)",
                hint="dsn: secret://DATABASE_URL",
            )


def _table(name: str, config: Config, engine: Engine) -> Table:
    at = ("tables", name)
    _name(name, at)
    _only(config, ("columns", "rows", "operations", "own", "object", "id", "roles", "fixed"), at)
    columns = _texts(config, "columns", at)
    if not columns:
        raise ConfigError(f"`{name}` declares no column", path=(*at, "columns"), hint="columns: [id, status]")
    for column in columns:
        _name(column, (*at, "columns"))
    if len({c.casefold() for c in columns}) != len(columns):
        raise ConfigError(f"`{name}` declares a column twice", path=(*at, "columns"))
    operations = frozenset(
        _word(Operation, o, (*at, "operations")) for o in _texts(config, "operations", at) or ("select",)
    )
    if operations & {Operation.UPDATE, Operation.DELETE} and Operation.SELECT not in operations:
        raise ConfigError(
            "`update` and `delete` find their rows by reading: `operations` needs `select` too",
            path=(*at, "operations"),
        )
    rows = _text(config, "rows", at=at).strip()
    if rows and (";" in rows or rows.count("(") != rows.count(")")):
        raise ConfigError("`rows` is one condition", path=(*at, "rows"), hint='rows: "customer_id = principal"')
    fixed: dict[str, Scalar] = {}
    for column, value in _items(config, "fixed", at=at):
        _name(column, (*at, "fixed"))
        if not isinstance(value, str | int | float | bool | None):
            raise ConfigError(f"`{column}` is set to one plain value", path=(*at, "fixed", column))
        fixed[column] = value
    if fixed and Operation.INSERT not in operations:
        raise ConfigError("`fixed` is what an insert sets, and `operations` has no `insert`", path=(*at, "fixed"))
    known = (*columns, *fixed)
    kind = _text(config, "object", default=singular(name.lower()), at=at)
    ids = _texts(config, "id", at) or tuple(c for c in columns if c.lower() in {"id", f"{kind}_id"})[:1]
    roles = {
        c: _word(Role, str(r), (*at, "roles", c))
        for c, r in _items(config, "roles", at=at)
        if _listed(c, columns, (*at, "roles"))
    }
    if Role.ID in roles.values():
        raise ConfigError("ids are listed under `id`", path=(*at, "roles"), hint=f"id: [{columns[0]}]")
    for column in (*ids, *(own := _texts(config, "own", at))):
        _listed(column, known, at)
    if engine is Engine.SQLITE and any(c.lower() in {"rowid", "_rowid_", "oid"} for c in columns):
        raise ConfigError("`rowid` is no column to declare; name the primary key", path=(*at, "columns"))
    return Table(
        name=name,
        columns=columns,
        rows=rows,
        operations=operations,
        own=own,
        object=kind,
        id=ids,
        roles=MappingProxyType(roles),
        fixed=MappingProxyType(fixed),
    )


def _query(name: str, config: Config, tables: Mapping[str, Table]) -> Query:
    at = ("queries", name)
    if not _WORD.fullmatch(name):
        raise ConfigError(f"`{name}` is no name of a query; lower-case letters, digits and _", path=at)
    _only(config, ("sql", "parameters", "description", "returns"), at)
    sql = _text(config, "sql", at=at)
    if not sql.strip():
        raise ConfigError(f"`{name}` has no `sql`", path=(*at, "sql"))
    returns = _mapping(config.get("returns", {}), (*at, "returns"))
    _only(returns, ("object", "id", "own"), (*at, "returns"))
    parameters = tuple(_parameter(p, c, (*at, "parameters", p)) for p, c in _items(config, "parameters", at=at))
    used = set(placeholders(sql))
    if missing := used - {p.name for p in parameters}:
        raise ConfigError(f"`:{min(missing)}` is no parameter of `{name}`", path=(*at, "parameters"))
    if unused := {p.name for p in parameters} - used:
        raise ConfigError(
            f"`{min(unused)}` does not occur in the statement", path=(*at, "parameters"), hint=f"write :{min(unused)}"
        )
    kind = _text(returns, "object", at=(*at, "returns"))
    if not kind and len(tables) == 1:
        kind = next(iter(tables.values())).object
    return Query(
        name=name,
        sql=sql,
        parameters=parameters,
        description=_text(config, "description", at=at),
        object=kind,
        id=_texts(returns, "id", (*at, "returns")),
        own=_texts(returns, "own", (*at, "returns")),
    )


def _parameter(name: str, config: object, at: tuple[str, ...]) -> Parameter:
    if not _WORD.fullmatch(name):
        raise ConfigError(f"`{name}` is no name of a parameter; lower-case letters, digits and _", path=at)
    if isinstance(config, str):
        return Parameter(name=name, type=_word(Type, config, at))
    if isinstance(config, list | tuple):
        return Parameter(name=name, choices=_texts({"choices": config}, "choices", at), role=Role.OPTION)
    given = _mapping(config, at)
    _only(given, ("type", "choices", "role"), at)
    role, _, kind = _text(given, "role", default="unknown", at=at).partition(":")
    if (role == Role.ID) != bool(kind):
        raise ConfigError("an `id` names the kind of object", path=(*at, "role"), hint="role: id:order")
    return Parameter(
        name=name,
        type=_word(Type, _text(given, "type", default="string", at=at), (*at, "type")),
        choices=_texts(given, "choices", at),
        role=_word(Role, role, (*at, "role")),
        kind=kind,
    )


_PLACEHOLDER = re.compile(
    r"""[eE]'(?:[^'\\]|''|\\.)*' | '(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/
        | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ | :: | (?<![\w:]):(?P<name>[a-z_][a-z0-9_]*)""",
    re.VERBOSE | re.DOTALL,
)


def placeholders(sql: str) -> list[str]:
    """The names that stand as `:name` in `sql`, outside quotes and comments, in order, repeated."""
    return [m["name"] for m in _PLACEHOLDER.finditer(sql) if m["name"]]


def numbered(sql: str, order: Collection[str]) -> str:
    """`sql` with `$1`, `$2`… for the names in `order`."""
    number = {name: i for i, name in enumerate(order, 1)}
    return _PLACEHOLDER.sub(lambda m: f"${number[m['name']]}" if m["name"] else m[0], sql)


def _limits(config: Config) -> Limits:
    _only(config, tuple(f.name for f in fields(Limits)), ("limits",))
    given: dict[str, int | float] = {}
    for limit in fields(Limits):
        value = config.get(limit.name, limit.default)
        whole = isinstance(limit.default, int)
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not 0 < value <= 10**9:
            kind = "whole number" if whole else "number"
            raise ConfigError(f"`{limit.name}` is a {kind} above 0", path=("limits", limit.name))
        given[limit.name] = value
    return Limits(**given)  # type: ignore[arg-type]


def _only(config: Config, known: tuple[str, ...], at: tuple[str, ...]) -> None:
    for key in config:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known)}"
            raise ConfigError(f"`{key}` is no key here", path=(*at, str(key)), hint=hint)


def _mapping(value: object, at: tuple[str, ...]) -> Config:
    if not isinstance(value, Mapping) or not all(isinstance(k, str) for k in value):
        raise ConfigError(f"`{'.'.join(at)}` is a mapping", path=at)
    return value


def _items(config: Config, key: str, *, at: tuple[str, ...] = ()) -> list[tuple[str, object]]:
    return list(_mapping(config.get(key, {}), (*at, key)).items())


def _text(config: Config, key: str, *, default: str = "", at: tuple[str, ...] = ()) -> str:
    value = config.get(key, default)
    if not isinstance(value, str) or "\0" in value:
        raise ConfigError(f"`{key}` is a text", path=(*at, key))
    return value


def _texts(config: Config, key: str, at: tuple[str, ...]) -> tuple[str, ...]:
    value = config.get(key, ())
    if not isinstance(value, list | tuple) or not all(isinstance(v, str) and v for v in value):
        raise ConfigError(f"`{key}` is a list of texts", path=(*at, key))
    return tuple(value)


def _bool(config: Config, key: str) -> bool:
    value = config.get(key, False)
    if not isinstance(value, bool):
        raise ConfigError(f"`{key}` is true or false", path=(key,))
    return value


def _name(name: str, at: tuple[str, ...]) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"`{name[:80]}` is no name; letters, digits and _ $ - . are allowed", path=at)
    return name


def _word(enum: type[_T], word: str, at: tuple[str, ...]) -> _T:
    try:
        return enum(word)  # type: ignore[call-arg]
    except ValueError:
        known = [str(m) for m in enum]  # type: ignore[attr-defined]
        raise ConfigError(f"`{word}` is none of {', '.join(known)}", path=at) from None


def _listed(column: str, columns: Collection[str], at: tuple[str, ...]) -> bool:
    if column not in columns:
        near = difflib.get_close_matches(column, columns, n=1)
        raise ConfigError(
            f"`{column}` is no declared column", path=at, hint=f"did you mean `{near[0]}`?" if near else ""
        )
    return True
