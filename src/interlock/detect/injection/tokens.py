"""A text as tokens that a rule and a model can read: words of any script, numbers, marks, ends of lines.

A word is known by hashes of itself and its parts, so no vocabulary and no language is favoured, and by its concept in
the lexicon (lexicon.toml): `ignore`, `ignoriere` and `忽略` are one. Scripts without spaces, and long words that were
glued together, are cut at words of the lexicon. A word with its inner letters in disorder, or with digits for letters,
has the concept that it imitates. Every character of the text belongs to a token or to the space before one; cost is
linear.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from struct import pack
from typing import Final, TypeAlias
from unicodedata import combining, normalize
from zlib import crc32

CODES: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
OTHER, END, LINE, LINK, AT, NUMBER, QUOTE, MARK = "_", ".", "/", "~", "@", "#", '"', "*"
PLAIN: Final = OTHER + END + LINE + LINK + AT + NUMBER + QUOTE + MARK  # codes of tokens that no concept has

WORD_ROWS: Final = 1 << 15
PART_ROWS: Final = 1 << 14
CODE_ROWS: Final = 72
SHAPE_ROWS: Final = 16
COLUMNS: Final = 8  # word, beginning, end, three inner parts, concept, shape

WINDOW, STRIDE = 96, 32  # tokens that are judged together, and how far the next window is

SHORTEST_STEM, LONGEST_STEM = 4, 14  # letters of a prefix in the lexicon
SHORTEST_SCRAMBLED = 5  # letters: in shorter words there is nothing to put in disorder

MAX_WORD: Final = 24  # letters that are looked at: longer ones are cut into pieces of this length
_TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]{1,3}\b)?|\d+|\n|[^\w\s]{1,4}")  # an underscore is a space
_ENDS = ".!?;\u3002\uff01\uff1f\u061f\u0964"
_SPACELESS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]")


@dataclass(frozen=True, slots=True)
class Tokens:
    """`codes[i]` is the concept of token `i`; `starts` and `ends` are its place in the text."""

    codes: str
    starts: Sequence[int]
    ends: Sequence[int]
    words: bytes  # hash of each token, 32 bits
    rows: bytes  # its rows in the model's table, 32 bits each


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Which concept a word has."""

    names: tuple[str, ...]
    exact: dict[str, str]
    prefixes: dict[str, str]
    scrambled: dict[str, str]
    inside: re.Pattern[str]

    def code(self, word: str) -> str:
        """The concept's code of a lower-case `word`, or `OTHER`."""
        if found := self.exact.get(word):
            return found
        for length in range(min(len(word), LONGEST_STEM), SHORTEST_STEM - 1, -1):
            if found := self.prefixes.get(word[:length]):
                return found
        if word[-2:] in {"'s", "’s"}:
            return self.code(word[:-2])
        return OTHER

    def restored(self, word: str) -> str:
        """The word of the lexicon that `word` imitates: marks on its letters, or the letters in disorder."""
        if self.code(word) != OTHER:
            return word
        bare = word if word.isascii() else "".join(c for c in normalize("NFD", word) if not combining(c))
        if bare in self.exact:
            return bare
        return self.scrambled.get(_scramble(bare), word) if len(bare) >= SHORTEST_SCRAMBLED else word


def _tree(words: Iterable[str]) -> str:
    """A pattern for any of `words`, the longest first, that looks at each letter once."""
    after: dict[str, list[str]] = {}
    for word in words:
        after.setdefault(word[0], []).append(word[1:])
    parts = []
    for letter, rests in sorted(after.items()):
        longer = _tree([rest for rest in rests if rest])
        parts.append(re.escape(letter) + (f"(?:{longer}){'?' if '' in rests else ''}" if longer else ""))
    return "|".join(parts)


def _scramble(word: str) -> str:
    return word[0] + "".join(sorted(word[1:-1])) + word[-1]


@lru_cache(maxsize=1)
def lexicon() -> Lexicon:
    """The lexicon of this package."""
    told = tomllib.loads((files("interlock.detect.injection") / "lexicon.toml").read_text("utf-8"))["concept"]
    if len(told) > len(CODES):
        raise ValueError(f"`lexicon.toml` has {len(told)} concepts; there are codes for {len(CODES)}")
    exact: dict[str, str] = {}
    prefixes: dict[str, str] = {}
    for code, words in zip(CODES, told.values(), strict=False):
        for word in words.split():
            if word.endswith("*"):
                prefixes.setdefault(word[:-1], code)
                exact.setdefault(word[:-1], code)
            else:
                exact.setdefault(word, code)
    scrambled = {_scramble(w): w for w in exact if len(w) >= SHORTEST_SCRAMBLED and w.isascii()}
    known = [w for w in exact if _SPACELESS.match(w) or (len(w) >= SHORTEST_SCRAMBLED and w.isascii() and w.isalpha())]
    return Lexicon(tuple(told), exact, prefixes, scrambled, re.compile(_tree(known)))


