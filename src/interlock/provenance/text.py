"""Spelling: the little that is common to all kinds of values. Nothing here guesses in the attacker's favour.

A value in an argument must be clean to be compared at all: already in Unicode's composed form, without characters that
a reader does not see or that reorder what he sees. Letters are compared without case only where no two different
letters of different scripts or widths can meet: lower-casing is done after the form was checked, never by folding.

A name is compared by its units: words, and whatever stands tied together without white space (`2024-05-15`,
`a.b@x.org`), of which no part is a unit. Soft punctuation between units says nothing; all other must stand in the
source as it stands in the value.
"""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")
_UNIT = re.compile(r"[^\W_]+(?:(?:[._@\\%=~$+?&#]+|:?/{1,2}|(?<=\d)[-:,'](?=\d))[^\W_]+)*")
_EITHER = re.compile(r"[^\W\d_]+/[^\W\d_]+")  # "lunch/dinner": two words
_NEXT_SENTENCE = re.compile(r"\.(?=[A-Z][a-z])")
_SOFT = frozenset(" -'’,&().!?:\"")
_HIDDEN = frozenset({"Cf", "Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
_QUOTES = (("'", "'"), ('"', '"'), ("`", "`"), ("‘", "’"), ("“", "”"), ("«", "»"))
_QUOTED = re.compile("|".join(f"{a}([^{b}\n]{{1,300}}){b}" for a, b in _QUOTES))
EDGES = "'\"`‘’“”«»()[]{}<>.,;:!?*…"

# Words that every text has: they name nothing and tell nothing.
STOP = frozenset(
    "a about after again all also am an and any are as at be been before but by can could did do does for from had has "
    "have he her here him his how i if in into is it its just like may me more most my no not now of off on one only "
    "or other our out over own please she should so some such than that the their them then there these they this "
    "those to too under until up us very was we were what when where which while who whom why will with would you "
    "your".split()
)


def clean(value: str) -> bool:
    """`value` can be compared: composed, and without hidden, control or unassigned characters."""
    if value.isascii():
        return value.isprintable()
    return unicodedata.is_normalized("NFC", value) and not any(hidden(c) for c in value)


def hidden(char: str) -> bool:
    """A reader does not see this character, or sees others elsewhere because of it."""
    return unicodedata.category(char) in _HIDDEN or ignorable(char)


def ignorable(char: str) -> bool:
    """Programs pass over this character where a name is looked up (Unicode: default ignorable)."""
    if unicodedata.category(char) == "Cf":
        return True
    code = ord(char)
    return code in _IGNORED or 0xFE00 <= code <= 0xFE0F or 0xE0000 <= code <= 0xE0FFF  # noqa: PLR2004 - code points


_IGNORED = frozenset({0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2065, 0x3164, 0xFFA0})


def folded(value: str) -> str:
    """One spelling of a name: lower case, single spaces. Compatibility forms stay what they are."""
    return " ".join(_lower(value).split())


def ascii_lower(value: str) -> str:
    """Lower case of the letters A to Z; all others stay what they are."""
    return value.lower() if value.isascii() else "".join(c.lower() if c.isascii() else c for c in value)


def _lower(value: str) -> str:
    if value.isascii():
        return value.lower()
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in unicodedata.normalize("NFC", value))


def words(value: str) -> tuple[str, ...]:
    """The words of a text, lower case, in order. Everything that is no letter and no digit separates."""
    return tuple(_WORD.findall(_lower(value)))


def units(value: str) -> list[str]:
    """The words of a text, lower case, in order, with what is tied together in one piece."""
    found: list[str] = []
    for unit in _UNIT.findall(_lower(_NEXT_SENTENCE.sub(". ", value))):
        found += unit.split("/") if _EITHER.fullmatch(unit) else [unit]
    return found


def worded(value: str) -> bool:
    """Beside its units, `value` holds only punctuation that says nothing (and one `#` or `@` before it)."""
    if value[:1] in {"-", "."}:
        return False
    return set(_UNIT.sub("", value.removeprefix("#").removeprefix("@"))) <= _SOFT


def phrase(parts: list[str]) -> str:
    """The units joined by single spaces, with one at each end, so that `in` compares whole units."""
    return f" {' '.join(parts)} "


def stands(value: str, text: str) -> bool:
    """`value` stands in `text`, letter by letter, with white space or the punctuation of a sentence around it."""
    at = text.find(value)
    while at >= 0:
        before, after = text[max(0, at - 1) : at], text[at + len(value) : at + len(value) + 8].lstrip(EDGES)
        if (not before or before.isspace() or before in EDGES) and (not after or after[0].isspace()):
            return True
        at = text.find(value, at + 1)
    return False


def squashed(value: str) -> str:
    """Letters and digits only, lower case after compatibility folding: for finding echoes, where more is safer."""
    return "".join(_WORD.findall(unicodedata.normalize("NFKC", value).casefold()))


def quoted(text: str) -> set[str]:
    """What stands between quotation marks, without them."""
    return {next(g for g in m.groups() if g is not None).strip() for m in _QUOTED.finditer(text)}


def tokens(text: str) -> set[str]:
    """The words of a text as written, between white space, with and without the punctuation around them."""
    found = set(text.split())
    return found | {t.strip(EDGES) for t in found} - {""}
