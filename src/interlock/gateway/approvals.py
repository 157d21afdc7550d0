"""The approvals API on the gateway's port: bodies bounded, tokens looked up, everything else as `approvals.api` says.

It knows approvers, never agents: an agent's key opens nothing here, so that what asks cannot answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import orjson

from interlock.approvals.api import MAX_BODY, ApprovalsApi
from interlock.gateway.auth import Keys, presented
from interlock.gateway.errors import Refusal
from interlock.gateway.limits import ClientGone, Receive, Scope, Send, Writer, read_body

JSON = (b"content-type", b"application/json")


class Approvals:
    """`ApprovalsApi` over ASGI."""

    def __init__(self, api: ApprovalsApi, approvers: Keys, *, seconds: float) -> None:
        self._api, self._approvers, self._seconds = api, approvers, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        writer = Writer(send)
        headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        try:
            by = await asyncio.to_thread(self._by, headers)
            body = await read_body(receive, _bounded(), None, self._seconds)
        except Refusal as refusal:
            await _answer(writer, refusal.status, {"error": str(refusal)})
            return
        except ClientGone:
            return
        named = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        method, path = scope["method"], scope["path"]
        status, told = await asyncio.to_thread(self._api, method, path, named, body, by)
        await _answer(writer, status, told)

    def _by(self, headers: Sequence[tuple[bytes, bytes]]) -> str | None:
        key, _ = presented(headers)
        try:
            found = self._approvers.find(key) if key else None
        except Exception:  # noqa: BLE001 - a port: nobody is let in
            raise Refusal(503, "keys_unavailable", "keys cannot be checked now; try again") from None
        return None if found is None else found.name


def _bounded() -> Callable[[int], None]:
    left = MAX_BODY

    def take(count: int) -> None:
        nonlocal left
        left -= count
        if left < 0:
            raise Refusal(413, "body_too_large", f"the body is larger than {MAX_BODY} bytes")

    return take


async def _answer(writer: Writer, status: int, told: dict[str, object]) -> None:
    body = orjson.dumps(told, default=str)
    head = [JSON, (b"cache-control", b"no-store"), (b"content-length", str(len(body)).encode())]
    await writer.start(int(status), head)
    await writer.end(body)
