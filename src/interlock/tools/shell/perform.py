"""Runs a permitted command in the sandbox, and tells how it ended."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from interlock.kernel.call import Call, Json
from interlock.kernel.decision import Permit
from interlock.tools.kind import ToolFailed
from interlock.tools.shell.job import Job, Tier
from interlock.tools.shell.launcher import Launcher
from interlock.tools.shell.scope import read
from interlock.tools.shell.spec import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """Where commands of one entry run."""

    launcher: Launcher
    chosen: Settings
    tier: Tier
    bwrap: str
    workspace: str  # real paths from here on
    visible: tuple[str, ...]

    def job(self, argv: list[str], *, cwd: str = "", stdin: str = "") -> Job:
        """`argv`, whose first word is a path, as the launcher takes it."""
        return Job(
            tier=self.tier,
            argv=argv,
            cwd=cwd or self.workspace,
            workspace=self.workspace,
            writable=self.chosen.write,
            env={"PATH": ":".join(self.chosen.path), **self.chosen.env},
            read=list(self.visible),
            stdin=stdin,
            limits=self.chosen.limits,
            bwrap=self.bwrap,
        )


def perform(permit: Permit, call: Call, *, check: Callable[[Permit, Call], None], sandbox: Sandbox) -> Json:
    """How the command ended: `{"exit", "stdout", "stderr"}`, and `stopped` with the limit that ended it."""
    check(permit, call)
    asked = read(sandbox.chosen, call)
    cwd = os.path.realpath(os.path.join(sandbox.workspace, asked.cwd))  # noqa: PTH118 - text, not a file yet
    if not (cwd == sandbox.workspace or cwd.startswith(sandbox.workspace + "/")) or not Path(cwd).is_dir():
        raise ToolFailed("`cwd` is no folder inside the workspace")
    command = find(asked.argv[0], sandbox.chosen.path)
    done = sandbox.launcher.run(sandbox.job([command, *asked.argv[1:]], cwd=cwd, stdin=asked.stdin))
    if done.failed:
        raise ToolFailed("the command could not be started in the sandbox", layer="kernel", hint=done.failed)
    answer: dict[str, Json] = {
        "exit": done.exit,
        "stdout": done.stdout.decode(errors="replace"),
        "stderr": done.stderr.decode(errors="replace"),
    }
    return answer | ({"stopped": f"limit reached: {done.stopped}"} if done.stopped else {})


def find(command: str, places: tuple[str, ...]) -> str:
    """The path of `command`; one that is a path stays what it is, the sandbox judges it.

    Raises:
        ToolFailed: it is in none of `places`.
    """
    if "/" in command:
        return command
    for place in places:
        path = f"{place}/{command}"
        if os.access(path, os.X_OK) and Path(path).is_file():
            return path
    raise ToolFailed(f"`{command[:80]}` is not installed")
