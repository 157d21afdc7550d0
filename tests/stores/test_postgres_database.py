"""The shared PostgreSQL database: what all its stores rest on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import psycopg
import pytest

from interlock.stores.errors import StoreAway, StoreError
from interlock.stores.postgres.database import RECOVERY, PostgresDatabase
from tests.gateway.cluster import wire


def test_a_migration_runs_once_and_never_backwards(postgres_dsn: str) -> None:
    db = PostgresDatabase(postgres_dsn, size=2)
    db.migrate("part", ["CREATE TABLE a (x int)"])
    db.migrate("part", ["CREATE TABLE a (x int)", "CREATE TABLE b (x int)"])
    with pytest.raises(StoreError, match="newer version"):
        db.migrate("part", ["CREATE TABLE a (x int)"])
    db.close()


def test_each_test_has_a_fresh_database(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as db:
        assert db.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_a_database_that_is_away_is_said_to_be(postgres_dsn: str) -> None:
    with pytest.raises(StoreAway):
        PostgresDatabase("host=127.0.0.1 port=1 dbname=nothing", patience=0.3)
    db = PostgresDatabase(postgres_dsn, size=1, patience=0.5)
    db.close()
    with pytest.raises(StoreAway), db.transaction():
        pass


def timed(work: Callable[[], object], most: float) -> float:
    """How long `work` took, which says that the database is away; in a thread, since it could take for ever."""
    took: list[float] = []

    def run() -> None:
        began = time.monotonic()
        with pytest.raises(StoreAway):
            work()
        took.append(time.monotonic() - began)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(most)
    assert took, "it waits for ever"
    return took[0]


def test_m9_a_connection_that_stalls_is_given_up_and_waits_do_not_add_up(postgres_dsn: str) -> None:
    with wire(postgres_dsn) as between:
        db = PostgresDatabase(between.store, size=4, patience=1)

        def ask() -> None:
            with db.transaction() as connection:
                connection.execute("SELECT 1")

        ask()
        between.stall()
        assert timed(ask, 6) < 4
        assert sum(timed(ask, 6) for _ in range(6)) < 4
        between.mend()
        time.sleep(RECOVERY)
        ask()
        db.close()


def test_m9_a_connection_that_stalls_in_a_transaction_ends_it(postgres_dsn: str) -> None:
    with wire(postgres_dsn) as between:
        db = PostgresDatabase(between.store, size=2, patience=1)

        def ask() -> None:
            with db.transaction() as connection:
                connection.execute("CREATE TABLE made (x int)")
                between.stall()
                connection.execute("SELECT 1")

        assert timed(ask, 8) < 5
        between.mend()
        time.sleep(RECOVERY)
        with db.transaction() as connection:
            assert connection.execute("SELECT to_regclass('made')").fetchone() == (None,)
        db.close()
