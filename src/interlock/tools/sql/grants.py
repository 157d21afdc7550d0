"""From an entry of the manifest to what PostgreSQL is to enforce: role, column grants, row-level security, timeouts.

`grants` prints it for an administrator to read; `apply` runs the same text in one transaction, when told to. Applying
twice changes nothing. Roles other than this one keep what they see: where row-level security was off, a policy that
lets everybody else pass comes with it, and the role itself is held by a restrictive policy, which no other policy can
widen. Only the role's own privileges are taken back; what PUBLIC has is the administrator's, and start-up reports it.
"""

# ruff: noqa: S608 - this module writes SQL: every name goes through `ident`, every value through `literal`
from __future__ import annotations

import hashlib
from dataclasses import replace

from interlock.tools.kind import ConfigError
from interlock.tools.sql import proof
from interlock.tools.sql.entry import Engine, Entry, Operation, Table

BOUND = "(SELECT interlock.principal())"  # in a sub-select it is asked once a statement, not once a row


def ident(name: str) -> str:
    """`name` as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as a string literal, whatever `standard_conforming_strings` says."""
    quoted = text.replace("'", "''")
    return f"E'{quoted}'".replace("\\", "\\\\") if "\\" in text else f"'{quoted}'"


def policy(entry: Entry) -> str:
    """The name of the policy that holds the role of `entry`."""
    return f"interlock_rows_{hashlib.sha256(entry.role.encode()).hexdigest()[:12]}"


def mark(table: Table) -> str:
    """What the policy's comment starts with, so that start-up sees whether manifest and database agree."""
    return f"interlock {hashlib.sha256(table.rows.encode()).hexdigest()[:24]}"


def fingerprint(polrelid: str = "polrelid") -> str:
    """SQL for the digest of a policy's expressions as the database holds them; `search_path` is `pg_catalog`."""
    parts = [f"coalesce(pg_get_expr({column}, {polrelid}), '')" for column in ("polqual", "polwithcheck")]
    return f"md5(concat_ws('|', {', '.join(parts)}))"


def grants(entry: Entry) -> str:
    """The SQL that gives the role of `entry` exactly what the manifest says, for psql -v ON_ERROR_STOP=1.

    The key is no part of the text: psql fills in `:'interlock_inner'` and `:'interlock_outer'` (docs/tools-sql.md).
    """
    if entry.engine is not Engine.POSTGRESQL:
        raise ConfigError("SQLite has no roles: nothing is to be granted", path=("path",))
    entry = entry if entry.role else replace(entry, role=f"interlock_{entry.name}")
    return "BEGIN;\n" + ";\n".join(_statements(entry)) + ";\nCOMMIT;\n"


def script(entry: Entry, secret: bytes | None) -> str:
    """The same for one simple-protocol message, with the key filled in; no transaction of its own."""
    text = ";\n".join(_statements(entry))
    if secret is not None:
        inner, outer = proof.pads(secret)
        text = text.replace(":'interlock_inner'", f"'{inner}'").replace(":'interlock_outer'", f"'{outer}'")
    return text


