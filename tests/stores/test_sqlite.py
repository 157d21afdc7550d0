"""The audit file under everything that happens to files: full disks, other writers, forks, sudden death, vandals."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from interlock.audit.chain import Broken, Verified
from interlock.audit.errors import AuditError
from interlock.stores import ledger
from interlock.stores.sqlite.audit import SqliteAudit
from tests.monitor.world import TO_BOB, World
from tests.stores.conformance import AuditConformance

ROOT = Path(__file__).parent.parent.parent


class TestSqliteAudit(AuditConformance):
    @pytest.fixture
    def make(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., SqliteAudit]:
        monkeypatch.setattr(ledger, "PAGE", 3)
        return lambda clock: SqliteAudit(tmp_path / "audit.db", clock=clock)


def filled(path: Path, count: int = 5) -> SqliteAudit:
    store = SqliteAudit(path)
    for n in range(count):
        store.append("decision", "r1", {"n": n})
    return store


def test_a_chain_goes_on_after_a_restart(tmp_path: Path) -> None:
    first = filled(tmp_path / "audit.db")
    noted = first.head()
    first.close()
    second = SqliteAudit(tmp_path / "audit.db")
    second.append("decision", "r1", {})
    assert second.verify(noted) == Verified(second.head())
    first.append("decision", "r1", {})  # closing closes the connection, not the store
    assert second.head().seq == 7


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    filled(tmp_path / "audit.db")
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_it_is_on_the_disk_when_append_returns(tmp_path: Path) -> None:
    db = filled(tmp_path / "audit.db")._sqlite._db()
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit SET body = '{}' WHERE seq = 2",
        "UPDATE audit SET seq = 99 WHERE seq = 5",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE seq = 5",
        "INSERT OR REPLACE INTO audit SELECT id, stream, seq, at, kind, run, '{}', commitment, previous, digest, salt, personal, erased FROM audit WHERE seq = 2",
        "INSERT INTO audit SELECT NULL, stream, 99, at, kind, run, body, commitment, previous, digest, salt, personal, erased FROM audit WHERE seq = 2",
        "INSERT INTO audit SELECT NULL, stream, NULL, at, kind, run, body, commitment, previous, digest, salt, personal, erased FROM audit WHERE seq = 2",
        "INSERT INTO audit SELECT NULL, stream, 0, at, kind, run, body, commitment, previous, digest, salt, personal, erased FROM audit WHERE seq = 2",
        "UPDATE OR REPLACE audit SET seq = 2 WHERE seq = 3",
    ],
)
def test_sql_changes_nothing(tmp_path: Path, sql: str) -> None:
    store = filled(tmp_path / "audit.db")
    before = list(store.records())
    other = sqlite3.connect(tmp_path / "audit.db")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        other.execute(sql)
    other.rollback()
    other.close()
    assert list(store.records()) == before


@pytest.mark.parametrize(
    ("sql", "seq"),
    [
        ("UPDATE audit SET body = '{\"n\":7}' WHERE seq = 3", 3),
        ("UPDATE audit SET body = 'no json' WHERE seq = 3", 3),
        ("UPDATE audit SET body = '[]' WHERE seq = 3", 3),
        ("UPDATE audit SET at = 1 WHERE seq = 1", 1),
        ("DELETE FROM audit WHERE seq = 3", 3),
        ("DELETE FROM audit WHERE seq = 1", 1),
        ("DELETE FROM audit WHERE seq = 5", 5),
        ("DELETE FROM audit", 1),
    ],
)
def test_a_vandal_with_the_file_in_his_hands_is_found(tmp_path: Path, sql: str, seq: int) -> None:
    store = filled(tmp_path / "audit.db")
    noted = store.head()
    vandal = sqlite3.connect(tmp_path / "audit.db")
    for (name,) in vandal.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        vandal.execute(f"DROP TRIGGER {name}")
    vandal.execute(sql)
    vandal.commit()
    vandal.close()
    verdict = store.verify(noted)
    assert isinstance(verdict, Broken)
    assert verdict.seq == seq


def test_m9_a_full_disk_refuses_the_call_and_loses_nothing(tmp_path: Path) -> None:
    store = SqliteAudit(tmp_path / "audit.db")
    world = World(tmp_path / "outbox", audit=store)  # type: ignore[arg-type]
    run = world.open()
    db = store._sqlite._db()
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages}")
    performed = 0
    for _ in range(200):
        if not world.monitor.call(run, TO_BOB).performed:
            break
        performed += 1
    else:
        pytest.fail("the disk never filled")
    assert len(world.sent) == performed
    with pytest.raises(AuditError, match="took no record"):
        store.append("decision", "r1", {"x": "y" * 10_000})
    assert isinstance(store.verify(), Verified)
    db.execute("PRAGMA max_page_count = 100000")
    assert world.monitor.call(run, TO_BOB).performed  # there is room again
    assert isinstance(store.verify(), Verified)


def test_m9_a_writer_that_never_lets_go_refuses_the_call(tmp_path: Path) -> None:
    store = SqliteAudit(tmp_path / "audit.db", patience=0.05)
    world = World(tmp_path / "outbox", audit=store)  # type: ignore[arg-type]
    run = world.open()
    other = sqlite3.connect(tmp_path / "audit.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert not world.monitor.call(run, TO_BOB).performed
    assert world.sent == []
    other.execute("ROLLBACK")
    other.close()
    assert world.monitor.call(run, TO_BOB).performed


def test_what_is_no_audit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("this is no database, and long enough to be read as one" * 20)
    with pytest.raises(AuditError, match="cannot serve"):
        SqliteAudit(tmp_path / "text")
    with pytest.raises(AuditError, match="cannot be opened"):
        SqliteAudit(tmp_path / "missing" / "audit.db")
    db = sqlite3.connect(tmp_path / "other.db")
    db.execute("CREATE TABLE audit (x)")
    db.close()
    with pytest.raises(AuditError):
        SqliteAudit(tmp_path / "other.db").append("decision", "r1", {})


def test_who_only_reads_changes_and_makes_nothing(tmp_path: Path) -> None:
    filled(tmp_path / "audit.db").close()
    reader = SqliteAudit(tmp_path / "audit.db", read_only=True)
    assert reader.verify() == Verified(reader.head())
    assert len(list(reader.records())) == 5
    with pytest.raises(AuditError, match="took no record"):
        reader.append("decision", "r1", {})
    assert reader.head().seq == 5
    reader.close()
    with pytest.raises(AuditError, match="cannot be opened"):
        SqliteAudit(tmp_path / "missing.db", read_only=True)
    assert not (tmp_path / "missing.db").exists()
    (tmp_path / "text").write_text("this is no database, and long enough to be read as one" * 20)
    with pytest.raises(AuditError, match="cannot be read as an audit"):
        SqliteAudit(tmp_path / "text", read_only=True)


def test_an_audit_that_is_taken_away_says_so(tmp_path: Path) -> None:
    store = filled(tmp_path / "audit.db")
    vandal = sqlite3.connect(tmp_path / "audit.db")
    vandal.execute("DROP TABLE audit")
    vandal.close()
    for use in (store.head, store.verify, lambda: store.append("decision", "r1", {})):
        with pytest.raises(AuditError):
            use()


def _append(path: Path, count: int) -> None:
    store = SqliteAudit(path)
    for n in range(count):
        store.append("decision", f"p{os.getpid()}", {"n": n})


def test_processes_that_start_at_once_make_one_chain(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_append, args=(tmp_path / "audit.db", 25)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    store = SqliteAudit(tmp_path / "audit.db")
    assert store.head().seq == 100
    assert isinstance(store.verify(), Verified)


def test_a_fork_opens_a_connection_of_its_own(tmp_path: Path) -> None:
    store = filled(tmp_path / "audit.db", 1)
    child = os.fork()
    if child == 0:
        try:
            inherited = store._sqlite._connection
            store.append("decision", "child", {})
            os._exit(2 if store._sqlite._connection is inherited else 0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    store.append("decision", "parent", {})
    assert [r.run for r in store.records()] == ["r1", "child", "parent"]
    assert isinstance(store.verify(), Verified)


CHILD = """
import itertools, json, sys
from pathlib import Path
from interlock.kernel.call import thaw
from interlock.monitor.ports import Tool
from interlock.stores.sqlite.audit import SqliteAudit
from tests.monitor.world import World, call

