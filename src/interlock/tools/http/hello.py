"""The name that a TLS client asks for (SNI), read from its first message (RFC 8446, 4.1.2; RFC 6066, 3)."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from interlock.tools.http.errors import BadAnswer
from interlock.tools.http.meter import Meter

MAX_HELLO = 16 * 1024  # bytes; with post-quantum keys about 2,000
_HANDSHAKE, _CLIENT_HELLO, _SERVER_NAME, _HOST = 22, 1, 0, 0
_ENCRYPTED = 0xFE0D  # encrypted client hello: the name that counts cannot be read


def read(client: socket.socket, start: bytes, meter: Meter) -> bytes:
    """The bytes up to the end of the first message; more may have come along."""
    data = start
    while len(data) < _needed(data):
        client.settimeout(meter.seconds(10.0))
        more = client.recv(MAX_HELLO)
        meter.took(len(more))
        if not more:
            raise BadAnswer("the tunnel ends before TLS starts")
        data += more
    return data


def _needed(data: bytes) -> int:
    """Bytes of `data` that the first record has; a message in several records is refused by `server_name`."""
    if data and data[0] != _HANDSHAKE:
        return 0
    return 5 + min(int.from_bytes(data[3:5]), MAX_HELLO) if len(data) >= 5 else 5  # noqa: PLR2004 - a record's head


def server_name(data: bytes) -> str:
    """The name in lower case; empty when there is none that can be read."""
    try:
        return _server_name(data)
    except (IndexError, UnicodeDecodeError):
        return ""


@dataclass(slots=True)
class _Bytes:
    data: bytes

    def take(self, count: int) -> bytes:
        if len(self.data) < count:
            raise IndexError
        out, self.data = self.data[:count], self.data[count:]
        return out

    def block(self, size: int) -> bytes:
        """What follows its own length, which has `size` bytes."""
        return self.take(int.from_bytes(self.take(size)))


def _server_name(data: bytes) -> str:
    record = _Bytes(data)
    if record.take(1)[0] != _HANDSHAKE:
        return ""
    record.take(2)
    message = _Bytes(record.block(2))
    if message.take(1)[0] != _CLIENT_HELLO:
        return ""
    body = _Bytes(message.block(3))
    body.take(2 + 32)  # version, random
    body.block(1)  # session
    body.block(2)  # ciphers
    body.block(1)  # compression
    extensions = _Bytes(body.block(2))
    found = []
    while extensions.data:
        kind = int.from_bytes(extensions.take(2))
        value = extensions.block(2)
        if kind == _ENCRYPTED:
            return ""
        if kind == _SERVER_NAME:
            names = _Bytes(_Bytes(value).block(2))
            while names.data:
                if names.take(1)[0] != _HOST:
                    return ""
                found.append(names.block(2).decode("ascii").lower())
    return found[0] if len(found) == 1 else ""
