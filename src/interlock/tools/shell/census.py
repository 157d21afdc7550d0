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

ANYTHING = 1 << 60  # bytes


def _tasks() -> Iterator[tuple[int, int, int]]:
    """(process, parent, number of threads) of everything that can be seen."""
    for name in os.listdir("/proc"):  # noqa: PTH208 - nothing but `os` in the launcher
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = read(f"/proc/{name}/stat").rpartition(b")")[2].split()  # the name may hold anything
                yield int(name), int(fields[1]), int(fields[17])


def read(path: str) -> bytes:
    """The beginning of a file of `/proc`."""
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


def tasks_of(user: int) -> int:
    """Tasks of `user`, as far as they can be seen."""
    total = 0
    for pid, _, threads in _tasks():
        with contextlib.suppress(OSError):
            total += threads if os.stat(f"/proc/{pid}").st_uid == user else 0  # noqa: PTH116
    return total


def memory(processes: Iterable[int]) -> int:
    """Bytes of memory that these processes have made for themselves."""
    total = 0
    for pid in processes:
        with contextlib.suppress(OSError, ValueError):
            for line in read(f"/proc/{pid}/status").splitlines():
                if line.startswith((b"RssAnon:", b"RssShmem:")):
                    total += int(line.split()[1]) * 1024
    return total


def disk(roots: Iterable[str], until: float) -> int:
    """Bytes on disk below `roots`; gives up at `until` with what it has seen.

    A folder that cannot be looked into, locked or deeper than any path reaches, may hold anything and counts so.
    """
    total = 0
    wave = list(roots)
    while wave and time.monotonic() < until:
        try:
            with os.scandir(wave.pop()) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
                        if entry.is_dir(follow_symlinks=False):
                            wave.append(entry.path)
        except FileNotFoundError:
            pass  # removed meanwhile
        except OSError:
            total += ANYTHING
    return total


def remove(top: str) -> None:
    """Remove the folder `top`, in which nobody works any more.

    What a command leaves may be deeper than recursion or a path can go: folders are moved up before they are emptied.
    """
    base = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        count = 0
        while names := os.listdir(base):  # noqa: PTH208 - nothing but `os` in the launcher
            for name in names:
                try:
                    os.unlink(name, dir_fd=base)
                    continue
                except IsADirectoryError:
                    pass
                os.chmod(name, 0o700, dir_fd=base)
                inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=base)
                try:
                    for below in os.listdir(inner):  # noqa: PTH208
                        try:
                            os.unlink(below, dir_fd=inner)
                        except IsADirectoryError:
                            count += 1
                            os.chmod(below, 0o700, dir_fd=inner)
                            os.rename(below, f"{os.getpid()}-{count}", src_dir_fd=inner, dst_dir_fd=base)
                finally:
                    os.close(inner)
                os.rmdir(name, dir_fd=base)
    finally:
        os.close(base)
    os.rmdir(top)  # noqa: PTH106


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
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return  # a reaper without children has no descendants
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
