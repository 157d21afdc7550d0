"""The chain as two pure functions: `link` makes the next record, `verify` finds what was done to a chain.

Editing, deleting, inserting and reordering break a link. Cutting off the end breaks none: that shows only against a
head that was noted elsewhere (`known`). So does a chain that somebody who can write the store computed anew; a signed
head is such a note.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeAlias

from interlock.audit.errors import AuditError
from interlock.audit.record import EMPTY, Head, Record
from interlock.kernel.call import canonical


@dataclass(frozen=True, slots=True)
class Verified:
    """Every record up to `head` is as it was written."""

    head: Head


@dataclass(frozen=True, slots=True)
class Broken:
    """The chain does not hold: the first thing wrong is at record `seq`."""

    seq: int
    why: str


Verdict: TypeAlias = Verified | Broken


def link(head: Head, *, at: float, kind: str, run: str, body: Mapping[str, object]) -> Record:
    """The record that follows `head`. Its body is a copy.

    Raises:
        AuditError: `body` or `at` is nothing that JSON carries.
    """
    try:
        copy = json.loads(canonical(dict(body)))
        draft = Record(
            seq=head.seq + 1,
            at=float(at) + 0.0,  # -0.0 would come back from a database as 0
            kind=kind,
            run=run,
            body=MappingProxyType(copy),
            previous=head.digest,
            digest="",
        )
        return replace(draft, digest=draft.computed())
    except (TypeError, ValueError, RecursionError) as error:
        raise AuditError(f"the record `{kind}` is no JSON: {error}") from None


def verify(records: Iterable[Record], *, start: Head = EMPTY, known: Head | None = None) -> Verdict:
    """Whether `records` continue `start` without a flaw and, if `known` is given, contain that head."""
    head = start
    met = known is None or known == start
    for record in records:
        if record.seq != head.seq + 1:
            return Broken(head.seq + 1, f"record {head.seq + 1} is missing; {record.seq} stands in its place")
        if record.previous != head.digest:
            return Broken(record.seq, f"record {record.seq} does not follow record {head.seq}")
        try:
            computed = record.computed()
        except (TypeError, ValueError, RecursionError):
            return Broken(record.seq, f"record {record.seq} is no JSON")
        if record.digest != computed:
            return Broken(record.seq, f"record {record.seq} was changed")
        head = Head(record.seq, record.digest)
        if known is not None and head.seq == known.seq:
            if head != known:
                return Broken(record.seq, f"record {record.seq} is not the one that was noted")
            met = True
    if known is not None and not met:
        return Broken(head.seq + 1, f"the chain ends at record {head.seq}; record {known.seq} was noted")
    return Verified(head)
