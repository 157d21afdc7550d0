"""What every store of approvals does, over the few rows that an engine keeps.

One transaction reads, judges and writes, with the book's lock in hand: of all who ask at once for one approval, one
gets it. An engine that stops anywhere in between has changed nothing.

A clock that is set back makes the past last longer, so the latest time that was ever seen is stored; whoever finds an
earlier one starts a new epoch, in which every older question has expired.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol

from interlock.approvals import entry as rules
from interlock.approvals.entry import Entry, Given, Moment, Seal, Standing, Terms, decode, encode
from interlock.approvals.errors import NoSuchApproval, Settled, Tampered, TooMany
from interlock.monitor.errors import ApprovalError

SLACK = 1.0  # seconds by which clocks of one machine may differ
RETENTION = 90 * 86_400.0  # seconds for which settled entries stay, redacted
ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
OPEN = frozenset({"pending", "granted"})


def moment_at(now: float, latest: float, epoch: int) -> Moment:
    """The moment at which the clock says `now` and has said `latest` before, in `epoch`.

    Raises:
        ApprovalError: it is no time.
    """
    if not math.isfinite(now):
        raise ApprovalError("the clock gives no time, so nothing is known to be unexpired")
    if now >= latest - SLACK:
        return Moment(max(now, latest), epoch)
    return Moment(now, epoch + 1)


class Rows(Protocol):
    """What an engine can do inside a transaction. Bodies are text."""

    def moment(self) -> Moment:
        """The time of this transaction."""
        ...

    def body(self, ref: str, /) -> str | None:
        """What is stored under `ref`."""
        ...

    def bodies(self, digest: str, /) -> Sequence[str]:
        """What is stored for a call and neither used nor expired, newest first."""
        ...

    def opened(self) -> Sequence[tuple[str, str]]:
        """(ref, body) of every open question, oldest first."""
        ...

    def last(self, tool: str, /) -> str | None:
        """The used approval of `tool` that was asked for last."""
        ...

    def put(self, row: Row, /) -> None:
        """Write a row, which may be there, and wake who waits."""
        ...

    def forget(self, before: float, /) -> None:
        """Delete what was settled and asked before."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An entry as it is found again; the body alone counts."""

    id: str
    digest: str
    tool: str
    standing: Standing  # `open` questions are pending or granted
    asked: float
    body: str


