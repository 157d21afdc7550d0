"""The composition root: a policy, tools and ports become one monitor. Nothing else wires parts together."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.kernel.decision import Permit
from interlock.kernel.errors import InterlockError
from interlock.monitor.approvals import DenyAll
from interlock.monitor.mediate import Monitor
from interlock.monitor.ports import (
    ApprovalPort,
    AsyncApprovalPort,
    AuditPort,
    Discharger,
    Performer,
    Planner,
    Ports,
    Redactor,
    Tool,
    Validator,
)
from interlock.policy.mandate import LexicalPlanner
from interlock.stores.sqlite import SqliteAudit
from interlock.tools.kind import Capability, Context, Kind

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from interlock.adapters.functions import Tool as Function
    from interlock.kernel.call import Call, Json
    from interlock.policy.policy import Policy

ASYNCHRONOUS: ContextVar[bool] = ContextVar("interlock_asynchronous", default=False)  # set around `Monitor.acall`
AUDIT_FILE = Path(".interlock") / "audit.sqlite"


class SystemClock:
    """Time that is never set back."""

    def now(self) -> float:
        """Seconds since the machine started."""
        return time.monotonic()


def not_redacted(value: Json) -> Json:
    """`value` as it is. The posture says so at start-up."""
    return value


def no_secrets(handle: str) -> str:
    """There are none: a tool that needs one cannot be opened."""
    raise InterlockError(f"`{handle}` is needed, and nothing here resolves secrets", hint="pass `secrets=`")


def audit_at(where: AuditPort | str | Path | None, policy: Policy) -> AuditPort:
    """The audit store: as given, in the named file, or beside the manifest."""
    match where:
        case None:
            path = Path(policy.manifest_path).parent / AUDIT_FILE
        case str() | Path():
            path = Path(where)
        case _:
            return where
    path.parent.mkdir(parents=True, exist_ok=True)
    return SqliteAudit(path)


class ProofError(InterlockError):
    """A tool could not show at start-up that its limits hold. Nothing is served."""


@dataclass(slots=True)
class Opened:
    """The entries of other kinds than functions, open for work."""

    capabilities: dict[str, Capability] = field(default_factory=dict)
    monitor: Monitor | None = None

    def check(self, permit: Permit, call: Call) -> None:
        """A performer's first line."""
        if self.monitor is None:
            raise ProofError("a tool was performed before the monitor stood")
        self.monitor.check(permit, call)

    def open(self, policy: Policy, kinds: Mapping[str, Kind], secrets: Callable[[str], str]) -> None:
        """Open every entry of `policy`; what was opened is closed again if one fails."""
        base = str(Path(policy.manifest_path).parent)
        try:
            for entry in policy.entries:
                context = Context(base_dir=base, secrets=secrets, check=self.check)
                self.capabilities[entry.name] = kinds[entry.kind].open(entry.name, entry.config, context)
        except BaseException:
            self.close()
            raise

    def prove(self) -> list[dict[str, object]]:
        """Every claim with its evidence.

        Raises:
            ProofError: one does not hold.
        """
        proofs = [(name, proof) for name, c in self.capabilities.items() for proof in c.prove()]
        if broken := [f"`{name}`: {p.claim} ({p.evidence})" for name, p in proofs if not p.held]:
            raise ProofError("not enforced here: " + "; ".join(broken), hint="`interlock doctor` shows every claim")
        return [{"tool": name} | asdict(proof) for name, proof in proofs]

    def close(self) -> None:
        """Give everything back."""
        for capability in self.capabilities.values():
            capability.close()
        self.capabilities.clear()


def assemble(
    policy: Policy,
    functions: Mapping[str, Function],
    *,
    opened: Opened | None = None,
    audit: AuditPort | str | Path | None = None,
    approvals: ApprovalPort | AsyncApprovalPort | None = None,
    planner: Planner | None = None,
    redact: Redactor = not_redacted,
    obligations: Mapping[str, Discharger] | None = None,
) -> Monitor:
    """A monitor that performs `functions` under `policy`. Without approvals, whatever needs one is refused."""
    monitor: Monitor

    def performer(function: Function) -> Performer:
        def perform(permit: Permit, call: Call) -> Json | Awaitable[Json]:
            monitor.check(permit, call)
            if function.asynchronous or ASYNCHRONOUS.get():  # a function that blocks must not hold the event loop
                return function.acall(call.arguments)
            return function.call(call.arguments)

        return perform

    def validator(function: Function) -> Validator:
        def validate(arguments: dict[str, Json]) -> dict[str, Json]:
            function.check(arguments)
            return arguments

        return validate

    def threaded(perform: Callable[[Permit, Call], Json]) -> Performer:
        def performed(permit: Permit, call: Call) -> Json | Awaitable[Json]:
            return asyncio.to_thread(perform, permit, call) if ASYNCHRONOUS.get() else perform(permit, call)

        return performed

    opened = opened or Opened()
    scoped = {
        o.spec.name: Tool(perform=threaded(o.perform), validate=o.validate, scope=o.scope)
        for c in opened.capabilities.values()
        for o in c.operations
    }
    ports = Ports(
        audit=audit_at(audit, policy),
        approvals=approvals or DenyAll(),
        clock=SystemClock(),
        nonce=lambda: secrets.token_hex(16),
        redact=redact,
        planner=planner or LexicalPlanner(),
        obligations=obligations or {},
        proofs=opened.prove(),
        tools=scoped
        | {n: Tool(perform=performer(f), validate=validator(f)) for n, f in functions.items() if n in policy.tools},
    )
    monitor = opened.monitor = Monitor(policy, ports, key=secrets.token_bytes(32))
    return monitor
