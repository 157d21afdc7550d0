"""The approval port over a store: a question is posted, somebody answers it from anywhere, the call that waits goes on.

`ask` waits a while. If nobody has answered by then the question stays open, and the same call, made again in the same
run, is let through once it is approved: by this process, by its successor, or by another on the same store. The
approval is used up before the call is made. Who dies in between leaves a used approval and no effect, never two.

What is returned is an answer to the monitor's question, no permit: the monitor decides anew, on the facts and rules
that hold by then, and refuses what the human was not shown.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Protocol, cast

from interlock.approvals.approvers import Approvers
from interlock.approvals.entry import Entry, Given, Standing, Terms
from interlock.approvals.errors import Settled, StillPending
from interlock.approvals.shown import content_of, doubts_of, kept_of
from interlock.kernel.call import Json
from interlock.monitor.errors import ApprovalError
from interlock.monitor.ports import Redactor
from interlock.monitor.question import Answer, Question, no, yes
from interlock.policy.part_approvals import ApprovalsPart


class ApprovalStore(Protocol):
    """Keeps approvals: see `book.Book`. Raising: nobody has approved anything."""

    def post(
        self,
        ref: str,
        terms: Terms,
        content: Mapping[str, object],
        kept: Mapping[str, object],
        *,
        life: float,
        most: int,
        most_per_run: int,
    ) -> Entry:
        """The question that covers this call, new or open already."""
        ...

    def pending(self) -> tuple[Entry, ...]:
        """Questions that wait for an answer."""
        ...

    def get(self, ref: str) -> tuple[Entry, Standing]:
        """One of them, and how it stands."""
        ...

    def answer(self, ref: str, given: Given) -> tuple[Entry, Standing]:
        """Store an answer."""
        ...

    def consume(self, ref: str, terms: Terms) -> Entry | None:
        """Use an approval, once in its life."""
        ...

    def last(self, tool: str) -> Entry | None:
        """The last approved call of a tool."""
        ...

    def version(self) -> int:
        """A number that grows with every change."""
        ...

    def wait(self, since: int, timeout: float) -> int:
        """The version as soon as it is another one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Times in seconds, and how much a human is asked to read at once."""

    wait: float = 60.0
    life: float = 3600.0
    most: int = 200  # open questions in all
    most_per_run: int = 10

    def __post_init__(self) -> None:
        if not (self.wait >= 0 and self.life > 0 and self.most > 0 and self.most_per_run > 0):
            raise ApprovalError("a wait is 0 s or more, a life longer than that, and at least one question may be open")


def limits_of(part: ApprovalsPart) -> Limits:
    """What the manifest says of times and numbers."""
    return Limits(wait=part.wait, life=part.expires, most=part.most, most_per_run=part.most_per_run)


class StoredApprovals:
    """The approval port; `asynchronous` is the same for event loops."""

    def __init__(
        self,
        store: ApprovalStore,
        *,
        policy: str,
        redact: Redactor,
        approvers: Approvers | None = None,
        limits: Limits | None = None,
        posted: Callable[[Entry], None] | None = None,
    ) -> None:
        """`policy` is the digest of what decides: an approval under another one is worth nothing here.

        `posted` is told of each new question, and must not wait: see `webhook`.
        """
        self._store, self._policy, self._redact = store, policy, redact
        self._approvers = approvers or Approvers()
        self._limits = limits or Limits()
        self._posted = posted
        self._watch = Watch(store)

    @property
    def asynchronous(self) -> AsyncStoredApprovals:
        """The same, asked from an event loop."""
        return AsyncStoredApprovals(self)

    def ask(self, question: Question) -> Answer:
        """The answer of those who may give it, once.

        Raises:
            StillPending: nobody answered in time; the question stays open.
            ApprovalError: too many questions are open, or the approval was used by another call.
            StoreError: the store is away.
        """
        entry, terms = self.post(question)
        done = Event()
        with self._watch.on(entry.id, done.set):
            self._watch.look(entry.id, done.set)  # it may have been answered before anybody watched
            done.wait(self._limits.wait)
        return self.conclude(question, entry.id, terms)

    def post(self, question: Question) -> tuple[Entry, Terms]:
        """Store `question`, unless one is open (or answered) that covers it."""
        terms = Terms(
            digest=question.digest,
            policy=self._policy,
            tool=question.tool,
            agent=question.agent,
            principal=question.principal,
            run=question.run,
            rules=frozenset(question.rules),
            doubts=doubts_of(question),
            need=self._approvers.need(question.tool),
        )
        content = content_of(question)
        limits = self._limits
        entry = self._store.post(
            question.id,
            terms,
            content,
            kept_of(cast("Json", content["arguments"]), self._redact, secrets.token_hex(16)),
            life=limits.life,
            most=limits.most,
            most_per_run=limits.most_per_run,
        )
        if entry.id == question.id and self._posted is not None:
            self._posted(entry)
        return entry, terms

    def pending(self, ref: str) -> bool:
        """Whether the question `ref` still waits for an answer."""
        _, standing = self._store.get(ref)
        return standing == "pending"

    def conclude(self, question: Question, ref: str, terms: Terms) -> Answer:
        """What the question `ref` has come to; a yes is used up by this."""
        used = self._store.consume(ref, terms)
        if used is not None:
            return yes(question, ", ".join(sorted(used.yeses(terms.need))))
        entry, standing = self._store.get(ref)
        if standing == "denied":
            return no(question, entry.denier)
        if standing == "pending":
            told = f"nobody answered within {self._limits.wait:g} s; the question stays open"
            raise StillPending(f"{told} as `{ref}`", ref=ref)
        raise Settled(f"the approval `{ref}` is {standing} and not good for this call")

    def close(self) -> None:
        """Let nobody wait any longer; what is open stays open."""
        self._watch.close()

    async def wait_for(self, ref: str) -> None:
        """Return when `ref` is settled, or after the wait."""
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def settled() -> None:
            loop.call_soon_threadsafe(done.set)

        with self._watch.on(ref, settled):
            await asyncio.to_thread(self._watch.look, ref, settled)
            try:
                await asyncio.wait_for(done.wait(), self._limits.wait)
            except TimeoutError:
                return


@dataclass(frozen=True, slots=True)
class AsyncStoredApprovals:
    """`StoredApprovals` for `acall` and `aapprove`: no thread waits for a human."""

    inner: StoredApprovals

    async def ask(self, question: Question) -> Answer:
        """As `StoredApprovals.ask`."""
        entry, terms = await asyncio.to_thread(self.inner.post, question)
        await self.inner.wait_for(entry.id)
        return await asyncio.to_thread(self.inner.conclude, question, entry.id, terms)


@dataclass(slots=True)
class Watch:
    """One thread that looks at the store while anybody waits, however many do."""

    store: ApprovalStore
    _lock: Lock = field(default_factory=Lock)
    _waiting: dict[object, tuple[str, Callable[[], None]]] = field(default_factory=dict)
    _running: bool = False
    _closed: bool = False
    _pause: Event = field(default_factory=Event)

    @contextmanager
    def on(self, ref: str, settled: Callable[[], None]) -> Iterator[None]:
        """Inside, `settled` is called (maybe twice) once the question `ref` is not pending any more."""
        token = object()
        with self._lock:
            self._waiting[token] = (ref, settled)
            if self._closed:
                settled()
            elif not self._running:
                self._running = True
                Thread(target=self._look, name="interlock-approvals", daemon=True).start()
        try:
            yield
        finally:
            with self._lock:
                del self._waiting[token]

    def close(self) -> None:
        """Wake all who wait, and whoever will."""
        with self._lock:
            self._closed = True
            waiting = tuple(self._waiting.values())
        self._pause.set()
        for _, settled in waiting:
            settled()

    def _look(self) -> None:
        version = -1
        while True:
            with self._lock:
                waiting = tuple(self._waiting.values())
                if not waiting or self._closed:
                    self._running = False
                    return
            try:
                for ref, settled in waiting:
                    self.look(ref, settled)
                version = self.store.wait(version, 1.0)  # not longer: a question also expires
            except Exception:  # noqa: BLE001 - a store: who waits goes on waiting, and is refused in the end
                self._pause.wait(0.5)

    def look(self, ref: str, settled: Callable[[], None]) -> None:
        """Call `settled` if the question `ref` is not pending."""
        try:
            _, standing = self.store.get(ref)
        except ApprovalError:
            settled()
            return
        if standing != "pending":
            settled()
