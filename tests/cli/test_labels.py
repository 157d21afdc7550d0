"""`labels audit`: a wrong label is found by what comes back from the real functions, not by what the manifest looks like."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import MANIFEST, Cli

PLAN = ("labels", "audit", "--plan", "mail:Plan")


def trust(app: Path, what: str) -> None:
    manifest = app / "interlock.yaml"
    manifest.write_text(manifest.read_text().replace("own: [id, received]", what))


def rows(out: str) -> list[list[str]]:
    return [re.split(r" {2,}", line) for line in out.split("\n\n", maxsplit=1)[0].splitlines()]


def test_right_labels_pass(cli: Cli, app: Path) -> None:
    done = cli(*PLAN)
    assert done.returncode == 0, done.stderr
    assert rows(done.stdout) == [
        ["tool", "field", "label", "canary of", "verdict"],
        ["read_mail", "body", "external", "body", "ok"],
        ["read_mail", "subject", "external", "subject", "ok"],
    ]
    assert done.stdout.splitlines()[-1] == "passed: 2 canaries came back, each as external"
    assert not (app / "box.json").exists()  # `clean` was called


@pytest.mark.parametrize(
    ("wrong", "trusted"),
    [
        ("own: [id, received, subject]", {"subject"}),
        ('own: ["*"]', {"subject", "body"}),
        ("typed: [subject, body]", {"subject"}),  # the body is a sentence, the subject one plain identifier
        ('when: [{if: "received in me", own: [body]}]', set()),
        ('when: [{if: "id == me", own: [body]}]', {"body"}),
    ],
)
def test_a_wrong_label_is_found(cli: Cli, app: Path, wrong: str, trusted: set[str]) -> None:
    trust(app, wrong)
    done = cli(*PLAN, "--me", "7")
    assert {r[1] for r in rows(done.stdout) if r[-1] == "TRUSTED"} == trusted
    assert done.returncode == (1 if trusted else 0)
    for field in trusted:
        assert f"outsiders can write `{field}` of `read_mail`: take it out of" in done.stdout


def test_keys_are_fields_too(cli: Cli, app: Path) -> None:
    text = (app / "mail.py").read_text()
    keys = '"id": "7", "votes": {canary("option"): 3}, canary("column"): 1'
    (app / "mail.py").write_text(text.replace('"id": "7"', keys))
    verdicts = {row[3]: row[4] for row in rows(cli(*PLAN).stdout)}
    assert (verdicts["option"], verdicts["column"]) == ("ok", "ok")
    trust(app, "own: [id, votes]")
    verdicts = {row[3]: row[4] for row in rows(cli(*PLAN).stdout)}
    assert (verdicts["option"], verdicts["column"]) == ("TRUSTED", "ok")
    (app / "interlock.yaml").write_text(MANIFEST)
    trust(app, 'own: ["*"]')
    done = cli(*PLAN)
    verdicts = {row[3]: row[4] for row in rows(done.stdout)}
    assert (verdicts["option"], verdicts["column"]) == ("TRUSTED", "UNLABELLED")
    assert done.returncode == 1


def test_presumed_fields_are_believed_under_tight_labels_only(cli: Cli, app: Path) -> None:
    trust(app, "presumed: [subject]")
    assert cli(*PLAN).returncode == 0
    manifest = app / "interlock.yaml"
    manifest.write_text("labels: tight\n" + manifest.read_text())
    assert cli(*PLAN).returncode == 1


def test_a_channel_that_the_plan_did_not_reach_is_a_warning(cli: Cli, app: Path) -> None:
    text = (app / "mail.py").read_text()
    (app / "mail.py").write_text(
        text.replace("BOX.write_text(json.dumps([mail]))", "BOX.write_text(json.dumps([mail])); canary('calendar')")
    )
    done = cli(*PLAN)
    assert done.returncode == 0
    assert "warning: the canary of `calendar` came back in no result; the plan did not reach it" in done.stdout


def test_a_plan_that_tests_nothing_fails(cli: Cli, app: Path) -> None:
    text = (app / "mail.py").read_text()
    (app / "mail.py").write_text(text.replace("canary('body')", "1").replace('canary("subject")', '"x"'))
    done = cli(*PLAN)
    assert done.returncode == 1
    assert "FAILED: no canary came back at all, so nothing was tested" in done.stdout
    assert json.loads(cli(*PLAN, "--json").stdout)["sound"] is False


def test_a_call_that_fails_was_not_examined(cli: Cli, app: Path) -> None:
    text = (app / "mail.py").read_text()
    (app / "mail.py").write_text(text.replace('[("read_mail", {})]', '[("read_mail", {}), ("send_email", {})]'))
    done = cli(*PLAN)
    assert done.returncode == 1
    assert "not examined: send_email: ArgumentsError: " in done.stdout


@pytest.mark.parametrize("method", ["plant", "calls", "clean"])
def test_a_plan_that_raises_is_no_traceback(cli: Cli, app: Path, method: str) -> None:
    text = (app / "mail.py").read_text()
    (app / "mail.py").write_text(re.sub(rf"(def {method}\(.*\):\n)", r"\1        raise RuntimeError('gone')\n", text))
    done = cli(*PLAN)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2:] == [
        f"`{method}` of the plan failed: RuntimeError: gone",
        "hint: nothing was examined",
    ]


def test_sentences_in_own_fields_are_warned_of(cli: Cli, app: Path) -> None:
    text = (app / "mail.py").read_text()
    (app / "mail.py").write_text(text.replace('"2026-11-20"', '"on a sunny day in May"'))
    done = cli(*PLAN)
    assert done.returncode == 0
    assert "warning: `received` of `read_mail` is own and reads like a sentence: on a sunny day in May" in done.stdout


def test_tools_that_read_and_were_not_called_are_named(cli: Cli, app: Path) -> None:
    manifest = app / "interlock.yaml"
    manifest.write_text(manifest.read_text() + "  read_wiki: {effect: read}\n")
    assert "warning: no result of `read_wiki` was examined" in cli(*PLAN).stdout


def test_recorded_results_give_the_same_table(cli: Cli, app: Path) -> None:
    (app / "results").mkdir()
    mail = {"id": "7", "received": "2026-11-20", "subject": "MARK-1", "body": "Hi MARK-2!"}
    (app / "results" / "read_mail.json").write_text(json.dumps([mail]))
    command = ("labels", "audit", "--results", "results", "--canary", r"MARK-\d")
    done = cli(*command)
    assert done.returncode == 0, done.stderr
    assert rows(done.stdout)[1:] == [
        ["read_mail", "body", "external", "MARK-2", "ok"],
        ["read_mail", "subject", "external", "MARK-1", "ok"],
    ]
    trust(app, "own: [subject]")
    done = cli(*command, "--json")
    assert done.returncode == 1
    verdicts = {row["field"]: row["verdict"] for row in json.loads(done.stdout)["rows"]}
    assert verdicts == {"body": "external", "subject": "TRUSTED"}
    (app / "results" / "nonsense.json").write_text("1")
    assert cli(*command).returncode == 2


def test_asynchronous_tools_and_an_object_as_a_plan(cli: Cli, app: Path) -> None:
    (app / "later.py").write_text(
        """
from types import SimpleNamespace
import mail

async def read_mail() -> list[dict]:
    return mail.read_mail()

PLAN = SimpleNamespace(tools={"read_mail": read_mail}, plant=mail.Plan().plant, calls=[(read_mail, {})])
"""
    )
    done = cli("labels", "audit", "--plan", "later:PLAN")
    assert done.returncode == 0, done.stderr
    assert len(rows(done.stdout)) == 3
