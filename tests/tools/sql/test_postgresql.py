"""PostgreSQL: whose rows, whose writes, what a role may not have, and what happens when a layer fails."""

import hashlib
import hmac
import re
import time
from typing import Any

import psycopg
import pytest

from interlock.kernel.call import Call, Resource
from interlock.kernel.errors import CallError, PermitError
from interlock.kernel.spec import Effect, Role
from interlock.tools.kind import ConfigError, ScopeError, ToolFailed
from interlock.tools.sql import KIND, gate, grammar, proof, role
from interlock.tools.sql.capability import apply
from interlock.tools.sql.entry import parse
from interlock.tools.sql.functions import POSTGRESQL
from interlock.tools.sql.grants import grants
from interlock.tools.sql.session import Credentials
from tests.tools.sql.world import PASSWORD, READ, WRITE, Server, World, configured, granted, permit, state


def ids(answer: Any) -> list[int]:
    return sorted(row["id"] for row in answer["rows"])


@pytest.fixture(scope="module")
def writer(server: Server) -> Any:
    world = granted(server, WRITE, role="scribe")
    database = world.config.pop("_database")
    with server.admin(database) as conn:
        yield world.open(), conn


# whose rows


def test_rows_are_the_principals(reader: Any) -> None:
    world, _ = reader
    for who, expected in (
        ("alice", [1, 3]),
        ("bob", [2]),
        ("carol", [4]),
        ("nobody", []),
        ("", []),
        ("x' OR true --", []),
    ):
        assert sorted(r["id"] for r in (world.rows("SELECT id FROM orders", who or " "))) == expected
    with pytest.raises(ToolFailed):
        world.rows("SELECT id FROM orders", "alice\0")


FORGERIES = [
    ("principal", "SELECT set_config('interlock.principal', 'bob', true)"),
    ("principal-session", "SELECT set_config('interlock.principal', 'bob', false)"),
    ("set", "SET interlock.principal = 'bob'"),
    (
        "set-both",
        "SELECT set_config('interlock.principal', 'bob', true), set_config('interlock.proof', current_setting('interlock.proof'), true)",
    ),
    ("empty-proof", "SELECT set_config('interlock.principal', 'bob', true), set_config('interlock.proof', '', true)"),
    ("role", "SELECT set_config('role', 'postgres', true)"),
    ("row-security", "SELECT set_config('row_security', 'off', true)"),
    ("search-path", "SELECT set_config('search_path', 'pg_temp, public', true)"),
    ("reset", "RESET ALL"),
    ("discard", "DEALLOCATE ALL"),
]


@pytest.mark.parametrize("sql", [pytest.param(sql, id=i) for i, sql in FORGERIES])
def test_no_sql_makes_the_transaction_somebody_elses(reader: Any, sql: str) -> None:
    """The gate is out of the way: this is the engine's own answer."""
    world, _ = reader
    seen: list[Any] = []
    try:
        with world.capability._database.transaction("alice") as conn:
            conn.execute(sql, binary=True)
            seen = [r[0] for r in conn.execute("SELECT id FROM public.orders ORDER BY 1", binary=True)]
    except ToolFailed:
        pass
    assert 2 not in seen
    assert seen in ([], [1, 3])


def test_a_proof_is_worth_nothing_in_another_transaction(reader: Any) -> None:
    database = reader[0].capability._database
    with database.transaction("bob") as conn:
        stolen = conn.execute("SELECT current_setting('interlock.proof')", binary=True).fetchone()[0]
    with database.transaction("alice") as conn:
        conn.execute(
            "SELECT set_config('interlock.principal', 'bob', true), set_config('interlock.proof', $1, true)", [stolen]
        )
        assert conn.execute("SELECT id FROM orders", binary=True).fetchall() == []


