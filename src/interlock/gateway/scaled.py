"""The stores in PostgreSQL, shared by the workers of many machines. Imported only by those who have the extra."""

from __future__ import annotations

import socket

from interlock.approvals.entry import Seal
from interlock.gateway.stores import Stores
from interlock.stores.grouped import GroupedAudit
from interlock.stores.key import KeyRing
from interlock.stores.postgres.approvals import PostgresApprovals
from interlock.stores.postgres.audit import PostgresAudit
from interlock.stores.postgres.budgets import PostgresBudgets
from interlock.stores.postgres.database import PostgresDatabase
from interlock.stores.postgres.keys import PostgresKeys
from interlock.stores.postgres.runs import PostgresRuns


def stores(dsn: str, *, worker: int, seal: Seal) -> Stores:
    """The stores in the database `dsn`.

    Raises:
        StoreError, AuditError: it does not serve.
    """
    database = PostgresDatabase(dsn)
    audit = GroupedAudit(PostgresAudit(database, stream=f"{socket.gethostname()}-{worker}"))
    keys = PostgresKeys(database)
    return Stores(
        audit=audit,
        runs=PostgresRuns(database),
        approvals=PostgresApprovals(database, seal=seal),
        budgets=PostgresBudgets(database),
        keys=KeyRing(keys, kind="agent"),
        approvers=KeyRing(keys, kind="approver"),
        threaded=True,
        close=(audit.close, database.close),
    )
