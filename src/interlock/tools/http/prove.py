"""Tries to break the dialler and the client that an entry really uses, at start-up, sending nothing outside.

A canary listens on this machine's loopback: it must see no connection, whichever way it is named. What would be
dialled elsewhere is recorded instead of dialled.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from interlock.tools.http import url
from interlock.tools.http.client import Client
from interlock.tools.http.dial import Connect, Dialler
from interlock.tools.http.meter import Meter
from interlock.tools.http.reach import Reach, Rule
from interlock.tools.http.scope import Request
from interlock.tools.http.spec import Limits
from interlock.tools.http.table import Address
from interlock.tools.kind import Proof, ScopeError, ToolFailed

METADATA = "169.254.169.254 168.63.129.16 100.100.100.200 192.0.0.192 169.254.170.2 fd00:ec2::254 fd20:ce::254".split()
PRIVATE = "10.0.0.1 172.16.0.1 192.168.0.1 100.64.0.1 0.0.0.0 ::1 fc00::1 fe80::1 ::ffff:10.0.0.1 64:ff9b::a00:1 \
2002:a00:1:: 64:ff9b:1::a00:1 ::10.0.0.1".split()
PUBLIC = "93.184.216.34"  # never dialled: the connection is a pair of sockets of ours
RESIDUAL = "services on public addresses that trust the sender's address; covert channels in what is asked of them"


def prove(dialler: Dialler, limits: Limits, tls: ssl.SSLContext) -> tuple[Proof, ...]:
    """What was tried, and whether it failed as it should."""
    canary = socket.create_server(("127.0.0.1", 0))
    canary.setblocking(False)  # noqa: FBT003 - the socket's own signature
    try:
        port = canary.getsockname()[1]
        return (
            _loopback(dialler, canary, port),
            _literals(dialler, METADATA, "no cloud metadata address is dialled"),
            _literals(dialler, PRIVATE, "no private address is dialled, in whatever IPv6 form"),
            _mixed(dialler),
            _redirect(dialler, limits, tls, canary, port),
        )
    finally:
        canary.close()


def _meter() -> Meter:
    return Meter(deadline=time.monotonic() + 1, bytes_left=100_000, clock=time.monotonic)


def _recording(dialler: Dialler, answers: Sequence[str]) -> tuple[Dialler, list[Address]]:
    dialled: list[Address] = []

    def connect(address: Address, port: int, seconds: float) -> socket.socket:  # noqa: ARG001 - a `Connect`
        dialled.append(address)
        raise OSError("recorded, not dialled")

    return replace(dialler, connect=connect, resolve=lambda host, seconds: answers), dialled  # noqa: ARG005


def _visited(canary: socket.socket) -> bool:
    try:
        canary.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def _loopback(dialler: Dialler, canary: socket.socket, port: int) -> Proof:
    named = replace(dialler, resolve=lambda host, seconds: ["127.0.0.1"])  # noqa: ARG005 - a `Resolver`
    for each, host in ((dialler, "127.0.0.1"), (dialler, "::ffff:127.0.0.1"), (named, "canary.example.com")):
        with suppress(ToolFailed):
            each.dial(host, port, _meter()).close()
    held = not _visited(canary)
    return Proof(
        layer="gate",
        claim="this machine's own ports are not dialled, by address or by name",
        held=held,
        evidence=f"a canary on 127.0.0.1:{port} saw {'no' if held else 'a'} connection",
        residual=RESIDUAL,
    )


def _literals(dialler: Dialler, addresses: Sequence[str], claim: str) -> Proof:
    through = []
    for text in addresses:
        for host in (text, "canary.example.com"):
            recording, dialled = _recording(dialler, [text])
            with suppress(ToolFailed):
                recording.dial(host, 80, _meter())
            through += dialled
    evidence = f"dialled {', '.join(map(str, through))}" if through else f"{len(addresses)} addresses, none dialled"
    return Proof(layer="gate", claim=claim, held=not through, evidence=evidence)


def _mixed(dialler: Dialler) -> Proof:
    recording, dialled = _recording(dialler, [PUBLIC, "10.0.0.1"])
    with suppress(ToolFailed):
        recording.dial("canary.example.com", 443, _meter())
    return Proof(
        layer="gate",
        claim="one private answer among several refuses the name",
        held=not dialled,
        evidence=f"dialled {dialled[0]}" if dialled else "nothing dialled",
    )


def _redirect(dialler: Dialler, limits: Limits, tls: ssl.SSLContext, canary: socket.socket, port: int) -> Proof:
    """A server that sends us to the canary, by address and by name; it is the other end of a pair of sockets."""
    rule = Rule(host="*", schemes=frozenset({"http"}), ports=frozenset({port}), methods=frozenset({"GET"}))
    seen = []
    for where in ("127.0.0.1", "inside.example.com"):
        own = replace(dialler, connect=_towards(dialler, f"http://{where}:{port}/"), resolve=_resolve)
        client = Client(
            reach=Reach((rule,), dialler.judge), dialler=own, limits=replace(limits, seconds=1), redirects=3, tls=tls
        )
        try:
            client.fetch(Request(method="GET", target=url.parse(f"http://canary.example.com:{port}/")))
            seen.append("it was followed")
        except (ScopeError, ToolFailed) as error:
            seen.append(f"`{where}`: {error}")
        finally:
            client.close()
    held = "it was followed" not in seen and not _visited(canary)
    return Proof(
        layer="gate", claim="a redirect to a private address is not followed", held=held, evidence="; ".join(seen)
    )


def _resolve(host: str, seconds: float) -> Sequence[str]:  # noqa: ARG001 - a `Resolver`
    return ["127.0.0.1" if host == "inside.example.com" else PUBLIC]


def _towards(dialler: Dialler, location: str) -> Connect:
    def connect(address: Address, port: int, seconds: float) -> socket.socket:
        if str(address) != PUBLIC:
            return dialler.connect(address, port, seconds)
        ours, theirs = socket.socketpair()
        threading.Thread(target=_redirecting, args=(theirs, location), daemon=True).start()
        return ours

    return connect


def _redirecting(sock: socket.socket, location: str) -> None:
    with sock, suppress(OSError):
        sock.recv(65536)
        sock.sendall(f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())
