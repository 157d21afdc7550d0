"""The command line as a whole, and the commands about manifests: check, policy, init, version."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from interlock.cli import COMMANDS, main
from interlock.policy.load import load_policy
from tests.cli.conftest import SRC, Cli

HEAVY = {"asyncio", "cedarpy", "jsonschema_rs", "pydantic", "sqlite3", "yaml"}


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from interlock.cli import main; status = main(['--help']);"
        f"print(status, *sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], cwd=SRC, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert done[-1] == "0"
    assert {line.split()[0] for line in done if line.startswith("    ") and line[4] != " "} >= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: interlock {command}")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["policy"],
        ["audit", "verify"],
        ["check", "elsewhere.yaml"],
        ["check", "--tools", "mail"],
        ["check", "--tools", "mail:NOTHING"],
        ["check", "--tools", "absent:TOOLS"],
        ["check", "--tools", "mail:BOX"],
        ["init"],
        ["init", "--json", "absent.json"],
        ["explain", "--tool", "send_email"],
        ["explain", "--user", "hello"],
        ["explain", "--audit", "absent.sqlite"],
        ["explain", "--manifest", "interlock.yaml", "--tool", "nonsense"],
        ["explain", "--manifest", "interlock.yaml", "--tool", "send_email", "--arguments", "[1]"],
        ["explain", "--manifest", "interlock.yaml", "--tool", "send_email", "--read", "box.json:nonsense"],
        ["labels", "audit", "--plan", "mail:TOOLS"],
        ["labels", "audit", "--results", "."],
        ["labels", "audit", "--results", ".", "--canary", "("],
        ["audit", "verify", "absent.sqlite"],
        ["audit", "verify", "absent.sqlite", "--head", "12"],
        ["audit", "show", "absent.sqlite", "--last", "many"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_status_2_with_a_message(cli: Cli, app: Path, arguments: list[str]) -> None:
    done = cli(*arguments)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert done.stderr
    assert "Traceback" not in done.stderr
    assert not (app / "absent.sqlite").exists()


def test_a_module_that_fails_is_named_without_a_traceback(cli: Cli, app: Path) -> None:
    (app / "broken.py").write_text("import sys; sys.exit('no')")
    done = cli("check", "--tools", "broken:TOOLS")
    assert done.returncode == 2
    assert done.stderr.startswith("`broken:TOOLS` cannot be imported: SystemExit: no\n")


def test_a_reader_who_goes_away_is_no_traceback(app: Path) -> None:
    command = f"{sys.executable} -B -m interlock.cli policy show --json-schema | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=app, env={"PYTHONPATH": str(SRC)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("{\n")
    assert done.stderr == ""


def test_every_option_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    documented = (SRC.parent / "docs" / "cli.md").read_text()
    commands = [
        ["check"],
        ["policy", "show"],
        ["explain"],
        ["init"],
        ["labels", "audit"],
        ["audit", "verify"],
        ["audit", "show"],
        ["audit", "export"],
        ["audit", "keygen"],
        ["audit", "checkpoint"],
        ["audit", "erase"],
        ["audit", "drop"],
        ["call"],
        ["doctor"],
        ["scan"],
        ["sql", "grants"],
    ]
    for command in commands:
        assert main([*command, "--help"]) == 0
        options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
        assert f"interlock {' '.join(command)}" in documented
        assert [o for o in sorted(options) if not re.search(rf"{o}\b(?!-)", documented)] == []


def test_version(cli: Cli) -> None:
    assert cli("version").stdout.startswith("interlock ")


# check


def test_check_says_what_holds_what_was_guessed_and_what_is_not_enforced(cli: Cli) -> None:
    done = cli("check", "--tools", "mail:TOOLS")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:5] == [
        "interlock.yaml: no problem",
        "tools: read_mail (read), send_email (egress)",
        "agent support: tools read_mail, send_email; mandate lexical; external content inline",
        "rules: 9 shipped, 1 own (no-press)",
        "relaxed: none",
    ]
    assert "  send_email: refers to email" in done.stdout
    assert "  what a call touches is not looked into (no scope): read_mail, send_email" in done.stdout
    assert done.stderr == "this module is chatty\n"


def test_check_prints_every_problem_with_its_place_and_remedy(cli: Cli, app: Path) -> None:
    manifest = app / "interlock.yaml"
    manifest.write_text(
        manifest.read_text().replace("effect: egress", "effect: egres").replace("[read_mail,", "[readmail,")
    )
    (app / "rules" / "own.cedar").write_text(
        '@id("x")\nforbid (principal, action, resource)\nwhen { context.externl };\n'
    )
    done = cli("check")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert "interlock.yaml:5: agent `support` lists the unknown tool `readmail`; did you mean `read_mail`?" in lines
    assert "interlock.yaml:11: `egres` is no value of `effect`; did you mean `egress`?" in lines
    assert any(line.startswith("rules/own.cedar:3: `context.externl` does not exist") for line in lines)
    assert lines[-1] == f"{len(lines) - 1} problems; nothing was loaded"
    told = json.loads(cli("check", "--json").stdout)
    assert told["sound"] is False
    assert [p["line"] for p in told["problems"]] == [5, 11, 3]


def test_check_holds_the_manifest_against_the_functions(cli: Cli, app: Path) -> None:
    manifest = app / "interlock.yaml"
    manifest.write_text(manifest.read_text().replace("to: recipient", "too: recipient"))
    assert cli("check").returncode == 0  # nothing here says what arguments there are
    done = cli("check", "--tools", "mail:TOOLS")
    assert done.returncode == 1
    assert "interlock.yaml:12: `send_email` has no argument `too`; did you mean `to`?" in done.stdout


def test_check_names_functions_that_no_agent_can_have(cli: Cli, app: Path) -> None:
    (app / "more.py").write_text(
        "import mail\ndef wipe(name: str) -> str:\n    return name\nTOOLS = [*mail.TOOLS, wipe]\n"
    )
    done = cli("check", "--tools", "more:TOOLS")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "functions that the manifest does not describe, so no agent has them: wipe"


def test_check_for_machines(cli: Cli, app: Path) -> None:
    told = json.loads(cli("check", "--json", "--tools", "mail:TOOLS").stdout)
    assert told["sound"] is True
    assert told["digest"] == load_policy(app / "interlock.yaml").digest
    assert told["tools"] == {"read_mail": "read", "send_email": "egress"}
    assert "no-press" in told["rules"]
    assert told["not_enforced"] == {"resource_is_the_tool": ["read_mail", "send_email"]}


def test_check_knows_the_obligations_it_is_told_of(cli: Cli, app: Path) -> None:
    rule = '@id("mail-charged")\n@obliges("charge:to")\npermit (principal, action == Action::"send_email", resource);\n'
    (app / "rules" / "own.cedar").write_text(rule)
    assert "`charge` is no obligation" in cli("check").stdout
    done = cli("check", "--obligation", "charge")
    assert done.returncode == 0
    assert "rules: 9 shipped, 1 own (mail-charged)" in done.stdout


# policy show


def test_policy_show_prints_specs_and_every_rule(cli: Cli) -> None:
    out = cli("policy", "show", "--tools", "mail:TOOLS").stdout
    for line in (
        "tool send_email: egress",
        "  to: recipient from user, own",
        "  refers to: email (inferred)",
        "  returns email: id id; own id, received; all else external",
        '@id("unvouched")',
        '@id("no-press")',
    ):
        assert line in out.splitlines(), line


def test_policy_show_leaves_out_what_is_relaxed(cli: Cli, app: Path) -> None:
    manifest = app / "interlock.yaml"
    manifest.write_text(manifest.read_text().replace("agents:", "relax: [blind-effect]\nagents:"))
    done = cli("policy", "show")
    assert '@id("blind-effect")' not in done.stdout
    assert "relaxed: blind-effect" in done.stdout
    assert "relaxed: blind-effect" in cli("check").stdout


def test_policy_show_prints_schemas(cli: Cli, app: Path) -> None:
    cedar = cli("policy", "show", "--cedar-schema", "--tools", "mail:TOOLS").stdout
    assert 'action "send_email" in ["egress", "effect"]' in cedar
    (app / "interlock.yaml").unlink()  # the manifest's own schema needs none
    schema = json.loads(cli("policy", "show", "--json-schema").stdout)
    assert schema == json.loads((SRC / "interlock" / "policy" / "interlock.schema.json").read_text())


def test_policy_show_for_machines(cli: Cli) -> None:
    told = json.loads(cli("policy", "show", "--json", "--tools", "mail:TOOLS").stdout)
    to = told["tools"]["send_email"]["arguments"][0]
    assert (to["path"], to["role"], to["origins"]) == ("to", "recipient", ["own", "user"])
    assert told["rules"]["no-press"].startswith("// Nobody writes to the press.")
    assert told["rules"]["read"].startswith("// A read in scope is permitted.")  # without the file's heading


# init


def test_init_writes_a_manifest_that_loads_and_never_overwrites(cli: Cli, app: Path) -> None:
    done = cli("init", "--tools", "mail:TOOLS", "-o", "first.yaml")
    assert done.returncode == 0, done.stderr
    written = (app / "first.yaml").read_text()
    assert cli("init", "--tools", "mail:TOOLS").stdout == written
    assert cli("check", "first.yaml", "--tools", "mail:TOOLS").returncode == 0
    (app / "first.yaml").write_text("mine")
    again = cli("init", "--tools", "mail:TOOLS", "-o", "first.yaml")
    assert again.returncode == 2
    assert "`first.yaml` exists and was not touched\n" in again.stderr
    assert (app / "first.yaml").read_text() == "mine"


SCHEMA = {"type": "object", "properties": {"to": {"type": "string"}, "attachment_id": {"type": "string"}}}


@pytest.mark.parametrize(
    "listed",
    [
        [{"type": "function", "function": {"name": "send_email", "description": "Send.", "parameters": SCHEMA}}],
        {"model": "m", "tools": [{"type": "function", "name": "send_email", "parameters": SCHEMA}]},
        {"tools": [{"name": "send_email", "description": "Send.", "input_schema": SCHEMA}]},
        {"tools": [{"name": "send_email", "inputSchema": SCHEMA}]},
    ],
    ids=["openai-chat", "openai-responses", "anthropic", "mcp"],
)
def test_init_reads_tools_as_requests_list_them(cli: Cli, app: Path, listed: object) -> None:
    (app / "tools.json").write_text(json.dumps(listed))
    done = cli("init", "--json", "tools.json", "-o", "first.yaml")
    assert done.returncode == 0, done.stderr
    spec = load_policy(app / "first.yaml", schemas={"send_email": SCHEMA}).tools["send_email"]
    assert spec.effect == "egress"
    assert spec.argument("to").role == "recipient"
    assert spec.argument("attachment_id").kind == "file"  # although no tool returns files, the manifest loads


@pytest.mark.parametrize("text", ["{}", "[1]", "[]", "no", '[{"name": 1}]'])
def test_init_refuses_what_lists_no_tools(cli: Cli, app: Path, text: str) -> None:
    (app / "tools.json").write_text(text)
    done = cli("init", "--json", "tools.json", "-o", "first.yaml")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not (app / "first.yaml").exists()


# the source


def test_no_command_prints_recorded_text_raw() -> None:
    # Only these modules handle what outsiders wrote; each value goes through `seen` or `to_json` there.
    for name in ("audit", "explain", "labels"):
        tree = ast.parse((SRC / "interlock" / "cli" / f"{name}.py").read_text())
        names = {
            node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert {"seen", "to_json"} <= names
