"""SQLite: the tables of attacks and everyday statements, and the tools on a file of their own."""

import hashlib
import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from interlock.kernel.errors import CallError
from interlock.tools.kind import ConfigError, Context, ScopeError, ToolFailed
from tests.tools.sql.test_corpus import cases
from tests.tools.sql.world import World, check

ATTACKS, BENIGN = cases("sql_sqlite"), cases("sql_sqlite_benign")
SHOP = """
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id TEXT, status TEXT, total REAL, placed TEXT, note TEXT, card TEXT);
INSERT INTO orders VALUES (1, 'alice', 'open', 10.5, '2026-01-05', 'please hurry', '4111-1'), (2, 'bob', 'open', 20, '2026-01-06', 'bob-note', '4111-2'),
 (3, 'alice', 'paid', 30.25, '2026-02-07', NULL, '4111-3'), (4, 'o''hara', 'paid', 40, '2026-02-08', 'x', '4111-4');
CREATE TABLE items (id INTEGER PRIMARY KEY, order_id INT, "Unit Name" TEXT, qty INT, tags TEXT, cost TEXT);
INSERT INTO items VALUES (1, 1, 'Nail', 5, '{"a": [1, 2]}', 'TOPSECRET'), (2, 1, 'Screw', 7, '{"b": 1}', 'x');
CREATE TABLE vault (id INTEGER PRIMARY KEY AUTOINCREMENT, secret TEXT);
CREATE INDEX vault_index ON vault (secret);
INSERT INTO vault (secret) VALUES ('TOPSECRET');
CREATE VIEW vault_view AS SELECT * FROM vault;
CREATE TABLE log (what TEXT);
CREATE TABLE tickets (id INTEGER PRIMARY KEY, customer_id TEXT, title TEXT);
INSERT INTO tickets VALUES (1, 'alice', 'broken'), (2, 'bob', 'lost');
CREATE TRIGGER logged AFTER UPDATE ON tickets BEGIN INSERT INTO log VALUES (NEW.title); END;
"""
READ: dict[str, Any] = {
    "orders": {
        "columns": ["id", "status", "total", "placed", "note"],
        "rows": "customer_id = principal",
        "own": ["id", "status"],
    },
    "items": {"columns": ["id", "order_id", "Unit Name", "qty", "tags"]},
}
TICKETS: dict[str, Any] = {
    "tickets": {
        "columns": ["id", "title"],
        "rows": "customer_id = principal",
        "operations": ["select", "insert", "update", "delete"],
        "fixed": {"customer_id": "principal"},
    }
}


