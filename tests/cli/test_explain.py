"""`explain` and `audit` over an audit that real calls left behind."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sqlite3
from pathlib import Path
from types import ModuleType

import pytest

from interlock import Interlock
from tests.cli.conftest import BOB, EVE, Cli

AUDIT = ".interlock/audit.sqlite"
PRESS = "press@example.com"
WORDS = f"Read my mail, then send an email to {BOB}"


@pytest.fixture
def mail(app: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.chdir(app)
    spec = importlib.util.spec_from_file_location("mail_of_test", app / "mail.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def recorded(app: Path, mail: ModuleType) -> dict[str, int]:
    """Real calls through the library; the number of each one's first decision, by what it was about."""

    def approve(question: object) -> bool:
        return f"'{EVE}'" in repr(question)

    with (app / "interlock.yaml").open("a") as manifest:
        manifest.write("redact: {records: {pii: keep}} # these tests read what would be hidden\n")
    lock = Interlock(app / "interlock.yaml", tools=mail.TOOLS, approvals=approve)
    run = lock.run(agent="support", principal="emma", user=WORDS, run_id="r1")
    run.call("read_mail", {})
    for to in (BOB, EVE, "mallory@evil.example", PRESS):
        run.call("send_email", {"to": to, "subject": "Re", "body": "ok"})
    run.call("send_email", {"to": 3})
    run.call("wire_money", {})
    quiet = lock.run(agent="support", principal="emma", user="Read my mail", run_id="r2")
    quiet.call("read_mail", {})
    quiet.call("send_email", {"to": BOB, "subject": "Re", "body": "ok"})
    assert json.loads((app / "out.json").read_text()) == [BOB, EVE]
    lock.monitor._ports.audit.close()  # type: ignore[attr-defined]
    found: dict[str, int] = {}
    with sqlite3.connect(app / AUDIT) as db:
        for seq, run_id, text, personal in db.execute(
            "SELECT seq, run, body, personal FROM audit WHERE kind = 'decision' ORDER BY seq"
        ):
            body = json.loads(text) | json.loads(personal)
            told = body.get("arguments", {}).get("to", body["tool"])
            found.setdefault(f"{run_id} {told}", seq)
    db.close()
    return found


