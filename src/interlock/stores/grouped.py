"""An audit whose `append` does not wait for the disk, over one that does.

`append` links the record and queues it; a writer thread puts the queue on the disk, one group a transaction. While a
group is written the next one gathers, so a busy service pays for one flush a group and a quiet one waits for nobody.
Whoever is about to let an effect happen waits first: `settled(record)`, or `await aflush(record)` (M3).

Fails closed (M4): a full queue blocks, for `patience` seconds, and then refuses. If the store takes no group for that
long, the writer is dead: what was not on the disk never will be, and every append and every wait raises. The stream is
this process's alone; a second writer in it is such a failure. After a fork the child has no writer, and is told so.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Condition, Thread
from typing import Protocol, TypeVar

from interlock.audit import chain
from interlock.audit.erasure import Erasure
from interlock.audit.errors import AuditError
from interlock.audit.record import EMPTY, Head, Record
from interlock.stores.salt import fresh

Done = TypeVar("Done")


class Store(Protocol):
    """`SqliteAudit`, `PostgresAudit`, `MemoryAudit`."""

    stream: str

    def head(self) -> Head:
        """The end of the chain."""
        ...

    def extend(self, records: Sequence[Record]) -> None:
        """Put linked records on the disk, all or none."""
        ...

    def erase(self, principal: str, *, by: str, why: str = "") -> Erasure:
        """Erase what the records of `principal` say."""
        ...

    def drop(self, *, by: str) -> Record:
        """Drop the records up to the latest checkpoint."""
        ...


class GroupedAudit:
    """The audit port over `store`, which nobody else writes to in its stream."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
        linger: float = 0.05,
        group: int = 1000,
        queue: int = 20_000,
        patience: float = 5.0,
    ) -> None:
        """`linger` (s): how long records gather while nobody waits for them; `group` and `queue`: records.

        Raises:
            AuditError: the store cannot say where its chain ends.
        """
        self.stream = store.stream
        self._store = store
        self._clock = clock
        self._linger = linger
        self._group = group
        self._bound = queue
        self._patience = patience
        self._condition = Condition()
        self._waiting = 0
        self._sleepers: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._queue: list[Record] = []
        self._lost: set[str] = set()  # digests of records that were never on the disk
        self._life = self._written = 0
        self._head = EMPTY
        self._dead = ""
        self._contested = False
        self._closing = False
        self._pid = 0
        self._writer = Thread()
        self._open()

    def append(self, kind: str, run: str, body: Mapping[str, object]) -> Record:
        """The next record of the chain; it is not yet on the disk.

        Raises:
            AuditError: it is no record, the queue is full, or the writer is dead.
        """
        with self._condition:
            queue = self._queue
            if len(queue) >= self._bound:
                self._condition.wait_for(self._room, self._patience)
                queue = self._queue
            self._check()
            if len(queue) >= self._bound:
                raise AuditError(f"the audit is {self._bound} records behind its store")
            record = chain.link(
                self._head, at=self._clock(), kind=kind, run=run, body=body, salt=fresh(), stream=self.stream
            )
            self._head = record.head
            queue.append(record)
            if len(queue) == 1 or len(queue) == self._group:
                self._condition.notify_all()
        return record

    def settled(self, record: Record) -> None:
        """Return once `record` is on the disk.

        Raises:
            AuditError: it is not, and will not be.
        """
        self._wait(record)

    def flush(self) -> None:
        """Return once everything that was appended, since `reopen` if there was one, is on the disk.

        Raises:
            AuditError: something is not, and will not be.
        """
        self._wait(None)

    async def aflush(self, record: Record | None = None) -> None:
        """The same for coroutines: wait for `record`, or for everything, without holding a thread.

        Raises:
            AuditError: it is not on the disk, and will not be.
        """
        sleeper = (asyncio.get_running_loop(), asyncio.Event())
        with self._condition:
            seq, life = self._wanted(record)
            if self._done(seq, life):
                return
            self._waiting += 1
            self._sleepers.append(sleeper)
            self._condition.notify_all()
        try:
            while True:
                await sleeper[1].wait()
                sleeper[1].clear()
                with self._condition:
                    if self._done(seq, life):
                        return
        finally:
            with self._condition:
                self._waiting -= 1
                self._sleepers.remove(sleeper)

    def head(self) -> Head:
        """The end of the chain, on the disk or not."""
        return self._head

    @property
    def dead(self) -> str:
        """Why nothing is taken any more; empty while all is well."""
        return self._dead

    @property
    def contested(self) -> bool:
        """Whether it gave up because somebody else writes to its stream: then it must not go on."""
        return self._contested

    def reopen(self) -> None:
        """Go on from what the store has, after the writer died; what was not on the disk is forgotten.

        Raises:
            AuditError: the store is still away.
        """
        with self._condition:
            if self._dead and not self._writer.is_alive():
                self._open()

    def erase(self, principal: str, *, by: str, why: str = "") -> Erasure:
        """Erase what the records of `principal` say, between two groups: this process alone writes to its stream.

        Raises:
            AuditError: it could not be done.
        """
        return self._between(lambda: self._store.erase(principal, by=by, why=why))

    def drop(self, *, by: str) -> Record:
        """Drop the records up to the latest checkpoint, between two groups.

        Raises:
            AuditError: it could not be done.
        """
        return self._between(lambda: self._store.drop(by=by))

    def close(self) -> None:
        """Put everything on the disk and stop.

        Raises:
            AuditError: something is not on the disk, and will not be.
        """
        try:
            if not self._dead:
                self.flush()
        finally:
            with self._condition:
                self._closing = True
                self._dead = self._dead or "it was closed"
                self._condition.notify_all()
            self._writer.join()

    def _between(self, work: Callable[[], Done]) -> Done:
        with self._condition:
            self._waiting += 1
            self._condition.notify_all()
            try:
                self._condition.wait_for(lambda: not self._queue or bool(self._dead))
            finally:
                self._waiting -= 1
            self._check()
            try:
                return work()  # with the lock in hand: nobody appends meanwhile
            finally:
                self._head = self._store.head()
                self._written = self._head.seq

    def _open(self) -> None:
        self._head = self._store.head()
        self._written = self._head.seq
        self._lost.update(r.digest for r in self._queue)
        self._queue = []
        self._life += 1
        self._dead = ""
        self._closing = False
        self._pid = os.getpid()
        self._writer = Thread(target=self._write, name="interlock-audit", daemon=True)
        self._writer.start()

    def _check(self) -> None:
        if self._pid != os.getpid():
            raise AuditError("this audit was opened before a fork; open one in each process")
        if self._dead:
            raise AuditError(f"the audit takes no more records: {self._dead}", hint="no record, no call")

    def _room(self) -> bool:
        return len(self._queue) < self._bound or bool(self._dead)

    def _wanted(self, record: Record | None) -> tuple[int, int]:
        if record is not None and record.digest in self._lost:
            raise AuditError(f"record {record.seq} never reached the disk")
        return (record.seq if record is not None else self._head.seq), self._life

    def _done(self, seq: int, life: int) -> bool:
        """Record `seq` is on the disk; raises if it never will be."""
        if self._life != life:
            raise AuditError(f"record {seq} never reached the disk")
        if self._written < seq:
            self._check()
        return self._written >= seq

    def _wait(self, record: Record | None) -> None:
        with self._condition:
            seq, life = self._wanted(record)
            if self._done(seq, life):
                return
            self._waiting += 1
            self._condition.notify_all()
            try:
                self._condition.wait_for(lambda: self._done(seq, life))
            finally:
                self._waiting -= 1

    # the writer

    def _write(self) -> None:
        while group := self._next():
            why = self._put(group)
            with self._condition:
                if why:
                    self._dead = why
                else:
                    self._written = group[-1].seq
                    del self._queue[: len(group)]
                self._wake()
                if why:
                    return

    def _next(self) -> list[Record]:
        """The next group; empty if there will be none."""
        with self._condition:
            self._condition.wait_for(lambda: self._queue or self._closing)
            if not self._closing:
                self._condition.wait_for(
                    lambda: self._waiting or self._closing or len(self._queue) >= self._group, self._linger
                )
            return [] if self._closing else self._queue[: self._group]

    def _put(self, group: list[Record]) -> str:
        """Put `group` on the disk; why that is not possible, or nothing.

        A store that went away in the middle may have taken it all the same, so before each new try it is asked.
        """
        end = time.monotonic() + self._patience
        before, after = Head(group[0].seq - 1, group[0].previous), group[-1].head
        tried = False
        while True:
            try:
                if tried and self._store.head() == after:
                    return ""
                self._store.extend(group)
            except Exception as error:  # noqa: BLE001 - the border of a thread: whatever it is, nothing more is taken
                why = f"{type(error).__name__}: {error}"
            else:
                return ""
            if self._moved({before, after}):
                self._contested = True
                return why
            if time.monotonic() > end:
                return why
            tried = True
            time.sleep(0.05)

    def _moved(self, expected: set[Head]) -> bool:
        """Somebody else wrote to the stream: no try will help."""
        try:
            return self._store.head() not in expected
        except Exception:  # noqa: BLE001 - the same border: it is still away
            return False

    def _wake(self) -> None:
        self._condition.notify_all()
        for loop, woken in self._sleepers:
            try:
                loop.call_soon_threadsafe(woken.set)
            except RuntimeError:  # its loop was closed; nobody waits there any more
                continue
