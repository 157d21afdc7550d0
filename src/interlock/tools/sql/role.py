"""Whether the role that a DSN logs in as can do more than the manifest says: read from the catalog, then tried.

`inspect` compares every privilege that the role holds by itself, by membership or through PUBLIC with the manifest;
`attempt` does what must fail and rolls it back. One surplus, and the entry is not served: a grant that nobody meant is
found by whoever is looking for one. TEMP on the database and EXECUTE on PostgreSQL's own functions are PUBLIC's by
default and stay: read-only transactions and the gate deal with them (docs/tools-sql.md).
"""

# ruff: noqa: E501, S608 - catalog queries are easier to check on long lines; their names go through `ident`
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interlock.tools.kind import ConfigError, Proof
from interlock.tools.sql.entry import Entry, Operation, Table
from interlock.tools.sql.grants import fingerprint, ident, mark, policy
from interlock.tools.sql.session import Database, psycopg

if TYPE_CHECKING:
    from psycopg import Connection

_DENIED = frozenset({"42501", "25006"})  # insufficient privilege, read-only transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Surplus:
    """Something the role can do that the manifest does not say, or lacks that the manifest needs."""

    claim: str
    found: str
    remedy: str


_ATTRIBUTES = """SELECT a.word FROM pg_roles r CROSS JOIN LATERAL (VALUES ('SUPERUSER', rolsuper), ('CREATEROLE', rolcreaterole),
  ('CREATEDB', rolcreatedb), ('REPLICATION', rolreplication), ('BYPASSRLS', rolbypassrls)) a(word, has)
  WHERE r.rolname = session_user AND a.has"""
_MEMBERSHIPS = """SELECT g.rolname FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles r ON r.oid = m.member
  WHERE r.rolname = session_user"""
_OWNED = """SELECT pg_describe_object(d.classid, d.objid, 0) FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid
  WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype = 'o' AND r.rolname = session_user
  AND d.dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) LIMIT 20"""
_CREATES = """SELECT format('CREATE in schema %I', nspname) FROM pg_namespace
  WHERE nspname NOT LIKE 'pg\\_temp%' AND nspname NOT LIKE 'pg\\_toast%' AND has_schema_privilege(oid, 'CREATE')
  UNION ALL SELECT 'CREATE on the database' WHERE has_database_privilege(current_database(), 'CREATE')"""
# Relations: whole-table privileges, then columns. `pg_settings` may be updated by PUBLIC; it is SET in another spelling.
_TABLES = """SELECT n.nspname, c.relname, p.word FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE'), ('TRUNCATE'), ('REFERENCES'), ('TRIGGER')) p(word)
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND has_table_privilege(c.oid, p.word)
  AND NOT (n.nspname IN ('pg_catalog', 'information_schema') AND (p.word = 'SELECT' OR c.relname = 'pg_settings'))"""
_COLUMNS = """SELECT n.nspname, c.relname, p.word, a.attname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('REFERENCES')) p(word)
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND has_column_privilege(c.oid, a.attnum, p.word)"""
_CLOSED_CATALOGS = """SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'pg_catalog'::regnamespace
  AND has_any_column_privilege(c.oid, 'SELECT') AND (
    c.relname IN ('pg_authid', 'pg_shadow', 'pg_user_mapping', 'pg_largeobject', 'pg_statistic', 'pg_statistic_ext_data',
      'pg_hba_file_rules', 'pg_ident_file_mappings', 'pg_file_settings', 'pg_config', 'pg_backend_memory_contexts',
      'pg_shmem_allocations', 'pg_replication_origin_status')
    OR EXISTS (SELECT FROM aclexplode(c.relacl) x WHERE x.grantee = (SELECT oid FROM pg_roles WHERE rolname = session_user)))"""
_SEQUENCES = """SELECT n.nspname, c.relname, p.word, (SELECT t.relname FROM pg_depend d JOIN pg_class t ON t.oid = d.refobjid
    WHERE d.objid = c.oid AND d.deptype IN ('a', 'i') LIMIT 1)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN (VALUES ('USAGE'), ('SELECT'), ('UPDATE')) p(word)
  WHERE CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(c.oid, p.word) END"""
_DEFINERS = """SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
  WHERE p.prosecdef AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND has_function_privilege(p.oid, 'EXECUTE')
  AND has_schema_privilege(n.oid, 'USAGE') AND NOT (n.nspname = 'interlock' AND p.proname = 'principal') LIMIT 20"""
