"""An entry under test, and the server behind it: how to grant, open and call, and what an attack could have changed."""

import secrets
from dataclasses import dataclass, field
from typing import Any

import psycopg

from interlock.kernel.call import Call, Json
from interlock.kernel.decision import Mint, Permit
from interlock.tools.kind import Context
from interlock.tools.sql import KIND
from interlock.tools.sql import capability as capabilities
from interlock.tools.sql.entry import parse

MINT = Mint(secrets.token_bytes(32))
PASSWORD = "a long password of the agent"
SHOP = """
CREATE TABLE orders (id int PRIMARY KEY, customer_id text NOT NULL, status text NOT NULL DEFAULT 'open',
  total numeric(10,2), placed date, note text, card text);
INSERT INTO orders VALUES
  (1, 'alice', 'open', 10.50, '2026-01-05', 'please "hurry"', '4111-1'), (2, 'bob', 'open', 20, '2026-01-06', 'bob-note', '4111-2'),
  (3, 'alice', 'paid', 30.25, '2026-02-07', NULL, '4111-3'), (4, 'carol', 'paid', 40, '2026-02-08', 'carol-note', '4111-4');
CREATE TABLE items (id int PRIMARY KEY, order_id int, "Unit Name" text, qty int, tags jsonb);
INSERT INTO items VALUES (1, 1, 'Nail', 5, '{"a": [1, 2]}'), (2, 1, 'Screw', 7, '{"b": {"c": "x"}}'), (3, 3, 'Saw', 1, 'null');
CREATE TABLE tickets (id serial PRIMARY KEY, customer_id text NOT NULL, title text, state text DEFAULT 'new');
INSERT INTO tickets (customer_id, title) VALUES ('alice', 'broken'), ('bob', 'lost'), ('alice', 'late');
CREATE TABLE vault (id int PRIMARY KEY, secret text);
INSERT INTO vault VALUES (1, 'TOPSECRET');
CREATE VIEW vault_view AS SELECT * FROM vault;
CREATE SEQUENCE counter;
CREATE FUNCTION public.bump() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
"""
READ: dict[str, Any] = {
    "orders": {
        "columns": ["id", "status", "total", "placed", "note"],
        "rows": "customer_id = principal",
        "own": ["id", "status"],
    },
    "items": {"columns": ["id", "order_id", "Unit Name", "qty", "tags"]},
}
WRITE: dict[str, Any] = READ | {
    "tickets": {
        "columns": ["id", "title", "state"],
        "rows": "customer_id = principal",
        "operations": ["select", "insert", "update", "delete"],
        "fixed": {"customer_id": "principal"},
    }
}


def check(permit: Permit, call: Call) -> None:
    MINT.check(permit, call.digest)


def permit(call: Call) -> Permit:
    return MINT.permit(call.digest, "n", approved=False)


@dataclass
class World:
    """An entry under test: the configuration, the capability, and what an administrator sees."""

    config: dict[str, Any]
    context: Context
    name: str = "shop"
    capability: Any = None
    tools: dict[str, Any] = field(default_factory=dict)

    def open(self) -> "World":
        self.capability = KIND.open(self.name, self.config, self.context)
        self.tools = {o.spec.name: o for o in self.capability.operations}
        assert [o.spec for o in self.capability.operations] == list(KIND.specs(self.name, self.config))
        return self

    def call(self, tool: str, principal: str = "alice", **arguments: Any) -> Json:
        operation = self.tools[tool]
        call = Call(tool=tool, arguments=arguments, agent="support", principal=principal, run="r1")
        operation.validate(arguments)
        operation.scope(call)
        return operation.perform(permit(call), call)  # type: ignore[no-any-return]

    def rows(self, sql: str, principal: str = "alice", **more: Any) -> Any:
        answer = self.call("shop", principal, sql=sql, **more)
        assert isinstance(answer, dict)
        return answer["rows"]


@dataclass
class Server:
    uri: str
    made: int = 0

    def admin(self, database: str = "postgres") -> psycopg.Connection[Any]:
        return psycopg.connect(self.dsn(database), autocommit=True)

    def dsn(self, database: str, user: str = "postgres", password: str = "") -> str:
        parts: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(self.uri) | {"dbname": database, "user": user}
        return psycopg.conninfo.make_conninfo("", **parts, **({"password": password} if password else {}))

    def clone(self) -> str:
        self.made += 1
        name = f"shop{self.made}"
        with self.admin() as conn:
            conn.execute(f"CREATE DATABASE {name} TEMPLATE prepared")
        return name


def configured(server: Server, database: str, tables: dict[str, Any], role: str = "agent", **more: Any) -> World:
    dsn = server.dsn(database, role, PASSWORD)
    config = {"kind": "sql", "dsn": "secret://DSN", "role": role, "tables": tables, **more}
    return World(config, Context(base_dir="/", secrets={"secret://DSN": dsn}.__getitem__, check=check))


def granted(server: Server, tables: dict[str, Any], **more: Any) -> World:
    """A fresh database with the grants applied, and the entry not yet open."""
    database = server.clone()
    world = configured(server, database, tables, **more)
    capabilities.apply(parse("shop", world.config), world.context.secrets, server.dsn(database))
    world.config["_database"] = database
    return world


def state(conn: psycopg.Connection[Any]) -> list[Any]:
    """Everything that an attack could have changed."""
    return [
        conn.execute(sql).fetchall()
        for sql in (
            "SELECT * FROM orders ORDER BY 1",
            "SELECT * FROM items ORDER BY 1",
            "SELECT * FROM tickets ORDER BY 1",
            "SELECT * FROM vault ORDER BY 1",
            "SELECT nspname, relname, relkind, relacl::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname NOT LIKE 'pg\\_%' ORDER BY 1, 2",
            "SELECT proname, proacl::text FROM pg_proc WHERE pronamespace::regnamespace::text IN ('public', 'interlock') ORDER BY 1",
            "SELECT a.rolname, a.rolsuper, r.rolconfig::text, a.rolconnlimit, a.rolpassword FROM pg_authid a JOIN pg_roles r USING (oid) ORDER BY 1",
            "SELECT polname, polroles, pg_get_expr(polqual, polrelid) FROM pg_policy ORDER BY 1, 3",
            "SELECT count(*) FROM pg_largeobject_metadata",
            "SELECT last_value, is_called FROM counter",
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'",
            "SELECT slot_name FROM pg_replication_slots",
        )
    ]
