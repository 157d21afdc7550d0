"""One call's session with PostgreSQL: fresh connection, own transaction, settings and principal for it alone.

Every statement goes through the extended protocol, where one message is one statement. Reads run in `BEGIN READ ONLY`
and are always rolled back. Rows come as JSON text that the server makes, numbers and cuts off, so neither a huge row
nor a huge result reaches this process. Nothing survives the call: the connection is closed.
"""

# ruff: noqa: S608 - SQL around statements that the gate has judged
from __future__ import annotations

import contextlib
import json
import math
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

from interlock.kernel.call import MAX_INT, Json
from interlock.tools.kind import ConfigError, ToolFailed
from interlock.tools.sql import gate, proof
from interlock.tools.sql.entry import Entry, Operation
from interlock.tools.sql.grants import ident
from interlock.tools.sql.watchdog import Watchdog

if TYPE_CHECKING:
    from psycopg import Connection

_TELLING = ("22", "23", "42")  # SQLSTATE classes whose first line helps the model: data, constraint, access or syntax
_CUT = """SELECT CASE WHEN sum(octet_length(interlock_s.j)) OVER (ROWS UNBOUNDED PRECEDING) <= {bytes}
  THEN interlock_s.j END
FROM (SELECT row_to_json(interlock_q)::text AS j FROM {source} AS interlock_q LIMIT {parameter}) AS interlock_s"""


def psycopg() -> ModuleType:
    """The driver, which comes with an extra.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import psycopg  # noqa: PLC0415 - an optional dependency
    except ImportError:
        raise ConfigError(
            "PostgreSQL needs `psycopg`, which is not installed", hint='pip install "interlock[tools]"'
        ) from None
    return psycopg


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What a statement gave: rows, whether there were more, how many it changed."""

    rows: list[Json]
    truncated: bool = False
    changed: int = 0


@dataclass(frozen=True, slots=True)
class Credentials:
    """What logs in, and what signs who a call is for where `rows` needs that."""

    dsn: str = field(repr=False)
    secret: bytes | None = field(repr=False)


class Database:
    """Where the sessions of an entry come from. It holds no password: each session asks for it anew (M7)."""

    def __init__(self, entry: Entry, credentials: Callable[[], Credentials]) -> None:
        self.entry, self.credentials = entry, credentials

    def __repr__(self) -> str:
        return f"Database({self.entry.name!r})"

    def connect(self, credentials: Credentials | None = None) -> Connection[Any]:
        """A fresh connection, in no transaction. Without `credentials` it asks for them.

        Raises:
            ToolFailed: the server is away or does not let the role in.
        """
        lib = psycopg()
        try:
            conn = lib.connect(
                (credentials or self.credentials()).dsn,
                connect_timeout=5,
                application_name="interlock",
                client_encoding="utf8",
                prepare_threshold=None,
                cursor_factory=lib.RawCursor,
            )
        except (lib.Error, UnicodeError):
            raise ToolFailed(
                "the database cannot be reached", layer="engine", hint="`dsn`: host, role, password"
            ) from None
        return conn  # type: ignore[no-any-return]

    @contextlib.contextmanager
    def transaction(self, principal: str, *, write: bool = False) -> Iterator[Connection[Any]]:
        """A transaction for `principal`, watched. It is committed only if `write`, and only if nothing was raised.

        Raises:
            ToolFailed: the engine refused or stopped something, or is away.
        """
        lib, limits = psycopg(), self.entry.limits
        credentials = self.credentials()  # once: the watchdog's thread could not ask
        conn = self.connect(credentials)
        pid = conn.info.backend_pid
        conn.read_only = not write  # sent as BEGIN READ ONLY or BEGIN READ WRITE, whatever the role's default is
        watchdog = Watchdog(
            seconds=limits.seconds + limits.grace,
            grace=limits.grace,
            cancel=lambda: conn.cancel_safe(timeout=limits.grace),
            terminate=lambda: self._terminate(conn, pid, credentials),
        )
        try:
            with watchdog:
                self._prepare(conn, principal, credentials.secret)
                yield conn
                if write:
                    conn.commit()
                else:
                    conn.rollback()
        except lib.errors.QueryCanceled:
            raise ToolFailed(f"the statement took longer than {limits.seconds:g} seconds", layer="engine") from None
        except lib.Error as error:
            if watchdog.acted:
                raise ToolFailed(
                    f"the statement took longer than {limits.seconds:g} seconds", layer="watchdog"
                ) from None
            raise ToolFailed(said(error), layer="engine") from None
        finally:
            conn.close()  # without COMMIT the server rolls back

    def _prepare(self, conn: Connection[Any], principal: str, secret: bytes | None) -> None:
        entry, limits = self.entry, self.entry.limits
        settings = {
            "search_path": f"pg_catalog, {ident(entry.schema)}, pg_temp",
            "statement_timeout": f"{int(limits.seconds * 1000)}ms",
            "lock_timeout": f"{int(limits.lock_seconds * 1000)}ms",
            "idle_in_transaction_session_timeout": f"{int((limits.seconds + 2 * limits.grace) * 1000)}ms",
            "standard_conforming_strings": "on",  # what the gate's parser assumes
            "transform_null_equals": "off",
            "row_security": "on",
            "datestyle": "ISO, MDY",
            "intervalstyle": "iso_8601",
            "bytea_output": "hex",
        }
        if secret is not None:
            if "\0" in principal:
                raise ToolFailed("the principal holds a NUL, which PostgreSQL cannot")
            row = conn.execute(proof.MOMENT, binary=True).fetchone()
            moment = "" if row is None else row[0]
            settings["interlock.principal"] = principal
            settings["interlock.proof"] = proof.proof(secret, moment, principal)
        pairs = [text for pair in settings.items() for text in pair]
        calls = ", ".join(f"set_config(${2 * i + 1}, ${2 * i + 2}, true)" for i in range(len(settings)))
        conn.execute(f"SELECT {calls}", pairs)
        if secret is not None:
            row = conn.execute("SELECT interlock.principal()", binary=True).fetchone()
            if row is None or row[0] != principal:  # another key in the database, a pooler between the statements
                raise ToolFailed(
                    "the database does not accept who this call is for",
                    layer="engine",
                    hint="run `interlock sql grants --apply` with the entry's present key",
                )

    def _terminate(self, conn: Connection[Any], pid: int, credentials: Credentials) -> None:
        try:
            with self.connect(credentials) as other:
                other.execute("SELECT pg_terminate_backend($1)", [str(pid)])
        finally:  # even if the server does not answer any more: our thread shall not wait for it
            with socket.socket(fileno=os.dup(conn.fileno())) as ours:
                ours.shutdown(socket.SHUT_RDWR)


