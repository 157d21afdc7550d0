"""The audit in one SQLite file, shared by the threads and processes of one machine.

`append` returns once the record is on the disk: write-ahead log, `synchronous=FULL`, one transaction that reads the
head and writes what follows it, begun with the write lock in hand. Triggers refuse whatever would change, drop or
squeeze in a record; they stop accidents and SQL, not somebody who can write the file: that one is found by `verify`.

A connection must not cross a fork, so each process has its own.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from threading import RLock
from types import MappingProxyType

from interlock.audit import chain
from interlock.audit.errors import AuditError
from interlock.audit.record import EMPTY, Head, Record
from interlock.kernel.call import canonical

PAGE = 500  # records fetched at a time
SCHEMA = """
CREATE TABLE IF NOT EXISTS audit (
    seq INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    run TEXT NOT NULL,
    body TEXT NOT NULL,
    previous TEXT NOT NULL,
    digest TEXT NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER IF NOT EXISTS audit_is_not_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER IF NOT EXISTS audit_grows_at_its_end BEFORE INSERT ON audit
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM audit)
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
"""
COLUMNS = "seq, at, kind, run, body, previous, digest"


class SqliteAudit:
    """The audit port over the file at `path`, made with owner-only permissions if it does not exist."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], float] = time.time,
        patience: float = 5.0,
        read_only: bool = False,
    ) -> None:
        """Open or create the file; `patience` (s) is how long to wait for another writer.

        `read_only` neither creates nor changes anything: for whoever examines an audit.

        Raises:
            AuditError: the file cannot be opened, or is no audit.
        """
        self._path = Path(path)
        self._clock = clock
        self._patience = patience
        self._read_only = read_only
        self._lock = RLock()
        self._connection: sqlite3.Connection | None = None
        self._pid = 0
        with self._lock:
            self._db()

    def append(self, kind: str, run: str, body: Mapping[str, object]) -> Record:
        """The next record of the chain, on the disk.

        Raises:
            AuditError: it could not be written; then nothing was.
        """
        with self._lock:
            db = self._db()
            try:
                db.execute("BEGIN IMMEDIATE")
                record = chain.link(self._head(db), at=self._clock(), kind=kind, run=run, body=body)
                text = canonical(dict(record.body)).decode()
                row = (record.seq, record.at, record.kind, record.run, text, record.previous, record.digest)
                db.execute(f"INSERT INTO audit ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)  # noqa: S608 - a constant
                db.execute("COMMIT")
            except sqlite3.Error as error:
                raise AuditError(f"the audit `{self._path}` took no record: {error}") from error
            finally:
                if db.in_transaction:
                    with suppress(sqlite3.Error):
                        db.execute("ROLLBACK")
            return record

    def head(self) -> Head:
        """The end of the chain."""
        with self._lock:
            try:
                return self._head(self._db())
            except sqlite3.Error as error:
                raise AuditError(f"the audit `{self._path}` cannot be read: {error}") from error

    def records(self, *, after: int = 0) -> Iterator[Record]:
        """The records with a larger number than `after`, in order."""
        while True:
            with self._lock:
                try:
                    # By rowid, not by what the record says of itself: `verify` judges that.
                    rows = (
                        self._db()
                        .execute(
                            f"SELECT {COLUMNS} FROM audit WHERE seq > ? ORDER BY seq LIMIT ?",  # noqa: S608 - a constant
                            (after, PAGE),
                        )
                        .fetchall()
                    )
                except sqlite3.Error as error:
                    raise AuditError(f"the audit `{self._path}` cannot be read: {error}") from error
            for row in rows:
                yield _record(row)
            if len(rows) < PAGE:
                return
            after = rows[-1][0]

    def verify(self, known: Head | None = None) -> chain.Verdict:
        """Whether the chain holds and contains `known`."""
        return chain.verify(self.records(), known=known)

    def close(self) -> None:
        """Close this process's connection; the next use opens another."""
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            self._connection = None

    @staticmethod
    def _head(db: sqlite3.Connection) -> Head:
        row = db.execute("SELECT seq, digest FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
        return Head(*row) if row else EMPTY

    def _db(self) -> sqlite3.Connection:
        if self._connection is None or self._pid != os.getpid():
            # A connection inherited through a fork is the parent's: left alone, not even closed.
            self._connection, self._pid = self._open(), os.getpid()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        if self._read_only:
            return self._open_read_only()
        try:
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            db = sqlite3.connect(self._path, timeout=self._patience, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise AuditError(f"the audit `{self._path}` cannot be opened: {error}") from error
        try:
            self._write_ahead(db)
            db.execute("PRAGMA synchronous=FULL")
            db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")
        except sqlite3.Error as error:
            db.close()
            raise AuditError(f"`{self._path}` cannot serve as an audit: {error}") from error
        return db

    def _open_read_only(self) -> sqlite3.Connection:
        where = f"{self._path.absolute().as_uri()}?mode=ro"
        try:
            db = sqlite3.connect(where, uri=True, timeout=self._patience, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise AuditError(f"the audit `{self._path}` cannot be opened: {error}") from error
        try:
            db.execute(f"SELECT {COLUMNS} FROM audit LIMIT 1")  # noqa: S608 - a constant
        except sqlite3.Error as error:
            db.close()
            raise AuditError(f"`{self._path}` cannot be read as an audit: {error}") from error
        return db

    def _write_ahead(self, db: sqlite3.Connection) -> None:
        # Two processes that open a new file at once: SQLite answers the second `locked` without waiting.
        end = time.monotonic() + self._patience
        while True:
            try:
                db.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)
            else:
                return


def _record(row: tuple[int, float, str, str, str, str, str]) -> Record:
    seq, at, kind, run, text, previous, digest = row
    try:
        body = dict(json.loads(text))
    except (TypeError, ValueError, RecursionError):
        body = {"unreadable": text}  # so that `verify` can say which record it is
    return Record(seq=seq, at=at, kind=kind, run=run, body=MappingProxyType(body), previous=previous, digest=digest)
