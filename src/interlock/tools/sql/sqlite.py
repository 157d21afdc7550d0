"""One call's connection to an SQLite file: SQLite's own authorizer decides every table, column and function.

What a query sees as `orders` is a temporary view over a second one with an unguessable name, which alone may read the
table: the authorizer is told which view an access comes from, and the name of a common table expression counts there
as a view, so a name that can be written can be forged. The second view holds the declared columns and the rows of the
principal. Writes are the tool's own statements, held to the same rows by temporary triggers. Limits on lengths, depth
and steps, a deadline in the progress handler; no ATTACH, no PRAGMA, no extension; nothing survives the call.
"""

# ruff: noqa: S608 - this module writes SQL: every name goes through `ident`, every value through `literal`
from __future__ import annotations

import contextlib
import secrets
import sqlite3
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from interlock.kernel.call import MAX_INT, Json
from interlock.tools.kind import ConfigError, ScopeError, ToolFailed
from interlock.tools.sql.entry import Entry, Operation, Scalar, Table
from interlock.tools.sql.functions import SQLITE
from interlock.tools.sql.session import Rows
from interlock.tools.sql.watchdog import Watchdog

STEP = 1_000  # virtual machine instructions between two looks at the clock
MAX_VALUE = 1_000_000  # bytes of one value, and of one statement's text
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: MAX_VALUE,
    sqlite3.SQLITE_LIMIT_COLUMN: 500,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 30,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 25_000,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 50,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 100,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 1_000,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 5,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_DEFENSIVE = 1010  # SQLITE_DBCONFIG_DEFENSIVE, which Python 3.11 does not name
_JSON = frozenset({"json_each", "json_tree"})


def ident(name: str) -> str:
    """`name` as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as a string literal."""
    return "'" + text.replace("'", "''") + "'"


class File:
    """The SQLite file of an entry."""

    def __init__(self, entry: Entry, path: str) -> None:
        self.entry, self.path = entry, str(Path(path).resolve())
        self._functions = SQLITE | {f.lower() for f in entry.functions}

    def check(self) -> None:
        """Return if the file holds the declared tables.

        Raises:
            ConfigError: it does not, or they are of a kind that cannot be limited.
        """
        try:
            mode = Path(self.path).stat().st_mode
        except OSError:
            raise ConfigError("there is no such file", path=("path",), hint="path: ./shop.db") from None
        if not stat.S_ISREG(mode):
            raise ConfigError("`path` is no regular file", path=("path",))
        try:
            with contextlib.closing(self._open(write=False)) as conn:
                for table in self.entry.tables.values():
                    _suitable(conn, table)
        except sqlite3.Error as error:
            raise ConfigError(f"the file cannot be opened: {str(error)[:80]}", path=("path",)) from None

    def _open(self, *, write: bool) -> sqlite3.Connection:
        mode = "rw" if write else "ro"
        immutable = "&immutable=1" if self.entry.immutable and not write else ""
        conn = sqlite3.connect(
            f"file:{quote(self.path)}?mode={mode}{immutable}",
            uri=True,
            isolation_level=None,
            timeout=self.entry.limits.lock_seconds,
            check_same_thread=False,  # the watchdog interrupts
        )
        conn.text_factory = lambda raw: raw.decode(errors="replace")
        return conn

    @contextlib.contextmanager
    def connection(self, principal: str, *, write: bool = False) -> Iterator[Guarded]:
        """A guarded connection for `principal`; a write is committed only if nothing was raised.

        Raises:
            ScopeError: the authorizer refused.
            ToolFailed: SQLite could not carry it out, or took too long.
        """
        if "\0" in principal:
            raise ToolFailed("the principal holds a NUL, which SQL text cannot")
        limits = self.entry.limits
        try:
            conn = self._open(write=write)
        except sqlite3.Error:
            raise ToolFailed("the database cannot be opened", layer="engine") from None
        guarded = Guarded(conn, self.entry, self._functions, write=write)
        watchdog = Watchdog(
            seconds=limits.seconds + limits.grace, grace=limits.grace, cancel=conn.interrupt, terminate=conn.interrupt
        )
        try:
            guarded.close_in(principal)
            with watchdog:
                if write:
                    conn.execute("BEGIN IMMEDIATE")
                guarded.shut()
                yield guarded
                if write:
                    conn.set_authorizer(None)
                    conn.execute("COMMIT")
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise guarded.said(error) from None
        finally:
            conn.close()


