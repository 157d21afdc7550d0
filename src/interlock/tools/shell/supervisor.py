"""Stands beside one command: feeds it, listens to it, counts it, and ends all of it. Part of the launcher.

A process of its own, forked by the spawner: reaper of everything that the command leaves behind, and the one that
answers the calls which the filter holds. Beside it watchers look at what is used. It is done when nothing is left, and
gives up everything when whoever asked hangs up.

Processes are bounded by the kernel for every user but root. Root's forks in tier B are counted by a watcher that runs
before everything else, and a namespace of processes ends all at once; elsewhere each fork of root waits for an answer,
so that a fork bomb stands still while it is killed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import socket
import struct
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from interlock.tools.shell import census, inside, metadata
from interlock.tools.shell.job import Job, Outcome
from interlock.tools.shell.seccomp import LIBC, Machine

RECEIVE, SEND, VALID = 0xC0502100, 0xC0182101, 0x40082102  # SECCOMP_IOCTL_NOTIF_…
CONTINUE = 1
OWN = 4  # bubblewrap's and the watchers'
NOBODIES = 0x70000000  # users that no machine has
TICK = 0.1  # seconds between looks at what is used
PATIENCE = 5.0  # seconds for the walls to stand


class Stopped(Exception):
    """A limit was reached; the text says which."""


class Gone(Exception):
    """Whoever asked hung up."""


def _hurry() -> bool:
    """Run before other processes from now on, if root may; what is forked does not."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except PermissionError:
        return False
    return os.getuid() == 0


