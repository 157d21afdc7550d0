"""Interlock: a reference monitor for AI agents. The model proposes, Interlock disposes.

The names below are the public API; everything else is imported from where it is. They are loaded when first used, so
that `import interlock` costs next to nothing and runs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from interlock.adapters.functions import Tool as Tool
    from interlock.kernel.decision import Decision as Decision
    from interlock.kernel.decision import Forbidden as Forbidden
    from interlock.kernel.decision import NeedsApproval as NeedsApproval
    from interlock.kernel.decision import Permitted as Permitted
    from interlock.kernel.errors import InterlockError as InterlockError
    from interlock.kernel.labels import Integrity as Integrity
    from interlock.library import Interlock as Interlock
    from interlock.library import Run as Run
    from interlock.monitor.approvals import DenyAll as DenyAll
    from interlock.monitor.approvals import InProcessApprovals as InProcessApprovals
    from interlock.monitor.approvals import TerminalApprovals as TerminalApprovals
    from interlock.monitor.mediate import Observed as Observed
    from interlock.monitor.question import Question as Question
    from interlock.policy.errors import PolicyError as PolicyError
    from interlock.policy.load import load_policy as load_policy
    from interlock.policy.mandate import LexicalPlanner as LexicalPlanner
    from interlock.policy.mandate import Mandate as Mandate
    from interlock.policy.mandate import TextPlanner as TextPlanner
    from interlock.stores.memory.audit import MemoryAudit as MemoryAudit
    from interlock.stores.sqlite.audit import SqliteAudit as SqliteAudit

_HOME = {
    "Decision": "kernel.decision",
    "DenyAll": "monitor.approvals",
    "Forbidden": "kernel.decision",
    "InProcessApprovals": "monitor.approvals",
    "Integrity": "kernel.labels",
    "Interlock": "library",
    "InterlockError": "kernel.errors",
    "LexicalPlanner": "policy.mandate",
    "Mandate": "policy.mandate",
    "MemoryAudit": "stores.memory.audit",
    "NeedsApproval": "kernel.decision",
    "Observed": "monitor.mediate",
    "Permitted": "kernel.decision",
    "PolicyError": "policy.errors",
    "Question": "monitor.question",
    "Run": "library",
    "SqliteAudit": "stores.sqlite.audit",
    "TerminalApprovals": "monitor.approvals",
    "TextPlanner": "policy.mandate",
    "Tool": "adapters.functions",
    "load_policy": "policy.load",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - sorted() of literals


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module `interlock` has no `{name}`")
    return getattr(import_module(f"interlock.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOME)
