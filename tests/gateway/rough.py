"""Peers without manners: a provider that sends whatever a test wants, and a client that writes raw bytes."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.gateway.world import KEY

Behaviour = Callable[[socket.socket], None]
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Rough:
    """A provider that does `behave` with each connection after it has read a request."""

    def __init__(self, behave: Behaviour) -> None:
        self._behave = behave
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        self.requests: list[bytes] = []
        self.closed = threading.Event()  # a client has closed a connection that was still being served

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            raw = b""
            while b"\r\n\r\n" not in raw:
                raw += connection.recv(65536)
            head, _, body = raw.partition(b"\r\n\r\n")
            length = int(
                next(line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
            )
            while len(body) < length:
                body += connection.recv(65536)
            self.requests.append(head + b"\r\n\r\n" + body)
            self._behave(connection)
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._socket.close()

    def gone(self, connection: socket.socket, seconds: float = 5) -> bool:
        """Whether the gateway closes `connection` in time."""
        connection.settimeout(seconds)
        try:
            closed = connection.recv(1) == b""
        except ConnectionError:
            closed = True
        except TimeoutError:
            closed = False
        if closed:
            self.closed.set()
        return closed


@contextmanager
def rough(behave: Behaviour | bytes) -> Iterator[Rough]:
    server = Rough((lambda c: c.sendall(behave)) if isinstance(behave, bytes) else behave)
    threading.Thread(target=server.serve, daemon=True).start()
    try:
        yield server
    finally:
        server.close()


def event(data: object) -> bytes:
    raw = b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"
    return chunked(raw)


def chunked(raw: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(raw), raw)


def chunk(delta: dict[str, object], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return event({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})


def call_start(name: str) -> bytes:
    function = {"name": name, "arguments": ""}
    return chunk({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]})


def call_more(text: str) -> bytes:
    return chunk({"tool_calls": [{"index": 0, "function": {"arguments": text}}]})


def plain(status: str, body: bytes, *headers: bytes, kind: bytes = b"application/json") -> bytes:
    lines = [b"HTTP/1.1 " + status.encode(), b"content-type: " + kind, b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


# clients


def connect(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    found = socket.create_connection((host, int(port)), timeout=10)
    found.settimeout(10)
    return found


def request(
    body: bytes | dict[str, object], *headers: bytes, path: bytes = b"/v1/chat/completions", key: str = KEY
) -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        b"POST " + path + b" HTTP/1.1",
        b"host: gateway",
        b"authorization: Bearer " + key.encode(),
        b"content-type: application/json",
        *(headers or (b"content-length: %d" % len(raw),)),
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + raw


def read_all(connection: socket.socket, seconds: float = 10) -> bytes:
    """What comes until the other side closes, or nothing comes any more."""
    raw, end = b"", time.monotonic() + seconds
    with suppress(OSError):
        while time.monotonic() < end:
            connection.settimeout(max(0.05, end - time.monotonic()))
            piece = connection.recv(65536)
            if not piece:
                break
            raw += piece
    return raw


def status_of(raw: bytes) -> int:
    return int(raw.split(b" ", 2)[1])
