"""The providers: where they are, what they are sent, and the only place where their keys are.

A request to a provider is made anew: of the client's headers, those in `FORWARDED` go along and no others, so that
neither its own credentials nor anything that steers a proxy or the provider's account gets past. Redirects are not
followed; answers are neither compressed nor longer than the settings say. One session, kept open, for each worker.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from interlock.config import Settings
from interlock.gateway.connection import Connector
from interlock.gateway.errors import Dialect, GatewayError, Refusal
from interlock.policy.part_gateway import GatewayPart

# Which of the client's headers a provider may see.
FORWARDED = frozenset(
    {
        b"accept-language",
        b"anthropic-beta",
        b"anthropic-version",
        b"idempotency-key",
        b"user-agent",
        b"x-client-request-id",
    }
)
# Which of the provider's headers a client may see; beside them what begins with one of `ANSWERED_PREFIX`.
ANSWERED = frozenset(
    {"openai-processing-ms", "openai-version", "request-id", "retry-after", "x-request-id", "x-should-retry"}
)
ANSWERED_PREFIX = ("anthropic-ratelimit-", "x-ratelimit-")
# Features of Anthropic's that add no tool which runs at the provider. Others are named in the manifest.
BETAS = frozenset(
    {
        "claude-code-20250219",
        "context-1m-2025-08-07",
        "extended-cache-ttl-2025-04-11",
        "fine-grained-tool-streaming-2025-05-14",
        "interleaved-thinking-2025-05-14",
        "output-128k-2025-02-19",
        "prompt-caching-2024-07-31",
        "token-counting-2024-11-01",
        "token-efficient-tools-2025-02-19",
    }
)
# What says that a provider is not well, beside a status of 5xx. What stands in an answer never does: whoever writes
# what a model reads could otherwise close the provider to everybody.
FAULTS = frozenset({"upstream_broken", "upstream_timeout", "upstream_unreachable"})
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_PIECE = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """One provider."""

    name: str
    url: str
    dialect: Dialect
    handle: str  # of the key; empty: it needs none

    def headers(self, reveal: Callable[[str], str]) -> dict[str, str]:
        """What it takes for credentials. Made for each request and kept nowhere (M7)."""
        if not self.handle:
            return {}
        match self.dialect:
            case Dialect.OPENAI:
                return {"authorization": f"Bearer {reveal(self.handle)}"}
            case Dialect.ANTHROPIC:
                return {"x-api-key": reveal(self.handle)}


def upstreams(part: GatewayPart) -> dict[str, Upstream]:
    """The providers of the manifest.

    Raises:
        GatewayError: one of them cannot be spoken to safely, or a model is served by none.
    """
    found = {}
    for name, given in part.upstreams.items():
        try:
            dialect = Dialect(given.dialect or name)
        except ValueError:
            raise GatewayError(f"`gateway.upstreams.{name}` needs a `dialect`: `openai` or `anthropic`") from None
        where = urlsplit(given.url)
        if not where.hostname:
            raise GatewayError(f"`gateway.upstreams.{name}.url` names no host")
        if where.scheme != "https" and where.hostname not in _LOCAL and not given.unsafe_plain_http:
            raise GatewayError(
                f"`gateway.upstreams.{name}.url` is not https: its key would go unencrypted to another machine",
                hint="`unsafe_plain_http: true` allows it, in a private network",
            )
        found[name] = Upstream(name=name, url=given.url.rstrip("/"), dialect=dialect, handle=given.key or "")
    if wrong := [f"`{model}`: `{name}`" for model, name in part.models.items() if name not in found]:
        raise GatewayError(f"`gateway.models` names a provider that is not in `gateway.upstreams`: {wrong[0]}")
    return found


class Routes:
    """Which provider serves a model."""

    def __init__(self, part: GatewayPart, providers: Mapping[str, Upstream]) -> None:
        self._exact = {m: providers[n] for m, n in part.models.items() if not m.endswith("*")}
        prefixes = [(m[:-1], providers[n]) for m, n in part.models.items() if m.endswith("*")]
        self._prefixes = sorted(prefixes, key=lambda entry: -len(entry[0]))  # the longest that fits counts
        self._open = not part.models
        self._by_dialect = {d: [u for u in providers.values() if u.dialect is d] for d in Dialect}
        self.models = sorted(self._exact)

    def to(self, model: str, dialect: Dialect) -> Upstream:
        """The provider of `model` for requests in `dialect`.

        Raises:
            Refusal: there is none, or it speaks another dialect.
        """
        found = self._exact.get(model) or next((u for p, u in self._prefixes if model.startswith(p)), None)
        if found is None and self._open:
            speaking = self._by_dialect[dialect]
            found = speaking[0] if len(speaking) == 1 else None
        if found is None or found.dialect is not dialect:
            raise Refusal(404, "model_not_found", "this gateway serves no such model here")
        return found


class Answer:
    """A provider's answer, begun."""

    __slots__ = ("_content", "_left", "headers", "status", "streamed")

    def __init__(self, response: aiohttp.ClientResponse, limit: int) -> None:
        self.status = response.status
        self.headers = answered(response.headers.items())
        self.streamed = response.content_type == "text/event-stream"
        self._content = response.content
        self._left = limit

    async def read(self) -> bytes:
        """What has come of its body, as soon as something has; nothing at its end.

        Raises:
            Refusal: it broke off, stalled, or is too long.
        """
        try:
            piece = await self._content.readany()
        except TimeoutError:
            raise Refusal(504, "upstream_timeout", "the provider stopped answering", retry_after=1) from None
        except (aiohttp.ClientError, OSError):
            raise Refusal(502, "upstream_broken", "the provider's answer broke off", retry_after=1) from None
        self._left -= len(piece)
        if self._left < 0:
            raise Refusal(502, "answer_too_large", "the provider's answer is too large")
        return piece

    async def whole(self) -> bytes:
        """All of its body."""
        pieces = []
        while piece := await self.read():
            pieces.append(piece)
        return b"".join(pieces)


