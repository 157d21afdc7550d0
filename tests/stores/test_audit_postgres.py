"""The audit in a real PostgreSQL: streams, vandals, a server that goes away."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from interlock.anchors.checkpoint import anchor
from interlock.audit.chain import Broken, Verified
from interlock.audit.errors import AuditError
from interlock.stores import ledger
from interlock.stores.place import audit_at
from interlock.stores.postgres.audit import PostgresAudit
from interlock.stores.postgres.database import PostgresDatabase
from tests.stores.conformance import KEY, AuditConformance

Make = Callable[..., PostgresAudit]


@pytest.fixture
def make(postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setattr(ledger, "PAGE", 3)
    opened: list[PostgresAudit] = []

    def made(clock: Callable[[], float] = lambda: 0.0, stream: str = "") -> PostgresAudit:
        opened.append(PostgresAudit(PostgresDatabase(postgres_dsn, size=4), clock=clock, stream=stream))
        return opened[-1]

    yield made
    for audit in opened:
        audit.close()


def test_the_audit_beside_a_store_is_used_if_there_is_one(make: Make, postgres_dsn: str) -> None:
    said = conninfo_to_dict(postgres_dsn)
    where = f"postgresql://{said['user']}@/{said['dbname']}?host={quote(str(said['host']), safe='')}"
    assert audit_at(where, stream="approvals") is None
    make(stream="gateway-1").append("start", "", {})
    beside = audit_at(where, stream="approvals")
    assert isinstance(beside, PostgresAudit)
    beside.append("approval", "r1", {"by": "ana"})
    beside.close()
    assert [r.kind for r in make(stream="approvals").records()] == ["approval"]
    assert isinstance(make(stream="gateway-1").verify(), Verified)


class TestPostgresAudit(AuditConformance):
    @pytest.fixture
    def make(self, make: Make) -> Make:
        return make


def filled(audit: PostgresAudit, count: int = 5) -> PostgresAudit:
    for n in range(count):
        audit.append("decision", "r1", {"n": n})
    return audit


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit SET body = '{}' WHERE seq = 2",
        "UPDATE audit SET personal = '', salt = '', erased = 5 WHERE seq = 2",
        "UPDATE audit SET seq = 99 WHERE seq = 5",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE seq = 5",
        "TRUNCATE audit",
        "INSERT INTO audit SELECT stream, 99, at, kind, run, body, commitment, previous, digest, salt, personal, erased FROM audit WHERE seq = 2",
        "INSERT INTO audit SELECT stream, 0, at, kind, run, body, commitment, previous, digest, salt, personal, erased FROM audit WHERE seq = 2",
        "INSERT INTO audit SELECT stream, seq + 6, at, kind, run, body, commitment, previous, digest, salt, personal, erased FROM audit",
    ],
)
def test_sql_changes_nothing(make: Make, postgres_dsn: str, sql: str) -> None:
    audit = filled(make())
    before = list(audit.records())
    with psycopg.connect(postgres_dsn) as db, pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        db.execute(sql.encode())
    assert list(audit.records()) == before


def test_a_vandal_who_owns_the_table_is_found(make: Make, postgres_dsn: str) -> None:
    audit = filled(make())
    with psycopg.connect(postgres_dsn) as db:
        db.execute("ALTER TABLE audit DISABLE TRIGGER USER")
        db.execute("UPDATE audit SET personal = '{\"n\":7}' WHERE seq = 3")
    verdict = audit.verify()
    assert isinstance(verdict, Broken)
    assert verdict.seq == 3


def test_two_writers_of_one_stream_make_one_chain_and_two_streams_two(make: Make) -> None:
    writers = [make(stream="a"), make(stream="a"), make(stream="b"), make()]

    def work(audit: PostgresAudit) -> None:
        filled(audit, 25)

    threads = [threading.Thread(target=work, args=(audit,)) for audit in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [audit.head().seq for audit in writers] == [50, 50, 25, 25]
    assert all(isinstance(audit.verify(), Verified) for audit in writers)
    assert writers[0].streams() == ["", "a", "b"]


def test_m9_a_head_that_somebody_holds_refuses_a_record(make: Make, postgres_dsn: str) -> None:
    audit = PostgresAudit(PostgresDatabase(postgres_dsn, patience=0.5))
    with psycopg.connect(postgres_dsn) as db:
        db.execute("SELECT * FROM audit_heads FOR UPDATE")
        with pytest.raises(AuditError, match="took no record"):
            audit.append("decision", "r1", {})
    audit.append("decision", "r1", {})
    assert audit.head().seq == 1
    audit.close()


def test_what_postgresql_cannot_keep_is_no_record(make: Make) -> None:
    audit = make()
    with pytest.raises(AuditError):
        audit.append("decision", "a run \0", {})
    assert list(audit.records()) == []
    audit.append("decision", "r1", {"text": "\0"})
    assert isinstance(audit.verify(), Verified)


def test_m9_a_database_that_is_away_is_an_error_of_the_audit() -> None:
    with pytest.raises(Exception, match="does not answer"):
        PostgresDatabase("postgresql://127.0.0.1:1/x", patience=0.5)


def test_a_service_that_does_not_own_the_tables_can_append_and_erase_and_no_more(make: Make, postgres_dsn: str) -> None:
    """The grants of docs/operations.md."""
    filled(make())
    page = (Path(__file__).parents[2] / "docs/operations.md").read_text()
    grants = [line.strip() for line in page.splitlines() if line.strip().startswith(("GRANT ", "REVOKE "))]
    assert len(grants) == 4
    role = f"interlock_{os.getpid()}"
    with psycopg.connect(postgres_dsn, autocommit=True) as db:
        db.execute(f"CREATE ROLE {role} LOGIN".encode())
        try:
            for line in grants:
                db.execute(
                    line.rstrip(";")
                    .replace("TO interlock", f"TO {role}")
                    .replace("FROM interlock", f"FROM {role}")
                    .encode()
                )
            audit = PostgresAudit(PostgresDatabase(make_conninfo(postgres_dsn, user=role)))
            audit.append("run", "r9", {"principal": "emma"})
            audit.extend([])
            assert audit.erase("emma", by="olga").count == 1
            assert isinstance(audit.verify(), Verified)
            anchor(audit, [KEY], [], now=1.0)
            with pytest.raises(AuditError, match="InsufficientPrivilege"):
                audit.drop(by="olga")
            for sql in ("ALTER TABLE audit DISABLE TRIGGER USER", "DELETE FROM audit", "UPDATE audit SET body = ''"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege), audit._database.transaction() as connection:
                    connection.execute(sql)
            audit.close()
        finally:
            db.execute(f"DROP OWNED BY {role}".encode())
            db.execute(f"DROP ROLE {role}".encode())


def test_who_only_reads_makes_no_tables(postgres_dsn: str) -> None:
    database = PostgresDatabase(postgres_dsn)
    with pytest.raises(AuditError, match="cannot be"):
        PostgresAudit(database, read_only=True)
    with database.transaction() as db:
        assert db.execute("SELECT to_regclass('audit')").fetchone() == (None,)
    database.close()
