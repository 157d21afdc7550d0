"""Who descends from a process, what they use together, and how to end them all. Part of the launcher.

The kernel's own limits are per process or per user; a sandbox is neither. `/proc` is read instead, from outside.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import time
from collections.abc import Iterable, Iterator


def _tasks() -> Iterator[tuple[int, int, int]]:
    """(process, parent, number of threads) of everything that can be seen."""
    for name in os.listdir("/proc"):  # noqa: PTH208 - nothing but `os` in the launcher
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = _read(f"/proc/{name}/stat").rpartition(b")")[2].split()  # the name may hold anything
                yield int(name), int(fields[1]), int(fields[17])


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 1 << 14)
    finally:
        os.close(descriptor)


def descendants(root: int) -> dict[int, int]:
    """Process → number of threads, of everything below `root`."""
    children: dict[int, list[tuple[int, int]]] = {}
    for pid, parent, threads in _tasks():
        children.setdefault(parent, []).append((pid, threads))
    found: dict[int, int] = {}
    wave = [root]
    while wave:
        below = [child for pid in wave for child in children.get(pid, ())]
        found.update(below)
        wave = [pid for pid, _ in below]
    return found


def memory(processes: Iterable[int]) -> int:
    """Bytes of memory that these processes have made for themselves."""
    total = 0
    for pid in processes:
        with contextlib.suppress(OSError, ValueError):
            for line in _read(f"/proc/{pid}/status").splitlines():
                if line.startswith((b"RssAnon:", b"RssShmem:")):
                    total += int(line.split()[1]) * 1024
    return total


def disk(roots: Iterable[str], until: float) -> int:
    """Bytes on disk below `roots`; gives up at `until` with what it has seen."""
    total = 0
    wave = list(roots)
    while wave and time.monotonic() < until:
        with contextlib.suppress(OSError), os.scandir(wave.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        wave.append(entry.path)
    return total


def nameless(processes: Iterable[int]) -> int:
    """Bytes in open files that have no name any more."""
    sizes: dict[tuple[int, int], int] = {}
    for pid in processes:
        with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    found = entry.stat()
                    if stat.S_ISREG(found.st_mode) and found.st_nlink == 0:
                        sizes[found.st_dev, found.st_ino] = found.st_blocks * 512
    return sum(sizes.values())


def end(root: int, spare: Iterable[int] = ()) -> None:
    """Kill everything below `root`, which is their reaper, until there is nothing left."""
    spared = set(spare)
    while True:
        below = descendants(root)
        for pid in spared:
            for kept in (pid, *descendants(pid)):
                below.pop(kept, None)
        if not below:
            return
        for pid in below:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for pid in below:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.001)
