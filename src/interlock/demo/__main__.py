"""Play the demo; exit 0 if every expectation held, 1 if one did not, 2 for a folder that is in use."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from shutil import which

import interlock
from interlock.demo.agent import real
from interlock.demo.stage import BOLD, Stage
from interlock.demo.story import play
from interlock.monitor.approvals import TerminalApprovals


def main(arguments: list[str] | None = None) -> int:
    """The demo, as `arguments` want it."""
    parser = argparse.ArgumentParser(prog="python -m interlock.demo", description="An agent is attacked.")
    parser.add_argument("--keep", metavar="DIR", type=Path, help="where the files go; must be empty or not exist")
    parser.add_argument("--interactive", action="store_true", help="answer the questions of act 4 yourself")
    chosen = parser.parse_args(arguments)
    if chosen.keep is None:
        folder = Path(tempfile.mkdtemp(prefix="interlock-demo-"))
    else:
        folder = chosen.keep.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            print(f"`{folder}` is not empty; name a folder that is, or does not exist", file=sys.stderr)
            return 2
    stage = Stage(sys.stdout, os.environ)
    model = real()
    stage.line(stage.ink("Interlock: a support desk is attacked through its mail", BOLD))
    stage.line()
    if model is None:
        stage.say(
            "The model here is a script that obeys everything it reads, whoever wrote it: the worst case. With "
            "OPENAI_API_KEY or ANTHROPIC_API_KEY set, a real model takes its place."
        )
    else:
        stage.say(f"The model here is {model.name}. Its answers cost a little, and differ from run to run.")
    stage.say(
        "The rest is real: a database, mail folders, files, passwords and a page on loopback. What is said of them "
        "below is read from the disk, never from what the model says."
    )
    human = TerminalApprovals(sys.stdin, sys.stdout, by="you") if chosen.interactive else None
    refused = play(stage, folder, real=model, human=human)
    stage.line()
    _where(stage, folder, refused)
    stage.line()
    if stage.failed:
        stage.line(f"{len(stage.failed)} expectations did not hold.")
        return 1
    stage.line("Every expectation held.")
    return 0


def _where(stage: Stage, folder: Path, refused: int) -> None:
    """Where the files are, and how to look into them."""
    audit = folder / ".interlock" / "audit.sqlite"
    stage.say(f"All of it is in {folder}. To look around:")
    if which("interlock") is None:  # played from a source tree
        source, python = os.path.relpath(Path(interlock.__file__).parents[1]), os.path.relpath(sys.executable)
        stage.line(f"  alias interlock='PYTHONPATH={source} {python} -m interlock.cli'")
    for rest in (
        f"explain {refused} --audit {audit}",
        f"audit show {audit} --run act-3",
        f"audit verify {folder / 'audit-tampered.sqlite'}",
        f"policy show {folder / 'interlock.yaml'}",
    ):
        stage.line(f"  interlock {rest}")


if __name__ == "__main__":
    sys.exit(main())
