"""Sends one request and reads its answer within the limits. Nothing comes from the environment.

Redirects are an entry's choice. Each hop is parsed and admitted like a call of its own; the scheme and the port stay,
except from http to https; only reading methods follow; whatever is not common to all pages stays behind at the first
other origin, and secrets are never injected there.
"""

from __future__ import annotations

import ssl
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import httpcore2

from interlock.tools.http import url
from interlock.tools.http.backend import Backend, metered
from interlock.tools.http.dial import Dialler
from interlock.tools.http.errors import BadAnswer, TooMuch
from interlock.tools.http.headers import ACROSS_ORIGINS, check_injected
from interlock.tools.http.meter import OVERHEAD, Meter
from interlock.tools.http.reach import READING, Reach
from interlock.tools.http.scope import Request
from interlock.tools.http.spec import Limits
from interlock.tools.http.url import PORTS, Target
from interlock.tools.kind import ConfigError, Inject, ScopeError, ToolFailed

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_AGENT = "interlock"


def nothing(host: str, method: str) -> Mapping[str, str]:  # noqa: ARG001 - an `Inject`
    """No secret."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. `headers` have names in lower case, `body` is decoded."""

    target: Target  # after redirects
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Client:
    """Requests of one entry, each over a connection of its own: every one is resolved and checked anew."""

    def __init__(
        self,
        *,
        reach: Reach,
        dialler: Dialler,
        limits: Limits,
        redirects: int = 0,
        inject: Inject = nothing,
        tls: ssl.SSLContext,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reach, self._limits, self._redirects = reach, limits, redirects
        self._inject, self._clock = inject, clock
        self._pool = httpcore2.ConnectionPool(
            ssl_context=tls,
            max_connections=limits.connections,
            max_keepalive_connections=0,  # what a server said too early must not answer the next request
            http1=True,
            http2=False,
            retries=0,
            network_backend=Backend(dialler),
        )

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()

    def fetch(self, request: Request) -> Answer:
        """The answer to `request`, which was admitted.

        Raises:
            ToolFailed: there is none, or none within the limits.
            ScopeError: a redirect leaves the scope.
        """
        limits = self._limits
        meter = Meter(
            deadline=self._clock() + limits.seconds, bytes_left=limits.max_bytes + OVERHEAD, clock=self._clock
        )
        home = request.target.origin
        at_home, hops = True, 0
        with metered(meter):
            while True:
                answer = self._one(request, meter, self._secrets(request) if at_home else {})
                location = [value for name, value in answer.headers if name == "location"]
                follow = self._redirects and request.method in READING
                if not follow or not location or answer.status not in REDIRECTS:
                    return answer
                hops += 1
                if hops > self._redirects:
                    raise ScopeError(f"more than {self._redirects} redirects")
                target = self._hop(request, location)
                # Once away, a way back is the other origin's words: no secret follows them.
                at_home = at_home and target.origin == home
                kept = request.headers if at_home else {k: v for k, v in request.headers.items() if k in ACROSS_ORIGINS}
                request = replace(request, target=target, headers=kept)

    def _secrets(self, request: Request) -> Mapping[str, str]:
        try:
            return check_injected(self._inject(request.target.host, request.method))
        except ToolFailed:
            raise
        except Exception:  # noqa: BLE001 - an injector's own words may hold the secret
            raise ToolFailed("the secret for this host is not to be had") from None

    def _hop(self, request: Request, location: list[str]) -> Target:
        if len(set(location)) != 1:
            raise ScopeError("the redirect names two places")
        here, there = request.target, url.join(request.target, location[0])
        upgrade = (here.scheme, there.scheme) == ("http", "https") and here.port == 80 and there.port == PORTS["https"]  # noqa: PLR2004
        if (here.scheme, here.port) != (there.scheme, there.port) and not upgrade:
            raise ScopeError("the redirect changes scheme or port")
        self._reach.admit(request.method, there)
        return there

    def _one(self, request: Request, meter: Meter, injected: Mapping[str, str]) -> Answer:
        target = request.target
        fixed = {"host": target.authority, "accept-encoding": "identity", "connection": "close"}
        if request.body or request.method not in READING:
            fixed["content-length"] = str(len(request.body))
        sent = {"accept": "*/*", "user-agent": _AGENT} | dict(request.headers) | dict(injected) | fixed
        raw = httpcore2.Request(
            request.method,
            httpcore2.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.request),
            headers=[(name.encode("ascii"), value.encode("ascii")) for name, value in sent.items()],
            content=request.body or None,
            extensions={"timeout": {"pool": meter.seconds(self._limits.seconds)}},
        )
        try:
            response = self._pool.handle_request(raw)
        except httpcore2.PoolTimeout:
            raise TooMuch("too many requests at a time", hint="`connections` of the tool's entry") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException):
            raise BadAnswer("the server gave no valid answer") from None
        try:
            headers = self._headers(response)
            body = self._body(response, headers, head=request.method == "HEAD")
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException):
            raise BadAnswer("the server's answer broke off") from None
        finally:
            response.close()
        return Answer(target=target, status=response.status, headers=headers, body=body)

    def _headers(self, response: httpcore2.Response) -> tuple[tuple[str, str], ...]:
        if len(response.headers) > self._limits.max_headers:
            raise TooMuch("the answer has more headers than it may", hint="`max_headers` of the tool's entry")
        version = response.extensions.get("http_version")
        if not 200 <= response.status <= 599 or version not in {b"HTTP/1.0", b"HTTP/1.1"}:  # noqa: PLR2004 - nor 101
            raise BadAnswer("the server's answer is not one of HTTP/1.1")
        return tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers)

    def _body(self, response: httpcore2.Response, headers: tuple[tuple[str, str], ...], *, head: bool) -> bytes:
        most = self._limits.max_bytes
        too_large = TooMuch("the answer is larger than it may be", hint="`max_bytes` of the tool's entry")
        declared = next((value for name, value in headers if name == "content-length"), "")
        if not head and declared.isdigit() and int(declared[:20]) > most:
            raise too_large
        chunks, size = [], 0
        for chunk in response.iter_stream():
            size += len(chunk)
            if size > most:
                raise too_large
            chunks.append(chunk)
        raw = b"".join(chunks)
        codings = [c.strip().lower() for name, value in headers if name == "content-encoding" for c in value.split(",")]
        match [coding for coding in codings if coding not in {"", "identity"}]:
            case _ if not raw:
                return raw
            case []:
                return raw
            case ["gzip" | "x-gzip" | "deflate"]:  # unasked for, and common all the same
                return _inflate(raw, most)
            case _:
                raise BadAnswer("the answer is encoded in a way that was not asked for")


def _inflate(raw: bytes, most: int) -> bytes:
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # gzip or zlib, by its first bytes
    try:
        out = inflater.decompress(raw, most + 1)
    except zlib.error:
        raise BadAnswer("the answer is not encoded as it says") from None
    if len(out) > most:
        raise TooMuch("the answer is larger than it may be, once decoded", hint="`max_bytes` of the tool's entry")
    if not inflater.eof or inflater.unused_data:
        raise BadAnswer("the encoded answer breaks off, or goes on behind its end")
    return out


_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
)


def tls_context() -> ssl.SSLContext:
    """TLS 1.2 or later, against the machine's authorities, with certificate and name checked.

    Raises:
        ConfigError: the machine has no authorities.
    """
    # `default_ssl_context` of httpcore2 reads SSL_CERT_FILE, `create_default_context` SSLKEYLOGFILE.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    compiled_in = ssl.get_default_verify_paths().openssl_cafile  # whatever the environment says
    for place in (compiled_in, *_BUNDLES):
        with suppress(OSError):
            context.load_verify_locations(cafile=place)
            return context
    raise ConfigError("no certificate authorities are installed", hint="install the package `ca-certificates`")
