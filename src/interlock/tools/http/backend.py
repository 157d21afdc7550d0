"""The network below `httpcore2`: connections come from the dialler, every read and write is metered.

The pool above speaks HTTP/1.1 only and keeps no connection, so no second name rides on another's, and TLS is checked
against the name although a number was dialled. Which request a stream serves is said by a context variable: the pool
reads and writes in the thread of the request.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import httpcore2

from interlock.tools.http.dial import Dialler
from interlock.tools.http.errors import BadAnswer, NotReached, TooMuch
from interlock.tools.http.meter import Meter

_METER: ContextVar[Meter] = ContextVar("interlock_http_meter")
T = TypeVar("T")
_FOREVER = 3600.0  # a wait's own bound; the meter's is what counts


@contextmanager
def metered(meter: Meter) -> Iterator[None]:
    """Everything that streams do inside is charged to `meter`."""
    token = _METER.set(meter)
    try:
        yield
    finally:
        _METER.reset(token)


class Stream(httpcore2.NetworkStream):
    """One connection; a wait that meets the deadline ends the request."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the meter's is smaller
        """Up to `max_bytes`, charged."""
        meter = _METER.get()
        data = self._wait(meter, lambda: self._sock.recv(max_bytes))
        meter.took(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - as above
        """All of `buffer`."""
        meter = _METER.get()
        view = memoryview(buffer)
        while view:
            view = view[self._wait(meter, lambda: self._sock.send(view)) :]  # noqa: B023 - called at once

    def _wait(self, meter: Meter, step: Callable[[], T]) -> T:
        self._sock.settimeout(meter.seconds(_FOREVER))
        try:
            return step()
        except TimeoutError:
            raise TooMuch("the request took longer than it may", hint="`seconds` of the tool's entry") from None
        except OSError:
            raise BadAnswer("the connection broke") from None

    def close(self) -> None:
        """Give the socket back."""
        self._sock.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 - as above
    ) -> Stream:
        """The same connection, encrypted, with a certificate that is valid for the name."""
        if not server_hostname or not ssl_context.check_hostname or ssl_context.verify_mode is not ssl.CERT_REQUIRED:
            self.close()
            raise BadAnswer("the certificate would not be checked")
        self._sock.settimeout(_METER.get().seconds(_FOREVER))
        try:
            return Stream(ssl_context.wrap_socket(self._sock, server_hostname=server_hostname))
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise NotReached(server_hostname, hint=f"its certificate: {error.verify_message}") from None
        except (OSError, ValueError) as error:
            self.close()
            raise NotReached(server_hostname, hint=f"TLS failed: {error}") from None

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - the port's type
        """What the pool asks for."""
        return self._sock if info == "ssl_object" and isinstance(self._sock, ssl.SSLSocket) else None


class Backend(httpcore2.NetworkBackend):
    """Connections of a `Dialler`, and no others."""

    def __init__(self, dialler: Dialler) -> None:
        self._dialler = dialler

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the meter's is smaller
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> Stream:
        """A connection to a checked address of `host`."""
        if local_address is not None or socket_options is not None:
            raise NotReached(host, hint="the pool asks for socket options, which nobody set")
        return Stream(self._dialler.dial(host, port, _METER.get()))

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ARG002 - the port's signature
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,  # noqa: ARG002 - the same
    ) -> Stream:
        """Never."""
        raise NotReached(path, hint="a tool of this kind opens no Unix socket")