def _pieces(word: str) -> list[tuple[int, int]]:
    """Where `word` is cut: at known words where nothing else separates words, else into bounded lengths."""
    spaceless = bool(_SPACELESS.search(word))
    if not spaceless and len(word) <= MAX_WORD // 2:
        return [(0, len(word))]
    if not spaceless and len(word) <= MAX_WORD and lexicon().code(word) != OTHER:
        return [(0, len(word))]
    cuts = {0, len(word)}
    for found in lexicon().inside.finditer(word):
        cuts.update(found.span())
    if cuts == {0, len(word)} and not spaceless and len(word) <= MAX_WORD:
        return [(0, len(word))]
    step = 1 if spaceless else MAX_WORD
    made: list[tuple[int, int]] = []
    for start, end in pairwise(sorted(cuts)):
        if end - start <= MAX_WORD and word[start:end] in lexicon().exact:
            made.append((start, end))
        else:
            made.extend((at, min(at + step, end)) for at in range(start, end, step))
    return made


Known: TypeAlias = tuple[
    str, bytes, bytes, tuple[tuple[int, int], ...]
]  # codes, words, rows, places of a word's pieces


@lru_cache(maxsize=1 << 15)
def _known(word: str) -> Known:
    low = word.lower()
    places = _pieces(low if len(low) == len(word) else word)
    made = [_row(word[start:end]) for start, end in places]
    return (
        "".join(code for code, _, _ in made),
        b"".join(pack("<I", name) for _, name, _ in made),
        b"".join(pack(f"<{COLUMNS}i", *rows) for _, _, rows in made),
        tuple(places),
    )


def _row(piece: str) -> tuple[str, int, tuple[int, ...]]:
    low = lexicon().restored(piece.lower()) if piece[0].isalpha() else piece
    code, shape = _code(low)
    if shape == 1:
        shape = 2 if piece.isupper() and len(piece) > 1 else 3 if piece[0].isupper() else 1
    name = crc32(low.encode("utf-8", "surrogatepass"))
    body = f"^{low}$"
    size = len(body)
    thirds = (body[1:5], body[max(0, size // 2 - 2) : size // 2 + 2], body[max(0, size - 5) : size - 1])
    parts = (body[:4], body[-4:], *thirds)
    rows = (
        name % WORD_ROWS,
        *(WORD_ROWS + crc32(f"{n}{part}".encode("utf-8", "surrogatepass")) % PART_ROWS for n, part in enumerate(parts)),
        WORD_ROWS + PART_ROWS + (CODES + PLAIN).index(code),
        WORD_ROWS + PART_ROWS + CODE_ROWS + shape,
    )
    return code, name, rows


def _code(low: str) -> tuple[str, int]:
    """(concept, shape) of a lower-case piece."""
    first = low[0]
    if first == "\n":
        return LINE, 4
    if first.isdigit():
        return NUMBER, 5 + min(len(low), 4)
    if first.isalpha():
        return lexicon().code(low), 1
    if "://" in low:
        return LINK, 10
    if first in _ENDS:
        return END, 11
    if first == "@":
        return AT, 12
    if first in "\"'“”‘’«»`「」":
        return QUOTE, 13
    if first in "<[{|#*=-~":
        return MARK, 14
    return OTHER, 15


def tokens(text: str) -> Tokens:
    """`text` as tokens."""
    found = list(_TOKEN.finditer(text))
    # An attacker's long words would push the common ones out of what is kept.
    known = [_known(m[0]) if m.end() - m.start() <= MAX_WORD else _known.__wrapped__(m[0]) for m in found]
    starts = [m.start() for m in found]
    ends = [m.end() for m in found]
    codes = "".join([k[0] for k in known])
    if len(codes) != len(found):  # some words are several tokens
        before = starts
        starts = [at + a for at, k in zip(before, known, strict=True) for a, _ in k[3]]
        ends = [at + b for at, k in zip(before, known, strict=True) for _, b in k[3]]
    return Tokens(codes, starts, ends, b"".join([k[1] for k in known]), b"".join([k[2] for k in known]))