def test_the_proof_is_the_hmac_that_the_database_computes(reader: Any) -> None:
    secret = reader[0].capability._database.credentials().secret
    moment, who = "1 2", "alice"
    assert proof.proof(secret, moment, who) == hmac.new(secret, b"1 2 alice", hashlib.sha256).hexdigest()
    inner, outer = (bytes.fromhex(p) for p in proof.pads(secret))
    twice = hashlib.sha256(outer + hashlib.sha256(inner + b"1 2 alice").digest()).hexdigest()
    assert twice == proof.proof(secret, moment, who)


def test_another_key_serves_nothing(server: Server) -> None:
    world = granted(server, READ, free_sql=True, role="other_key")
    world.config.pop("_database")
    world.open()
    database = world.capability._database
    real = database.credentials()
    database.credentials = lambda: Credentials(real.dsn, b"x" * 32)
    with pytest.raises(ToolFailed, match="who this call is for"):
        world.rows("SELECT id FROM items")


def test_rows_without_a_key_are_refused(server: Server) -> None:
    world = configured(server, "postgres", READ)
    world.context.secrets.__self__["secret://DSN"] = server.dsn("postgres", "agent")  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="needs a key"):
        world.open()


def test_other_roles_see_what_they_saw(server: Server) -> None:
    database = server.clone()
    with server.admin(database) as conn:
        conn.execute("DROP ROLE IF EXISTS app")
        conn.execute("CREATE ROLE app LOGIN")
        conn.execute("GRANT SELECT ON orders TO app")
    world = configured(server, database, READ, free_sql=True, role="narrow")
    apply(parse("shop", world.config), world.context.secrets, server.dsn(database))
    with psycopg.connect(server.dsn(database, "app")) as conn:
        assert len(conn.execute("SELECT id FROM orders").fetchall()) == 4
    world.open()
    assert [r["id"] for r in world.rows("SELECT id FROM orders", "bob")] == [2]
    with server.admin(database) as conn:  # a wide policy of somebody else widens nothing
        conn.execute("CREATE POLICY wide ON orders FOR ALL TO PUBLIC USING (true)")
    assert [r["id"] for r in world.rows("SELECT id FROM orders", "bob")] == [2]
    with server.admin(database) as conn:
        conn.execute("DROP OWNED BY app; DROP ROLE app")


def test_grants_print_and_apply_the_same_twice(server: Server) -> None:
    world = granted(server, WRITE, role="twice")
    database = world.config.pop("_database")
    entry = parse("shop", world.config)
    text = grants(entry)
    assert ":'interlock_inner'" in text
    assert PASSWORD not in text
    with server.admin(database) as conn:
        before = [state(conn)[i] for i in (4, 5, 7)]
        apply(entry, world.context.secrets, server.dsn(database))
        assert [state(conn)[i] for i in (4, 5, 7)] == before
    world.open()


def test_the_dsn_names_the_role_where_the_manifest_does_not(server: Server) -> None:
    world = granted(server, READ, role="unsaid")
    database = world.config.pop("_database")
    del world.config["role"]
    world.open()
    assert 'TO "unsaid"' in KIND.grants("shop", world.config, world.context.secrets)
    assert 'TO "interlock_shop"' in KIND.grants("shop", world.config)
    KIND.apply("shop", world.config, world.context.secrets, server.dsn(database))
    world.open()


def test_what_is_printed_runs_in_psql(server: Server) -> None:
    """The same text, its variables filled in as psql does."""
    database = server.clone()
    world = configured(server, database, WRITE, role="printed")
    inner, outer = proof.pads(proof.key("", PASSWORD))
    text = KIND.grants("shop", world.config)
    with server.admin(database) as conn:
        conn.execute(text.replace(":'interlock_inner'", f"'{inner}'").replace(":'interlock_outer'", f"'{outer}'"))
    assert len(world.open().tools) == 6


def test_specs_apply_nothing(server: Server) -> None:
    world = configured(server, "postgres", READ, role="never_made")
    KIND.specs("shop", world.config)
    with pytest.raises(ConfigError):
        world.open()
    with server.admin() as conn:
        assert not conn.execute("SELECT FROM pg_roles WHERE rolname = 'never_made'").fetchall()


