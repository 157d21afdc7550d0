"""What stored approvals raise. All of it counts as no.

ApprovalError         monitor.errors
├── StillPending      nobody answered in time; the question stays open, and the same call may be made again later
├── TooMany           so many questions are open that no human reads them
├── Tampered          a stored approval is not what was written
├── NoSuchApproval    nothing is stored under this id
├── NotYours          this approver may not answer this question
└── Settled           the question is answered, used or expired
"""

from __future__ import annotations

from interlock.monitor.errors import ApprovalError


class StillPending(ApprovalError):
    """Nobody answered in time. The question `ref` stays open until it expires."""

    def __init__(self, message: str, *, ref: str) -> None:
        super().__init__(message)
        self.ref = ref


class TooMany(ApprovalError):
    """So many questions are open that no human reads them."""


class Tampered(ApprovalError):
    """A stored approval is not what was written. It is worth nothing."""


class NoSuchApproval(ApprovalError):
    """Nothing is stored under this id."""


class NotYours(ApprovalError):
    """This approver may not answer this question."""


class Settled(ApprovalError):
    """The question is answered, used or expired; an answer changes nothing."""
