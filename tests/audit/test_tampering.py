"""Every way to tamper with an audit, done to a real file, a real table and a real export: audit-tampering.toml."""

from __future__ import annotations

import sqlite3
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from interlock.anchors.checkpoint import anchor
from interlock.audit.chain import Broken, Verdict, Verified
from interlock.audit.checkpoint import Note, PrivateKey
from interlock.audit.commitment import commit
from interlock.audit.errors import AuditError
from interlock.audit.export import jsonl, read
from interlock.audit.record import Record, leaf
from interlock.audit.verify import examine
from interlock.stores.ledger import COLUMNS, Ledger
from interlock.stores.memory.audit import MemoryAudit
from interlock.stores.postgres.audit import PostgresAudit
from interlock.stores.postgres.database import PostgresDatabase
from interlock.stores.sqlite.audit import SqliteAudit
from tests.stores.conftest import postgres_dsn, postgres_server  # noqa: F401 - fixtures

CASES: list[dict[str, Any]] = tomllib.loads((Path(__file__).parents[1] / "corpora/audit-tampering.toml").read_text())[
    "case"
]
KEY = PrivateKey("audit.example", bytes(32))
PLACES = ("sqlite", "postgres", "export")
Open = Callable[[str], Ledger]


@pytest.fixture
def sqlite_open(tmp_path: Path) -> Open:
    return lambda stream: SqliteAudit(tmp_path / "audit.sqlite", clock=lambda: 5.0, stream=stream)


@pytest.fixture
def postgres_open(postgres_dsn: str) -> Iterator[Open]:  # noqa: F811 - the fixture
    opened: list[PostgresAudit] = []

    def make(stream: str) -> PostgresAudit:
        opened.append(PostgresAudit(PostgresDatabase(postgres_dsn, size=2), clock=lambda: 5.0, stream=stream))
        return opened[-1]

    yield make
    for audit in opened:
        audit.close()


def fill(store: Ledger) -> None:
    """Twenty records of two principals."""
    store.append("start", "", {"policy": "p"})
    for n in range(19):
        name = "emma" if n % 2 == 0 else "ben"
        said = {"decision": "forbidden", "agent": "a", "principal": name, "arguments": {"to": f"bob{n}@example.com"}}
        store.append("run" if n < 2 else "decision", f"r-{n % 2}", said)


def raw(store: Ledger, *statements: str) -> None:
    """Statements of somebody who owns the database."""
    if isinstance(store, SqliteAudit):
        with sqlite3.connect(store._sqlite.path) as db:
            for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
                db.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                db.execute(statement)
        db.close()
        return
    assert isinstance(store, PostgresAudit)
    with psycopg.connect(store._database.dsn) as connection:  # type: ignore[attr-defined]
        connection.execute("ALTER TABLE audit DISABLE TRIGGER USER")
        for statement in statements:
            connection.execute(statement.encode())


def put(store: Ledger, rows: list[Record]) -> None:
    """Make `rows` the whole chain of `store`."""
    raw(store, f"DELETE FROM audit WHERE stream = '{store.stream}'")  # noqa: S608 - constants
    sign = "?" if isinstance(store, SqliteAudit) else "%s"
    query = f"INSERT INTO audit ({COLUMNS}) VALUES ({', '.join([sign] * 12)})"  # noqa: S608 - constants
    with store._database.transaction() as db:
        for row in rows:
            db.execute(query, row)


def relinked(rows: list[Record]) -> list[Record]:
    """`rows` with numbers, links and digests that fit."""
    made: list[Record] = []
    previous = "0" * 64
    for n, row in enumerate(rows, 1):
        new = row._replace(seq=n, previous=previous)
        made.append(new._replace(digest=leaf(new.entry)))
        previous = made[-1].digest
    return made


def edited(row: Record) -> Record:
    """`row`, which says something else, with a commitment to match."""
    personal = row.personal.replace("bob", "eve")
    return row._replace(personal=personal, commitment=commit(row.salt, personal))


def forged(rows: list[Record], at: int) -> list[Record]:
    new = edited(rows[at])._replace(seq=at + 1, previous=rows[at - 1].digest)
    return [*rows[:at], new._replace(digest=leaf(new.entry)), *rows[at:]]


