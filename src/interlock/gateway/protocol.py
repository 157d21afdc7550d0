"""HTTP/1.1 with bounds that uvicorn does not have: on headers, on the time they take, on connections.

A connection that has not sent a whole request's headers in time is closed, whether it trickles or keeps silent; so is
one whose headers are too long, and one too many. What two servers could read in two ways (two lengths, a length beside
chunks, a folded line) the parser refuses, and a request with upgrade is not upgraded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from interlock.config import Settings

ABORT = "interlock.abort"  # an ASGI extension: closes a connection at once, whatever still waits to be read
GONE = "interlock.gone"  # another one: calls back when the client goes away before it has its answer
_MAX_HEADERS = 100
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_MANY = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"


def bounded(settings: Settings) -> type[HttpToolsProtocol]:
    """The protocol with the bounds of `settings`."""

    class Bounded(HttpToolsProtocol):
        def __init__(
            self,
            config: Config,
            server_state: ServerState,
            app_state: dict[str, Any],
            _loop: asyncio.AbstractEventLoop | None = None,
        ) -> None:
            super().__init__(config, server_state, app_state, _loop)
            self._reading_headers = False
            self._seen = 0  # bytes of the headers so far
            self._deadline: asyncio.TimerHandle | None = None
            self._watcher: Callable[[], object] | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > settings.max_connections:
                self._end(_TOO_MANY)
                return
            self._deadline = self.loop.call_later(settings.header_timeout, self._late)

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            super().connection_lost(exc)
            if self._watcher is not None:
                self._watcher()

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            cycle: RequestResponseCycle | None = self.cycle  # none before the first request
            if self._deadline is None and (cycle is None or cycle.response_complete):
                self._deadline = self.loop.call_later(settings.header_timeout, self._late)
            super().data_received(data)
            if self._reading_headers:
                self._seen += len(data)
                if self._seen > settings.max_header:
                    self._end(_TOO_LARGE)

        def on_message_begin(self) -> None:
            self._reading_headers, self._seen = True, 0
            super().on_message_begin()
            self.scope["extensions"] = {ABORT: {"abort": self.transport.abort}, GONE: {"watch": self._watch}}

        def on_url(self, url: bytes) -> None:
            super().on_url(url)
            if len(self.url) > settings.max_header:
                raise ValueError("the request's line is too long")

        def on_header(self, name: bytes, value: bytes) -> None:
            super().on_header(name, value)
            if len(self.headers) > _MAX_HEADERS:
                raise ValueError("there are too many headers")

        def on_headers_complete(self) -> None:
            self._reading_headers = False
            self._disarm()
            if sum(len(n) + len(v) for n, v in self.headers) + len(self.url) > settings.max_header:
                raise ValueError("the headers are too long")
            super().on_headers_complete()

        def _watch(self, watcher: Callable[[], object] | None) -> None:
            """Call `watcher` when the client is gone; None: nobody any more."""
            self._watcher = watcher
            if watcher is not None and self not in self.connections:
                watcher()

        def _late(self) -> None:
            self._deadline = None
            if not self.transport.is_closing():
                self._end(_TOO_SLOW if self._reading_headers else b"")

        def _end(self, answer: bytes) -> None:
            self._disarm()
            if answer:
                self.transport.write(answer)
            self.transport.close()

        def _disarm(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

    return Bounded
