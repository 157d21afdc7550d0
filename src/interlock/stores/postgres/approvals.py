"""Approvals in PostgreSQL, shared by all processes on all machines. Time is the database's, so that there is one.

The row of the clock is the lock: whoever changes anything has it. Approvals come at the pace of humans, and what is
judged one after the other needs no second thought. Who waits is told (`NOTIFY`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any

import psycopg

from interlock.approvals.book import Book, Row, moment_at
from interlock.approvals.entry import Moment, Seal
from interlock.stores.errors import StoreAway
from interlock.stores.postgres.database import Connection, PostgresDatabase

CHANNEL = "interlock_approvals"
SCRIPTS = (
    """
CREATE TABLE interlock_approvals (
    id text PRIMARY KEY,
    digest text NOT NULL,
    tool text NOT NULL,
    standing text NOT NULL,
    asked double precision NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY,
    body text NOT NULL
);
CREATE INDEX interlock_approvals_by_call ON interlock_approvals (digest, asked);
CREATE INDEX interlock_approvals_open ON interlock_approvals (asked) WHERE standing IN ('pending', 'granted');
CREATE INDEX interlock_approvals_by_tool ON interlock_approvals (tool, asked) WHERE standing = 'used';
CREATE TABLE interlock_approvals_clock (
    latest double precision NOT NULL, epoch bigint NOT NULL, version bigint NOT NULL
);
INSERT INTO interlock_approvals_clock VALUES (0, 0, 0);
""",
)
_NO_KEY = Seal()


class PostgresApprovals(Book):
    """The store of approvals over a database; `clock` replaces the database's, for tests."""

    def __init__(
        self, database: PostgresDatabase, *, seal: Seal = _NO_KEY, clock: Callable[[], float] | None = None
    ) -> None:
        """Make the tables if need be.

        Raises:
            StoreError: the database cannot serve.
        """
        super().__init__(seal)
        self._database, self._clock = database, clock
        self._listening = Lock()
        self._ear: Connection | None = None
        database.migrate("approvals", SCRIPTS)

    @contextmanager
    def _changing(self) -> Iterator[_Rows]:
        with self._database.transaction() as db:
            db.execute("SELECT 1 FROM interlock_approvals_clock FOR UPDATE")
            rows = _Rows(db, self._clock)
            yield rows
            rows.close()

    @contextmanager
    def _reading(self) -> Iterator[_Rows]:
        with self._database.transaction() as db:
            yield _Rows(db, self._clock)

    def version(self) -> int:
        """A number that grows with every change."""
        with self._database.transaction() as db:
            return int(_one(db, "SELECT version FROM interlock_approvals_clock")[0])

    def wait(self, since: int, timeout: float) -> int:
        """The version as soon as it is not `since`, or after `timeout` (s).

        Raises:
            StoreAway: the database is away; the next wait connects anew.
        """
        end = time.monotonic() + timeout
        with self._listening:
            try:
                if self._ear is None:
                    self._ear = self._database.listen(CHANNEL)
                # Looked at after listening began: what changes from now on is told.
                while (version := self.version()) == since and (left := end - time.monotonic()) > 0:
                    for _ in self._ear.notifies(timeout=left, stop_after=1):
                        pass
            except (psycopg.Error, StoreAway) as error:
                self._deaf()
                raise StoreAway(f"the database does not answer: {type(error).__name__}") from error
            else:
                return version

    def close(self) -> None:
        """Stop listening; the database stays open."""
        with self._listening:
            self._deaf()

    def _deaf(self) -> None:
        if self._ear is not None:
            with suppress(psycopg.Error):
                self._ear.close()
            self._ear = None


class _Rows:
    """The rows in one transaction."""

    def __init__(self, db: Connection, clock: Callable[[], float] | None) -> None:
        self._db, self._clock = db, clock
        self._moment: Moment | None = None
        self._changed = 0

    def moment(self) -> Moment:
        latest, epoch, now = _one(
            self._db, "SELECT latest, epoch, extract(epoch FROM clock_timestamp()) FROM interlock_approvals_clock"
        )
        self._moment = moment_at(self._clock() if self._clock else float(now), latest, epoch)
        return self._moment

    def body(self, ref: str) -> str | None:
        return self._first("SELECT body FROM interlock_approvals WHERE id = %s", ref)

    def bodies(self, digest: str) -> list[str]:
        found = self._db.execute(
            "SELECT body FROM interlock_approvals "
            "WHERE digest = %s AND standing IN ('pending', 'granted', 'denied') ORDER BY asked DESC, number DESC",
            (digest,),
        )
        return [row[0] for row in found]

    def opened(self) -> list[tuple[str, str]]:
        found = self._db.execute(
            "SELECT id, body FROM interlock_approvals WHERE standing IN ('pending', 'granted') ORDER BY asked, number"
        )
        return [(row[0], row[1]) for row in found]

    def last(self, tool: str) -> str | None:
        return self._first(
            "SELECT body FROM interlock_approvals WHERE tool = %s AND standing = 'used' "
            "ORDER BY asked DESC, number DESC LIMIT 1",
            tool,
        )

    def put(self, row: Row) -> None:
        self._db.execute(
            "INSERT INTO interlock_approvals (id, digest, tool, standing, asked, body) "
            "VALUES (%s, %s, %s, %s, %s, %s) "
            "ON CONFLICT (id) DO UPDATE SET standing = excluded.standing, body = excluded.body",
            (row.id, row.digest, row.tool, row.standing, row.asked, row.body),
        )
        self._changed += 1

    def forget(self, before: float) -> None:
        self._db.execute(
            "DELETE FROM interlock_approvals WHERE asked < %s AND standing NOT IN ('pending', 'granted')", (before,)
        )

    def close(self) -> None:
        """Keep the time, and wake who waits for what was changed once it is committed."""
        if self._moment is not None:
            self._db.execute(
                "UPDATE interlock_approvals_clock SET latest = %s, epoch = %s, version = version + %s",
                (self._moment.now, self._moment.epoch, self._changed),
            )
        if self._changed:
            self._db.execute("SELECT pg_notify(%s, '')", (CHANNEL,))

    def _first(self, query: str, value: str) -> str | None:
        row = self._db.execute(query.encode(), (value,)).fetchone()
        return None if row is None else str(row[0])


def _one(db: Connection, query: str) -> tuple[Any, ...]:
    row = db.execute(query.encode()).fetchone()
    if row is None:
        raise StoreAway("the clock of the approvals is gone")
    return row