folder = Path(sys.argv[1])
effects = (folder / "effects").open("a", buffering=1)

def perform(permit, call):
    effects.write(json.dumps([call.run, call.digest, permit.nonce]) + "\\n")
    return {"status": "sent"}

world = World(folder / "outbox", audit=SqliteAudit(folder / "audit.db"), tools={"send": Tool(perform=perform)})
run = world.open()
print("ready", flush=True)
for n in itertools.count():
    world.monitor.call(run, call("send", to="bob@example.com", body=f"hello {sys.argv[2]} {n}"))
"""


def test_m3_killed_at_any_instant_no_effect_is_without_its_record(tmp_path: Path) -> None:
    """Twenty processes, one after the other on the same files, each killed while it writes."""
    chance = random.Random(7)
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    heads = 0
    done: set[tuple[str, ...]] = set()
    for number in range(20):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path), str(number)],
            stdout=subprocess.PIPE,
            env=environment,
            cwd=tmp_path,
        )
        with child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            time.sleep(chance.uniform(0, 0.05))
            child.send_signal(signal.SIGKILL)
            child.wait()
        assert child.returncode == -signal.SIGKILL
        store = SqliteAudit(tmp_path / "audit.db")
        assert isinstance(store.verify(), Verified)
        assert store.head().seq > heads  # what was there is there, and more
        heads = store.head().seq
        recorded = {
            (r.run, r.body["digest"], r.body["nonce"])
            for r in store.records()
            if r.kind == "decision" and r.body["decision"] == "permitted"
        }
        effects = tmp_path / "effects"
        done = {tuple(json.loads(line)) for line in effects.read_text().splitlines()} if effects.exists() else done
        assert done <= recorded
        store.close()
    assert len(done) > 20  # there were effects to judge
