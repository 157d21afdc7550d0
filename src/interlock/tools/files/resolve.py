"""From steps below a folder to a descriptor, without a moment in which somebody could put a link in the way.

`ByKernel` asks `openat2`. `ByWalk` opens step after step with O_NOFOLLOW, holds every folder on the way open so that
`..` is the folder it came from, and compares mounts. Both refuse links; `unlinked` finds the path without links for
entries that follow them inside the root, and it is then opened like any other. Where neither works nothing is served.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from interlock.tools.files import system
from interlock.tools.kind import ConfigError

RETRIES = 200  # of a resolution that the kernel calls disturbed (EAGAIN); each is some microseconds
MAX_LINKS = 40  # on one path, as in Linux
_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_UNAVAILABLE = frozenset({errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.E2BIG, errno.EOPNOTSUPP})


def raw(name: str) -> bytes:
    """The bytes of a name, also of one that is no UTF-8 and was read with surrogates for it."""
    return name.encode("utf-8", "surrogateescape")


class Resolver(Protocol):
    """Opens what steps name, inside a folder."""

    @property
    def name(self) -> str:
        """The mechanism, for proofs."""
        ...

    def open(self, folder: int, steps: tuple[str, ...], flags: int) -> int:
        """A descriptor. `flags` has O_PATH or O_DIRECTORY, so that nothing is opened that could block or act.

        Raises:
            OSError: ELOOP for a link, EXDEV for what leaves the folder or its mount, and what `open` raises.
        """
        ...


@dataclass(frozen=True, slots=True)
class ByKernel:
    """`openat2` with BENEATH, NO_SYMLINKS, NO_MAGICLINKS and NO_XDEV."""

    openat2: system.Openat2 = system.openat2
    name: str = "openat2"

    def open(self, folder: int, steps: tuple[str, ...], flags: int) -> int:
        """See `Resolver.open`; a disturbed resolution is tried again, not for ever."""
        path = raw("/".join(steps)) or b"."
        for _ in range(RETRIES):
            try:
                return self.openat2(folder, path, flags)
            except BlockingIOError:  # EAGAIN: a rename or mount while `..` was resolved
                continue
            except InterruptedError:
                continue
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


@dataclass(frozen=True, slots=True)
class ByWalk:
    """One step at a time, for kernels and containers without `openat2`."""

    name: str = "walk"

    def open(self, folder: int, steps: tuple[str, ...], flags: int) -> int:
        """See `Resolver.open`."""
        with _walked(folder, steps[:-1]) as held:
            last = steps[-1] if steps else "."
            if last == "..":
                if len(held) == 1:
                    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
                held = held[:-1]  # noqa: PLW2901 - the folder it came from
                last = "."
            fd = os.open(raw(last), flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=held[-1])
            try:
                _same_mount(folder, fd)
                _no_link(fd)  # O_PATH | O_NOFOLLOW opens the link itself
            except OSError:
                os.close(fd)
                raise
            return fd


@contextmanager
def _walked(folder: int, steps: tuple[str, ...]) -> Iterator[list[int]]:
    """Descriptors of every folder on the way, `folder` first."""
    held = [folder]
    try:
        for step in steps:
            if step == "..":
                if len(held) == 1:
                    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
                os.close(held.pop())
                continue
            fd = os.open(raw(step), _STEP, dir_fd=held[-1])
            held.append(fd)
            _no_link(fd)
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            _same_mount(folder, fd)
        yield held
    finally:
        for fd in held[1:]:
            os.close(fd)


def _no_link(fd: int) -> None:
    if stat.S_ISLNK(os.fstat(fd).st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _same_mount(folder: int, fd: int) -> None:
    if os.fstat(folder).st_dev != os.fstat(fd).st_dev or mount_of(folder) != mount_of(fd):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


def mount_of(fd: int) -> bytes:
    """The id of the mount that `fd` was opened on; empty without /proc, when only the device tells mounts apart."""
    try:
        info = os.open(f"/proc/self/fdinfo/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return next((line for line in os.read(info, 4096).splitlines() if line.startswith(b"mnt_id:")), b"")
    finally:
        os.close(info)


def unlinked(folder: int, steps: tuple[str, ...]) -> tuple[str, ...]:
    """The steps without `..` and links that `steps` lead to, every link settled on the way; the last may be missing.

    What it says is a claim about a moment: the result is opened by a `Resolver`, which refuses a link that came since.

    Raises:
        OSError: EXDEV for a link that leaves `folder`, ELOOP for too many, and what `open` raises.
    """
    todo = list(reversed(steps))
    names: list[str] = []
    held = [folder]
    links = 0
    try:
        while todo:
            step = todo.pop()
            if step == "..":
                if not names:
                    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
                names.pop()
                os.close(held.pop())
                continue
            try:
                fd = os.open(raw(step), _STEP, dir_fd=held[-1])
            except FileNotFoundError:
                if todo:
                    raise
                return (*names, step)
            held.append(fd)
            mode = os.fstat(fd).st_mode
            if stat.S_ISLNK(mode):
                target = os.fsdecode(os.readlink("", dir_fd=fd))
                links += 1
                if links > MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                if target.startswith("/") or not target.isprintable():  # the second: no text that a call could hold
                    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
                os.close(held.pop())
                todo += [piece for piece in reversed(target.split("/")) if piece not in {"", "."}]
                continue
            names.append(step)
            if todo and not stat.S_ISDIR(mode):
                raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            _same_mount(folder, fd)
        return tuple(names)
    finally:
        for fd in held[1:]:
            os.close(fd)


def can_walk() -> bool:
    """Python and the system offer what `ByWalk` and everything on descriptors need."""
    needed = (os.open, os.stat, os.mkdir, os.rename, os.unlink, os.rmdir, os.link)
    flags = ("O_PATH", "O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC")
    return all(f in os.supports_dir_fd for f in needed) and all(hasattr(os, flag) for flag in flags)


def choose(folder: int, *, openat2: system.Openat2 = system.openat2, walks: Callable[[], bool] = can_walk) -> Resolver:
    """The safest resolver that works on `folder`, tried and not believed.

    Raises:
        ConfigError: there is none.
    """
    if not walks():
        raise ConfigError(
            "this system cannot open files relative to a folder, so no path can be kept inside `root`",
            path=("root",),
            hint="run it on Linux 5.6 or later",
        )
    kernel = ByKernel(openat2)
    try:
        os.close(kernel.open(folder, (), os.O_PATH | os.O_DIRECTORY))
    except OSError as error:
        if error.errno not in _UNAVAILABLE:
            raise ConfigError(
                f"`root` cannot be resolved safely ({os.strerror(error.errno or 0)})", path=("root",)
            ) from None
        return ByWalk()
    return kernel
