"""The chain as two pure functions: `link` makes the next record, `verify` finds what was done to a chain.

Editing, deleting, inserting and reordering break a link. Cutting off the end breaks none: that shows only against a
head that was noted elsewhere (`known`). So does a chain that somebody who can write the store computed anew; a signed
checkpoint that is kept elsewhere is such a note (`audit.verify`).

A record whose personal parts are gone must name the record of the erasure, which in turn counts what it erased and
holds a running hash of the numbers: nothing is erased in silence.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from json.encoder import encode_basestring as quote
from typing import TypeAlias

from interlock.audit.canonical import encode
from interlock.audit.commitment import SALT, commit, parted
from interlock.audit.errors import AuditError
from interlock.audit.record import DIGEST, EMPTY, Head, Record, Row, entry, leaf

ERASE = "erase"  # kind of the record that an erasure leaves
RETENTION = "retention"  # kind of the record that says which old records were dropped
_record = tuple.__new__  # a third of the time of `Record(…)`


@dataclass(frozen=True, slots=True)
class Verified:
    """Every record up to `head` is as it was written; a signed checkpoint vouches for the first `anchored`."""

    head: Head
    anchored: int = 0


@dataclass(frozen=True, slots=True)
class Broken:
    """The chain does not hold: the first thing wrong is at record `seq`."""

    seq: int
    why: str


Verdict: TypeAlias = Verified | Broken


def link(
    head: Head, *, at: float, kind: str, run: str, body: Mapping[str, object], salt: str = "", stream: str = ""
) -> Record:
    """The record that follows `head`. Its body is a copy. `salt`: fresh random hex digits, for a record about a run.

    Raises:
        AuditError: `body` or `at` is nothing that JSON carries, or there is no salt.
    """
    try:
        moment = float(at) + 0.0  # -0.0 would come back from a database as 0
        if not math.isfinite(moment):
            raise ValueError(f"`{at}` is no time")  # noqa: TRY301 - one error for all that is no record
        stays, private = parted(run, body)
        text = encode(stays)
        personal = encode(private) if private else ""
        commitment = commit(salt, personal) if personal else ""
        last, previous = head
        seq = last + 1
        digest = leaf(entry(stream, seq, moment, kind, run, text, commitment, previous))
    except (TypeError, ValueError, RecursionError) as error:
        raise AuditError(f"the record `{kind}` is no JSON: {error}") from None
    if not personal:
        salt = ""
    elif len(salt) != SALT:
        raise AuditError(f"the record `{kind}` has personal parts and needs a salt of {SALT} hex digits")
    return _record(Record, (stream, seq, moment, kind, run, text, commitment, previous, digest, salt, personal, 0))


@dataclass(slots=True)
class Tally:
    """What one erasure took, up to here: how many records, and a running hash of their numbers."""

    count: int = 0
    running: bytes = b""

    def add(self, seq: int) -> None:
        """Record `seq` was erased."""
        self.count += 1
        self.running = sha256(self.running + str(seq).encode()).digest()


@dataclass(slots=True)
class Walk:
    """Walks along a chain from `head`; `leaves` are the digests that it met since somebody last took them."""

    head: Head = EMPTY
    stream: str = ""
    whole: bool = True  # from the beginning of what is kept; only then it is known what an erasure took
    tallies: dict[int, Tally] = field(default_factory=dict)  # by the number of the erasure
    dropped: int = 0  # all records up to here were dropped, says a record
    leaves: list[str] = field(default_factory=list)

    def along(self, rows: Iterable[Row]) -> Broken | None:
        """The first thing wrong with `rows`, or None; then `head` is their last."""
        last, digest = self.head
        leaves, ours = self.leaves, quote(self.stream)
        for stream, seq, at, kind, run, text, commitment, previous, claimed, salt, personal, erased in rows:
            if seq != last + 1:
                return Broken(last + 1, f"record {last + 1} is missing; {seq} stands in its place")
            if stream != self.stream:
                return Broken(seq, f"record {seq} is of another stream")
            if previous != digest:
                return Broken(seq, f"record {seq} does not follow record {last}")
            try:
                # As `entry` and `leaf` do it, without the two calls.
                made = f'\x00[{ours},{seq},{at!r},{quote(kind)},{quote(run)},"{commitment}","{previous}",{text}]'
                whole = sha256(made.encode()).hexdigest() == claimed
                kept = not personal or sha256(f"\x02{salt}{personal}".encode()).hexdigest() == commitment
            except (TypeError, ValueError):
                return Broken(seq, f"record {seq} is no text")
            if not whole or not kept or len(commitment) not in {0, DIGEST}:
                return Broken(seq, f"record {seq} was changed")
            if commitment and not personal:
                if erased <= seq:
                    return Broken(seq, f"record {seq} lost its personal parts, and no record says why")
                self.tallies.setdefault(erased, Tally()).add(seq)
            elif erased or (personal and len(salt) != SALT):
                return Broken(seq, f"record {seq} was changed")
            last, digest = seq, claimed
            leaves.append(claimed)
            if kind in {ERASE, RETENTION} and (flaw := self._notice(seq, kind, text)):
                return flaw
        self.head = Head(last, digest)
        return None

    def end(self) -> Broken | None:
        """What is wrong although every record is in its place."""
        for number, tally in sorted(self.tallies.items() if self.whole else ()):
            return Broken(number, f"{tally.count} records were erased by record {number}, which is no erasure")
        return None

    def _notice(self, seq: int, kind: str, text: str) -> Broken | None:
        try:
            said = json.loads(text)
            if kind == RETENTION:
                self.dropped = max(self.dropped, int(said["through"]))
                return None
            tally = self.tallies.pop(seq, Tally())
            if not self.whole or (said["count"], said["records"]) == (tally.count, tally.running.hex()):
                return None
        except (TypeError, ValueError, KeyError):
            return Broken(seq, f"record {seq} does not say what it must")
        return Broken(seq, f"record {seq} erased {said['count']} records, and others lost their personal parts")


def verify(records: Iterable[Row], *, start: Head = EMPTY, known: Head | None = None, stream: str = "") -> Verdict:
    """Whether `records` continue `start` without a flaw and, if `known` is given, contain that head."""
    walk, met = Walk(start, stream, whole=start == EMPTY), known is None or known == start
    for page in pages(records):
        before = walk.head.seq
        if flaw := walk.along(page):
            return flaw
        if known is not None and before < known.seq <= walk.head.seq:
            if walk.leaves[known.seq - before - 1] != known.digest:
                return Broken(known.seq, f"record {known.seq} is not the one that was noted")
            met = True
        walk.leaves.clear()
    if flaw := walk.end():
        return flaw
    if known is not None and not met:
        return Broken(walk.head.seq + 1, f"the chain ends at record {walk.head.seq}; record {known.seq} was noted")
    return Verified(walk.head)


def pages(records: Iterable[Row], size: int = 500) -> Iterator[list[Row]]:
    """`records` in lists of `size`."""
    rest = iter(records)
    while page := list(islice(rest, size)):
        yield page
