"""A provider that answers at once: `python -m bench.gateway.upstream PORT`. A word in the body chooses.

`paced` sends an event every 20 ms, `held` a call in pieces whose last one carries the time at which it was sent;
`events` is a stream of 50 events, anything else a plain answer of about 1 KB.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop

from bench.gateway.load import ANSWER

PACE = 0.02  # s between events of a paced stream
EVENTS = 50
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n%b\r\n"


def _chunk(delta: dict[str, object], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    data = b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


def _raw(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_MESSAGE = {"role": "assistant", "content": ANSWER}
_BODY = json.dumps(
    {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": _MESSAGE, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 500, "completion_tokens": 180, "total_tokens": 680},
    }
).encode()
PLAIN = HEAD % (b"application/json", b"content-length: %d\r\n" % len(_BODY)) + _BODY
STREAM = HEAD % (b"text/event-stream", b"transfer-encoding: chunked\r\n")
WORDS = [_chunk({"role": "assistant", "content": f"word{i} "}) for i in range(EVENTS)]
END = _chunk({}, "stop") + _raw(b"data: [DONE]\n\n") + b"0\r\n\r\n"
WHOLE = STREAM + b"".join(WORDS) + END


def _call(arguments: str, *, first: bool = False) -> bytes:
    function: dict[str, object] = {"arguments": arguments}
    call: dict[str, object] = {"index": 0, "function": function}
    if first:
        function["name"] = "send"
        call |= {"id": "call_1", "type": "function"}
    return _chunk({"tool_calls": [call]})


class Provider(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every whole request."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            start = head.find(b"content-length:")
            length = int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            body = self._buffer[end + 4 : end + 4 + length]
            self._buffer = self._buffer[end + 4 + length :]
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        write = self._transport.write  # type: ignore[attr-defined]
        if b'"events"' in body:
            write(WHOLE)
        elif b'"paced"' in body:
            asyncio.get_running_loop().create_task(self._paced())
        elif b'"held"' in body:
            asyncio.get_running_loop().create_task(self._held())
        else:
            write(PLAIN)

    async def _paced(self) -> None:
        write = self._transport.write  # type: ignore[attr-defined]
        write(STREAM)
        for word in WORDS:
            write(word)
            await asyncio.sleep(PACE)
        write(END)

    async def _held(self) -> None:
        write = self._transport.write  # type: ignore[attr-defined]
        write(STREAM + _call('{"to": "bob@example.com", "body": "', first=True))
        for _ in range(10):
            await asyncio.sleep(PACE / 4)
            write(_call("word "))
        await asyncio.sleep(PACE / 4)
        write(_call(f'{time.monotonic_ns()}"}}') + _chunk({}, "tool_calls") + _raw(b"data: [DONE]\n\n") + b"0\r\n\r\n")


async def serve(port: int) -> None:
    """Answer until killed."""
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
