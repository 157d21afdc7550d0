"""The filter on system calls: assembled here, installed by `inside` or by bubblewrap. Part of the launcher.

Everything is refused that gives a network, a namespace, a mount, a device's or another process's insides, a kernel
interface with a history of holes, or bits that outlive the sandbox (set-user-id). What a program can live without is
refused with the error that makes it fall back. On another architecture's entry (32-bit, x32) the process is killed:
the numbers would mean other calls. Calls newer than our table do not exist.

In tier L the calls that Landlock does not judge (`chmod`, `utimensat`) go to the supervisor, which does them itself
inside the workspace; so do the forks of a uid 0 that cannot become somebody else, to be counted.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from interlock.tools.shell import syscalls

ALLOW = 0x7FFF0000
KILL = 0x80000000
NOTIFY = 0x7FC00000
X32 = 0x40000000
LD, AND, JEQ, JGE, RET = 0x20, 0x54, 0x15, 0x35, 0x06
SET_FILTER, NEW_LISTENER = 1, 8
WAIT_KILLABLE = 32  # 5.19: a signal does not interrupt a call that is being answered
NO_NEW_PRIVS = 38

NEW_NAMESPACES = 0x7E020000  # every CLONE_NEW… that clone(2) takes
CREATES = 0o100 | 0o20000000  # O_CREAT, __O_TMPFILE
SET_ID = 0o6000
PAIRS = (1, 5)  # stream, seqpacket: a datagram socket of a pair can still be sent to any path


@dataclass(frozen=True, slots=True)
class Machine:
    """An architecture: how the kernel names it to filters, and its table."""

    audit: int
    numbers: dict[str, int]


MACHINES = {
    "x86_64": Machine(0xC000003E, syscalls.X86_64),
    "aarch64": Machine(0xC00000B7, syscalls.AARCH64),
}


@dataclass(frozen=True, slots=True)
class Test:
    """`argument & mask` equals `value`, or does not. `high` looks at the upper half."""

    argument: int
    mask: int
    value: int
    equal: bool = True
    high: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens to a call when all tests hold."""

    call: str
    action: int
    tests: tuple[Test, ...] = ()


def refuse(error: int) -> int:
    """The action that answers with `error`; 0 pretends success."""
    return 0x00050000 | error


def _rules(names: str, action: int) -> Iterator[Rule]:
    return (Rule(name, action) for name in names.split())


def both() -> Iterator[Rule]:
    """What holds in both tiers."""
    forbidden = refuse(errno.EPERM)
    absent = refuse(errno.ENOSYS)
    yield from _rules(
        "mount umount2 pivot_root chroot open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr statmount"
        " listmount swapon swapoff reboot sethostname setdomainname init_module finit_module delete_module"
        " create_module kexec_load kexec_file_load acct quotactl quotactl_fd bpf perf_event_open userfaultfd keyctl"
        " add_key request_key ptrace process_vm_readv process_vm_writev process_madvise process_mrelease pidfd_getfd"
        " kcmp unshare setns name_to_handle_at open_by_handle_at iopl ioperm modify_ldt uselib lookup_dcookie"
        " nfsservctl vhangup settimeofday clock_settime clock_adjtime adjtimex syslog _sysctl fanotify_init"
        " fanotify_mark mbind move_pages set_mempolicy migrate_pages set_mempolicy_home_node sysfs ustat personality"
        " connect bind listen accept accept4 shmget shmat shmctl semget semop semctl semtimedop msgget msgsnd msgrcv"
        " msgctl mq_open mq_unlink",
        forbidden,
    )
    yield from _rules("io_uring_setup io_uring_enter io_uring_register memfd_secret memfd_create clone3", absent)
    yield from _rules("fchmodat2 openat2", absent)  # take what a filter cannot see; libc falls back
    yield from _rules("socket", refuse(errno.EACCES))
    yield Rule("socketpair", forbidden, (Test(0, 0xFFFFFFFF, 1, equal=False),))
    yield Rule("socketpair", forbidden, tuple(Test(1, 0xF, kind, equal=False) for kind in PAIRS))
    for high in (False, True):
        yield Rule("sendto", forbidden, (Test(4, 0xFFFFFFFF, 0, equal=False, high=high),))
    yield Rule("clone", forbidden, (Test(0, NEW_NAMESPACES, 0, equal=False),))
    yield Rule("seccomp", forbidden, (Test(1, NEW_LISTENER, 0, equal=False),))  # to hold calls is the supervisor's
    for terminal in (0x5412, 0x541C):  # TIOCSTI, TIOCLINUX: type into the terminal
        yield Rule("ioctl", forbidden, (Test(1, 0xFFFFFFFF, terminal),))
    for call, mode in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("creat", 1), ("mknod", 1), ("mknodat", 2)):
        yield Rule(call, forbidden, (Test(mode, SET_ID, 0, equal=False),))
    for call, flags in (("open", 1), ("openat", 2)):  # the mode counts only where a file is made
        yield Rule(call, forbidden, (Test(flags, CREATES, 0, equal=False), Test(flags + 1, SET_ID, 0, equal=False)))


