"""A gateway on a socket: uvicorn with our bounds, in this process or in several that share the socket.

After SIGTERM nothing new is accepted, answers under way end (within `grace`), questions to humans stay open in the
store, the audit is flushed. The parent of several workers starts a dead one anew and passes signals on.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

import orjson
import uvicorn

from interlock.config import Settings
from interlock.gateway.app import Gateway
from interlock.gateway.build import Parts, build
from interlock.gateway.errors import GatewayError
from interlock.gateway.logs import configure
from interlock.gateway.pages import give_back
from interlock.gateway.protocol import bounded
from interlock.kernel.errors import InterlockError

log = logging.getLogger("interlock.gateway")
PAUSE = 1.0  # seconds before a worker that died is started anew
BACKLOG = 2048


class Server(uvicorn.Server):
    """uvicorn's server, which tells the gateway as soon as it is to stop."""

    def __init__(self, gateway: Gateway, settings: Settings) -> None:
        self.gateway = gateway
        super().__init__(
            uvicorn.Config(
                gateway,
                loop="uvloop",
                http=bounded(settings),
                ws="none",
                lifespan="on",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,  # nothing here depends on a client's address
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=max(1, round(settings.idle_timeout)),
                timeout_graceful_shutdown=max(1, round(settings.grace)),
            )
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal: no new requests from now on."""
        self.gateway.admission.closing = True
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening; let those who wait for humans come back later."""
        self.gateway.stop()
        await super().shutdown(sockets)


def bind(settings: Settings) -> socket.socket:
    """The socket that all workers share.

    Raises:
        GatewayError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((settings.host, settings.port))
        found.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        found.close()
        raise GatewayError(f"cannot listen on `{settings.host}:{settings.port}`: {error}") from None
    found.set_inheritable(True)
    return found


def run(settings: Settings) -> int:
    """Serve until a signal; the exit status."""
    configure(settings.log)
    listening = bind(settings)
    host, port = listening.getsockname()[:2]
    if settings.workers == 1:
        gateway = build(settings, settings.manifest)
        configure(settings.log, gateway.redaction)
        _tell(gateway)
        log.info("listening on %s:%d", host, port)
        _settle()
        Server(gateway, settings).run([listening])
        return 0
    log.info("listening on %s:%d with %d workers", host, port, settings.workers)
    return Supervisor(settings, listening).run()


def work(settings: Settings, listening: socket.socket, number: int) -> None:
    """One worker's life. What ends it is printed here: `multiprocessing` would print it as it is."""
    configure(settings.log)
    try:
        _work(settings, listening, number)
    except Exception:  # noqa: BLE001 - entry point
        sys.excepthook(*sys.exc_info())
        sys.exit(1)


def _work(settings: Settings, listening: socket.socket, number: int) -> None:
    try:
        gateway = build(settings, settings.manifest, worker=number)
    except InterlockError as error:
        log.error("worker %d cannot start: %s", number, error)  # noqa: TRY400 - a message for operators, not a trace
        sys.exit(UNFIT)
    configure(settings.log, gateway.redaction)
    if number == 1:
        _tell(gateway)
    _follow_parent()
    _settle()
    Server(gateway, settings).run([listening])


def _settle() -> None:
    """Leave what start-up made out of every later collection, and collect less often: a tenth of a request's time.

    Hardly anything of a request is a cycle, so what is not collected at once is little. What start-up took and nobody
    needs any more goes back to the system: a third of a worker.
    """
    gc.collect()
    gc.freeze()
    give_back()
    gc.set_threshold(50_000, 20, 50)


def _tell(gateway: Gateway) -> None:
    """Say what is enforced and what is not (M10); `/readyz` has all of it."""
    posture = gateway.posture()
    log.info("policy %s, relaxed rules: %s", posture["policy"], orjson.dumps(posture["relaxed"]).decode())
    log.info("not enforced here: %s", orjson.dumps(posture["not_enforced"]).decode())


def _follow_parent() -> None:
    """End as after SIGTERM when the parent is gone: nobody would start a dead worker anew, or stop this one."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="interlock-parent", daemon=True).start()


UNFIT = 3  # exit status of a worker that another try would not help


class Supervisor:
    """Starts workers, starts dead ones anew, passes the end on."""

    def __init__(self, settings: Settings, listening: socket.socket) -> None:
        self._settings, self._listening = settings, listening
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[int, Any] = {}
        self._stop = threading.Event()

    def run(self) -> int:
        """Serve until a signal; the exit status."""
        for sent in (signal.SIGINT, signal.SIGTERM):
            signal.signal(sent, lambda *_: self._stop.set())
        for number in range(1, self._settings.workers + 1):
            self._start(number)
        status = 0
        while not self._stop.wait(0.1):
            for number, process in list(self._workers.items()):
                if process.is_alive():
                    continue
                if process.exitcode == UNFIT:
                    status = 1
                    self._stop.set()
                    break
                log.error("worker %d ended with %s; it is started anew", number, process.exitcode)
                if not self._stop.wait(PAUSE):
                    self._start(number)
        self._end()
        return status

    def _start(self, number: int) -> None:
        process = self._context.Process(target=work, args=(self._settings, self._listening, number), daemon=False)
        process.start()
        self._workers[number] = process

    def _end(self) -> None:
        self._listening.close()
        for process in self._workers.values():
            if process.is_alive():
                process.terminate()
        end = time.monotonic() + self._settings.grace + 10
        for process in self._workers.values():
            process.join(max(0.0, end - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()


@dataclass(frozen=True, slots=True)
class Serving:
    """A gateway that listens."""

    url: str
    gateway: Gateway
    stop: Callable[[], None]  # as SIGTERM would

    @property
    def openai_url(self) -> str:
        """The `base_url` of OpenAI's SDK."""
        return f"{self.url}/v1"


@contextmanager
def serving(
    manifest: str | Mapping[str, object], parts: Parts | None = None, settings: Settings | None = None
) -> Iterator[Serving]:
    """A gateway in a thread of this process, on a free port, while the block runs. For tests and embedding."""
    settings = replace(settings or Settings(log="off"), port=0)
    gateway = build(settings, manifest, parts)
    listening = bind(settings)
    server = Server(gateway, settings)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise GatewayError("the gateway did not start")
        time.sleep(0.005)

    def stop() -> None:
        gateway.admission.closing = True
        server.should_exit = True

    try:
        yield Serving(f"http://{settings.host}:{listening.getsockname()[1]}", gateway, stop)
    finally:
        stop()
        thread.join()
