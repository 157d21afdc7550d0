"""`interlock doctor`: what held is shown, what does not hold is never hidden and never status 0."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from interlock.cli import main
from interlock.tools.files import Files
from interlock.tools.files.system import openat2
from interlock.tools.kinds import KINDS
from tests.cli.conftest import Cli

MANIFEST = """\
version: 1
agents:
  support: {tools: [docs]}
tools:
  docs: {kind: files, root: docs}
"""
MORE = """\
  gone: {kind: files, root: gone}
  shop: {kind: sql, path: shop.db, tables: {orders: {columns: [id]}}}
  api: {kind: http, hosts: [{host: api.openai.com, secret: secret://TEST_KEY_THAT_IS_NOWHERE}]}
"""


@pytest.fixture
def docs(app: Path) -> Path:
    (app / "interlock.yaml").write_text(MANIFEST)
    (app / "docs").mkdir()
    return app


def examined(cli: Cli, *more: str) -> tuple[int, dict[str, Any]]:
    done = cli("doctor", "--json", *more)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def test_what_holds_is_shown_with_its_layer_and_evidence(cli: Cli, docs: Path) -> None:
    done = cli("doctor")
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["tool", "layer", "held", "claim", "evidence", "what", "it", "does", "not", "stop"]
    assert any(
        line.startswith("interlock  gate    yes   the audit takes records and its chain holds") for line in lines
    )
    assert any(line.startswith("docs") and "a link is not followed" in line for line in lines)
    assert any(line.startswith("this machine: python ") and "openat2 " in line for line in lines)
    assert lines[-1].startswith("every claim holds: ")
    assert "NO" not in {line.split()[2] for line in lines if line.startswith(("docs", "interlock"))}


def test_the_same_for_machines(cli: Cli, docs: Path) -> None:
    status, told = examined(cli)
    assert (status, told["sound"]) == (0, True)
    assert {"tool", "layer", "claim", "held", "evidence", "residual"} == set(told["proofs"][0])
    assert {"openat2", "landlock", "user namespaces", "python"} <= set(told["machine"])


def test_an_entry_that_fails_hides_no_other(cli: Cli, docs: Path) -> None:
    with sqlite3.connect(docs / "shop.db") as db:
        db.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    db.close()
    (docs / "interlock.yaml").write_text(MANIFEST + MORE)
    status, told = examined(cli)
    assert (status, told["sound"]) == (1, False)
    broken = {p["tool"]: p["evidence"] for p in told["proofs"] if not p["held"]}
    assert set(broken) == {"gone", "api"}
    assert "`root` is not there" in broken["gone"]
    assert "`secret://TEST_KEY_THAT_IS_NOWHERE` is nowhere" in broken["api"]
    assert {p["tool"] for p in told["proofs"] if p["held"]} == {"interlock", "docs", "shop"}
    lines = cli("doctor").stdout.splitlines()
    assert lines[-1].startswith("2 of ")
    assert any(line.startswith("gone: opens and proves itself: ") for line in lines)


def test_a_claim_that_does_not_hold_is_status_1(
    docs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(docs)
    tried = []

    def weakens(folder: int, path: bytes, flags: int) -> int:
        tried.append(path)
        return openat2(folder, path, flags) if len(tried) < 5 else os.open(path, flags, dir_fd=folder)

    monkeypatch.setattr("interlock.tools.kinds.KINDS", {**KINDS, "files": Files(openat2=weakens)})
    assert main(["doctor", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert not told["sound"]
    broken = {(p["tool"], p["claim"]) for p in told["proofs"] if not p["held"]}
    assert ("docs", "a link to a folder is not followed") in broken


def test_a_secret_is_shown_by_its_place(cli: Cli, docs: Path) -> None:
    (docs / "dev.env").write_text("TEST_KEY_THAT_IS_NOWHERE=zq9Lm2Vx8KtB4nRw7YpC\n")
    (docs / "interlock.yaml").write_text(MANIFEST + MORE.splitlines()[-1] + "\n")
    status, told = examined(cli, "--dotenv", "dev.env")
    assert status == 0, told
    claims = {p["claim"]: p for p in told["proofs"] if p["tool"] == "api"}
    assert claims["has `secret://TEST_KEY_THAT_IS_NOWHERE`"]["evidence"] == "from `dev.env`"
    assert any("development only" in p["residual"] for p in told["proofs"])
    assert "zq9Lm2Vx8KtB4nRw7YpC" not in json.dumps(told)


def test_an_audit_that_was_changed_is_found(cli: Cli, docs: Path) -> None:
    assert examined(cli)[0] == 0
    file = docs / ".interlock" / "audit.sqlite"
    assert "doctor" in cli("audit", "show", str(file)).stdout
    with sqlite3.connect(file) as db:
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute("UPDATE audit SET body = '{}' WHERE seq = 1")
    db.close()
    status, told = examined(cli)
    assert status == 1
    (broken,) = [p for p in told["proofs"] if not p["held"]]
    assert broken["claim"] == "the audit takes records and its chain holds"


def test_an_audit_that_takes_no_record_is_found(cli: Cli, docs: Path) -> None:
    (docs / "folder").mkdir()
    status, told = examined(cli, "--audit", "folder")
    assert status == 1
    assert [p["claim"] for p in told["proofs"] if not p["held"]] == ["the audit takes records and its chain holds"]


def test_a_manifest_that_does_not_load_is_status_1(cli: Cli, docs: Path) -> None:
    (docs / "interlock.yaml").write_text(MANIFEST.replace("root:", "rot:"))
    done = cli("doctor")
    assert done.returncode == 1
    assert "interlock.yaml:5: " in done.stderr
    assert "Traceback" not in done.stderr
