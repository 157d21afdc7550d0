"""Budgets in PostgreSQL, shared by all processes on all machines.

A reservation is one call of a function in the database, which locks the accounts in one order, takes each amount with
`UPDATE … WHERE used + amount <= limit`, and undoes everything if one has no room. Time is the database's own, so that
the clocks of the machines do not matter.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

import psycopg

from interlock.limits.budget import Line
from interlock.limits.errors import Exhausted, LimitError
from interlock.limits.ledger import KEPT, LEASE
from interlock.stores.errors import StoreError
from interlock.stores.postgres.database import PostgresDatabase

MIGRATIONS = (
    r"""
CREATE TABLE interlock_accounts (
    account text PRIMARY KEY,
    start bigint NOT NULL,
    used bigint NOT NULL,
    touched double precision NOT NULL
);
CREATE TABLE interlock_reservations (
    key text PRIMARY KEY,
    asked jsonb NOT NULL,
    counted jsonb NOT NULL,
    state text NOT NULL,
    expires double precision NOT NULL
);
CREATE INDEX interlock_reservations_by_end ON interlock_reservations (expires);

CREATE FUNCTION interlock_started(kind text, at double precision) RETURNS bigint IMMUTABLE LANGUAGE sql AS $$
    SELECT CASE kind
        WHEN 'minute' THEN floor(at / 60)::bigint * 60
        WHEN 'hour' THEN floor(at / 3600)::bigint * 3600
        WHEN 'day' THEN floor(at / 86400)::bigint * 86400
        WHEN 'month' THEN
            extract(epoch FROM date_trunc('month', to_timestamp(floor(at)), 'UTC'))::bigint
        ELSE 0 END
$$;

-- Empty: reserved, now or before. `other`: the key stands for another reservation. Else the account without room;
-- whoever called rolls back then. Lines: account, amount, limit, window; sorted by account.
CREATE FUNCTION interlock_reserve(the_key text, lines jsonb, lease double precision, the_time double precision)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    at double precision := coalesce(the_time, extract(epoch FROM clock_timestamp()));
    wanted jsonb := (
        SELECT coalesce(jsonb_agg(jsonb_build_array(l -> 0, l -> 1)), '[]') FROM jsonb_array_elements(lines) l
    );
    before jsonb;
    parts jsonb := '[]';
    line jsonb;
    amount bigint;
    begun bigint;
BEGIN
    INSERT INTO interlock_reservations AS r VALUES (the_key, wanted, '[]', 'held', at + lease)
        ON CONFLICT (key) DO UPDATE
            SET asked = excluded.asked, counted = '[]', state = 'held', expires = excluded.expires
        WHERE r.state = 'released';
    IF NOT FOUND THEN
        SELECT asked INTO before FROM interlock_reservations WHERE key = the_key;
        RETURN CASE WHEN before = wanted THEN '' ELSE 'other' END;
    END IF;
    FOR line IN SELECT * FROM jsonb_array_elements(lines) LOOP
        amount := (line ->> 1)::bigint;
        IF amount > (line ->> 2)::bigint THEN
            RETURN line ->> 0;
        END IF;
        INSERT INTO interlock_accounts AS a
            VALUES (line ->> 0, interlock_started(line ->> 3, at), amount, at)
            ON CONFLICT (account) DO UPDATE SET
                used = CASE WHEN a.start < excluded.start THEN 0 ELSE a.used END + excluded.used,
                start = greatest(a.start, excluded.start),
                touched = at
            WHERE CASE WHEN a.start < excluded.start THEN 0 ELSE a.used END + excluded.used <= (line ->> 2)::bigint
            RETURNING start INTO begun;
        IF NOT FOUND THEN
            RETURN line ->> 0;
        END IF;
        parts := parts || jsonb_build_array(jsonb_build_array(line ->> 0, begun, amount));
    END LOOP;
    UPDATE interlock_reservations SET counted = parts WHERE key = the_key;
    RETURN '';
END $$;
""",
    r"""
-- Whether something was changed. `actual` is null for a release.
CREATE FUNCTION interlock_close(the_key text, actual jsonb, the_time double precision)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    at double precision := coalesce(the_time, extract(epoch FROM clock_timestamp()));
    held interlock_reservations;
    now_counted jsonb := '[]';
    line jsonb;
    asked_for bigint;
    amount bigint;
    more bigint;
    begun bigint;
