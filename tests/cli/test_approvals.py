"""Approvals and keys from a terminal, on the store of a running application."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from interlock.approvals.entry import Seal
from interlock.audit.chain import Verified
from interlock.stores.key import KeyRing
from interlock.stores.place import keys_at
from interlock.stores.sqlite.audit import SqliteAudit
from tests.approvals.stage import KEY, Stage
from tests.cli.conftest import SRC
from tests.monitor.world import EVE

MANIFEST = """\
version: 1
agents: {}
tools: {}
approvals: {store: state.db, seal: secret://SEAL}
"""
Done = subprocess.CompletedProcess[str]


class Terminal:
    """The command line beside a stage, with the key under which the stage seals."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        (stage.folder / "interlock.yaml").write_text(MANIFEST)
        stage.now = time.time  # type: ignore[assignment] # the command line has no other clock
        stage.restart()

    def __call__(self, *words: str, typed: str = "", **environment: str) -> Done:
        return subprocess.run(
            [sys.executable, "-B", "-m", "interlock.cli", *words],
            cwd=self.stage.folder,
            env={**os.environ, "PYTHONPATH": str(SRC), "PYTHONWARNINGS": "error", "SEAL": "k" * 32, **environment},
            input=typed,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(Stage(tmp_path))


def test_a_call_waits_is_read_approved_and_made(terminal: Terminal) -> None:
    stage = terminal.stage
    stage.call(body="hello\u202e")
    ref, digest = stage.told[0].id, stage.told[0].terms.digest
    listed = terminal("approvals", "list")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert listed.stdout.startswith(f"{ref}  send, by support for emma\n")
    shown = terminal("approvals", "show", ref[:8])
    assert EVE in shown.stdout
    assert "\\u202e" in shown.stdout
    assert "asked by: unvouched" in shown.stdout
    done = terminal("approvals", "approve", ref[:8], "--as", "ana", "--comment", "as agreed", typed=digest[:4] + "\n")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "approved")
    assert stage.call(body="hello\u202e").performed
    assert stage.world.audit.bodies("answer")[-1]["by"] == "ana"
    assert terminal("approvals", "list").stdout == "nothing waits for an answer\n"
    after = json.loads(terminal("approvals", "show", ref, "--json").stdout)
    assert (after["standing"], after["answers"][0]["comment"], after["answers"][0]["via"]) == (
        "used",
        "as agreed",
        "cli",
    )


def test_m4_an_answer_is_on_record_before_it_counts(terminal: Terminal) -> None:
    SqliteAudit(terminal.stage.folder / "audit.sqlite").append("start", "", {})  # of the application
    terminal.stage.call()
    entry = terminal.stage.told[0]
    assert terminal("approvals", "deny", entry.id, "--as", "ana").returncode == 0
    audit = SqliteAudit(terminal.stage.folder / "audit.sqlite", stream="approvals")
    (record,) = audit.records()
    assert (record.kind, record.run) == ("approval", entry.terms.run)
    said = {"approval": entry.id, "digest": entry.terms.digest, "by": "ana", "granted": False, "via": "cli"}
    assert record.body == said
    assert isinstance(audit.verify(), Verified)


def test_m4_an_answer_that_cannot_be_recorded_is_not_given(terminal: Terminal) -> None:
    (terminal.stage.folder / "audit.sqlite").write_text("no database, but long enough to be taken for one " * 20)
    terminal.stage.call()
    entry = terminal.stage.told[0]
    done = terminal("approvals", "approve", entry.id, "--as", "ana", typed=entry.terms.digest[:4] + "\n")
    assert (done.returncode, "audit.sqlite" in done.stderr) == (1, True)
    assert terminal.stage.book.get(entry.id)[1] == "pending"


@pytest.mark.parametrize("typed", ["", "\n", "y\n", "yes\n", "0000\n"])
def test_habit_approves_nothing(terminal: Terminal, typed: str) -> None:
    terminal.stage.call()
    done = terminal("approvals", "approve", terminal.stage.told[0].id, "--as", "ana", typed=typed)
    assert done.returncode == 1
    assert "nothing was changed" in done.stderr
    assert not terminal.stage.call().performed


def test_deny(terminal: Terminal) -> None:
    terminal.stage.call()
    ref = terminal.stage.told[0].id
    assert terminal("approvals", "deny", ref, "--as", "ana").stdout == "refused\n"
    assert not terminal.stage.call().performed
    again = terminal("approvals", "approve", ref, "--as", "ben")
    assert again.returncode == 1
    assert terminal.stage.book.get(ref)[1] == "denied"


@pytest.mark.parametrize("name", ["emma", "Ana", "\u0430na", ""])
def test_who_may_not_does_not(terminal: Terminal, name: str) -> None:
    terminal.stage.call()
    entry = terminal.stage.told[0]
    done = terminal("approvals", "approve", entry.id, "--as", name, typed=entry.terms.digest[:4] + "\n")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert terminal.stage.book.get(entry.id)[1] == "pending"


def test_a_key_says_who_answers(terminal: Terminal) -> None:
    stage = terminal.stage
    key = json.loads(terminal("keys", "create", "--approver", "ana", "--store", "state.db", "--json").stdout)["key"]
    stage.call()
    entry = stage.told[0]
    typed = entry.terms.digest[:4] + "\n"
    forged = terminal("approvals", "approve", entry.id, "--as", "ben", typed=typed, INTERLOCK_APPROVER_KEY=key)
    assert forged.returncode == 2
    other = key[:-2] + ("00" if key[-2:] != "00" else "11")
    assert terminal("approvals", "deny", entry.id, INTERLOCK_APPROVER_KEY=other).returncode == 2
    assert terminal("approvals", "approve", entry.id, typed=typed, INTERLOCK_APPROVER_KEY=key).returncode == 0
    assert stage.book.get(entry.id)[0].given[0].via == "cli, with a key"


def test_what_was_tampered_with_is_told(terminal: Terminal) -> None:
    terminal.stage.call()
    terminal.stage.forge(lambda entry: entry.update(given=[["ana", True, "", 1.0, "cli"]]), Seal())
    done = terminal("approvals", "list")
    assert done.returncode == 1
    assert "it is void" in done.stdout
    assert json.loads(terminal("approvals", "list", "--json").stdout) == {
        "approvals": [],
        "damaged": [terminal.stage.told[0].id],
    }
    assert KEY.key.decode() not in done.stdout


def test_what_shows_another_call_is_told_too(terminal: Terminal) -> None:
    terminal.stage.call()
    terminal.stage.forge(lambda entry: entry["content"]["arguments"].update(to="bob@example.com"), KEY)
    terminal.stage.call(run="r2")
    told = json.loads(terminal("approvals", "list", "--json").stdout)
    assert ([a["run"] for a in told["approvals"]], told["damaged"]) == (["r2"], [terminal.stage.told[0].id])


def test_ids_are_found_by_their_beginning_if_it_is_one_s(terminal: Terminal) -> None:
    terminal.stage.call()
    assert terminal("approvals", "show", "").returncode == 2
    assert terminal("approvals", "show", "zz").returncode == 2
    assert terminal("approvals", "show", "\x1b[2J").stderr == "there is no approval `\\x1b[2J`\n"


@pytest.mark.parametrize("where", ["missing.db", "mysql://x/y", "memory:", "sqlite:nowhere"])
def test_a_store_that_is_not_there(terminal: Terminal, where: str) -> None:
    done = terminal("approvals", "list", "--store", where)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert not (terminal.stage.folder / "missing.db").exists()


def test_a_manifest_that_is_wrong(terminal: Terminal) -> None:
    for text in ("approvals: {stre: x}", "[", "approvals: {wait: -1}"):
        (terminal.stage.folder / "interlock.yaml").write_text(text)
        done = terminal("approvals", "list")
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


def test_a_seal_that_is_not_there(terminal: Terminal) -> None:
    done = terminal("approvals", "list", SEAL="")
    assert done.returncode == 1
    assert "secret://SEAL" in done.stderr


def test_keys_from_creation_to_their_end(terminal: Terminal) -> None:
    def keys(*words: str) -> Any:
        done = terminal("keys", *words, "--store", "keys.db", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    made = keys("create", "--agent", "support", "--principal", "emma", "--tenant", "acme", "--expires", "90d")
    store = keys_at(str(terminal.stage.folder / "keys.db"))
    found = KeyRing(store, kind="agent").find(made["key"])
    assert found is not None
    assert (found.agent, found.principal, found.tenant) == ("support", "emma", "acme")
    (listed,) = keys("list")["keys"]
    assert (listed["id"], listed["name"]) == (made["id"], "support")
    assert made["key"] not in json.dumps(listed)
    new = keys("rotate", made["id"])
    ring = KeyRing(store, kind="agent")
    assert ring.find(made["key"]) is None
    assert ring.find(new["key"]) is not None
    assert keys("revoke", new["id"])["revoked"] is True
    assert KeyRing(store, kind="agent").find(new["key"]) is None
    assert not (terminal.stage.folder / "keys.db").read_bytes().count(made["key"].encode())


def test_a_key_stands_alone_on_stdout(terminal: Terminal) -> None:
    done = terminal("keys", "create", "--agent", "support", "--store", "keys.db")
    assert done.stdout.startswith("ilk_")
    assert len(done.stdout.splitlines()) == 1
    assert "once" in done.stderr
    told = terminal("keys", "list", "--store", "keys.db").stdout
    assert "agent support  good" in told
    assert done.stdout.strip() not in told


@pytest.mark.parametrize(
    "words",
    [
        ("create",),
        ("create", "--agent", "a", "--approver", "b"),
        ("create", "--agent", "a", "--expires", "soon"),
        ("revoke",),
    ],
)
def test_command_lines_that_say_nothing(terminal: Terminal, words: tuple[str, ...]) -> None:
    assert terminal("keys", *words, "--store", "keys.db").returncode == 2


def test_what_gets_no_key(terminal: Terminal) -> None:
    for words in (("create", "--approver", "Ana"), ("create", "--agent", "a\nb"), ("revoke", "x"), ("rotate", "x")):
        done = terminal("keys", *words, "--store", "keys.db")
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)
