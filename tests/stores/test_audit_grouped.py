"""The audit that writes in groups: nothing is acknowledged that is not on the disk, and nothing goes on without it."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from interlock.audit.chain import Verified
from interlock.audit.erasure import Erasure
from interlock.audit.errors import AuditError
from interlock.audit.record import Head, Record
from interlock.stores.grouped import GroupedAudit
from interlock.stores.memory.audit import MemoryAudit
from interlock.stores.sqlite.audit import SqliteAudit
from tests.monitor.world import TO_BOB, World

ROOT = Path(__file__).parent.parent.parent


class Faulty:
    """A store that fails when it is told to; `late` makes it fail after it has written."""

    def __init__(self) -> None:
        self.stream = ""
        self.inner = MemoryAudit(clock=lambda: 0.0)
        self.failing = 0
        self.late = False
        self.gate = threading.Event()
        self.gate.set()
        self.groups: list[int] = []

    def head(self) -> Head:
        return self.inner.head()

    def extend(self, records: Sequence[Record]) -> None:
        self.gate.wait(10)
        if self.failing and not self.late:
            self.failing -= 1
            raise AuditError("the disk is gone")
        self.inner.extend(records)
        self.groups.append(len(records))
        if self.failing:
            self.failing -= 1
            raise AuditError("the connection broke while it was asked to commit")

    def erase(self, principal: str, *, by: str, why: str = "") -> Erasure:
        return self.inner.erase(principal, by=by, why=why)

    def drop(self, *, by: str) -> Record:
        return self.inner.drop(by=by)


@pytest.fixture
def faulty() -> Faulty:
    return Faulty()


@pytest.fixture
def grouped(faulty: Faulty) -> Iterator[Callable[..., GroupedAudit]]:
    opened: list[GroupedAudit] = []

    def make(**options: float) -> GroupedAudit:
        opened.append(GroupedAudit(faulty, clock=lambda: 0.0, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield make
    faulty.gate.set()
    for audit in opened:
        try:
            audit.close()
        except AuditError:
            continue


def test_what_is_settled_is_on_the_disk_and_one_group_serves_many(tmp_path: Path) -> None:
    store = SqliteAudit(tmp_path / "audit.db", stream="w1")
    audit = GroupedAudit(store, linger=0.2)
    records = [audit.append("decision", f"r{n}", {"n": n}) for n in range(500)]
    audit.settled(records[-1])
    assert list(store.records()) == records
    assert store.verify() == Verified(audit.head())
    audit.append("decision", "r", {})
    audit.close()
    assert store.head().seq == 501
    with pytest.raises(AuditError, match="it was closed"):
        audit.append("decision", "r", {})


def test_while_nobody_waits_records_gather(faulty: Faulty, grouped: Callable[..., GroupedAudit]) -> None:
    audit = grouped(linger=0.05)
    for n in range(100):
        audit.append("decision", "r", {"n": n})
    audit.flush()
    assert sum(faulty.groups) == 100
    assert len(faulty.groups) <= 3


def test_records_reach_the_disk_although_nobody_waits(faulty: Faulty, grouped: Callable[..., GroupedAudit]) -> None:
    audit = grouped(linger=0.001)
    audit.append("decision", "r", {})
    end = time.monotonic() + 5
    while faulty.head().seq != 1:
        assert time.monotonic() < end
        time.sleep(0.001)


def test_m4_a_dead_writer_refuses_everything(faulty: Faulty, grouped: Callable[..., GroupedAudit]) -> None:
    audit = grouped(patience=0.1)
    good = audit.append("decision", "r", {})
    audit.settled(good)
    faulty.failing = 10**6
    lost = audit.append("decision", "r", {})
    for use in (lambda: audit.settled(lost), audit.flush, lambda: audit.append("decision", "r", {}), audit.flush):
        with pytest.raises(AuditError, match="takes no more records: AuditError: the disk is gone"):
            use()
    assert audit.dead
    audit.settled(good)  # this one is on the disk
    with pytest.raises(AuditError):
        asyncio.run(audit.aflush(lost))
    assert faulty.head().seq == 1


def test_m4_a_dead_writer_means_no_effect(tmp_path: Path, faulty: Faulty, grouped: Callable[..., GroupedAudit]) -> None:
    audit = grouped(patience=0.05)
    world = World(tmp_path / "outbox", audit=audit)  # type: ignore[arg-type]
    run = world.open()
    assert world.monitor.call(run, TO_BOB).performed
    sent = len(world.sent)
    faulty.failing = 10**6
    audit.append("note", "", {})
    with pytest.raises(AuditError):
        audit.flush()
    assert not world.monitor.call(run, TO_BOB).performed
    assert len(world.sent) == sent


def test_after_a_death_it_goes_on_from_what_the_store_has(faulty: Faulty, grouped: Callable[..., GroupedAudit]) -> None:
    audit = grouped(patience=0.05)
    faulty.failing = 10**6
    lost = audit.append("decision", "r", {"lost": True})
    with pytest.raises(AuditError):
        audit.settled(lost)
    faulty.failing = 0
    audit.reopen()
    new = audit.append("decision", "r", {"lost": False})
    audit.settled(new)
    assert new.seq == lost.seq
    with pytest.raises(AuditError, match="never reached the disk"):
        audit.settled(lost)  # the number is taken, by another record
    assert list(faulty.inner.records()) == [new]
    assert isinstance(faulty.inner.verify(), Verified)


@pytest.mark.parametrize("late", [False, True])
def test_a_store_that_is_away_for_a_moment_loses_and_doubles_nothing(
    faulty: Faulty, grouped: Callable[..., GroupedAudit], *, late: bool
) -> None:
    audit = grouped(patience=5)
    faulty.failing, faulty.late = 2, late
    records = [audit.append("decision", "r", {"n": n}) for n in range(10)]
    audit.flush()
    audit.settled(audit.append("decision", "r", {}))
    assert list(faulty.inner.records())[:10] == records
    assert isinstance(faulty.inner.verify(), Verified)


def test_a_second_writer_in_the_stream_is_noticed_at_once(faulty: Faulty, grouped: Callable[..., GroupedAudit]) -> None:
    audit = grouped(patience=60)
    faulty.inner.append("decision", "somebody else", {})
    record = audit.append("decision", "r", {})
    start = time.monotonic()
    with pytest.raises(AuditError, match="somebody else writes the same stream"):
        audit.settled(record)
    assert time.monotonic() - start < 10


def test_a_full_queue_blocks_then_refuses(faulty: Faulty, grouped: Callable[..., GroupedAudit]) -> None:
    audit = grouped(queue=5, patience=0.3)
    faulty.gate.clear()
    for _ in range(5):
        audit.append("decision", "r", {})
    start = time.monotonic()
    with pytest.raises(AuditError, match="5 records behind"):
        audit.append("decision", "r", {})
    assert time.monotonic() - start >= 0.25
    threading.Timer(0.1, faulty.gate.set).start()
    audit.append("decision", "r", {})  # waits for room
    audit.flush()
    assert faulty.head().seq == 6


def test_coroutines_wait_without_holding_a_thread(faulty: Faulty, grouped: Callable[..., GroupedAudit]) -> None:
    audit = grouped(linger=0.01)

    async def one(n: int) -> int:
        record = audit.append("decision", f"r{n}", {})
        await audit.aflush(record)
        assert faulty.head().seq >= record.seq
        return record.seq

    async def all_of_them() -> list[int]:
        before = threading.active_count()
        faulty.gate.clear()
        asyncio.get_running_loop().call_later(0.1, faulty.gate.set)
        found = await asyncio.gather(*(one(n) for n in range(200)))
        assert threading.active_count() == before
        await audit.aflush()
        return found

    assert sorted(asyncio.run(all_of_them())) == list(range(1, 201))
    assert len(faulty.groups) < 5


def test_a_coroutine_that_waits_when_the_writer_dies_is_told(
    faulty: Faulty, grouped: Callable[..., GroupedAudit]
) -> None:
    audit = grouped(patience=0.1)

    async def wait() -> None:
        faulty.failing = 10**6
        with pytest.raises(AuditError, match="takes no more"):
            await asyncio.wait_for(audit.aflush(audit.append("decision", "r", {})), 5)

    asyncio.run(wait())


def test_an_erasure_goes_through_the_writer_of_the_stream(faulty: Faulty, grouped: Callable[..., GroupedAudit]) -> None:
    audit = grouped()
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            audit.append("run", "r", {"principal": "ben"})

    thread = threading.Thread(target=work)
    thread.start()
    audit.append("run", "r1", {"principal": "emma"})
    done = audit.erase("emma", by="olga")
    stop.set()
    thread.join()
    audit.settled(audit.append("run", "r2", {"principal": "emma"}))
    assert done.count == 1
    assert faulty.inner.verify() == Verified(audit.head())
    with pytest.raises(AuditError, match="a signed checkpoint"):
        audit.drop(by="olga")
    audit.settled(audit.append("run", "r3", {"principal": "emma"}))
    assert faulty.inner.verify() == Verified(audit.head())


def test_a_forked_child_is_told(faulty: Faulty, grouped: Callable[..., GroupedAudit]) -> None:
    audit = grouped()
    audit.settled(audit.append("decision", "r", {}))
    child = os.fork()
    if child == 0:
        try:
            audit.append("decision", "child", {})
        except AuditError as error:
            os._exit(0 if "fork" in str(error) else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0


def test_sixty_four_threads(faulty: Faulty, grouped: Callable[..., GroupedAudit]) -> None:
    audit = grouped(queue=50)

    def work(n: int) -> None:
        for i in range(20):
            audit.settled(audit.append("decision", f"r{n}", {"n": i}))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faulty.inner.verify() == Verified(audit.head())
    assert audit.head().seq == 64 * 20


CHILD = """
import itertools, sys
from interlock.stores.grouped import GroupedAudit
from interlock.stores.sqlite.audit import SqliteAudit
audit = GroupedAudit(SqliteAudit(sys.argv[1], stream=sys.argv[2]))
print("ready", flush=True)
for n in itertools.count():
    group = [audit.append("decision", "r", {"n": n, "i": i}) for i in range(n % 50 + 1)]
    audit.settled(group[-1])
    for record in group:
        print(record.digest, flush=True)
