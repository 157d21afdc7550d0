"""The tools that an entry yields, from the manifest alone: names, arguments with their roles, labels of results.

Named queries come first: each is a tool with typed arguments. `free_sql` adds the entry's own name as a tool that reads
and, where a table declares writes, `<entry>_write`. Without either there are small tools for each table: find, insert,
update, delete. What a model aliases can carry any name, so rows of free SQL are external, every column of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from interlock.kernel.spec import Argument, Effect, Returns, Role, ToolSpec
from interlock.tools.kind import ConfigError, ScopeError
from interlock.tools.sql import gate
from interlock.tools.sql.entry import Engine, Entry, Operation, Parameter, Query, Table, Type, numbered

OPERATORS: Mapping[str, str] = {
    "eq": "=",
    "ne": "<>",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "like": "LIKE",
}
_SCALAR: Mapping[str, object] = {"type": ["string", "number", "integer", "boolean", "null"], "maxLength": 10_000}
_FORMATS: Mapping[Type, Mapping[str, object]] = {
    Type.STRING: {"type": "string", "maxLength": 10_000},
    Type.INTEGER: {"type": "integer"},
    Type.NUMBER: {"type": "number"},
    Type.BOOLEAN: {"type": "boolean"},
    Type.DATE: {"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
    Type.TIMESTAMP: {"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]{5,15}(Z|[+-][0-9:]{2,6})?$"},
    Type.UUID: {"type": "string", "pattern": r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"},
}


@dataclass(frozen=True, slots=True)
class Free:
    """SQL of the model; `write` is the tool for statements that change rows."""

    write: bool


@dataclass(frozen=True, slots=True)
class Named:
    """A query of the operator; `statement` is what the gate made of it, None for SQLite, whose authorizer judges."""

    query: Query
    statement: gate.Statement | None


@dataclass(frozen=True, slots=True)
class Simple:
    """One of our own statements on one table."""

    table: Table
    operation: Operation


Work: TypeAlias = Free | Named | Simple


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool and what it stands for."""

    spec: ToolSpec
    work: Work


def tools(entry: Entry) -> tuple[Tool, ...]:
    """Every tool of `entry`.

    Raises:
        ConfigError: a named query that the gate refuses, two tools of one name, or none at all.
    """
    found = list(_tools(entry))
    names = [t.spec.name for t in found]
    if twice := {n for n in names if names.count(n) > 1}:
        raise ConfigError(f"two tools would be called `{min(twice)}`", path=("queries",))
    return tuple(found)


def _tools(entry: Entry) -> Iterator[Tool]:
    for query in entry.queries:
        yield _named(entry, query)
    if entry.free_sql:
        yield _free(entry)
        if entry.writes and entry.engine is Engine.POSTGRESQL:
            yield _free_write(entry)
    if not entry.free_sql and not entry.queries:
        for table in entry.tables.values():
            for operation in Operation:
                if operation in table.operations:
                    yield _simple(entry, table, operation)
    elif entry.engine is Engine.SQLITE:  # there, statements that write are ours only
        for table in entry.tables.values():
            for operation in Operation:
                if operation in table.operations - {Operation.SELECT}:
                    yield _simple(entry, table, operation)


def _shown(entry: Entry) -> str:
    tables = "; ".join(f"{t.name}({', '.join(t.columns)})" for t in entry.tables.values())
    return f"Tables: {tables}."


def _free(entry: Entry) -> Tool:
    spoken = "PostgreSQL" if entry.engine is Engine.POSTGRESQL else "SQLite"
    return Tool(
        ToolSpec(
            name=entry.name,
            effect=Effect.READ,
            description=f"Run one SELECT statement ({spoken}) and get its rows. {_shown(entry)}",
            arguments=(Argument(path="sql", role=Role.TEXT), Argument(path="limit", role=Role.OPTION)),
            returns=Returns(records="rows"),
            resource="Table",
            schema=_object({"sql": _sql(entry), "limit": _limit(entry)}, "sql"),
        ),
        Free(write=False),
    )


def _free_write(entry: Entry) -> Tool:
    words = ", ".join(sorted(o.upper() for o in entry.writes))
    destroys = Operation.DELETE in entry.writes
    return Tool(
        ToolSpec(
            name=f"{entry.name}_write",
            effect=Effect.DESTROY if destroys else Effect.WRITE,
            description=f"Run one statement that changes rows ({words}). {_shown(entry)}",
            arguments=(Argument(path="sql", role=Role.COMMAND),),
            returns=Returns(records="rows"),
            resource="Table",
            schema=_object({"sql": _sql(entry)}, "sql"),
        ),
        Free(write=True),
    )


def _sql(entry: Entry) -> dict[str, object]:
    return {"type": "string", "minLength": 1, "maxLength": entry.limits.sql_chars, "description": "one statement"}


def _limit(entry: Entry) -> dict[str, object]:
    return {"type": "integer", "minimum": 1, "maximum": entry.limits.rows, "description": "rows at most"}