def forks(action: int) -> Iterator[Rule]:
    """Everything that makes a task."""
    return _rules("clone fork vfork", action)


def without_namespaces(*, root: bool, signals: bool, truncation: bool) -> Iterator[Rule]:
    """What tier L adds. `signals` and `truncation`: Landlock judges them here."""
    forbidden = refuse(errno.EPERM)
    yield from _rules("chmod fchmod fchmodat utime utimes futimesat utimensat", NOTIFY)
    # As uid 0 programs expect that it works, as anybody else that it does not; it never does.
    yield from _rules("chown lchown fchown fchownat", refuse(0) if root else forbidden)
    yield from _rules("setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr", refuse(errno.EOPNOTSUPP))
    yield from _rules("inotify_init inotify_init1 inotify_add_watch", refuse(errno.ENOSYS))  # would watch others' files
    for call in ("setpriority", "ioprio_set"):
        yield Rule(call, forbidden, (Test(0, 0xFFFFFFFF, int(call == "ioprio_set"), equal=False),))
        yield Rule(call, forbidden, (Test(1, 0xFFFFFFFF, 0, equal=False),))
    for call in ("sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr", "prlimit64"):
        yield Rule(call, forbidden, (Test(0, 0xFFFFFFFF, 0, equal=False),))
    if not signals:
        yield from _rules("kill tkill tgkill", NOTIFY)
        yield from _rules("rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal", forbidden)
        for owner in (8, 15):  # F_SETOWN, F_SETOWN_EX
            yield Rule("fcntl", forbidden, (Test(1, 0xFFFFFFFF, owner),))
        for owner in (0x8901, 0x8902):  # FIOSETOWN, SIOCSPGRP
            yield Rule("ioctl", forbidden, (Test(1, 0xFFFFFFFF, owner),))
    if not truncation:
        yield from _rules("truncate", forbidden)
        for call, flags in (("open", 1), ("openat", 2)):  # O_TRUNC without a right to write
            yield Rule(call, forbidden, (Test(flags, 0o1003, 0o1000),))


def machine() -> Machine | None:
    """This machine's table; None where we have none."""
    return MACHINES.get(platform.machine())


def assemble(rules: Iterable[Rule], on: Machine) -> bytes:
    """The filter as an array of `struct sock_filter`; the first rule that holds decides, no rule allows."""
    code = [
        (LD, 0, 0, 4),
        (JEQ, 1, 0, on.audit),
        (RET, 0, 0, KILL),
        (LD, 0, 0, 0),
        (JGE, 0, 1, X32),
        (RET, 0, 0, KILL),
        (JGE, 0, 1, syscalls.LAST + 1),
        (RET, 0, 0, refuse(errno.ENOSYS)),
    ]
    for rule in rules:
        if (number := on.numbers.get(rule.call)) is None:
            continue  # a call that this architecture never had
        left = 3 * len(rule.tests) + 1
        code.append((JEQ, 0, left, number))
        for test in rule.tests:
            code.append((LD, 0, 0, 16 + 8 * test.argument + 4 * test.high))  # both machines are little-endian
            code.append((AND, 0, 0, test.mask))
            left -= 3
            code.append((JEQ, 0, left, test.value) if test.equal else (JEQ, left, 0, test.value))
        code.append((RET, 0, 0, rule.action))
        if rule.tests:
            code.append((LD, 0, 0, 0))
    code.append((RET, 0, 0, ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


LIBC = ctypes.CDLL(None, use_errno=True)


def renounce() -> None:
    """No program that is executed from here gains anything by it."""
    if LIBC.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs")


def install(program: bytes, on: Machine, *, listen: bool) -> int:
    """Put this process, and all that come of it, under `program`; with `listen` the supervisor's descriptor."""
    wrapped = _Program(len(program) // 8, program)
    number = on.numbers["seccomp"]
    done = -1
    for flags in (NEW_LISTENER | WAIT_KILLABLE, NEW_LISTENER) if listen else (0,):
        done = int(LIBC.syscall(number, SET_FILTER, flags, ctypes.byref(wrapped)))
        if done >= 0:
            break
    if done < 0:
        raise OSError(ctypes.get_errno(), f"seccomp: {os.strerror(ctypes.get_errno())}")
    return done