# writes


def test_writes_stay_with_the_principals_rows(writer: Any) -> None:
    world, conn = writer
    rows = lambda: conn.execute("SELECT id, customer_id, title FROM tickets ORDER BY id").fetchall()  # noqa: E731
    assert world.call("shop_tickets_update", where={"id": 1}, values={"title": "fixed"}) == {"changed": 1}
    assert world.call("shop_tickets_update", where={"id": 2}, values={"title": "stolen"}) == {"changed": 0}
    assert world.call("shop_tickets_delete", where={"title": "lost"}) == {"changed": 0}
    assert world.call("shop_tickets_insert", values={"title": "new"}) == {"rows": [{"id": 4}], "changed": 1}
    assert world.call("shop_tickets_delete", where={"id": 3}) == {"changed": 1}
    assert rows() == [(1, "alice", "fixed"), (2, "bob", "lost"), (4, "alice", "new")]


@pytest.mark.parametrize(
    "arguments",
    [
        {"values": {"title": "x", "customer_id": "bob"}},
        {"values": {}},
        {"values": {"title": ["x"]}},
        {"values": {'title") VALUES (1); --': "x"}},
    ],
)
def test_an_insert_cannot_say_whose_it_is(writer: Any, arguments: dict[str, Any]) -> None:
    world, conn = writer
    with pytest.raises((CallError, ScopeError)):
        world.call("shop_tickets_insert", **arguments)
    assert conn.execute("SELECT count(*) FROM tickets").fetchone() == (3,)


WRITES = [
    ("update-all", "UPDATE tickets SET title = 'x'", "WHERE"),
    ("delete-all", "DELETE FROM tickets", "WHERE"),
    ("other-table", "UPDATE orders SET status = 'x' WHERE id = 1", "no `update`"),
    ("vault", "DELETE FROM vault WHERE true", "not declared"),
    ("insert-other", "INSERT INTO tickets (customer_id, title) VALUES ('bob', 'x')", "row-level security"),
    ("give-away", "UPDATE tickets SET customer_id = 'bob' WHERE id = 1", "permission denied"),
    (
        "conflict",
        "INSERT INTO tickets (id, customer_id, title) VALUES (2, 'alice', 'x') ON CONFLICT (id) DO UPDATE SET title = 'x'",
        "row-level|refused",
    ),
    ("returning-hidden", "UPDATE tickets SET title = 'x' WHERE id = 1 RETURNING customer_id", "not declared|denied"),
    ("returning-star", "UPDATE tickets SET title = 'x' WHERE id = 1 RETURNING *", "denied"),
    ("from-vault", "UPDATE tickets SET title = v.secret FROM vault v WHERE tickets.id = 1", "not declared"),
    ("using-vault", "DELETE FROM tickets USING vault WHERE true", "not declared"),
    ("sub-vault", "UPDATE tickets SET title = (SELECT secret FROM vault) WHERE id = 1", "not declared"),
    (
        "insert-select-vault",
        "INSERT INTO tickets (customer_id, title) SELECT 'alice', secret FROM vault",
        "not declared",
    ),
    (
        "cte-write",
        "WITH d AS (DELETE FROM tickets RETURNING id) INSERT INTO tickets (title) SELECT 'x' FROM d",
        "inside another",
    ),
    (
        "cte-shadow",
        "WITH tickets AS (SELECT 1 AS id) DELETE FROM vault WHERE id IN (SELECT id FROM tickets)",
        "not declared",
    ),
    ("function", "UPDATE tickets SET title = pg_read_file('/etc/passwd') WHERE id = 1", "not allowed"),
    ("two", "UPDATE tickets SET title = 'x' WHERE id = 1; DELETE FROM tickets", "2 statements"),
    ("truncate", "TRUNCATE tickets", "no statement"),
    ("select", "SELECT id FROM tickets", "only changes"),
    ("current-of", "DELETE FROM tickets WHERE CURRENT OF c", "not allowed"),
    ("hidden-where", "DELETE FROM tickets WHERE customer_id = 'bob'", "denied"),
]


