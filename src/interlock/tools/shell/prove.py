"""Tries to break the sandbox from inside, and looks from outside whether it held."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from interlock.tools.kind import Proof, ToolFailed
from interlock.tools.shell.job import Tier
from interlock.tools.shell.perform import Sandbox

RESIDUAL: dict[Tier, str] = {
    "B": "bugs of the shared kernel; covert channels; what `read` and the workspace hold; memory and disk are "
    "sampled every 0.1 s",
    "L": "bugs of the shared kernel; covert channels; existence, size and owner of any file can be asked for; no "
    "namespace for processes; what `read` and the workspace hold; memory and disk are sampled every 0.1 s",
}
FEW = 12  # tasks that the attack may have

# Runs inside. Prints what it could read, and how many processes it could make; the rest is judged from outside.
ATTACK = """
import json, os, socket, sys, time
canary, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
told = {"read": "", "came": []}
def tried(name, action):
    try:
        action()
        told["came"].append(name)
    except Exception:
        pass
def read():
    told["read"] = open(canary).read()
def tcp():
    socket.create_connection(("127.0.0.1", port), 1).sendall(b"x")
def udp():
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port))
def unix():
    socket.socket(socket.AF_UNIX).connect(path)
def pair():
    socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b"x", path + ".d")
def libc(name, *arguments):
    import ctypes
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) != 0:
        raise OSError(name)
tried("read", read)
for name, action in {"tcp": tcp, "udp": udp, "unix": unix, "pair": pair}.items():
    tried(name, action)
for name, action in {
    "write": lambda: open(canary, "a").write("x"),
    "chmod": lambda: os.chmod(canary, 0o400),
    "utime": lambda: os.utime(canary, (1, 1)),
    "truncate": lambda: os.truncate(canary, 0),
    "unlink": lambda: os.unlink(canary),
    "rename": lambda: os.rename(canary, canary + "2"),
}.items():
    tried(name, action)
tried("unshare", lambda: libc("unshare", 0x10000000))
tried("mount", lambda: libc("mount", b"none", b"/tmp", b"tmpfs", 0, None))
tried("ptrace", lambda: libc("ptrace", 16, os.getppid(), None, None))
tried("netlink", lambda: socket.socket(16, 3, 0))
tried("signal", lambda: os.kill(int(sys.argv[4]), 0))
print(json.dumps(told), flush=True)
tasks = 0
try:
    for tasks in range(200):
        if os.fork() == 0:
            os.setsid()
            time.sleep(60)
except OSError:
    pass
