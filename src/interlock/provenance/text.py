"""Spelling: the little that is common to all kinds of values. Nothing here guesses in the attacker's favour.

A value in an argument must be clean to be compared at all: already in Unicode's composed form, without characters that
a reader does not see or that reorder what he sees. Letters are compared without case only where no two different
letters of different scripts or widths can meet: lower-casing is done after the form was checked, never by folding.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+")
_HIDDEN = frozenset({"Cf", "Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
_QUOTED = re.compile(
    "'([^'\n]{1,300})'|\"([^\"\n]{1,300})\"|`([^`\n]{1,300})`|‘([^’\n]{1,300})’|“([^”\n]{1,300})”|«([^»\n]{1,300})»"
)
_EDGES = "'\"`‘’“”«»()[]{}<>.,;:!?*…"

# Words that every text has: they name nothing and tell nothing.
STOP = frozenset(
    "a about after again all also am an and any are as at be been before but by can could did do does for from had has "
    "have he her here him his how i if in into is it its just like may me more most my no not now of off on one only "
    "or other our out over own please she should so some such than that the their them then there these they this "
    "those to too under until up us very was we were what when where which while who whom why will with would you your".split()
)


def clean(value: str) -> bool:
    """`value` can be compared: composed, and without hidden, control or unassigned characters."""
    if value.isascii():
        return value.isprintable()
    return unicodedata.is_normalized("NFC", value) and not any(unicodedata.category(c) in _HIDDEN for c in value)


def folded(value: str) -> str:
    """One spelling of a name: lower case, single spaces. Compatibility forms stay what they are."""
    return " ".join(_lower(value).split())


def _lower(value: str) -> str:
    if value.isascii():
        return value.lower()
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in unicodedata.normalize("NFC", value))


@lru_cache(maxsize=4096)
def words(value: str) -> tuple[str, ...]:
    """The words of a text, lower case, in order. Everything that is no letter and no digit separates."""
    return tuple(_WORD.findall(_lower(value)))


def phrase(value: str) -> str:
    """The words joined by single spaces, with one at each end, so that `in` compares whole words."""
    return f" {' '.join(words(value))} "


def squashed(value: str) -> str:
    """Letters and digits only, lower case after compatibility folding: for finding echoes, where more is safer."""
    return "".join(_WORD.findall(unicodedata.normalize("NFKC", value).casefold()))


def quoted(text: str) -> set[str]:
    """What stands between quotation marks, without them."""
    return {next(g for g in m.groups() if g is not None).strip() for m in _QUOTED.finditer(text)}


def tokens(text: str) -> set[str]:
    """The words of a text as written, between white space, with and without the punctuation around them."""
    found = set(text.split())
    return found | {t.strip(_EDGES) for t in found} - {""}
