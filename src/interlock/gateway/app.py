"""The gateway as an ASGI application: a dozen routes, and a refusal for everything else.

A route is an exact path and method. What a provider offers beside these (batches, files, assistants, realtime, agents
that run at the provider) could carry calls that nobody here would see, so it is not there.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hmac import compare_digest
from typing import Any, Protocol

import orjson

from interlock.gateway.auth import Doorkeeper
from interlock.gateway.errors import Dialect, Refusal, error
from interlock.gateway.limits import Admission, ClientGone, Receive, Scope, Send, Stalls, Writer, read_body
from interlock.gateway.mediate import Exchange, Request, Service
from interlock.gateway.protocol import ABORT, GONE
from interlock.gateway.telemetry import Tracer
from interlock.logs import Redacts
from interlock.wire.errors import WireError
from interlock.wire.format import Format

RUN = re.compile(r"[A-Za-z0-9._:-]{1,128}")
JSON = (b"content-type", b"application/json")
QUERIES = {b"": "", b"beta=true": "?beta=true"}  # what Claude Code adds; other queries steer what we do not know
log = logging.getLogger("interlock.gateway")


@dataclass(frozen=True, slots=True)
class Route:
    """What an address means. `kind`: create, count, models."""

    kind: str
    dialect: Dialect
    format: str = ""


class Mounted(Protocol):
    """Another part of the service below a prefix: the approvals API."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        ...


def routes() -> dict[tuple[str, str], Route]:
    """Every address. With and without `/v1`, and with two: SDKs do not agree on which part of it is the base URL."""
    found: dict[tuple[str, str], Route] = {}
    for prefix in ("", "/v1", "/v1/v1"):
        found["POST", f"{prefix}/chat/completions"] = Route("create", Dialect.OPENAI, "chat")
        found["POST", f"{prefix}/responses"] = Route("create", Dialect.OPENAI, "responses")
        found["POST", f"{prefix}/messages"] = Route("create", Dialect.ANTHROPIC, "anthropic")
        found["POST", f"{prefix}/messages/count_tokens"] = Route("count", Dialect.ANTHROPIC, "anthropic")
        found["GET", f"{prefix}/models"] = Route("models", Dialect.OPENAI)
    return found


