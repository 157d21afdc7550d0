"""Approvals on every engine: the same suite, then what processes, kills and vandals do."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from interlock.approvals.book import Book
from interlock.approvals.entry import Seal, encode
from interlock.approvals.errors import Tampered
from interlock.stores.errors import StoreAway
from interlock.stores.memory.approvals import MemoryApprovals
from interlock.stores.postgres.approvals import PostgresApprovals
from interlock.stores.postgres.database import PostgresDatabase
from interlock.stores.sqlite.approvals import SqliteApprovals
from interlock.stores.sqlite.database import SqliteDatabase
from tests.stores.approvals import TERMS, ApprovalsConformance, Now, given, post, terms

ROOT = Path(__file__).parent.parent.parent


class TestMemoryApprovals(ApprovalsConformance):
    @pytest.fixture
    def make(self) -> Callable[..., Book]:
        made: list[Book] = []

        def one(clock: Any) -> Book:
            if not made:
                made.append(MemoryApprovals(clock=clock))
            return made[0]

        return one


class TestSqliteApprovals(ApprovalsConformance):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[..., Book]:
        return lambda clock: SqliteApprovals(
            SqliteDatabase(tmp_path / "state.db", durable=True, patience=30), clock=clock
        )


class TestPostgresApprovals(ApprovalsConformance):
    @pytest.fixture
    def make(self, postgres_dsn: str) -> Iterator[Callable[..., Book]]:
        opened: list[tuple[PostgresDatabase, PostgresApprovals]] = []

        def one(clock: Any) -> Book:
            database = PostgresDatabase(postgres_dsn, size=4, patience=30)
            opened.append((database, PostgresApprovals(database, clock=clock)))
            return opened[-1][1]

        yield one
        for database, book in opened:
            book.close()
            database.close()


RACER = """
import sys
from interlock.approvals.book import Book
from tests.stores.approvals import terms
from tests.stores.test_approvals import opened
book = opened(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for n in range(int(sys.argv[2])):
    if book.consume(f"q{n}", terms(run=f"r{n}")) is not None:
        print(n, flush=True)
"""
CHILD = """
import sys
from tests.stores.approvals import terms
from tests.stores.test_approvals import opened
book = opened(sys.argv[1])
effects = open(sys.argv[2], "a", buffering=1)
print("ready", flush=True)
for ref in sys.argv[3].split(","):
    if book.consume(ref, terms(run=ref)) is not None:
        effects.write(ref + "\\n")
"""


def opened(where: str) -> Book:
    if not where.endswith(".db"):
        return PostgresApprovals(PostgresDatabase(where, size=2, patience=30))
    return SqliteApprovals(SqliteDatabase(where, durable=True, patience=30))


def child(program: str, *arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "state.db") if request.param == "sqlite" else str(request.getfixturevalue("postgres_dsn"))


def test_three_processes_and_each_approval_is_used_by_one(where: str) -> None:
    book, count = opened(where), 40
    for n in range(count):
        post(book, f"q{n}", terms(run=f"r{n}"), life=3600)
        book.answer(f"q{n}", given())
    racers = [child(RACER, where, str(count)) for _ in range(3)]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    won = [int(line) for racer in racers for line in racer.communicate()[0].split()]
    assert sorted(won) == list(range(count))
    closed(book)


def test_m2_killed_between_the_use_and_the_effect_it_happens_never_twice(where: str, tmp_path: Path) -> None:
    """Each child goes on with what the ones before it have left of the same approvals, and is killed at some instant."""
    chance = random.Random(3)
    effects = tmp_path / "effects"
    effects.touch()
    refs = [f"r{n}" for n in range(120)]
    book = opened(where)
    for ref in refs:
        post(book, ref, terms(run=ref), life=3600, most=1000, run=1000)
        book.answer(ref, given())
    for _ in range(8):
        worker = child(CHILD, where, str(effects), ",".join(refs))
        with worker:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0.0, 0.12))
            worker.send_signal(signal.SIGKILL)
    done = effects.read_text().split()
    assert len(done) == len(set(done)) > 5
    for ref in done:
        assert book.get(ref)[1] == "used"  # what happened is known to have happened
        assert book.consume(ref, terms(run=ref)) is None
    closed(book)


def closed(book: Any) -> None:
    if isinstance(book, PostgresApprovals):
        book.close()
    book._database.close()


def test_a_used_approval_is_on_the_disk(tmp_path: Path) -> None:
    book = SqliteApprovals(SqliteDatabase(tmp_path / "state.db", durable=True))
    assert book._database._db().execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_m9_a_full_disk_approves_nothing(tmp_path: Path) -> None:
    book = SqliteApprovals(SqliteDatabase(tmp_path / "state.db", durable=True))
    post(book)
    db = book._database._db()
    with pytest.raises(StoreAway):  # noqa: PT012 - until the disk is full
        for n in range(1000):
            db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
            post(book, f"f{n}", terms(run=f"f{n}"), most=10_000)
    db.execute("PRAGMA max_page_count = 100000")
    assert book.answer("q1", given())[1] == "granted"
    assert book.consume("q1", TERMS) is not None


def test_m9_a_writer_that_never_lets_go_approves_nothing(tmp_path: Path) -> None:
    book = SqliteApprovals(SqliteDatabase(tmp_path / "state.db", durable=True, patience=0.05))
    post(book)
    book.answer("q1", given())
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreAway):
        book.consume("q1", TERMS)
    other.execute("ROLLBACK")
    other.close()
    assert book.consume("q1", TERMS) is not None


def vandalise(where: str, change: Callable[[str], str]) -> None:
    """Rewrite every stored approval."""
    if not where.endswith(".db"):
        with psycopg.connect(where) as pg:
            for ref, body in pg.execute("SELECT id, body FROM interlock_approvals").fetchall():
                pg.execute("UPDATE interlock_approvals SET body = %s WHERE id = %s", (change(body), ref))
        return
    db = sqlite3.connect(where)
    for ref, body in db.execute("SELECT id, body FROM approvals").fetchall():
        db.execute("UPDATE approvals SET body = ? WHERE id = ?", (change(body), ref))
    db.commit()
    db.close()


def sealed(body: str, seal: Seal, change: Callable[[dict[str, Any]], None]) -> str:
    """What somebody who knows the format, and this seal, writes in the place of `body`."""
    entry = json.loads(json.loads(body)["entry"])
    change(entry)
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return json.dumps({"entry": text, "seal": seal.mark(text.encode())})


def granted(entry: dict[str, Any]) -> None:
    entry["given"] = [["ana", True, "", 1.0, "cli"]]


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.replace("eve@evil", "bob@good"),
        lambda body: json.dumps(json.loads(body) | {"seal": ""}),
        lambda body: json.dumps({"entry": json.loads(body)["entry"]}),
        lambda body: "{}",
        lambda body: "no json",
        lambda body: "[" * 100_000,
        lambda body: sealed(body, Seal(), granted),  # who does not have the key
        lambda body: sealed(body, Seal(b"another"), granted),
    ],
    ids=["arguments", "no seal", "seal gone", "empty", "no json", "deep", "unkeyed", "another key"],
)
def test_a_tampered_row_is_worth_nothing(where: str, change: Callable[[str], str]) -> None:
    book = opened(where)
    book._seal = Seal(b"k" * 32)
    post(book)
    vandalise(where, change)
    with pytest.raises(Tampered):
        book.get("q1")
    with pytest.raises(Tampered):
        book.answer("q1", given())
    assert book.consume("q1", TERMS) is None
    assert book.pending() == ()
    assert book.damaged() == ("q1",)
    assert post(book, "q2").id == "q2"  # the call can be asked about anew
    closed(book)


def test_an_approval_under_the_id_of_another_is_worth_nothing(where: str) -> None:
    book = opened(where)
    post(book)
    post(book, "q2", terms(run="r2"))
    book.answer("q1", given())
    approved = encode(book.get("q1")[0], Seal())
    vandalise(where, lambda _: approved)
    with pytest.raises(Tampered, match="another approval"):
        book.get("q2")
    assert book.consume("q2", TERMS) is None
    closed(book)


def test_the_time_of_postgresql_is_one_for_all(postgres_dsn: str) -> None:
    book = opened(postgres_dsn)
    entry = post(book, life=3600)
    assert abs(entry.asked - time.time()) < 5
    closed(book)


def test_m9_a_database_that_goes_away_approves_nothing(postgres_dsn: str) -> None:
    book = PostgresApprovals(PostgresDatabase(postgres_dsn, size=2, patience=1))
    post(book, life=3600)
    book.answer("q1", given())
    with psycopg.connect(postgres_dsn, autocommit=True) as db:
        db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        db.execute("BEGIN")
        db.execute("LOCK TABLE interlock_approvals_clock IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreAway):
            book.consume("q1", TERMS)
        with pytest.raises(StoreAway):
            book.wait(0, 0.1)
        db.execute("ROLLBACK")
    with suppress(StoreAway):
        book.wait(-1, 0.1)
    assert book.consume("q1", TERMS) is not None
    closed(book)


def test_the_clock_of_this_process_may_be_wrong(tmp_path: Path) -> None:
    ahead, right = Now(), Now()
    ahead.seconds += 86_400
    one = SqliteApprovals(SqliteDatabase(tmp_path / "state.db", durable=True), clock=right)
    other = SqliteApprovals(SqliteDatabase(tmp_path / "state.db", durable=True), clock=ahead)
    post(one)
    one.answer("q1", given())
    assert other.consume("q1", TERMS) is None
    assert one.consume("q1", TERMS) is None  # after the other's time, ours runs backwards