_REACHING = """SELECT p.oid::regprocedure::text FROM pg_proc p
  WHERE has_function_privilege(p.oid, 'EXECUTE') AND (
    p.pronamespace = 'pg_catalog'::regnamespace AND (
      p.proname IN ('pg_read_file', 'pg_read_binary_file', 'pg_ls_dir', 'pg_ls_logdir', 'pg_ls_waldir', 'pg_stat_file',
        'lo_import', 'lo_export', 'pg_reload_conf', 'pg_rotate_logfile', 'pg_promote', 'pg_switch_wal', 'pg_backup_start',
        'pg_create_restore_point', 'pg_stat_reset', 'pg_log_backend_memory_contexts', 'pg_hba_file_rules',
        'pg_current_logfile', 'pg_replication_origin_create')
      OR EXISTS (SELECT FROM aclexplode(p.proacl) x WHERE x.grantee = (SELECT oid FROM pg_roles WHERE rolname = session_user)))
    OR EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
      WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' AND e.extname IN ('dblink',
        'postgres_fdw', 'file_fdw', 'adminpack', 'pg_background', 'pg_cron', 'pg_net', 'http', 'plsh', 'orafce')
      AND p.prorettype <> 'fdw_handler'::regtype AND p.proname NOT LIKE '%fdw_validator')) LIMIT 20"""
_SERVERS = """SELECT format('USAGE of foreign server %I', srvname) FROM pg_foreign_server WHERE has_server_privilege(oid, 'USAGE')
  UNION ALL SELECT format('USAGE of untrusted language %I', lanname) FROM pg_language
    WHERE lanispl AND NOT lanpltrusted AND has_language_privilege(oid, 'USAGE')
  UNION ALL SELECT format('%s of large object %s', privilege_type, oid) FROM pg_largeobject_metadata, aclexplode(lomacl) x
    WHERE x.grantee IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user))
  UNION ALL SELECT format('%s of setting %s', privilege_type, parname) FROM {parameters}
    WHERE x.grantee IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user))"""
_POLICIES = f"""SELECT c.relkind, c.relrowsecurity, p.polname, p.polpermissive, p.polcmd, obj_description(p.oid, 'pg_policy'),
    {fingerprint("p.polrelid")}
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_policy p ON p.polrelid = c.oid AND p.polname = $3
    AND (SELECT oid FROM pg_roles WHERE rolname = session_user) = ANY (p.polroles)
  WHERE n.nspname = $1 AND c.relname = $2"""


def inspect(conn: Connection[Any], entry: Entry) -> Iterator[Surplus]:
    """Everything that the catalog says of the role and the manifest does not."""

    def ask(sql: str, *values: str) -> list[tuple[Any, ...]]:
        return conn.execute(sql, values).fetchall() if values else conn.execute(sql, binary=True).fetchall()

    conn.execute("SELECT set_config('search_path', $1, true)", ["pg_catalog"])
    who = ask("SELECT session_user::text, current_setting('server_version_num')::int")[0]
    me = ident(who[0])
    if entry.role and who[0] != entry.role:
        yield Surplus(claim="the role", found=f"`dsn` logs in as `{who[0]}`", remedy=f"role: {who[0]}, or another dsn")
    for (word,) in ask(_ATTRIBUTES):
        yield Surplus(claim="no attribute", found=f"the role is {word}", remedy=f"ALTER ROLE {me} NO{word}")
    for (word,) in ask(_MEMBERSHIPS):
        yield Surplus(
            claim="no membership", found=f"it is a member of `{word}`", remedy=f"REVOKE {ident(word)} FROM {me}"
        )
    for (thing,) in ask(_OWNED):
        yield Surplus(claim="owns nothing", found=f"it owns {thing}", remedy=f"REASSIGN OWNED BY {me} TO another_role")
    for (thing,) in ask(_CREATES):
        where = thing.removeprefix("CREATE ")
        yield Surplus(
            claim="creates nothing",
            found=f"it has {thing}",
            remedy=f"REVOKE CREATE {where.replace('in ', 'ON ').replace('on the database', 'ON DATABASE …')} FROM {me}, PUBLIC",
        )
    yield from _relations(ask, entry, me)
    for (name,) in ask(_CLOSED_CATALOGS):
        yield Surplus(
            claim="no secret catalog", found=f"it reads `{name}`", remedy=f"REVOKE ALL ON {name} FROM {me}, PUBLIC"
        )
    for (name,) in ask(_DEFINERS):
        yield Surplus(
            claim="no definer's rights",
            found=f"it may execute the SECURITY DEFINER function {name}",
            remedy=f"REVOKE EXECUTE ON FUNCTION {name} FROM {me}, PUBLIC",
        )
    for (name,) in ask(_REACHING):
        yield Surplus(
            claim="no reaching out",
            found=f"it may execute {name}",
            remedy=f"REVOKE EXECUTE ON FUNCTION {name} FROM {me}, PUBLIC",
        )
    new = who[1] >= 150000  # noqa: PLR2004 - version 15 brought pg_parameter_acl
    parameters = (
        "pg_parameter_acl, aclexplode(paracl) x"
        if new
        else "(SELECT NULL::text AS privilege_type, NULL::text AS parname, 0::oid AS grantee WHERE false) x"
    )
    for (thing,) in ask(_SERVERS.format(parameters=parameters)):
        yield Surplus(claim="no reaching out", found=f"it has {thing}", remedy=f"revoke it from {me} and PUBLIC")
    for table in entry.tables.values():
        yield from _rows(ask, entry, table)


