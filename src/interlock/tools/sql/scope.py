"""From a call to the tables it would touch; everything outside is refused before a connection is asked for.

PostgreSQL's statements go through the gate, which is pure. SQLite's are compiled, not run, under the authorizer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import assert_never

from interlock.kernel.call import Call, Frozen, Resource
from interlock.tools.kind import ScopeError
from interlock.tools.sql import gate
from interlock.tools.sql.entry import Entry, Operation, Scalar
from interlock.tools.sql.spec import Free, Named, Simple, Work
from interlock.tools.sql.statement import Builder


def resource(entry: Entry, tables: Iterable[str]) -> Resource:
    """`Table::"orders"`; several tables in one statement are `Table::"customers,orders"`, none is the database."""
    names = ",".join(sorted(tables))
    return Resource("Table", names) if names else Resource("Database", entry.name)


def free(entry: Entry, call: Call, *, write: bool) -> gate.Statement:
    """The model's own statement, judged.

    Raises:
        ScopeError: the gate refuses it, or it belongs to the other of the two tools.
    """
    statement = gate.judge(text(call), entry)
    if (statement.operation is not Operation.SELECT) != write:
        raise ScopeError("this tool only reads" if not write else "this tool only changes rows; reading has its own")
    return statement


def text(call: Call) -> str:
    """The argument `sql`."""
    sql = call.arguments.get("sql")
    if not isinstance(sql, str) or not sql.strip():
        raise ScopeError("`sql` is one statement")
    return sql


def limit(call: Call, entry: Entry) -> int:
    """How many rows the call may have."""
    asked = call.arguments.get("limit")
    whole = isinstance(asked, int) and not isinstance(asked, bool) and asked > 0
    return min(asked, entry.limits.rows) if whole and isinstance(asked, int) else entry.limits.rows


def built(entry: Entry, work: Simple, call: Call) -> tuple[str, list[Scalar]]:
    """Our own statement for `call`, with its values."""
    builder = Builder(entry, work.table, call.principal)
    match work.operation:
        case Operation.SELECT:
            sql = builder.find(call.arguments, limit(call, entry) + 1)  # one more tells whether there are more
        case Operation.INSERT:
            sql = builder.insert(call.arguments)
        case Operation.UPDATE:
            sql = builder.update(call.arguments)
        case Operation.DELETE:
            sql = builder.delete(call.arguments)
        case _:
            assert_never(work.operation)
    return sql, builder.values


def given(work: Named, arguments: Mapping[str, Frozen]) -> dict[str, Scalar]:
    """The values of a named query's parameters.

    Raises:
        ScopeError: one is missing, or not plain.
    """
    out: dict[str, Scalar] = {}
    for parameter in work.query.parameters:
        value = arguments.get(parameter.name)
        if parameter.name not in arguments or not isinstance(value, str | int | float | bool | None):
            raise ScopeError(f"`{parameter.name}` is missing, or not a plain value")
        if parameter.choices and value not in parameter.choices:
            raise ScopeError(f"`{parameter.name}` is none of {', '.join(parameter.choices)}")
        out[parameter.name] = value
    return out


def pure(entry: Entry, work: Work, call: Call) -> Resource:
    """The resource of a call for PostgreSQL, or of a statement that the tool builds itself."""
    match work:
        case Free(write=write):
            return resource(entry, free(entry, call, write=write).tables)
        case Named(statement=statement):
            given(work, call.arguments)
            return resource(entry, statement.tables if statement is not None else entry.tables)
        case Simple(table=table):
            built(entry, work, call)
            return resource(entry, [table.name])
