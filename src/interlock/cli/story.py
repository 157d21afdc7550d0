"""The records of an audit that belong to one call, put together: decision, question, answer, endorsements, outcome.

An approval leaves a chain: the decision that asks, `asked`, `answer`, `endorse` for each value, a second decision, and
the `outcome`, which names its decision. The monitor writes answer, endorsements and second decision under one lock, so
within a run nothing stands between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from interlock.audit.record import Record


@dataclass(slots=True)
class Story:
    """One call. `start` says under which policy, `mandates` what the run was allowed until then."""

    decision: Record
    start: Record | None = None
    mandates: list[Record] = field(default_factory=list)
    asked: Record | None = None
    answer: Record | None = None
    endorsed: list[Record] = field(default_factory=list)
    final: Record | None = None  # the decision after the answer
    outcome: Record | None = None

    @property
    def last(self) -> Record:
        """The decision that stands."""
        return self.final or self.decision

    @property
    def policy(self) -> str:
        """The digest of the policy under which it was decided; empty if the audit does not say."""
        digest = self.start.body.get("policy") if self.start else None
        return digest if isinstance(digest, str) else ""

    def records(self) -> Iterator[Record]:
        """All of it, in order."""
        maybe = (self.decision, self.asked, self.answer, *self.endorsed, self.final, self.outcome)
        return (r for r in maybe if r is not None)

    def has(self, seq: int) -> bool:
        """Record `seq` belongs to this call."""
        return any(r.seq == seq for r in self.records())


def stories(records: Iterable[Record], run: str) -> list[Story]:
    """The calls of one run, in order."""
    found: list[Story] = []
    start: Record | None = None
    mandates: list[Record] = []
    answered: Story | None = None  # the next decision of the run is the one after its answer
    for record in records:
        if record.kind == "start":
            start = record
        if record.run != run:
            continue
        match record.kind:
            case "mandate":
                mandates.append(record)
            case "decision" if answered is not None:
                answered.final, answered = record, None
            case "decision":
                found.append(Story(decision=record, start=start, mandates=list(mandates)))
            case "asked":
                _asked(found, record)
            case "answer":
                answered = _answered(found, record)
            case "endorse" if answered is not None:
                answered.endorsed.append(record)
            case "outcome":
                _ended(found, record)
            case _:
                pass
    return found


def _asked(found: list[Story], record: Record) -> None:
    for story in reversed(found):
        if story.asked is None and story.decision.body.get("digest") == record.body.get("digest"):
            story.asked = record
            return


def _answered(found: list[Story], record: Record) -> Story | None:
    for story in reversed(found):
        if story.asked is not None and story.asked.seq == record.body.get("asked"):
            story.answer = record
            return story
    return None


def _ended(found: list[Story], record: Record) -> None:
    for story in reversed(found):
        if story.last.seq == record.body.get("decision"):
            story.outcome = record
            return