def run(
    conn: Connection[Any], statement: gate.Statement, values: Sequence[str | None], entry: Entry, most: int
) -> Rows:
    """What `statement` gives with `values`, at most `most` rows and the entry's bytes."""
    if statement.explain:
        cursor = conn.execute(statement.sql, values, binary=False) if values else _extended(conn, statement.sql)
        lines: list[Json] = [{"plan": str(row[0])} for row in cursor.fetchmany(most)]
        return Rows(rows=lines)
    if statement.operation is not Operation.SELECT and not statement.returning:
        cursor = conn.execute(statement.sql, values) if values else _extended(conn, statement.sql)
        return Rows(rows=[], changed=_few(cursor.rowcount, entry))
    cut = {"bytes": int(entry.limits.bytes), "parameter": f"${len(values) + 1}::int"}
    if statement.operation is Operation.SELECT:
        sql = _CUT.format(source=f"(\n{statement.sql}\n)", **cut)
        texts = [row[0] for row in conn.execute(gate.wrapped(statement, sql, entry), [*values, str(most + 1)])]
        return _cut(texts, most)
    inner = _CUT.format(source="interlock_w", **cut)
    sql = f"""WITH interlock_w AS (
{statement.sql}
) SELECT (SELECT count(*) FROM interlock_w), interlock_r.* FROM ({inner}) AS interlock_r"""
    found = conn.execute(gate.wrapped(statement, sql, entry), [*values, str(most + 1)]).fetchall()
    changed = _few(int(found[0][0]) if found else 0, entry)
    rows = _cut([row[1] for row in found], most)
    return Rows(rows=rows.rows, truncated=rows.truncated, changed=changed)


def _extended(conn: Connection[Any], sql: str) -> Any:  # noqa: ANN401 - psycopg's cursor
    """`sql` without parameters through the extended protocol; binary results are what makes psycopg use it."""
    return conn.execute(sql, binary=True)


def _few(changed: int, entry: Entry) -> int:
    if changed > entry.limits.write_rows:  # the transaction is rolled back by what is raised
        raise ToolFailed(f"the statement would change {changed} rows, more than {entry.limits.write_rows}")
    return changed


def _cut(texts: list[str | None], most: int) -> Rows:
    whole = [text for text in texts[:most] if text is not None]
    return Rows(rows=[record(text) for text in whole], truncated=len(whole) < len(texts))


def record(text: str) -> Json:
    """A row of JSON text as the model gets it: no column lost, no number that another reader would read otherwise."""
    row: Json = json.loads(text, object_pairs_hook=_distinct, parse_int=_whole, parse_float=_fraction)
    return row


def _distinct(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    out: dict[str, Json] = {}
    for name, value in pairs:
        given, n = name, 2
        while given in out:
            given, n = f"{name}_{n}", n + 1
        out[given] = value
    return out


def _whole(text: str) -> Json:
    number = int(text) if len(text) < 20 else MAX_INT + 1  # noqa: PLR2004 - digits of 64 bits
    return number if abs(number) <= MAX_INT else text


def _fraction(text: str) -> Json:
    number = float(text)
    exact = len(text.strip("-0.").replace(".", "")) <= 15  # noqa: PLR2004 - digits that a double keeps
    return number if exact and math.isfinite(number) else text


def said(error: Exception) -> str:
    """What the engine said, as far as it helps: its first line for mistakes in a statement, nothing else."""
    state = getattr(error, "sqlstate", None) or ""
    line = getattr(getattr(error, "diag", None), "message_primary", None) or ""
    if state == "25006":
        return "the database refused: this transaction is read-only"
    if state.startswith(_TELLING) and line:
        return f"the database refused: {line[:200]}"
    return "the database could not carry the statement out"