print(tasks, flush=True)
"""


@dataclass(frozen=True, slots=True)
class _Told:
    """What the attack says: what it read, how many processes it made, which attempts raised nothing."""

    read: str
    tasks: int
    came: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Canary:
    """A file, a port and two sockets outside, as they were."""

    file: Path
    text: str
    port: int
    listeners: tuple[socket.socket, ...]

    def touched(self) -> list[str]:
        """What of it is not as it was."""
        found = []
        try:
            state = self.file.stat()
            if (state.st_mode & 0o7777, int(state.st_mtime)) != (0o666, 1000) or self.file.read_text() != self.text:
                found.append("the canary file was changed")
        except OSError:
            found.append("the canary file is gone")
        for listener in self.listeners:
            with contextlib.suppress(BlockingIOError):
                _ = listener.accept() if listener.type == socket.SOCK_STREAM else listener.recv(10)
                found.append("the canary socket was reached")
        return found


@contextmanager
def _canary(user: int) -> Iterator[_Canary]:
    with tempfile.TemporaryDirectory(prefix="interlock-canary-") as folder, contextlib.ExitStack() as stack:
        Path(folder).chmod(0o777)  # the walls are tried, not the permissions in front of them
        file, text = Path(folder, "canary"), secrets.token_hex(16)
        file.write_text(text)
        file.chmod(0o666)
        if user >= 0:
            os.chown(file, user, user)
        os.utime(file, (1000, 1000))
        tcp = stack.enter_context(socket.socket())
        tcp.bind(("127.0.0.1", 0))
        port = tcp.getsockname()[1]
        udp = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        with contextlib.suppress(OSError):
            udp.bind(("127.0.0.1", port))
        unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        unix.bind(f"{folder}/s")
        datagrams = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        datagrams.bind(f"{folder}/s.d")
        for name in ("s", "s.d"):
            Path(folder, name).chmod(0o777)
        for listener in (tcp, unix):
            listener.listen()
        listeners = (tcp, udp, unix, datagrams)
        for listener in listeners:
            listener.setblocking(False)  # noqa: FBT003 - its only parameter
        yield _Canary(file, text, port, listeners)


def attack(sandbox: Sandbox, user: int) -> tuple[Proof, ...]:
    """One proof for each claim of the sandbox's tier."""
    tier = sandbox.tier
    with _canary(user) as canary:
        socket_path = str(canary.file.with_name("s"))
        try:
            told = _told(sandbox, [str(canary.file), str(canary.port), socket_path, str(os.getpid())])
        except ToolFailed as error:
            return (_proof("commands run", bad=[f"{error}: {error.hint}"], good="", tier=tier),)
        touched = canary.touched()
        came = told.came
        reads = ["the canary was read"] if canary.text in told.read else []
    network = [t for t in touched if "socket" in t] + sorted(came & {"tcp", "udp", "unix", "pair", "netlink"})
    # In its own namespace a process may find our number to be somebody of its own.
    escape = sorted(came & ({"unshare", "mount", "ptrace"} | ({"signal"} if tier == "L" else set())))
    many = [f"{told.tasks} processes"] if told.tasks >= FEW else []
    return (
        _proof("nothing outside is read", bad=reads, good="a canary file could not be read", tier=tier),
        _proof(
            "nothing outside is changed",
            bad=[t for t in touched if "file" in t],
            good="write, chmod, utime, truncate, unlink, rename of a canary failed",
            tier=tier,
        ),
        _proof("no network", bad=network, good="TCP, UDP, Unix and netlink sockets reached nothing", tier=tier),
        _proof("no way out", bad=escape, good="unshare, mount, ptrace and signals failed", tier=tier),
        _proof("bounded processes", bad=many, good=f"stopped below {FEW}, all of them ended", tier=tier),
    )


def _proof(claim: str, *, bad: list[str], good: str, tier: Tier) -> Proof:
    return Proof(
        layer="kernel",
        claim=f"{claim} (tier {tier})",
        held=not bad,
        evidence="; ".join(bad) or good,
        residual=RESIDUAL[tier],
    )


def _told(sandbox: Sandbox, arguments: list[str]) -> _Told:
    """What the attack tells from inside.

    Raises:
        ToolFailed: no interpreter ran there.
    """
    own = str(Path(sys.executable).resolve())
    why = "no Python there"
    for interpreter in dict.fromkeys(("/usr/bin/python3", "/usr/local/bin/python3", own)):
        if not os.access(interpreter, os.X_OK):
            continue
        job = sandbox.job([interpreter, "-I", "-S", "-c", ATTACK, *arguments])
        job = replace(
            job,
            read=[*job.read, sys.base_prefix] if interpreter == own else job.read,
            limits=replace(job.limits, processes=FEW, seconds=20.0, output_bytes=10_000),
        )
        done = sandbox.launcher.run(job)
        with contextlib.suppress(ValueError, KeyError, TypeError):
            first, _, tasks = done.stdout.partition(b"\n")
            told = json.loads(first)
            made = 0 if done.stopped == "processes" else int(tasks)  # or else it says how many it could make
            return _Told(str(told["read"]), made, frozenset(map(str, told["came"])))
        why = done.failed or done.stderr.decode(errors="replace")[-200:] or why
    raise ToolFailed("a command could not be run", layer="kernel", hint=why)
