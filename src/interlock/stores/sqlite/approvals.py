"""Approvals in a SQLite file, shared by the threads and processes of one machine. On the disk when they are answered.

The file tells nobody that it has changed, so who waits looks at its version again and again (`POLL`).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from interlock.approvals.book import Book, Row, moment_at
from interlock.approvals.entry import Moment, Seal
from interlock.stores.sqlite.database import SqliteDatabase

POLL = 0.1  # seconds
SCRIPTS = (
    """
CREATE TABLE approvals (
    id TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    tool TEXT NOT NULL,
    standing TEXT NOT NULL,
    asked REAL NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX approvals_by_call ON approvals (digest, asked);
CREATE INDEX approvals_open ON approvals (asked) WHERE standing IN ('pending', 'granted');
CREATE INDEX approvals_by_tool ON approvals (tool, asked) WHERE standing = 'used';
CREATE TABLE approvals_clock (latest REAL NOT NULL, epoch INTEGER NOT NULL, version INTEGER NOT NULL) STRICT;
INSERT INTO approvals_clock VALUES (0, 0, 0);
""",
)
_NO_KEY = Seal()


class SqliteApprovals(Book):
    """The store of approvals over a database, which must be durable: a used approval stays used."""

    def __init__(
        self, database: SqliteDatabase, *, seal: Seal = _NO_KEY, clock: Callable[[], float] = time.time
    ) -> None:
        """Make the tables if need be.

        Raises:
            StoreError: the file cannot serve.
        """
        super().__init__(seal)
        self._database, self._clock = database, clock
        database.migrate("approvals", SCRIPTS)

    @contextmanager
    def _changing(self) -> Iterator[_Rows]:
        with self._database.transaction() as db:
            rows = _Rows(db, self._clock)
            yield rows
            rows.close()

    @contextmanager
    def _reading(self) -> Iterator[_Rows]:
        with self._database.reading() as db:
            yield _Rows(db, self._clock)

    def version(self) -> int:
        """A number that grows with every change."""
        with self._database.reading() as db:
            return int(db.execute("SELECT version FROM approvals_clock").fetchone()[0])

    def wait(self, since: int, timeout: float) -> int:
        """The version as soon as it is not `since`, or after `timeout` (s)."""
        end = time.monotonic() + timeout
        while (version := self.version()) == since and (left := end - time.monotonic()) > 0:
            time.sleep(min(POLL, left))
        return version


class _Rows:
    """The rows in one transaction."""

    def __init__(self, db: sqlite3.Connection, clock: Callable[[], float]) -> None:
        self._db, self._clock = db, clock
        self._moment: Moment | None = None
        self._changed = 0

    def moment(self) -> Moment:
        latest, epoch = self._db.execute("SELECT latest, epoch FROM approvals_clock").fetchone()
        self._moment = moment_at(self._clock(), latest, epoch)
        return self._moment

    def body(self, ref: str) -> str | None:
        return _first(self._db.execute("SELECT body FROM approvals WHERE id = ?", (ref,)))

    def bodies(self, digest: str) -> list[str]:
        found = self._db.execute(
            "SELECT body FROM approvals WHERE digest = ? AND standing IN ('pending', 'granted', 'denied') "
            "ORDER BY asked DESC, rowid DESC",
            (digest,),
        )
        return [row[0] for row in found]

    def opened(self) -> list[tuple[str, str]]:
        return self._db.execute(
            "SELECT id, body FROM approvals WHERE standing IN ('pending', 'granted') ORDER BY asked, rowid"
        ).fetchall()

    def last(self, tool: str) -> str | None:
        return _first(
            self._db.execute(
                "SELECT body FROM approvals WHERE tool = ? AND standing = 'used' "
                "ORDER BY asked DESC, rowid DESC LIMIT 1",
                (tool,),
            )
        )

    def put(self, row: Row) -> None:
        self._db.execute(
            "INSERT INTO approvals VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET standing = excluded.standing, body = excluded.body",
            (row.id, row.digest, row.tool, row.standing, row.asked, row.body),
        )
        self._changed += 1

    def forget(self, before: float) -> None:
        self._db.execute("DELETE FROM approvals WHERE asked < ? AND standing NOT IN ('pending', 'granted')", (before,))

    def close(self) -> None:
        """Keep the time: it must not be forgotten that it was that late."""
        if self._moment is not None:
            self._db.execute(
                "UPDATE approvals_clock SET latest = ?, epoch = ?, version = version + ?",
                (self._moment.now, self._moment.epoch, self._changed),
            )


def _first(rows: sqlite3.Cursor) -> str | None:
    row = rows.fetchone()
    return None if row is None else str(row[0])
