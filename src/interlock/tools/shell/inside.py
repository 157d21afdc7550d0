"""What the forked child does to itself before it becomes the command. Part of the launcher.

Order matters: limits first, then the walls, the filter last, and the supervisor gets the filter's descriptor before
anything runs that would wait for it. Every failure ends the child: there is no command without its walls.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import errno
import os
import resource
import socket
import struct

from interlock.tools.shell import census, landlock, seccomp
from interlock.tools.shell.job import Job
from interlock.tools.shell.seccomp import LIBC, Machine, Rule

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SETTINGS = (  # what programs of the system read; no accounts, no keys, no names of machines
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/terminfo",
    "/etc/timezone",
)
FACTS = ("/proc/cpuinfo", "/proc/loadavg", "/proc/meminfo", "/proc/stat", "/proc/uptime", "/proc/version")
DEVICES = {"/dev/null": 6, "/dev/zero": 6, "/dev/full": 6, "/dev/random": 4, "/dev/urandom": 4}
ACCOUNTS = {"/etc/passwd": "user:x:1000:1000::/tmp:/bin/sh\n", "/etc/group": "user:x:1000:\n"}
NAMES = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}

SUBREAPER, PDEATHSIG, DUMPABLE, BOUNDING_DROP, AMBIENT, AMBIENT_CLEAR = 36, 1, 4, 24, 47, 4
AMBIENT_RAISE, KEEP_CAPABILITIES = 2, 8
CHOWN, DAC_OVERRIDE, SETGID, SETUID, SETPCAP, SYS_PTRACE = 0, 1, 6, 7, 8, 19
CAPABILITIES = 0x20080522  # version 3 of the header


def environment(job: Job, tmp: str) -> dict[str, str]:
    """What the command finds in its environment."""
    return NAMES | {"HOME": tmp, "TMPDIR": tmp, "PWD": job.cwd} | job.env


def become(
    job: Job,
    *,
    user: int | None,
    hold_forks: bool,
    tmp: str,
    say: socket.socket,
    streams: tuple[int, int, int],
    on: Machine,
    abi: int,
) -> None:
    """Turn this process into the command of `job`; returns never, raises `OSError` when a wall cannot be built.

    `user` is one that nobody else has, to become in tier L; without it the command runs as whoever we are. With
    `hold_forks` every fork of uid 0 asks the supervisor.
    """
    os.setsid()
    LIBC.prctl(PDEATHSIG, 9, 0, 0, 0)
    os.umask(0o077)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - nothing but `os` in the launcher
        if int(name) > 2:  # noqa: PLR2004 - standard error
            with contextlib.suppress(OSError):  # the one that listed them
                os.set_inheritable(int(name), False)  # noqa: FBT003 - its only parameter
    _limit(job, census.tasks_of(os.getuid()) if os.getuid() else 0)  # root is not held to it anyway
    os.chdir(job.cwd)
    if job.tier == "L":
        if user is not None:
            _become_nobody(user)
        _behind_landlock(job, tmp, say, on, abi)
    else:
        _behind_namespaces(job, say, on, hold_forks=hold_forks)


def _limit(job: Job, others: int) -> None:
    """`others`: tasks of the same user, among which the kernel counts ours."""
    limits = job.limits
    space = limits.memory * 4
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, space),
        (resource.RLIMIT_CPU, limits.cpu),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NOFILE, limits.descriptors),
        (resource.RLIMIT_NPROC, others + limits.processes),
        (resource.RLIMIT_MEMLOCK, 1 << 16),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_SIGPENDING, 256),
    ):
        _, hard = resource.getrlimit(kind)
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (most, most))


def may_become_nobody() -> bool:
    """Whether this process can run a command as another user and still look after it: full root can."""
    held = next(line for line in census.read("/proc/self/status").splitlines() if line.startswith(b"CapEff:"))
    needed = sum(1 << capability for capability in (CHOWN, DAC_OVERRIDE, SETGID, SETUID, SETPCAP, SYS_PTRACE))
    return os.getuid() == 0 and int(held.split()[1], 16) & needed == needed


def _become_nobody(user: int) -> None:
    """Become `user`, who owns nothing, but keep root's access to files: which ones, Landlock says.

    Root cannot be held to a number of processes, and is the owner of the system's files; this user can, and is not.
    """
    LIBC.prctl(KEEP_CAPABILITIES, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(user, user, user)
    for capability in set(range(64)) - {DAC_OVERRIDE}:
        LIBC.prctl(BOUNDING_DROP, capability, 0, 0, 0)  # fails beyond the last
    os.setresuid(user, user, user)
    one = 1 << DAC_OVERRIDE
    if LIBC.capset(struct.pack("=Ii", CAPABILITIES, 0), struct.pack("=6I", one, one, one, 0, 0, 0)) != 0:
        raise OSError(ctypes.get_errno(), "capset")
    if LIBC.prctl(AMBIENT, AMBIENT_RAISE, DAC_OVERRIDE, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "ambient capabilities")


def drop_capabilities() -> None:
    """Give up what uid 0 or an ambient set would bring along, for good. Without any this does nothing."""
    LIBC.prctl(AMBIENT, AMBIENT_CLEAR, 0, 0, 0)
    for capability in range(64):
        LIBC.prctl(BOUNDING_DROP, capability, 0, 0, 0)  # fails beyond the last, and without CAP_SETPCAP
    header = struct.pack("=Ii", CAPABILITIES, 0)
    if LIBC.capset(header, bytes(24)) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def _behind_landlock(job: Job, tmp: str, say: socket.socket, on: Machine, abi: int) -> None:
    write = landlock.READ | landlock.WRITE
    grants = dict.fromkeys((*SYSTEM, *SETTINGS, *FACTS, *job.read), landlock.READ)
    for device, bits in DEVICES.items():
        grants[device] = (landlock.READ_FILE if bits & 4 else 0) | (landlock.WRITE_FILE if bits & 2 else 0)
    grants[job.workspace] = write if job.writable else landlock.READ
    grants[tmp] = write
    root = os.getuid() == 0
    if root:
        drop_capabilities()
    seccomp.renounce()
    landlock.restrict(grants, on, abi)
    rules: list[Rule] = [
        *seccomp.both(),
        *(seccomp.forks(seccomp.NOTIFY) if root else ()),  # whom the kernel does not hold to a number of processes
        *seccomp.without_namespaces(root=root, signals=abi >= landlock.SCOPED, truncation=abi >= landlock.TRUNCATION),
    ]
    _listen(seccomp.assemble(rules, on), say, on)
    os.execve(job.argv[0], job.argv, environment(job, tmp))  # noqa: S606 - inside the walls, no shell


def _behind_namespaces(job: Job, say: socket.socket, on: Machine, *, hold_forks: bool) -> None:
    inner = _readable(seccomp.assemble(seccomp.both(), on))
    command = [job.bwrap, *_arguments(job, inner), "--", *job.argv]
    if hold_forks and os.getuid() == 0:  # whom the kernel does not hold to a number of processes
        seccomp.renounce()
        _listen(
            seccomp.assemble([Rule("clone3", seccomp.refuse(errno.ENOSYS)), *seccomp.forks(seccomp.NOTIFY)], on),
            say,
            on,
        )
    os.execve(job.bwrap, command, {})  # noqa: S606 - the sandbox itself


def _arguments(job: Job, inner: int) -> list[str]:
    given = (
        "--unshare-all --unshare-user --disable-userns --uid 1000 --gid 1000 --cap-drop ALL --hostname sandbox"
        " --new-session --die-with-parent --clearenv --proc /proc --dev /dev"
    ).split()
    for place in ("/tmp", "/dev/shm"):  # noqa: S108 - of the sandbox
        given += ["--size", str(job.limits.tmp_bytes), "--perms", "1777", "--tmpfs", place]
    for path in SYSTEM:
        if os.path.islink(path):  # noqa: PTH114 - nothing but `os` in the launcher
            given += ["--symlink", os.readlink(path), path]  # noqa: PTH115
        else:
            given += ["--ro-bind-try", path, path]
    for path in (*SETTINGS, *job.read):
        given += ["--ro-bind-try", path, path]
    for path, text in ACCOUNTS.items():
        given += ["--ro-bind-data", str(_readable(text.encode())), path]
    given += ["--bind" if job.writable else "--ro-bind", job.workspace, job.workspace]
    for path in ("/proc", "/dev", "/"):  # empty as they are, they are still memory to fill
        given += ["--remount-ro", path]
    for name, value in environment(job, "/tmp").items():  # noqa: S108
        given += ["--setenv", name, value]
    return [*given, "--chdir", job.cwd, "--seccomp", str(inner)]


def _readable(data: bytes) -> int:
    """An inherited descriptor from which `data` can be read."""
    mine, theirs = os.pipe()
    os.write(theirs, data)  # a few kilobytes fit into a pipe
    os.close(theirs)
    os.set_inheritable(mine, True)  # noqa: FBT003 - its only parameter
    return mine


def _listen(program: bytes, say: socket.socket, on: Machine) -> None:
    """Install `program` and hand its descriptor to the supervisor; from here on what it holds waits for an answer."""
    descriptor = seccomp.install(program, on, listen=True)
    say.sendmsg([b"L"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))])
    os.close(descriptor)
