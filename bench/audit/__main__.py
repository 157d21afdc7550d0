"""Appending, verifying, opening after a kill, and room, with the records of real calls: `python -m bench.audit`.

Records are those that a monitor writes for one permitted call: a decision with its evidence, and the outcome. CPU time
is of this process; wall-clock time counts where a disk is waited for. Redaction and deciding are not in these numbers.
"""

from __future__ import annotations

import argparse
import gzip
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from secrets import token_hex

from interlock.anchors.checkpoint import anchor
from interlock.audit import chain
from interlock.audit.base import Base
from interlock.audit.canonical import _orjson
from interlock.audit.chain import Verified
from interlock.audit.checkpoint import Checkpoint, PrivateKey, origin, signed
from interlock.audit.export import jsonl
from interlock.audit.record import EMPTY, Head, Record
from interlock.audit.tree import Frontier
from interlock.audit.verify import examine
from interlock.stores.grouped import GroupedAudit
from interlock.stores.memory.audit import MemoryAudit
from interlock.stores.sqlite.audit import SqliteAudit

AT_HAND = 100_000  # records in memory at a time
KEY = PrivateKey("audit.example", bytes(32))
DECISION: dict[str, object] = {
    "decision": "permitted",
    "rules": ["effect"],
    "agent": "support",
    "principal": "emma",
    "digest": "5f" * 32,
    "effect": "egress",
    "nonce": "7c" * 16,
    "approved": False,
    "obligations": [],
    "tool": "send_email",
    "arguments": {"to": "bob@example.com", "subject": "Delivery", "body": "It comes on Tuesday, as you asked."},
    "resource": {"type": "tool", "id": "send_email"},
    "bound": [
        {
            "path": "to",
            "value": "bob@example.com",
            "role": "recipient",
            "kind": "email",
            "vouched": True,
            "pointed": True,
            "integrity": "user",
            "why": "stands in the user's words",
        }
    ],
    "facts": {
        "listed": True,
        "unvouched": [],
        "unpointed": [],
        "receivers": ["bob@example.com"],
        "unnamed": [],
        "blind": False,
        "external": True,
        "confidential": False,
        "sources": ["read_mail"],
        "findings": [],
        "mandate": "within",
        "blocked": [],
    },
}
OUTCOME: dict[str, object] = {
    "outcome": "returned",
    "result": "a0" * 32,
    "label": {"integrity": "own", "readers": ["emma"]},
    "handles": [],
    "decision": 17,
    "digest": "5f" * 32,
}