class Guarded:
    """A connection with its authorizer."""

    def __init__(self, conn: sqlite3.Connection, entry: Entry, functions: frozenset[str], *, write: bool) -> None:
        self.conn, self.entry, self._functions, self._write = conn, entry, functions, write
        self._tables = {name.lower(): table for name, table in entry.tables.items()}
        self._views: dict[str, str] = {}  # unguessable name → table
        self._own: set[str] = set()  # triggers: ours and, in a write, the schema's
        self._virtual = _JSON
        self._deadline = time.monotonic() + entry.limits.seconds
        self._late = False
        self.refused = ""
        self.touched: set[str] = set()

    def close_in(self, principal: str) -> None:
        """Views and triggers for `principal`, settings, limits."""
        conn, who = self.conn, literal(principal)
        conn.set_progress_handler(self._tick, STEP)
        for pragma in ("trusted_schema=0", "cell_size_check=1", "mmap_size=0", "temp_store=1", "foreign_keys=1"):
            conn.execute(f"PRAGMA {pragma}")
        if hasattr(conn, "setconfig"):  # Python 3.12
            conn.setconfig(_DEFENSIVE, True)  # noqa: FBT003 - sqlite3's own signature
        names = {str(row[0]).lower() for row in conn.execute("SELECT name FROM main.sqlite_master")}
        self._virtual = _JSON - names
        for name in self._virtual:  # declared now, because that writes to the schema in memory
            conn.execute(f"SELECT 1 FROM {name}('[]')").fetchall()
        for table in self.entry.tables.values():
            secret = f"interlock_{secrets.token_hex(16)}"
            self._views[secret] = table.name
            columns = ", ".join(ident(c) for c in table.columns)
            where = f"\nWHERE (\n{table.condition(who)}\n)" if table.rows else ""
            source = f"main.{ident(table.name)}"
            conn.execute(f"CREATE TEMP VIEW {ident(secret)} AS SELECT {columns} FROM {source}{where}")
            conn.execute(f"CREATE TEMP VIEW {ident(table.name)} AS SELECT * FROM temp.{ident(secret)}")
            if self._write and table.rows:
                self._hold(table, who)
        if self._write:
            self._own |= {r[0] for r in conn.execute("SELECT name FROM main.sqlite_master WHERE type = 'trigger'")}
        else:
            conn.execute("PRAGMA query_only=1")
        for limit, value in _LIMITS.items():
            conn.setlimit(limit, value)
        conn.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, self.entry.limits.sql_chars * 4)

    def _hold(self, table: Table, who: str) -> None:
        """Triggers that undo a write to rows of somebody else, whatever statement it comes from."""
        source, condition = f"main.{ident(table.name)}", table.condition(who)
        for moment, row in (
            ("BEFORE UPDATE", "OLD"),
            ("AFTER UPDATE", "NEW"),
            ("AFTER INSERT", "NEW"),
            ("BEFORE DELETE", "OLD"),
        ):
            name = f"interlock_{secrets.token_hex(16)}"
            self._own.add(name)
            self.conn.execute(
                f"CREATE TEMP TRIGGER {ident(name)} {moment} ON {source} BEGIN SELECT RAISE(ABORT, 'interlock row')"
                f" WHERE NOT EXISTS (SELECT 1 FROM {source} WHERE rowid = {row}.rowid AND (\n{condition}\n)); END"
            )

    def shut(self) -> None:
        """From here on the authorizer decides."""
        self.conn.set_authorizer(self._authorize)

    def _tick(self) -> int:
        self._late = time.monotonic() > self._deadline
        return int(self._late)

    def _authorize(self, action: int, one: str | None, two: str | None, base: str | None, via: str | None) -> int:
        if self._may(action, one or "", two or "", base, via):
            return sqlite3.SQLITE_OK
        if not self.refused:
            self.refused = _spoken(action, one, two)
        return sqlite3.SQLITE_DENY

    def _may(self, action: int, one: str, two: str, base: str | None, via: str | None) -> bool:
        match action:
            case sqlite3.SQLITE_SELECT | sqlite3.SQLITE_RECURSIVE:
                return True
            case sqlite3.SQLITE_FUNCTION:
                return two.lower() in self._functions or (via is not None and via in self._views)
            case sqlite3.SQLITE_READ:
                return self._reads(one, two, base, via)
            case sqlite3.SQLITE_INSERT | sqlite3.SQLITE_UPDATE | sqlite3.SQLITE_DELETE if self._write:
                return self._writes(action, one, two, base, via)
            case _:
                return False

    def _reads(self, table: str, column: str, base: str | None, via: str | None) -> bool:
        if via is not None and (via in self._views or via in self._own):
            self.touched.add(self._views.get(via, table))
            return True
        if base == "temp":
            return table in self._views or table.lower() in self._tables
        if table.lower() in self._virtual:
            return True
        known = self._tables.get(table.lower())
        if base != "main" or known is None:
            return False
        self.touched.add(known.name)
        if self._write:  # our own statement, with the rows' condition in it and in the triggers
            return True
        return not known.rows and Operation.SELECT in known.operations and (not column or _among(column, known.columns))

    def _writes(self, action: int, table: str, column: str, base: str | None, via: str | None) -> bool:
        if via is not None and via in self._own:  # a trigger of the schema; SQL of a model never runs in a write
            return base == "main"
        known = self._tables.get(table.lower())
        if known is None or base != "main":
            return False
        self.touched.add(known.name)
        if action == sqlite3.SQLITE_UPDATE:
            return Operation.UPDATE in known.operations and _among(column, known.columns)
        return (Operation.INSERT if action == sqlite3.SQLITE_INSERT else Operation.DELETE) in known.operations

    def compile(self, sql: str) -> None:
        """Return if the authorizer lets every part of `sql` pass; nothing runs."""
        words = sql.split(None, 1)
        first = words[0].upper() if words else ""
        self.conn.execute(sql if first.startswith("EXPLAIN") else f"EXPLAIN {sql}").close()

    def rows(self, sql: str, values: Sequence[Scalar] | Mapping[str, Scalar], most: int) -> Rows:
        """What `sql` gives, at most `most` rows and the entry's bytes."""
        cursor = self.conn.execute(sql, values)
        names = _distinct([str(d[0]) for d in cursor.description or ()])
        rows: list[Json] = []
        left = self.entry.limits.bytes
        for row in cursor:
            record: dict[str, Json] = dict(zip(names, map(_json, row), strict=True))
            left -= sum(len(n) + (len(v.encode()) if isinstance(v, str) else 8) for n, v in record.items()) + 2
            if len(rows) == most or left < 0:
                return Rows(rows=rows, truncated=True)
            rows.append(record)
        return Rows(rows=rows)

    def change(self, sql: str, values: Sequence[Scalar]) -> Rows:
        """How many rows `sql`, a statement of the tool itself, changed."""
        changed = self.conn.execute(sql, values).rowcount
        if changed > self.entry.limits.write_rows:
            raise ToolFailed(f"the statement would change {changed} rows, more than {self.entry.limits.write_rows}")
        return Rows(rows=[], changed=changed)

    def said(self, error: Exception) -> ScopeError | ToolFailed:
        """What `error` is to the caller."""
        text = str(error)
        if self.refused:
            return ScopeError(f"{self.refused} is not allowed", layer="engine")
        if self._late or "interrupted" in text:
            return ToolFailed(f"the statement took longer than {self.entry.limits.seconds:g} seconds", layer="engine")
        if "interlock row" in text:
            return ScopeError("the row is not the principal's", layer="engine")
        if "one statement at a time" in text:
            return ScopeError("one statement is expected", layer="gate")
        return ToolFailed(f"the database refused: {text[:200]}", layer="engine")


