"""Everything outside that the monitor needs, as protocols. Outer rings implement them, `assemble` plugs them in.

Each says what its failing does. It is always the closed thing: a port that raises refuses, it never lets pass.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from interlock.audit.record import Record
from interlock.kernel.call import Call, Json, Resource
from interlock.kernel.decision import Obligation, Permit
from interlock.kernel.spec import ToolSpec
from interlock.monitor.question import Answer, Question
from interlock.policy.mandate import Mandate


class AuditPort(Protocol):
    """Keeps records. Raising: the call is refused (M4)."""

    def append(self, kind: str, run: str, body: Mapping[str, object]) -> Record:
        """The record, which is on the disk when this returns."""
        ...


class ApprovalPort(Protocol):
    """Asks a human. Raising, and any answer that does not fit the question, is a no."""

    def ask(self, question: Question) -> Answer:
        """The human's answer."""
        ...


class AsyncApprovalPort(Protocol):
    """The same for `acall` and `aapprove`."""

    async def ask(self, question: Question) -> Answer:
        """The human's answer."""
        ...


class Clock(Protocol):
    """Time for expiry. After a reading below an earlier one nobody knows how late it is: approvals have expired."""

    def now(self) -> float:
        """Seconds since any fixed moment; best from a clock that is never set."""
        ...


class Nonce(Protocol):
    """Fresh unguessable text. Raising, or repeating itself: the call is refused."""

    def __call__(self) -> str:
        """Text that this never returned before."""
        ...


class Redactor(Protocol):
    """Takes secrets and personal data out of JSON. Raising: what was to be redacted is dropped."""

    def __call__(self, value: Json) -> Json:
        """`value` without what must not be read or kept."""
        ...


class Validator(Protocol):
    """Checks arguments against a tool's schema, and may complete them. Raising: the call is refused as invalid."""

    def __call__(self, arguments: dict[str, Json], /) -> Mapping[str, Json]:
        """The arguments with which the tool is to run."""
        ...


class Scope(Protocol):
    """Maps a call to the resource it would touch. Raising: it lies outside the scope and is forbidden."""

    def __call__(self, call: Call, /) -> Resource:
        """The canonical resource."""
        ...


class Performer(Protocol):
    """Does it. Raising: the outcome is an error; the permit is used all the same (M2)."""

    def __call__(self, permit: Permit, call: Call, /) -> Json | Awaitable[Json]:
        """The result, or its promise (`acall` only)."""
        ...


class Discharger(Protocol):
    """Does what an obligation says, before the call is made. Raising: the call is not made (K8)."""

    def __call__(self, obligation: Obligation, call: Call) -> None:
        """Return once the obligation is met."""
        ...


class Planner(Protocol):
    """Writes a mandate from trusted words. Raising: the run may have no effect at all."""

    def plan(self, words: str, tools: Sequence[ToolSpec]) -> Mandate:
        """The effects that `words` ask for."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """What can be done with one tool; what is absent shows in the monitor's posture."""

    perform: Performer | None = None  # absent: somebody else performs, between `propose` and `complete`
    validate: Validator | None = None
    scope: Scope | None = None  # absent: the resource is the tool itself


def nothing_blocked(call: Call) -> frozenset[str]:  # noqa: ARG001 - the port's shape
    """No reason against `call`."""
    return frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything outside, in one place. What decides or records has no default: each is somebody's decision."""

    audit: AuditPort
    approvals: ApprovalPort | AsyncApprovalPort
    clock: Clock
    nonce: Nonce
    redact: Redactor
    planner: Planner | None
    tools: Mapping[str, Tool]
    obligations: Mapping[str, Discharger] = field(default_factory=dict)
    blocked: Callable[[Call], frozenset[str]] = nothing_blocked  # raising: the call is refused
    proofs: Sequence[Mapping[str, object]] = ()  # what tools showed at start-up: layer, claim, held, evidence, residual
