"""Every place of logs.toml, judged by what a process wrote: with the guard, without it, and with a redactor that raises."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
CASES = tomllib.loads((HERE.parent / "corpora" / "logs.toml").read_text())["case"]
Play = Callable[[dict[str, Any], str], str]


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    out = tmp_path_factory.mktemp("logs") / "out"
    env = {"PYTHONPATH": str(HERE.parents[1] / "src"), "PYTHONWARNINGS": "ignore::DeprecationWarning"}
    with subprocess.Popen(
        [sys.executable, "-B", str(HERE / "stage.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=env,
    ) as stage:
        assert stage.stdin
        assert stage.stdout

        def played(case: dict[str, Any], mode: str) -> str:
            job = {"before": case.get("before", ""), "code": case["code"], "mode": mode, "out": str(out)}
            stage.stdin.write(json.dumps(job) + "\n")  # type: ignore[union-attr]
            stage.stdin.flush()  # type: ignore[union-attr]
            assert stage.stdout.readline() == "done\n"  # type: ignore[union-attr]
            return out.read_text(errors="backslashreplace")

        yield played
        stage.stdin.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_no_secret_is_written(case: dict[str, Any], play: Play) -> None:
    written = play(case, "guarded")
    assert [secret for secret in case["secrets"] if secret in written] == []
    assert [word for word in case["keeps"] if word not in written] == []
    assert ("could not be redacted" in written) == case.get("lost", False)


@pytest.mark.parametrize("case", [c for c in CASES if c.get("bare", [1])], ids=lambda case: case["id"])
def test_without_the_guard_it_would_be(case: dict[str, Any], play: Play) -> None:
    written = play(case, "bare")
    assert [secret for secret in case.get("bare", case["secrets"]) if secret not in written] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_redactor_that_raises_lets_nothing_out(case: dict[str, Any], play: Play) -> None:
    written = play(case, "broken")
    assert [secret for secret in case["secrets"] if secret in written] == []
    assert "could not be redacted (1 so far)" in written
