"""Where approvals and keys are, and the audit beside them, named in one text: a file, a folder, or a database.

.interlock/state.sqlite      a SQLite file
sqlite:/var/lib/interlock    the folder of one, as `INTERLOCK_STORE` names it
postgresql://host/name       PostgreSQL; needs `interlock[postgres]`
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from interlock.approvals.book import Book
from interlock.approvals.entry import Seal
from interlock.stores.errors import StoreError
from interlock.stores.key import KeyStore
from interlock.stores.sqlite.approvals import SqliteApprovals
from interlock.stores.sqlite.audit import SqliteAudit
from interlock.stores.sqlite.database import SqliteDatabase
from interlock.stores.sqlite.keys import SqliteKeys

if TYPE_CHECKING:
    from interlock.monitor.ports import AuditPort
    from interlock.stores.postgres.database import PostgresDatabase

FILE = "state.sqlite"
AUDIT_FILE = "audit.sqlite"  # beside it


def approvals_at(where: str, *, seal: Seal, create: bool = True) -> Book:
    """The approvals in the store `where`.

    Raises:
        StoreError: it is not there, or cannot serve.
    """
    if _is_postgres(where):
        database = _postgres(where)
        from interlock.stores.postgres.approvals import PostgresApprovals  # noqa: PLC0415 - the extra

        return PostgresApprovals(database, seal=seal)
    return SqliteApprovals(_sqlite(where, create=create), seal=seal)


def keys_at(where: str, *, create: bool = True) -> KeyStore:
    """The keys in the store `where`.

    Raises:
        StoreError: it is not there, or cannot serve.
    """
    if _is_postgres(where):
        database = _postgres(where)
        from interlock.stores.postgres.keys import PostgresKeys  # noqa: PLC0415 - the extra

        return PostgresKeys(database)
    return SqliteKeys(_sqlite(where, create=create))


def audit_at(where: str, *, stream: str) -> AuditPort | None:
    """The audit that is kept with the store `where`, to write the chain `stream` of it; None if none is kept there.

    Raises:
        StoreError, AuditError: it cannot serve.
    """
    if not _is_postgres(where):
        path = _path(where).with_name(AUDIT_FILE)
        return SqliteAudit(path, stream=stream) if path.is_file() else None
    database = _postgres(where)
    from interlock.stores.postgres.audit import PostgresAudit  # noqa: PLC0415 - the extra

    with database.transaction() as db:
        kept = db.execute("SELECT to_regclass('audit')").fetchone()
    return PostgresAudit(database, stream=stream) if kept and kept[0] is not None else None


def _is_postgres(where: str) -> bool:
    return where.startswith(("postgres://", "postgresql://"))


def _postgres(dsn: str) -> PostgresDatabase:
    try:
        from interlock.stores.postgres.database import PostgresDatabase  # noqa: PLC0415 - the extra
    except ModuleNotFoundError as error:
        raise StoreError("the store is PostgreSQL; install `interlock[postgres]`") from error
    return PostgresDatabase(dsn, size=2)


def _sqlite(where: str, *, create: bool) -> SqliteDatabase:
    path = _path(where)
    if not create and not path.is_file():
        raise StoreError(f"there is no store `{path}`", hint="name it with --store; a gateway makes it when it starts")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return SqliteDatabase(path, durable=True)


def _path(where: str) -> Path:
    scheme, colon, rest = where.partition(":")
    if scheme == "sqlite":
        return Path(rest or ".interlock") / FILE
    if scheme == "memory" or "://" in where:
        raise StoreError(
            f"`{scheme}{colon}//…` is no store that there is; name a file, `sqlite:FOLDER` or `postgresql://…`"
        )
    return Path(where) / FILE if Path(where).is_dir() else Path(where)