def tampered(what: str, rows: list[Record], others: list[Record]) -> list[Record]:
    """`rows` after `what` was done to them."""
    a, b = rows[7], rows[8]
    match what:
        case "swap":
            return [*rows[:7], b, a, *rows[9:]]
        case "swap-bodies":
            names = ("text", "commitment", "salt", "personal", "digest")
            one, two = ({n: getattr(r, n) for n in names} for r in (a, b))
            return [*rows[:7], a._replace(**two), b._replace(**one), *rows[9:]]
        case "double":
            return [r._replace(seq=n) for n, r in enumerate([*rows[:8], a, *rows[8:]], 1)]
        case "insert":
            return [r._replace(seq=n) for n, r in enumerate(forged(rows, 7), 1)]
        case "append":
            new = edited(rows[-1])._replace(seq=21, previous=rows[-1].digest)
            return [*rows, new._replace(digest=leaf(new.entry))]
        case "transplant":
            return [*rows[:7], others[7]._replace(stream=""), *rows[8:]]
        case "edit-one":
            new = edited(a)
            return [*rows[:7], new._replace(digest=leaf(new.entry)), *rows[8:]]
        case "edit-relink":
            return relinked([*rows[:7], edited(a), *rows[8:]])
        case "delete-relink":
            return relinked([*rows[:7], *rows[8:]])
        case "insert-relink":
            return relinked(forged(rows, 7))
        case "edit-last":
            return relinked([*rows[:-1], edited(rows[-1])])
        case _:
            raise AssertionError(what)


def verdict(store: Ledger, place: str, notes: list[Note]) -> Verdict:
    """What the records, and `notes` if there are any, say; what cannot be read is not whole."""
    keys = [KEY.public] if notes else []
    try:
        if place != "export":
            return examine(store.rows(), stream=store.stream, base=store.base(), anchored=notes, keys=keys)
        lines = list(jsonl(store.records(), stream=store.stream, base=store.base()))
        stream, base, records = read(lines)
        return examine(records, stream=stream, base=base, anchored=notes, keys=keys)
    except AuditError as error:
        return Broken(0, str(error))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c["id"])
def test_tampering_is_found(
    case: dict[str, Any], place: str, sqlite_open: Open, request: pytest.FixtureRequest
) -> None:
    if place not in case.get("where", PLACES):
        pytest.skip("not there: see the table")
    make: Open = request.getfixturevalue("postgres_open") if place == "postgres" else sqlite_open
    stores = {stream: make(stream) for stream in ("", "w2")}
    notes = []
    for store in stores.values():
        fill(store)
        notes.append(anchor(store, [KEY], [], now=1.0))
    store = stores[case.get("stream", "")]
    rows = list(store.records())
    match case.get("prepare"):
        case "erase":
            assert store.erase("emma", by="olga").count == 10
        case "drop":
            store.drop(by="olga")
        case other:
            assert other is None
    ours = [n for n in notes if n.checkpoint.origin.endswith(store.stream)]
    assert isinstance(verdict(store, place, ours), Verified), "the case begins with a sound audit"

    before = list(store.rows()), store.base()
    if "sql" in case:
        raw(store, case["sql"])
    if "python" in case:
        put_rows = tampered(case["python"], rows, list(stores["w2"].records()))
        if case["python"] == "swap":  # the key keeps the order: they are stored as what they say they are
            put_rows = [r._replace(seq=n) for n, r in enumerate(put_rows, 1)]
        raw(store)
        put(store, put_rows)
    assert (before == (list(store.rows()), store.base())) == ("sql" not in case and "python" not in case)
    if case.get("resign"):
        host = MemoryAudit()
        host.extend(list(store.records()))
        assert isinstance(verdict(store, place, [anchor(host, [KEY], [], now=2.0)]), Verified)  # its own note fits

    alone, anchored = verdict(store, place, []), verdict(store, place, ours)
    match case["expect"]:
        case "nothing":
            assert isinstance(alone, Verified), alone
            assert isinstance(anchored, Verified), anchored
        case "chain":
            assert isinstance(alone, Broken)
            assert isinstance(anchored, Broken)
        case other:
            assert other == "anchor"
            assert isinstance(alone, Verified), alone
            assert isinstance(anchored, Broken)


def test_every_class_of_the_page_has_cases() -> None:
    classes = {"edit", "delete", "insert", "reorder", "truncation", "rewrite", "erasure"}
    text = " ".join(f"{c['id']} {c['why']} {c['source']}" for c in CASES)
    assert {c for c in classes if c not in text} == set()
    assert len({c["id"] for c in CASES}) == len(CASES)
