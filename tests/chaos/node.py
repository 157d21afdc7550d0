"""One process of many on one store. It makes calls as fast as it can until somebody kills it.

Two kinds of call. Plain ones need no approval and use up a budget that is small and shared by all nodes. Jobs need one,
and every node tries the same few jobs at a time: the approver says yes to each of them once.

What happens goes to files with one write each, which outlives the process: `effects` from inside the performer, `acks`
after the monitor has returned.
"""

from __future__ import annotations

import json
import os
import random
import resource
import secrets
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from interlock.approvals.stored import Limits as Patience
from interlock.approvals.stored import StoredApprovals
from interlock.kernel.call import Call, Json
from interlock.kernel.decision import Permit
from interlock.kernel.errors import InterlockError
from interlock.kernel.labels import Integrity
from interlock.limits.guard import Limits
from interlock.limits.terms import Terms
from interlock.monitor.mediate import Monitor
from interlock.monitor.ports import Ports, Tool
from interlock.policy.load import policy_from
from interlock.stores.grouped import GroupedAudit
from tests.chaos.places import opened

BOB, EVE = "bob@example.com", "eve@evil.example"
BUDGET = 12  # calls of one principal, ever
PRINCIPAL_EVERY = 2.0  # seconds between two principals
JOBS = 6  # that are tried at once
JOB_EVERY = 0.5  # seconds between two jobs
TEXT: dict[str, Json] = {"type": "string"}
MANIFEST: dict[str, Json] = {
    "version": 1,
    "agents": {"plain": {"tools": ["send"], "mandate": "none"}, "jobs": {"tools": ["send"], "mandate": "none"}},
    "tools": {
        "send": {
            "kind": "function",
            "effect": "egress",
            "arguments": {"to": "recipient", "body": "text"},
            "schema": {"type": "object", "properties": {"to": TEXT, "body": TEXT}},
            "returns": {"own": ["status"]},
        }
    },
}


def terms() -> Terms:
    return Terms.parse(
        agents={
            "plain": {"budgets": {"calls": f"{BUDGET}/total/principal"}, "loops": False},
            "jobs": {"loops": False},  # a job that many try at once is no loop
        },
        tools={},
        tenants={},
        prices={},
    )


class Steady:
    """The machine's steady clock."""

    def now(self) -> float:
        return time.monotonic()


@dataclass(frozen=True)
class Order:
    """What a node is told: where the store is, where its files go, what is wrong with its world."""

    where: str
    folder: str
    number: int
    callers: int
    seed: int
    began: float  # of the whole run
    shift: float = 0.0  # seconds by which its clock is wrong
    room: int = 0  # bytes by which a file may still grow; 0: the disk is not full


def main(order: Order) -> None:
    """Work until killed. A store that cannot be opened ends the node; somebody starts it again."""
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - until the end
    if order.room:
        size = Path(order.where).stat().st_size if Path(order.where).exists() else 0
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + order.room, resource.RLIM_INFINITY))

    def clock() -> float:
        return time.time() + order.shift

    try:
        node = Node(order, clock)
    except InterlockError:
        return
    (Path(order.folder) / f"ready-{os.getpid()}").touch()
    callers = [Thread(target=node.work, args=(order.seed + n,), daemon=True) for n in range(order.callers)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()


def visit(where: str) -> None:
    """Come as the command line does: look at the store, close it, leave."""
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - until the end
    try:
        stores = opened(where, stream="", clock=time.time)
        stores.approvals.pending()
        stores.close()
    except InterlockError:
        return


class Node:
    """A monitor with everything that it needs."""

    def __init__(self, order: Order, clock: object) -> None:
        self.order = order
        stores = opened(order.where, stream=f"node-{order.number}", clock=clock)  # type: ignore[arg-type]
        folder = Path(order.folder)
        flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY
        self.effects = os.open(folder / f"effects-{order.number}-{os.getpid()}", flags)
        self.acks = os.open(folder / f"acks-{order.number}-{os.getpid()}", flags)
        # Every third node writes its records in groups, as the gateway does, and waits for the disk where it does.
        self.grouped = GroupedAudit(stores.audit, patience=2.0) if order.number % 3 == 1 else None
        policy = policy_from(MANIFEST)
        self.monitor = Monitor(
            policy,
            Ports(
                audit=self.grouped or stores.audit,
                approvals=StoredApprovals(
                    stores.approvals,
                    policy=policy.digest,
                    redact=lambda value: value,
                    limits=Patience(wait=1.0, life=60, most=1000, most_per_run=100),
                ),
                clock=Steady(),
                nonce=lambda: secrets.token_hex(16),
                redact=lambda value: value,
                redact_record=lambda value: value,
                planner=None,
                tools={"send": Tool(perform=self.send)},
                guard=Limits(terms(), stores.budgets, clock=time.monotonic),
            ),
            key=secrets.token_bytes(32),
        )

    def send(self, permit: Permit, call: Call) -> Json:
        self.monitor.check(permit, call)
        if self.grouped is not None:
            self.grouped.flush()  # M3: the decision is on the disk
        line = {"nonce": permit.nonce, "digest": call.digest, "approved": permit.approved}
        line |= {"agent": call.agent, "principal": call.principal, "run": call.run}
        os.write(self.effects, (json.dumps(line) + "\n").encode())
        return {"status": "sent"}

    def work(self, seed: int) -> None:
        chance = random.Random(seed)
        while True:
            since = time.time() - self.order.began
            try:
                if chance.random() < 0.5:
                    self.plain(f"p{int(since / PRINCIPAL_EVERY)}")
                else:
                    self.job(int(since / JOB_EVERY) + chance.randrange(JOBS))
            except (InterlockError, OSError):
                time.sleep(0.01)  # nothing was promised to anybody

    def plain(self, principal: str) -> None:
        run = self.monitor.open(agent="plain", principal=principal, run_id=uuid.uuid4().hex)
        self.monitor.observe(run, f"write to {BOB}", Integrity.USER)
        self.make(run, BOB, "hello")

    def job(self, number: int) -> None:
        run = self.monitor.open(agent="jobs", principal="emma", run_id=f"job-{number}")
        self.monitor.observe(run, f"write to {BOB}", Integrity.USER)
        self.monitor.observe(run, f"write to {EVE}", Integrity.EXTERNAL)
        self.make(run, EVE, f"job {number}")

    def make(self, run: object, to: str, body: str) -> None:
        names = {"agent": run.agent, "principal": run.principal, "run": run.id}  # type: ignore[attr-defined]
        made = self.monitor.call(run, Call(tool="send", arguments={"to": to, "body": body}, **names))  # type: ignore[arg-type]
        if made.record is not None:
            if self.grouped is not None:
                self.grouped.settled(made.record)
            line = [made.record.stream, made.record.seq, made.record.digest]
            os.write(self.acks, (json.dumps(line) + "\n").encode())
