"""`interlock call`: one call from the shell, judged on the file system, the streams and the exit status."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import EVE, Cli

AUDIT = ".interlock/audit.sqlite"
MANIFEST = """\
version: 1
rules: [ask.cedar]
agents:
  writer: {tools: [docs, send_email]}
tools:
  docs: {kind: files, root: docs, mode: write, operations: [read, write]}
  send_email: {effect: egress, arguments: {to: recipient, subject: title, body: text}, returns: {own: [.]}}
"""
RULE = f"""
@id("ask-first")
forbid (principal, action == Action::"send_email", resource)
when {{ context.args.to == "{EVE}" }} unless {{ context.approved }};
"""


@pytest.fixture
def docs(app: Path) -> Path:
    (app / "scoped.yaml").write_text(MANIFEST)
    (app / "ask.cedar").write_text(RULE)
    (app / "docs").mkdir()
    (app / "docs" / "a.txt").write_text("alpha")
    return app


def call(cli: Cli, tool: str, arguments: object, *more: str) -> tuple[int, str, str]:
    done = cli("call", tool, json.dumps(arguments), "--manifest", "scoped.yaml", "--as", "emma", *more)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def recorded(app: Path, kind: str) -> list[dict[str, object]]:
    with sqlite3.connect(app / AUDIT) as db:
        rows = db.execute("SELECT body, personal FROM audit WHERE kind = ? ORDER BY seq", (kind,))
        found = [json.loads(b) | json.loads(p or "{}") for b, p in rows]
    db.close()
    return found


def test_a_permitted_call_is_made_printed_and_recorded(cli: Cli, docs: Path) -> None:
    status, out, err = call(cli, "docs_read", {"path": "a.txt"})
    assert (status, err) == (0, "")
    assert json.loads(out)["content"] == "alpha"
    (decision,), (outcome,) = recorded(docs, "decision"), recorded(docs, "outcome")
    assert (decision["principal"], decision["agent"], decision["decision"]) == ("emma", "writer", "permitted")
    assert outcome["outcome"] == "returned"
    assert cli("audit", "verify", AUDIT).returncode == 0


def test_a_refused_call_is_status_1_and_says_why_to_the_operator_only(cli: Cli, docs: Path) -> None:
    status, out, err = call(cli, "docs_read", {"path": "../scoped.yaml"})
    assert (status, out) == (1, "")
    assert err.startswith("refused by scope\n  ScopeError: ")
    status, out, err = call(cli, "docs_write", {"path": "b.txt", "content": "x"}, "--user", "Read a.txt to me")
    assert (status, out) == (1, "")
    assert err.startswith("refused by off-mandate\n")
    assert '@id("off-mandate")' in err
    assert not (docs / "docs" / "b.txt").exists()
    assert [d["rules"] for d in recorded(docs, "decision")] == [["scope"], ["off-mandate"]]


def test_a_failed_call_is_status_3(cli: Cli, docs: Path) -> None:
    status, out, err = call(cli, "docs_read", {"path": "absent.txt"})
    assert (status, err) == (3, "")
    assert "no such file" in json.loads(out)


def test_a_dry_run_explains_and_leaves_no_trace(cli: Cli, docs: Path) -> None:
    words = ("--user", "Write hello into b.txt", "--dry-run")
    status, out, err = call(cli, "docs_write", {"path": "b.txt", "content": "hello"}, *words)
    assert (status, err) == (0, "")
    assert out.startswith("PERMITTED: docs_write\n  by agent writer for emma, effect write\n")
    status, out, _ = call(cli, "docs_write", {"path": "../b.txt", "content": "hello"}, *words)
    assert status == 0
    assert out.startswith("REFUSED: docs_write\n")
    assert "refused by scope" in out
    assert sorted(p.name for p in (docs / "docs").iterdir()) == ["a.txt"]
    assert not (docs / ".interlock").exists()


def test_approvals_are_given_by_name_only(cli: Cli, docs: Path) -> None:
    def send(*more: str) -> tuple[int, str, str]:
        words = ("--user", f"Write an email to {EVE}", "--tools", "mail:TOOLS")
        return call(cli, "send_email", {"to": EVE, "subject": "Hi", "body": "x"}, *words, *more)

    assert send()[0] == 1
    assert send("--ask")[0] == 1  # nobody types the code
    assert not (docs / "out.json").exists()
    status, out, err = send("--yes")
    assert (status, json.loads(out)) == (0, "sent"), err
    assert json.loads((docs / "out.json").read_text()) == [EVE]
    assert [a["granted"] for a in recorded(docs, "answer")] == [False, False, True]
    assert call(cli, "docs_read", {"path": "../x"}, "--yes")[0] == 1  # what no approval lifts


@pytest.mark.parametrize(
    "arguments",
    [
        ["call", "docs_read"],
        ["call", "nonsense", "{}", "--as", "emma", "--manifest", "scoped.yaml"],
        ["call", "docs_read", "[1]", "--as", "emma", "--manifest", "scoped.yaml"],
        ["call", "docs_read", "{}", "--as", "emma", "--manifest", "scoped.yaml", "--yes", "--ask"],
        ["call", "docs_read", "{}", "--as", "emma", "--manifest", "scoped.yaml", "--dotenv", "absent"],
        ["call", "docs_read", "{}", "--as", "emma"],
    ],
)
def test_a_wrong_command_line_is_status_2(cli: Cli, docs: Path, arguments: list[str]) -> None:
    done = cli(*arguments)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_an_entry_that_does_not_open_is_an_error_with_its_place(cli: Cli, docs: Path) -> None:
    (docs / "scoped.yaml").write_text(MANIFEST.replace("root: docs", "root: absent"))
    status, out, err = call(cli, "docs_read", {"path": "a.txt"})
    assert (status, out) == (1, "")
    assert err.startswith("`docs.root`: `root` is not there\nhint: ")


def test_secrets_of_a_dotenv_are_used_and_warned_about(cli: Cli, docs: Path) -> None:
    entry = "api: {kind: http, hosts: [{host: api.openai.com, secret: secret://TEST_KEY_OF_A_DOTENV}]}"
    (docs / "scoped.yaml").write_text(MANIFEST.replace("tools: [docs,", "tools: [api, docs,") + f"  {entry}\n")
    status, _, err = call(cli, "docs_read", {"path": "a.txt"})
    assert status == 1
    assert err.startswith("`secret://TEST_KEY_OF_A_DOTENV` is nowhere; looked at ")
    (docs / "dev.env").write_text("TEST_KEY_OF_A_DOTENV=alpha\n")
    status, out, err = call(cli, "docs_read", {"path": "a.txt"}, "--dotenv", "dev.env")
    assert status == 0
    assert "development only" in err
    (docs / "dev.env").write_text("TEST_KEY_OF_A_DOTENV=alphabeta-gamma-delta\n")
    (docs / "docs" / "a.txt").write_text("the key is alphabeta-gamma-delta")
    _, out, _ = call(cli, "docs_read", {"path": "a.txt"}, "--dotenv", "dev.env")
    assert json.loads(out)["content"] == "the key is [secret:TEST_KEY_OF_A_DOTENV]"


def test_explain_knows_what_a_scoped_call_would_touch(cli: Cli, docs: Path) -> None:
    made_up = ("explain", "--manifest", "scoped.yaml", "--tool", "docs_read", "--arguments")
    assert cli(*made_up, '{"path": "a.txt"}').stdout.startswith("PERMITTED: docs_read\n")
    refused = cli(*made_up, '{"path": "../scoped.yaml"}')
    assert refused.stdout.startswith("REFUSED: docs_read\n")
    assert "refused by scope" in refused.stdout


def test_check_names_what_doctor_is_to_prove(cli: Cli, docs: Path) -> None:
    done = cli("check", "scoped.yaml", "--tools", "mail:TOOLS")
    assert done.returncode == 0, done.stdout
    assert "scoped, for `interlock doctor` to prove: docs (files: docs_read, docs_write)" in done.stdout
    assert "what a call touches is not looked into (no scope): send_email\n" in done.stdout
