"""How much may be going on: requests, requests of one key, bytes of bodies, and how long a client may dawdle.

Nothing queues here: what is too much is refused at once, with the time after which to come again, so that those who
are served are served in time. Bodies are read whole, because nothing may be forwarded that was not read.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from interlock.config import Settings
from interlock.gateway.errors import Refusal

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class ClientGone(Exception):
    """The client closed the connection."""


class Admission:
    """What is at work in this worker."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keys: Counter[str] = Counter()
        self.active = 0
        self.bytes = 0
        self.closing = False

    @contextmanager
    def request(self) -> Iterator[None]:
        """One request more, until the block ends.

        Raises:
            Refusal: there are enough, or this worker is about to stop.
        """
        if self.closing:
            raise Refusal(503, "shutting_down", "this gateway is about to stop; try again", retry_after=1)
        if self.active >= self._settings.max_requests:
            raise Refusal(503, "overloaded", "this gateway is busy; try again", retry_after=1)
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1

    @contextmanager
    def of(self, key: str) -> Iterator[None]:
        """One request more of `key`, until the block ends.

        Raises:
            Refusal: it has enough.
        """
        if self._keys[key] >= self._settings.max_requests_per_key:
            raise Refusal(429, "too_many_requests", "this key has too many requests at work; try again", retry_after=1)
        self._keys[key] += 1
        try:
            yield
        finally:
            self._keys[key] -= 1
            if not self._keys[key]:
                del self._keys[key]

    @contextmanager
    def room(self) -> Iterator[Callable[[int], None]]:
        """What counts a body's bytes as they come, until the block ends; it raises `Refusal` if there are too many."""
        mine = 0

        def take(count: int) -> None:
            nonlocal mine
            if mine + count > self._settings.max_body:
                raise Refusal(413, "body_too_large", f"the body is larger than {self._settings.max_body} bytes")
            if self.bytes + count > self._settings.max_bodies:
                raise Refusal(503, "overloaded", "this gateway is busy; try again", retry_after=1)
            mine += count
            self.bytes += count

        try:
            yield take
        finally:
            self.bytes -= mine


async def read_body(receive: Receive, take: Callable[[int], None], declared: int | None, seconds: float) -> bytes:
    """The whole body, within `seconds`. A `declared` length that is too large is refused before it is sent.

    Raises:
        Refusal: too large, or too slow.
        ClientGone: it ended in the middle.
    """
    if declared is not None:
        take(declared)
    parts: list[bytes] = []
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                part = message.get("body", b"")
                if part:
                    if declared is None:
                        take(len(part))
                    parts.append(part)
                if not message.get("more_body", False):
                    return parts[0] if len(parts) == 1 else b"".join(parts)
    except TimeoutError:
        raise Refusal(408, "body_too_slow", "the body did not arrive in time", retry_after=1) from None


class Writer:
    """The way to one client. What it sent last, and when: `Stalls` looks at that."""

    __slots__ = ("_send", "since", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.since = 0.0  # when the write that is under way began; 0: none is
        self.status = 0  # of the answer, once its head is sent

    @property
    def started(self) -> bool:
        """Whether the client has the head."""
        return self.status > 0

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Send the head."""
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes) -> None:
        """Send `data`, as fast as the client reads."""
        self.since = time.monotonic()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        self.since = 0.0

    async def end(self, data: bytes = b"") -> None:
        """Send the last of it."""
        self.since = time.monotonic()
        await self._send({"type": "http.response.body", "body": data, "more_body": False})
        self.since = 0.0


class Stalls:
    """Cancels requests whose client does not read. One look at all now and then costs less than a timer each."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._watched: dict[Writer, asyncio.Task[Any]] = {}
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def watching(self, writer: Writer) -> Iterator[None]:
        """The current task is cancelled if `writer` stalls inside."""
        task = asyncio.current_task()
        if task is not None:
            self._watched[writer] = task
        try:
            yield
        finally:
            self._watched.pop(writer, None)

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._look())

    def stop(self) -> None:
        """No longer."""
        if self._task is not None:
            self._task.cancel()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(min(1.0, self._seconds / 4))
            late = time.monotonic() - self._seconds
            for writer, task in list(self._watched.items()):
                if 0.0 < writer.since < late:
                    self._watched.pop(writer, None)
                    task.cancel("stalled")