class Book(ABC):
    """The store of approvals; engines say how a transaction is made and how one waits."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    @abstractmethod
    def _changing(self) -> AbstractContextManager[Rows]:
        """A transaction that excludes all others of this book."""

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Rows]:
        """A view; its `moment` changes nothing."""

    @abstractmethod
    def version(self) -> int:
        """A number that grows with every change."""

    @abstractmethod
    def wait(self, since: int, timeout: float) -> int:
        """The version as soon as it is not `since`, or after `timeout` (s)."""

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
        """The open (or denied) question that covers this call, or a new one, open for `life` seconds.

        What was open for the call and does not cover it, because rules, doubts or needs are others now, has expired.

        Nobody may keep the others from asking: one principal of an agent gets a quarter of `most`.

        Raises:
            TooMany: `most` questions are open, `most_per_run` of this run, or too many of this principal.
            StoreError: it could not be stored.
        """
        with self._changing() as rows:
            moment = rows.moment()
            open_now = self._sweep(rows, moment)
            for old in self._sound(rows.bodies(terms.digest)):
                if old.terms.cover(terms) and old.terms.need == terms.need:
                    if old.standing(moment) in OPEN or (old.standing(moment) == "denied" and _fresh(old, moment)):
                        return old
                elif old.standing(moment) in OPEN:
                    self._put(rows, replace(old, expires=moment.now), moment)
            theirs = [e for e in open_now if (e.terms.agent, e.terms.principal) == (terms.agent, terms.principal)]
            runs = sum(e.terms.run == terms.run for e in theirs)
            if len(open_now) >= most or runs >= most_per_run or len(theirs) >= max(most_per_run, most // 4):
                counts = f"{len(open_now)}, {len(theirs)} of this principal, {runs} of this run"
                raise TooMany(f"too many questions are open ({counts}); answer those first")
            if not ID.fullmatch(ref) or rows.body(ref) is not None:
                raise ApprovalError(f"the id `{ref[:80]!a}` is none, or was used before")
            new = Entry(
                id=ref,
                terms=terms,
                asked=moment.now,
                expires=moment.now + life,
                epoch=moment.epoch,
                content=content,
                kept=kept,
            )
            self._put(rows, new, moment)
            return new

    def pending(self) -> tuple[Entry, ...]:
        """Questions that wait for an answer, oldest first. What was tampered with is not among them."""
        with self._reading() as rows:
            moment = rows.moment()
            return tuple(e for e in self._sound(body for _, body in rows.opened()) if e.standing(moment) == "pending")

    def damaged(self) -> tuple[str, ...]:
        """Ids of open rows that are not what was written."""
        with self._reading() as rows:
            return tuple(ref for ref, body in rows.opened() if self._read(body, ref) is None)

    def get(self, ref: str) -> tuple[Entry, Standing]:
        """What is stored under `ref`, and how it stands.

        Raises:
            NoSuchApproval: nothing.
            Tampered: not what was written.
        """
        with self._reading() as rows:
            found = self._load(rows, ref)
            return found, found.standing(rows.moment())

    def answer(self, ref: str, given: Given) -> tuple[Entry, Standing]:
        """Store what `given.by` answers; the same answer twice is one.

        Raises:
            NoSuchApproval, NotYours, Settled, Tampered: nothing changed.
        """
        with self._changing() as rows:
            moment = rows.moment()
            before = self._load(rows, ref)
            after = rules.answered(before, given, moment)
            if after is not before:
                self._put(rows, after, moment)
            return after, after.standing(moment)

    def consume(self, ref: str, terms: Terms) -> Entry | None:
        """The approval `ref`, used from now on, if it is good for the call of `terms`; else None. Once in its life.

        Raises:
            StoreError: nobody knows whether it was used; it is not to be acted on.
        """
        with self._changing() as rows:
            moment = rows.moment()
            try:
                found = self._load(rows, ref)
            except (NoSuchApproval, Tampered):
                return None
            used = rules.spent(found, terms, moment)
            if used is not None:
                self._put(rows, used, moment)
            return used

    def last(self, tool: str) -> Entry | None:
        """The last call of `tool` that was approved and made."""
        with self._reading() as rows:
            body = rows.last(tool)
            return None if body is None else self._read(body)

    def withdraw(self, ref: str) -> None:
        """Let an open question expire now: nobody is going to make the call.

        Raises:
            NoSuchApproval: nothing is stored under `ref`.
            Settled: it is not open.
        """
        with self._changing() as rows:
            moment = rows.moment()
            found = self._load(rows, ref)
            if found.standing(moment) not in OPEN:
                raise Settled(f"`{ref}` is {found.standing(moment)}")
            self._put(rows, replace(found, expires=moment.now), moment)

    def _sweep(self, rows: Rows, moment: Moment) -> list[Entry]:
        """Open questions, those that have expired put away."""
        still = []
        for found in self._sound(body for _, body in rows.opened()):
            if found.standing(moment) in OPEN:
                still.append(found)
            else:
                self._put(rows, found, moment)
        rows.forget(moment.now - RETENTION)
        return still

    def _put(self, rows: Rows, entry: Entry, moment: Moment) -> None:
        entry = rules.settled(entry, moment)
        terms = entry.terms
        rows.put(
            Row(
                id=entry.id,
                digest=terms.digest,
                tool=terms.tool,
                standing=entry.standing(moment),
                asked=entry.asked,
                body=encode(entry, self._seal),
            )
        )

    def _load(self, rows: Rows, ref: str) -> Entry:
        body = rows.body(ref) if ID.fullmatch(ref) else None
        if body is None:
            raise NoSuchApproval(f"there is no approval `{ref[:80]!a}`")
        found = decode(body, self._seal)
        if found.id != ref:
            raise Tampered(f"what is stored as `{ref}` is another approval")
        return found

    def _read(self, body: str, ref: str = "") -> Entry | None:
        try:
            found = decode(body, self._seal)
        except Tampered:
            return None
        return found if ref in {"", found.id} else None

    def _sound(self, bodies: Iterable[str]) -> list[Entry]:
        return [found for body in bodies if (found := self._read(body)) is not None]


def _fresh(entry: Entry, moment: Moment) -> bool:
    """A no counts as long as the question would have."""
    return entry.epoch == moment.epoch and moment.now < entry.expires
