"""Facts about conversations, in each engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interlock.gateway.stores import Facts
from interlock.stores.errors import StoreAway
from interlock.stores.memory.runs import MemoryRuns
from interlock.stores.postgres.database import PostgresDatabase
from interlock.stores.postgres.runs import PostgresRuns
from interlock.stores.sqlite.database import SqliteDatabase
from interlock.stores.sqlite.runs import SqliteRuns
from tests.stores.runs import RunsConformance


class TestMemory(RunsConformance):
    @pytest.fixture
    def make_runs(self) -> Callable[[], Facts]:
        store = MemoryRuns()
        return lambda: store


class TestSqlite(RunsConformance):
    @pytest.fixture
    def make_runs(self, tmp_path: Path) -> Callable[[], Facts]:
        return lambda: SqliteRuns(SqliteDatabase(tmp_path / "state.sqlite", durable=False))

    def test_old_conversations_are_forgotten_whole(self, tmp_path: Path) -> None:
        now = [100.0]
        store = SqliteRuns(SqliteDatabase(tmp_path / "s.sqlite", durable=False), clock=lambda: now[0])
        store.add("old", [("a", {"n": 1})])
        store.add("kept", [("a", {"n": 1})])
        now[0] = 200.0
        store.add("kept", [("b", {"n": 2})])
        assert store.forget(150.0) == 1
        assert store.since("old", 0) == []
        assert len(store.since("kept", 0)) == 2

    def test_a_file_that_is_none_is_away(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_bytes(b"not a database, but long enough to be taken for one" * 100)
        with pytest.raises(StoreAway):
            SqliteRuns(SqliteDatabase(tmp_path / "x", durable=False))


class TestPostgres(RunsConformance):
    @pytest.fixture
    def make_runs(self, postgres_dsn: str) -> Iterator[Callable[[], Facts]]:
        databases: list[PostgresDatabase] = []

        def make() -> Facts:
            databases.append(PostgresDatabase(postgres_dsn, size=1))
            return PostgresRuns(databases[-1])

        yield make
        for database in databases:
            database.close()
