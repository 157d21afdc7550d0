"""`interlock audit` from a shell: keys, checkpoints, exports, erasures, and what it says when something was done."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from interlock.audit.checkpoint import notes
from interlock.stores.sqlite.audit import SqliteAudit

SRC = Path(__file__).parents[2] / "src"
Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    def run(*words: str, module: str = "interlock.cli") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", module, *words],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(SRC)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """Two principals, a decision and an outcome each, in `audit.sqlite`."""
    path = tmp_path / "audit.sqlite"
    store = SqliteAudit(path, clock=time.time)
    store.append("start", "", {"policy": "p"})
    for name in ("emma", "ben"):
        store.append("run", f"run-{len(name)}", {"agent": "support", "principal": name, "policy": "p"})
        said = {"decision": "permitted", "rules": ["effect"], "tool": "send", "principal": name, "effect": "egress"}
        seq = store.append("decision", f"run-{len(name)}", said | {"arguments": {"to": f"{name}@example.com"}}).seq
        store.append("outcome", f"run-{len(name)}", {"outcome": "returned", "decision": seq, "result": "00" * 32})
    store.close()
    return path


def vandal(path: Path, *statements: str) -> None:
    with sqlite3.connect(path) as db:
        for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            db.execute(statement)
    db.close()


def test_keygen_writes_a_private_and_a_public_key_and_overwrites_none(cli: Cli, tmp_path: Path) -> None:
    made = cli("audit", "keygen", "log.example", "-o", "log.key")
    assert made.returncode == 0
    assert made.stdout == (tmp_path / "log.key.pub").read_text()
    assert made.stdout.startswith("log.example+")
    assert stat.S_IMODE((tmp_path / "log.key").stat().st_mode) == 0o600
    before = (tmp_path / "log.key").read_text()
    assert before.startswith("PRIVATE+KEY+log.example+")
    assert before.strip() not in made.stdout
    assert cli("audit", "keygen", "log.example", "-o", "log.key").returncode == 2
    assert (tmp_path / "log.key").read_text() == before


def test_a_checkpoint_that_was_kept_elsewhere_finds_what_the_chain_alone_cannot(
    cli: Cli, filled: Path, tmp_path: Path
) -> None:
    cli("audit", "keygen", "log.example", "-o", "log.key")
    assert cli("audit", "checkpoint", "audit.sqlite", "--key", "log.key", "--anchor", "notes.txt").returncode == 0
    (note,) = notes((tmp_path / "notes.txt").read_text())
    assert note.checkpoint.size == 7
    evidence = ("--key", "log.key.pub", "--anchor", "notes.txt")
    done = cli("audit", "verify", "audit.sqlite", *evidence)
    assert done.stdout.splitlines()[0] == "sound: 7 records, 7 of them under an anchored checkpoint"
    assert done.returncode == 0

    shutil.copy(filled, tmp_path / "cut.sqlite")
    vandal(tmp_path / "cut.sqlite", "DELETE FROM audit WHERE seq > 5")
    assert cli("audit", "verify", "cut.sqlite").returncode == 0
    cut = cli("audit", "verify", "cut.sqlite", *evidence)
    assert (cut.returncode, cut.stdout) == (1, "broken: the chain ends at record 5; a checkpoint of 7 was anchored\n")

    anew = SqliteAudit(tmp_path / "anew.sqlite")
    for n in range(7):
        anew.append("decision", "r", {"n": n})
    anew.close()
    assert cli("audit", "verify", "anew.sqlite").returncode == 0
    told = cli("audit", "verify", "anew.sqlite", *evidence)
    assert (told.returncode, told.stdout) == (1, "broken: the first 7 records are not those of the checkpoint\n")

    refused = cli("audit", "checkpoint", "anew.sqlite", "--key", "log.key", "--anchor", "notes.txt")
    assert refused.returncode == 1
    assert "contradicts" in refused.stderr


def test_an_export_is_verified_by_a_program_that_has_nothing_else(cli: Cli, filled: Path, tmp_path: Path) -> None:
    cli("audit", "keygen", "log.example", "-o", "log.key")
    cli("audit", "checkpoint", "audit.sqlite", "--key", "log.key", "--anchor", "notes.txt")
    export = cli("audit", "export", "audit.sqlite").stdout
    filled.unlink()
    (tmp_path / "export.jsonl").write_text(export)
    evidence = ("--key", "log.key.pub", "--anchor", "notes.txt")
    for module, words in (("interlock.audit.verify", ()), ("interlock.cli", ("audit", "verify"))):
        assert cli(*words, "export.jsonl", *evidence, module=module).returncode == 0, module
        (tmp_path / "changed.jsonl").write_text(export.replace("ben@example.com", "eve@example.com"))
        changed = cli(*words, "changed.jsonl", *evidence, module=module)
        assert (changed.returncode, changed.stdout) == (1, "broken: record 6 was changed\n")
    assert cli("audit", "export", "export.jsonl").stdout == export
    assert cli("absent.jsonl", module="interlock.audit.verify").returncode == 2


def test_show_joins_the_outcome_to_its_decision(cli: Cli, filled: Path) -> None:
    lines = cli("audit", "show", "audit.sqlite", "--kind", "decision").stdout.splitlines()
    assert [line.split("decision: ")[1] for line in lines] == [
        "permitted send, by effect → returned (record 4)",
        "permitted send, by effect → returned (record 7)",
    ]
    whole = [json.loads(line) for line in cli("audit", "show", "audit.sqlite", "--json").stdout.splitlines()]
    assert whole[2]["outcome"] == {"record": 4, "outcome": "returned", "decision": 3, "result": "00" * 32}


def test_export_as_ocsf_and_csv(cli: Cli, filled: Path) -> None:
    events = [
        json.loads(line) for line in cli("audit", "export", "audit.sqlite", "--format", "ocsf").stdout.splitlines()
    ]
    assert len(events) == 7
    assert {e["class_uid"] for e in events} == {6003}
    assert events[2]["actor"]["user"]["uid"] == "emma"
    rows = list(csv.DictReader(io.StringIO(cli("audit", "export", "audit.sqlite", "--format", "csv").stdout)))
    # An outcome names the record of its decision.
    assert [r["decision"] for r in rows] == ["", "", "permitted", "3", "", "permitted", "6"]


def test_erase_leaves_nothing_of_the_principal_on_the_disk(cli: Cli, filled: Path, tmp_path: Path) -> None:
    cli("audit", "keygen", "log.example", "-o", "log.key")
    cli("audit", "checkpoint", "audit.sqlite", "--key", "log.key", "--anchor", "notes.txt")
    assert b"emma@example.com" in filled.read_bytes()
    done = cli("audit", "erase", "audit.sqlite", "emma", "--by", "olga", "--why", "asked on 2 May")
    assert done.returncode == 0
    assert done.stdout.startswith("record 8: erased what 3 records said; receipt ")
    for file in tmp_path.glob("audit.sqlite*"):
        assert b"emma" not in file.read_bytes(), file
    assert cli("audit", "verify", "audit.sqlite", "--key", "log.key.pub", "--anchor", "notes.txt").returncode == 0
    shown = cli("audit", "show", "audit.sqlite").stdout.splitlines()
    assert shown[2].endswith("(erased by record 8)")
    assert "ben" in shown[4]


def test_drop_needs_a_checkpoint_and_what_remains_verifies(cli: Cli, filled: Path) -> None:
    assert cli("audit", "drop", "audit.sqlite", "--by", "olga").returncode == 1
    cli("audit", "keygen", "log.example", "-o", "log.key")
    cli("audit", "checkpoint", "audit.sqlite", "--key", "log.key", "--anchor", "notes.txt")
    done = cli("audit", "drop", "audit.sqlite", "--by", "olga")
    assert done.stdout == "record 8: dropped the records up to 7\n"
    evidence = ("--key", "log.key.pub", "--anchor", "notes.txt")
    assert cli("audit", "verify", "audit.sqlite", *evidence).returncode == 0
    vandal(filled, "UPDATE audit_places SET place = replace(place, '\"head\": [7', '\"head\": [6') WHERE what = 'base'")
    assert cli("audit", "verify", "audit.sqlite", *evidence).returncode == 1


def test_streams_are_verified_each_and_a_missing_one_is_noticed(cli: Cli, tmp_path: Path) -> None:
    for stream in ("w1", "w2"):
        store = SqliteAudit(tmp_path / "audit.sqlite", stream=stream)
        store.append("start", "", {"policy": stream})
        store.close()
    cli("audit", "keygen", "log.example", "-o", "log.key")
    cli("audit", "checkpoint", "audit.sqlite", "--key", "log.key", "--anchor", "notes.txt")
    evidence = ("--key", "log.key.pub", "--anchor", "notes.txt")
    done = cli("audit", "verify", "audit.sqlite", *evidence)
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "w1: sound: 1 records, 1 of them under an anchored checkpoint"
    vandal(tmp_path / "audit.sqlite", "DELETE FROM audit WHERE stream = 'w1'")
    assert cli("audit", "verify", "audit.sqlite").returncode == 0
    done = cli("audit", "verify", "audit.sqlite", *evidence)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "broken: the log `log.example/w1` is missing; a checkpoint of 1 was anchored"


@pytest.mark.parametrize(
    "words",
    [
        ["verify", "audit.sqlite", "--anchor", "notes.txt"],
        ["verify", "audit.sqlite", "--key", "absent.pub"],
        ["verify", "absent.jsonl"],
        ["checkpoint", "audit.sqlite", "--key", "absent.key"],
        ["erase", "audit.sqlite", "emma"],
        ["erase", "x.jsonl", "emma", "--by", "olga"],
        ["checkpoint", "audit.sqlite", "--key", "absent.key", "--witness", "nowhere"],
    ],
)
def test_what_is_wrong_with_a_command_line_is_said(cli: Cli, filled: Path, words: list[str]) -> None:
    done = cli("audit", *words)
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
