"""Tells another service that somebody is asked: a signed POST, from a worker that no call waits for.

    Interlock-Signature: t=1795447799,v1=HEX      HMAC-SHA256 of `t.id.body` under the shared secret
    Interlock-Id: the question's id                the same in every try

The payload says what a human must know to go and look, with every value redacted. It approves nothing: the answer goes
through the API, with an approver's token. What is not delivered is lost; the question is in the store all the same.
"""

from __future__ import annotations

import hmac
import http.client
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from queue import Full, Queue
from threading import Event, Thread
from typing import Any, cast
from urllib.parse import urlsplit

from interlock.approvals.entry import Entry
from interlock.kernel.call import Json, canonical
from interlock.monitor.errors import ApprovalError
from interlock.monitor.ports import Redactor

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
MIN_SECRET = 16  # bytes
QUEUE = 256  # messages
PAUSES = (1.0, 4.0, 15.0, 60.0)  # seconds between tries
TOLERANCE = 300.0  # seconds that a message may be old, for receivers


@dataclass(slots=True)
class Delivered:
    """What became of the messages."""

    sent: int = 0
    failed: int = 0  # given up
    dropped: int = 0  # the queue was full, or the redactor failed


class Webhook:
    """Posts new questions to `url`, which is https, or this machine."""

    def __init__(
        self,
        url: str,
        secret: bytes,
        *,
        redact: Redactor,
        pauses: tuple[float, ...] = PAUSES,
        patience: float = 10.0,
        clock: Callable[[], float] = time.time,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """`patience` (s) is for each step of a try.

        Raises:
            ApprovalError: the address is none that may be posted to, or the secret is short.
        """
        self._host, self._port, self._path, self._secure = _target(url)
        if len(secret) < MIN_SECRET:
            raise ApprovalError(f"the webhook's secret has fewer than {MIN_SECRET} bytes; use a drawn one")
        self._secret, self._redact, self._pauses, self._patience = secret, redact, pauses, patience
        self._clock = clock
        self._context = context or (ssl.create_default_context() if self._secure else None)
        self._queue: Queue[tuple[str, bytes] | None] = Queue(QUEUE)
        self._stop = Event()
        self.delivered = Delivered()
        self._worker = Thread(target=self._work, name="interlock-webhook", daemon=True)
        self._worker.start()

    def __call__(self, entry: Entry) -> None:
        """Have the news of `entry` delivered some time soon. Never waits, never raises."""
        try:
            body = canonical(payload(entry, self._redact))
            self._queue.put_nowait((entry.id, body))
        except (Full, ApprovalError):
            self.delivered.dropped += 1

    def close(self, timeout: float = 5.0) -> None:
        """Deliver what is waiting, for `timeout` seconds at most."""
        with suppress(Full):
            self._queue.put(None, timeout=timeout)
        self._worker.join(timeout)
        self._stop.set()

    def _work(self) -> None:
        while (item := self._queue.get()) is not None and not self._stop.is_set():
            if self._deliver(*item):
                self.delivered.sent += 1
            else:
                self.delivered.failed += 1

    def _deliver(self, ref: str, body: bytes) -> bool:
        for pause in (*self._pauses, None):
            try:
                status = self._post(ref, body)
            except (OSError, ValueError, http.client.HTTPException):
                status = 0
            if 200 <= status < 300:  # noqa: PLR2004 - HTTP
                return True
            if 300 <= status < 500 and status not in {408, 429}:  # noqa: PLR2004 - HTTP: it will not like it later
                return False
            if pause is None or self._stop.wait(pause):
                return False
        return False

    def _post(self, ref: str, body: bytes) -> int:
        connection = (
            http.client.HTTPSConnection(self._host, self._port, timeout=self._patience, context=self._context)
            if self._secure
            else http.client.HTTPConnection(self._host, self._port, timeout=self._patience)
        )
        try:
            headers = {
                "Content-Type": "application/json",
                "Interlock-Id": ref,
                "Interlock-Signature": signature(self._secret, ref, body, self._clock()),
            }
            connection.request("POST", self._path, body, headers)
            return connection.getresponse().status  # redirects are not followed
        finally:
            connection.close()


def payload(entry: Entry, redact: Redactor) -> dict[str, object]:
    """What leaves: no value that has not passed `redact`.

    Raises:
        ApprovalError: the redactor failed; nothing leaves.
    """
    terms = entry.terms
    free = {"agent": terms.agent, "principal": terms.principal, "run": terms.run, "arguments": entry.kept.get("shown")}
    try:
        told = cast("Mapping[str, Any]", redact(cast("Json", free)))
        return {
            **told,
            "event": "approval.asked",
            "id": entry.id,
            "digest": terms.digest,
            "tool": terms.tool,
            "effect": entry.content.get("effect"),
            "rules": sorted(terms.rules),
            "asked": entry.asked,
            "expires": entry.expires,
            "needed": terms.need.count,
            "approvers": sorted(terms.need.may),
        }
    except Exception as error:
        raise ApprovalError(f"the webhook's payload could not be redacted: {type(error).__name__}") from error


def signature(secret: bytes, ref: str, body: bytes, now: float) -> str:
    """The header for `body` at `now`."""
    stamp = str(int(now))
    return f"t={stamp},v1={hmac.digest(secret, f'{stamp}.{ref}.'.encode() + body, 'sha256').hex()}"


def verified(secret: bytes, header: str, ref: str, body: bytes, *, now: float, tolerance: float = TOLERANCE) -> bool:
    """For receivers: whether `header` signs `body`, and not long ago. Remember `ref`: a message may come twice."""
    stamp, _, _ = header.removeprefix("t=").partition(",")
    if not (stamp.isascii() and stamp.isdecimal()) or abs(now - int(stamp)) > tolerance:
        return False
    return hmac.compare_digest(header.encode(), signature(secret, ref, body, int(stamp)).encode())


def _target(url: str) -> tuple[str, int | None, str, bool]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ApprovalError("the webhook's address is no URL") from None
    if parts.username is not None or parts.password is not None or parts.fragment or not host:
        raise ApprovalError("the webhook's address is a plain URL: no user, no password, no fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in LOCAL):
        raise ApprovalError("the webhook's address begins with `https://`; plain http is for this machine only")
    if not url.isascii() or any(c.isspace() or not c.isprintable() for c in url):
        raise ApprovalError("the webhook's address has characters that no URL has")
    return host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), parts.scheme == "https"
