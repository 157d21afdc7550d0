"""The file under several stores of one process, and other processes that come and go."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from interlock.stores.sqlite.database import SqliteDatabase

ROOT = Path(__file__).parent.parent.parent
VISITOR = """
import sys
from interlock.stores.sqlite.database import SqliteDatabase
db = SqliteDatabase(sys.argv[1], durable=True)
with db.reading() as connection:
    print(connection.execute("SELECT count(*) FROM facts").fetchone()[0])
db.close()
"""


def visit(path: Path) -> int:
    """How many facts another process finds. It opens the file and closes it."""
    done = subprocess.run(
        [sys.executable, "-c", VISITOR, str(path)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def add(database: SqliteDatabase) -> None:
    with database.transaction() as db:
        db.execute("INSERT INTO facts VALUES (1)")


def test_opening_a_file_twice_keeps_the_locks_of_the_first(tmp_path: Path) -> None:
    """Closing any descriptor of a file drops the process's locks on it. A visitor who finds none removes the log."""
    path = tmp_path / "state.db"
    first = SqliteDatabase(path, durable=True)
    first.migrate("facts", ["CREATE TABLE facts (n INTEGER);"])
    add(first)
    second = SqliteDatabase(path, durable=False)
    for count in range(1, 4):
        assert visit(path) == count  # nothing that was committed is missing, before and after a visit
        add(first)
    with second.reading() as db:
        assert db.execute("SELECT count(*) FROM facts").fetchone() == (4,)
    assert visit(path) == 4


def test_threads_that_open_a_new_file_at_once_keep_their_locks(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    start = threading.Barrier(8)
    opened: list[SqliteDatabase] = []

    def work() -> None:
        start.wait()
        opened.append(SqliteDatabase(path, durable=True, patience=30))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    opened[0].migrate("facts", ["CREATE TABLE facts (n INTEGER);"])
    for count, database in enumerate(opened):
        assert visit(path) == count
        add(database)
    assert visit(path) == 8
