"""A provider that answers with exactly the bytes that a cell wants, whatever SDK or gateway asks.

The request's `model` names the answer. What was asked is kept, so that a test can see what a provider would have seen.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the provider sends: pieces of bytes, and numbers of seconds to wait between them."""

    pieces: tuple[bytes | float, ...]
    status: int = 200
    stream: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    torn: bool = False  # the connection breaks after the last piece, without an end


@dataclass(slots=True)
class Asked:
    """One request as the provider got it."""

    path: str
    headers: dict[str, str]
    body: Any
    raw: bytes
    gone: bool = False  # whoever asked hung up before the end


class Upstream:
    """Serves `answers` by name while the `with` block runs; a list of answers is given out in order, the last for good."""

    def __init__(self, answers: Mapping[str, list[Answer]]) -> None:
        self.answers = dict(answers)
        self.asked: list[Asked] = []
        self._turns: dict[str, int] = {}
        self._lock = Lock()

    def __enter__(self) -> Self:
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self._thread = Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._http.server_port}"

    def of(self, model: str) -> list[Asked]:
        """The requests for `model`, in order."""
        with self._lock:
            return [a for a in self.asked if isinstance(a.body, dict) and a.body.get("model") == model]

    def take(self, asked: Asked) -> Answer:
        """The answer that is due."""
        with self._lock:
            self.asked.append(asked)
            name = asked.body.get("model") if isinstance(asked.body, dict) else None
            given = self.answers.get(str(name))
            if not given:
                return Answer(pieces=(json.dumps({"error": {"message": f"no cell {name}"}}).encode(),), status=404)
            turn = self._turns.get(str(name), 0)
            self._turns[str(name)] = turn + 1
            return given[min(turn, len(given) - 1)]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    owner: Upstream

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        body: Any = None
        with suppress(ValueError, RecursionError):
            body = json.loads(raw)
        asked = Asked(self.path, dict(self.headers), body, raw)
        answer = self.server.owner.take(asked)
        try:
            self._send(answer)
        except OSError:
            asked.gone = True
            self.close_connection = True

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        kind = "text/event-stream; charset=utf-8" if answer.stream else "application/json"
        for name, value in ({"content-type": kind} | dict(answer.headers)).items():
            self.send_header(name, value)
        if answer.stream or answer.torn:
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for piece in self._timed(answer):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.flush()
            if answer.torn:
                self.close_connection = True
            else:
                self.wfile.write(b"0\r\n\r\n")
        else:
            whole = b"".join(self._timed(answer))
            self.send_header("content-length", str(len(whole)))
            self.end_headers()
            self.wfile.write(whole)

    @staticmethod
    def _timed(answer: Answer) -> Iterator[bytes]:
        for piece in answer.pieces:
            if isinstance(piece, bytes):
                if piece:
                    yield piece
            else:
                time.sleep(piece)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""