@pytest.fixture(scope="module")
def free_writer(server: Server) -> Any:
    world = granted(server, WRITE, free_sql=True, role="free_writer")
    database = world.config.pop("_database")
    with server.admin(database) as conn:
        yield world.open(), conn


@pytest.mark.parametrize(("sql", "why"), [pytest.param(sql, why, id=i) for i, sql, why in WRITES])
def test_a_free_write_outside_is_refused(free_writer: Any, sql: str, why: str) -> None:
    world, conn = free_writer
    before = state(conn)
    with pytest.raises((ScopeError, ToolFailed), match=why):
        world.call("shop_write", sql=sql)
    assert state(conn)[:9] == before[:9]


def test_a_free_write_inside_passes(free_writer: Any) -> None:
    world, conn = free_writer
    assert world.call("shop_write", sql="UPDATE tickets SET state = 'seen' WHERE state = 'new'") == {"changed": 2}
    assert conn.execute("SELECT id FROM tickets WHERE state = 'seen' ORDER BY 1").fetchall() == [(1,), (3,)]
    found = world.call(
        "shop_write",
        sql="WITH x AS (SELECT 1 AS id) UPDATE tickets t SET state = 'new' FROM x WHERE t.id = x.id RETURNING t.id, state",
    )
    assert found == {"rows": [{"id": 1, "state": "new"}], "changed": 1}
    with pytest.raises(ScopeError, match="only reads"):
        world.call("shop", sql="DELETE FROM tickets WHERE id = 1")
    found = world.call(
        "shop_write", sql="INSERT INTO tickets (customer_id, title) VALUES ('alice', 'z') ON CONFLICT DO NOTHING"
    )
    assert found == {"changed": 1}


def test_a_write_of_too_many_rows_is_rolled_back(server: Server) -> None:
    world = granted(server, WRITE, free_sql=True, role="few", limits={"write_rows": 1})
    database = world.config.pop("_database")
    world.open()
    for sql in ("DELETE FROM tickets WHERE id > 0", "DELETE FROM tickets WHERE id > 0 RETURNING id"):
        with pytest.raises(ToolFailed, match="2 rows, more than 1"):
            world.call("shop_write", sql=sql)
    with server.admin(database) as conn:
        assert conn.execute("SELECT count(*) FROM tickets").fetchone() == (3,)


# tools


def test_find_takes_filters_and_refuses_columns(writer: Any) -> None:
    world, _ = writer
    assert set(world.tools) == {
        "shop_orders_find", "shop_items_find", "shop_tickets_find", "shop_tickets_insert", "shop_tickets_update", "shop_tickets_delete",
    }  # fmt: skip
    found = world.call(
        "shop_orders_find", where={"total": {"gt": 5}, "status": ["open", "paid"], "note": None}, columns=["id"]
    )
    assert found == {"rows": [{"id": 3}], "truncated": False}
    assert ids(world.call("shop_orders_find", where={"placed": {"ge": "2026-01-05"}, "note": {"like": "please%"}})) == [
        1
    ]
    assert world.call("shop_items_find", where={"Unit Name": "Nail", "qty": 5}, columns=["Unit Name"])["rows"] == [
        {"Unit Name": "Nail"}
    ]
    found = world.call("shop_orders_find", order_by="total", descending=True, columns=["id"], limit=1)
    assert found == {"rows": [{"id": 3}], "truncated": True}
    for bad in (
        {"where": {"card": "x"}},
        {"columns": ["card"]},
        {"order_by": "id; --"},
        {"where": {"id": {"or": 1}}},
        {"limit": 10**6},
    ):
        with pytest.raises(CallError):
            world.call("shop_orders_find", **bad)
    assert world.call("shop_orders_find", where={"note": "x' OR '1' = '1"})["rows"] == []


