"""The kind `sql`: an entry of the manifest, open for work, and its proofs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from interlock.kernel.spec import ToolSpec
from interlock.tools.arguments import validator
from interlock.tools.kind import ConfigError, Context, Operation, Proof, ScopeError, ToolFailed
from interlock.tools.sql import gate, grammar, grants, proof, role
from interlock.tools.sql.entry import Engine, Entry
from interlock.tools.sql.perform import OnPostgres, OnSqlite
from interlock.tools.sql.session import Credentials, Database, psycopg
from interlock.tools.sql.spec import tools
from interlock.tools.sql.sqlite import File, ident

_HANDLE = "secret://"
# One of each class that the gate is there for; none may pass, whatever the entry declares.
_PROBES = (
    "SELECT 1; SELECT 2",
    "SELECT set_config('interlock.principal', 'x', true)",
    "SELECT * FROM pg_read_file('PG_VERSION')",
    "SELECT query_to_xml('SELECT 1', true, false, '')",
    "SELECT * FROM pg_catalog.pg_class",
    "SELECT pg_sleep(1)",
    "WITH a AS (DELETE FROM x RETURNING 1) SELECT 1",
    "COPY (SELECT 1) TO STDOUT",
    "SET ROLE postgres",
    "DO 'BEGIN END'",
)
_LITE_PROBES = (
    "ATTACH ':memory:' AS other",
    "PRAGMA query_only=0",
    "VACUUM INTO 'interlock-probe.db'",
    "SELECT load_extension('x')",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM pragma_database_list",
    "CREATE TEMP TABLE interlock_probe(a)",
    "SELECT 1; SELECT 2",
)


class Sql:
    """An open entry."""

    def __init__(self, entry: Entry, context: Context) -> None:
        entry = self._entry = named(entry, context.secrets)
        self._database: Database | None = None
        self._file: File | None = None
        if entry.engine is Engine.POSTGRESQL:
            grammar.postgast()
            self._database = database(entry, context.secrets)
            try:
                role.check(self._database)
            except ToolFailed as error:
                raise ConfigError(str(error), path=("dsn",), hint=error.hint) from None
        else:
            self._file = File(entry, str(Path(context.base_dir, entry.path)))
            self._file.check()
            _columns(entry, self._file)
        self.operations = tuple(self._operation(tool.spec, tool.work, context) for tool in tools(entry))

    def _operation(self, spec: ToolSpec, work: Any, context: Context) -> Operation:  # noqa: ANN401 - spec.Work
        on = (
            OnPostgres(self._entry, work, self._database, context.check)
            if self._database is not None
            else OnSqlite(self._entry, work, self._file, context.check)
            if self._file is not None
            else None
        )
        if on is None:
            raise ConfigError("an entry has either `dsn` or `path`")
        return Operation(spec=spec, validate=validator(spec), scope=on.scope, perform=on.perform)

    def prove(self) -> tuple[Proof, ...]:
        """See `Capability.prove`. Everything is rolled back."""
        return tuple(self._on_postgres(self._database) if self._database is not None else self._on_sqlite())

    def _on_postgres(self, database: Database) -> Iterator[Proof]:
        with contextlib.closing(database.connect()) as conn:
            conn.read_only = True
            found = list(role.inspect(conn, self._entry))
        yield Proof(
            layer="engine",
            claim="the role has what the manifest says and nothing more",
            held=not found,
            evidence="; ".join(s.found for s in found)
            or "attributes, memberships, ownership, privileges, policies read",
            residual="TEMP, catalogs that PUBLIC reads and PostgreSQL's own functions stay; the gate refuses them",
        )
        yield from role.attempt(database)
        for sql in _PROBES:
            yield self._refuses(sql)
        yield self._stops(database)

    def _refuses(self, sql: str) -> Proof:
        try:
            gate.judge(sql, self._entry)
        except ScopeError as error:
            return Proof(layer="gate", claim=f"refuses `{sql}`", held=True, evidence=str(error))
        return Proof(layer="gate", claim=f"refuses `{sql}`", held=False, evidence="it passed")

    def _stops(self, database: Database) -> Proof:
        limits = self._entry.limits
        claim = "a long statement is stopped"
        try:
            with database.transaction("interlock:probe") as conn:
                conn.execute("SELECT set_config('statement_timeout', '50ms', true)", binary=True)
                conn.execute("SELECT pg_sleep(1)", binary=True)
        except ToolFailed as error:
            return Proof(
                layer="watchdog",
                claim=claim,
                held=True,
                evidence=f"{error.layer}: stopped; the limit is {limits.seconds:g} s, and {limits.grace:g} s more",
                residual="memory of one statement is bounded by the server's configuration only",
            )
        return Proof(layer="watchdog", claim=claim, held=False, evidence="it ran to its end")

    def _on_sqlite(self) -> Iterator[Proof]:
        if self._file is None:
            return
        for sql in _LITE_PROBES:
            try:
                with self._file.connection("interlock:probe") as guarded:
                    guarded.rows(sql, (), 1)
            except (ScopeError, ToolFailed) as error:
                yield Proof(layer="engine", claim=f"refuses `{sql}`", held=True, evidence=str(error))
            else:
                yield Proof(layer="engine", claim=f"refuses `{sql}`", held=False, evidence="it ran")
        yield from self._hidden(self._file)

    def _hidden(self, file: File) -> Iterator[Proof]:
        for table in self._entry.tables.values():
            if not table.rows:
                continue
            for name in (table.name, "interlock_x"):
                sql = f"WITH {ident(name)} AS (SELECT * FROM main.{ident(table.name)}) SELECT * FROM {ident(name)}"  # noqa: S608
                claim = f"all rows of `{table.name}` are out of reach"
                try:
                    with file.connection("interlock:probe") as guarded:
                        guarded.rows(sql, (), 1)
                except ScopeError as error:
                    yield Proof(
                        layer="engine",
                        claim=claim,
                        held=True,
                        evidence=f"`{sql[:60]}…`: {error}",
                        residual="the process can read the whole file: SQLite has no users",
                    )
                else:
                    yield Proof(layer="engine", claim=claim, held=False, evidence=f"`{sql[:60]}…` ran")

    def close(self) -> None:
        """Nothing is kept between calls."""


def _columns(entry: Entry, file: File) -> None:
    """Compile every named query and every row condition once, so that a mistake stops the start."""
    with file.connection("interlock:probe") as guarded:
        for table in entry.tables.values():
            guarded.compile(f"SELECT * FROM {ident(table.name)}")  # noqa: S608 - quoted
    for query in entry.queries:
        try:
            with file.connection("interlock:probe") as guarded:
                guarded.conn.execute(f"EXPLAIN {query.sql}", {p.name: None for p in query.parameters}).close()
        except (ScopeError, ToolFailed) as error:
            raise ConfigError(f"`{query.name}`: {error}", path=("queries", query.name, "sql")) from None


def named(entry: Entry, secrets: Callable[[str], str]) -> Entry:
    """`entry` with the name of its role, which its DSN says where the manifest does not.

    Raises:
        ConfigError: the DSN does not parse.
    """
    if entry.engine is not Engine.POSTGRESQL or entry.role:
        return entry
    return replace(entry, role=str(_parts(entry, secrets).get("user") or f"interlock_{entry.name}"))


def _parts(entry: Entry, secrets: Callable[[str], str]) -> Mapping[str, object]:
    lib = psycopg()
    try:
        return dict(lib.conninfo.conninfo_to_dict(resolved(entry.dsn, secrets)))
    except lib.Error:
        raise ConfigError("`dsn` does not parse", path=("dsn",), hint="postgresql://role:password@host/db") from None


def database(entry: Entry, secrets: Callable[[str], str]) -> Database:
    """Where the sessions of `entry` come from.

    Raises:
        ConfigError: the DSN does not parse, or `rows` has no key.
    """

    def credentials() -> Credentials:
        password = str(_parts(entry, secrets).get("password") or "")
        secret = proof.key(resolved(entry.key, secrets), password) if entry.bound else None
        return Credentials(resolved(entry.dsn, secrets), secret)

    credentials()  # what is wrong with them is said now
    return Database(entry, credentials)


def resolved(value: str, secrets: Callable[[str], str]) -> str:
    """`value`, or the secret that it names."""
    return secrets(value) if value.startswith(_HANDLE) else value


def apply(entry: Entry, secrets: Callable[[str], str], admin: str) -> None:
    """Give the role of `entry` what the manifest says, as the administrator `admin` (a DSN), in one transaction.

    The role's password becomes the one in the entry's own DSN, if there is one.

    Raises:
        ConfigError: the server refused; nothing was changed.
    """
    lib = psycopg()
    entry = named(entry, secrets)
    agent = database(entry, secrets)
    password = _parts(entry, secrets).get("password")
    try:
        with lib.connect(admin, connect_timeout=10) as conn:
            conn.execute(grants.script(entry, agent.credentials().secret))
            if password:
                hashed = conn.pgconn.encrypt_password(
                    str(password).encode(), entry.role.encode(), b"scram-sha-256"
                ).decode()
                conn.execute(f"ALTER ROLE {grants.ident(entry.role)} PASSWORD {grants.literal(hashed)}")
    except lib.Error as error:
        said = (error.diag.message_primary or "the server cannot be reached")[:200]
        raise ConfigError(f"the grants were not applied: {said}", hint="a cast in `rows`: principal::bigint") from None


def _nothing(uri: str) -> NoReturn:
    """Instead of jsonschema-rs's own retrieval, which would read files and fetch from networks."""
    raise ConfigError(f"`{uri[:80]}` lies outside the schema, and nothing is fetched")