def _allowed(entry: Entry, schema: str, name: str) -> Table | None:
    return entry.tables.get(name) if schema == entry.schema else None


def _relations(ask: Any, entry: Entry, me: str) -> Iterator[Surplus]:  # noqa: ANN401 - a local function
    whole = {(s, t, w) for s, t, w in ask(_TABLES)}
    for schema, name, word in sorted(whole):
        table = _allowed(entry, schema, name)
        if word == "DELETE" and table is not None and Operation.DELETE in table.operations:
            continue
        if word in {"SELECT", "INSERT", "UPDATE"} and schema not in {"pg_catalog", "information_schema"}:
            continue  # judged by column: a table whose every column is declared may be granted whole
        yield _too_much(schema, name, word, me)
    held: dict[tuple[str, str, str], set[str]] = {}
    for schema, name, word, column in ask(_COLUMNS):
        held.setdefault((schema, name, word), set()).add(column)
    for (schema, name, word), columns in sorted(held.items()):
        if (schema, name, word) in whole and word == "REFERENCES":
            continue  # said already
        surplus = columns - _expected(_allowed(entry, schema, name), word)
        if surplus:
            shown = ", ".join(ident(c) for c in sorted(surplus)[:8])
            yield _too_much(schema, name, f"{word} ({shown})", me)
    for table in entry.tables.values():
        for operation in sorted(table.operations):
            word = operation.upper()
            has = held.get((entry.schema, table.name, word), set())
            missing = _expected(table, word) - has
            if operation is Operation.DELETE:
                missing = set() if (entry.schema, table.name, word) in whole else {"*"}
            if missing:
                yield Surplus(
                    claim="what the manifest needs",
                    found=f"it lacks {word} of {', '.join(sorted(missing))} in `{table.name}`",
                    remedy="interlock sql grants --apply",
                )
    for schema, name, word, owner in ask(_SEQUENCES):
        insertable = (t := _allowed(entry, schema, owner or "")) is not None and Operation.INSERT in t.operations
        if not (insertable and word == "USAGE"):
            yield _too_much(schema, name, word, me, kind="SEQUENCE ")


def _expected(table: Table | None, word: str) -> set[str]:
    if table is None or word == "REFERENCES" or Operation(word.lower()) not in table.operations:
        return set()
    return {*table.columns, *(table.fixed if word == "INSERT" else ())}


def _too_much(schema: str, name: str, word: str, me: str, kind: str = "") -> Surplus:
    where = f"{ident(schema)}.{ident(name)}"
    return Surplus(
        claim="only declared tables and columns",
        found=f"it has {word} on {where}",
        remedy=f"REVOKE {word.partition(' (')[0]} ON {kind}{where} FROM {me}, PUBLIC",
    )


def _rows(ask: Any, entry: Entry, table: Table) -> Iterator[Surplus]:  # noqa: ANN401 - a local function
    remedy = "interlock sql grants --apply"
    found = ask(_POLICIES, entry.schema, table.name, policy(entry))
    if not found:
        yield Surplus(claim="declared tables exist", found=f"there is no `{table.name}`", remedy="tables: another name")
        return
    kind, secured, name, permissive, command, comment, print_ = found[0]
    if not table.rows:
        return
    if _char(kind) not in {"r", "p"}:
        yield Surplus(
            claim="rows by principal",
            found=f"`{table.name}` is no table, and only tables have row-level security",
            remedy="declare the table behind it",
        )
    elif not secured or name is None or permissive or _char(command) != "*":
        yield Surplus(claim="rows by principal", found=f"no policy holds the role in `{table.name}`", remedy=remedy)
    elif comment != f"{mark(table)} {print_}":
        yield Surplus(
            claim="rows by principal", found=f"the policy of `{table.name}` is not the manifest's", remedy=remedy
        )


