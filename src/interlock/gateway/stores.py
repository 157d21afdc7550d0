"""Where a gateway's state is: one engine for all of it, chosen by `INTERLOCK_STORE`.

SQLite serves the workers of one machine, PostgreSQL those of many. Each worker writes a chain of the audit of its own
(`stream`), so that none waits for another, and other commands may write to theirs. Nothing falls back to memory: state
that cannot be had stops the start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from interlock.approvals.entry import Seal
from interlock.approvals.stored import ApprovalStore
from interlock.gateway.auth import Keys
from interlock.gateway.errors import GatewayError
from interlock.gateway.history import MarkStore
from interlock.gateway.watch import Watch
from interlock.limits.ledger import Ledger
from interlock.monitor.ports import AuditPort, RunStore
from interlock.stores.grouped import GroupedAudit
from interlock.stores.key import KeyRing
from interlock.stores.memory.approvals import MemoryApprovals
from interlock.stores.memory.audit import MemoryAudit
from interlock.stores.memory.budgets import MemoryBudgets
from interlock.stores.memory.keys import MemoryKeys
from interlock.stores.memory.runs import MemoryRuns
from interlock.stores.place import FILE
from interlock.stores.sqlite.approvals import SqliteApprovals
from interlock.stores.sqlite.audit import SqliteAudit
from interlock.stores.sqlite.budgets import SqliteBudgets
from interlock.stores.sqlite.database import SqliteDatabase
from interlock.stores.sqlite.keys import SqliteKeys
from interlock.stores.sqlite.runs import SqliteRuns

FOLDER = ".interlock"


class Facts(RunStore, MarkStore, Protocol):
    """What is known of conversations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The ports that keep something."""

    audit: AuditPort
    runs: Facts
    approvals: ApprovalStore
    budgets: Ledger
    keys: Keys  # of agents
    approvers: Keys  # of humans who approve
    threaded: bool  # they are on another machine
    away: Callable[[], str] = lambda: ""  # why they do not serve now
    close: tuple[Callable[[], object], ...] = ()

    def shut(self) -> None:
        """Give everything back; what was appended to the audit is on the disk."""
        for close in self.close:
            close()


def stores(where: str, folder: str, *, worker: int, seal: bytes = b"") -> Stores:
    """The stores at `where`; files lie in `folder`. Approvals bear the `seal`.

    Raises:
        GatewayError: it names no engine that there is.
        StoreError, AuditError: it cannot be opened.
    """
    scheme, _, rest = where.partition(":")
    match scheme:
        case "memory":
            return _memory()
        case "sqlite" | "":
            return _sqlite(Path(rest) if rest else Path(folder) / FOLDER, worker, Seal(seal))
        case "postgres" | "postgresql":
            return _postgres(where, worker, Seal(seal))
        case _:
            raise GatewayError("`INTERLOCK_STORE` must be `sqlite:FOLDER`, `memory:` or `postgresql://…`")


def _memory() -> Stores:
    keys = MemoryKeys()
    return Stores(
        audit=MemoryAudit(),
        runs=MemoryRuns(),
        approvals=MemoryApprovals(),
        budgets=MemoryBudgets(),
        keys=KeyRing(keys, kind="agent"),
        approvers=KeyRing(keys, kind="approver"),
        threaded=False,
    )


def _sqlite(folder: Path, worker: int, seal: Seal) -> Stores:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # What is used up must stay used up when the power fails; what was folded is folded again.
    lasting, quick = SqliteDatabase(folder / FILE, durable=True), SqliteDatabase(folder / FILE, durable=False)
    audit = GroupedAudit(SqliteAudit(folder / "audit.sqlite", stream=f"gateway-{worker or 1}"))
    watch = Watch(audit)
    keys = SqliteKeys(lasting)
    return Stores(
        audit=audit,
        runs=SqliteRuns(quick),
        approvals=SqliteApprovals(lasting, seal=seal),
        budgets=SqliteBudgets(quick),
        keys=KeyRing(keys, kind="agent"),
        approvers=KeyRing(keys, kind="approver"),
        threaded=False,
        away=lambda: watch.away,
        close=(watch.close, audit.close, quick.close, lasting.close),
    )


def _postgres(dsn: str, worker: int, seal: Seal) -> Stores:
    try:
        from interlock.gateway import scaled  # noqa: PLC0415 - the extra
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("psycopg"):
            raise GatewayError("`INTERLOCK_STORE` names PostgreSQL; install `interlock[postgres]`") from None
        raise
    return scaled.stores(dsn, worker=worker, seal=seal)
