"""Keys on every engine, and what can be told of a key without a store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.stores.key import KeyRing, KeyStore, issue, well_formed
from interlock.stores.memory.keys import MemoryKeys
from interlock.stores.postgres.database import PostgresDatabase
from interlock.stores.postgres.keys import PostgresKeys
from interlock.stores.sqlite.database import SqliteDatabase
from interlock.stores.sqlite.keys import SqliteKeys
from tests.stores.keys import KeysConformance, added


class TestMemoryKeys(KeysConformance):
    @pytest.fixture
    def make(self) -> Callable[[], KeyStore]:
        store = MemoryKeys()
        return lambda: store


class TestSqliteKeys(KeysConformance):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[[], KeyStore]:
        return lambda: SqliteKeys(SqliteDatabase(tmp_path / "state.db", durable=True, patience=30))


class TestPostgresKeys(KeysConformance):
    @pytest.fixture
    def make(self, postgres_dsn: str) -> Iterator[Callable[[], KeyStore]]:
        opened: list[PostgresDatabase] = []

        def one() -> KeyStore:
            opened.append(PostgresDatabase(postgres_dsn, size=4, patience=30))
            return PostgresKeys(opened[-1])

        yield one
        for database in opened:
            database.close()


@given(st.integers(0, 61), st.sampled_from("0aZ9_-é"))
def test_one_wrong_character_is_found_without_a_store(place: int, other: str) -> None:
    text = issue("agent", "support", now=0.0).text
    assert well_formed(text)
    mistyped = text[:place] + other + text[place + 1 :]
    assert well_formed(mistyped) is (mistyped == text)


def test_no_two_keys_are_alike() -> None:
    texts = {issue("approver", "ana", now=0.0).text for _ in range(500)}
    assert len(texts) == 500
    assert all(text.startswith("ila_") for text in texts)


def test_a_lookup_takes_microseconds() -> None:
    store = MemoryKeys()
    texts = [added(store, f"agent {n}").text for n in range(1000)]
    ring = KeyRing(store, kind="agent")
    best = 1.0
    for _ in range(5):
        start = time.perf_counter()
        for text in texts:
            assert ring.find(text) is not None
        best = min(best, (time.perf_counter() - start) / len(texts))
    assert best < 100e-6  # 8 µs where it was measured; a busy machine must not fail
