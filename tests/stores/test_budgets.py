"""Budgets on each engine, and what only happens to some: several processes, sudden death, a store that is away."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from interlock.limits.budget import Line, Window
from interlock.limits.errors import Exhausted
from interlock.limits.ledger import Ledger
from interlock.stores.errors import StoreAway
from interlock.stores.memory.budgets import MemoryBudgets
from interlock.stores.postgres.budgets import PostgresBudgets
from interlock.stores.postgres.database import PostgresDatabase
from interlock.stores.sqlite.budgets import SqliteBudgets
from interlock.stores.sqlite.database import SqliteDatabase
from tests.stores.budgets import BudgetConformance, Clock, line, take

ROOT = Path(__file__).parent.parent.parent


class TestMemoryBudgets(BudgetConformance):
    @pytest.fixture
    def make(self) -> Callable[[Clock], Ledger]:
        made: list[MemoryBudgets] = []

        def ledger(clock: Clock) -> Ledger:
            made.append(made[0] if made else MemoryBudgets(clock=clock))
            return made[0]

        return ledger


class TestSqliteBudgets(BudgetConformance):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[[Clock], Ledger]:
        return lambda clock: SqliteBudgets(SqliteDatabase(tmp_path / "shared.db", durable=False), clock=clock)


class TestPostgresBudgets(BudgetConformance):
    @pytest.fixture
    def make(self, postgres_dsn: str) -> Iterator[Callable[[Clock], Ledger]]:
        opened: list[PostgresDatabase] = []

        def ledger(clock: Clock) -> Ledger:
            opened.append(PostgresDatabase(postgres_dsn, patience=20))
            return PostgresBudgets(opened[-1], clock=clock)

        yield ledger
        for database in opened:
            database.close()


# Several processes: each runs this program, which reports what it was granted. `die` is the number of reservations
# after which it kills itself, between `reserve` and `settle`.
WORKER = """
import json, os, signal, sys, threading
from interlock.limits.budget import Line, Window
from interlock.limits.errors import Exhausted
where, name, threads, die = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
if where.startswith("/"):
    from interlock.stores.sqlite.budgets import SqliteBudgets
    from interlock.stores.sqlite.database import SqliteDatabase
    ledger = SqliteBudgets(SqliteDatabase(where, durable=False, patience=60))
else:
    from interlock.stores.postgres.budgets import PostgresBudgets
    from interlock.stores.postgres.database import PostgresDatabase
    ledger = PostgresBudgets(PostgresDatabase(where, patience=60))