def test_named_queries_take_typed_arguments(server: Server) -> None:
    queries = {
        "by_status": {
            "sql": "SELECT id, note FROM orders WHERE status = :status AND placed >= :since AND ':x' <> '::' ORDER BY id",
            "parameters": {"status": ["open", "paid"], "since": "date"},
            "returns": {"own": ["id"], "id": ["id"], "object": "order"},
        },
        "close": {
            "sql": "UPDATE tickets SET state = 'closed' WHERE id = :ticket",
            "parameters": {"ticket": {"type": "integer", "role": "id:ticket"}},
        },
    }
    world = granted(server, WRITE, queries=queries, role="named")
    world.config.pop("_database")
    world.open()
    assert set(world.tools) == {"shop_by_status", "shop_close"}
    assert world.call("shop_by_status", status="open", since="2026-01-01") == {
        "rows": [{"id": 1, "note": 'please "hurry"'}],
        "truncated": False,
    }
    assert world.call("shop_close", ticket=1) == {"changed": 1}
    assert world.call("shop_close", ticket=2) == {"changed": 0}
    for bad in ({"status": "' OR true", "since": "2026-01-01"}, {"status": "open", "since": "now"}, {"status": "open"}):
        with pytest.raises(CallError):
            world.call("shop_by_status", **bad)
    close = world.tools["shop_close"].spec
    assert close.effect is Effect.WRITE
    assert close.argument("ticket").role is Role.ID
    assert world.tools["shop_by_status"].spec.returns.own == ("id",)
    for sql in (
        "SELECT * FROM vault",
        "SELECT 1; SELECT 2",
        "DROP TABLE orders",
        "SELECT id FROM orders WHERE id = :nope",
    ):
        with pytest.raises(ConfigError):
            KIND.specs("shop", world.config | {"queries": {"bad": {"sql": sql}}})


def test_scope_names_the_tables(reader: Any) -> None:
    world, _ = reader
    for sql, expected in (
        ("SELECT id FROM orders", Resource("Table", "orders")),
        ("SELECT 1 FROM orders, items", Resource("Table", "items,orders")),
        ("SELECT 1", Resource("Database", "shop")),
    ):
        assert (
            world.tools["shop"].scope(Call(tool="shop", arguments={"sql": sql}, agent="a", principal="p", run="r"))
            == expected
        )


def test_nothing_runs_without_its_permit(reader: Any) -> None:
    tool = reader[0].tools["shop"]
    call = Call(tool="shop", arguments={"sql": "SELECT 1"}, agent="a", principal="p", run="r")
    other = Call(tool="shop", arguments={"sql": "SELECT 2"}, agent="a", principal="p", run="r")
    with pytest.raises(PermitError):
        tool.perform(permit(other), call)


def test_labels_say_whose_words_rows_are(writer: Any) -> None:
    world, _ = writer
    orders = world.tools["shop_orders_find"].spec
    assert (orders.returns.own, orders.returns.object, orders.returns.id) == (("id", "status"), "order", ("id",))
    assert [world.tools[f"shop_tickets_{o}"].spec.effect for o in ("find", "insert", "update", "delete")] == [
        Effect.READ, Effect.WRITE, Effect.WRITE, Effect.DESTROY,
    ]  # fmt: skip
    free = KIND.specs("shop", world.config | {"free_sql": True})
    assert all(spec.returns.own == () for spec in free)  # an alias can carry any name
    assert {s.name: s.arguments[0].role for s in free} == {"shop": Role.TEXT, "shop_write": Role.COMMAND}


# caps


def test_caps_on_rows_and_bytes(server: Server) -> None:
    world = granted(server, READ, free_sql=True, role="capped", limits={"rows": 3, "bytes": 1000})
    world.config.pop("_database")
    world.open()
    found = world.call("shop", sql="SELECT generate_series(1, 1000000000) AS g")
    assert found == {"rows": [{"g": 1}, {"g": 2}, {"g": 3}], "truncated": True}
    assert world.call("shop", sql="SELECT repeat('x', 9999)") == {"rows": [], "truncated": True}
    assert world.call("shop", sql="SELECT 1 AS a UNION ALL SELECT 2", limit=1) == {
        "rows": [{"a": 1}],
        "truncated": True,
    }


