"""A folder that is swapped with a link to the outside while files are read, written, listed and deleted."""

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interlock.kernel.errors import InterlockError
from tests.tools.files.world import CANARY, KINDS, Tool, opened, snapshot

SECONDS = 0.4  # each; `python -m bench.files` looks longer
PATIENCE = 20.0  # until something has gone well: a tool that only refuses proves nothing


_exchange = ctypes.CDLL(None).renameat2
AT_FDCWD, RENAME_EXCHANGE = -100, 2


@contextmanager
def swapping(root: Path, outside: Path) -> Iterator[None]:
    """Exchanges `root/d`, a folder, with a link to `outside`, and back, without a moment in which it is missing."""
    stop = threading.Event()
    (root / "link").unlink(missing_ok=True)
    (root / "link").symlink_to(outside)
    names = AT_FDCWD, bytes(root / "d"), AT_FDCWD, bytes(root / "link")

    def swap() -> None:
        turn = 0
        while not stop.is_set():
            _exchange(*names, RENAME_EXCHANGE)
            time.sleep(0)  # hand over: the tool shall meet both
            _exchange(*names, RENAME_EXCHANGE)
            turn += 1
            time.sleep(0 if turn % 20 else 0.02)  # a rest as a folder, so that long work can end well at times

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def attempts(work: Callable[[int], object]) -> tuple[int, str]:
    """(how often it went well, everything it said)."""
    start, well, said, turn = time.monotonic(), 0, set(), 0
    while (spent := time.monotonic() - start) < SECONDS or (well == 0 and spent < PATIENCE):
        turn += 1
        try:
            said.add(str(work(turn)))
            well += 1
        except InterlockError:
            pass
    return well, " ".join(said)


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "d" / "inner", outside / "inner"):
        folder.mkdir(parents=True)
    (root / "d" / "f").write_text("inside")
    (root / "d" / "inner" / "g").write_text("inside")
    (outside / "f").write_text(CANARY)
    (outside / "inner" / "g").write_text(CANARY)
    return root, outside


WORK: dict[str, Callable[[Tool, int], object]] = {
    "read": lambda tool, turn: tool.call("read", path="d/f"),
    "read-deep": lambda tool, turn: tool.call("read", path="d/inner/../inner/g"),
    "list": lambda tool, turn: tool.call("list", path="d/inner"),
    "search": lambda tool, turn: tool.call("search", query="a", path="."),
    "write": lambda tool, turn: tool.call("write", path="d/f", content="mine"),
    "write-new": lambda tool, turn: tool.call("write", path=f"d/n{turn}", content="mine"),
    "append": lambda tool, turn: tool.call("append", path="d/f", content="x"),
    "mkdir": lambda tool, turn: tool.call("mkdir", path=f"d/m{turn}"),
    "move": lambda tool, turn: (
        tool.call("write", path=f"d/o{turn}", content=""),
        tool.call("move", path=f"d/o{turn}", to=f"d/p{turn}"),
    ),
    "delete-tree": lambda tool, turn: (
        tool.call("mkdir", path=f"d/inner/new{turn}"),
        tool.call("delete", path="d/inner", recursive=True),
    ),
}


# With links followed, what they lead to is opened as without links; three operations show it.
FOLLOWED = [("openat2", "inside", work) for work in ("read", "write", "delete-tree")]


@pytest.mark.parametrize(
    ("kind", "follow", "work"), [(kind, "never", work) for kind in KINDS for work in WORK] + FOLLOWED
)
def test_no_race_leads_out(work: str, kind: str, follow: str, places: tuple[Path, Path]) -> None:
    root, outside = places
    before = snapshot(outside)
    with opened(root, KINDS[kind], follow_links=follow) as tool, swapping(root, outside):
        well, said = attempts(lambda turn: WORK[work](tool, turn))
    assert snapshot(outside) == before
    assert CANARY not in said
    assert well > 0


def test_a_check_before_use_loses_this_race(places: tuple[Path, Path]) -> None:
    """The yardstick: with a check on the path's text, the same swapping does lead out (so these tests can fail)."""
    root, outside = places

    def checked(turn: int) -> str:
        path = root / "d" / "f"
        try:
            if not os.path.realpath(path).startswith(f"{root}/"):
                return ""
            time.sleep(0)  # hand over, as any work between check and use does
            return path.read_text()
        except OSError:
            return ""

    for _ in range(10):
        with swapping(root, outside):
            _, said = attempts(checked)
        if CANARY in said:
            return
    raise AssertionError("the swapping is too slow to be a race")