def _named(entry: Entry, query: Query) -> Tool:
    at = ("queries", query.name, "sql")
    statement, operation = None, Operation.SELECT
    if entry.engine is Engine.POSTGRESQL:
        order = [p.name for p in query.parameters]
        try:
            statement = gate.judge(numbered(query.sql, order), entry, free=False, parameters=len(order))
        except ScopeError as error:
            raise ConfigError(f"`{query.name}`: {error}", path=at, hint=error.hint) from None
        operation = statement.operation
    effect = {Operation.SELECT: Effect.READ, Operation.DELETE: Effect.DESTROY}.get(operation, Effect.WRITE)
    reads = effect is Effect.READ
    properties = {p.name: _parameter(p) for p in query.parameters}
    arguments = [
        Argument(path=p.name, role=p.role if p.role is not Role.UNKNOWN or not reads else Role.TEXT, kind=p.kind)
        for p in query.parameters
    ]
    if reads:
        properties["limit"] = properties.get("limit") or _limit(entry)
        if "limit" not in {p.name for p in query.parameters}:
            arguments.append(Argument(path="limit", role=Role.OPTION))
    return Tool(
        ToolSpec(
            name=f"{entry.name}_{query.name}",
            effect=effect,
            description=query.description or f"The query `{query.name.replace('_', ' ')}`.",
            arguments=tuple(arguments),
            returns=Returns(object=query.object, records="rows", id=query.id, own=query.own),
            resource="Table",
            schema=_object(properties, *(p.name for p in query.parameters)),
        ),
        Named(query, statement),
    )


def _parameter(parameter: Parameter) -> dict[str, object]:
    if parameter.choices:
        return {"type": "string", "enum": list(parameter.choices)}
    return dict(_FORMATS[parameter.type])


def _simple(entry: Entry, table: Table, operation: Operation) -> Tool:
    columns = {"type": "string", "enum": list(table.columns)}
    where = _object({c: {} for c in table.columns})
    values = _object({c: dict(_SCALAR) for c in table.columns if c not in table.fixed})
    equal = _object({c: dict(_SCALAR) for c in table.columns})
    match operation:
        case Operation.SELECT:
            name, effect, text = "find", Effect.READ, f"Find rows of `{table.name}`."
            where["properties"] = {c: _filter() for c in table.columns}
            where["description"] = 'by column: a value, a list of values, or {"gt": 5} with eq ne lt le gt ge like'
            schema = _object(
                {
                    "where": where,
                    "columns": {"type": "array", "items": columns, "minItems": 1, "maxItems": len(table.columns)},
                    "order_by": {**columns, "description": "a column"},
                    "descending": {"type": "boolean"},
                    "limit": _limit(entry),
                }
            )
            arguments = [*_by_column(table, "where", Role.TEXT)]
            arguments += [Argument(path=p, role=Role.OPTION) for p in ("columns", "order_by", "descending", "limit")]
        case Operation.INSERT:
            name, effect, text = "insert", Effect.WRITE, f"Add a row to `{table.name}`."
            schema = _object({"values": values | {"minProperties": 1}}, "values")
            arguments = [*_by_column(table, "values", Role.UNKNOWN)]
        case Operation.UPDATE:
            name, effect = "update", Effect.WRITE
            text = f"Change the rows of `{table.name}` whose columns equal `where`."
            every = _object({c: dict(_SCALAR) for c in table.columns})
            schema = _object(
                {"where": equal | {"minProperties": 1}, "values": every | {"minProperties": 1}}, "where", "values"
            )
            arguments = [*_by_column(table, "where", Role.UNKNOWN), *_by_column(table, "values", Role.UNKNOWN)]
        case Operation.DELETE:
            name, effect = "delete", Effect.DESTROY
            text = f"Delete the rows of `{table.name}` whose columns equal `where`."
            schema = _object({"where": equal | {"minProperties": 1}}, "where")
            arguments = [*_by_column(table, "where", Role.UNKNOWN)]
        case _:
            assert_never(operation)
    return Tool(
        ToolSpec(
            name=f"{entry.name}_{table.name}_{name}",
            effect=effect,
            description=f"{text} Columns: {', '.join(table.columns)}.",
            arguments=tuple(arguments),
            returns=Returns(object=table.object, records="rows", id=table.id, own=table.own),
            resource="Table",
            refers=table.object if operation is not Operation.SELECT else "",
            schema=schema,
        ),
        Simple(table, operation),
    )


def _by_column(table: Table, under: str, default: Role) -> Iterator[Argument]:
    for column in table.columns:
        if "." in column:
            continue  # a path cannot say it: covered as unknown
        if under == "where" and column in table.id:
            yield Argument(path=f"{under}.{column}", role=Role.ID, kind=table.object)
        else:
            yield Argument(path=f"{under}.{column}", role=table.roles.get(column, default))


def _filter() -> dict[str, object]:
    by = {"type": "object", "properties": {o: dict(_SCALAR) for o in OPERATORS}, "minProperties": 1}
    return {
        "anyOf": [
            dict(_SCALAR),
            {"type": "array", "items": dict(_SCALAR), "minItems": 1, "maxItems": 200},
            by | {"additionalProperties": False},
        ]
    }


def _object(properties: Mapping[str, object], *required: str) -> dict[str, object]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }
