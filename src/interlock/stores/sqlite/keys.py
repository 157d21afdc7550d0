"""Keys in a SQLite file, shared by the processes of one machine."""

from __future__ import annotations

import sqlite3
from typing import Any

from interlock.stores.errors import StoreError
from interlock.stores.key import Key, changed
from interlock.stores.sqlite.database import SqliteDatabase

SCRIPTS = (
    """
CREATE TABLE keys (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    principal TEXT NOT NULL,
    tenant TEXT NOT NULL,
    made REAL NOT NULL,
    expires REAL,
    revoked INTEGER NOT NULL,
    digest TEXT NOT NULL
) STRICT;
CREATE TABLE keys_version (version INTEGER NOT NULL) STRICT;
INSERT INTO keys_version VALUES (0);
""",
)
_COLUMNS = "id, kind, name, principal, tenant, made, expires, revoked, digest"


class SqliteKeys:
    """The store of keys over a database, which should be durable: a revoked key stays revoked."""

    def __init__(self, database: SqliteDatabase) -> None:
        """Make the tables if need be.

        Raises:
            StoreError: the file cannot serve.
        """
        self._database = database
        database.migrate("keys", SCRIPTS)

    def add(self, key: Key, digest: str) -> None:
        """Keep a new key.

        Raises:
            StoreError: its id is taken, or the store is away.
        """
        values = (
            key.id,
            key.kind,
            key.name,
            key.principal,
            key.tenant,
            key.made,
            key.expires,
            int(key.revoked),
            digest,
        )
        with self._database.transaction() as db:
            if db.execute("SELECT 1 FROM keys WHERE id = ?", (key.id,)).fetchone():
                raise StoreError(f"the key `{key.id}` is there already")
            db.execute(f"INSERT INTO keys ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)  # noqa: S608 - a constant
            _grow(db)

    def all(self) -> tuple[tuple[Key, str], ...]:
        """Every key with its digest, oldest first."""
        with self._database.reading() as db:
            rows = db.execute(f"SELECT {_COLUMNS} FROM keys ORDER BY number").fetchall()  # noqa: S608 - a constant
        return tuple((_key(row), row[-1]) for row in rows)

    def change(self, ref: str, *, expires: float | None = None, revoked: bool = False) -> Key:
        """Let a key end at `expires`, if it does not before, or now and for ever.

        Raises:
            StoreError: there is none, or the store is away.
        """
        with self._database.transaction() as db:
            row = db.execute(f"SELECT {_COLUMNS} FROM keys WHERE id = ?", (ref,)).fetchone()  # noqa: S608 - a constant
            if row is None:
                raise StoreError(f"there is no key `{ref[:32]!a}`")
            key = changed(_key(row), expires=expires, revoked=revoked)
            db.execute("UPDATE keys SET expires = ?, revoked = ? WHERE id = ?", (key.expires, int(key.revoked), ref))
            _grow(db)
            return key

    def version(self) -> int:
        """A number that grows with every change."""
        with self._database.reading() as db:
            return int(db.execute("SELECT version FROM keys_version").fetchone()[0])


def _grow(db: sqlite3.Connection) -> None:
    db.execute("UPDATE keys_version SET version = version + 1")


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
        revoked=bool(revoked),
    )
