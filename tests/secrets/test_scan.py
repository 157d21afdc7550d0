"""What should be a handle is found, what is none is left alone, and a repository that is scanned runs nothing."""

import json
import os
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import pytest

from interlock.secrets import history
from interlock.secrets.errors import ScanError
from interlock.secrets.scan import MAX_BYTES, exit_code, masked, scan
from interlock.secrets.shapes import PROVIDERS, RULES, Medium, find
from tests.secrets.vaults import cases, grown

CASES = cases("secrets-scan")
TOKEN = grown("ghp_{b62:36}")
OLD = grown("glpat-{b62:20}")


@pytest.mark.parametrize("case", CASES, ids=[c["id"] for c in CASES])
def test_the_table(case: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / case["file"]
    file.parent.mkdir(parents=True, exist_ok=True)
    text = grown(case["text"])
    file.write_text(text)
    found = list(scan(tmp_path))
    assert {f.rule for f in found} == ({case["rule"]} if case["rule"] else set()), (case["why"], text, found)
    if "name" in case:
        assert [f.name for f in found] == [case["name"]]
    for finding in found:
        assert finding.path == case["file"]
        assert finding.remedy
        assert f"secret://{finding.name}" in str(finding)


def test_every_rule_is_in_the_table_and_there_are_enough() -> None:
    assert {c["rule"] for c in CASES} - {""} == set(RULES)
    assert len(PROVIDERS) >= 60
    ids = [c["id"] for c in CASES]
    assert len(set(ids)) == len(ids) >= 120


def test_the_standard_library_is_clean() -> None:
    """Hard negatives: tokens, keys and passwords are talked about everywhere, and none is one."""
    root = Path(sysconfig.get_paths()["stdlib"])
    files = [p for p in root.rglob("*.py") if not {"site-packages", "test", "tests", "idlelib"} & set(p.parts)]
    size, findings = 0, 0
    for file in files:
        text = file.read_text(encoding="utf-8", errors="replace")
        size += len(text)
        findings += len(list(find(text, Medium.CODE, file_name=file.name)))
    assert size > 5_000_000
    assert findings / (size / 1e6) <= 0.3


def test_the_hard_negatives_would_show_a_finding() -> None:
    text = Path(textwrap.__file__).read_text() + f'\napi_key = "{TOKEN}"\n'
    assert [m.rule for m in find(text, Medium.CODE)] == ["github"]


@pytest.mark.parametrize(
    "piece",
    [
        "a.a.a.",
        "eyJaaaaaaaa.",
        "://a:",
        "-----BEGIN RSA PRIVATE KEY-----\n",
        "token",
        'password="',
        "key: ",
        "invalid",
        "sk-",
        "curl ",
        "A" * 99,
        "Bearer ",
        "api_key=a-a-a-a-",
        "name: x\nvalue: ",
        "%s%s",
        "aws_",
    ],
)
def test_hostile_text_takes_linear_time(piece: str) -> None:
    import time  # CPU time of one process, as a ratio within one run

    def cost(text: str) -> float:
        best = 9e9
        for _ in range(3):
            start = time.process_time()
            list(find(text, Medium.CONFIG))
            best = min(best, time.process_time() - start)
        return best

    small, large = piece * (20_000 // len(piece)), piece * (160_000 // len(piece))
    assert cost(large) <= 8 * 3 * cost(small) + 0.05


def test_lines_previews_and_the_exit_code(tmp_path: Path) -> None:
    (tmp_path / "b.py").write_text(f"x = 1\n\nT = '{TOKEN}'\n")
    (tmp_path / "a.py").write_text("x = 1\n")
    (finding,) = found = list(scan(tmp_path))
    assert (finding.path, finding.line, finding.rule) == ("b.py", 3, "github")
    assert finding.preview == "ghp_… (40 characters)"
    assert str(finding) == "b.py:3: github: ghp_… (40 characters) → secret://GITHUB_TOKEN"
    assert TOKEN not in repr(found) + finding.remedy
    assert exit_code(found) == 1
    assert exit_code(scan(tmp_path / "a.py")) == 0
    assert [f.path for f in scan(tmp_path / "b.py")] == [str(tmp_path / "b.py")]


@pytest.mark.parametrize(
    "value", ["k9dfu3xw", TOKEN, "a\nb" * 30, "\x1b[2J" + "x" * 40, "-----BEGIN PRIVATE KEY-----\nMII"]
)
def test_a_preview_shows_four_characters_at_most(value: str) -> None:
    shown = masked(value)
    assert shown.isprintable()
    assert value[5:20] not in shown or value.startswith("-----BEGIN")
    assert len(shown) < 50


def test_a_notebook_names_the_line_of_the_file(tmp_path: Path) -> None:
    cells = [{"cell_type": "code", "source": ["a = 1\n", f"t = {TOKEN!r}\n"], "outputs": [{"text": [f"{OLD}\n"]}]}]
    text = json.dumps({"cells": cells, "nbformat": 4}, indent=1)
    (tmp_path / "n.ipynb").write_text(text)
    lines = text.split("\n")
    found = {f.rule: f.line for f in scan(tmp_path)}
    assert found == {
        "github": 1 + next(i for i, line in enumerate(lines) if TOKEN in line),
        "gitlab": 1 + next(i for i, line in enumerate(lines) if OLD in line),
    }
    (tmp_path / "n.ipynb").write_text(f"{{broken {TOKEN}")
    assert [f.rule for f in scan(tmp_path)] == ["github"]


def test_what_is_walked_and_what_is_not(tmp_path: Path) -> None:
    for folder in ("src", "node_modules/x", ".venv/lib", ".git", "vendor"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.py").write_text(f"'{TOKEN}'")
    (tmp_path / "binary").write_bytes(b"\0" + TOKEN.encode())
    (tmp_path / "wide.txt").write_bytes(TOKEN.encode("utf-16"))
    (tmp_path / "latin.txt").write_bytes(b"\xe4 " + TOKEN.encode())
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "a.py").write_text(f"'{TOKEN}'")
    (tmp_path / "link").symlink_to(outside)
    (tmp_path / "link.py").symlink_to(outside / "a.py")
    os.mkfifo(tmp_path / "pipe")
    assert [f.path for f in scan(tmp_path)] == ["latin.txt", "wide.txt", "src/a.py", "vendor/a.py"]


def test_what_could_not_be_read_is_reported(tmp_path: Path) -> None:
    (tmp_path / "large.txt").write_text("x\n" * (MAX_BYTES // 2) + f"\n'{TOKEN}'")
    (finding,) = scan(tmp_path)
    assert finding.rule == "not-scanned"
    with pytest.raises(ScanError):
        list(scan(tmp_path / "none"))
    with pytest.raises(ScanError):
        list(scan(tmp_path, history=True))


def git(folder: Path, *words: str) -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    identity = ["-c", "user.name=Ann", "-c", "user.email=ann@x.example", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, "-C", str(folder), *words], check=True, capture_output=True, env=environ)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "old.py").write_text(f"a = 1\nT = '{OLD}'\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    git(folder, "rm", "-q", "old.py")
    (folder / "now.py").write_text(f"T = '{TOKEN}'\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", f"rotated {grown('npm_{b62:36}')}")
    return folder


def test_history_shows_what_only_it_still_has(repository: Path) -> None:
    assert [(f.path, f.rule) for f in scan(repository)] == [("now.py", "github")]
    found = list(scan(repository, history=True))
    assert [(f.path, f.line, f.rule) for f in found if not f.commit] == [("now.py", 1, "github")]
    past = {(f.path, f.line, f.rule) for f in found if f.commit}
    assert past == {("old.py", 2, "gitlab"), ("(message)", 6, "npm")}
    assert all("revoke" in f.remedy for f in found if f.commit)
    assert not any(OLD in str(f) + repr(f) for f in found)


def test_history_sees_branches_stashes_and_what_was_reset(repository: Path) -> None:
    git(repository, "checkout", "-q", "-b", "side")
    (repository / "side.py").write_text(f"'{grown('dop_v1_{hex:64}')}'")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "side")
    git(repository, "checkout", "-q", "main")
    (repository / "now.py").write_text(f"'{grown('sqp_{hex:40}')}'")
    git(repository, "stash")
    (repository / "gone.py").write_text(f"'{grown('bkua_{hex:40}')}'")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "gone")
    git(repository, "reset", "-q", "--hard", "HEAD~1")
    rules = {f.rule for f in scan(repository, history=True)}
    assert {"digitalocean", "sonarqube", "buildkite", "gitlab"} <= rules


def test_a_repository_runs_nothing(repository: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(0o755)
    for (
        name
    ) in "pre-commit post-checkout post-index-change reference-transaction pre-auto-gc fsmonitor-watchman".split():
        hook = repository / ".git" / "hooks" / name
        hook.write_text(program.read_text())
        hook.chmod(0o755)
    (repository / ".git" / "info" / "attributes").write_text("* diff=evil filter=evil\n")
    for setting in (
        "core.fsmonitor core.pager core.editor core.sshCommand core.askPass core.gitProxy core.alternateRefsCommand "
        "diff.external diff.evil.textconv diff.evil.command filter.evil.smudge filter.evil.clean filter.evil.process "
        "gpg.program pager.log pager.rev-list pager.cat-file credential.helper sequence.editor uploadpack.packObjectsHook"
    ).split():
        git(repository, "config", setting, str(program))
    for setting, value in {
        "log.showSignature": "true",
        "core.hooksPath": str(repository / ".git" / "hooks"),
        "alias.cat-file": f"!{program}",
        "alias.rev-list": f"!{program}",
        "remote.evil.url": f"ext::{program}",
        "remote.evil.promisor": "true",
        "extensions.partialClone": "evil",
        "core.repositoryFormatVersion": "1",
        "protocol.ext.allow": "always",
    }.items():
        git(repository, "config", setting, value)
    found = {f.rule for f in scan(repository, history=True)}
    assert not mark.exists()
    assert "gitlab" in found
    assert subprocess.run([program], check=True).returncode == 0  # the mark would have told
    assert mark.exists()


def test_a_missing_object_is_not_fetched(repository: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(0o755)
    ids = subprocess.run(
        ["git", "-C", str(repository), "rev-list", "--objects", "--all"], check=True, capture_output=True, text=True
    ).stdout.split("\n")
    blob = next(line.split()[0] for line in ids if line.endswith("old.py"))
    (repository / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    for setting, value in {
        "remote.evil.url": f"ext::{program}",
        "remote.evil.promisor": "true",
        "extensions.partialClone": "evil",
        "core.repositoryFormatVersion": "1",
        "protocol.ext.allow": "always",
    }.items():
        git(repository, "config", setting, value)
    rules = {f.rule for f in scan(repository, history=True)}
    assert not mark.exists()
    assert rules == {"github", "npm"}


def test_a_history_has_bounds(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MAX_TOTAL", 100)
    with pytest.raises(ScanError, match="more than 100 bytes"):
        list(scan(repository, history=True))


def test_git_leaves_no_process_when_the_caller_stops_early(repository: Path) -> None:
    for _ in scan(repository, history=True):
        break
    objects = history.objects(str(repository))
    next(objects)
    objects.close()  # type: ignore[attr-defined]
    code = "import os; print(sum(1 for p in os.listdir('/proc') if p.isdigit()))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout


def test_the_environment_of_git_is_ours() -> None:
    assert not {"GIT_DIR", "GIT_SSH_COMMAND", "GIT_EXTERNAL_DIFF"} & history._ENVIRONMENT.keys()
    assert history._ENVIRONMENT["GIT_CONFIG_GLOBAL"] == os.devnull
