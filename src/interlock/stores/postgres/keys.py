"""Keys in PostgreSQL, shared by all processes on all machines."""

from __future__ import annotations

from typing import Any

from interlock.stores.errors import StoreAway, StoreError
from interlock.stores.key import Key, changed
from interlock.stores.postgres.database import Connection, PostgresDatabase

SCRIPTS = (
    """
CREATE TABLE interlock_keys (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    kind text NOT NULL,
    name text NOT NULL,
    principal text NOT NULL,
    tenant text NOT NULL,
    made double precision NOT NULL,
    expires double precision,
    revoked boolean NOT NULL,
    digest text NOT NULL
);
CREATE TABLE interlock_keys_version (version bigint NOT NULL);
INSERT INTO interlock_keys_version VALUES (0);
""",
)
_COLUMNS = "id, kind, name, principal, tenant, made, expires, revoked, digest"


class PostgresKeys:
    """The store of keys over a database."""

    def __init__(self, database: PostgresDatabase) -> None:
        """Make the tables if need be.

        Raises:
            StoreError: the database cannot serve.
        """
        self._database = database
        database.migrate("keys", SCRIPTS)

    def add(self, key: Key, digest: str) -> None:
        """Keep a new key.

        Raises:
            StoreError: its id is taken, or the store is away.
        """
        with self._database.transaction() as db:
            _grow(db)
            made = db.execute(
                f"INSERT INTO interlock_keys ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) "  # noqa: S608 - a constant
                "ON CONFLICT DO NOTHING RETURNING number",
                (key.id, key.kind, key.name, key.principal, key.tenant, key.made, key.expires, key.revoked, digest),
            )
            if made.fetchone() is None:
                raise StoreError(f"the key `{key.id}` is there already")

    def all(self) -> tuple[tuple[Key, str], ...]:
        """Every key with its digest, oldest first."""
        with self._database.transaction() as db:
            rows = db.execute(f"SELECT {_COLUMNS} FROM interlock_keys ORDER BY number").fetchall()  # noqa: S608 - a constant
        return tuple((_key(row), row[-1]) for row in rows)

    def change(self, ref: str, *, expires: float | None = None, revoked: bool = False) -> Key:
        """Let a key end at `expires`, if it does not before, or now and for ever.

        Raises:
            StoreError: there is none, or the store is away.
        """
        if "\0" in ref:
            raise StoreError(f"there is no key `{ref[:32]!a}`")
        with self._database.transaction() as db:
            _grow(db)
            row = db.execute(f"SELECT {_COLUMNS} FROM interlock_keys WHERE id = %s FOR UPDATE", (ref,)).fetchone()  # noqa: S608 - a constant
            if row is None:
                raise StoreError(f"there is no key `{ref[:32]!a}`")
            key = changed(_key(row), expires=expires, revoked=revoked)
            db.execute(
                "UPDATE interlock_keys SET expires = %s, revoked = %s WHERE id = %s", (key.expires, key.revoked, ref)
            )
            return key

    def version(self) -> int:
        """A number that grows with every change."""
        with self._database.transaction() as db:
            row = db.execute("SELECT version FROM interlock_keys_version").fetchone()
        if row is None:
            raise StoreAway("the version of the keys is gone")
        return int(row[0])


def _grow(db: Connection) -> None:
    """First in each change, so that changes come one after the other: no reader sees the number before the key."""
    db.execute("UPDATE interlock_keys_version SET version = version + 1")


def _key(row: tuple[Any, ...]) -> Key:
    ref, kind, name, principal, tenant, made, expires, revoked, _ = row
    return Key(
        id=ref,
        kind=kind,
        name=name,
        principal=principal,
        tenant=tenant,
        made=made,
        expires=expires,
        revoked=revoked,
    )
