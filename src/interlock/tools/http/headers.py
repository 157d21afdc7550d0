"""Which headers a request may bring along, and what becomes of an answer's.

Framing, routing, identity and credentials are the transport's: a header that changes where a request ends, whose it is
said to be, or which method it has, is refused, not dropped, so that nobody believes it was sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from interlock.tools.kind import ScopeError, ToolFailed

MAX_COUNT = 32
MAX_SIZE = 8192  # characters of names and values together
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_VALUE = re.compile(r"[\x20-\x7e\t]*")
HOP_BY_HOP = frozenset("connection keep-alive te trailer trailers transfer-encoding upgrade http2-settings".split())
_OURS = HOP_BY_HOP | frozenset(
    (
        "host content-length accept-encoding expect "  # framing, and what is decoded here
        "forwarded via x-real-ip x-client-ip x-cluster-client-ip true-client-ip cf-connecting-ip x-host "  # who asks
        "x-original-url x-original-host x-rewrite-url x-http-method x-http-method-override x-method-override "  # what
        "metadata metadata-flavor"  # the word that opens a cloud's metadata service
    ).split()
)
_PREFIXES = ("proxy-", "x-forwarded-", "x-aws-ec2-metadata-", "x-google-metadata-", "sec-", ":")
CREDENTIALS = frozenset("authorization cookie cookie2 x-api-key api-key x-auth-token x-amz-security-token".split())
SHOWN = (  # of an answer
    "content-type content-language content-disposition date etag last-modified location link retry-after allow "
    "cache-control expires x-ratelimit-limit x-ratelimit-remaining x-ratelimit-reset"
).split()
ACROSS_ORIGINS = frozenset({"accept", "accept-language", "user-agent"})  # all that follows a redirect elsewhere


def clean(given: Mapping[str, str], *, credentials: bool = False) -> dict[str, str]:
    """`given` with names in lower case.

    Raises:
        ScopeError: a header that is no header, or that is the transport's.
    """
    if len(given) > MAX_COUNT or sum(len(k) + len(v) for k, v in given.items()) > MAX_SIZE:
        raise ScopeError(f"a request takes at most {MAX_COUNT} headers of {MAX_SIZE} characters in all")
    cleaned: dict[str, str] = {}
    for name, value in given.items():
        low = name.lower()
        if low.startswith(_PREFIXES) or low.replace("_", "-") in _OURS:
            raise ScopeError(f"the header `{low[:64]!a}` is set by the transport, not by a call")
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ScopeError("a header's name or value holds a character that ends it, or that headers cannot carry")
        if low in CREDENTIALS and not credentials:
            raise ScopeError(f"the header `{low}` is a credential; name a secret for the host instead")
        if low in cleaned:
            raise ScopeError(f"the header `{low}` is given twice")
        cleaned[low] = value.strip()
    return cleaned


def check_injected(given: Mapping[str, str]) -> dict[str, str]:
    """The same for headers that hold secrets: what is wrong with one is said without its value."""
    for name, value in given.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value) or value != value.strip():
            raise ToolFailed("a secret cannot be sent as a header", hint="look for a line end in the secret's source")
    return {name.lower(): value for name, value in given.items()}


def shown(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The headers of an answer that a model may need; of equal ones the first, each at most 1,000 characters."""
    found: dict[str, str] = {}
    for name, value in headers:
        if name in SHOWN:
            found.setdefault(name, value[:1000])
    return found