"""


def _child(path: Path, stream: str, prepare: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), stream],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        text=True,
        preexec_fn=prepare,  # noqa: PLW1509 - it only sets a limit
    )


def test_m3_killed_in_the_middle_of_a_group_no_acknowledged_record_is_lost(tmp_path: Path) -> None:
    """Two writers at a time, on one file, in streams of their own."""
    chance = random.Random(11)
    path = tmp_path / "audit.db"
    SqliteAudit(path).close()
    acknowledged: dict[str, list[str]] = {"a": [], "b": []}
    for _ in range(6):
        children = {stream: _child(path, stream) for stream in acknowledged}
        for child in children.values():
            assert child.stdout
            assert child.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0.01, 0.15))
        for stream, child in children.items():
            child.send_signal(signal.SIGKILL)
            with child:
                assert child.stdout
                acknowledged[stream] += [line.strip() for line in child.stdout if len(line) == 65]
        for stream, seen in acknowledged.items():
            store = SqliteAudit(path, stream=stream)
            assert isinstance(store.verify(), Verified)
            assert set(seen) <= {r.digest for r in store.records()}
            store.close()
    assert all(len(seen) > 50 for seen in acknowledged.values())


def test_m9_a_disk_that_is_full_ends_the_writer_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    SqliteAudit(path).close()

    def small() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))

    with _child(path, "", small) as child:
        assert child.stdout
        seen = {line.strip() for line in child.stdout if len(line) == 65}
    assert child.returncode == 1  # the AuditError that nobody caught
    assert len(seen) > 50
    store = SqliteAudit(path)
    assert isinstance(store.verify(), Verified)
    assert seen <= {r.digest for r in store.records()}
    store.append("decision", "r", {})  # there is room again
    assert isinstance(store.verify(), Verified)


def test_after_a_kill_a_million_records_open_at_once(tmp_path: Path) -> None:
    """Opening reads the last record, however many there are; 20,000 show that as well as a million (bench/audit)."""
    store = SqliteAudit(tmp_path / "audit.db")
    audit = GroupedAudit(store, group=5000)
    for n in range(20_000):
        audit.append("decision", "r", {"n": n})
    audit.close()
    store.close()
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    opened = SqliteAudit(tmp_path / "audit.db")
    db: sqlite3.Connection = opened._sqlite._db()
    db.set_progress_handler(step, 1)
    assert opened.head() == audit.head()
    assert steps < 200
    db.set_progress_handler(None, 0)
