"""Workers, and what is said to them. One call has one worker; a worker that misbehaves is killed and replaced.

To a worker: `{memory}` once, then jobs `{code, inputs, tools, limits}` and, in between, answers to its calls:
`{value}`, `{refused}` or `{failed}`. From it: `{ready}`, then `{call, arguments}` or, once a job is done,
`{result, printed}` or `{error}`. What comes from it is not believed: a line too long, too late or unknown ends it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from interlock.kernel.call import Json
from interlock.tools.compute.spec import Limits, Settings
from interlock.tools.kind import ConfigError, ToolFailed

START = 20.0  # seconds until a worker must be ready
GRACE = 1.0  # seconds past the deadline until a worker is killed
LONGEST_ERROR = 500  # characters
ESCAPED = 6  # bytes that one byte of text may become as JSON


@dataclass(frozen=True, slots=True)
class Done:
    """What a job gave: the value as it was, and what it printed."""

    result: Json
    printed: str


class CodeFailed(ToolFailed):
    """The code itself raised; the worker is as good as before."""


class Worker:
    """One process that runs one job at a time."""

    def __init__(self, chosen: Settings) -> None:
        self._longest = ESCAPED * (max(chosen.limits.result_bytes, chosen.limits.input_bytes)) + (
            ESCAPED * chosen.limits.printed_bytes + 1000
        )
        self._process = subprocess.Popen(  # noqa: S603 - our own program, by its full path
            [sys.executable, "-I", "-X", "utf8", str(Path(__file__).with_name("worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,
            bufsize=0,
        )
        self._rest = b""
        self.send({"memory": chosen.limits.memory})
        if self.receive(time.monotonic() + START) != {"ready": True}:
            self.kill()
            raise ToolFailed("the interpreter did not start", layer="engine")

    def send(self, message: Mapping[str, object]) -> None:
        """One message to the worker."""
        if self._process.stdin is None:
            raise ToolFailed("the interpreter is gone", layer="engine")
        data = memoryview(json.dumps(message).encode() + b"\n")
        with contextlib.suppress(BrokenPipeError):  # it died; `receive` says so
            while data:
                data = data[self._process.stdin.write(data) or 0 :]

    def receive(self, until: float) -> dict[str, object] | None:
        """One message from the worker; None when it died, was too late or too long."""
        if self._process.stdout is None:
            return None
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._rest:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, until - time.monotonic()))
            data = os.read(descriptor, 1 << 16) if ready else b""
            self._rest += data
            if not data or len(self._rest) > self._longest:
                return None
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            message = json.loads(line)
        except ValueError:
            return None
        return message if isinstance(message, dict) else None

    def kill(self) -> None:
        """End the worker and the interpreter below it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait()


class Pool:
    """At most `parallel` workers; the first is started at once, so that a broken installation shows early."""

    def __init__(self, chosen: Settings) -> None:
        self._chosen = chosen
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(chosen.parallel)
        self._closed = False
        try:
            self._idle = [Worker(chosen)]
        except ToolFailed:
            raise ConfigError(
                "the interpreter does not start", hint="install the extra: pip install 'interlock[tools]'"
            ) from None

    def run(
        self,
        code: str,
        inputs: Mapping[str, Json],
        answer: Callable[[str, dict[str, Json]], Mapping[str, object]],
        *,
        limits: Limits | None = None,
    ) -> Done:
        """Run `code`; `answer(name, arguments)` gives the message that answers a call of a tool.

        Raises:
            ToolFailed: it raised, broke a limit, or returned what is not JSON.
        """
        limits = limits or self._chosen.limits
        until = time.monotonic() + limits.deadline
        if not self._free.acquire(timeout=limits.deadline):
            raise ToolFailed("all interpreters are busy", layer="watchdog")
        worker = None
        try:
            worker = self._take()
            job = {"code": code, "inputs": inputs, "tools": self._chosen.tools, "limits": asdict(limits)}
            worker.send(job)
            try:
                done = self._converse(worker, limits, until, answer)
            except CodeFailed:
                worker = self._give(worker)
                raise
            worker = self._give(worker)
            return done
        finally:
            if worker is not None:
                worker.kill()  # it did not answer, or the answer cannot be believed
            self._free.release()

    def _take(self) -> Worker:
        with self._lock:
            if self._closed:
                raise ToolFailed("the tool is closed")
            idle = self._idle.pop() if self._idle else None
        return idle or Worker(self._chosen)

    def _give(self, worker: Worker) -> Worker | None:
        """Keep `worker` for the next call; returned if there is none to come."""
        with self._lock:
            if self._closed:
                return worker
            self._idle.append(worker)
            return None

    def _converse(
        self,
        worker: Worker,
        limits: Limits,
        until: float,
        answer: Callable[[str, dict[str, Json]], Mapping[str, object]],
    ) -> Done:
        calls = 0
        while True:
            match worker.receive(min(until, time.monotonic() + limits.seconds) + GRACE):
                case {"result": str(text), "printed": str(printed)}:
                    return Done(json.loads(text), printed)
                case {"error": str(text)}:
                    raise CodeFailed(text[:LONGEST_ERROR])
                case {"call": str(name), "arguments": str(text)} if name in self._chosen.tools:
                    calls += 1
                    if calls > limits.calls:
                        worker.send({"failed": f"more than {limits.calls} calls of tools"})
                    elif time.monotonic() > until:
                        raise ToolFailed(f"the code ran for more than {limits.deadline:g} s", layer="watchdog")
                    else:
                        worker.send(answer(name, json.loads(text)))
                case None:
                    raise ToolFailed("the code ran out of time or memory and was stopped", layer="watchdog")
                case _:
                    raise ToolFailed("the interpreter did not answer as it should", layer="engine")

    def close(self) -> None:
        """End all idle workers; a busy one ends with its call."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.kill()