def _suitable(conn: sqlite3.Connection, table: Table) -> None:
    at = ("tables", table.name)
    row = conn.execute(
        "SELECT type, sql FROM main.sqlite_master WHERE name = ? AND type IN ('table', 'view')", (table.name,)
    ).fetchone()
    if row is None:
        raise ConfigError(f"there is no table `{table.name}`", path=at)
    kind, sql = row[0], " ".join(str(row[1]).upper().split())
    if kind == "view" or sql.startswith("CREATE VIRTUAL"):
        raise ConfigError(
            f"`{table.name}` is a view or a virtual table, which SQLite cannot limit by view",
            path=at,
            hint="declare the tables behind it, and make the view a named query",
        )
    columns = {str(r[1]) for r in conn.execute(f"PRAGMA main.table_xinfo({ident(table.name)})")}
    if missing := {*table.columns, *table.fixed} - columns:
        raise ConfigError(f"`{table.name}` has no column `{min(missing)}`", path=(*at, "columns"))
    if table.rows and table.operations - {Operation.SELECT} and "WITHOUT ROWID" in sql:
        raise ConfigError(f"`{table.name}` is WITHOUT ROWID: `rows` cannot hold its writes", path=at)


def _among(column: str, columns: Sequence[str]) -> bool:
    return column.lower() in {c.lower() for c in columns}


def _distinct(names: list[str]) -> list[str]:
    out: list[str] = []
    for name in names:
        given, n = name, 2
        while given in out:
            given, n = f"{name}_{n}", n + 1
        out.append(given)
    return out


def _json(value: Any) -> Json:  # noqa: ANN401 - what SQLite holds
    match value:
        case bytes():
            return f"\\x{value.hex()}"
        case float() if value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124 - NaN
            return str(value)
        case int() if abs(value) > MAX_INT:
            return str(value)
        case _:
            return value  # type: ignore[no-any-return]


_SPOKEN = {
    sqlite3.SQLITE_ATTACH: "ATTACH",
    sqlite3.SQLITE_DETACH: "DETACH",
    sqlite3.SQLITE_PRAGMA: "PRAGMA",
    sqlite3.SQLITE_TRANSACTION: "a transaction of its own",
    sqlite3.SQLITE_SAVEPOINT: "SAVEPOINT",
    sqlite3.SQLITE_INSERT: "writing",
    sqlite3.SQLITE_UPDATE: "writing",
    sqlite3.SQLITE_DELETE: "writing",
}


def _spoken(action: int, one: str | None, two: str | None) -> str:
    if action == sqlite3.SQLITE_FUNCTION:
        return f"the function `{str(two)[:60]}`"
    if action == sqlite3.SQLITE_READ:
        return f"`{str(one)[:60]}.{two[:60]}`" if two else f"`{str(one)[:60]}`"
    return _SPOKEN.get(action, "the statement")
