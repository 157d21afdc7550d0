"""One strict parser: the object it makes is compared with the rules, named in the certificate check, and dialled.

What two parsers could read in two ways is refused, never repaired: user info, backslashes, white space, control and
invisible characters, `%` or look-alike characters in a host, odd spellings of IPv4, zone ids. What all read in one way
is brought to one spelling: case, dot segments, percent-encoding of plain characters, A-labels.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import quote

from interlock.tools.kind import ScopeError

MAX_URL = 8192  # characters; what servers take, too
MAX_HOST = 253  # octets (RFC 1035)
PORTS = {"http": 80, "https": 443}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")  # underscores are no host names, but buckets have them
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")  # a last label that somebody reads as (part of) an IPv4 address
_QUAD = re.compile(r"(?:(?:0|[1-9][0-9]{0,2})\.){3}(?:0|[1-9][0-9]{0,2})")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_STRAY = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Zs", "Zl", "Zp"}
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_IN_PATH = "/:@!$&'()*+,;=-._~%"
_IN_QUERY = _IN_PATH + "?[]"  # brackets: not allowed by RFC 3986, and in every other query


class UrlError(ScopeError):
    """Text that is no URL, or one that two readers could take for two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A place on the web, in its one spelling. `host` is an A-label name or an address without brackets."""

    scheme: str
    host: str
    port: int
    path: str
    query: str | None

    @property
    def address(self) -> IPv4Address | IPv6Address | None:
        """The address that the host is, when it is one."""
        return literal(self.host)

    @property
    def authority(self) -> str:
        """What the `Host` header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port."""
        return self.scheme, self.host, self.port

    @property
    def request(self) -> str:
        """What the request line asks for."""
        return self.path if self.query is None else f"{self.path}?{self.query}"

    @property
    def resource(self) -> str:
        """The URL without its query: what rules speak of."""
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def url(self) -> str:
        """The URL as it is asked for."""
        return f"{self.scheme}://{self.authority}{self.request}"


def parse(text: str) -> Target:
    """The place that `text` names; a fragment is dropped, as it is never sent.

    Raises:
        UrlError: there is not exactly one way to read it.
    """
    check_characters(text)
    start = _SCHEME.match(text)
    if start is None:
        raise UrlError("the URL has no scheme; write `https://host/path`")
    scheme = start[1].lower()
    if scheme not in PORTS:
        raise UrlError(f"the scheme `{scheme[:20]}` is not http or https")
    rest = text[start.end() :].partition("#")[0]
    end = re.search(r"[/?]", rest)
    host, port = authority(rest[: end.start()] if end else rest, default=PORTS[scheme])
    path, mark, query = (rest[end.start() :] if end else "").partition("?")
    return Target(scheme=scheme, host=host, port=port, path=clean_path(path), query=_query(query) if mark else None)


def join(base: Target, location: str) -> Target:
    """The place that `location`, a redirect's, means at `base`.

    Raises:
        UrlError: as `parse`.
    """
    check_characters(location)
    if _SCHEME.match(location):
        return parse(location)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", location):
        raise UrlError("the redirect has a scheme without `//`")
    origin = f"{base.scheme}://{base.authority}"
    if location.startswith("//"):
        return parse(f"{base.scheme}:{location}")
    if location.startswith("/"):
        return parse(origin + location)
    if location.startswith("?"):
        return parse(origin + base.path + location)
    if location.startswith("#") or not location:
        return base
    return parse(origin + base.path.rpartition("/")[0] + "/" + location)


def check_characters(text: str) -> None:
    """Refuse what is not seen, or seen as something else, wherever it stands in a URL."""
    if not text or len(text) > MAX_URL:
        raise UrlError(f"a URL has 1 to {MAX_URL} characters")
    if "\\" in text:
        raise UrlError("the URL holds a backslash, which some read as a slash")
    if any(unicodedata.category(c) in _UNSEEN for c in text):
        raise UrlError("the URL holds white space, a control or an invisible character; write it percent-encoded")


def authority(text: str, *, default: int) -> tuple[str, int]:
    """Host and port of `host`, `host:port` or `[address]:port`."""
    if "@" in text:
        raise UrlError("the URL has user info; what stands before `@` is not the host")
    if text.startswith("["):
        inside, bracket, after = text[1:].partition("]")
        if not bracket or (after and not after.startswith(":")):
            raise UrlError("the brackets of the host do not close")
        return _v6(inside), _port(after[1:]) if after else default
    host, colon, port = text.partition(":")
    if ":" in port:
        raise UrlError("an IPv6 address stands in brackets")
    return name(host), _port(port) if colon else default


def _port(text: str) -> int:
    if not _PORT.fullmatch(text) or int(text) > 0xFFFF:  # noqa: PLR2004 - the largest port
        raise UrlError("the port is not a number from 1 to 65535 in plain digits")
    return int(text)


def _v6(text: str) -> str:
    try:
        if "%" in text:
            raise UrlError("the address has a zone id, which means something on this machine only")
        return str(IPv6Address(text))
    except AddressValueError:
        raise UrlError("what stands in brackets is no IPv6 address") from None


def literal(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a canonical host is."""
    if ":" in host:
        return IPv6Address(host)
    return IPv4Address(host) if _QUAD.fullmatch(host) else None


