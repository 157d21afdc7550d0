"""The one store of a chaos run, opened by whoever takes part: all ports on one SQLite file, or on one PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from interlock.approvals.book import Book
from interlock.limits.ledger import Ledger
from interlock.stores.postgres.approvals import PostgresApprovals
from interlock.stores.postgres.audit import PostgresAudit
from interlock.stores.postgres.budgets import PostgresBudgets
from interlock.stores.postgres.database import PostgresDatabase
from interlock.stores.sqlite.approvals import SqliteApprovals
from interlock.stores.sqlite.audit import SqliteAudit
from interlock.stores.sqlite.budgets import SqliteBudgets
from interlock.stores.sqlite.database import SqliteDatabase

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Stores:
    """Ports on one store."""

    audit: Any
    approvals: Book
    budgets: Ledger
    databases: tuple[SqliteDatabase | PostgresDatabase, ...]

    def close(self) -> None:
        """Give back what holds it."""
        self.audit.close()
        for database in self.databases:
            database.close()


def is_file(where: str) -> bool:
    return where.endswith(".db")


def opened(where: str, *, stream: str, clock: Clock, patience: float = 2.0) -> Stores:
    """The ports of one process; `clock` is what it takes for the time."""
    if is_file(where):
        lasting = SqliteDatabase(where, durable=True, patience=patience)
        fast = SqliteDatabase(where, durable=False, patience=patience)
        audit = SqliteAudit(where, clock=clock, patience=patience, stream=stream)
        approvals, budgets = SqliteApprovals(lasting, clock=clock), SqliteBudgets(fast, clock=clock)
        return Stores(audit, approvals, budgets, (lasting, fast))
    database = PostgresDatabase(where, size=8, patience=patience)
    approved, spent = PostgresApprovals(database), PostgresBudgets(database)
    return Stores(PostgresAudit(database, clock=clock, stream=stream), approved, spent, (database,))
