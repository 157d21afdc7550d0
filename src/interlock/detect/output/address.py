"""Where a reference in an answer leads, read as browsers read it, and what it could carry away.

The opposite of the scoped HTTP tool's parser: that one refuses what two readers could take for two things; this one
has to know what the most obliging reader makes of it. Whatever is odd (user info, a host that is not plain ASCII, an
escape in it, an unlisted port) leads to no listed host.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from urllib.parse import unquote_plus

Verdict: TypeAlias = Literal["listed", "relative", "plain", "unlisted", "scheme", "data", "known"]

MAX_READ = 2048  # characters of a reference that are read; the host stands at its beginning
_WEB = frozenset({"http", "https"})
_SPECIAL = frozenset("http https ftp ws wss file".split())  # a browser takes any number of slashes after these
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_STRIPPED = re.compile(r"[\t\n\r]")
_AUTHORITY = re.compile(r"[^/\\?#]*")
_HOST = re.compile(r"(?:[A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]+\.?(?::[0-9]{1,5})?")
_PICTURE = re.compile(r"data:image/(?:png|gif|jpe?g|webp|avif)[;,]", re.IGNORECASE)  # no SVG: it can load more
_DRAWN = 20  # characters of one piece from which its randomness says something
_BITS = 3.4  # entropy a character; words have less, base64 and hexadecimal of some length more


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Which places an answer may name. `hosts`: exact names, `*.example.org` (not the bare name), `host:port`.

    `plain_links`: a link (never a picture) to any other host stays if it carries nothing: no query, no fragment, no
    long or random path, no long name. `known` says of a text whether it holds a value that must not leave.
    """

    hosts: frozenset[str] = frozenset()
    schemes: frozenset[str] = _WEB
    relative: bool = True
    mail: frozenset[str] = frozenset()  # domains that `mailto:` may name
    plain_links: bool = False
    max_data: int = 512  # characters that query and fragment of a listed link may have
    max_data_loaded: int = 128  # the same of what is loaded without a click
    known: Callable[[str], bool] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for host in self.hosts:
            name = host.removeprefix("*.")
            if name != name.lower() or not _HOST.fullmatch(name) or name.endswith("."):
                raise ValueError(f"`{host}` is no host; write `name.example`, `*.name.example` or `name.example:8443`")

    def judge(self, reference: str, *, loaded: bool) -> Verdict:
        """What `reference` is; `loaded` if a reader's program fetches it by itself."""
        text = _STRIPPED.sub("", reference[:MAX_READ]).strip("".join(map(chr, range(33))))
        if self.known is not None and any(self.known(form) for form in _forms(reference)):
            return "known"
        scheme = _SCHEME.match(text)
        if scheme is None:
            if not re.match(r"[/\\]{2}", text):
                return "relative" if self.relative else "unlisted"
            return self._place("https", text, loaded=loaded)
        name = scheme[1].lower()
        if name == "mailto":
            return "listed" if self._mail(text[scheme.end() :]) else "scheme"
        if name == "data":
            return "listed" if _PICTURE.match(text) else "scheme"
        if name not in self.schemes:
            return "scheme"
        return self._place(name, text[scheme.end() :], loaded=loaded)

    def _place(self, scheme: str, text: str, *, loaded: bool) -> Verdict:
        rest = text.lstrip("/\\") if scheme in _SPECIAL else text.removeprefix("//")
        authority = _AUTHORITY.match(rest)
        host = authority[0] if authority else ""
        rest = rest[len(host) :]
        if not self._lists(host):
            plain = self.plain_links and not loaded and _HOST.fullmatch(host) and not _carries_any(host, rest)
            return "plain" if plain else "unlisted"
        query = re.split(r"[?#]", rest, maxsplit=1)
        data = query[1] if len(query) > 1 else ""
        if len(data) > (self.max_data_loaded if loaded else self.max_data):
            return "data"
        return "data" if loaded and any(drawn(piece) for piece in _pieces(query[0])) else "listed"

    def _lists(self, host: str) -> bool:
        if not _HOST.fullmatch(host):
            return False
        name = host.lower()
        for default in (":443", ":80"):
            name = name.removesuffix(default)
        bare, colon, port = name.partition(":")
        bare = bare.removesuffix(".")
        if bare + colon + port in self.hosts:
            return True
        above = bare.split(".")
        if not any("*." + ".".join(above[i:]) + colon + port in self.hosts for i in range(1, len(above))):
            return False
        # Under a wild card anything may be asked for, and a name server hears it.
        return not any(drawn(label) for label in above)

    def _mail(self, text: str) -> bool:
        address, mark, _ = text.partition("?")
        return not mark and address.rpartition("@")[2].lower() in self.mail


def drawn(piece: str) -> bool:
    """`piece` looks like data: long, and of more randomness than words and numbers have."""
    if len(piece) < _DRAWN:
        return False
    counts = Counter(piece)
    entropy = -sum(n / len(piece) * math.log2(n / len(piece)) for n in counts.values())
    mixed = any(c.isdigit() for c in piece) or (piece.lower() != piece and "-" not in piece and "_" not in piece)
    return mixed and entropy >= min(_BITS, 0.8 * math.log2(len(piece)))


def _carries_any(host: str, rest: str) -> bool:
    return (
        "?" in rest
        or "#" in rest
        or "%" in rest
        or ";" in rest
        or len(rest) > 80  # noqa: PLR2004 - a readable path
        or len(host) > 40  # noqa: PLR2004 - a readable name
        or ":" in host
        or any(drawn(piece) for piece in [*_pieces(rest), *host.split(".")])
    )


def _pieces(path: str) -> list[str]:
    return [piece for piece in re.split(r"[/.,;=&~]", path) if piece]


def _forms(reference: str) -> tuple[str, str]:
    return reference, unquote_plus(reference)
