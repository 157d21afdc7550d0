"""Landlock: the kernel's rules on which files a process may open, by system calls. Part of the launcher.

Whatever this kernel's version can judge is judged, and nothing but the listed trees is granted. What older versions
lack is made up for by the filter (`seccomp.without_namespaces`): TCP before 4, signals before 6, truncation before 3.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct

from interlock.tools.shell.seccomp import LIBC, Machine

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << n for n in range(6))
MAKE_CHAR, MAKE_DIR, MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM = (1 << n for n in range(6, 13))
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15

READ = EXECUTE | READ_FILE | READ_DIR
WRITE = WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_FIFO | MAKE_SYM | REFER | TRUNCATE
ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
TCP = 3  # bind, connect
SCOPES = 3  # abstract Unix sockets, signals

TRUNCATION, NETWORK, DEVICES, SCOPED = 3, 4, 5, 6  # versions that brought them
PATH_BENEATH = 1


def version(on: Machine) -> int:
    """This kernel's version of Landlock; 0 where it is absent or switched off."""
    found: int = LIBC.syscall(on.numbers["landlock_create_ruleset"], None, ctypes.c_size_t(0), 1)
    return max(found, 0)


def _rights(abi: int) -> int:
    """All rights on files that version `abi` knows."""
    count = {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)
    return int((1 << count) - 1)


def restrict(grants: dict[str, int], on: Machine, abi: int) -> None:
    """Leave this process, and all that come of it, the given rights on the given trees, and none else."""
    known = _rights(abi)
    attributes = struct.pack("=QQQ", known, TCP if abi >= NETWORK else 0, SCOPES if abi >= SCOPED else 0)
    size = 24 if abi >= SCOPED else 16 if abi >= NETWORK else 8
    ruleset = LIBC.syscall(on.numbers["landlock_create_ruleset"], attributes, ctypes.c_size_t(size), 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    for path, rights in grants.items():
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # not on this machine
        allowed = rights & known
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            allowed &= ON_FILES
        rule = struct.pack("=Qi", allowed, place)
        if LIBC.syscall(on.numbers["landlock_add_rule"], ruleset, PATH_BENEATH, rule, 0) != 0:
            raise OSError(ctypes.get_errno(), f"landlock_add_rule {path}")
        os.close(place)
    if LIBC.syscall(on.numbers["landlock_restrict_self"], ruleset, 0) != 0:
        raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    os.close(ruleset)
