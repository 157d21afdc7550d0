"""Where a gateway's state is: one engine for all of it, chosen by `INTERLOCK_STORE`.

SQLite serves the workers of one machine, PostgreSQL those of many. Each worker writes a chain of the audit of its own
(`stream`), so that none waits for another. Nothing falls back to memory: state that cannot be had stops the start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from interlock.approvals.stored import ApprovalStore
from interlock.gateway.auth import Keys
from interlock.gateway.errors import GatewayError
from interlock.monitor.ports import AuditPort, RunStore
from interlock.stores.grouped import GroupedAudit
from interlock.stores.key import KeyRing, KeyStore
from interlock.stores.memory.approvals import MemoryApprovals
from interlock.stores.memory.audit import MemoryAudit
from interlock.stores.memory.runs import MemoryRuns
from interlock.stores.sqlite.approvals import SqliteApprovals
from interlock.stores.sqlite.audit import SqliteAudit
from interlock.stores.sqlite.database import SqliteDatabase
from interlock.stores.sqlite.runs import SqliteRuns

FOLDER = ".interlock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The ports that keep something."""

    audit: AuditPort
    runs: RunStore
    approvals: ApprovalStore
    keys: Keys
    threaded: bool  # they are on another machine
    close: tuple[Callable[[], object], ...] = ()

    def shut(self) -> None:
        """Give everything back; what was appended to the audit is on the disk."""
        for close in self.close:
            close()


def stores(where: str, folder: str, *, worker: int) -> Stores:
    """The stores at `where`; files lie in `folder`.

    Raises:
        GatewayError: it names no engine that there is.
        StoreError, AuditError: it cannot be opened.
    """
    scheme, _, rest = where.partition(":")
    match scheme:
        case "memory":
            return _memory()
        case "sqlite" | "":
            return _sqlite(Path(rest) if rest else Path(folder) / FOLDER, worker)
        case "postgres" | "postgresql":
            return _postgres(where, worker)
        case _:
            raise GatewayError("`INTERLOCK_STORE` must be `sqlite:FOLDER`, `memory:` or `postgresql://…`")


def _memory() -> Stores:
    return Stores(
        audit=MemoryAudit(),
        runs=MemoryRuns(),
        approvals=MemoryApprovals(),
        keys=keys("memory", "MemoryKeys"),
        threaded=False,
    )


def _sqlite(folder: Path, worker: int) -> Stores:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    state, lasting = (
        SqliteDatabase(folder / "state.sqlite", durable=False),
        SqliteDatabase(folder / "state.sqlite", durable=True),
    )
    audit = GroupedAudit(SqliteAudit(folder / "audit.sqlite", stream=f"worker-{worker}" if worker else ""))
    return Stores(
        audit=audit,
        runs=SqliteRuns(state),
        approvals=SqliteApprovals(lasting),
        keys=keys("sqlite", "SqliteKeys", lasting),
        threaded=False,
        close=(audit.close, state.close, lasting.close),
    )


def _postgres(dsn: str, worker: int) -> Stores:
    try:
        from interlock.gateway import scaled  # noqa: PLC0415 - the extra
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("psycopg"):
            raise GatewayError("`INTERLOCK_STORE` names PostgreSQL; install `interlock[postgres]`") from None
        raise
    return scaled.stores(dsn, worker=worker)


def keys(engine: str, name: str, *database: object) -> Keys:
    """Agents' keys, looked up in a copy that is a second old at most."""
    made: KeyStore = getattr(import_module(f"interlock.stores.{engine}.keys"), name)(*database)
    return KeyRing(made, kind="agent")
