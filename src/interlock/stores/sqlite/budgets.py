"""Budgets in one SQLite file, shared by the threads and processes of one machine.

A reservation is one transaction that holds the write lock: each account takes its amount with `UPDATE … WHERE used +
amount <= limit`, and the first that has no room undoes them all. `durable=False` (synchronous=NORMAL) is enough: what
was reserved survives the death of the process; after a power cut the last few reservations may be missing.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from json.encoder import encode_basestring as quote

from interlock.limits.budget import Line, started
from interlock.limits.errors import Exhausted, LimitError
from interlock.limits.ledger import KEPT, LEASE
from interlock.stores.sqlite.database import SqliteDatabase

MIGRATIONS = (
    """
CREATE TABLE budget_accounts (
    account TEXT PRIMARY KEY,
    start INTEGER NOT NULL,
    used INTEGER NOT NULL,
    touched REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE budget_reservations (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    lines TEXT NOT NULL,
    state TEXT NOT NULL,
    expires REAL NOT NULL
) STRICT;
""",
)
# `lines`: account, start of the window in which it counts, how much of it does, how much was asked for.
_HOLD = """
INSERT INTO budget_reservations (key, lines, state, expires) VALUES (?, ?, 'held', ?)
ON CONFLICT (key) DO UPDATE SET lines = excluded.lines, state = 'held', expires = excluded.expires
WHERE state = 'released'
"""
_KNOWN = "SELECT lines, state FROM budget_reservations WHERE key = ?"
_CHANGE = "UPDATE budget_reservations SET lines = ?, state = ? WHERE key = ?"
# What nearly every reservation needs: the accounts are there, in the window of now. `RETURNING` would double its time.
_ADD = """
UPDATE budget_accounts SET used = used + ?1, touched = ?2 WHERE account = ?3 AND start = ?4 AND used + ?1 <= ?5
"""
_TAKE = """
INSERT INTO budget_accounts VALUES (:account, :start, :amount, :now)
ON CONFLICT (account) DO UPDATE SET
    used = iif(start < excluded.start, 0, used) + excluded.used, start = max(start, excluded.start), touched = :now
WHERE iif(start < excluded.start, 0, used) + excluded.used <= :limit
RETURNING start
"""
# What counts in a window that is over is over with it; only what is more than was counted goes into the newest.
_CORRECT = """
UPDATE budget_accounts SET used = max(0, used + :more), touched = :now
WHERE account = :account AND (start = :start OR :more > 0) RETURNING start
"""
_FULL = "SELECT used FROM budget_accounts WHERE account = ? AND start >= ?"


class SqliteBudgets:
    """The ledger over a database that other stores may share."""

    def __init__(self, database: SqliteDatabase, *, clock: Callable[[], float] = time.time) -> None:
        """Make the tables if they are not there.

        Raises:
            StoreError: the file cannot serve.
        """
        self._database = database
        self._clock = clock
        database.migrate("budgets", MIGRATIONS)

    def reserve(self, key: str, lines: Sequence[Line], *, lease: float = LEASE) -> None:
        """Count the amounts of all `lines` as used, or none of them."""
        now = self._clock()
        rows = [(line.amount, now, line.account, started(line.window, now), line.limit) for line in lines]
        # As `json.dumps` writes it, in a quarter of the time.
        parts = ",".join([f"[{quote(account)},{start},{amount},{amount}]" for amount, _, account, start, _ in rows])
        with suppress(_Otherwise), self._database.transaction() as db:
            if not db.execute(_HOLD, (key, f"[{parts}]", now + lease)).rowcount:
                self._same(db, key, lines)
                return
            if rows and db.executemany(_ADD, rows).rowcount != len(rows):
                raise _Otherwise  # leaves the block, which undoes what was taken
            return
        with self._database.transaction() as db:
            if not db.execute(_HOLD, (key, f"[{parts}]", now + lease)).rowcount:  # meanwhile, somebody else
                self._same(db, key, lines)
                return
            counted = []
            for line in lines:
                row = self._take(db, line, now)
                if row is None:
                    raise Exhausted(line.account)
                counted.append((line.account, row[0], line.amount, line.amount))
            db.execute(_CHANGE, (json.dumps(counted), "held", key))

    def settle(self, key: str, used: Mapping[str, int]) -> bool:
        """Count what was `used` by account instead of what was reserved."""
        return self._close(key, used, "settled")

    def release(self, key: str) -> bool:
        """Count nothing instead of what was reserved."""
        return self._close(key, None, "released")

    def full(self, lines: Sequence[Line]) -> str:
        """The first account that has no room for its line; empty if all have."""
        for line, used in zip(lines, self.used(lines), strict=True):
            if used + line.amount > line.limit:
                return line.account
        return ""

    def used(self, lines: Sequence[Line]) -> tuple[int, ...]:
        """What is used of each account in the window that is open."""
        now = self._clock()
        with self._database.reading() as db:
            rows = [db.execute(_FULL, (line.account, started(line.window, now))).fetchone() for line in lines]
        return tuple(row[0] if row else 0 for row in rows)

    def lapsed(self) -> int:
        """How many reservations have outlived their lease and wait for somebody to say what became of them."""
        with self._database.reading() as db:
            sql = "SELECT count(*) FROM budget_reservations WHERE state = 'held' AND expires <= ?"
            count: int = db.execute(sql, (self._clock(),)).fetchone()[0]
        return count

    def prune(self, *, idle: float) -> int:
        """Forget reservations that are long over, and accounts of runs without a change for `idle` seconds."""
        now = self._clock()
        with self._database.transaction() as db:
            # In the order in which they were made, up to the first that is not over: no index that each has to pay for.
            over = 0
            for number, expires in db.execute("SELECT number, expires FROM budget_reservations ORDER BY number"):
                if expires >= now - KEPT:
                    break
                over = number
            gone = db.execute("DELETE FROM budget_reservations WHERE number <= ?", (over,)).rowcount
            sql = "DELETE FROM budget_accounts WHERE account GLOB 'run:*' AND touched < ?"
            return gone + db.execute(sql, (now - idle,)).rowcount

    @staticmethod
    def _same(db: sqlite3.Connection, key: str, lines: Sequence[Line]) -> None:
        known = json.loads(db.execute(_KNOWN, (key,)).fetchone()[0])
        if [(account, asked) for account, _, _, asked in known] != [(n.account, n.amount) for n in lines]:
            raise LimitError("this key stands for another reservation", kind="budget")

    @staticmethod
    def _take(db: sqlite3.Connection, line: Line, now: float) -> tuple[int] | None:
        if line.amount > line.limit:  # the statement's condition does not see the first row of an account
            return None
        values = {
            "account": line.account,
            "start": started(line.window, now),
            "amount": line.amount,
            "limit": line.limit,
            "now": now,
        }
        row: tuple[int] | None = db.execute(_TAKE, values).fetchone()
        return row

    def _close(self, key: str, used: Mapping[str, int] | None, state: str) -> bool:
        final = ("settled",) if used is not None else ("settled", "released")
        now = self._clock()
        with self._database.transaction() as db:
            row = db.execute(_KNOWN, (key,)).fetchone()
            if row is None or row[1] in final:
                return False
            lines = []
            for account, start, counted, asked in json.loads(row[0]):
                amount = 0 if used is None else used.get(account, asked)
                more = amount - counted
                values = {"account": account, "start": start, "more": more, "now": now}
                changed = db.execute(_CORRECT, values).fetchone() if more else None
                lines.append((account, changed[0] if changed else start, amount, asked))
            db.execute(_CHANGE, (json.dumps(lines), state, key))
            return True


class _Otherwise(Exception):
    """An account is new, in another window, or full."""