BEGIN
    SELECT * INTO held FROM interlock_reservations WHERE key = the_key FOR UPDATE;
    IF NOT FOUND OR held.state = 'settled' OR (actual IS NULL AND held.state = 'released') THEN
        RETURN false;
    END IF;
    FOR line IN SELECT * FROM jsonb_array_elements(held.counted) LOOP
        SELECT (l ->> 1)::bigint INTO asked_for FROM jsonb_array_elements(held.asked) l WHERE l ->> 0 = line ->> 0;
        amount := CASE WHEN actual IS NULL THEN 0 ELSE coalesce((actual ->> (line ->> 0))::bigint, asked_for) END;
        more := amount - (line ->> 2)::bigint;
        begun := (line ->> 1)::bigint;
        IF more <> 0 THEN
            -- What counts in a window that is over is over with it; only the excess goes into the newest.
            UPDATE interlock_accounts a SET used = greatest(0, a.used + more), touched = at
                WHERE a.account = line ->> 0 AND (a.start = begun OR more > 0) RETURNING a.start INTO begun;
            begun := coalesce(begun, (line ->> 1)::bigint);
        END IF;
        now_counted := now_counted || jsonb_build_array(jsonb_build_array(line ->> 0, begun, amount));
    END LOOP;
    UPDATE interlock_reservations SET counted = now_counted,
        state = CASE WHEN actual IS NULL THEN 'released' ELSE 'settled' END WHERE key = the_key;
    RETURN true;
END $$;
""",
)
_FORGET = """
DELETE FROM interlock_reservations WHERE expires < coalesce(%s, extract(epoch FROM clock_timestamp())) - %s
"""
_FORGET_RUNS = """
DELETE FROM interlock_accounts
WHERE starts_with(account, 'run:') AND touched < coalesce(%s, extract(epoch FROM clock_timestamp())) - %s
"""


class PostgresBudgets:
    """The ledger over a database that other stores may share."""

    def __init__(self, database: PostgresDatabase, *, clock: Callable[[], float] | None = None) -> None:
        """Make the tables if they are not there; `clock` replaces the database's own, for tests.

        Raises:
            StoreError: the database cannot serve.
        """
        self._database = database
        self._clock = clock
        database.migrate("budgets", MIGRATIONS)

    def reserve(self, key: str, lines: Sequence[Line], *, lease: float = LEASE) -> None:
        """Count the amounts of all `lines` as used, or none of them."""
        asked = json.dumps([(n.account, n.amount, n.limit, n.window.value) for n in sorted(lines, key=_account)])
        with self._database.transaction() as db:
            answer = _one(db, "SELECT interlock_reserve(%s, %s, %s, %s)", (key, asked, lease, self._time()))
            if answer == "other":
                raise LimitError("this key stands for another reservation", kind="budget")
            if answer:
                raise Exhausted(str(answer))  # leaves the block, which undoes what was taken

    def settle(self, key: str, used: Mapping[str, int]) -> bool:
        """Count what was `used` by account instead of what was reserved."""
        return self._close(key, json.dumps(dict(used)))

    def release(self, key: str) -> bool:
        """Count nothing instead of what was reserved."""
        return self._close(key, None)

    def full(self, lines: Sequence[Line]) -> str:
        """The first account that has no room for its line; empty if all have."""
        for line, used in zip(lines, self.used(lines), strict=True):
            if used + line.amount > line.limit:
                return line.account
        return ""

    def used(self, lines: Sequence[Line]) -> tuple[int, ...]:
        """What is used of each account in the window that is open."""
        sql = """
            SELECT coalesce(a.used, 0) FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS l (account, kind, n)
            LEFT JOIN interlock_accounts a ON a.account = l.account
                AND a.start >= interlock_started(l.kind, coalesce(%s, extract(epoch FROM clock_timestamp())))
            ORDER BY l.n
        """
        values = ([n.account for n in lines], [n.window.value for n in lines], self._time())
        with self._database.transaction() as db:
            return tuple(row[0] for row in db.execute(sql, values).fetchall())

    def lapsed(self) -> int:
        """How many reservations have outlived their lease and wait for somebody to say what became of them."""
        sql = """
            SELECT count(*) FROM interlock_reservations
            WHERE state = 'held' AND expires <= coalesce(%s, extract(epoch FROM clock_timestamp()))
        """
        with self._database.transaction() as db:
            return int(str(_one(db, sql, (self._time(),))))

    def prune(self, *, idle: float) -> int:
        """Forget reservations that are long over, and accounts of runs without a change for `idle` seconds."""
        now = self._time()
        with self._database.transaction() as db:
            gone = db.execute(_FORGET, (now, KEPT)).rowcount
            return gone + db.execute(_FORGET_RUNS, (now, idle)).rowcount

    def _close(self, key: str, used: str | None) -> bool:
        with self._database.transaction() as db:
            return bool(_one(db, "SELECT interlock_close(%s, %s, %s)", (key, used, self._time())))

    def _time(self) -> float | None:
        return None if self._clock is None else self._clock()


def _account(line: Line) -> str:
    return line.account


def _one(db: psycopg.Connection[tuple[object, ...]], sql: str, values: tuple[object, ...]) -> object:
    row = db.execute(sql, values).fetchone()
    if row is None:
        raise StoreError("the database gave no answer")
    return row[0]
