"""How far content may be believed, and who may learn it. Read this module first.

A label is a point in a product of two orders. Integrity: `external < own < user`. Readers: a set of names, ordered by
inclusion, with "everyone" on top. Joining two labels is what happens to content made from both: it is believed no more
than its least believable part and may be read only by those who may read every part (K6). What carries no label is
`UNKNOWN`: external, readable by nobody (K7).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import reduce

from interlock.kernel.errors import LabelError


class Integrity(IntEnum):
    """Who could have chosen the content; a larger one is believed further."""

    EXTERNAL = 0  # anybody: the default
    OWN = 1  # only the service itself, the operator or the user can set it
    USER = 2  # the user's words, and what a human approved

    @property
    def word(self) -> str:
        """`external`, `own` or `user`: the word that manifests, rules and records use."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Readers:
    """Who may learn the content: `names`, or everyone when `names` is None."""

    names: frozenset[str] | None

    def __post_init__(self) -> None:
        names: frozenset[object] = self.names or frozenset()
        if not all(isinstance(n, str) and n for n in names):
            raise LabelError("a reader is a name that is not empty")

    @classmethod
    def of(cls, *names: str) -> Readers:
        """Exactly these readers; none at all without names."""
        return cls(frozenset(names))

    def include(self, name: str) -> bool:
        """`name` may learn the content. Names compare exactly."""
        return self.names is None or name in self.names

    def covers(self, other: Readers) -> bool:
        """Everybody in `other` may learn the content."""
        if self.names is None:
            return True
        return other.names is not None and other.names <= self.names

    def join(self, other: Readers) -> Readers:
        """Those who may read both."""
        if self.names is None:
            return other
        if other.names is None:
            return self
        return Readers(self.names & other.names)


EVERYONE = Readers(None)
NOBODY = Readers(frozenset())


@dataclass(frozen=True, slots=True)
class Label:
    """Integrity × readers. There is no default for either: a label is always somebody's decision."""

    integrity: Integrity
    readers: Readers

    def join(self, other: Label) -> Label:
        """The label of content made from both (K6): never more believed, never more widely read than either."""
        return Label(min(self.integrity, other.integrity), self.readers.join(other.readers))

    def flows_to(self, need: Label) -> bool:
        """Content with this label may stand where `need` is asked for."""
        return self.integrity >= need.integrity and self.readers.covers(need.readers)


UNKNOWN = Label(Integrity.EXTERNAL, NOBODY)


def join_all(labels: Iterable[Label]) -> Label:
    """The join of `labels`; `UNKNOWN` for none, since nothing is known of what was made from nothing (K7)."""
    found = tuple(labels)
    return reduce(Label.join, found) if found else UNKNOWN
