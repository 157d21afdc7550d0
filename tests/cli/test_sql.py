"""`interlock sql grants`, judged by what PostgreSQL lets the role do afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.tools.sql import conftest
from tests.tools.sql.world import PASSWORD, Server

MANIFEST = """\
version: 1
agents:
  support: {tools: [shop, local]}
tools:
  shop:
    kind: sql
    dsn: secret://TEST_SHOP_DSN
    role: clerk
    free_sql: true
    tables: {orders: {columns: [id, status], rows: "customer_id = principal", operations: [select]}}
  local: {kind: sql, path: local.db, tables: {notes: {columns: [id]}}}
"""

server = conftest.server


@pytest.fixture
def database(app: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (app / "interlock.yaml").write_text(MANIFEST.replace(", local]", "]").rpartition("  local:")[0])
    name = server.clone()
    monkeypatch.setenv("TEST_SHOP_DSN", server.dsn(name, "clerk", PASSWORD))
    monkeypatch.setenv("TEST_ADMIN_DSN", server.dsn(name))
    yield name
    with server.admin(name) as conn:
        conn.execute("DROP OWNED BY clerk")
        conn.execute("DROP ROLE clerk")


APPLY = ("sql", "grants", "interlock.yaml", "shop", "--apply", "--admin-dsn", "secret://TEST_ADMIN_DSN")


def test_grants_are_printed_and_nothing_is_touched(cli: Cli, app: Path) -> None:
    (app / "interlock.yaml").write_text(MANIFEST)
    done = cli("sql", "grants", "interlock.yaml", "shop")
    assert (done.returncode, done.stderr) == (0, "")
    assert 'CREATE ROLE "clerk" LOGIN NOSUPERUSER' in done.stdout
    assert 'GRANT SELECT ("id", "status") ON "public"."orders" TO "clerk"' in done.stdout


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["shop", "--apply"], 2),
        (["shop", "--admin-dsn", "secret://X"], 2),
        (["nonsense"], 2),
        (["local"], 1),
        (["shop", "--apply", "--admin-dsn", "postgresql://root:hunter2secret@db/shop"], 1),
        (["shop", "--apply", "--admin-dsn", "secret://TEST_KEY_THAT_IS_NOWHERE"], 1),
    ],
)
def test_what_cannot_be_applied_is_said(cli: Cli, app: Path, words: list[str], status: int) -> None:
    (app / "interlock.yaml").write_text(MANIFEST)
    done = cli("sql", "grants", "interlock.yaml", *words)
    assert done.returncode == status, done
    assert "applied to" not in done.stdout
    assert "hunter2secret" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_what_was_applied_is_what_doctor_proves_and_a_call_may_see(cli: Cli, database: str, server: Server) -> None:
    assert cli("doctor").returncode == 1  # no such role yet
    done = cli(*APPLY)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("-- applied to the role `clerk`; `interlock doctor` tries it\n")
    assert PASSWORD not in done.stdout + done.stderr
    doctor = cli("doctor")
    assert doctor.returncode == 0, doctor.stdout

    def ask(sql: str, principal: str = "alice") -> tuple[int, str]:
        done = cli("call", "shop", json.dumps({"sql": sql}), "--as", principal)
        assert PASSWORD not in done.stdout + done.stderr
        return done.returncode, done.stdout

    status, out = ask("SELECT id, status FROM orders ORDER BY id")
    assert (status, json.loads(out)["rows"]) == (0, [{"id": 1, "status": "open"}, {"id": 3, "status": "paid"}])
    assert json.loads(ask("SELECT id FROM orders", "bob")[1])["rows"] == [{"id": 2}]
    for sql in ("SELECT secret FROM vault", "SELECT card FROM orders", "DELETE FROM orders"):
        assert ask(sql)[0] == 1
    with server.admin(database) as conn:
        assert conn.execute("SELECT count(*) FROM orders").fetchone() == (4,)


def test_a_role_that_can_do_more_is_found(cli: Cli, database: str, server: Server) -> None:
    assert cli(*APPLY).returncode == 0
    with server.admin(database) as conn:
        conn.execute("GRANT SELECT ON vault TO clerk")
    done = cli("doctor", "--json")
    assert done.returncode == 1
    (broken,) = [p for p in json.loads(done.stdout)["proofs"] if not p["held"]]
    assert "vault" in broken["evidence"]
    assert cli("call", "shop", '{"sql": "SELECT id FROM orders"}', "--as", "alice").returncode == 1
