# ruff: noqa: E501, PLR2004 - lengths and ranges are what the formats of these things are
"""Reads through one layer of encoding: escapes as a second view of the text, base64 and hex by the word."""

from __future__ import annotations

import base64
import binascii
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

MAX_WORD = 65_536  # characters of an encoded word that is looked into

_NOTHING = "\u00ad\u200b-\u200f\u2060-\u2064\ufeff\U000e0000-\U000e007f"
_ESCAPE = re.compile(  # the first character is a set of its own: `re` then skips to it at C speed
    rf"[%\\&\uff01-\uff5e\u3000{_NOTHING}](?:"
    r"(?<=%)(?P<octets>[0-9A-Fa-f]{2}(?:%[0-9A-Fa-f]{2})*)"
    r"|(?<=\\)\\?u(?P<unicode>[0-9A-Fa-f]{4})|(?<=\\)(?P<hexes>\\?x[0-9A-Fa-f]{2}(?:\\{1,2}x[0-9A-Fa-f]{2})*)|(?<=\\)(?P<slash>/)"
    r"|(?<=&)\#(?P<decimal>[0-9]{2,6});|(?<=&)\#[xX](?P<hex>[0-9A-Fa-f]{2,5});|(?<=&)(?P<entity>amp|quot|lt|gt|apos|commat);"
    rf"|(?<=[\uff01-\uff5e\u3000])(?P<wide>[\uff01-\uff5e\u3000]*)|(?<=[{_NOTHING}])(?P<nothing>[{_NOTHING}]*))"
)
ESCAPES = (
    "%[0-9A-Fa-f]{2}", r"\\u[0-9A-Fa-f]{4}", r"\\x[0-9A-Fa-f]{2}", "&#", "&(?:amp|quot|lt|gt|apos|commat);", r"\\/", "\xad",
)  # fmt: skip
_NARROW = {0x3000: 0x20, **{point: point - 0xFEE0 for point in range(0xFF01, 0xFF5F)}}
_ENTITY = {"amp": "&", "quot": '"', "lt": "<", "gt": ">", "apos": "'", "commat": "@"}
# Groups of base64 and pairs of hex whose octets are ASCII: nearly no identifier, path or digest is made of them only.
_GROUP = "[A-Za-f][A-HQ-Xg-nw-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/_-]"
_PAIR = "(?:[2-7][0-9a-fA-F]|0[9aAdD])"
_BASE64 = re.compile(
    rf"(?<![A-Za-z0-9+/=_-])(?:{_GROUP}){{5,{MAX_WORD // 4}}}+[A-Za-z0-9+/_-]{{0,3}}={{0,2}}(?![A-Za-z0-9+/_-])"
)
_BLANK = dict.fromkeys(map(ord, "\r\n\t"))
_HEX = re.compile(rf"(?<![A-Za-z0-9])(?:{_PAIR}){{12,{MAX_WORD // 2}}}+(?![A-Za-z0-9])")
WORDS = (f"(?:^|[^A-Za-z0-9+/=_-])(?:{_GROUP}){{5}}", f"(?:^|[^A-Za-z0-9]){_PAIR}{{12}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A text with its escapes undone, and where its pieces lie in the original."""

    text: str
    places: tuple[int, ...]  # where in the view each piece begins
    origins: tuple[
        tuple[int, int, int], ...
    ]  # where in the original, [start, end), characters there for one here; 0: all

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The part of the original for [start, end) of the view."""
        return self.__place(start)[0], self.__place(end - 1)[1]

    def __place(self, at: int) -> tuple[int, int]:
        i = bisect_right(self.places, at) - 1
        start, end, width = self.origins[i]
        if not width:
            return start, end
        start += (at - self.places[i]) * width
        return start, start + width


def escapes(text: str) -> list[int]:
    """Where escapes end."""
    return [matched.end() for matched in _ESCAPE.finditer(text)]


def undone(text: str) -> View | None:
    """`text` with one layer of escapes undone; None if it has none."""
    pieces: list[str] = []
    places: list[int] = []
    origins: list[tuple[int, int, int]] = []
    at = size = 0

    def add(new: str, start: int, end: int) -> None:
        nonlocal size
        if new:
            pieces.append(new)
            places.append(size)
            origins.append((start, end, (end - start) // len(new) if (end - start) % len(new) == 0 else 0))
            size += len(new)

    for matched in _ESCAPE.finditer(text):
        new = _decoded(matched)
        if new is None:
            continue
        start, end = matched.span()
        add(text[at:start], at, start)
        add(new, start, end)
        at = end
    if not at:
        return None
    add(text[at:], at, len(text))
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
            return None if 0xD800 <= point <= 0xDFFF else chr(point)
        case "decimal" | "hex":
            point = int(matched["decimal"]) if matched["decimal"] else int(matched["hex"], 16)
            return chr(point) if 0 < point < 0xD800 or 0xDFFF < point < 0x110000 else None
        case "entity":
            return _ENTITY[matched["entity"]]
        case "slash":
            return "/"
        case "wide":
            return found.translate(_NARROW)
        case _:
            return ""


def words(text: str, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    """Encoded words in [start, end) of `text` that encode text: where, and what."""
    for matched in _BASE64.finditer(text, start, end):
        body = matched[0].rstrip("=")
        if len(body) % 4 == 1:
            continue
        try:
            octets = base64.b64decode(body.replace("-", "+").replace("_", "/") + "=" * (-len(body) % 4), validate=True)
        except binascii.Error:
            continue
        decoded = _text(octets)
        if decoded:
            yield *matched.span(), decoded
    for matched in _HEX.finditer(text, start, end):
        decoded = _text(bytes.fromhex(matched[0]))
        if decoded:
            yield *matched.span(), decoded


def _text(octets: bytes) -> str:
    try:
        decoded = octets.decode()
    except UnicodeDecodeError:
        return ""
    return decoded if decoded.translate(_BLANK).isprintable() else ""
