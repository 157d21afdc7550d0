"""Starts nodes on one store, kills them at random instants, spoils their world, and counts what is left.

Besides kill -9: clocks that are hours wrong or jump, a full disk (files may not grow), a store that somebody holds for
a second, others who open and close it, PostgreSQL stopped as by a power cut and started again.
"""

from __future__ import annotations

import multiprocessing
import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psycopg

from interlock.approvals.desk import Desk
from interlock.kernel.errors import InterlockError
from tests.chaos.check import Findings, check
from tests.chaos.node import Order, main, visit
from tests.chaos.places import is_file, opened

NODES, CALLERS = 3, 64


@dataclass
class Approver:
    """Says yes to every call once, and no whenever it is asked about again."""

    where: str
    granted: set[str] = field(default_factory=set)
    stored: set[str] = field(default_factory=set)  # ids of which the store has said that the answer is kept
    stop: Event = field(default_factory=Event)

    def run(self) -> None:
        desk = None
        while not self.stop.wait(0.02):
            try:
                desk = desk or Desk(opened(self.where, stream="", clock=time.time).approvals, redact=lambda v: v)
                for question in desk.open("ana"):
                    digest, ref = str(question["digest"]), str(question["id"])
                    yes = digest not in self.granted
                    self.granted.add(digest)  # first: a yes of which nobody knows whether it was stored is a yes
                    desk.answer(ref, "ana", granted=yes, digest=digest, via="chaos")
                    self.stored.add(ref)
            except InterlockError:
                continue


@dataclass
class Chaos:
    """A run: `restart` stops the store as a power cut does and starts it again, where that can be."""

    where: str
    folder: Path
    kills: int
    seed: int
    restart: Callable[[], None] | None = None
    faults: bool = True
    restart_every: int = 40  # kills

    def run(self) -> Findings:
        """Everything, and what is left of it."""
        self.chance, self.began = random.Random(self.seed), time.time()
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.chaos.node"])
        opened(self.where, stream="", clock=time.time)  # the tables
        approver = Approver(self.where)
        answering = Thread(target=approver.run, daemon=True)
        answering.start()
        nodes = [self.start(context, n) for n in range(NODES)]
        for kill in range(self.kills):
            number = self.chance.randrange(NODES)
            if self.chance.random() < 0.9:
                self.working(nodes[number])
            time.sleep(self.chance.uniform(0, 0.15 if self.chance.random() < 0.7 else 0.8))
            nodes[number].kill()
            nodes[number].join()
            if self.faults and self.chance.random() < 0.03:
                self.hold(self.chance.uniform(0.1, 1.5))
            if self.chance.random() < 0.2:
                context.Process(target=visit, args=(self.where,), daemon=True).start()
            if self.restart is not None and kill % self.restart_every == self.restart_every // 2:
                self.restart()
            nodes[number] = self.start(context, number)
        for number, node in enumerate(nodes):  # and then everything goes on as if nothing had been
            node.kill()
            node.join()
            nodes[number] = self.start(context, number, faults=False)
        before = self.effects()
        end = time.monotonic() + 30
        while self.effects() < before + 20 and time.monotonic() < end:
            time.sleep(0.05)
        went_on = self.effects() > before
        for node in nodes:
            node.kill()
            node.join()
        approver.stop.set()
        answering.join(30)
        found = check(self.where, self.folder, granted=approver.granted, stored=approver.stored)
        found.kills = self.kills
        if not went_on:
            found.wrong.append("after the last kill nothing worked any more")
        return found

    def start(self, context: Any, number: int, *, faults: bool = True) -> Any:
        """A node, sometimes in a world that is broken."""
        fault = self.chance.random() if self.faults and faults else 1.0
        node = context.Process(
            target=main,
            args=(
                Order(
                    where=self.where,
                    folder=str(self.folder),
                    number=number,
                    callers=CALLERS // NODES + (number < CALLERS % NODES),
                    seed=self.chance.randrange(2**32),
                    began=self.began,
                    shift=self.chance.uniform(-7200, 7200) if fault < 0.1 else 0.0,
                    room=self.chance.randrange(1, 200_000) if 0.1 <= fault < 0.2 and is_file(self.where) else 0,
                ),
            ),
            daemon=True,
        )
        node.start()
        return node

    def working(self, node: Any) -> None:
        """Return when the node has begun to work, has given up, or has had its time."""
        end = time.monotonic() + 5
        while node.is_alive() and time.monotonic() < end and not (self.folder / f"ready-{node.pid}").exists():
            time.sleep(0.005)

    def hold(self, seconds: float) -> None:
        """Let everybody wait for the store, beside the others."""

        def holding() -> None:
            with suppress(sqlite3.Error, psycopg.Error):
                if is_file(self.where):
                    db = sqlite3.connect(self.where, isolation_level=None, timeout=5)
                    db.execute("BEGIN IMMEDIATE")
                    time.sleep(seconds)
                    db.execute("ROLLBACK")
                    db.close()
                else:
                    with psycopg.connect(self.where) as pg:
                        pg.execute("LOCK TABLE interlock_approvals_clock, audit_heads IN ACCESS EXCLUSIVE MODE")
                        time.sleep(seconds)

        Thread(target=holding, daemon=True).start()

    def effects(self) -> int:
        return sum(file.read_bytes().count(b"\n") for file in self.folder.glob("effects-*"))