def steps(count: int) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Decisions and outcomes in turn."""
    for n in range(count):
        yield ("outcome", f"run-{n // 20}", OUTCOME) if n % 2 else ("decision", f"run-{n // 20}", DECISION)


def linked(count: int) -> list[Record]:
    """A chain of `count` records."""
    head, records = EMPTY, []
    for n, (kind, run, body) in enumerate(steps(count)):
        record = chain.link(head, at=1.8e9 + n / 1000, kind=kind, run=run, body=body, salt=f"{n:032x}")
        head = Head(record.seq, record.digest)
        records.append(record)
    return records


def timed(what: str, count: int, start: tuple[float, float], *, cpu: float = 0.0) -> None:
    """One row: CPU (of the process, or what is given) and wall-clock time since `start`."""
    cpu, wall = cpu or time.process_time() - start[0], time.perf_counter() - start[1]
    print(f"| {what} | {cpu / count * 1e6:,.1f} | {count / cpu:,.0f} | {count / wall:,.0f} |", flush=True)


def now() -> tuple[float, float]:
    """CPU and wall-clock time."""
    return time.process_time(), time.perf_counter()


def appending(folder: Path, count: int) -> Path:
    """Every way to append; the file that has `count` records afterwards."""
    memory = MemoryAudit()
    start = now()
    for step in steps(count):
        memory.append(*step)
    timed("append, memory", count, start)

    single = SqliteAudit(folder / "single.sqlite")
    few = max(200, count // 500)
    start = now()
    for step in steps(few):
        single.append(*step)
    timed("append, SQLite, one flush each", few, start)

    path = folder / "grouped.sqlite"
    audit = GroupedAudit(SqliteAudit(path), queue=100_000)
    start, own = now(), time.thread_time()
    for step in steps(count):
        audit.append(*step)
    timed("append, SQLite in groups: the caller's call", count, start, cpu=time.thread_time() - own)
    audit.close()
    timed("append, SQLite in groups, until all is on the disk", count, start)

    count = min(count, AT_HAND)
    records = linked(count)
    for size in (100, 1000):
        store = SqliteAudit(folder / f"extend{size}.sqlite")
        start = now()
        rest: Iterable[Record] = iter(records)
        while group := list(islice(rest, size)):
            store.extend(group)
        timed(f"linked records into SQLite, groups of {size}", count, start)
        store.close()
    return path


def verifying(path: Path) -> None:
    """The chain alone, and with the tree under a signed checkpoint."""
    store = SqliteAudit(path, read_only=True)
    count = store.head().seq
    rows = list(islice(store.rows(), AT_HAND))
    start = now()
    if not isinstance(chain.verify(rows), Verified):
        raise SystemExit("the chain does not hold")
    timed("verify, rows at hand", len(rows), start)
    del rows
    start = now()
    if not isinstance(store.verify(), Verified):
        raise SystemExit("the chain does not hold")
    timed("verify, from the file", count, start)
    frontier = Frontier().extend([bytes.fromhex(r[8]) for r in store.rows()])
    head = store.head()
    said = Checkpoint(origin=origin("audit.example", ""), size=head.seq, root=frontier.root, time=0, head=head.digest)
    note = signed(said, [KEY])
    start = now()
    verdict = examine(store.rows(), base=Base(), anchored=[note], keys=[KEY.public])
    if verdict != Verified(store.head(), count):
        raise SystemExit(str(verdict))
    timed("verify, from the file, with the tree", count, start)


def checkpointing(path: Path) -> None:
    """Signing everything; and how small an export gets, with digests, nonces and salts that differ as real ones do."""
    store = SqliteAudit(path)
    count = store.head().seq
    start = now()
    anchor(store, [KEY], [], now=0.0)
    timed("checkpoint, from the file", count, start)
    head, records = EMPTY, []
    for n, (kind, run, body) in enumerate(steps(10_000)):
        fresh = {key: token_hex(len(str(body[key])) // 2) for key in ("digest", "nonce", "result") if key in body}
        record = chain.link(head, at=1.8e9 + n / 1000, kind=kind, run=run, body=body | fresh, salt=token_hex(16))
        head = record.head
        records.append(record)
    text = "\n".join(jsonl(records)).encode()
    small = len(gzip.compress(text, 6))
    print(f"\nexport: {len(text) / len(records):,.0f} bytes a record, {small / len(records):,.0f} with gzip", end="")


def recovering(path: Path) -> None:
    """A writer is killed in the middle of a group; how long until the next one has appended."""
    code = (
        "import sys, itertools\n"
        "from bench.audit.__main__ import steps\n"
        "from interlock.stores.grouped import GroupedAudit\n"
        "from interlock.stores.sqlite.audit import SqliteAudit\n"
        "a = GroupedAudit(SqliteAudit(sys.argv[1]))\n"
        "for step in steps(10**9):\n"
        "    r = a.append(*step)\n"
        "    if r.seq % 5000 == 0: print(r.seq, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as child:
        if child.stdout:
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
    start = time.perf_counter()
    store = SqliteAudit(path)
    store.append("start", "", {})
    took = time.perf_counter() - start
    print(f"\nopening after kill -9 and the first record, {store.head().seq:,} records: {took * 1000:.0f} ms")


def main() -> int:
    """Run them."""
    parser = argparse.ArgumentParser(prog="python -m bench.audit")
    parser.add_argument("--records", type=int, default=100_000)
    options = parser.parse_args()
    made = "orjson" if _orjson else "the standard library's json"
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {made}; {options.records:,} records\n")
    print("| what | µs CPU a record | records/s of CPU | records/s on the clock |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        path = appending(Path(name), options.records)
        verifying(path)
        checkpointing(path)
        size = path.stat().st_size
        body = sum(len(r.text) + len(r.personal) for r in linked(1000)) / 1000
        recovering(path)
        print(f"room: {size / options.records:,.0f} bytes a record in SQLite, of which {body:,.0f} are its body")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