def test_values_keep_their_meaning(reader: Any) -> None:
    rows = reader[0].rows(
        "SELECT 1 AS a, 2 AS a, 12345678901234567890123 AS big, 0.1 AS f, 'NaN'::float8 AS n, 1.23456789012345678901 AS d"
    )
    assert rows == [
        {"a": 1, "a_2": 2, "big": "12345678901234567890123", "f": 0.1, "n": "NaN", "d": "1.23456789012345678901"}
    ]


# a role that is too strong

STRONG = [
    ("superuser", "ALTER ROLE strong SUPERUSER", "SUPERUSER"),
    ("createrole", "ALTER ROLE strong CREATEROLE", "CREATEROLE"),
    ("createdb", "ALTER ROLE strong CREATEDB", "CREATEDB"),
    ("replication", "ALTER ROLE strong REPLICATION", "REPLICATION"),
    ("bypassrls", "ALTER ROLE strong BYPASSRLS", "BYPASSRLS"),
    ("member", "GRANT pg_read_all_data TO strong", "member of `pg_read_all_data`"),
    ("member-noinherit", "GRANT pg_monitor TO strong WITH INHERIT FALSE, SET TRUE", "member of `pg_monitor`"),
    ("files", "GRANT pg_read_server_files TO strong", "pg_read_server_files"),
    ("table", "GRANT SELECT ON vault TO strong", "SELECT .*secret.* on .*vault"),
    ("table-public", "GRANT SELECT ON vault TO PUBLIC", "vault"),
    ("view", "GRANT SELECT ON vault_view TO strong", "vault_view"),
    ("column", "GRANT SELECT (card) ON orders TO strong", "card"),
    ("whole-table", "GRANT SELECT ON orders TO strong", "card"),
    ("insert", "GRANT INSERT ON orders TO strong", "INSERT"),
    ("update-column", "GRANT UPDATE (status) ON orders TO strong", "UPDATE"),
    ("delete", "GRANT DELETE ON items TO strong", "DELETE"),
    ("truncate", "GRANT TRUNCATE ON items TO strong", "TRUNCATE"),
    ("references", "GRANT REFERENCES ON items TO strong", "REFERENCES"),
    ("trigger", "GRANT TRIGGER ON items TO strong", "TRIGGER"),
    ("owner", "ALTER TABLE items OWNER TO strong", "owns table public.items"),
    ("owner-schema", "CREATE SCHEMA mine AUTHORIZATION strong", "owns schema"),
    ("create-schema", "GRANT CREATE ON SCHEMA public TO strong", "CREATE in schema public"),
    ("create-database", "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO strong', current_database()); END $$", "CREATE on the database"),
    ("sequence", "GRANT USAGE ON SEQUENCE counter TO strong", "counter"),
    ("definer", "CREATE FUNCTION leak() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT secret FROM vault'", "leak"),
    ("definer-schema", "CREATE SCHEMA s; GRANT USAGE ON SCHEMA s TO PUBLIC; CREATE FUNCTION s.leak() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'", "s.leak"),
    ("read-file", "GRANT EXECUTE ON FUNCTION pg_read_file(text) TO strong", "pg_read_file"),
    ("read-file-public", "GRANT EXECUTE ON FUNCTION pg_ls_dir(text) TO PUBLIC", "pg_ls_dir"),
    ("dblink", "CREATE EXTENSION dblink", "dblink"),
    ("authid", "GRANT SELECT ON pg_authid TO strong", "pg_authid"),
    ("authid-column", "GRANT SELECT (rolpassword) ON pg_authid TO strong", "pg_authid"),
    ("fdw", "CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw; GRANT USAGE ON FOREIGN SERVER far TO strong", "foreign server"),
    ("large-object", "SELECT lo_create(42); GRANT SELECT ON LARGE OBJECT 42 TO strong", "large object 42"),
    ("parameter", "GRANT SET ON PARAMETER session_replication_role TO strong", "session_replication_role"),
    ("key", "GRANT SELECT ON interlock.key TO strong", "interlock"),
    ("no-rls", "ALTER TABLE orders DISABLE ROW LEVEL SECURITY", "no policy holds"),
    ("no-policy", "DO $$ BEGIN EXECUTE (SELECT format('DROP POLICY %I ON orders', polname) FROM pg_policy WHERE NOT polpermissive); END $$", "no policy holds"),
    ("other-policy", "DO $$ BEGIN EXECUTE (SELECT format('ALTER POLICY %I ON orders USING (true)', polname) FROM pg_policy WHERE NOT polpermissive); END $$", "not the manifest's"),
    ("missing-grant", "REVOKE SELECT ON items FROM strong", "lacks SELECT"),
]  # fmt: skip