def _statements(entry: Entry) -> list[str]:
    role, schema, limits = ident(entry.role), ident(entry.schema), entry.limits
    out = [
        f"""DO $do$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {literal(entry.role)}) THEN
    CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
  END IF;
END $do$""",
        f"ALTER ROLE {role} LOGIN NOINHERIT CONNECTION LIMIT {limits.connections}",
        f"ALTER ROLE {role} SET default_transaction_read_only = on",
        f"ALTER ROLE {role} SET statement_timeout = {_ms(limits.seconds)}",
        f"ALTER ROLE {role} SET lock_timeout = {_ms(limits.lock_seconds)}",
        f"ALTER ROLE {role} SET idle_in_transaction_session_timeout = {_ms(limits.seconds + 2 * limits.grace)}",
        f"ALTER ROLE {role} SET search_path = pg_catalog, {schema}, pg_temp",
        f"""DO $do$ BEGIN
  EXECUTE pg_catalog.format('GRANT CONNECT ON DATABASE %I TO {role.replace("'", "''")}', pg_catalog.current_database());
END $do$""",
        f"REVOKE ALL ON SCHEMA {schema} FROM {role}",
        f"GRANT USAGE ON SCHEMA {schema} TO {role}",
        f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role}",
        f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schema} FROM {role}",
    ]
    if entry.bound:
        out += [
            "CREATE SCHEMA IF NOT EXISTS interlock",
            """CREATE TABLE IF NOT EXISTS interlock.key
  (role name PRIMARY KEY, inner_pad bytea NOT NULL, outer_pad bytea NOT NULL)""",
            f"REVOKE ALL ON interlock.key FROM PUBLIC, {role}",
            f"""INSERT INTO interlock.key
  VALUES ({literal(entry.role)}, decode(:'interlock_inner', 'hex'), decode(:'interlock_outer', 'hex'))
  ON CONFLICT (role) DO UPDATE SET inner_pad = excluded.inner_pad, outer_pad = excluded.outer_pad""",
            proof.FUNCTION,
            "REVOKE ALL ON FUNCTION interlock.principal() FROM PUBLIC",
            f"REVOKE ALL ON SCHEMA interlock FROM PUBLIC, {role}",
            f"GRANT USAGE ON SCHEMA interlock TO {role}",
            f"GRANT EXECUTE ON FUNCTION interlock.principal() TO {role}",
        ]
    for table in entry.tables.values():
        out += _table(entry, table, role)
    return out


def _table(entry: Entry, table: Table, role: str) -> list[str]:
    name = f"{ident(entry.schema)}.{ident(table.name)}"
    columns = ", ".join(ident(c) for c in table.columns)
    out = []
    for operation in sorted(table.operations):
        match operation:
            case Operation.DELETE:
                out.append(f"GRANT DELETE ON {name} TO {role}")
            case Operation.INSERT:
                every = ", ".join(ident(c) for c in dict.fromkeys((*table.columns, *table.fixed)))
                out.append(f"GRANT INSERT ({every}) ON {name} TO {role}")
                out.append(f"""DO $do$ DECLARE s oid; BEGIN
  FOR s IN SELECT d.objid FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind = 'S'
    WHERE d.refobjid = {literal(name)}::pg_catalog.regclass AND d.deptype = 'a' LOOP
    EXECUTE pg_catalog.format('GRANT USAGE ON SEQUENCE %s TO {role.replace("'", "''")}', s::pg_catalog.regclass);
  END LOOP;
END $do$""")
            case Operation.SELECT | Operation.UPDATE:
                out.append(f"GRANT {operation.upper()} ({columns}) ON {name} TO {role}")
    if not table.rows:
        return out
    held, base, comment = ident(policy(entry)), ident(f"{policy(entry)}_base"), literal(mark(table) + " ")
    condition = table.condition(BOUND)
    return [
        *out,
        f"""DO $do$ BEGIN
  IF NOT (SELECT relrowsecurity FROM pg_catalog.pg_class WHERE oid = {literal(name)}::pg_catalog.regclass) THEN
    CREATE POLICY interlock_everybody_else ON {name} AS PERMISSIVE FOR ALL TO PUBLIC USING (true) WITH CHECK (true);
    ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;
  END IF;
END $do$""",
        f"DROP POLICY IF EXISTS {base} ON {name}",
        f"CREATE POLICY {base} ON {name} AS PERMISSIVE FOR ALL TO {role} USING (true) WITH CHECK (true)",
        f"DROP POLICY IF EXISTS {held} ON {name}",
        f"""CREATE POLICY {held} ON {name} AS RESTRICTIVE FOR ALL TO {role}
  USING ({condition}
)
  WITH CHECK ({condition}
)""",
        "SET LOCAL search_path = pg_catalog",
        f"""DO $do$ BEGIN
  EXECUTE (SELECT format('COMMENT ON POLICY {held} ON {name.replace("'", "''")} IS %L', {comment} || {fingerprint()})
    FROM pg_policy WHERE polname = {literal(policy(entry))} AND polrelid = {literal(name)}::regclass);
END $do$""",
        "RESET search_path",
    ]


def _ms(seconds: float) -> str:
    return f"'{int(seconds * 1000)}ms'"
