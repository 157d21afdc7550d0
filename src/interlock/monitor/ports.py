"""Everything outside that the monitor needs, as protocols. Outer rings implement them, `assemble` plugs them in.

Each says what its failing does. It is always the closed thing: a port that raises refuses, it never lets pass.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from interlock.audit.record import Record
from interlock.detect.finding import Finding
from interlock.kernel.call import Call, Json, Resource
from interlock.kernel.decision import Obligation, Permit
from interlock.kernel.labels import Integrity
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


@dataclass(frozen=True, slots=True)
class Inspected:
    """What an inspector makes of a content: what may be read of it, and what was found in it."""

    content: Json
    findings: tuple[Finding, ...] = ()
    refused: str = ""  # why nobody may read it, in constant words


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Who is about to read: whose words they are, and in which run of which agent."""

    source: str  # the tool, the document, or `user`
    integrity: Integrity
    agent: str
    run: str


class Inspector(Protocol):
    """Looks at what a model is about to read. Raising: the model does not read it."""

    def __call__(self, content: Json, read: Reading, /) -> Inspected:
        """`content`, cleaned if that is wanted, with what was found in it.

        The user's words (`USER`) are judged, never changed.
        """
        ...


class Guard(Protocol):
    """Budgets, rates, breakers and loops. Raising where it is asked first: the call is not made."""

    def blocked(self, call: Call) -> frozenset[str]:
        """Reasons against `call` that no approval lifts: `budget`, `rate`, `breaker`, `loop`, `depth`, `halted`."""
        ...

    def reserve(self, call: Call, key: str) -> None:
        """Take what `call` may use. The same `key` again takes nothing more."""
        ...

    def release(self, call: Call, key: str) -> None:
        """Give back what was reserved: the call was not made."""
        ...

    def refused(self, call: Call, why: str) -> None:
        """The call was asked for and is refused: asking again and again goes in circles, too."""
        ...

    def settle(self, call: Call, key: str, *, failed: bool, result: str, size: int) -> None:
        """The call was made: `result` is the digest of what came back, of `size` bytes.

        Without a `key` nothing was reserved here: somebody else made the call and reports what came back. Without a
        `result` nobody knows yet: somebody else is making it.
        """
        ...

    def halted(self, run: str, *, agent: str, principal: str) -> str:
        """Why this run goes no further; empty if it may. Clients choose ids, so who it is for counts too."""
        ...


class RunStore(Protocol):
    """What no rewriting of a conversation takes back, shared by processes. Raising: taint is assumed."""

    def since(self, conversation: str, after: int) -> Sequence[tuple[int, Mapping[str, Json]]]:
        """The facts with a larger number than `after`, in the order in which they were added."""
        ...

    def add(self, conversation: str, facts: Sequence[tuple[str, Mapping[str, Json]]]) -> None:
        """Keep facts by key. One that is there already stays as it is."""
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


def as_it_is(content: Json, read: Reading) -> Inspected:  # noqa: ARG001 - the port's shape
    """`content`, not looked at."""
    return Inspected(content)


class Unlimited:
    """A guard that holds nobody back."""

    def blocked(self, call: Call) -> frozenset[str]:  # noqa: ARG002 - the port's shape
        """No reason against `call`."""
        return frozenset()

    def reserve(self, call: Call, key: str) -> None:
        """Take nothing."""

    def release(self, call: Call, key: str) -> None:
        """Give nothing back."""

    def refused(self, call: Call, why: str) -> None:
        """Learn nothing."""

    def settle(self, call: Call, key: str, *, failed: bool, result: str, size: int) -> None:
        """Learn nothing."""

    def halted(self, run: str, *, agent: str, principal: str) -> str:  # noqa: ARG002 - the port's shape
        """The run may go on."""
        return ""


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
    redact: Redactor  # what a model reads
    redact_record: Redactor  # what is kept
    planner: Planner | None
    tools: Mapping[str, Tool]
    obligations: Mapping[str, Discharger] = field(default_factory=dict)
    blocked: Callable[[Call], frozenset[str]] = nothing_blocked  # raising: the call is refused
    inspect: Inspector = as_it_is
    guard: Guard = Unlimited()  # noqa: RUF009 - it holds nothing
    runs: RunStore | None = None  # absent: nobody remembers what was folded before a restart
    alone: bool = False  # no other process adds to `runs`
    proofs: Sequence[Mapping[str, object]] = ()  # what tools showed at start-up: layer, claim, held, evidence, residual
