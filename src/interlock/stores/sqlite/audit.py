"""The audit in one SQLite file, shared by the threads and processes of one machine.

`append` returns once the record is on the disk: write-ahead log, `synchronous=FULL`, one transaction that reads the
head and writes what follows it, begun with the write lock in hand. Triggers refuse whatever would change, drop or
squeeze in a record, except together with the record of an erasure or of a retention; they stop accidents and SQL, not
somebody who can write the file: that one is found by `verify`.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import chain
from typing import Any

from interlock.audit.errors import AuditError
from interlock.audit.record import Head, Record
from interlock.stores.errors import StoreError
from interlock.stores.ledger import COLUMNS, Ledger
from interlock.stores.sqlite.database import SqliteDatabase

SCHEMA = """
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    stream TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    run TEXT NOT NULL,
    body TEXT NOT NULL,
    commitment TEXT NOT NULL,
    previous TEXT NOT NULL,
    digest TEXT NOT NULL,
    salt TEXT NOT NULL,
    personal TEXT NOT NULL,
    erased INTEGER NOT NULL,
    UNIQUE (stream, seq)
) STRICT;
CREATE TABLE audit_places (
    stream TEXT NOT NULL,
    what TEXT NOT NULL CHECK (what IN ('base', 'checkpoint')),
    place TEXT NOT NULL,
    PRIMARY KEY (stream, what)
) STRICT;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
WHEN NOT (
    NEW.id IS OLD.id AND NEW.stream IS OLD.stream AND NEW.seq IS OLD.seq AND NEW.at IS OLD.at AND NEW.kind IS OLD.kind
    AND NEW.run IS OLD.run AND NEW.body IS OLD.body AND NEW.commitment IS OLD.commitment
    AND NEW.previous IS OLD.previous AND NEW.digest IS OLD.digest
    AND NEW.salt = '' AND NEW.personal = '' AND OLD.personal <> ''
    AND NEW.erased = (SELECT max(seq) FROM audit WHERE stream = OLD.stream)
    AND (SELECT kind FROM audit WHERE stream = OLD.stream ORDER BY seq DESC LIMIT 1) = 'erase'
)
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
WHEN NOT EXISTS (
    SELECT 1 FROM audit WHERE stream = OLD.stream AND kind = 'retention'
    AND seq = (SELECT max(seq) FROM audit WHERE stream = OLD.stream)
    AND json_extract(body, '$.through') >= OLD.seq
)
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_grows_at_its_end BEFORE INSERT ON audit
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM audit WHERE stream = NEW.stream)
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
"""
ROWS = 25  # in one statement: one each would take a sixth longer
_ROW = f"({', '.join('?' * 12)})"
_INSERT = f"INSERT INTO audit ({COLUMNS}) VALUES {_ROW}"  # noqa: S608 - constants
_INSERT_ROWS = f"INSERT INTO audit ({COLUMNS}) VALUES {', '.join([_ROW] * ROWS)}"  # noqa: S608 - the same


class SqliteAudit(Ledger):
    """The audit port over the file at `path`, made with owner-only permissions if it does not exist."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], float] = time.time,
        patience: float = 5.0,
        read_only: bool = False,
        stream: str = "",
    ) -> None:
        """Open or create the file; `patience` (s) is how long to wait for another writer.

        `read_only` neither creates nor changes anything: for whoever examines an audit.

        Raises:
            AuditError: the file cannot be opened, or is no audit.
        """
        what = "be read" if read_only else "serve"
        try:
            self._sqlite = SqliteDatabase(path, durable=True, patience=patience, read_only=read_only)
            super().__init__(self._sqlite, where=str(path), clock=clock, stream=stream)
            if not read_only:
                self._sqlite.migrate("audit", [SCHEMA])
            self.head()
        except (StoreError, AuditError) as error:
            raise AuditError(f"`{path}` cannot {what} as an audit: {error}") from error

    def _reading(self) -> AbstractContextManager[Any]:
        return self._guarded(self._sqlite.reading(), "cannot be read")  # waits for no writer

    def _locked(self, db: sqlite3.Connection) -> Head:
        return self._head(db)  # the transaction began with the write lock

    def _insert(self, db: sqlite3.Connection, records: Sequence[Record]) -> None:
        done = len(records) - len(records) % ROWS
        for at in range(0, done, ROWS):
            db.execute(_INSERT_ROWS, list(chain.from_iterable(records[at : at + ROWS])))
        db.executemany(_INSERT, records[done:])

    def _scrub(self) -> None:
        # Deleted text is overwritten (`secure_delete`, below) in the file, but the log still has it until it is reset.
        with suppress(StoreError), self._sqlite.reading() as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _changing(self) -> AbstractContextManager[Any]:
        with self._guarded(self._sqlite.reading(), "took no record") as db:
            db.execute("PRAGMA secure_delete=ON")
        return super()._changing()
