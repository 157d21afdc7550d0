"""The server's end of the launcher: starts the spawner, hands it jobs, waits for outcomes no longer than it should."""

from __future__ import annotations

import base64
import contextlib
import json
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from interlock.tools.kind import ToolFailed
from interlock.tools.shell.job import Job, Outcome

START = 20.0  # seconds until the spawner must be ready
GRACE = 5.0  # seconds past a command's own deadline until we hang up
ANY_VERSION = 1000

# The launcher's modules are found without running this package's own imports: nothing but the standard library there.
BOOT = """
import sys, types
names, path = "interlock", sys.argv[1]
for part in ("", ".tools", ".shell"):
    names += part
    module = types.ModuleType(names)
    module.__path__ = [path + "/" + "/".join(names.split("."))]
    sys.modules[names] = module
import socket
from interlock.tools.shell.spawner import main
main(socket.socket(fileno=int(sys.argv[2])), int(sys.argv[3]), int(sys.argv[4]))
"""


class Launcher:
    """A spawner, started at once. `user` to drop to, -1 for none; `before` is put in front of its command line."""

    def __init__(self, *, user: int = -1, newest: int = ANY_VERSION, before: Sequence[str] = ()) -> None:
        self._lock = threading.Lock()
        self._start = (user, newest, tuple(before))
        self._closed = False
        self._begin()

    def _begin(self) -> None:
        user, newest, before = self._start
        ours, theirs = socket.socketpair()
        source = str(Path(__file__).parents[3])
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own program, by its full path
                [*before, sys.executable, "-I", "-S", "-c", BOOT, source, str(theirs.fileno()), str(user), str(newest)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        finally:
            theirs.close()
        self._control = ours
        ours.settimeout(START)
        try:
            said = ours.recv(100).split()
        except OSError:
            said = []
        if len(said) != 2:  # noqa: PLR2004 - the word and the version
            self._process.kill()
            self._process.wait()
            raise ToolFailed("the launcher did not start", layer="kernel")
        self.landlock = int(said[1])

    def run(self, job: Job) -> Outcome:
        """Run `job` to its end.

        Raises:
            ToolFailed: it could not be started, or did not end when it should have.
        """
        mine, theirs = socket.socketpair()
        with mine:
            with theirs:  # closed here also when it cannot be handed over
                self._hand_over(theirs)
            until = time.monotonic() + job.limits.seconds + GRACE
            try:
                mine.sendall(json.dumps(asdict(job)).encode() + b"\n")
                data = _line(mine, until)
            except OSError:
                data = b""
        if not data:
            raise ToolFailed("the command was stopped: its supervisor did not answer", layer="watchdog")
        said = json.loads(data)
        for name in ("stdout", "stderr"):
            said[name] = base64.b64decode(said[name])
        return Outcome(**said)

    def _hand_over(self, theirs: socket.socket) -> None:
        with self._lock:
            if self._closed:
                raise ToolFailed("the tool is closed")
            if self._process.poll() is not None:  # somebody killed it: nothing of it is left, so start again
                self._control.close()
                self._begin()
            try:
                socket.send_fds(self._control, [b"J"], [theirs.fileno()])
            except OSError:
                raise ToolFailed("the launcher is gone", layer="kernel") from None

    def close(self) -> None:
        """End the spawner and every command that still runs."""
        with self._lock:
            self._closed = True
            self._control.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE)
            self._process.kill()
            self._process.wait()


def _line(source: socket.socket, until: float) -> bytes:
    """What comes up to the end of a line; empty when the other end closes or is too late."""
    data = bytearray()
    while not data.endswith(b"\n"):
        ready, _, _ = select.select([source], [], [], max(0.0, until - time.monotonic()))
        piece = source.recv(1 << 16) if ready else b""
        if not piece:
            return b""
        data += piece
    return bytes(data)