def shop(folder: Path, tables: dict[str, Any], **more: Any) -> World:
    path = folder / "shop.db"
    if not path.exists():
        with sqlite3.connect(path) as conn:
            conn.executescript(SHOP)
        conn.close()
    config = {"kind": "sql", "path": "shop.db", "tables": tables, **more}
    return World(config, Context(base_dir=str(folder), secrets=str, check=check)).open()


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("lite")
    world = shop(folder, READ, free_sql=True, limits={"seconds": 0.4})
    return world, lambda: {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def test_the_tables_are_as_large_as_promised() -> None:
    assert len(ATTACKS) >= 80
    assert len(BENIGN) >= 18


@pytest.mark.parametrize("case", ATTACKS)
def test_an_attack_is_refused_and_changes_nothing(reader: Any, case: dict[str, str]) -> None:
    world, state = reader
    before = state()
    with pytest.raises((ScopeError, ToolFailed, CallError)) as caught:
        world.rows(case["sql"])
    assert not re.search(r"TOPSECRET|4111-|bob-note", str(caught.value))
    assert state() == before


@pytest.mark.parametrize("case", BENIGN)
def test_an_everyday_statement_passes(reader: Any, case: dict[str, str]) -> None:
    rows = reader[0].rows(case["sql"])
    assert rows
    assert not re.search(r"TOPSECRET|4111-|bob", json.dumps(rows))


def test_rows_are_the_principals(reader: Any) -> None:
    assert [r["id"] for r in reader[0].rows("SELECT id FROM orders")] == [1, 3]
    assert [r["id"] for r in reader[0].rows("SELECT id FROM orders", "bob")] == [2]
    assert [r["id"] for r in reader[0].rows("SELECT id FROM orders", "o'hara")] == [4]
    assert reader[0].rows("SELECT id FROM orders", "x' OR '1' = '1") == []
    with pytest.raises(ToolFailed):
        reader[0].rows("SELECT id FROM orders", "alice\0")


def test_only_the_name_of_this_very_connection_would_open_the_table(reader: Any) -> None:
    """SQLite takes a common table expression's name for a view's: that is why the name is random, and new each time."""
    forged = 'WITH "{0}" AS MATERIALIZED (SELECT * FROM main.orders LIMIT 9) SELECT id FROM "{0}"'
    with reader[0].capability._file.connection("alice") as first:
        name = next(iter(first._views))
        assert len(first.rows(forged.format(name), (), 10).rows) == 4
    assert len(name) >= len("interlock_") + 32
    with pytest.raises(ScopeError):
        reader[0].rows(forged.format(name))


def test_large_sorts_go_to_disk_not_to_memory(reader: Any) -> None:
    with reader[0].capability._file.connection("alice") as guarded:
        guarded.conn.set_authorizer(None)
        assert guarded.conn.execute("PRAGMA temp_store").fetchone() == (1,)


def test_caps_on_rows_and_bytes(tmp_path: Path) -> None:
    world = shop(tmp_path, READ, free_sql=True, limits={"rows": 2, "bytes": 500})
    series = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    assert world.call("shop", sql=series) == {"rows": [{"i": 1}, {"i": 2}], "truncated": True}
    assert world.call("shop", sql="SELECT printf('%.*c', 600, 'x')") == {"rows": [], "truncated": True}
    assert world.call("shop", sql="SELECT id FROM orders", limit=1) == {"rows": [{"id": 1}], "truncated": True}


def test_find_takes_filters_and_refuses_columns(tmp_path: Path) -> None:
    world = shop(tmp_path, READ)
    assert set(world.tools) == {"shop_orders_find", "shop_items_find"}
    found = world.call(
        "shop_orders_find", where={"total": {"gt": 5}, "status": ["open", "paid"], "note": None}, columns=["id"]
    )
    assert found == {"rows": [{"id": 3}], "truncated": False}
    found = world.call("shop_orders_find", order_by="total", descending=True, columns=["id"], limit=1)
    assert found == {"rows": [{"id": 3}], "truncated": True}
    for bad in ({"where": {"card": "x"}}, {"columns": ["card"]}, {"order_by": "card"}, {"where": {"id": {"or": 1}}}):
        with pytest.raises(CallError):
            world.call("shop_orders_find", **bad)


def test_writes_stay_with_the_principals_rows(tmp_path: Path) -> None:
    world = shop(tmp_path, TICKETS)
    rows = lambda: sqlite3.connect(tmp_path / "shop.db").execute("SELECT * FROM tickets ORDER BY id").fetchall()  # noqa: E731
    assert world.call("shop_tickets_update", where={"id": 1}, values={"title": "fixed"}) == {"changed": 1}
    assert world.call("shop_tickets_update", where={"id": 2}, values={"title": "stolen"}) == {"changed": 0}
    assert world.call("shop_tickets_delete", where={"title": "lost"}) == {"changed": 0}
    assert world.call("shop_tickets_insert", values={"id": 7, "title": "new"}) == {"changed": 1}
    assert rows() == [(1, "alice", "fixed"), (2, "bob", "lost"), (7, "alice", "new")]
    with pytest.raises((CallError, ScopeError)):
        world.call("shop_tickets_update", where={"id": 1}, values={"customer_id": "bob"})
    with pytest.raises((CallError, ScopeError)):
        world.call("shop_tickets_delete", where={})
    assert world.call("shop_tickets_delete", where={"id": 7}) == {"changed": 1}


def test_triggers_hold_a_write_that_forgot_its_condition(tmp_path: Path) -> None:
    world = shop(tmp_path, TICKETS)
    for sql in (
        "UPDATE main.tickets SET title = 'x'",
        "DELETE FROM main.tickets",
        "INSERT INTO main.tickets (id) VALUES (9)",
    ):
        with pytest.raises(ScopeError), world.capability._file.connection("alice", write=True) as guarded:
            guarded.change(sql, ())
    assert (
        len(sqlite3.connect(tmp_path / "shop.db").execute("SELECT * FROM tickets WHERE title <> 'x'").fetchall()) == 2
    )


def test_a_write_of_too_many_rows_is_rolled_back(tmp_path: Path) -> None:
    world = shop(tmp_path, TICKETS, limits={"write_rows": 1})
    world.call("shop_tickets_insert", values={"id": 8, "title": "broken"})
    with pytest.raises(ToolFailed, match="more than 1"):
        world.call("shop_tickets_delete", where={"title": "broken"})
    assert len(world.call("shop_tickets_find")["rows"]) == 2  # type: ignore[index, arg-type, call-overload]


def test_named_queries_take_typed_arguments(tmp_path: Path) -> None:
    query = {"sql": "SELECT id FROM orders WHERE status = :status", "parameters": {"status": ["open", "paid"]}}
    world = shop(tmp_path, READ, queries={"by_status": query})
    assert set(world.tools) == {"shop_by_status"}
    assert world.call("shop_by_status", status="open") == {"rows": [{"id": 1}], "truncated": False}
    with pytest.raises(CallError):
        world.call("shop_by_status", status="' OR 1 = 1 --")
    with pytest.raises(ConfigError, match="vault"):
        shop(tmp_path, READ, queries={"bad": {"sql": "SELECT * FROM vault"}})


def test_what_cannot_be_limited_is_not_opened(tmp_path: Path) -> None:
    shop(tmp_path, READ)
    for table in ("vault_view", "nothing"):
        with pytest.raises(ConfigError):
            shop(tmp_path, {table: {"columns": ["id"]}})
    with pytest.raises(ConfigError, match="no column"):
        shop(tmp_path, {"orders": {"columns": ["nope"]}})
    with pytest.raises(ConfigError, match=r"regular|no such"):
        World(
            {"kind": "sql", "path": ".", "tables": READ},
            Context(base_dir=str(tmp_path), secrets=str, check=check),
        ).open()


def test_an_authorizer_that_fails_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = shop(tmp_path, READ, free_sql=True)
    monkeypatch.setattr("interlock.tools.sql.sqlite.Guarded._reads", lambda *a: 1 / 0)
    with pytest.raises((ScopeError, ToolFailed)):
        world.rows("SELECT id FROM items")


def test_every_claim_is_proven(reader: Any) -> None:
    proofs = reader[0].capability.prove()
    assert len(proofs) >= 10
    assert [p for p in proofs if not p.held] == []