def explained(cli: Cli, *arguments: str) -> list[str]:
    done = cli("explain", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_permitted_call(cli: Cli, recorded: dict[str, int]) -> None:
    seq = recorded[f"r1 {BOB}"]
    lines = explained(cli, str(seq), "--manifest", "interlock.yaml")
    assert lines[0] == "PERMITTED: send_email"
    assert lines[1] == "  by agent support for emma, effect egress"
    assert lines[2].startswith(f"  record {seq}, run r1, ")
    to = lines.index(f"    to = {BOB}")
    assert lines[to + 1] == "      recipient; vouched (user): stands in the user's words"
    assert '    @id("effect")' in lines
    assert "  the run has read external content, from read_mail" in lines
    assert "  mandate: the call is within it" in lines
    assert lines[-1].startswith(f"outcome: returned, record {seq + 1}, ")


def test_an_approved_call_with_question_answer_and_endorsement(cli: Cli, recorded: dict[str, int]) -> None:
    seq = recorded[f"r1 {EVE}"]
    whole = explained(cli, str(seq), "--manifest", "interlock.yaml")
    assert whole[0] == "PERMITTED: send_email"
    to = whole.index(f"  ! to = {EVE}")
    assert whole[to + 1].startswith("      recipient; not vouched: stands only in `body` of `read_mail` (email 7)")
    why = whole.index("why")
    assert whole[why + 1 : why + 3] == ["  needs approval by unvouched", "  permitted by effect"]
    approval = whole.index("approval")
    assert whole[approval + 1].startswith(f"  asked, record {seq + 1}, ")
    assert whole[approval + 2].startswith(f"  yes, from application, record {seq + 2}, ")
    assert whole[approval + 3] == f"  application vouched for {EVE} as recipient, record {seq + 3}"
    assert whole[-1].startswith(f"outcome: returned, record {seq + 5}, ")
    for part in range(seq, seq + 6):  # the same story, whichever of its records is named
        assert explained(cli, str(part), "--manifest", "interlock.yaml") == whole


def test_a_call_that_a_human_refused(cli: Cli, recorded: dict[str, int]) -> None:
    lines = explained(cli, str(recorded["r1 mallory@evil.example"]))
    assert lines[0] == "REFUSED: send_email"
    assert "  (with --manifest, the text of the rules is shown)" in lines
    assert any(line.startswith("  no, from application, ") and line.endswith(": the human said no") for line in lines)
    assert not any(line.startswith("outcome") for line in lines)


def test_refusals_by_a_rule_by_the_schema_and_by_the_list(cli: Cli, recorded: dict[str, int]) -> None:
    lines = explained(cli, str(recorded[f"r1 {PRESS}"]), "--manifest", "interlock.yaml")
    assert "  refused by no-press" in lines
    assert '    when { context.args.to == "press@example.com" };' in lines
    lines = explained(cli, str(recorded["r1 3"]))
    assert "  invalid-arguments: the arguments do not fit the tool's schema" in lines
    assert 'arguments: {"to": 3}' in lines
    lines = explained(cli, str(recorded["r1 wire_money"]))
    assert lines[0] == "REFUSED: wire_money"
    assert "  unlisted-tool: the agent has no such tool" in lines


def test_last_run_and_digest(cli: Cli, recorded: dict[str, int]) -> None:
    lines = explained(cli)  # last, in the audit beside here
    assert lines[2].startswith(f"  record {recorded[f'r2 {BOB}']}, run r2, ")
    assert "  mandate: the call is outside of it" in lines
    lines = explained(cli, "last", "--run", "r1")
    assert lines[0] == "REFUSED: wire_money"
    digest = lines[3].split()[1]
    assert explained(cli, digest[:10]) == lines
    done = cli("explain", str(recorded[f"r1 {BOB}"]), "--run", "r2")
    assert done.returncode == 2
    assert "of run `r2`" in done.stderr


def test_records_of_no_call_and_calls_that_are_not_there(cli: Cli, recorded: dict[str, int]) -> None:
    assert cli("explain", "1").stderr.startswith("record 1 is `start`, which belongs to no call\n")
    for absent in ("9999", "ffffffffff", "nonsense"):
        done = cli("explain", absent)
        assert (done.returncode, done.stdout) == (2, "")


def test_rules_are_shown_only_of_the_manifest_that_was_in_force(cli: Cli, app: Path, recorded: dict[str, int]) -> None:
    manifest = app / "interlock.yaml"
    manifest.write_text(manifest.read_text().replace("me: [emma@example.com]", "me: []"))
    lines = explained(cli, str(recorded[f"r1 {PRESS}"]), "--manifest", "interlock.yaml")
    assert any("the manifest is not what was in force" in line for line in lines)
    assert not any("@id(" in line for line in lines)


def test_explain_for_machines(cli: Cli, recorded: dict[str, int]) -> None:
    told = json.loads("\n".join(explained(cli, str(recorded[f"r1 {EVE}"]), "--json", "--manifest", "interlock.yaml")))
    assert told["decision"]["body"]["decision"] == "needs-approval"
    assert told["answer"]["body"]["granted"] is True
    assert told["final"]["body"]["decision"] == "permitted"
    assert told["outcome"]["body"]["outcome"] == "returned"
    assert set(told["rules"]) == {"unvouched", "effect"}


def test_nothing_recorded_draws_on_the_terminal(cli: Cli, app: Path, mail: ModuleType) -> None:
    lock = Interlock(app / "interlock.yaml", tools=mail.TOOLS)
    run = lock.run(agent="support", principal="em\x1b[2Jma", user=WORDS, run_id="r\x1b[1A1")
    run.call("read_mail", {})
    run.call("send_email", {"to": f"{EVE}\x1b[31m\u202e", "subject": "\x9b2J", "body": "a\nREFUSED: b"})
    lock.monitor._ports.audit.close()  # type: ignore[attr-defined]
    out = cli("explain").stdout + cli("audit", "show", AUDIT).stdout + cli("audit", "show", AUDIT, "--json").stdout
    assert "\\x1b[31m" in out
    assert not {c for c in out if not c.isprintable()} - {"\n"}
    assert "\nREFUSED: b" not in out


# a call that was never made


def made_up(cli: Cli, to: str, *more: str, user: str = WORDS) -> list[str]:
    arguments = json.dumps({"to": to, "subject": "Re", "body": "ok"})
    return explained(
        cli,
        "--manifest",
        "interlock.yaml",
        "--tool",
        "send_email",
        "--arguments",
        arguments,
        "--user",
        user,
        "--tools",
        "mail:TOOLS",
        *more,
    )


def test_a_call_that_was_never_made(cli: Cli, app: Path) -> None:
    read = ("--read", "box.json:read_mail")
    before = sorted(p.name for p in app.iterdir())
    assert made_up(cli, BOB, *read)[0] == "PERMITTED: send_email"
    lines = made_up(cli, EVE, *read)
    assert lines[0] == "NEEDS APPROVAL: send_email"
    assert lines[2] == "  made up: nothing was performed or recorded"
    assert lines[-1] == "approval: a human would be asked; a yes to exactly this call permits it"
    assert made_up(cli, EVE, *read, user="Read my mail")[0] == "REFUSED: send_email"
    assert made_up(cli, PRESS, user=f"Send an email to {PRESS}")[0] == "REFUSED: send_email"
    assert sorted(p.name for p in app.iterdir()) == before  # no audit, nothing sent
    done = cli("explain", "--manifest", "interlock.yaml", "--tool", "send_email")
    assert done.returncode == 2
    assert done.stderr.startswith("rules read arguments, and nothing describes those of `send_email`\n")


def test_what_could_not_have_been_read_is_not_read(cli: Cli, app: Path) -> None:
    manifest = app / "interlock.yaml"
    manifest.write_text(manifest.read_text().replace("[read_mail, send_email]", "[send_email]"))
    done = cli(
        "explain",
        "--manifest",
        "interlock.yaml",
        "--tool",
        "send_email",
        "--read",
        "box.json:read_mail",
        "--tools",
        "mail:TOOLS",
    )
    assert done.returncode == 1
    assert done.stderr.removeprefix("this module is chatty\n").startswith(
        "the run could not have read box.json: `read_mail` would not be permitted, by unlisted-tool"
    )


# audit


def test_verify_a_sound_audit_and_a_noted_head(cli: Cli, recorded: dict[str, int]) -> None:
    done = cli("audit", "verify", AUDIT)
    assert done.returncode == 0
    sound, head, *_ = done.stdout.splitlines()
    seq, _, digest = head.removeprefix("head ").partition(":")
    assert sound == f"sound: {seq} records"
    assert cli("audit", "verify", AUDIT, "--head", f"{seq}:{digest}").returncode == 0
    cut_off = cli("audit", "verify", AUDIT, "--head", f"{int(seq) + 1}:{digest}")
    assert cut_off.returncode == 1
    assert cut_off.stdout == f"broken: the chain ends at record {seq}; record {int(seq) + 1} was noted\n"
    told = json.loads(cli("audit", "verify", AUDIT, "--json").stdout)
    assert told == {"sound": True, "head": {"seq": int(seq), "digest": digest}}


def test_verify_finds_what_was_changed(cli: Cli, app: Path, recorded: dict[str, int]) -> None:
    with sqlite3.connect(app / AUDIT) as db:
        db.execute("DROP TRIGGER audit_is_not_changed")
        db.execute(
            "UPDATE audit SET body = replace(body, 'unvouched', 'unheard') WHERE seq = ?", (recorded[f"r1 {EVE}"],)
        )
    db.close()
    done = cli("audit", "verify", AUDIT)
    assert done.returncode == 1
    assert done.stdout == f"broken: record {recorded[f'r1 {EVE}']} was changed\n"
    told = json.loads(cli("audit", "verify", AUDIT, "--json").stdout)
    assert (told["sound"], told["record"]) == (False, recorded[f"r1 {EVE}"])


def test_what_is_no_audit_is_refused_and_left_alone(cli: Cli, app: Path) -> None:
    with sqlite3.connect(app / "other.sqlite") as db:
        db.execute("CREATE TABLE other (a)")
    db.close()
    (app / "text").write_text("hello")
    for name in ("other.sqlite", "text"):
        before = (app / name).read_bytes()
        for command in (("audit", "verify"), ("audit", "show"), ("explain", "last", "--audit")):
            done = cli(*command, name)
            assert done.returncode == 1, command
            assert done.stderr.startswith(f"`{name}` cannot be read as an audit")
        assert (app / name).read_bytes() == before


def test_examining_an_audit_does_not_write_to_it(cli: Cli, app: Path, recorded: dict[str, int]) -> None:
    shutil.copyfile(app / AUDIT, app / "copy.sqlite")
    (app / "copy.sqlite").chmod(0o400)
    before = (app / "copy.sqlite").read_bytes()
    assert cli("audit", "verify", "copy.sqlite").returncode == 0
    assert cli("explain", "--audit", "copy.sqlite").returncode == 0
    assert (app / "copy.sqlite").read_bytes() == before


def test_show_lists_filters_and_counts(cli: Cli, recorded: dict[str, int]) -> None:
    lines = cli("audit", "show", AUDIT).stdout.splitlines()
    seq = recorded[f"r1 {EVE}"]
    assert lines[seq - 1].split() == [
        str(seq),
        *lines[seq - 1].split()[1:3],
        *"r1 decision: needs-approval send_email, by unvouched".split(),
    ]
    assert lines[seq + 2].endswith(f"endorse: application vouched for `{EVE}` as recipient")
    two = cli("audit", "show", AUDIT, "--run", "r2", "--kind", "decision").stdout.splitlines()
    assert [line.split("decision: ")[1] for line in two] == [
        f"permitted read_mail, by read → returned (record {recorded['r2 read_mail'] + 1})",
        "forbidden send_email, by off-mandate",
    ]
    assert cli("audit", "show", AUDIT, "-n", "3").stdout.splitlines() == lines[-3:]
    whole = [json.loads(line) for line in cli("audit", "show", AUDIT, "--json").stdout.splitlines()]
    assert [record["seq"] for record in whole] == list(range(1, len(lines) + 1))
    assert whole[0]["kind"] == "start"