@dataclass(slots=True)
class Supervisor:
    """One command and all that comes of it."""

    job: Job
    asker: socket.socket  # readable means: hung up
    on: Machine
    abi: int
    tmp: str = ""
    user: int | None = None  # whom nobody else is, to run the command as
    watchers: list[int] = field(default_factory=list)
    child: int = 0
    listener: int = -1
    made: int = 1  # tasks since the last count, and those counted then
    collected: dict[int, bytes] = field(default_factory=dict)

    def run(self) -> Outcome:
        """Run the command to its end."""
        LIBC.prctl(inside.SUBREAPER, 1, 0, 0, 0)
        if self.job.tier == "L":
            self.tmp = os.path.realpath(tempfile.mkdtemp(prefix="interlock-"))
            if inside.may_become_nobody():
                self.user = NOBODIES + os.getpid()
                os.chown(self.tmp, self.user, self.user)
        try:
            return self._run(swift=_hurry() and self.job.tier == "B")
        finally:
            census.end(os.getpid())
            if self.tmp:
                with contextlib.suppress(OSError):
                    census.remove(self.tmp)

    def _run(self, *, swift: bool) -> Outcome:
        watchers = [self._start_watcher(self._broken)]  # before there are pipes that they would hold open
        if swift:
            watchers.append(self._start_watcher(self._crowded))
        hear, say = socket.socketpair()
        pipes = [os.pipe() for _ in range(3)]
        theirs = (pipes[0][0], pipes[1][1], pipes[2][1])
        ours = (pipes[0][1], pipes[1][0], pipes[2][0])
        self.child = os.fork()
        if self.child == 0:
            self._be_the_child(say, theirs, hold_forks=not swift)
        say.close()
        for descriptor in theirs:
            os.close(descriptor)
        try:
            self._hear_walls(hear)
            status, stopped = self._watch(hear, watchers, ours)
        except OSError as error:
            return Outcome(exit=-1, stdout=b"", stderr=b"", failed=str(error))
        finally:
            hear.close()
            for watcher in watchers:
                os.close(watcher)
            for pid in self.watchers:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        census.end(os.getpid())
        for descriptor in ours[1:]:
            self._drain(descriptor)
        if self.listener >= 0:
            os.close(self.listener)
        return Outcome(
            exit=status,
            stdout=self.collected.get(ours[1], b""),
            stderr=self.collected.get(ours[2], b""),
            stopped=stopped,
        )

    def _be_the_child(self, say: socket.socket, streams: tuple[int, int, int], *, hold_forks: bool) -> None:
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGINT, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            inside.become(
                self.job,
                user=self.user,
                hold_forks=hold_forks,
                tmp=self.tmp,
                say=say,
                streams=streams,
                on=self.on,
                abi=self.abi,
            )
        except BaseException as error:  # noqa: BLE001 - this process has no other way to end
            with contextlib.suppress(OSError):
                say.sendall(b"E" + f"{type(error).__name__}: {error}".encode()[:500])
        finally:
            os._exit(127)

    def _hear_walls(self, hear: socket.socket) -> None:
        """Get the filter's descriptor from the child; in tier B there may be none.

        Raises:
            OSError: it could not build its walls.
        """
        hear.settimeout(PATIENCE)
        message, descriptors, _, _ = socket.recv_fds(hear, 1000, 1, socket.MSG_CMSG_CLOEXEC)
        if not message and self.job.tier == "B":
            return  # it became bubblewrap
        if message[:1] != b"L" or not descriptors:
            raise OSError(message[1:].decode(errors="replace") or "the sandbox did not come up")
        self.listener = descriptors[0]

    def _watch(self, hear: socket.socket, watchers: list[int], ours: tuple[int, int, int]) -> tuple[int, str]:
        """Serve the command until it ends or must be ended; its status and the limit that it broke."""
        feed, *outputs = ours
        rest = memoryview(self.job.stdin.encode(errors="surrogateescape"))
        for descriptor in ours:
            os.set_blocking(descriptor, False)
        exited = os.pidfd_open(self.child)
        poll = select.poll()
        for descriptor in (hear.fileno(), self.asker.fileno(), self.listener, *watchers, exited, *outputs):
            if descriptor >= 0:
                poll.register(descriptor, select.POLLIN)
        poll.register(feed, select.POLLOUT)
        end = time.monotonic() + self.job.limits.seconds
        try:
            while True:
                now = time.monotonic()
                if now >= end:
                    raise Stopped("seconds")  # noqa: TRY301 - caught below, with the ones that come from deeper
                ready = dict(poll.poll((end - now) * 1000 + 1))
                if self.asker.fileno() in ready:
                    raise Gone
                for watcher in watchers:
                    if watcher in ready:
                        raise Stopped(os.read(watcher, 100).decode() or "not watched")  # noqa: TRY301 - as above
                if hear.fileno() in ready:
                    poll.unregister(hear.fileno())
                    if failed := hear.recv(1000):
                        raise OSError(failed[1:].decode(errors="replace"))
                if self.listener in ready:
                    if ready[self.listener] & select.POLLIN:
                        self._answer()
                    else:  # nobody is left under the filter
                        poll.unregister(self.listener)
                for output in outputs:
                    if output in ready and not self._collect(output):
                        poll.unregister(output)
                if feed in ready:
                    rest = self._feed(feed, rest)
                    if not rest:
                        poll.unregister(feed)
                        os.close(feed)
                        feed = -1
                if exited in ready:
                    _, status = os.waitpid(self.child, 0)
                    return os.waitstatus_to_exitcode(status), ""
        except Stopped as stopped:
            return -signal.SIGKILL, str(stopped)
        finally:
            os.close(exited)
            if feed >= 0:
                os.close(feed)

    @staticmethod
    def _feed(feed: int, rest: memoryview) -> memoryview:
        try:
            return rest[os.write(feed, rest[: 1 << 16]) :] if rest else rest
        except BlockingIOError:
            return rest
        except BrokenPipeError:  # it does not read its input
            return rest[:0]

    def _collect(self, output: int) -> bool:
        """Take what there is; false at the end.

        Raises:
            Stopped: it is more than the limit; what fits is kept.
        """
        try:
            data = os.read(output, 1 << 16)
        except BlockingIOError:
            return True
        left = self.job.limits.output_bytes - sum(map(len, self.collected.values()))
        self.collected[output] = self.collected.get(output, b"") + data[:left]
        if len(data) > left:
            raise Stopped("output_bytes")
        return bool(data)

    def _drain(self, output: int) -> None:
        with contextlib.suppress(Stopped, BlockingIOError):
            while self._collect(output) and select.select([output], [], [], 0)[0]:
                pass
        os.close(output)

    def _roots(self) -> tuple[str, ...]:
        """Where the command may write."""
        return tuple(root for root in (self.tmp, self.job.workspace if self.job.writable else "") if root)

    def _start_watcher(self, look: Callable[[int], str]) -> int:
        """Fork a process that runs `look` on us; what can be read here is the limit that was broken."""
        mine, theirs = os.pipe()
        me = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                LIBC.prctl(inside.PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                os.close(mine)
                os.write(theirs, look(me).encode())
            finally:
                os._exit(0)
        os.close(theirs)
        self.watchers.append(pid)
        return mine

    def _broken(self, supervisor: int) -> str:
        """The first limit that is broken; a watcher's whole life."""
        roots = self._roots()
        before = census.disk(roots, time.monotonic() + PATIENCE)
        while True:
            start = time.monotonic()
            processes = census.descendants(supervisor)
            processes.pop(os.getpid(), None)
            if self._many(processes):
                return "processes"
            if census.memory(processes) > self.job.limits.memory:
                return "memory"
            if roots:
                grown = census.disk(roots, start + PATIENCE) - before
                if max(grown, 0) + census.nameless(processes) > self.job.limits.disk_bytes:
                    return "disk_bytes"
            time.sleep(max(TICK, 5 * (time.monotonic() - start)))  # a large workspace is looked at less often

    def _crowded(self, supervisor: int) -> str:
        """`processes` as soon as there are too many; a watcher's whole life."""
        _hurry()
        seen = looked = 0
        while True:
            count = len(os.listdir("/proc"))  # noqa: PTH208 - nothing but `os` in the launcher
            if count > seen + 8 or looked % 5 == 0:  # cheap first; threads are not listed
                seen = count
                if self._many(census.descendants(supervisor)):
                    return "processes"
            looked += 1
            time.sleep(TICK / 10)

    def _many(self, processes: dict[int, int]) -> bool:
        return sum(processes.values()) > self.job.limits.processes + OWN

    def _answer(self) -> None:
        """Answer one held call."""
        buffer = bytearray(80)
        try:
            fcntl.ioctl(self.listener, RECEIVE, buffer)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.EINTR}:  # the caller was killed meanwhile
                return
            raise
        mark, pid, _, number = struct.unpack_from("=QIIi", buffer)
        arguments = struct.unpack_from("=6Q", buffer, 32)
        name = next((n for n, v in self.on.numbers.items() if v == number), "")
        answer, flags = 0, 0
        if name in {"clone", "fork", "vfork"}:
            answer, flags = (0, CONTINUE) if self._may_fork() else (-errno.EAGAIN, 0)
        else:
            try:
                self._serve(name, metadata.Caller(pid, arguments), mark)
            except (OSError, ValueError, OverflowError, struct.error) as error:
                answer = -(getattr(error, "errno", None) or errno.EPERM)
        with contextlib.suppress(OSError):  # the caller was killed meanwhile
            fcntl.ioctl(self.listener, SEND, struct.pack("=QqiI", mark, 0, answer, flags))

    def _serve(self, name: str, caller: metadata.Caller, mark: int) -> None:
        fcntl.ioctl(self.listener, VALID, struct.pack("=Q", mark))  # the caller's number is still the caller's
        if name in {"kill", "tkill", "tgkill"}:
            self._signal(name, caller)
        else:
            metadata.change(name, caller, self._roots())

    def _signal(self, name: str, caller: metadata.Caller) -> None:
        """Send a signal for the command, to its own only: older kernels' Landlock does not judge signals."""
        target, number = caller.number(0), caller.number(2 if name == "tgkill" else 1)
        if target not in census.descendants(os.getpid()):
            raise OSError(errno.EPERM, "outside")
        os.kill(target, number)

    def _may_fork(self) -> bool:
        if self.made >= self.job.limits.processes:
            self.made = sum(census.descendants(os.getpid()).values())
            if self.made >= self.job.limits.processes:
                return False
        self.made += 1
        return True
