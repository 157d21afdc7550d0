"""The examples as they stand, through the real SDKs, against a server on loopback that speaks the providers' wire."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
TWO_TOOLS = [p for p in EXAMPLES if p.stem.startswith(("openai_", "anthropic_"))]


def played(path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the example's names stand for in the end."""
    for key in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setattr(sys, "argv", [str(path), "--scripted"])
    after = runpy.run_path(str(path), run_name="__main__")
    if "client" in after:
        after["client"].close()
    return after


def test_there_are_seven_examples() -> None:
    assert [p.stem for p in EXAMPLES] == [
        "anthropic_messages",
        "anthropic_messages_async",
        "handles",
        "json_schema_tool",
        "openai_chat",
        "openai_chat_async",
        "openai_responses",
    ]


@pytest.mark.parametrize("path", TWO_TOOLS, ids=lambda p: p.stem)
def test_the_task_is_done_and_the_note_has_no_say(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert played(path, monkeypatch)["SENT"] == {"bob@example.com": "We meet on Friday at ten."}


def test_without_the_decision_the_note_gets_its_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the test above can fail."""
    from interlock import Run
    from interlock.monitor.mediate import Observed
    from interlock.monitor.mediate import refusal as refused

    def call(self: Run, tool: str, arguments: dict[str, Any]) -> Observed:
        content = self._lock.tools[tool].call(arguments)
        return Observed(content=content, label=refused(None).label, performed=True, record=None)

    monkeypatch.setattr(Run, "call", call)
    assert "mallory@evil.example" in played(ROOT / "examples" / "openai_chat.py", monkeypatch)["SENT"]


def test_a_schema_from_zod_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = played(ROOT / "examples" / "json_schema_tool.py", monkeypatch)["OPENED"]
    assert opened == [{"order": 1042, "reason": "broken", "copies": ["bob@example.com"]}]


def test_the_model_sets_stars_by_a_review_that_it_never_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    after = played(ROOT / "examples" / "handles.py", monkeypatch)
    assert after["STARS"] == [(3, 4)]
    assert after["run"].rendered == [after["REVIEWS"][3]]
    assert not any("Lovely" in str(m) for m in after["messages"])


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_started_as_a_user_starts_it_no_example_warns(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path), "--scripted"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"},
    )
    assert (done.returncode, done.stderr) == (0, "")
