"""The process that forks supervisors: one thread, an empty environment, few descriptors. Part of the launcher.

Forking a server that has threads is a lottery; so the server starts this program once and sends it one connection for
each command. On a connection: a job as one line of JSON, then, from here, the outcome; hanging up ends the command.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import signal
import socket
import sys
from dataclasses import asdict

from interlock.tools.shell import census, inside, landlock, seccomp
from interlock.tools.shell.job import Job, Limits, Outcome
from interlock.tools.shell.seccomp import LIBC, Machine
from interlock.tools.shell.supervisor import Gone, Supervisor

READY = b"ready"
LONGEST = 64 << 20


def drop(user: int) -> None:
    """Become `user`, for good."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    LIBC.prctl(inside.DUMPABLE, 1, 0, 0, 0)  # or else our own /proc entries belong to root


def _supervise(asker: socket.socket, on: Machine, abi: int) -> None:
    data = b""
    while not data.endswith(b"\n"):
        piece = asker.recv(1 << 16)
        if not piece or len(data) > LONGEST:
            return
        data += piece
    given = json.loads(data)
    job = Job(**{**given, "limits": Limits(**given["limits"])})
    try:
        outcome = Supervisor(job, asker, on, abi).run()
    except Gone:
        return
    except OSError as error:
        outcome = Outcome(exit=-1, stdout=b"", stderr=b"", failed=str(error))
    said = asdict(outcome)
    for name in ("stdout", "stderr"):
        said[name] = base64.b64encode(said[name]).decode()
    asker.sendall(json.dumps(said).encode() + b"\n")


def _bury(supervisors: set[int]) -> None:
    """Take note of ended supervisors, and end what a killed one left to us."""
    left = False
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            break
        left = left or pid not in supervisors or os.waitstatus_to_exitcode(status) != 0
        supervisors.discard(pid)
    if left:
        census.end(os.getpid(), supervisors)


def main(control: socket.socket, user: int, abi: int) -> None:
    """Serve until the other end closes. `user` -1 stays who we are; `abi` bounds the version of Landlock."""
    on = seccomp.machine()
    if on is None:
        raise SystemExit(2)
    abi = min(abi, landlock.version(on))
    if user >= 0:
        drop(user)
    LIBC.prctl(inside.SUBREAPER, 1, 0, 0, 0)
    supervisors: set[int] = set()
    wake, woken = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    control.sendall(READY + b" %d\n" % abi)
    me = os.getpid()
    while True:
        ready, _, _ = select.select([control.fileno(), wake], [], [])
        if wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(wake, 1 << 12)
            _bury(supervisors)
        if control.fileno() not in ready:
            continue
        message, descriptors, _, _ = socket.recv_fds(control, 1, 1, socket.MSG_CMSG_CLOEXEC)
        if not message:
            census.end(me)
            return
        asker = socket.socket(fileno=descriptors[0])
        try:
            pid = os.fork()
        except OSError:  # too many processes: this command fails, the next may not
            asker.close()
            continue
        if pid == 0:
            status = 1
            try:
                control.close()
                LIBC.prctl(inside.PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                if os.getppid() == me:
                    _supervise(asker, on, abi)
                    status = 0
            except BaseException as error:  # noqa: BLE001 - this process has no other way to end
                sys.stderr.write(f"{type(error).__name__}: {error}\n")
            finally:
                os._exit(status)
        supervisors.add(pid)
        asker.close()
