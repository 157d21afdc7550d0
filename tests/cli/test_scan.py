"""`interlock scan`: what it finds is status 1, masked; what it does not find is status 0."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.cli.conftest import Cli
from tests.secrets.vaults import grown

KEY = grown("sk-ant-api03-{b62:93}AA")


def test_a_clean_folder_is_status_0(cli: Cli, app: Path) -> None:
    done = cli("scan", ".")
    assert (done.returncode, done.stdout) == (0, "nothing found\n")
    done = cli("scan", ".", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"findings": []})


def test_a_literal_is_status_1_with_its_place_masked(cli: Cli, app: Path) -> None:
    (app / "settings.py").write_text(f"import os\nKEY = '{KEY}'\n")
    done = cli("scan", ".")
    assert done.returncode == 1
    assert done.stdout.startswith("settings.py:2: ")
    assert "secret://" in done.stdout
    assert KEY not in done.stdout + done.stderr
    (found,) = json.loads(cli("scan", "settings.py", "--json").stdout)["findings"]
    assert (found["line"], found["commit"]) == (2, "")
    assert KEY not in json.dumps(found)


def test_what_only_the_history_has_is_found_when_asked_for(cli: Cli, app: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b.example", *words],
            cwd=app,
            check=True,
            capture_output=True,
        )

    git("init", "-q")
    (app / "settings.py").write_text(f"KEY = '{KEY}'\n")
    git("add", "settings.py")
    git("commit", "-qm", "one")
    (app / "settings.py").write_text("import os\n")
    git("commit", "-qam", "two")
    assert cli("scan", ".").returncode == 0
    done = cli("scan", ".", "--history")
    assert done.returncode == 1
    assert "history, object" in done.stdout
    assert KEY not in done.stdout


def test_what_is_not_there_cannot_be_scanned(cli: Cli, app: Path) -> None:
    done = cli("scan", "absent")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("`absent` is not there")
    assert "Traceback" not in cli("scan", ".", "--history").stderr
