"""One PostgreSQL database that several stores share, and all processes on all machines with them.

Nothing waits for ever for a database that is away, also where the connection stands and nobody answers any more: each
wait ends after `patience` seconds, and its connection with it. After one that was in vain all are short, for a while:
what one request asks for, one after the other, must not add up. Migrations run under an advisory lock, so that many
processes may start at once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool, PoolTimeout

from interlock.stores.errors import StoreAway, StoreError

_LOCK = 0x1A7E4_10C4  # an advisory lock of ours
_VERSIONS = """
CREATE TABLE IF NOT EXISTS interlock_schema (part text PRIMARY KEY, version integer NOT NULL)
"""

Connection = psycopg.Connection[tuple[Any, ...]]
T = TypeVar("T")
HURRIED = 0.25  # seconds of a wait while the database is taken to be away
RECOVERY = 3.0  # seconds for which it is, after a wait in vain
_MOST: ContextVar[float] = ContextVar("interlock_most", default=math.inf)  # seconds of a wait, here


class _Patient(psycopg.Connection[tuple[Any, ...]]):
    """A connection that waits no longer than it may, and is closed if that was in vain."""

    patience = math.inf

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        try:
            return super().wait(gen, interval, min(self.patience, _MOST.get()) if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if timeout is None and error.sqlstate is None:  # nobody knows what the server still does
                self.close()
            raise


class PostgresDatabase:
    """The database that `dsn` names; its tables live in the schema that the connection's search path says."""

    def __init__(self, dsn: str, *, size: int = 8, patience: float = 5.0) -> None:
        """Connect; `size` connections at most, `patience` (s) for a connection and for a statement.

        Raises:
            StoreAway: no connection within `patience`.
        """
        self.dsn = dsn
        self.patience = patience
        self._hurried = -math.inf  # until when transactions are short
        milliseconds = int(patience * 1000)
        more = {
            "options": f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}",
            "connect_timeout": max(2, int(patience)),
        }
        gone = {
            "tcp_user_timeout": milliseconds,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 2,
        }
        told = conninfo_to_dict(dsn)

        class Patient(_Patient): ...

        Patient.patience = patience
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            dsn,
            connection_class=Patient,
            min_size=1,
            max_size=size,
            timeout=patience,
            open=False,
            kwargs=more | {name: value for name, value in gone.items() if name not in told},
            check=ConnectionPool.check_connection,
        )
        try:
            self._pool.open(wait=True, timeout=patience)
        except PoolTimeout as error:
            self._pool.close()
            raise StoreAway("the database does not answer", hint="see the address and the password") from error

    def migrate(self, part: str, scripts: Sequence[str]) -> None:
        """Bring the tables of `part` to the newest version: each script runs once in the life of a database, in order.

        Raises:
            StoreError: the database was written by a newer Interlock; then nothing changed.
        """
        with self.transaction() as db:
            known = db.execute("SELECT to_regclass('interlock_schema') IS NOT NULL").fetchone() == (True,)
            if known and self._version(db, part) == len(scripts):
                return  # also for a role that may not create anything
            db.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            db.execute(_VERSIONS)
            done = self._version(db, part)
            if done > len(scripts):
                raise StoreError(f"the database was written by a newer version of Interlock ({part} {done})")
            for script in scripts[done:]:
                db.execute(script.encode())
            db.execute(
                "INSERT INTO interlock_schema VALUES (%s, %s) "
                "ON CONFLICT (part) DO UPDATE SET version = excluded.version",
                (part, len(scripts)),
            )

    @staticmethod
    def _version(db: Connection, part: str) -> int:
        row = db.execute("SELECT version FROM interlock_schema WHERE part = %s", (part,)).fetchone()
        return row[0] if row else 0

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection in a transaction, which is committed at the end, or undone if anything raises.

        Raises:
            StoreAway: the database is away, or took too long. If the connection broke while it was asked to commit,
                nobody knows whether it did.
        """
        hurried = time.monotonic() < self._hurried
        patience = min(HURRIED, self.patience) if hurried else self.patience
        token = _MOST.set(patience)
        try:
            with self._pool.connection(timeout=patience) as db, db.transaction():
                yield db
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
            if not hurried and getattr(error, "sqlstate", None) is None:  # the server itself has said nothing
                self._hurried = time.monotonic() + RECOVERY
            raise StoreAway(f"the database does not answer: {type(error).__name__}") from error
        else:
            self._hurried = -math.inf
        finally:
            _MOST.reset(token)

    def listen(self, channel: str) -> Connection:
        """A connection of its own that listens on `channel`; whoever asked for it closes it.

        Raises:
            StoreAway: no connection.
        """
        try:
            db = psycopg.connect(self.dsn, autocommit=True, connect_timeout=max(2, int(self.patience)))
            db.execute(psycopg.sql.SQL("LISTEN {}").format(psycopg.sql.Identifier(channel)))
        except psycopg.OperationalError as error:
            raise StoreAway(f"the database does not answer: {type(error).__name__}") from error
        return db

    def close(self) -> None:
        """Close every connection of the pool."""
        self._pool.close()
