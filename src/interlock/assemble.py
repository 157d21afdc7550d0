"""The composition root: a policy, tools and ports become one monitor. Nothing else wires parts together."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.kernel.decision import Permit
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


def assemble(
    policy: Policy,
    functions: Mapping[str, Function],
    *,
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

    ports = Ports(
        audit=audit_at(audit, policy),
        approvals=approvals or DenyAll(),
        clock=SystemClock(),
        nonce=lambda: secrets.token_hex(16),
        redact=redact,
        planner=planner or LexicalPlanner(),
        obligations=obligations or {},
        tools={
            name: Tool(perform=performer(f), validate=validator(f))
            for name, f in functions.items()
            if name in policy.tools
        },
    )
    monitor = Monitor(policy, ports, key=secrets.token_bytes(32))
    return monitor
