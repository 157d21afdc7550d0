"""How far earlier requests were read, so that a history that grows costs what is new.

A client sends the whole history each time. It is read item by item, and what an item means depends on nothing but the
items before it and what stood before the first. So what was read of a history is read of every longer one that begins
with it. Compared is how the items are spelt, never their values: to Python, 1 and true are equal. A history with a
problem is not kept. What somebody else sent is never found: each reader has a shelf of their own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock

from interlock.wire.events import Declared, Event, Hosted

BRANCHES = 8  # of histories that begin alike


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What the reader knew after some items."""

    before: int  # events that stood before the first item
    items: int
    spelt: bytes  # all items
    events: tuple[Event, ...]
    tools: tuple[Declared, ...]
    hosted: tuple[Hosted, ...]
    state: tuple[str, ...]
    names: frozenset[str]
    open: Mapping[str, int]

    @property
    def weight(self) -> int:
        """Bytes that it takes, roughly: as it is spelt, as events, and what every entry takes."""
        return 2 * len(self.spelt) + 100 * len(self.events) + 1_500


class Prefixes:
    """What was read last, in `room` bytes, roughly."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._lock = Lock()
        self._found: OrderedDict[tuple[str, str, bytes], list[Read]] = OrderedDict()
        self.taken = 0  # bytes

    def shelf(self, format: str, whose: str) -> Shelf:  # noqa: A002 - what it is
        """Those of `whose` requests in this format."""
        return Shelf(self, format, whose)

    def find(self, key: tuple[str, str, bytes], spelt: bytes, events: tuple[Event, ...]) -> Read | None:
        """The longest that `spelt` begins with, after the same `events`."""
        with self._lock:
            known = self._found.get(key)
            if known is None:
                return None
            self._found.move_to_end(key)
            fitting = [
                read
                for read in known
                if spelt.startswith(read.spelt)  # whole items: what was kept holds objects only
                and read.before == len(events)
                and read.events[: read.before] == events
            ]
            return max(fitting, key=lambda read: read.items, default=None)

    def keep(self, key: tuple[str, str, bytes], read: Read, instead: Read | None) -> None:
        """Keep `read`, in place of one that it goes on from."""
        with self._lock:
            known = self._found.setdefault(key, [])
            for old in [each for each in known if each is instead] or known[: max(0, len(known) + 1 - BRANCHES)]:
                known.remove(old)
                self.taken -= old.weight
            known.append(read)
            self.taken += read.weight
            self._found.move_to_end(key)
            while self.taken > self._room:
                _, forgotten = self._found.popitem(last=False)
                self.taken -= sum(old.weight for old in forgotten)


@dataclass(frozen=True, slots=True)
class Shelf:
    """The `prefixes` of one party's requests in one format."""

    prefixes: Prefixes
    format: str
    whose: str
