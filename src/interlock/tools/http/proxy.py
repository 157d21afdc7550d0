"""The same reach as a small forward proxy on a Unix socket: for sandboxed code, and for SDKs that know proxies only.

Requests in absolute form (https too) pass the whole gate: method, path, headers, sizes. CONNECT opens a tunnel in which
nothing of that is seen, so it is refused unless the manifest says `tunnel: true` for the host; then the name that TLS
asks for must be the one that was connected to, or a shared front end would lead elsewhere. Names are resolved here:
the program inside needs no network and no resolver. What it reads of a refusal is constant.
"""

from __future__ import annotations

import socket
import stat
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import h11

from interlock.kernel.errors import InterlockError
from interlock.tools.http import headers, hello, url
from interlock.tools.http.client import Answer, Client
from interlock.tools.http.dial import Dialler
from interlock.tools.http.errors import TooMuch
from interlock.tools.http.meter import Meter
from interlock.tools.http.reach import METHODS, Reach
from interlock.tools.http.scope import Request
from interlock.tools.http.spec import Limits
from interlock.tools.http.url import Target
from interlock.tools.kind import ScopeError, ToolFailed

MAX_HEAD = 16 * 1024  # bytes of a request's head
HEAD_SECONDS = 10.0
TUNNEL_SECONDS = 900.0  # of one tunnel
IDLE_SECONDS = 60.0  # without a byte in either direction
TUNNEL_BYTES = 100_000_000  # in each direction
MAX_CLIENTS = 32
_CHUNK = 64 * 1024
# Between this proxy and its client; the request that goes out has its own.
_DROPPED = headers.HOP_BY_HOP | {"host", "content-length", "accept-encoding", "expect", "proxy-connection"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Whom the proxy serves with what."""

    reach: Reach
    dialler: Dialler
    client: Client
    limits: Limits


class Proxy:
    """Listens between `start` and `close`; each client has a thread, at most `MAX_CLIENTS` at a time."""

    def __init__(self, policy: Policy, path: str, *, report: Callable[[str], None] | None = None) -> None:
        self._policy, self._path, self._report = policy, path, report
        self._free = threading.BoundedSemaphore(MAX_CLIENTS)
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def path(self) -> str:
        """Where it listens."""
        return self._path

    def start(self) -> None:
        """Listen; only this user may connect.

        Raises:
            OSError: the path is taken, or cannot be.
        """
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(self._path)
            Path(self._path).chmod(stat.S_IRUSR | stat.S_IWUSR)  # before `listen`: nobody can connect yet
            listener.listen(MAX_CLIENTS)
        except BaseException:
            listener.close()
            raise
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), name="interlock-proxy", daemon=True).start()

    def close(self) -> None:
        """Stop listening, end every tunnel, take the socket away."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in `accept`
        listener.close()
        with suppress(OSError):
            Path(self._path).unlink()
        with self._lock:
            for sock in self._open:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            if not self._free.acquire(blocking=False):
                client.close()
                continue
            try:
                threading.Thread(target=self._serve, args=(client,), name="interlock-proxy", daemon=True).start()
            except RuntimeError:  # no thread to be had
                self._free.release()
                client.close()

    def _serve(self, client: socket.socket) -> None:
        try:
            with client, self._tracked(client):
                self._one(client)
        except OSError:
            pass  # the client left
        finally:
            self._free.release()

    def _tracked(self, sock: socket.socket) -> _Tracked:
        return _Tracked(self._open, self._lock, sock)

    def _one(self, client: socket.socket) -> None:
        meter = _meter(HEAD_SECONDS + self._policy.limits.seconds, MAX_HEAD + self._policy.limits.max_request_bytes)
        talk = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        try:
            event = _next(client, talk, meter)
            if not isinstance(event, h11.Request):
                return
            if event.method == b"CONNECT":
                self._tunnel(client, talk, event, meter)
            else:
                self._forward(client, talk, event, meter)
        except h11.RemoteProtocolError as error:
            self._refuse(client, 400, f"no valid request: {error}")
        except ScopeError as error:
            self._refuse(client, 403, str(error))
        except ToolFailed as error:
            self._refuse(client, 502, f"{error}: {error.hint}")
        except InterlockError as error:
            self._refuse(client, 403, str(error))

    def _say(self, why: str) -> None:
        if self._report is not None:
            self._report(why)

    def _refuse(self, client: socket.socket, status: int, why: str) -> None:
        self._say(why)
        _answer(client, status, (), b"refused\n")

    def _forward(self, client: socket.socket, talk: h11.Connection, event: h11.Request, meter: Meter) -> None:
        target = url.parse(event.target.decode("ascii"))
        method = event.method.decode("ascii")
        if method not in METHODS:
            raise ScopeError(f"the method `{method[:20]}` is never sent")
        self._policy.reach.admit(method, target)
        sent = headers.clean(_kept(event.headers), credentials=True)
        if talk.they_are_waiting_for_100_continue:
            client.sendall(talk.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        body = _body(client, talk, meter, self._policy.limits.max_request_bytes)
        answer = self._policy.client.fetch(Request(method=method, target=target, headers=sent, body=body))
        _answer(client, answer.status, _returned(answer), answer.body, head=method == "HEAD")

    def _tunnel(self, client: socket.socket, talk: h11.Connection, event: h11.Request, meter: Meter) -> None:
        text = event.target.decode("ascii")
        url.check_characters(text)
        host, port = url.authority(text, default=0)
        if not port:
            raise ScopeError("CONNECT names host and port")
        self._policy.reach.admit_tunnel(Target(scheme="https", host=host, port=port, path="/", query=None))
        with self._policy.dialler.dial(host, port, meter) as server, self._tracked(server):
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            first = hello.read(client, talk.trailing_data[0], meter)
            if hello.server_name(first) != host:
                self._say(f"in the tunnel to `{host}` TLS asks for another name, or for none")
                return
            server.settimeout(IDLE_SECONDS)
            server.sendall(first)
            _relay(client, server)


class _Tracked:
    """A socket that `close` may end while it is inside."""

    def __init__(self, sockets: set[socket.socket], lock: threading.Lock, sock: socket.socket) -> None:
        self._sockets, self._lock, self._sock = sockets, lock, sock

    def __enter__(self) -> None:
        with self._lock:
            self._sockets.add(self._sock)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._sockets.discard(self._sock)


def _meter(seconds: float, count: int) -> Meter:
    return Meter(deadline=time.monotonic() + seconds, bytes_left=count, clock=time.monotonic)


def _next(client: socket.socket, talk: h11.Connection, meter: Meter) -> object:
    while (event := talk.next_event()) is h11.NEED_DATA:
        client.settimeout(meter.seconds(HEAD_SECONDS))
        data = client.recv(_CHUNK)
        meter.took(len(data))
        talk.receive_data(data)
    return event


def _body(client: socket.socket, talk: h11.Connection, meter: Meter, most: int) -> bytes:
    body = b""
    while isinstance(event := _next(client, talk, meter), h11.Data):
        body += event.data
        if len(body) > most:
            raise TooMuch("the body is larger than it may be", hint="`max_request_bytes` of the tool's entry")
    if not isinstance(event, h11.EndOfMessage):
        raise ScopeError("the request breaks off")
    return body


def _kept(given: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    pairs = [(name.decode("ascii").lower(), value.decode("latin-1")) for name, value in given]
    if {"content-length", "transfer-encoding"} <= {name for name, _ in pairs}:
        raise ScopeError("the request has two lengths")
    named = {word.strip().lower() for name, value in pairs if name == "connection" for word in value.split(",")}
    kept: dict[str, str] = {}
    for name, value in pairs:
        if name in _DROPPED or name in named or name.startswith("proxy-"):
            continue
        if name in kept:
            raise ScopeError(f"the header `{name}` is given twice")
        kept[name] = value
    return kept


def _returned(answer: Answer) -> list[tuple[str, str]]:
    dropped = headers.HOP_BY_HOP | {"content-length", "content-encoding", "alt-svc"}
    return [(name, value) for name, value in answer.headers if name not in dropped]


def _answer(
    client: socket.socket, status: int, given: Iterable[tuple[str, str]], body: bytes, *, head: bool = False
) -> None:
    lines = [f"HTTP/1.1 {status} {'OK' if status < 400 else 'Refused'}"]  # noqa: PLR2004 - the first error
    lines += [f"{name}: {value}" for name, value in given]
    lines += [f"content-length: {len(body)}"] if not head else []
    client.settimeout(IDLE_SECONDS)
    client.sendall("\r\n".join([*lines, "connection: close", "", ""]).encode("latin-1") + (b"" if head else body))


def _relay(client: socket.socket, server: socket.socket) -> None:
    """Bytes in both directions until both ends are done, or a limit is met."""
    end = time.monotonic() + TUNNEL_SECONDS
    last = [time.monotonic()]
    done = threading.Event()

    def pump(source: socket.socket, sink: socket.socket) -> None:
        left = TUNNEL_BYTES
        try:
            while left > 0 and time.monotonic() < end and not done.is_set():
                try:
                    data = source.recv(_CHUNK)
                except TimeoutError:
                    if time.monotonic() - last[0] < IDLE_SECONDS:
                        continue  # the other direction is alive
                    break
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                last[0] = time.monotonic()
                left -= len(data)
                sink.sendall(data)
        except OSError:
            pass
        done.set()
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    for each in (client, server):
        each.settimeout(IDLE_SECONDS)
    upward = threading.Thread(target=pump, args=(client, server), name="interlock-tunnel", daemon=True)
    upward.start()
    pump(server, client)
    upward.join(TUNNEL_SECONDS + IDLE_SECONDS)
