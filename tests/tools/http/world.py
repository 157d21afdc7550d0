"""A scripted outside: names resolve as a test says, connections are recorded, loopback is allowed by one exact port."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from interlock.kernel.call import Call
from interlock.kernel.decision import Permit
from interlock.tools.http import HttpKind
from interlock.tools.http.capability import Http, World
from interlock.tools.http.dial import connect
from interlock.tools.http.table import Address, table
from interlock.tools.kind import Context, Operation

PUBLIC = "93.184.216.34"
NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # made once: reading the machine's takes 10 ms


class Scripted:
    """Records what is dialled; nothing answers."""

    def __init__(self, answers: list[str] | None = None, then: list[str] | None = None) -> None:
        self._answers = [PUBLIC] if answers is None else answers
        self._then = then
        self.looked_up: list[str] = []
        self.dialled: list[str] = []

    def resolve(self, host: str, seconds: float) -> Sequence[str]:
        self.looked_up.append(host)
        return self._then if self._then is not None and len(self.looked_up) > 1 else self._answers

    def connect(self, address: Address, port: int, seconds: float) -> socket.socket:
        self.dialled.append(f"{_plain(address)}:{port}")
        raise OSError("nobody answers")

    def world(self, **more: Any) -> World:
        more.setdefault("tls", NO_AUTHORITIES)
        return World(resolve=self.resolve, connect=self.connect, **more)


def _plain(address: Address) -> str:
    mapped = getattr(address, "ipv4_mapped", None)
    return f"::ffff:{mapped}" if mapped else str(address)


class Loopback:
    """Servers of a test on loopback: `host` resolves to them, and exactly their ports are taken for public."""

    def __init__(self, hosts: dict[str, list[str]] | None = None) -> None:
        self.hosts = hosts or {}  # name → (port it is asked at → port of the server)
        self.allowed: set[int] = set()
        self.dialled: list[str] = []

    def resolve(self, host: str, seconds: float) -> Sequence[str]:
        return self.hosts.get(host, ["127.0.0.1"])

    def judge(self, address: Address, port: int) -> str:
        if str(address) == "127.0.0.1" and port in self.allowed:
            return ""
        return table().why_not(address, port)

    def connect(self, address: Address, port: int, seconds: float) -> socket.socket:
        self.dialled.append(f"{address}:{port}")
        return connect(address, port, seconds)

    def world(self, **more: Any) -> World:
        more.setdefault("tls", NO_AUTHORITIES)
        return World(resolve=self.resolve, connect=self.connect, judge=self.judge, **more)


def checked(permit: Any, call: Call) -> None:
    """These tests are about what comes behind the permit; test_capability is about the permit."""


@contextlib.contextmanager
def opened(
    config: dict[str, Any], outside: Any, *, check: Callable[[Any, Call], None] = checked, **more: Any
) -> Iterator[Http]:
    kind = HttpKind(outside.world(**more))
    http = kind.open("fetch", {"kind": "http", **config}, Context(base_dir=".", secrets=str, check=check))
    try:
        yield http
    finally:
        http.close()


def perform(operation: Operation, arguments: dict[str, Any]) -> Any:
    """What a model would read; no permit, see `checked`."""
    return operation.perform(cast("Permit", None), call_of(operation, arguments))


def call_of(operation: Operation, arguments: dict[str, Any]) -> Call:
    return Call(tool=operation.spec.name, arguments=arguments, agent="a", principal="p", run="r")
