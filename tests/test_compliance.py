"""docs/compliance.md row by row: its test exists, and its record comes out of a run."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest

from interlock.anchors.checkpoint import anchor
from interlock.audit.chain import Verified
from interlock.audit.checkpoint import PrivateKey
from interlock.audit.record import Record
from interlock.kernel.call import Call, Json
from interlock.kernel.labels import Integrity, Readers
from tests.monitor.world import BOB, TO_BOB, TO_EVE, Words, World, call

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/compliance.md").read_text()
ROWS = re.findall(r"^\| ([^|]+) \| `([^`]+)` \| [^|]+ \| `([^`]+)` \|$", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """What a few runs of a support agent, a person who wants to be forgotten and a keeper leave."""
    world = World(tmp_path_factory.mktemp("world") / "outbox", planner=Words())
    monitor, audit = world.monitor, world.audit.inner
    run = world.open()
    monitor.call(run, TO_BOB)
    monitor.call(run, TO_EVE)  # asked, and approved
    world.human.granted = False
    monitor.call(run, call("send", to="mallory@evil.example", body="hello"))
    monitor.call(run, call("wire_money"))
    monitor.refuse(run, "send", "no JSON")
    monitor.declassify(run, Readers.of(BOB), by="emma")

    def no_redaction(_: Json) -> Json:
        raise RuntimeError("the redactor is broken")

    def blocked(_: Call) -> frozenset[str]:
        return frozenset({"budget"})

    def broken_after_deciding(permit: object, made: Call) -> Json:
        world.redact = no_redaction
        return "a result"

    monitor._ports = replace(
        monitor._ports,
        tools=dict(monitor._ports.tools)
        | {"read_mail": replace(monitor._ports.tools["read_mail"], perform=broken_after_deciding)},
    )
    monitor.call(run, call("read_mail"))
    world.redact = lambda value: value
    planned = monitor.open(agent="planned", principal="emma", run_id="r2")
    monitor.observe(planned, "read_mail", Integrity.USER)
    monitor.call(planned, call("send", agent="planned", run="r2", to=BOB, body="hello"))
    monitor._ports = replace(monitor._ports, blocked=blocked)
    monitor.call(run, TO_BOB)
    kept = list(audit.records())
    anchor(audit, [PrivateKey("audit.example", bytes(32))], [], now=1.0)
    audit.drop(by="olga")
    audit.append("run", "r3", {"agent": "support", "principal": "ben", "policy": "p"})
    assert audit.erase("ben", by="olga").count == 1
    assert isinstance(audit.verify(), Verified)
    return [*kept, *audit.records()]


def test_the_page_has_rows() -> None:
    assert len(ROWS) == len(re.findall(r"^\| (?!control|---)", PAGE, re.MULTILINE))
    assert {c.split()[0] for c, _, _ in ROWS} >= {"LLM01", "LLM06", "LLM10", "ASI01", "ASI10", "CC6.1", "P4.3", "Art."}


@pytest.mark.parametrize(("control", "record", "test"), ROWS, ids=[f"{c}-{r}" for c, r, _ in ROWS])
def test_a_row_names_a_test_that_exists(control: str, record: str, test: str) -> None:
    path, _, name = test.partition("::")
    assert (ROOT / path).is_file(), path
    tree = ast.parse((ROOT / path).read_text())
    names = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert name in names if name else any(n.startswith("test_") for n in names)


@pytest.mark.parametrize(("control", "wanted", "test"), ROWS, ids=[f"{c}-{r}" for c, r, _ in ROWS])
def test_a_row_names_a_record_that_a_run_leaves(control: str, wanted: str, test: str, records: list[Record]) -> None:
    found = re.fullmatch(r"([\w ]+)(?:\[(\w+)=([\w-]+)\])?", wanted)
    assert found, wanted
    kind, key, value = found.groups()
    assert any(r.kind == kind and (key is None or _says(r.body.get(key), value)) for r in records)


def _says(said: object, value: str) -> bool:
    return value in said if isinstance(said, list) else str(said) == value


def test_a_record_that_no_run_leaves_is_noticed(records: list[Record]) -> None:
    assert not any(r.kind == "decision" and _says(r.body.get("rules"), "no-such-rule") for r in records)