# Cases that say the same of the same thing stand in different groups; one database for each.
ALONE = [
    {"superuser"},
    {"no-policy"},
    {"table-public", "view", "whole-table", "owner", "owner-schema", "read-file-public", "no-rls", "missing-grant"},
]
GROUPS = [*ALONE, {i for i, _, _ in STRONG}.difference(*ALONE)]


@pytest.mark.parametrize("group", GROUPS, ids=min)
def test_a_role_that_can_do_more_is_not_served(server: Server, group: set[str]) -> None:
    world = granted(server, READ, free_sql=True, role="strong")
    database = world.config.pop("_database")
    sessions = world.open().capability._database
    cases = [case for case in STRONG if case[0] in group]
    with server.admin(database) as conn:
        for _, sql, _ in cases:
            conn.execute(sql)
    try:
        with sessions.connect() as conn:
            seen = list(role.inspect(conn, sessions.entry))
        for name, _, found in cases:
            assert any(re.search(found, s.found) for s in seen), name
        assert all(s.remedy for s in seen)
        with pytest.raises(ConfigError, match="the role is not what the manifest says") as caught:
            world.open()
        assert caught.value.hint
    finally:
        with server.admin(database) as conn:
            conn.execute("REASSIGN OWNED BY strong TO postgres; DROP OWNED BY strong")
            conn.execute("DROP ROLE strong")


