"""The tables of attacks and of everyday statements, judged by what the database holds and what came back."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import psycopg
import pytest

from interlock.kernel.errors import CallError
from interlock.tools.kind import ScopeError, ToolFailed
from interlock.tools.sql import gate

CORPORA = Path(__file__).parents[2] / "corpora"
FORBIDDEN = re.compile(r"TOPSECRET|4111-|bob|carol|alice|root:|SCRAM-|[0-9a-f]{64}")


def cases(name: str) -> list[Any]:
    found = tomllib.loads((CORPORA / f"{name}.toml").read_text())["case"]
    assert len({c["id"] for c in found}) == len(found)
    return [pytest.param(c, id=c["id"]) for c in found]


ATTACKS, BENIGN = cases("sql_postgresql"), cases("sql_postgresql_benign")


def test_the_tables_are_as_large_as_promised() -> None:
    assert len(ATTACKS) >= 150
    assert len(BENIGN) >= 60


@pytest.mark.parametrize("case", ATTACKS)
def test_an_attack_is_refused_and_changes_nothing(reader: Any, case: dict[str, str]) -> None:
    world, state = reader
    before = state()
    with pytest.raises((ScopeError, ToolFailed, CallError)) as caught:
        world.rows(case["sql"])
    assert not re.search(r"TOPSECRET|4111-|root:", str(caught.value))
    assert state() == before


@pytest.mark.parametrize("case", BENIGN)
def test_an_everyday_statement_passes(reader: Any, case: dict[str, str]) -> None:
    rows = reader[0].rows(case["sql"])
    assert rows
    assert not FORBIDDEN.search(json.dumps(rows)) or "sha256" in case["sql"]


# Which columns a `*`, a whole row or a position stands for is the engine's to know; so is a cast's type or a depth it minds.
ENGINE_ONLY = {
    "column-card-decoy", "column-star", "column-alias-star", "column-row", "column-row-text", "column-row-json",
    "column-row-agg", "column-natural", "column-rename", "column-rename-star", "column-table-cmd", "column-record-star",
}  # fmt: skip


@pytest.mark.parametrize("case", ATTACKS)
def test_the_gate_alone_refuses(reader: Any, case: dict[str, str]) -> None:
    entry = reader[0].capability._entry
    if case["id"] in ENGINE_ONLY:
        assert gate.judge(case["sql"], entry).tables == ("orders",) or case["id"] == "column-natural"
    else:
        with pytest.raises(ScopeError):
            gate.judge(case["sql"], entry)


# A matter of time, of size or of the protocol: nothing that a role could be denied.
BEYOND_ROLES = re.compile(r"sleep|flood|repeat|lpad|array_fill|deep|long|many|TO STDOUT|FROM STDIN|\0|\$1")


@pytest.mark.parametrize("case", [c for c in ATTACKS if not BEYOND_ROLES.search(f"{c.id} {c.values[0]['sql']}")])
def test_the_engine_alone_keeps_the_data(reader: Any, case: dict[str, str]) -> None:
    """The gate is taken away: the role, its policies and the read-only transaction hold what matters."""
    world, state = reader
    before = state()
    found: list[Any] = []
    try:
        with world.capability._database.transaction("alice") as conn:
            conn.execute("SELECT set_config('statement_timeout', '300ms', true)", binary=True)
            cursor = conn.execute(case["sql"], binary=True)
            found = cursor.fetchall() if cursor.description else []
    except (ToolFailed, psycopg.Error):
        pass
    assert not re.search(r"TOPSECRET|4111-|bob-note|carol|root:|SCRAM-", str(found))
    assert state() == before
