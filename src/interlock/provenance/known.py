"""What trusted authors have said, indexed by kind: looking a value up costs the same however long the run is.

One `Known` holds the user's words, one the operator's and the own fields of results. Prose (the user's words, the
system prompt) names things by phrase; a field names the whole of itself, its lines and the items of its lists.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType

from interlock.kernel.spec import Role
from interlock.provenance import dates, kinds
from interlock.provenance.text import STOP, folded, phrase, words

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
    prose: list[tuple[str, str]] = field(default_factory=list)  # phrase, where
    texts: list[str] = field(default_factory=list)
    moments: dict[dates.Day, str] = field(default_factory=dict)
    clocks: set[tuple[int, int]] = field(default_factory=set)

    def say(self, text: str, where: str, today: date | None = None) -> None:
        """Take in prose."""
        self._values(text, where)
        self.prose.append((phrase(text), where))
        self.texts.append(text)
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
                self.prose.append((phrase(value), where))
            for item in _ITEMS.split(value):
                if item.strip():
                    self.names.setdefault(folded(item), where)
        for day in dates.when(value).days:
            self.moments.setdefault(day, where)

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
                return self._all(self.addresses, kinds.address(value)) if "@" in value else self._name(value)
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
        """The words of `value` stand in prose, adjacent and in order."""
        needle = phrase(value)
        return bool(needle.strip()) and any(needle in p for p, _ in self.prose)

    def ranks(self, nouns: Collection[str]) -> set[str]:
        """The superlatives that prose puts before one of `nouns`: "the largest file", "my most recent payment"."""
        found: set[str] = set()
        for told, _ in self.prose:
            for m in _RANK.finditer(told):
                if set(told[m.end() :].split()[:_REACH]) & set(nouns):
                    found.add(m[1])
        return found

    def _name(self, value: str) -> str | None:
        if kinds.name(value) is None:
            return None
        where = self.names.get(folded(value))
        if where is None and all(w in self.words for w in words(value)):  # most unknown names end here
            needle = phrase(value)
            where = next((w for p, w in self.prose if needle in p), None)
        return where

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
        self._texts: list[list[str]] = []

    def say(self, text: str) -> None:
        self._texts.append([t.lower().strip(".") for t in self._TOKEN.findall(text)])

    def names(self, value: str, kind: str) -> bool:
        """The prose names the object of this kind by this id."""
        wanted = value.lower()
        return any(
            self._at(text, i, wanted, kind) for text in self._texts for i, token in enumerate(text) if token == wanted
        )

    def _at(self, text: list[str], i: int, value: str, kind: str) -> bool:
        before = [t for t in text[max(0, i - self._WINDOW) : i] if t not in {"and", "or"} and not t.isdigit()]
        said = next((self._nouns[t] for t in reversed(before) if t in self._nouns), None)
        if said is not None and said != kind:
            return False
        telling = any(c.isdigit() for c in value) and len(value) >= 6  # noqa: PLR2004 - a short number is a number
        near = before[-self._NEAR :]
        return telling or any(t in self._MARKS or self._nouns.get(t) == kind for t in near)


def new_words(value: str, *known: Known) -> list[str]:
    """The words of a short text that no trusted author used, without those that every text has."""
    return [w for w in words(value) if len(w) > 3 and w not in STOP and not any(w in k.words for k in known)]  # noqa: PLR2004
