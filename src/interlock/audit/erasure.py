"""Erasing what a principal's records say, and dropping old records: which, and the records that tell of it.

An erasure takes the personal parts of every record of the principal's runs. Its own record keeps how many it took, a
running hash of their numbers, and a commitment to the principal's name whose salt nobody keeps but the person who asked
(`receipt`): with it they can show that the erasure was theirs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from interlock.audit.base import Base
from interlock.audit.canonical import encode
from interlock.audit.chain import ERASE, RETENTION, Tally, link
from interlock.audit.commitment import commit
from interlock.audit.errors import AuditError
from interlock.audit.record import Head, Record


@dataclass(frozen=True, slots=True)
class Erasure:
    """The `record` of an erasure, how many records it took, and the `receipt` for whoever asked for it."""

    record: Record
    count: int
    receipt: str


def concerned(records: Callable[[], Iterable[Record]], principal: str) -> list[int]:
    """The numbers of the records with personal parts that belong to `principal`: theirs, and those of their runs."""
    name = json.dumps(principal, ensure_ascii=False)
    runs = {r.run for r in records() if name in r.personal and r.body.get("principal") == principal}
    found = (r for r in records() if r.personal and r.run in runs)
    return [r.seq for r in found if '"principal":' not in r.personal or r.body.get("principal", principal) == principal]


def erasure(
    head: Head, seqs: Iterable[int], principal: str, *, by: str, why: str, at: float, salt: str, stream: str
) -> Erasure:
    """The record to be written before `seqs` lose their personal parts."""
    tally = Tally()
    for seq in sorted(seqs):
        tally.add(seq)
    subject = commit(salt, encode({"principal": principal}))
    body = {"count": tally.count, "records": tally.running.hex(), "subject": subject, "by": by, "why": why}
    return Erasure(link(head, at=at, kind=ERASE, run="", body=body, stream=stream), tally.count, salt)


def retention(head: Head, base: Base, *, by: str, at: float, stream: str) -> Record:
    """The record to be written before the records up to `base` are dropped.

    Raises:
        AuditError: no signed checkpoint stands there, or nothing would be left.
    """
    if not base.note or not 0 < base.head.seq <= head.seq:
        raise AuditError("records are dropped up to a signed checkpoint only; make one first")
    body = {"through": base.head.seq, "head": base.head.digest, "root": base.frontier.root.hex(), "by": by}
    return link(head, at=at, kind=RETENTION, run="", body=body, stream=stream)


def tallies(records: Iterable[Record], old: Base, new: Base) -> dict[int, Tally]:
    """What erasures took of the records up to `new` that are on record behind it."""
    found = {n: Tally(t.count, t.running) for n, t in old.tallies.items() if n > new.head.seq}
    for r in records:
        if r.seq > new.head.seq:
            break
        if r.erased > new.head.seq:
            found.setdefault(r.erased, Tally()).add(r.seq)
    return found
