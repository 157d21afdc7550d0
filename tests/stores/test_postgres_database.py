"""The shared PostgreSQL database: what all its stores rest on."""

from __future__ import annotations

import psycopg
import pytest

from interlock.stores.errors import StoreAway, StoreError
from interlock.stores.postgres.database import PostgresDatabase


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
