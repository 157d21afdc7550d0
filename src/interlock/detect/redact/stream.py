# ruff: noqa: E501, PLR2004 - lengths and ranges are what the formats of these things are
"""Redacts a text that comes in pieces. How it was cut changes nothing, and nothing leaves that a pattern could extend.

The text is divided at places where no pattern goes on: behind white space (or a comma between JSON's members) where
what stands before opens nothing and the next character continues nothing. Whether a place is one depends on a bounded
piece of text in front of it and the one character behind it, never on the pieces. Each part is then redacted with the
`CONTEXT` before it in view. What grows longer than `CAP` without such a place is withheld: a placeholder stands for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from interlock.detect.redact.plausible import kind

Span = tuple[int, int, str]

CONTEXT = 256  # characters before a part in which names stand that say what it holds
PART = 24  # characters that leave at once at least: each part costs a look at the context, too
CAP = 8192  # characters without a place to divide at; the rest of such a part is withheld
WITHHELD = "[withheld]"
_WINDOW = 320  # characters that decide about a place

_PLACE = re.compile(r"[\s](?=\S)|,(?=[\"{\[])")
_WORD = re.compile(r"\S{1,80}$")
_NUMBER = re.compile(r"[A-Za-z]{0,2}[0-9A-Za-z().+/,:'\u2010-\u2013-]*$")
_ACCOUNT = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -][A-Za-z0-9]{4}){0,8}$")
_CAPITAL = re.compile(r"[^\W\d_a-z](?:[^\W\d_]|['\u2019.-](?=[^\W\d_])){1,24}\.?$")
_MONTH = re.compile(r"(?:jan|feb|m[aä]r|apr|may|mai|jun|jul|aug|sep|o[ck]t|nov|de[cz])[a-zä]{0,7}\.?$", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/]{40,}={0,2}(?:\\[nr])*[\"']?,?$")
_SPOKEN = re.compile(r"[(\[{<]\s?(?:at|dot|@|\.)?\s?[)\]}>]?$|\s(?:at|dot|AT|DOT)$")
_QUOTE = re.compile(
    r"(?P<k>[\w.\-]{1,80})\\{0,3}[\"'`]?[\])]?[ \t]{0,8}(?:=>|:=|[:=(,>])[ \t]{0,8}(?P<q>\\{0,3}[\"'`])(?P<v>(?:(?!(?P=q))[^\n]){0,200})$"
)
_TAG = re.compile(r"<(?P<k>[\w.:-]{1,60})>[^<\n]{0,200}$")
_HEADER = re.compile(
    r"cookie2?\\{0,3}[\"']?\]?[ \t]{0,4}[:=][^\n]{0,4000}$|(?:-----BEGIN|-----END)[^\n-]{0,80}$", re.IGNORECASE
)
_NAMED = re.compile(
    r"(?i:i'm|i am|my name is|my name's|signed by|on behalf of|cardholder|customer|patient|regards,|sincerely,|dear|dr\.|mr\.?|mrs\.?|ms\.?|[\w-]*(?:name|holder|patient|beneficiary|apellido|nombre|vorname)[ \t]{0,3}:)"
    r"\s{1,3}(?:(?:[^\W\d_a-z][\w'\u2019.-]{0,25}|van|von|de|der|den|del|da|dos|di|la|le|bin|al|el|ter|zu|y|e)\s){0,7}$"
)
_KEY = re.compile(r"-----BEGIN (?:[A-Z0-9]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_PIECE = re.compile(r"(?:\\{1,4}[nrt]|[\s\"',>|\\])+")
_SEED = re.compile(
    r"(?:phrase|mnemonic|words)[\"']?[ ]?(?:is|are|:|=)?\s{0,3}[\"']?(?:[a-z]{3,8}[ ,]{1,2}){0,23}$", re.IGNORECASE
)
_PIPE = re.compile(r"\b(?:echo|printf|print)[ ][^\n|]{0,200}(?:\|[^\n|]{0,60})?$")
_LAST_LINE = re.compile(r"[A-Za-z0-9+/]{40,}\s{1,4}[A-Za-z0-9+/]{1,64}={0,2}\s{1,4}$")
_LONG = 16  # characters of a key's line; shorter words are prose, of which a few may stand at its end


class Stream:
    """`feed` pieces, then `end`; each returns what may leave. After an error everything else is withheld."""

    __slots__ = ("__before", "__failed", "__looked", "__pending", "__replaced", "__spans", "__swallowing")

    def __init__(self, spans: Callable[[str], list[Span]], replaced: Callable[[str, Iterable[Span]], str]) -> None:
        self.__spans, self.__replaced = spans, replaced
        self.__before = ""  # what has left, as it was
        self.__pending = ""
        self.__looked = 0  # places of `pending` up to here are no places to divide at
        self.__failed = self.__swallowing = False

    def __repr__(self) -> str:
        return f"Stream({len(self.__pending)} characters held)"

    @property
    def held(self) -> int:
        """Characters that wait for what comes after them."""
        return len(self.__pending)

    def feed(self, chunk: str) -> str:
        """What may leave now."""
        if self.__failed:
            return ""
        try:
            self.__pending += chunk
            return "".join(self.__parts())
        except Exception:  # noqa: BLE001 - whatever it is, the text does not leave
            return self.__fail()

    def end(self) -> str:
        """The rest."""
        if self.__failed:
            return ""
        try:
            rest = "".join(self.__parts())
            if self.__swallowing:
                self.__pending = ""
                return rest
            return rest + self.__part(len(self.__pending))
        except Exception:  # noqa: BLE001 - as above
            return self.__fail()

    def __fail(self) -> str:
        self.__failed = True
        self.__pending = self.__before = ""
        return WITHHELD

    def __parts(self) -> Iterable[str]:
        while True:
            place = self.__place()
            if place is not None:
                if self.__swallowing:
                    self.__swallowing = False
                    self.__skip(place)
                else:
                    yield self.__part(place)
            elif len(self.__pending) > CAP:
                if not self.__swallowing:
                    self.__swallowing = True
                    yield WITHHELD + " "
                self.__skip(CAP)
            else:
                return

    def __skip(self, size: int) -> None:
        self.__before = (self.__before + self.__pending[:size])[-CONTEXT:]
        self.__pending = self.__pending[size:]
        self.__looked = 0

    def __part(self, size: int) -> str:
        part = self.__pending[:size]
        at = len(self.__before)
        found = [(max(start, at), end, what) for start, end, what in self.__spans(self.__before + part) if end > at]
        cleaned = self.__replaced(self.__before + part, found)[at:]
        self.__skip(size)
        return cleaned

    def __place(self) -> int | None:
        """The first place to divide at, of those not yet looked at. One beyond the cap is none."""
        for matched in _PLACE.finditer(self.__pending, self.__looked):
            place = matched.end()
            if place > CAP:
                return None
            self.__looked = place
            if place >= PART and self.__closed(place):
                return place
        # a place needs the character behind it, so the last one may become one
        self.__looked = max(self.__looked, min(len(self.__pending), CAP) - 1, 0)
        return None

    def __closed(self, place: int) -> bool:
        """Whether no pattern goes on across `place`."""
        after = self.__pending[place]
        window = (
            (self.__before + self.__pending[:place])[-_WINDOW:]
            if place < _WINDOW
            else self.__pending[place - _WINDOW : place]
        )
        bare = window.rstrip()
        word = _WORD.search(bare)
        if word is None:
            return True
        last = word[0]
        if (
            any(map(str.isdigit, last))
            and (after.isdigit() or after.isupper() or after in "(+-./xe")
            and _NUMBER.search(last)
        ):
            return False
        if after.isdigit() and (last[-1] in "+(-.)/" or _MONTH.search(last) or (len(last) <= 4 and last.isupper())):
            return False
        if after.isalnum() and _ACCOUNT.search(bare[-48:]):
            return False
        if (after.isupper() or after == "<") and not last.isupper() and _CAPITAL.match(last.strip("\"'(")):
            return False
        if after in "([{<" and last[-1].isalnum() and len(last) > 1:
            return False
        if _SPOKEN.search(bare[-12:]) and after not in "\"'":
            return False
        if "-----" in window and _HEADER.search(window):
            return False
        line = self.__line(place)
        if "ookie" in line.lower() and _HEADER.search(line):
            return False
        if _BASE64.search(last) or (after == "-" and _LAST_LINE.search(window)):
            return False
        if (after.islower() and _SEED.search(window)) or _PIPE.search(window):
            return False
        quote = _QUOTE.search(window)
        if quote and (kind(quote["k"]) == "password" or _names(quote["k"])):
            return False
        tag = _TAG.search(window)
        if tag and kind(tag["k"]) == "password":
            return False
        if (
            (after.isalpha() or after in "'\u2019")
            and _NAMED.search(window[-120:])
            and (after.isupper() or bare[-1:] not in ":'")
        ):
            return False
        return not self.__key_goes_on(place)

    def __line(self, place: int) -> str:
        text = self.__before + self.__pending[:place]
        return text[text.rfind("\n", max(0, len(text) - 4096)) + 1 :][-4096:]

    def __key_goes_on(self, place: int) -> bool:
        at = self.__pending.rfind("Private-Lines:", 0, place)
        if at >= 0 and self.__pending.find("Private-MAC:", at, place) < 0:
            return True
        at = self.__pending.rfind("-----BEGIN", 0, place)
        begins = _KEY.match(self.__pending, at, place) if at >= 0 else None
        if begins is None:
            return False
        body = self.__pending[begins.end() : place]
        end = body.find("-----END")
        if end >= 0:
            return "-----" not in body[end + 8 :]
        short = 0
        for piece in _PIECE.split(body):
            short = short + 1 if 0 < len(piece) < _LONG and not piece.endswith(":") else short
        return short <= 6


def _names(key: str) -> bool:
    lower = key.lower()
    return any(word in lower for word in ("name", "holder", "patient", "beneficiary", "apellido", "nombre", "vorname"))
