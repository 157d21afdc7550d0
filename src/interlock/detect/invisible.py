"""Characters that a reader does not see, or sees as others: dropped or replaced, with what was found on the way.

One pass over the characters that are not plain ASCII. What belongs to a script or an emoji stays: joiners in Arabic,
Persian and Indic words, zero-width spaces in Thai and Khmer, direction marks beside right-to-left letters, variation
selectors behind what they vary, accents that compose. What carries text by itself (tag characters, runs of variation
selectors, runs of zero widths) is decoded as a payload.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from interlock.detect.offsets import Offsets, rewrite
from interlock.detect.vocabulary import COMMON

MAX_EXPANSION = 4  # characters that one may stand for; a longer compatibility form is a word of its own script
RUN = 8  # unseen characters in a row, or letters in a styled alphabet, that say something
_STACK = 4  # marks on one letter that a script may need
_MIRRORED = 4096  # characters that one override turns round
_ODD = re.compile(r"[^\t\n\r\x20-\x7e]+")
_ANSI = re.compile(r"\x1b(?:\[[0-?]{0,32}[ -/]{0,4}[@-~]|\][^\x07\x1b]{0,2048}(?:\x07|\x1b\\)|[@-Z\\^_])")
_CONCEAL = re.compile(r"\x1b\[(?:[0-9;]{0,16};)?8(?:;[0-9;]{0,16})?m")
_SHOW = re.compile(r"\x1b\[(?:0?|28|[0-9;]{0,16};(?:0|28))m")
_FLAG = re.compile(
    "\U000e0067\U000e0062(?:\U000e0065\U000e006e\U000e0067|\U000e0073\U000e0063\U000e0074|\U000e0077\U000e006c\U000e0073)\U000e007f"
)
_SPACES = {"Zs": " ", "Zl": "\n", "Zp": "\n"}
_ZERO = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200d\u2060\u2061\u2062\u2063\u2064\u2065\u3164\ufeff\uffa0"
)
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Scripts whose letters join or need joiners, and those that write without spaces between words.
_JOINING = re.compile("[\u0600-\u08ff\u0900-\u109f\u1780-\u18af\u1a20-\u1aaf\ua840-\ua87f\ufb1d-\ufeff]")
_UNSPACED = re.compile("[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefe]")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff]")
_LETTERS = re.compile(r"[^\W\d_]{1,16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """`ranges`: raw ranges by what was undone. `payloads`: kind, text and raw range of what unseen characters spell."""

    text: str
    offsets: Offsets
    ranges: dict[str, list[tuple[int, int]]]
    payloads: list[tuple[str, str, int, int]]
    mirrored: list[tuple[int, int]]  # raw ranges that a screen shows right to left


def undo(text: str) -> Undone:
    """`text` as a reader sees it."""
    return _Pass(text).run()


@lru_cache(maxsize=1 << 14)
def _fate(char: str) -> str:
    """What becomes of a character: the name of a step of the pass, empty for nothing, or `=` and what stands for it."""
    code = ord(char)
    if 0xE0000 <= code <= 0xE007F:  # noqa: PLR2004 - blocks of Unicode, here and below
        return "tags"
    if 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF or code in {0x180B, 0x180C, 0x180D, 0x180F}:  # noqa: PLR2004
        return "selectors"
    if char == "\u00ad":
        return "soft"
    if char in _BIDI:
        return "bidi"
    category = unicodedata.category(char)
    if category in _SPACES or char == "\u2800":
        return "=" + _SPACES.get(category, " ")
    if char in _ZERO or (category == "Cf" and not _JOINING.match(char)):
        return "zero"
    if category in {"Cc", "Cs"}:
        return "control"
    if category in {"Mn", "Me"}:
        return "marks"
    if 0x1100 <= code <= 0x11FF:  # noqa: PLR2004
        return "jamo"
    same = unicodedata.normalize("NFKC", char)
    return "" if same == char or len(same) > MAX_EXPANSION or same[0] == " " else "=" + same


class _Pass:
    def __init__(self, text: str) -> None:
        self._text = text
        self._edits: list[tuple[int, int, str]] = []
        self._ranges: dict[str, list[tuple[int, int]]] = {}
        self._payloads: list[tuple[str, str, int, int]] = []
        self._mirrored: list[tuple[int, int]] = []
        self._right_to_left: bool | None = None
        self._shown_from = 0  # concealed up to here

    def run(self) -> Undone:
        text, at = self._text, 0
        steps = {
            "tags": self._tags,
            "selectors": self._selectors,
            "zero": self._zero,
            "soft": self._soft,
            "bidi": self._bidi,
            "control": self._control,
            "marks": self._marks,
            "jamo": self._jamo,
        }
        for odd in _ODD.finditer(text):
            at, end = max(at, odd.start()), odd.end()
            while at < end:
                fate = _fate(text[at])
                if not fate:
                    at += 1
                elif fate[0] == "=":
                    if fate[1:].isascii() and fate[1:].isalnum():
                        self._note("styled", at, at + 1)
                    self._edits.append((at, at + 1, fate[1:]))
                    at += 1
                else:
                    stop = at + 1
                    while stop < end and _fate(text[stop]) == fate:
                        stop += 1
                    at = steps[fate](at, stop)
        new, offsets = rewrite(text, self._edits)
        return Undone(text=new, offsets=offsets, ranges=self._ranges, payloads=self._payloads, mirrored=self._mirrored)

    def _note(self, kind: str, start: int, end: int) -> None:
        ranges = self._ranges.setdefault(kind, [])
        if ranges and ranges[-1][1] == start:
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((start, end))

    def _drop(self, start: int, end: int) -> int:
        self._edits.append((start, end, ""))
        return end

    def _tags(self, at: int, stop: int) -> int:
        if self._text[at - 1 : at] == "\U0001f3f4" and (flag := _FLAG.match(self._text, at)):
            at = flag.end()  # England, Scotland, Wales: the three that are in use
        if at < stop:
            self._note("tags", at, stop)
            self._payloads.append(("tags", "".join(chr(ord(c) & 0x7F) for c in self._text[at:stop]), at, stop))
            self._drop(at, stop)
        return stop

    def _selectors(self, at: int, stop: int) -> int:
        before = self._text[at - 1 : at]
        if stop - at == 1 and before and not before.isspace() and (not before.isalpha() or not _LATIN.match(before)):
            return stop  # it varies what stands before it
        if before.isalpha() and self._text[stop : stop + 1].isalpha():
            self._note("zero-width", at, stop)
        if stop - at > 1:
            self._note("selectors", at, stop)
            codes = (ord(c) for c in self._text[at:stop] if ord(c) >= 0xFE00)  # noqa: PLR2004 - not the Mongolian ones
            octets = bytes(c - 0xFE00 if c <= 0xFE0F else c - 0xE0100 + 16 for c in codes)  # noqa: PLR2004
            self._payloads.append(("selectors", octets.decode("utf-8", "replace"), at, stop))
        return self._drop(at, stop)

    def _zero(self, at: int, stop: int) -> int:
        text = self._text
        before, after = text[at - 1 : at], text[stop : stop + 1]
        if stop - at == 1:
            if _JOINING.match(before) or _JOINING.match(after) or _UNSPACED.match(before) or _UNSPACED.match(after):
                return stop
            if text[at] == "\u200d" and _pictured(before) and _pictured(after):
                return stop
        between = before.isalpha() and after.isalpha()
        if between:
            self._note("zero-width", at, stop)
        if stop - at >= RUN and len(kinds := sorted(set(text[at:stop]))) > 1:
            self._note("zero-width", at, stop)
            self._payloads.append(("zero-width", _bits(text[at:stop], kinds), at, stop))
        # Where it stands for the space between two words, it is one: their letters must not run together.
        words = between and self._known(at, -1) and self._known(stop, 1)
        self._edits.append((at, stop, " " if words else ""))
        return stop

    def _known(self, at: int, step: int) -> bool:
        """The word that ends (or starts) here is a known one, or a whole one."""
        near = self._text[at : at + 16] if step > 0 else self._text[max(0, at - 16) : at][::-1]
        letters = _LETTERS.match(near)
        return letters is not None and letters[0][::step].lower() in COMMON

    def _soft(self, at: int, stop: int) -> int:
        before = self._ranges.get("soft")
        if stop - at > 1 or (before and at - before[-1][1] <= 2):  # noqa: PLR2004 - no syllable is that short
            self._note("zero-width", at, stop)
        self._ranges["soft"] = [(at, stop)]
        return self._drop(at, stop)

    def _bidi(self, at: int, stop: int) -> int:
        text, run = self._text, self._text[at:stop]
        if self._right_to_left is None:
            self._right_to_left = _RIGHT_TO_LEFT.search(text) is not None
        if "\u202d" in run or "\u202e" in run:
            self._note("bidi", at, stop)
            if "\u202e" in run and (not self._mirrored or at >= self._mirrored[-1][1]):
                ends = [e for e in (text.find(c, stop, stop + _MIRRORED) for c in "\u202c\n") if e >= 0]
                self._mirrored.append((stop, min(ends, default=min(len(text), stop + _MIRRORED))))
        elif self._right_to_left:
            return stop
        elif text[at - 1 : at].isalpha() and text[stop : stop + 1].isalpha():
            self._note("zero-width", at, stop)  # within a word it hides and directs nothing
        return self._drop(at, stop)

    def _control(self, at: int, stop: int) -> int:
        if self._text[at] != "\x1b":
            escape = self._text.find("\x1b", at, stop)
            return self._drop(at, escape if escape > 0 else stop)
        if (ansi := _ANSI.match(self._text, at)) is None:
            return self._drop(at, at + 1)
        if _CONCEAL.fullmatch(ansi[0]) and at >= self._shown_from:
            shown = _SHOW.search(self._text, ansi.end(), ansi.end() + _MIRRORED)
            self._shown_from = shown.start() if shown else min(len(self._text), ansi.end() + _MIRRORED)
            self._note("ansi", ansi.end(), self._shown_from)
        return self._drop(at, ansi.end())

    def _marks(self, at: int, stop: int) -> int:
        if at == 0:
            return self._drop(at, stop)
        start, base = at - 1, self._text[at - 1]
        if self._edits and self._edits[-1][1] == at:  # what stands before was replaced itself
            start, _, base = self._edits[-1]
        if base[-1:].isspace() or not base:
            return self._drop(at, stop)
        whole = unicodedata.normalize("NFC", base[-1] + self._text[at : min(stop, at + _STACK)])
        latin = _LATIN.match(base[-1]) is not None
        # On a Latin letter only what composes is an accent; other scripts may stack a few.
        kept = whole[0] if latin else whole
        if latin and (len(whole) > 1 or stop - at > _STACK):
            self._note("marks", at, stop)
        elif stop - at > _STACK:
            self._note("marks", at + _STACK, stop)
        if base[-1] + self._text[at:stop] != kept:
            if start != at - 1 or (self._edits and self._edits[-1][1] == at):
                self._edits.pop()
            self._edits.append((start, stop, base[:-1] + kept))
        return stop

    def _jamo(self, at: int, stop: int) -> int:
        self._edits.append((at, stop, unicodedata.normalize("NFC", self._text[at:stop])))
        return stop


def _pictured(char: str) -> bool:
    """May stand beside a joiner in an emoji: a picture, its skin, its style."""
    return bool(char) and (ord(char) >= 0x1F000 or 0x2190 <= ord(char) <= 0x2BFF or char == "\ufe0f")  # noqa: PLR2004


def _bits(run: str, kinds: list[str]) -> str:
    """What a run of unseen characters spells in ones and zeros; empty if nothing."""
    for zero, one in ((kinds[0], kinds[1]), (kinds[1], kinds[0])):
        bits = "".join("0" if c == zero else "1" for c in run if c in {zero, one})
        for width in (8, 7):
            text = "".join(chr(int(bits[i : i + width], 2)) for i in range(0, len(bits) - width + 1, width))
            if text and text.isprintable() and text.isascii():
                return text
    return ""