calls = Line("agent:a|calls/total", 1, 300, Window.TOTAL)
cost = Line("agent:a|cost/total", 5, 100_000, Window.TOTAL)
granted = []
def work(n):
    for i in range(40):
        try:
            ledger.reserve(f"{name}-{n}-{i}", [calls, cost])
        except Exhausted:
            continue
        granted.append(i)
        if die and len(granted) >= die:
            print(len(granted), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        ledger.settle(f"{name}-{n}-{i}", {cost.account: 3})
print("ready", flush=True)
sys.stdin.readline()
running = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
[t.start() for t in running]
[t.join() for t in running]
print(len(granted), flush=True)
"""
CALLS = Line("agent:a|calls/total", 1, 300, Window.TOTAL)
COST = Line("agent:a|cost/total", 5, 100_000, Window.TOTAL)


def together(where: str, processes: int, threads: int, die: int = 0) -> list[int]:
    """What each of some processes was granted that began at the same time."""
    command = [sys.executable, "-c", WORKER, where]
    running = [
        subprocess.Popen(
            [*command, f"p{n}", str(threads), str(die)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
            text=True,
        )
        for n in range(processes)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    found = []
    for process in running:
        out, _ = process.communicate(timeout=180)
        assert process.returncode == (-signal.SIGKILL if die else 0)
        found.append(int(out.split()[0]))
    return found


@pytest.fixture(params=["sqlite", "postgres"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Ledger]:
    """An address for other processes, and the ledger that is there."""
    if request.param == "sqlite":
        path = tmp_path / "shared.db"
        return str(path), SqliteBudgets(SqliteDatabase(path, durable=False))
    dsn: str = request.getfixturevalue("postgres_dsn")
    return dsn, PostgresBudgets(PostgresDatabase(dsn, size=2))


def test_three_processes_with_64_callers_overspend_nothing(shared: tuple[str, Ledger]) -> None:
    where, ledger = shared
    granted = together(where, processes=3, threads=22)
    assert sum(granted) == 300
    assert sum(map(bool, granted)) > 1, "more than one had a turn"
    assert ledger.used([CALLS, COST]) == (300, 900)
    assert ledger.lapsed() == 0


def test_what_a_killed_process_had_reserved_is_spent_once(shared: tuple[str, Ledger]) -> None:
    where, ledger = shared
    granted = together(where, processes=3, threads=1, die=7)
    assert granted == [7, 7, 7]
    # Six of each were settled at 3, the seventh stays at the 5 that were reserved: not lost, not doubled.
    assert ledger.used([CALLS, COST]) == (21, 3 * (6 * 3 + 5))
    for process in range(3):
        ledger.reserve(f"p{process}-0-6", [CALLS, COST])  # whoever takes over tries again
    assert ledger.used([CALLS, COST]) == (21, 69)
    assert ledger.settle("p0-0-6", {COST.account: 1})
    assert ledger.used([CALLS, COST]) == (21, 65)


# stores that are away


def test_a_file_that_is_locked_refuses_and_changes_nothing(tmp_path: Path) -> None:
    ledger = SqliteBudgets(SqliteDatabase(tmp_path / "b.db", durable=False, patience=0.2))
    ledger.reserve("before", [line()])
    other = sqlite3.connect(tmp_path / "b.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreAway):
        ledger.reserve("k", [line()])
    with pytest.raises(StoreAway):
        ledger.settle("before", {line().account: 0})
    other.execute("ROLLBACK")
    ledger.reserve("k", [line()])
    assert ledger.used([line()]) == (2,)
    other.close()


def test_a_full_disk_refuses_and_changes_nothing(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "b.db", durable=False)
    ledger = SqliteBudgets(database)
    take(ledger, line(limit=10_000))
    with database.reading() as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages}")
    before = ledger.used([line()])
    for n in range(5_000):
        try:
            ledger.reserve(f"full-{n}", [line(limit=10_000)])
        except StoreAway as error:
            assert "full" in str(error)  # noqa: PT017 - how many fit is the file's affair
            break
        before = ledger.used([line()])
    else:
        pytest.fail("the disk was not full")
    assert ledger.used([line()]) == before
    with database.reading() as db:
        db.execute("PRAGMA max_page_count = 100000")
    ledger.reserve("again", [line(limit=10_000)])
    assert ledger.used([line()]) == (before[0] + 1,)


def test_a_file_that_is_no_database_refuses(tmp_path: Path) -> None:
    (tmp_path / "b.db").write_bytes(b"no database at all" * 500)
    with pytest.raises(StoreAway):
        SqliteBudgets(SqliteDatabase(tmp_path / "b.db", durable=False))


def test_connections_that_break_refuse_and_what_is_retried_counts_once(postgres_dsn: str) -> None:
    ledger = PostgresBudgets(PostgresDatabase(postgres_dsn, size=4, patience=2))
    ledger.reserve("before", [line()])
    for n in range(5):
        with psycopg.connect(postgres_dsn, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        for _ in range(10):
            try:
                ledger.reserve(f"k{n}", [line(limit=100)])
            except StoreAway:
                time.sleep(0.05)
            else:
                break
        else:
            pytest.fail("it did not come back")
    assert ledger.used([line()]) == (6,)


def test_an_account_that_another_transaction_holds_refuses_in_time(postgres_dsn: str) -> None:
    ledger = PostgresBudgets(PostgresDatabase(postgres_dsn, patience=0.5))
    ledger.reserve("before", [line()])
    with psycopg.connect(postgres_dsn) as other:
        other.execute("SELECT * FROM interlock_accounts FOR UPDATE")
        began = time.monotonic()
        with pytest.raises(StoreAway):
            ledger.reserve("k", [line()])
        assert time.monotonic() - began < 10
    ledger.reserve("k", [line()])
    assert ledger.used([line()]) == (2,)


def test_time_is_the_databases_unless_a_test_says_otherwise(postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = PostgresBudgets(PostgresDatabase(postgres_dsn))
    ledger.reserve("k", [line(amount=10)])
    monkeypatch.setattr(time, "time", lambda: 0.0)  # this machine's clock is somewhere else
    with pytest.raises(Exhausted):
        ledger.reserve("k2", [line()])
    assert ledger.lapsed() == 0


def test_what_is_kept_of_a_reservation_names_no_argument(tmp_path: Path) -> None:
    ledger = SqliteBudgets(SqliteDatabase(tmp_path / "b.db", durable=False))
    ledger.reserve("k", [line()])
    rows: list[Any] = sqlite3.connect(tmp_path / "b.db").execute("SELECT * FROM budget_reservations").fetchall()
    assert rows[0][1] == "k"
    assert [part[0] for part in json.loads(rows[0][2])] == ["agent:a|calls/day"]
