"""The system calls that Python has no function for, by ctypes: `openat2` and `renameat2`.

`openat2` (Linux 5.6) resolves a path inside the kernel and refuses, while it resolves, everything that leaves the
folder: `..`, absolute paths, links, magic links of /proc, other mounts. `renameat2` renames without replacing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import TypeAlias

Openat2: TypeAlias = Callable[[int, bytes, int], int]  # folder, path, flags → descriptor

RESOLVE = 0x01 | 0x02 | 0x04 | 0x08  # NO_XDEV, NO_MAGICLINKS, NO_SYMLINKS, BENEATH (linux/openat2.h)
RENAME_NOREPLACE = 1
_OPENAT2 = 437  # the same number on every architecture but alpha
_RENAMEAT2 = {"x86_64": 316, "aarch64": 276, "riscv64": 276, "ppc64le": 357, "s390x": 347, "armv7l": 382, "i686": 353}

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_SIZE = ctypes.sizeof(_OpenHow)
_openat2 = _libc["syscall"]  # another function object than `_syscall`: with types, a call costs a third
_openat2.restype = ctypes.c_long
_openat2.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)


@lru_cache(maxsize=32)
def _how(flags: int) -> _OpenHow:
    """What to open how; the kernel only reads it. Nothing is created by a path: see `root.Root.new`."""
    return _OpenHow(flags | os.O_CLOEXEC, 0, RESOLVE)


def openat2(folder: int, path: bytes, flags: int) -> int:
    """A descriptor of `path`, which lies beneath `folder`, on its mount, with no link on the way.

    Raises:
        OSError: ENOSYS or EPERM where there is no such call; EXDEV and ELOOP for what leaves; EAGAIN for a race.
    """
    fd = int(_openat2(_OPENAT2, folder, path, ctypes.addressof(_how(flags)), _SIZE))
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return fd


def rename_new(old: tuple[int, bytes], new: tuple[int, bytes], *, folder: bool) -> None:
    """Give the entry `old` the name `new`, which nothing has.

    Raises:
        FileExistsError: something has it.
    """
    number = _RENAMEAT2.get(platform.machine())
    if number is not None:
        flags = ctypes.c_uint(RENAME_NOREPLACE)
        names = ctypes.c_char_p(old[1]), ctypes.c_int(new[0]), ctypes.c_char_p(new[1])
        if _syscall(ctypes.c_long(number), ctypes.c_int(old[0]), *names, flags) == 0:
            return
        code = ctypes.get_errno()
        if code not in {errno.ENOSYS, errno.EINVAL, errno.EPERM}:  # an old kernel, a file system or a filter without it
            raise OSError(code, os.strerror(code))
    if folder:  # a folder may only replace an empty one: `mkdir` claims the name
        os.mkdir(new[1], dir_fd=new[0])
        try:
            os.rename(old[1], new[1], src_dir_fd=old[0], dst_dir_fd=new[0])
        except OSError:
            with suppress(OSError):
                os.rmdir(new[1], dir_fd=new[0])
            raise
    else:
        os.link(old[1], new[1], src_dir_fd=old[0], dst_dir_fd=new[0], follow_symlinks=False)
        os.unlink(old[1], dir_fd=old[0])
