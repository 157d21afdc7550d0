"""What trusted authors have said, indexed by kind: looking a value up costs the same however long the run is.

One `Known` holds the user's words, one the operator's and the own fields of results. Prose (the user's words, the
system prompt) names things by phrase; a field names the whole of itself, its lines and the items of its lists.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from sys import intern
from types import MappingProxyType

from interlock.kernel.spec import Role
from interlock.provenance import dates, kinds
from interlock.provenance.text import STOP, folded, phrase, quoted, stands, units, worded, words

MAX_ITEMS = 2_000  # characters of a field within which its lines and list items are names of their own
# superlative → (field names that it measures, whether the greatest is meant)
_SIZES = frozenset({"size", "bytes", "length", "file_size", "filesize", "size_bytes"})
_COSTS = frozenset({"amount", "price", "total", "cost", "value", "sum"})
_DATES = frozenset(
    "date timestamp time created created_at updated updated_at last_modified modified modified_at start_time start "
    "sent_at received_at due due_date day".split()
)
RANKS: Mapping[str, tuple[frozenset[str], bool]] = MappingProxyType(
    dict.fromkeys(("largest", "biggest"), (_SIZES | _COSTS, True))
    | dict.fromkeys(("smallest",), (_SIZES | _COSTS, False))
    | dict.fromkeys(("longest",), (_SIZES, True))
    | dict.fromkeys(("shortest",), (_SIZES, False))
    | dict.fromkeys(("highest", "most expensive", "priciest", "costliest"), (_COSTS, True))
    | dict.fromkeys(("lowest", "cheapest", "least expensive"), (_COSTS, False))
    | dict.fromkeys(("newest", "latest", "most recent"), (_DATES, True))
    | dict.fromkeys(("oldest", "earliest"), (_DATES, False))
)
_RANK = re.compile(r"(?<= )(" + "|".join(RANKS) + r")(?= )")
_REACH = 3  # words after a superlative among which its noun stands
_ITEMS = re.compile(r"[\n;|]|,\s|:\s")


@dataclass(frozen=True, slots=True)
class Prose:
    """A text in which names are looked for: its units, the text itself, and where it stands."""

    phrase: str
    text: str
    where: str


@dataclass(slots=True)
class Known:
    """Values that somebody trusted named; each maps to where it stands."""

    addresses: dict[str, str] = field(default_factory=dict)
    accounts: dict[str, str] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    hosts: dict[str, str] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    words: set[str] = field(default_factory=set)
    prose: list[Prose] = field(default_factory=list)
    stands: dict[str, list[int]] = field(default_factory=dict)  # unit → which pieces of prose have it
    quoted: set[str] = field(default_factory=set)
    ranked: list[tuple[str, frozenset[str]]] = field(default_factory=list)  # superlative, the words after it
    texts: list[str] = field(default_factory=list)
    moments: dict[dates.Day, str] = field(default_factory=dict)
    clocks: set[tuple[int, int]] = field(default_factory=set)

    def say(self, text: str, where: str, today: date | None = None) -> None:
        """Take in prose."""
        self._values(text, where)
        told = self._prose(text, where)
        self.texts.append(text)
        self.quoted |= {folded(q) for q in quoted(text)}
        self.ranked += [
            (m[1], frozenset(told[m.end() :].split(maxsplit=_REACH)[:_REACH])) for m in _RANK.finditer(told)
        ]
        for line in text.splitlines():
            self.tokens.setdefault(line.strip(), where)
        said = dates.when(text, today)
        self.clocks |= said.clocks
        for day in said.days:
            self.moments.setdefault(day, where)

    def field(self, value: str, where: str) -> None:
        """Take in the value of a field."""
        self._values(value, where)
        self.names.setdefault(folded(value), where)
        if len(value) <= MAX_ITEMS:
            if " " in value:
                self._prose(value, where)
            for item in _ITEMS.split(value):
                if item.strip():
                    self.names.setdefault(folded(item), where)
        for day in dates.when(value).days:
            self.moments.setdefault(day, where)

    def _prose(self, text: str, where: str) -> str:
        parts = units(text)
        told = phrase(parts)
        for unit in set(parts):
            self.stands.setdefault(unit, []).append(len(self.prose))
        self.prose.append(Prose(told, folded(text), where))
        return told

    def _values(self, text: str, where: str) -> None:
        found = kinds.found(text)
        for store, values in (
            (self.addresses, found.addresses),
            (self.accounts, found.accounts),
            (self.urls, found.urls),
            (self.hosts, found.hosts),
            (self.paths, found.paths),
            (self.tokens, found.tokens),
            (self.numbers, found.numbers),
        ):
            for value in values:
                store.setdefault(value, where)
        self.words.update(words(text))

    def source(self, role: Role, value: str) -> str | None:
        """Where this value of an argument with this role is named, typed and whole; None if it is not."""
        match role:
            case Role.RECIPIENT:
                return self._all(self.addresses, kinds.address(value)) if "@" in value[1:] else self._name(value)
            case Role.ACCOUNT:
                spelt = kinds.account(value)
                return self._all(self.accounts, spelt) if spelt else self._name(value)
            case Role.URL:
                return self._all(self.urls, kinds.url(value))
            case Role.HOST:
                return self._all(self.hosts, kinds.host(value))
            case Role.PATH:
                return self._all(self.paths, kinds.path(value)) or self.names.get(folded(value))
            case Role.CREDENTIAL | Role.COMMAND:
                return self._all(self.tokens, kinds.credential(value))
            case Role.TIME:
                return self._moment(value)
            case Role.AMOUNT:
                return self._all(self.numbers, kinds.number(value))
            case Role.ENTITY:
                return self._name(value)
            case _:
                return self._name(value) or self._all(self.numbers, kinds.number(value))

    def actionable(self, kind: str, value: str) -> bool:
        """A link, address or account found inside free text is named."""
        store = {"address": self.addresses, "account": self.accounts}.get(kind, self.urls)
        return value in store

    def phrased(self, value: str) -> bool:
        """The units of `value` stand in prose, adjacent and in order."""
        return self._phrase(value) is not None

    def ranks(self, nouns: Collection[str]) -> set[str]:
        """The superlatives that prose puts before one of `nouns`: "the largest file", "my most recent payment"."""
        return {rank for rank, after in self.ranked if not after.isdisjoint(nouns)}

    def _phrase(self, value: str) -> str | None:
        """Where the units of `value` stand. Only the prose that has the rarest of them is searched."""
        parts = units(value)
        places = [self.stands.get(p) for p in parts]
        if not parts or not all(places):
            return None
        needle = phrase(parts)
        rarest = min((p for p in places if p), key=len)
        return next((self.prose[i].where for i in rarest if needle in self.prose[i].phrase), None)

    def _literal(self, value: str) -> str | None:
        """Where `value` stands letter by letter, apart from case and white space."""
        wanted = folded(value)
        parts = [p for p in (self.stands.get(u) for u in units(value)) if p]
        return (
            next((self.prose[i].where for i in min(parts, key=len) if stands(wanted, self.prose[i].text)), None)
            if parts
            else None
        )

    def _name(self, value: str) -> str | None:
        if kinds.name(value) is None:
            return None
        return self.names.get(folded(value)) or (self._phrase(value) if worded(value) else self._literal(value))

    def _moment(self, value: str) -> str | None:
        if dates.said(value, dates.When(frozenset(self.moments), frozenset(self.clocks))):
            return next(iter(self.moments.values()), "the time of day named")
        return self._name(value) if not dates.when(value) else None

    @staticmethod
    def _all(store: dict[str, str], spelt: tuple[str, ...] | None) -> str | None:
        if not spelt or any(s not in store for s in spelt):
            return None
        return store[spelt[0]]


class NamedIds:
    """Ids that prose names together with the kind of object they belong to: "order 1042", "the file with ID '13'"."""

    _TOKEN = re.compile(r"#|[\w@.+/-]*\w")
    _MARKS = frozenset({"id", "ids", "number", "no", "nr", "num", "#", "ref", "reference", "uuid", "key", "code"})
    _WINDOW = 8  # words before the id in which its kind may stand
    _NEAR = 3  # words before a short id in which a mark or its kind must stand

    def __init__(self, nouns: dict[str, str]) -> None:
        """`nouns`: word → kind of object, for every kind that any tool knows."""
        self._nouns = nouns
        self._told: list[str] = []  # the tokens of all texts, each text with a gap before it
        self._places: dict[str, list[int]] = {}  # token → where in `_told`

    def say(self, text: str) -> None:
        """Take in prose."""
        self._told += [""] * self._WINDOW
        for found in self._TOKEN.findall(text):
            token = intern(found.lower().strip("."))  # one of each: most words come again, here or elsewhere
            self._places.setdefault(token, []).append(len(self._told))
            self._told.append(token)

    def names(self, value: str, kind: str) -> bool:
        """The prose names the object of this kind by this id."""
        places = self._places.get(value.lower(), ())
        return any(self._means(self._told[i - self._WINDOW : i], value, kind) for i in places)

    def _means(self, before: list[str], value: str, kind: str) -> bool:
        before = [t for t in before if t not in {"and", "or"} and not t.isdigit()]
        said = next((self._nouns[t] for t in reversed(before) if t in self._nouns), None)
        if said is not None and said != kind:
            return False
        telling = any(c.isdigit() for c in value) and len(value) >= 6  # noqa: PLR2004 - a short number is a number
        return telling or any(t in self._MARKS or self._nouns.get(t) == kind for t in before[-self._NEAR :])


def new_words(value: str, *known: Known) -> list[str]:
    """The words of a short text that no trusted author used, without those that every text has."""
    return [w for w in words(value) if _telling(w) and not any(w in k.words for k in known)]


def _telling(word: str) -> bool:
    """Not so short that it tells nothing; other scripts say much with few letters."""
    return word not in STOP and (len(word) > 3 or not word.isascii())  # noqa: PLR2004 - letters
