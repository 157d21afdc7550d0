"""What the gateway answers in place of a provider, in the dialect that the client speaks.

The texts are ours and constant: nothing of a request, a rule or another answer stands in them. `code` is for programs,
and counts as a label in the metrics.
"""

from __future__ import annotations

from enum import StrEnum

import orjson

from interlock.kernel.errors import InterlockError


class GatewayError(InterlockError):
    """The gateway cannot be started as it is configured."""


class Dialect(StrEnum):
    """Whose API a route imitates."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class Refusal(InterlockError):
    """A request that is answered by the gateway itself, with this status."""

    def __init__(self, status: int, code: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.retry_after = status, code, retry_after

    def body(self, dialect: Dialect) -> bytes:
        """The error as an SDK of `dialect` reads it."""
        return orjson.dumps(error(dialect, self.status, self.code, str(self)))

    def headers(self) -> list[tuple[bytes, bytes]]:
        """What a client needs to know beside the body: whether to come again, and when."""
        found = [(b"content-type", b"application/json"), (b"x-interlock-refusal", self.code.encode())]
        if self.status in {408, 413}:
            found.append((b"connection", b"close"))  # what is left of the body is not waited for
        if self.retry_after is None:
            # The SDKs ask again by themselves after 408, 409, 429 and 5xx; what is refused for good must not be.
            return [*found, (b"x-should-retry", b"false")]
        return [*found, (b"retry-after", str(max(1, round(self.retry_after))).encode())]


def error(dialect: Dialect, status: int, code: str, message: str) -> dict[str, object]:
    """The body of an error."""
    match dialect:
        case Dialect.OPENAI:
            kind = _OPENAI.get(status, "server_error" if status >= 500 else "invalid_request_error")  # noqa: PLR2004 - HTTP
            return {"error": {"message": message, "type": kind, "param": None, "code": code}}
        case Dialect.ANTHROPIC:
            kind = _ANTHROPIC.get(status, "api_error" if status >= 500 else "invalid_request_error")  # noqa: PLR2004 - HTTP
            return {"type": "error", "error": {"type": kind, "message": message}, "request_id": None}


_OPENAI = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_ANTHROPIC = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
