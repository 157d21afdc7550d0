"""The stores in PostgreSQL, shared by the workers of many machines. Imported only by those who have the extra.

A chain of the audit has one writer. Two processes may bear one host's name, and in a rolling deploy the old one still
writes while the new one starts, so a chain is named after the start of its process.
"""

from __future__ import annotations

import logging
import math
import secrets
import socket
import time
from threading import Event, Thread

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

PULSE = 0.5  # seconds between two looks at the database
log = logging.getLogger("interlock.gateway")


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


class Watch:
    """A thread that looks at the database: which keys there are, and whether an audit that gave up may go on."""

    def __init__(self, audit: GroupedAudit, *rings: KeyRing) -> None:
        self.away = ""  # why the database does not serve
        self._audit, self._rings = audit, rings
        self._end = Event()
        self._thread = Thread(target=self._look, name="interlock-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._end.wait(PULSE):
            try:
                for ring in self._rings:
                    ring.refresh()
                if why := self._audit.dead:
                    self._audit.reopen()
                    self._audit.append("reopened", "", {"why": why})  # what was never on the disk, nobody acted on
            except Exception as error:  # noqa: BLE001 - the border of a thread: it looks again
                if not self.away:
                    log.error("the database does not serve: %s", error)  # noqa: TRY400 - a message for operators
                self.away = f"{type(error).__name__}: {error}"
            else:
                if self.away:
                    log.info("the database serves again")
                self.away = ""
