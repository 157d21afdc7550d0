"""Text inside text: what stands there in base64, hexadecimal, percent signs, entities, escapes or bits.

A stretch counts when it decodes to readable text; two layers deep, at most sixteen stretches, and no more output than
four times the input. Each decoder's pattern reads every character a fixed number of times.
"""

from __future__ import annotations

import re
from base64 import b32decode
from binascii import Error, a2b_base64
from collections.abc import Callable, Iterator
from html import unescape
from urllib.parse import unquote_to_bytes

from interlock.detect.offsets import Offsets, Rewriting

MAX_BLOBS = 16
MAX_STRETCH = 1 << 16  # characters of one stretch that are decoded
_READABLE = 0.9  # of the characters are printable
_WORDED = 0.6  # are letters or spaces
_CODED = 0.95  # are letters or digits
_SHORTEST = 8  # characters of a decoded text that says something

_BASE64 = re.compile(
    r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{16,}+"
    r"(?:\r?\n[ \t>]{0,4}[A-Za-z0-9+/_-]{4,}+(?=={0,2}[ \t]{0,4}(?:\r?\n|\Z)))*+={0,2}"
)
_SEGMENTS = re.compile(r"[A-Za-z0-9_-]{16,}+={0,2}|[A-Za-z0-9+]{16,}+={0,2}")  # of a path
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:(?:0x|\\x)?[0-9A-Fa-f]{2}[ \t:,;-]{0,2}){8,}+")
_BITS = re.compile(r"(?<![0-9])(?:[01]{8}[ \t,.-]{0,2}){6,}+")
_BASE32 = re.compile(r"(?<![A-Za-z0-9])[A-Z2-7]{24,}+={0,6}(?![A-Za-z0-9])")
_PERCENT = re.compile(r"(?<![^\s<>\"'%])[^\s<>\"'%]*+(?:%[0-9A-Fa-f]{2}[^\s<>\"'%]*+){3,}+")
_ENTITIES = re.compile(r"(?:&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});[^&\n]{0,12}){4,}+")
_ESCAPES = re.compile(
    r"(?:(?:\\u[0-9A-Fa-f]{4}|\\u\{[0-9A-Fa-f]{1,6}\}|\\x[0-9A-Fa-f]{2}|\\[0-7]{3})[^\\\n]{0,8}){4,}+"
)
_QUOTED = re.compile(r"(?:=[0-9A-F]{2}[^=\n]{0,60}(?:=\r?\n)?){4,}+")
_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})|\\u\{([0-9A-Fa-f]{1,6})\}|\\x([0-9A-Fa-f]{2})|\\([0-7]{3})")


def readable(text: str) -> bool:
    """Somebody wrote this: mostly printable, mostly letters and spaces."""
    if len(text) < _SHORTEST:
        return False
    shown = sum(c.isprintable() or c in "\n\r\t" for c in text)
    words = sum(c.isalpha() or c == " " for c in text)
    again = sum(c.isalnum() for c in text)  # a further layer has digits for letters
    worded = words >= _WORDED * len(text) or again >= _CODED * len(text)
    return shown >= _READABLE * len(text) and worded and "\ufffd" not in text


def _text(octets: bytes) -> str:
    if octets.count(0) > len(octets) // 3:
        return octets.decode("utf-16-le" if octets[1:2] == b"\0" else "utf-16-be", "replace")
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("utf-8", "replace") if octets.isascii() else ""


def _base64(found: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9+/_-]", "", found).translate(str.maketrans("-_", "+/"))
    plain = plain[: len(plain) - (len(plain) % 4 == 1)]
    try:
        return _text(a2b_base64(plain + "=" * (-len(plain) % 4)))
    except Error:
        return ""


def _hex(found: str) -> str:
    digits = re.sub(r"0x|\\x|[^0-9A-Fa-f]", "", found)
    return _text(bytes.fromhex(digits[: len(digits) & ~1]))


def _bits(found: str) -> str:
    bits = re.sub(r"[^01]", "", found)
    return _text(bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits) - 7, 8)))


def _base32(found: str) -> str:
    plain = found.rstrip("=")
    plain = plain[: len(plain) - (len(plain) % 8 in {1, 3, 6})]
    try:
        return _text(b32decode(plain + "=" * (-len(plain) % 8)))
    except Error:
        return ""


def _percent(found: str) -> str:
    return _text(unquote_to_bytes(found.replace("+", " ")))


def _escapes(found: str) -> str:
    def char(escape: re.Match[str]) -> str:
        code = int(escape[4], 8) if escape[4] else int(escape[1] or escape[2] or escape[3], 16)
        return chr(code) if code <= 0x10FFFF else ""  # noqa: PLR2004 - the last of Unicode

    return _ESCAPE.sub(char, found)


def _quoted(found: str) -> str:
    return _text(unquote_to_bytes(re.sub(r"=\r?\n", "", found).replace("%", "%25").replace("=", "%")))


# What must stand in a text before its pattern is tried, the pattern, the decoder.
_DECODERS: dict[str, tuple[str, re.Pattern[str], Callable[[str], str]]] = {
    "percent": ("%", _PERCENT, _percent),
    "entities": ("&", _ENTITIES, unescape),
    "escapes": ("\\", _ESCAPES, _escapes),
    "quoted-printable": ("=", _QUOTED, _quoted),
    "bits": ("01", _BITS, _bits),
    "hex": ("", _HEX, _hex),
    "base32": ("", _BASE32, _base32),
    "base64": ("", _BASE64, _base64),
}


class Budget:
    """What may still be decoded of one text, over all its layers."""

    def __init__(self, size: int) -> None:
        self.blobs = MAX_BLOBS
        self.output = 4 * size + 1024


def decoded(text: str, under: Offsets | None, budget: Budget) -> list[tuple[str, str, Offsets]]:
    """The stretches of `text` that decode to readable text: kind, text, map; within `budget`."""
    views: list[tuple[str, str, Offsets]] = []
    taken: list[tuple[int, int]] = []
    for kind, (sign, pattern, decode) in _DECODERS.items():
        if sign not in text:
            continue
        for found in pattern.finditer(text):
            if budget.blobs <= 0 or budget.output <= 0:
                return views
            for start, end in _stretches(kind, found):
                if any(start < b and a < end for a, b in taken):
                    continue
                new = decode(text[start:end])
                if not readable(new) or new == text[start:end]:
                    continue
                new = new[: budget.output]
                budget.blobs -= 1
                budget.output -= len(new)
                taken.append((start, end))
                made = Rewriting(text)
                made.put(new, start, end)
                views.append((kind, *made.done(under)))
                if start == found.start():
                    break
    return views


def _stretches(kind: str, found: re.Match[str]) -> Iterator[tuple[int, int]]:
    """The whole first; of base64 then the segments of what may be a path."""
    yield found.start(), min(found.end(), found.start() + MAX_STRETCH)
    if kind == "base64" and any(sign in found[0] for sign in "/_-"):
        for segment in _SEGMENTS.finditer(found.string, *found.span()):
            yield segment.start(), min(segment.end(), segment.start() + MAX_STRETCH)
