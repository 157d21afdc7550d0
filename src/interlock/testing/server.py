"""A provider of models on loopback: HTTP around `wire`, driven by a model without intelligence.

Listens on 127.0.0.1 and a port that the system picks, takes any key, keeps every request it was sent. For tests and
demonstrations; it is slow, and it trusts whoever connects.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self

from interlock.kernel.errors import InterlockError
from interlock.testing.model import Conversation, Failure, Model, Reply
from interlock.testing.wire import CHAT, WIRES, Body, RequestError, Wire

MAX_BODY = 10_000_000  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One request that was understood. Header names are lower case."""

    path: str
    headers: Mapping[str, str]
    body: Body
    conversation: Conversation


@dataclass(frozen=True, slots=True)
class Refused:
    """What is sent in place of an answer."""

    status: int
    body: Body


def respond(model: Model, path: str, request: Body, *, number: int = 1) -> Body:
    """The body that a `ModelServer` would send for `request`, without a server; an error's body too.

    `path` is where an SDK would send it: `/v1/chat/completions`, `/v1/responses`, `/v1/messages`.
    """
    match _answer(model, path, request):
        case Refused(body=body):
            return body
        case (wire, _, reply):
            return wire.body(request, reply, number)


def _answer(model: Model, path: str, request: object) -> Refused | tuple[Wire, Conversation, Reply]:
    wire = WIRES.get(path)
    if wire is None:
        return Refused(404, CHAT.error(404, f"no route {path}"))
    if not isinstance(request, dict):
        return Refused(400, wire.error(400, "the body must be a JSON object"))
    try:
        conversation = wire.read(request)
        reply = model.answer(conversation)
        if isinstance(reply, Failure):
            return Refused(reply.status, wire.error(reply.status, reply.message))
        wire.body(request, reply, 0)  # what cannot be written is refused before a stream has begun
    except (RequestError, InterlockError) as error:
        return Refused(400, wire.error(400, str(error)))
    except Exception as error:  # noqa: BLE001 - a step is anybody's code, and a dropped connection would hide what it raised
        return Refused(500, wire.error(500, f"the model's script raised {error!r}"))
    return wire, conversation, reply


class ModelServer:
    """Serves `model` while the `with` block runs."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.requests: list[Recorded] = []
        self._count = 0
        self._lock = Lock()
        self._http: _Server | None = None
        self._thread: Thread | None = None

    def __enter__(self) -> Self:
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self._thread = Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None and self._thread is not None:
            self._http.shutdown()
            self._thread.join()
            self._http.server_close()

    @property
    def url(self) -> str:
        """Where it listens: the `base_url` of Anthropic's SDK."""
        if self._http is None:
            raise RuntimeError("the server is not running; use `with ModelServer(model) as server:`")
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def openai_url(self) -> str:
        """The `base_url` of OpenAI's SDK."""
        return f"{self.url}/v1"

    def handle(self, path: str, headers: Mapping[str, str], raw: bytes) -> Refused | Body | Iterator[str]:
        """The answer to one request: an error, a body, or the events of a stream."""
        try:
            request: Any = json.loads(raw)
        except (ValueError, RecursionError):
            request = None
        match _answer(self.model, path, request):
            case Refused() as refused:
                return refused
            case (wire, conversation, reply):
                with self._lock:
                    self._count += 1
                    number = self._count
                    self.requests.append(
                        Recorded(path=path, headers=dict(headers), body=request, conversation=conversation)
                    )
                write = wire.stream if request.get("stream") else wire.body
                return write(request, reply, number)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: ModelServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds without a byte from the client
    server: _Server

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY:
            self.close_connection = True
            self._json(413, CHAT.error(413, f"a body of 0 to {MAX_BODY} bytes with its length is needed"))
            return
        raw = self.rfile.read(int(length))
        headers = {name.lower(): value for name, value in self.headers.items()}
        match self.server.owner.handle(self.path.partition("?")[0], headers, raw):
            case Refused(status, body):
                self._json(status, body)
            case dict() as body:
                self._json(200, body)
            case events:
                self._stream(events)

    def _json(self, status: int, body: Body) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.send_header("x-should-retry", "false")  # a script is not asked the same thing twice
        self.end_headers()
        self.wfile.write(raw)

    def _stream(self, events: Iterator[str]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        try:
            for event in events:
                raw = event.encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(raw), raw))
            self.wfile.write(b"0\r\n\r\n")
        except ConnectionError:  # the client has read enough
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's signature
        """Say nothing: `requests` is the log."""
