"""Changes of mode and times, done for the command by its supervisor. Part of the launcher.

Landlock does not judge `chmod` and its kin (as of version 7), so in tier L the filter sends them here. The path is read
from the caller's memory once, opened without any right (`O_PATH`), and where that *descriptor* lies decides: the object
that is changed is the object that was judged, whatever the caller writes or renames in the meantime.
"""

from __future__ import annotations

import errno
import os
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass

AT_CWD = -100
NO_FOLLOW, EMPTY_PATH = 0x100, 0x1000
NOW, OMIT = 0x3FFFFFFF, 0x3FFFFFFE
LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Caller:
    """A task that waits for its call to be answered."""

    pid: int
    arguments: tuple[int, ...]

    def number(self, index: int) -> int:
        """An argument that is a C int."""
        low = self.arguments[index] & 0xFFFFFFFF
        return low - (1 << 32) if low >> 31 else low

    def read(self, index: int, length: int) -> bytes:
        """`length` bytes from where an argument points."""
        return _memory(self.pid, self.arguments[index], length)

    def path(self, index: int) -> str:
        """The text an argument points to."""
        address = self.arguments[index]
        data = b""
        while b"\0" not in data and len(data) < LONGEST:  # by page: the next one may not be there
            piece = _memory(self.pid, address + len(data), 4096 - (address + len(data)) % 4096)
            if not piece:
                raise OSError(errno.EFAULT, "no text")
            data += piece
        text, end, _ = data.partition(b"\0")
        if not end:
            raise OSError(errno.ENAMETOOLONG, "path")
        return os.fsdecode(text)


def _memory(pid: int, address: int, length: int) -> bytes:
    memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(memory, length, address)
    except OverflowError:
        raise OSError(errno.EFAULT, "address") from None
    finally:
        os.close(memory)


def change(call: str, caller: Caller, roots: tuple[str, ...]) -> None:
    """Do `call` for `caller` if it hits something below `roots`.

    Raises:
        OSError: what the caller gets instead.
    """
    directory, path, follow = _named(call, caller)
    target = _open(caller.pid, directory, path, follow=follow)
    try:
        place = os.readlink(f"/proc/self/fd/{target}")  # noqa: PTH115 - nothing but `os` in the launcher
        if not any(place == root or place.startswith(root + "/") for root in roots):
            raise OSError(errno.EPERM, "outside")
        if "chmod" in call:
            mode = caller.number({"fchmodat": 2}.get(call, 1))
            os.chmod(f"/proc/self/fd/{target}", mode & 0o1777)  # noqa: PTH101 - set-id bits: refused by the filter
        else:
            os.utime(f"/proc/self/fd/{target}", ns=_times(call, caller, os.stat(target)))  # noqa: PTH116
    finally:
        os.close(target)


def _named(call: str, caller: Caller) -> tuple[int, str, bool]:
    """Which object: a directory, a path from there (empty: itself), whether links are followed."""
    match call:
        case "chmod" | "utime" | "utimes":
            return AT_CWD, caller.path(0), True
        case "fchmod":
            return caller.number(0), "", True
        case "fchmodat" | "futimesat":
            return caller.number(0), caller.path(1) if caller.arguments[1] else "", True
        case "utimensat":
            flags = caller.number(3)
            path = caller.path(1) if caller.arguments[1] else ""
            if not path and caller.arguments[1] and not flags & EMPTY_PATH:
                raise OSError(errno.ENOENT, "path")
            return caller.number(0), path, not flags & NO_FOLLOW
        case _:
            raise OSError(errno.ENOSYS, call)


def _open(pid: int, directory: int, path: str, *, follow: bool) -> int:
    how = os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    start = f"/proc/{pid}/cwd" if directory == AT_CWD else f"/proc/{pid}/fd/{directory}"
    if not path:
        return os.open(start, os.O_PATH | os.O_CLOEXEC)
    for own in ("/proc/self/", "/proc/thread-self/"):  # libc's way to change an open file: the caller's self, not ours
        if path.startswith(own):
            path = f"/proc/{pid}/{path.removeprefix(own)}"
    if path.startswith("/"):
        return os.open(path, how)
    base = os.open(start, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return os.open(path, how, dir_fd=base)
    finally:
        os.close(base)


def _times(call: str, caller: Caller, now: os.stat_result) -> tuple[int, int]:
    """Access and modification time in nanoseconds."""
    index = 1 if call in {"utime", "utimes"} else 2
    current = time.time_ns()
    if not caller.arguments[index]:
        return current, current
    shape = {"utime": ("=2q", 16)}.get(call, ("=4q", 32))
    data = caller.read(index, shape[1])
    if len(data) != shape[1]:
        raise OSError(errno.EFAULT, "times")
    numbers = struct.unpack(shape[0], data)
    if call == "utime":
        return numbers[0] * 10**9, numbers[1] * 10**9
    if call != "utimensat":
        return numbers[0] * 10**9 + numbers[1] * 1000, numbers[2] * 10**9 + numbers[3] * 1000
    special: Mapping[int, tuple[int, int]] = {NOW: (current, current), OMIT: (now.st_atime_ns, now.st_mtime_ns)}
    access = special[numbers[1]][0] if numbers[1] in special else numbers[0] * 10**9 + numbers[1]
    modified = special[numbers[3]][1] if numbers[3] in special else numbers[2] * 10**9 + numbers[3]
    return access, modified