class Client:
    """The session towards all providers."""

    def __init__(self, settings: Settings, reveal: Callable[[str], str], betas: Iterable[str] = ()) -> None:
        """`betas` are further names of `anthropic-beta` that may pass."""
        self._settings = settings
        self._betas = BETAS | frozenset(betas)
        self._reveal = reveal
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the session; in the loop that will use it."""
        s = self._settings
        timeout = aiohttp.ClientTimeout(
            total=None, connect=None, sock_connect=s.connect_timeout, sock_read=s.answer_timeout
        )
        self._session = aiohttp.ClientSession(
            connector=Connector(limit=0, ttl_dns_cache=60, ssl=True),
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,  # no proxy and no .netrc of the environment gets a key
            skip_auto_headers=("user-agent", "accept", "accept-encoding"),
            read_bufsize=_PIECE,
        )

    async def close(self) -> None:
        """Give the connections back."""
        if self._session is not None:
            await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The session, for other clients of this process: the issuer's keys."""
        if self._session is None:
            raise GatewayError("the gateway is not open")
        return self._session

    @asynccontextmanager
    async def ask(
        self, upstream: Upstream, path: str, body: bytes, headers: Iterable[tuple[bytes, bytes]], query: str = ""
    ) -> AsyncIterator[Answer]:
        """The answer of `upstream` to `body`; left early, the request is broken off.

        Raises:
            Refusal: it cannot be reached, or what it says is no answer.
        """
        sent = {**forwarded(headers, self._betas), "content-type": "application/json", "accept-encoding": "identity"}
        url = f"{upstream.url}{path}{query}"
        try:
            request = self.session.post(
                url, data=body, headers=sent | upstream.headers(self._reveal), allow_redirects=False
            )
            response = await request
        except (TimeoutError, aiohttp.ServerTimeoutError):
            raise Refusal(504, "upstream_timeout", "the provider does not answer", retry_after=1) from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise Refusal(502, "upstream_unreachable", "the provider cannot be reached", retry_after=1) from None
        try:
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise Refusal(502, "upstream_encoded", "the provider's answer is compressed, which nobody asked for")
            if 300 <= response.status < 400:  # noqa: PLR2004 - HTTP
                raise Refusal(502, "upstream_redirect", "the provider answers from another address")
            yield Answer(response, self._settings.max_answer)
        finally:
            # A connection whose answer was not read to its end cannot be used again.
            if response.content.at_eof():
                response.release()
            else:
                response.close()


def forwarded(headers: Iterable[tuple[bytes, bytes]], betas: frozenset[str] = BETAS) -> dict[str, str]:
    """The client's headers that go along."""
    found = {}
    for name, value in headers:
        if name in FORWARDED and len(value) <= 1024 and value.isascii():  # noqa: PLR2004 - bytes
            text = value.decode("ascii")
            if name == b"anthropic-beta":
                text = ",".join(b for b in (part.strip() for part in text.split(",")) if b in betas)
            if text:
                found[name.decode("ascii")] = text
    return found


def answered(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """The provider's headers that a client may see."""
    found: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        low = name.lower()
        if low in ANSWERED or low.startswith(ANSWERED_PREFIX):
            found.append((low.encode("ascii"), value.encode("latin-1", "replace")))
    return found
