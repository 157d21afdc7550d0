"""In what shapes a known value can appear: texts to look for (`forms`), and views of a text in which to look.

A view is the text after undoing escapes zero to three times, then *tight* (white space and invisible characters
dropped) or *loose* (only letters and digits, case folded: it sees through splitting, spacing, hyphens, dumps of bytes).
Encodings that keep no character of the value (base64, hex, reversed …) are further texts to look for, so that a view
need not guess what is encoded. Views are made by the C code of `re` and `str.translate`; where a view's characters
stand in the original is worked out only after a hit.
"""

from __future__ import annotations

import base64
import codecs
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.entities import html5

MIN_CHARACTERS = 6  # shorter values are words of everyday text; nothing looks for them
MIN_LOOSE = 8  # letters and digits that a value with other characters needs before they are left out
MAX_LEVELS = 3  # how often escapes are undone: percent in JSON in HTML
MAX_MEMO = 65_536  # code points whose folding is kept

_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")  # look empty, are no white space


class _Folding(dict[int, str | None]):
    """A table for `str.translate` that fills itself."""

    def __init__(self, fold: Callable[[str], str]) -> None:
        super().__init__()
        self._fold = fold

    def __missing__(self, point: int) -> str | None:
        folded = self._fold(chr(point)) or None
        if len(self) < MAX_MEMO:
            self[point] = folded
        return folded


def _tight(char: str) -> str:
    if char.isspace() or char in _FILLERS or unicodedata.category(char) in {"Cc", "Cf", "Mn"}:
        return ""
    return "".join(c for c in unicodedata.normalize("NFKD", char) if unicodedata.category(c) != "Mn" and c != " ")


def _loose(char: str) -> str:
    return "".join(c for c in _tight(char).casefold() if c.isalnum())


TIGHT = _Folding(_tight)
LOOSE = _Folding(_loose)


@dataclass(frozen=True, slots=True)
class Form:
    """A text to look for. `edge`: the neighbouring character carries some bits of the value, too."""

    text: str
    loose: bool
    edge: bool = False

    def __repr__(self) -> str:
        return "Form(…)"


def forms(value: str) -> Iterator[Form]:
    """Every text that gives `value` away. It has at least `MIN_CHARACTERS` characters."""
    data = value.encode()
    wide = value.encode("utf-16-le").rstrip(b"\0")  # common to both byte orders, but for the first byte of one
    rot13 = codecs.encode(value, "rot13")
    for text in (value, value[::-1], rot13):
        tight, loose = text.translate(TIGHT), text.translate(LOOSE)
        if len(tight) >= MIN_CHARACTERS:
            yield Form(tight, loose=False)
        if len(loose) >= (MIN_CHARACTERS if len(loose) == len(text) else MIN_LOOSE):
            yield Form(loose, loose=True)
        else:  # too little is left of it: every usual separator by itself
            yield from (Form(mark.join(tight), loose=False) for mark in "-_.,|*/:+;" if len(tight) >= MIN_CHARACTERS)
    for octets in (data, data[::-1], wide):
        yield Form(octets.hex(), loose=True)
        yield Form("".join(f"0x{octet:02x}" for octet in octets), loose=True)
        yield Form("".join(str(octet) for octet in octets), loose=True)
        yield Form("".join(f"{octet:03o}" for octet in octets), loose=True)
        yield Form("".join(f"{octet:08b}" for octet in octets), loose=True)
    for octets in (data, data[::-1], wide):
        for text, edge in _at_every_offset(octets, 6, base64.b64encode):
            yield Form(text, loose=False, edge=edge)
            yield Form(text.translate(_URL), loose=False, edge=edge)
        for text, edge in _at_every_offset(octets, 5, base64.b32encode):
            yield Form(text.casefold(), loose=True, edge=edge)
    once = base64.b64encode(data).rstrip(b"=")
    for text, edge in _at_every_offset(once, 6, base64.b64encode):  # a Kubernetes secret inside a Basic header
        yield Form(text, loose=False, edge=edge)
    for whole in (base64.b85encode(data), base64.a85encode(data)):
        yield Form(whole.decode(), loose=False)


_URL = str.maketrans("+/", "-_")


