"""One SQLite file that several stores share, and the threads and processes of one machine with them.

Write-ahead log. `durable` transactions are on the disk when they return (`synchronous=FULL`); the others survive the
death of the process, not of the power supply (`NORMAL`). A transaction that changes something begins with the write
lock in hand, so that two callers never read the same state and both act on it.

A connection must not cross a fork, so each process has its own.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock, RLock

from interlock.stores.errors import StoreAway, StoreError

LOG_PAGES = 4_000  # 16 MB
CACHE = 1_000  # KiB of pages that a connection keeps in memory
_MAKING = Lock()
_VERSIONS = "CREATE TABLE IF NOT EXISTS schema_versions (part TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT"


class SqliteDatabase:
    """The file at `path`, made with owner-only permissions if it does not exist."""

    def __init__(
        self, path: str | os.PathLike[str], *, durable: bool, patience: float = 5.0, read_only: bool = False
    ) -> None:
        """Open or create the file; `patience` (s) is how long to wait for another writer.

        `read_only` neither creates nor changes anything.

        Raises:
            StoreAway: the file cannot be opened, or is no database.
        """
        self.path = Path(path)
        self._durable = durable
        self._patience = patience
        self._read_only = read_only
        self._lock = RLock()
        self._connection: sqlite3.Connection | None = None
        self._pid = 0
        with self._lock:
            self._db()

    def migrate(self, part: str, scripts: Sequence[str]) -> None:
        """Bring the tables of `part` to the newest version: each script runs once in the life of a file, in order.

        Raises:
            StoreError: the file was written by a newer Interlock, or a script fails; then nothing changed.
        """
        with self.transaction() as db:
            db.execute(_VERSIONS)
            row = db.execute("SELECT version FROM schema_versions WHERE part = ?", (part,)).fetchone()
            done = row[0] if row else 0
            if done > len(scripts):
                raise StoreError(f"`{self.path}` was written by a newer version of Interlock ({part} {done})")
            for script in scripts[done:]:
                for statement in _statements(script):
                    db.execute(statement)
            db.execute("INSERT OR REPLACE INTO schema_versions VALUES (?, ?)", (part, len(scripts)))

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection that holds the write lock; what was done is committed at the end, or undone if anything raises.

        Raises:
            StoreAway: the file is busy for too long, full, gone or broken; then nothing changed.
        """
        with self._lock:
            db = self._db()
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except sqlite3.Error as error:
                raise StoreAway(f"`{self.path}` took no change: {error}") from error
            finally:
                if db.in_transaction:
                    with suppress(sqlite3.Error):
                        db.execute("ROLLBACK")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for reading.

        Raises:
            StoreAway: the file cannot be read.
        """
        with self._lock:
            try:
                yield self._db()
            except sqlite3.Error as error:
                raise StoreAway(f"`{self.path}` cannot be read: {error}") from error

    def close(self) -> None:
        """Close this process's connection; the next use opens another."""
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            self._connection = None

    def _db(self) -> sqlite3.Connection:
        if self._connection is None or self._pid != os.getpid():
            # A connection inherited through a fork is the parent's: left alone, not even closed.
            self._connection, self._pid = self._open(), os.getpid()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        if self._read_only:
            return self._open_read_only()
        try:
            _make(self.path)
            db = sqlite3.connect(self.path, timeout=self._patience, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise StoreAway(f"`{self.path}` cannot be opened: {error}") from error
        try:
            self._write_ahead(db)
            db.execute(f"PRAGMA synchronous={'FULL' if self._durable else 'NORMAL'}")
            db.execute(f"PRAGMA cache_size=-{CACHE}")
            if (
                not self._durable
            ):  # these wait for the disk only when the log is copied into the file: then, more rarely
                db.execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES}")
        except sqlite3.Error as error:
            db.close()
            raise StoreAway(f"`{self.path}` cannot serve as a store: {error}") from error
        return db

    def _open_read_only(self) -> sqlite3.Connection:
        where = f"{self.path.absolute().as_uri()}?mode=ro"
        try:
            return sqlite3.connect(
                where, uri=True, timeout=self._patience, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise StoreAway(f"`{self.path}` cannot be opened: {error}") from error

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


def _make(path: Path) -> None:
    """Make the file at `path`, for its owner only, unless it exists. One that exists is not touched.

    Closing any descriptor of a file drops every lock that this process has on it (POSIX): another connection would go
    on without its locks, and the next process to leave would take the write-ahead log away from under it.
    """
    with _MAKING, suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))


def _statements(script: str) -> Iterator[str]:
    """The statements of `script`. `executescript` would commit the transaction that it stands in."""
    text = ""
    for line in script.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            yield text
            text = ""
    if text.strip():
        raise StoreError(f"a statement of a migration has no end: {text.strip()[:80]}")