def test_what_the_catalog_hides_is_tried(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    world = granted(server, READ, free_sql=True, role="tried")
    with server.admin(world.config.pop("_database")) as conn:
        conn.execute("GRANT SELECT ON vault TO tried")
    monkeypatch.setattr(role, "inspect", lambda *a: [])
    with pytest.raises(ConfigError, match=r"not the table public.vault"):
        world.open()


def test_a_manifest_that_changed_is_noticed(server: Server) -> None:
    world = granted(server, READ, free_sql=True, role="changed")
    world.config.pop("_database")
    world.open()
    tables = {**READ, "orders": {**READ["orders"], "rows": "customer_id = principal OR status = 'paid'"}}
    with pytest.raises(ConfigError, match="not the manifest's"):
        World(world.config | {"tables": tables}, world.context).open()
    with pytest.raises(ConfigError, match=r"lacks SELECT|it has"):
        World(
            world.config | {"tables": {"orders": READ["orders"] | {"columns": ["id", "status"]}}}, world.context
        ).open()
    with pytest.raises(ConfigError, match="logs in as"):
        World(world.config | {"role": "somebody"}, world.context).open()


def test_m7_an_open_entry_holds_no_password(reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once nobody may ask for the secret, nothing can log in: no value was kept."""
    world, _ = reader
    database = world.capability._database

    assert PASSWORD not in repr(vars(database)) + repr(database.credentials())
    given = world.context.secrets.__self__
    monkeypatch.delitem(given, "secret://DSN")
    with pytest.raises(KeyError):
        world.rows("SELECT 1")


# layers that fail


def test_a_server_that_is_away_refuses(reader: Any, server: Server) -> None:
    world = configured(server, "no_such_database", READ)
    with pytest.raises(ConfigError, match="cannot be reached") as caught:
        world.open()
    assert PASSWORD not in str(caught.value) + caught.value.hint
    database = reader[0].capability._database
    before = database.credentials
    database.credentials = lambda: Credentials("host=127.0.0.1 port=1 dbname=x user=agent password=hush", None)
    try:
        with pytest.raises(ToolFailed) as failed:
            reader[0].rows("SELECT 1")
    finally:
        database.credentials = before
    assert str(failed.value) == "the database cannot be reached"


def test_a_parser_that_raises_refuses(reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world, state_of = reader
    before = state_of()
    for error in (RuntimeError("x"), MemoryError(), RecursionError(), UnicodeError("x")):

        def broken(sql: str, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(grammar.postgast(), "parse", broken)
        with pytest.raises((RuntimeError, ScopeError)):
            world.rows("SELECT 1")
    assert state_of() == before


def test_a_statement_that_the_wrapping_would_change_is_refused(reader: Any) -> None:
    entry = reader[0].capability._entry
    judged = gate.judge("SELECT 1", entry)
    with pytest.raises(ScopeError, match="reads differently"):
        gate.wrapped(judged, "SELECT * FROM (SELECT 2) q", entry)


def test_the_engine_stops_a_long_statement(server: Server) -> None:
    world = granted(server, READ, free_sql=True, role="timed", limits={"seconds": 0.3})
    world.config.pop("_database")
    world.open()
    start = time.monotonic()
    with pytest.raises(ToolFailed, match=r"longer than 0.3"):
        world.rows("SELECT count(*) FROM generate_series(1, 1000000000)")
    assert time.monotonic() - start < 3


@pytest.mark.parametrize("deaf", [False, True], ids=["cancel", "terminate"])
def test_the_watchdog_acts_when_the_engine_does_not(
    server: Server, deaf: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = granted(server, READ, free_sql=True, role="watched", limits={"seconds": 0.2})
    world.config.pop("_database")
    database = world.open().capability._database
    monkeypatch.setattr("interlock.tools.sql.entry.Limits.grace", 0.2)
    if deaf:
        monkeypatch.setattr(psycopg.Connection, "cancel_safe", lambda *a, **k: None)
    start = time.monotonic()
    with pytest.raises(ToolFailed, match="longer than"), database.transaction("alice") as conn:  # noqa: PT012
        conn.execute("SELECT set_config('statement_timeout', '0', true)", binary=True)
        conn.execute("SELECT pg_sleep(20)", binary=True)
    assert time.monotonic() - start < 5
    with server.admin() as conn:
        assert conn.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'watched' AND state = 'active'"
        ).fetchone() == (0,)


def test_a_session_does_not_outlive_its_call(reader: Any, server: Server) -> None:
    world, _ = reader
    first = world.rows("SELECT 1")
    time.sleep(0.05)
    with server.admin() as conn:
        assert first
        assert conn.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = 'agent'").fetchone() == (0,)


def test_every_claim_is_proven(reader: Any) -> None:
    world, state_of = reader
    before = state_of()
    proofs = world.capability.prove()
    assert {p.layer for p in proofs} == {"engine", "gate", "watchdog"}
    assert len(proofs) >= 25
    assert [p for p in proofs if not p.held] == []
    assert state_of() == before


def test_the_allowed_functions_are_what_they_are_said_to_be(server: Server) -> None:
    """Each exists, and none but these three is volatile."""
    with server.admin() as conn:
        found = dict(
            conn.execute(
                "SELECT proname, string_agg(DISTINCT provolatile::text, '') FROM pg_proc"
                " WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = ANY (%s) GROUP BY 1",
                [list(POSTGRESQL)],
            ).fetchall()
        )
    assert POSTGRESQL - found.keys() <= {"crc32", "crc32c", "extract", "overlay"}
    assert {n for n, v in found.items() if "v" in v} == {
        "clock_timestamp",
        "gen_random_uuid",
        "random",
        "uuidv4",
        "uuidv7",
    }
