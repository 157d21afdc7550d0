"""Calls, carried out: on PostgreSQL in a session of their own, on SQLite in a connection of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from interlock.kernel.call import Call, Json, Resource
from interlock.kernel.decision import Permit
from interlock.tools.kind import ScopeError
from interlock.tools.sql import gate, scope, session
from interlock.tools.sql.entry import Entry, Operation, Scalar, placeholders
from interlock.tools.sql.session import Database, Rows
from interlock.tools.sql.spec import Free, Named, Simple, Work
from interlock.tools.sql.sqlite import File
from interlock.tools.sql.statement import texts

Check = Callable[[Permit, Call], None]


class OnPostgres:
    """One tool of an entry on PostgreSQL."""

    def __init__(self, entry: Entry, work: Work, database: Database, check: Check) -> None:
        self._entry, self._work, self._database, self._check = entry, work, database, check

    def scope(self, call: Call) -> Resource:
        """See `Operation.scope`."""
        return scope.pure(self._entry, self._work, call)

    def perform(self, permit: Permit, call: Call) -> Json:
        """See `Operation.perform`."""
        self._check(permit, call)
        statement, values = self._statement(call)
        write = statement.operation is not Operation.SELECT
        with self._database.transaction(call.principal, write=write) as conn:
            found = session.run(conn, statement, texts(values), self._entry, scope.limit(call, self._entry))
        return answer(found, write=write)

    def _statement(self, call: Call) -> tuple[gate.Statement, list[Scalar]]:
        match self._work:
            case Free(write=write):
                return scope.free(self._entry, call, write=write), []
            case Named(statement=gate.Statement() as statement):
                return statement, list(scope.given(self._work, call.arguments).values())
            case Named():
                raise ScopeError("the query was not judged")
            case Simple():
                sql, values = scope.built(self._entry, self._work, call)
                return gate.judge(sql, self._entry, free=False, parameters=len(values)), values
            case _:
                assert_never(self._work)


class OnSqlite:
    """One tool of an entry on SQLite."""

    def __init__(self, entry: Entry, work: Work, file: File, check: Check) -> None:
        self._entry, self._work, self._file, self._check = entry, work, file, check

    def scope(self, call: Call) -> Resource:
        """See `Operation.scope`; free SQL is compiled, not run."""
        match self._work:
            case Free():
                with self._file.connection(call.principal) as guarded:
                    guarded.compile(scope.text(call))
                return scope.resource(self._entry, guarded.touched)
            case Named() | Simple():
                return scope.pure(self._entry, self._work, call)
            case _:
                assert_never(self._work)

    def perform(self, permit: Permit, call: Call) -> Json:
        """See `Operation.perform`."""
        self._check(permit, call)
        most = scope.limit(call, self._entry)
        match self._work:
            case Free():
                with self._file.connection(call.principal) as guarded:
                    return answer(guarded.rows(scope.text(call), (), most), write=False)
            case Named(query=query):
                values = scope.given(self._work, call.arguments)
                used = {name: values[name] for name in placeholders(query.sql)}
                with self._file.connection(call.principal) as guarded:
                    return answer(guarded.rows(query.sql, used, most), write=False)
            case Simple(operation=operation):
                sql, plain = scope.built(self._entry, self._work, call)
                write = operation is not Operation.SELECT
                with self._file.connection(call.principal, write=write) as guarded:
                    found = guarded.change(sql, plain) if write else guarded.rows(sql, plain, most)
                return answer(found, write=write)
            case _:
                assert_never(self._work)


def answer(found: Rows, *, write: bool) -> Json:
    """What a tool returns: rows under `rows`; beside them whether there are more, or how many were changed."""
    if not write:
        return {"rows": found.rows, "truncated": found.truncated}
    out: dict[str, Json] = {"changed": found.changed}
    if found.rows:
        out["rows"] = found.rows
    return out
