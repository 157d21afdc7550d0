"""Reads through one layer of encoding: escapes as a second view of the text, base64 and hex by the word."""

from __future__ import annotations

import base64
import binascii
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

MAX_WORD = 65_536  # characters of an encoded word that is looked into
MIN_WORD = 16

_ESCAPE = re.compile(
    r"(?P<octets>(?:%[0-9A-Fa-f]{2})+)|\\{1,2}u(?P<unicode>[0-9A-Fa-f]{4})|(?P<hexes>(?:\\{1,2}x[0-9A-Fa-f]{2})+)"
    r"|&\#(?P<decimal>[0-9]{2,6});|&\#[xX](?P<hex>[0-9A-Fa-f]{2,5});|&(?P<entity>amp|quot|lt|gt|apos|commat);"
    r"|(?P<slash>\\/)|(?P<wide>[\uff01-\uff5e\u3000])|(?P<nothing>[\u00ad\u200b-\u200f\u2060-\u2064\ufeff\U000e0000-\U000e007f]+)"
)
ESCAPES = (
    "%[0-9A-Fa-f]{2}", r"\\u[0-9A-Fa-f]{4}", r"\\x[0-9A-Fa-f]{2}", "&#", "&(?:amp|quot|lt|gt|apos|commat);", r"\\/", "\xad",
)  # fmt: skip
_ENTITY = {"amp": "&", "quot": '"', "lt": "<", "gt": ">", "apos": "'", "commat": "@"}
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/_-]{16,65536}+={0,2}(?![A-Za-z0-9+/_-])")
_HEX = re.compile(r"(?<![A-Za-z0-9])(?:[0-9A-Fa-f]{2}){12,32768}+(?![A-Za-z0-9])")
WORDS = ("[A-Za-z0-9+/_-]{16}",)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A text with its escapes undone, and where its pieces lie in the original."""

    text: str
    places: tuple[int, ...]  # where in the view each piece begins
    origins: tuple[tuple[int, int, bool], ...]  # where in the original, [start, end), whether it was an escape

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The part of the original for [start, end) of the view."""
        return self.__place(start)[0], self.__place(end - 1)[1]

    def __place(self, at: int) -> tuple[int, int]:
        i = bisect_right(self.places, at) - 1
        start, end, escape = self.origins[i]
        if escape:
            return start, end
        return start + at - self.places[i], start + at - self.places[i] + 1


def undone(text: str) -> View | None:
    """`text` with one layer of escapes undone; None if it has none."""
    pieces: list[str] = []
    places: list[int] = []
    origins: list[tuple[int, int, bool]] = []
    at = size = 0
    for matched in _ESCAPE.finditer(text):
        new = _decoded(matched)
        if new is None:
            continue
        start, end = matched.span()
        if start > at:
            pieces.append(text[at:start])
            places.append(size)
            origins.append((at, start, False))
            size += start - at
        if len(new) > 1:  # a run of octets: each by itself, if it is plain
            width = (end - start) // len(new)
            for i, char in enumerate(new):
                pieces.append(char)
                places.append(size + i)
                origins.append((start + i * width, start + (i + 1) * width if i + 1 < len(new) else end, True))
        elif new:
            pieces.append(new)
            places.append(size)
            origins.append((start, end, True))
        size += len(new)
        at = end
    if not at:
        return None
    if at < len(text):
        pieces.append(text[at:])
        places.append(size)
        origins.append((at, len(text), False))
    return View(text="".join(pieces), places=tuple(places), origins=tuple(origins))


def _decoded(matched: re.Match[str]) -> str | None:
    found = matched[0]
    match matched.lastgroup:
        case "octets" | "hexes":
            try:
                return bytes.fromhex(re.sub(r"[%x\\]", "", found)).decode()
            except UnicodeDecodeError:
                return None
        case "unicode":
            point = int(matched["unicode"], 16)
            return None if 0xD800 <= point <= 0xDFFF else chr(point)  # noqa: PLR2004 - half a character
        case "decimal" | "hex":
            point = int(matched["decimal"]) if matched["decimal"] else int(matched["hex"], 16)
            return chr(point) if 0 < point < 0xD800 or 0xDFFF < point < 0x110000 else None  # noqa: PLR2004
        case "entity":
            return _ENTITY[matched["entity"]]
        case "slash":
            return "/"
        case "wide":
            return " " if found == "\u3000" else chr(ord(found) - 0xFEE0)
        case _:
            return ""


def words(text: str) -> Iterator[tuple[int, int, str]]:
    """Encoded words of `text` that encode text: where, and what."""
    for matched in _BASE64.finditer(text):
        word = matched[0]
        body = word.rstrip("=")
        if len(body) % 4 == 1 or (word.isalpha() and (word.islower() or word.isupper() or word.istitle())):
            continue
        try:
            octets = base64.b64decode(body.replace("-", "+").replace("_", "/") + "=" * (-len(body) % 4), validate=True)
        except binascii.Error:
            continue
        decoded = _text(octets)
        if decoded:
            yield *matched.span(), decoded
    for matched in _HEX.finditer(text):
        decoded = _text(bytes.fromhex(matched[0]))
        if decoded:
            yield *matched.span(), decoded


def _text(octets: bytes) -> str:
    try:
        decoded = octets.decode()
    except UnicodeDecodeError:
        return ""
    return decoded if all(char.isprintable() or char in "\r\n\t" for char in decoded) else ""
