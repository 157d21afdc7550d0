"""The stores in PostgreSQL, shared by the workers of many machines. Imported only by those who have the extra.

A chain of the audit has one writer. Two processes may bear one host's name, and in a rolling deploy the old one still
writes while the new one starts, so a chain is named after the start of its process.
"""

from __future__ import annotations

import math
import secrets
import socket
import time

from interlock.approvals.entry import Seal
from interlock.gateway.stores import Stores
from interlock.gateway.watch import Watch
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
    audit = GroupedAudit(PostgresAudit(database, stream=_stream(worker)))
    keys = PostgresKeys(database)
    # Requests never look at the database for a key: a slow one would hold up all that this process does.
    agents = KeyRing(keys, kind="agent", fresh=math.inf)
    approvers = KeyRing(keys, kind="approver", fresh=math.inf)
    watch = Watch(audit, agents, approvers)
    return Stores(
        audit=audit,
        runs=PostgresRuns(database),
        approvals=PostgresApprovals(database, seal=seal),
        budgets=PostgresBudgets(database),
        keys=agents,
        approvers=approvers,
        threaded=True,
        away=lambda: watch.away,
        close=(watch.close, audit.close, database.close),
    )


def _stream(worker: int) -> str:
    started = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return f"{socket.gethostname()}-{worker or 1}-{started}-{secrets.token_hex(3)}"
