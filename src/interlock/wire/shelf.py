"""How far earlier requests were read, so that a history that grows costs what is new.

A client sends the whole history each time. It is read item by item, and what an item means depends on nothing but the
items before it and what stood before the first. So what was read of a history is read of every longer one that begins
with it. Compared is how the items are spelt, by its digest, never their values: to Python, 1 and true are equal. A
history with a problem is not kept. What somebody else sent is never found: each reader has a shelf of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol, TypeAlias

from interlock.wire.events import Declared, Event, Hosted

Key: TypeAlias = "tuple[str, str, bytes]"  # format, whose, digest of how the history begins
BRANCHES = 8  # of histories that begin alike


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What the reader knew after some items."""

    before: int  # events that stood before the first item
    items: int
    size: int  # bytes of all items as they are spelt
    digest: bytes  # SHA-256 of these
    events: tuple[Event, ...]
    tools: tuple[Declared, ...]
    hosted: tuple[Hosted, ...]
    state: tuple[str, ...]
    names: frozenset[str]
    open: Mapping[str, int]

    @property
    def weight(self) -> int:
        """Bytes that it takes, roughly: as events, and what every entry takes."""
        return self.size + 100 * len(self.events) + 1_500


class Store(Protocol):
    """Where what was read is kept, as long as there is room."""

    def get(self, key: Key) -> tuple[Read, ...] | None:
        """What was put there."""

    def put(self, key: Key, value: tuple[Read, ...]) -> None:
        """Keep it in place of what was there."""


def weigh(reads: tuple[Read, ...]) -> int:
    """Bytes that they take, roughly."""
    return sum(read.weight for read in reads)


class Prefixes:
    """What was read of many histories."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def shelf(self, format: str, whose: str) -> Shelf:  # noqa: A002 - what it is
        """Those of `whose` requests in this format."""
        return Shelf(self, format, whose)

    def find(self, key: Key, spelt: bytes, events: tuple[Event, ...]) -> tuple[Read | None, bytes]:
        """The longest that `spelt` begins with, after the same `events`; and the digest of all that is `spelt`."""
        found, at, view, running = None, 0, memoryview(spelt), sha256()
        for read in sorted(self._store.get(key) or (), key=lambda read: read.size):
            if read.size > len(spelt):
                break
            running.update(view[at : read.size])
            at = read.size
            # Whole items: what was kept holds nothing but objects, and no object is the beginning of another.
            if running.digest() == read.digest and read.before == len(events) and read.events[: read.before] == events:
                found = read
        running.update(view[at:])
        return found, running.digest()

    def keep(self, key: Key, read: Read, instead: Read | None) -> None:
        """Keep `read`, in place of one that it goes on from. Of two at once, one may be forgotten."""
        known = self._store.get(key) or ()
        others = tuple(each for each in known if each is not instead)
        self._store.put(key, (*others[max(0, len(others) + 1 - BRANCHES) :], read))


@dataclass(frozen=True, slots=True)
class Shelf:
    """The `prefixes` of one party's requests in one format."""

    prefixes: Prefixes
    format: str
    whose: str