def name(text: str) -> str:
    """The one spelling of a host name or dotted quad.

    Raises:
        UrlError: it is none, or it looks like another.
    """
    if not text:
        raise UrlError("the URL has no host")
    if "%" in text:
        raise UrlError("the host is percent-encoded")
    host = text.lower() if text.isascii() else _folded(text)
    dotted = host.endswith(".")
    labels = host.removesuffix(".").split(".")
    if any(not label for label in labels):
        raise UrlError("the host has an empty label")
    labels = [_label(label) for label in labels]
    host = ".".join(labels)
    if len(host) > MAX_HOST:
        raise UrlError(f"the host is longer than {MAX_HOST} octets")
    if _NUMERIC.fullmatch(labels[-1]):  # some reader takes it for an address: then it must be one for all
        if dotted or not _QUAD.fullmatch(host) or any(int(part) > 0xFF for part in labels):  # noqa: PLR2004
            raise UrlError("the host looks like an IPv4 address in an odd spelling; write four plain numbers")
        return host
    return host


def _folded(text: str) -> str:
    if unicodedata.normalize("NFKC", text) != text:
        raise UrlError("the host holds a character that stands for another")
    if any(c in "\u3002\uff0e\uff61" for c in text):
        raise UrlError("the host holds a dot that is not a full stop")
    host = "".join(c.lower() for c in text)
    if len(host) != len(text) or any(a.isascii() != b.isascii() for a, b in zip(text, host, strict=True)):
        raise UrlError("the host holds a letter that changes into others in lower case")
    return host


def _label(label: str) -> str:
    if label.isascii() and not label.startswith("xn--"):
        if not _LABEL.fullmatch(label):
            raise UrlError("the host holds a label that is no host name's")
        return label
    try:
        import idna  # noqa: PLC0415 - comes with the extra [tools], and most hosts do without
    except ImportError:
        raise UrlError("the host is internationalised, which needs `pip install interlock[tools]`") from None
    try:
        if not label.isascii():
            return idna.encode(label, strict=True).decode("ascii")
        again = idna.encode(idna.decode(label, strict=True), strict=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise UrlError("the host holds a label that IDNA 2008 does not allow") from None
    if again != label:
        raise UrlError("the host holds an A-label that is not the one spelling of what it means")
    return label


def clean_path(path: str) -> str:
    """`path` with plain characters decoded, all others encoded, and dot segments resolved; starts with `/`."""
    path = _ESCAPE.sub(_unescape, quote(_STRAY.sub("%25", path), safe=_IN_PATH))
    out: list[str] = []
    segments = path.split("/")[1:] if path.startswith("/") else path.split("/")
    for place, segment in enumerate(segments):
        last = place == len(segments) - 1
        if segment == "..":
            if out:
                out.pop()
        elif segment != ".":
            out.append(segment)
            continue
        if last:
            out.append("")  # `/a/..` is a directory
    return "/" + "/".join(out)


def _unescape(found: re.Match[str]) -> str:
    char = chr(int(found[1], 16))
    return char if char in _UNRESERVED else f"%{found[1].upper()}"


def _query(text: str) -> str:
    return quote(text, safe=_IN_QUERY)