@dataclass(slots=True, kw_only=True)
class Gateway:
    """The application. `open` and `close` are its lifespan."""

    service: Service
    doorkeeper: Doorkeeper
    formats: Mapping[str, Format]
    operator: Callable[[str], bool] | None  # whether this token is the operator's; None: everybody is
    posture: Callable[[], dict[str, object]]
    away: Callable[[], str] = lambda: ""  # why the stores do not serve now
    approvals: Mounted | None = None
    tracer: Tracer = field(default_factory=Tracer)
    on_close: Sequence[Callable[[], object]] = ()
    redaction: Redacts | None = None  # of what this process logs
    _routes: dict[tuple[str, str], Route] = field(default_factory=routes)
    admission: Admission = field(init=False)
    _stalls: Stalls = field(init=False)

    def __post_init__(self) -> None:
        self.admission = Admission(self.service.settings)
        self._stalls = Stalls(self.service.settings.write_timeout)

    async def open(self) -> None:
        """Be ready for requests."""
        await self.service.client.open()
        self._stalls.start()

    async def close(self) -> None:
        """Give everything back; the audit is on the disk when this returns."""
        self.stop()
        self._stalls.stop()
        await self.service.client.close()
        for close in self.on_close:
            await asyncio.to_thread(close)

    def stop(self) -> None:
        """Take no new requests; those at work may end."""
        self.admission.closing = True
        self.service.closing.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or live through one life."""
        match scope["type"]:
            case "http":
                await self._http(scope, receive, send)
            case "lifespan":
                await self._lifespan(receive, send)
            case _:
                await send({"type": "websocket.close", "code": 1008})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self.open()
                except Exception as problem:  # noqa: BLE001 - entry point: the server says why and stops
                    await send({"type": "lifespan.startup.failed", "message": str(problem)})
                    return
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        if path in _OPERATIONS:
            await self._operate(path, method, scope, send)
            return
        if self.approvals is not None and path.startswith("/approvals"):
            await self.approvals(scope, receive, send)
            return
        route = self._routes.get((method, path))
        name = _name(route)
        metrics = self.service.metrics
        began = time.perf_counter()
        writer = Writer(send)
        dialect = route.dialect if route else _dialect(path)
        try:
            if route is None:
                raise Refusal(404, "not_found", "this gateway has no such route")  # noqa: TRY301
            with self.admission.request():
                await self._routed(route, scope, receive, writer)
        except Refusal as refusal:
            metrics.refusals.add(refusal.code)
            if not writer.started:
                await _answer(writer, refusal.status, refusal.body(dialect), refusal.headers())
        except ClientGone:
            metrics.aborted.add("client_gone")
        except _Stalled:
            scope["extensions"][ABORT]["abort"]()
        except Exception as problem:  # noqa: BLE001 - entry point: nothing of it may reach the client
            log.error("a request failed: %s", type(problem).__name__)  # noqa: TRY400 - a traceback could quote content
            metrics.aborted.add("broken")
            if not writer.started:
                body = orjson.dumps(error(dialect, 500, "internal", "this gateway could not answer"))
                await _answer(writer, 500, body, [JSON, (b"x-should-retry", b"false")])
        finally:
            metrics.requests.add(name, str(writer.status) if writer.started else "none")
            metrics.duration.observe(time.perf_counter() - began, name)

    async def _routed(self, route: Route, scope: Scope, receive: Receive, writer: Writer) -> None:
        headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        subject = await self.doorkeeper.subject(headers, lambda: self.service.client.session)
        with self.admission.of(subject.key):
            if route.kind == "models":
                await self._models(headers, writer)
                return
            declared = _length(headers)
            query = QUERIES.get(scope["query_string"])
            if query is None:
                raise Refusal(400, "unknown_query", "this gateway knows no such query")
            with self.admission.room() as take:
                body = await read_body(receive, take, declared, self.service.settings.body_timeout)
                request = Request(
                    format=self.formats[route.format],
                    dialect=route.dialect,
                    body=body,
                    headers=headers,
                    query=query,
                    subject=subject,
                    named=_named(headers),
                )
                await self._watched(route, request, scope, writer)

    async def _watched(self, route: Route, request: Request, scope: Scope, writer: Writer) -> None:
        """Serve until the client has everything, goes away, or stops reading."""
        task = asyncio.current_task()
        watch = scope["extensions"][GONE]["watch"]
        if task is not None:
            watch(partial(task.cancel, "gone"))
        try:
            with self._stalls.watching(writer):
                if route.kind == "count":
                    await self._count(request, writer)
                else:
                    with self.tracer.request(request) as span:
                        exchange = Exchange(self.service, request, writer)
                        try:
                            await exchange.serve()
                        finally:
                            span.ended(exchange)
        except asyncio.CancelledError as why:
            if why.args not in {("gone",), ("stalled",)}:
                raise
            if task is not None:
                task.uncancel()
            self.service.metrics.aborted.add("client_gone" if why.args == ("gone",) else "client_stalled")
            if why.args == ("stalled",):
                raise _Stalled from None
        finally:
            watch(None)

    async def _count(self, request: Request, writer: Writer) -> None:
        """Count tokens at the provider: the request is read as any other, and no call can come of it."""
        service = self.service
        try:
            view = request.format.read(request.body, service.allowed)
        except WireError as problem:
            raise Refusal(400, "invalid_request", str(problem)) from None
        if view.problems:
            raise Refusal(400, view.problems[0].code.replace("-", "_"), view.problems[0].why)
        upstream = service.routes.to(view.model, request.dialect)
        path = f"{request.format.path}/count_tokens"
        async with service.client.ask(upstream, path, request.body, request.headers, request.query) as answer:
            raw = await answer.whole()
            try:
                told: Any = orjson.loads(raw)
            except ValueError:
                told = None
            if answer.status == 200:  # noqa: PLR2004 - HTTP
                count = told.get("input_tokens") if isinstance(told, dict) else None
                if type(count) is not int:
                    raise Refusal(502, "upstream_error", "the provider's answer makes no sense")
                await _answer(writer, 200, orjson.dumps({"input_tokens": count}), [*answer.headers, JSON])
                return
            status = answer.status if answer.status >= 400 else 502  # noqa: PLR2004 - HTTP
            body = request.format.error(status, "the provider refused to count")
            await _answer(writer, status, body, [*answer.headers, JSON])

    async def _models(self, headers: Sequence[tuple[bytes, bytes]], writer: Writer) -> None:
        names = self.service.routes.models
        if any(name == b"anthropic-version" for name, _ in headers):
            listed = [
                {"type": "model", "id": n, "display_name": n, "created_at": "1970-01-01T00:00:00Z"} for n in names
            ]
            ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
            body: dict[str, object] = {"data": listed, "has_more": False} | ends
        else:
            body = {
                "object": "list",
                "data": [{"id": n, "object": "model", "created": 0, "owned_by": ""} for n in names],
            }
        await _answer(writer, 200, orjson.dumps(body), [JSON])

    async def _operate(self, path: str, method: str, scope: Scope, send: Send) -> None:
        writer = Writer(send)
        if method not in {"GET", "HEAD"}:
            await _answer(writer, 405, b"", [(b"allow", b"GET")])
        elif path == "/healthz":  # alive; touches nothing, so that a store that is away restarts nobody
            await _answer(writer, 200, b'{"status":"ok"}', [JSON])
        elif path == "/readyz":
            away = self.away()
            ready = not self.admission.closing and not away
            told: dict[str, object] = {
                "status": "ready" if ready else "stopping" if self.admission.closing else "store away"
            }
            if self._is_operator(scope["headers"]):
                try:
                    if away:
                        told |= {"why": away}
                    told |= {"posture": await asyncio.to_thread(self.posture)}
                except Exception as problem:  # noqa: BLE001 - a port is away: that is what this route is asked
                    ready, told = False, {"status": "broken", "why": type(problem).__name__}
            await _answer(writer, 200 if ready else 503, orjson.dumps(told, default=str), [JSON])
        elif not self._is_operator(scope["headers"]):
            await _answer(writer, 404, b"", [])
        else:
            metrics = self.service.metrics
            metrics.active.set(self.admission.active)
            kind = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
            await _answer(writer, 200, metrics.text().encode(), [kind])

    def _is_operator(self, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        if self.operator is None:
            return True
        given = [value for name, value in headers if name == b"authorization"]
        scheme, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        return scheme.lower() == b"bearer" and token.isascii() and self.operator(token.strip().decode())


_OPERATIONS = frozenset({"/healthz", "/readyz", "/metrics"})


class _Stalled(Exception):
    """The client does not read."""


def token_is(reveal: Callable[[], str]) -> Callable[[str], bool]:
    """Whether a token is the one that `reveal` gives; in constant time."""

    def check(token: str) -> bool:
        return compare_digest(token.encode(), reveal().encode())

    return check


async def _answer(writer: Writer, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    await writer.start(status, [*headers, (b"content-length", str(len(body)).encode())])
    await writer.end(body)


def _length(headers: Sequence[tuple[bytes, bytes]]) -> int | None:
    declared: int | None = None
    for name, value in headers:
        match name:
            case b"content-length":
                declared = int(value)  # the parser has seen to it that it is one number, and there once
            case b"content-encoding" if value.strip().lower() != b"identity":
                raise Refusal(415, "encoded_body", "send the body without `content-encoding`")
            case b"content-type" if not value.lower().startswith(b"application/json"):
                raise Refusal(415, "not_json", "send the body as `application/json`")
            case _:
                pass
    return declared


def _named(headers: Sequence[tuple[bytes, bytes]]) -> str:
    found = [value for name, value in headers if name == b"x-interlock-run"]
    if not found:
        return ""
    name = found[0].decode("latin-1")
    if len(found) > 1 or not RUN.fullmatch(name):
        raise Refusal(
            400, "invalid_run", "`x-interlock-run` must be 1 to 128 letters, digits, `.`, `_`, `:` or `-`, once"
        )
    return name


def _dialect(path: str) -> Dialect:
    return Dialect.ANTHROPIC if "/messages" in path else Dialect.OPENAI


def _name(route: Route | None) -> str:
    return "none" if route is None else route.kind if route.kind == "models" else f"{route.format}:{route.kind}"