def _char(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def attempt(database: Database) -> Iterator[Proof]:
    """What must fail, tried: each attempt in a transaction of its own that is rolled back."""
    entry = database.entry
    first = next(iter(entry.tables.values()))
    name = f"{ident(entry.schema)}.{ident(first.name)}"
    reading = Operation.SELECT in first.operations
    tries: list[tuple[str, str, bool]] = [
        ("creates no table", "CREATE TABLE interlock_probe (a int)", True),
        ("creates no role", "CREATE ROLE interlock_probe", True),
        ("writes nothing in a read", f"DELETE FROM {name} WHERE false", False),
        ("drops no table", f"DROP TABLE {name}", True),
        ("reads no file", "SELECT pg_read_file('PG_VERSION')", True),
        ("lists no folder", "SELECT pg_ls_dir('.')", True),
        ("starts no program", "COPY (SELECT 1) TO PROGRAM 'true'", True),
        ("writes no file", "COPY (SELECT 1) TO '/dev/null'", True),
        ("reads no password", "SELECT rolpassword FROM pg_catalog.pg_authid LIMIT 1", True),
        ("loads no library", "LOAD 'pg_stat_statements'", True),
    ]
    absent = [o for o in Operation if o not in first.operations and o is not Operation.SELECT]
    tries += [(f"no {o} in `{first.name}`", _harmless(o, name, first), True) for o in absent]
    if not reading:
        tries.append((f"no select in `{first.name}`", f"SELECT 1 FROM {name} LIMIT 1", True))
    with database.transaction("interlock:probe") as conn:
        other = conn.execute(
            "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'"
            " AND NOT (n.nspname = $1 AND c.relname = ANY ($2::text[])) ORDER BY 1 LIMIT 5",
            [entry.schema, list(entry.tables)],
        ).fetchall()
        columns = conn.execute(
            "SELECT a.attname FROM pg_attribute a WHERE a.attrelid = to_regclass($1) AND a.attnum > 0"
            " AND NOT a.attisdropped AND NOT a.attname = ANY ($2::text[]) ORDER BY a.attnum LIMIT 5",
            [name, list(first.columns)],
        ).fetchall()
    tries += [(f"not the table {t}", f"SELECT 1 FROM {t} LIMIT 1", True) for (t,) in other]
    tries += [
        (f"not the column {c} of `{first.name}`", f"SELECT {ident(c)} FROM {name} LIMIT 1", True) for (c,) in columns
    ]
    for write in (False, True):
        yield from _tried(database, [(claim, sql) for claim, sql, writing in tries if writing is write], write=write)
    if entry.bound:
        yield _forged(database)


def _harmless(operation: Operation, name: str, table: Table) -> str:
    match operation:
        case Operation.INSERT:
            return f"INSERT INTO {name} ({ident(table.columns[0])}) SELECT NULL WHERE false"
        case Operation.UPDATE:
            return f"UPDATE {name} SET {ident(table.columns[0])} = NULL WHERE false"
        case Operation.DELETE | Operation.SELECT:
            return f"DELETE FROM {name} WHERE false"


def _tried(database: Database, tries: list[tuple[str, str]], *, write: bool) -> Iterator[Proof]:
    """Each of `tries` behind a savepoint, all in one transaction that is rolled back."""
    lib = psycopg()
    with database.transaction("interlock:probe", write=write) as conn:
        for claim, sql in tries:
            held, evidence = False, "it ran"
            try:
                with conn.transaction(force_rollback=True):
                    conn.execute(sql, binary=True)
            except lib.Error as error:
                held, evidence = error.sqlstate in _DENIED, f"SQLSTATE {error.sqlstate}"
            yield Proof(layer="engine", claim=claim, held=held, evidence=f"`{sql[:80]}`: {evidence}")
        conn.rollback()


def _forged(database: Database) -> Proof:
    claim = "SQL cannot change whom a transaction is for"
    with database.transaction("interlock:probe") as conn:
        conn.execute("SELECT set_config('interlock.principal', $1, true)", ["interlock:other"])
        row = conn.execute("SELECT interlock.principal()", binary=True).fetchone()
    held = row is not None and row[0] is None
    return Proof(
        layer="engine",
        claim=claim,
        held=held,
        evidence="after set_config the principal is NULL" if held else "after set_config the principal is another",
        residual="whoever reads the key, by `interlock.key` or by the manifest's secret, can be anyone",
    )


def check(database: Database) -> None:
    """Return if the role is what the manifest says.

    Raises:
        ConfigError: it can do more, or less; the message lists what, the hint how to change it.
    """
    lib = psycopg()
    with database.connect() as conn:
        conn.read_only = True
        try:
            found = list(inspect(conn, database.entry))
        except lib.Error as error:
            raise ConfigError(f"the role cannot be inspected: {error.sqlstate}", path=("dsn",)) from None
        finally:
            conn.rollback()
    if found:
        raise ConfigError(
            "the role is not what the manifest says: " + "; ".join(s.found for s in found[:8]),
            path=("dsn",),
            hint="; ".join(dict.fromkeys(s.remedy for s in found[:8])),
        )
    broken = [p for p in attempt(database) if not p.held]
    if broken:
        raise ConfigError(
            "the role did what it must not: " + "; ".join(f"{p.claim} ({p.evidence})" for p in broken[:8]),
            path=("dsn",),
            hint="interlock sql grants --apply, or a role of its own for the agent",
        )