def _at_every_offset(octets: bytes, bits: int, encode: Callable[[bytes], bytes]) -> Iterator[tuple[str, bool]]:
    """The characters that `octets` fix, wherever they start in what is encoded; whether a neighbour holds a rest."""
    for before in range(bits // 2 if bits == 6 else bits):  # noqa: PLR2004 - 3 octets are 4 characters, 5 are 8
        text = encode(bytes(before) + octets).decode()
        first, rest = -(-8 * before // bits), 8 * (before + len(octets)) % bits
        yield text[first : 8 * (before + len(octets)) // bits], bool(8 * before % bits or rest)


# Undoing escapes

# The first character is a set of its own: `re` then skips to it at C speed.
_ESCAPE = re.compile(
    r"""[%\\&] (?:
      (?<=%) (?: (?P<octets>[0-9A-Fa-f]{2}(?:%[0-9A-Fa-f]{2})*) | u(?P<hex1>[0-9A-Fa-f]{4}) )
    | (?<=\\) (?: (?P<hexes>x[0-9A-Fa-f]{2}(?:\\x[0-9A-Fa-f]{2})*)
        | (?P<pair>u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})
        | u\{0{0,8}(?P<hex2>[0-9A-Fa-f]{1,6})\} | u(?P<hex3>[0-9A-Fa-f]{4}) | U(?P<hex4>[0-9A-Fa-f]{8})
        | (?P<octal>[0-7]{3}) | (?P<plain>[^\n]) )
    | (?<=&) (?: \#[xX]0{0,8}(?P<hex5>[0-9A-Fa-f]{1,6});? | \#0{0,8}(?P<decimal>[0-9]{1,7});?
        | (?P<entity>[A-Za-z][A-Za-z0-9]{1,31};?) )
    )""",
    re.VERBOSE,
)
_QUOTED = re.compile(r"=(?:(?P<octets>[0-9A-Fa-f]{2}(?:=[0-9A-Fa-f]{2})*)|(?P<soft>[ \t]{0,8}\r?\n))")
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}

Token = tuple[int, int, str]  # [start, end) stands for the text


def _octets(start: int, text: str, width: int) -> Iterator[Token]:
    """The characters of a run of escaped octets, each with its own span."""
    octets = bytes.fromhex(re.sub(r"[%=x\\]", "", text))
    try:
        decoded = octets.decode()
    except UnicodeDecodeError:
        yield from ((start + i * width, start + (i + 1) * width, chr(octet)) for i, octet in enumerate(octets))
        return
    for char in decoded:
        end = start + len(char.encode()) * width
        yield start, end, char
        start = end


def _decoded(matched: re.Match[str]) -> Iterator[Token]:
    start, end = matched.span()
    group, found = matched.lastgroup, matched[0]
    match group:
        case "octets":
            yield from _octets(start, found, 3)
        case "hexes":
            yield from _octets(start, found, 4)
        case "pair":
            yield start, end, found.encode().decode("unicode_escape").encode("utf-16", "surrogatepass").decode("utf-16")
        case "decimal":
            yield start, end, _char(int(matched["decimal"]))
        case "entity":
            name = matched["entity"]
            text = html5.get(name) or html5.get(f"{name};")
            if text is not None:
                yield start, end, text
        case "octal":
            yield start, end, chr(int(matched["octal"], 8))
        case "plain":
            yield start, end, _CONTROLS.get(matched["plain"], matched["plain"])
        case "soft":
            yield start, end, ""
        case _:
            yield start, end, _char(int(matched[group or 0], 16))


def _char(point: int) -> str:
    return chr(point) if point <= 0x10FFFF else ""  # noqa: PLR2004 - the last code point


@dataclass(frozen=True, slots=True)
class View:
    """A text in which to look, and how its characters lie in the view before it."""

    text: str
    before: View | None = None
    tokens: tuple[Token, ...] = ()
    table: _Folding | None = None

    def __repr__(self) -> str:
        return "View(…)"

    def folded(self, table: _Folding) -> View:
        """This view, tight or loose."""
        return View(self.text.translate(table), self, (), table)

    def spans(self) -> tuple[list[int], list[int]]:
        """Where each character starts and ends in the original text."""
        if self.before is None:
            return list(range(len(self.text))), list(range(1, len(self.text) + 1))
        starts, ends = self.before.spans()
        places = [(i, j) for i, j, text in self._steps(self.before.text) for _ in text]
        return [starts[i] for i, _ in places], [ends[j - 1] for _, j in places]

    def _steps(self, text: str) -> Iterator[Token]:
        if self.table is not None:
            yield from ((i, i + 1, self.table[ord(char)] or "") for i, char in enumerate(text))
            return
        at = 0
        for start, end, new in self.tokens:
            yield from ((i, i + 1, text[i]) for i in range(at, start))
            yield start, end, new
            at = end
        yield from ((i, i + 1, text[i]) for i in range(at, len(text)))


def _undone(view: View, pattern: re.Pattern[str]) -> View | None:
    """`view` with one layer of escapes undone; None if it has none."""
    tokens = tuple(token for matched in pattern.finditer(view.text) for token in _decoded(matched))
    if not tokens:
        return None
    pieces, at = [], 0
    for start, end, new in tokens:
        pieces += [view.text[at:start], new]
        at = end
    return View("".join((*pieces, view.text[at:])), view, tokens)


def views(text: str) -> Iterator[View]:
    """`text` as it is and with its escapes undone; at most `MAX_LEVELS` + 2 views, none longer than the text."""
    plain = View(text)
    yield plain
    view: View | None = plain
    for _ in range(MAX_LEVELS):
        if view is None or not any(mark in view.text for mark in "%\\&"):
            break
        view = _undone(view, _ESCAPE)
        if view is not None:
            yield view
    quoted = _undone(plain, _QUOTED) if "=" in text else None  # apart: `key=ab%2F` must not be read as `key«ab%2F`
    if quoted is not None:
        yield quoted
