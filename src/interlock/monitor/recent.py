"""What was used last stays in memory, as far as there is room.

Several kinds of things share one `Room`; whatever was used least lately goes first, of all of them, but never the very
last one of a kind. What a thing weighs is estimated when it is put in: bytes, or one each where their number counts.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, Generic, TypeAlias, TypeVar, cast

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
_Name: TypeAlias = "tuple[Hashable, Hashable]"  # kind and key


class Room:
    """Place for entries that weigh `size` together."""

    def __init__(self, size: float) -> None:
        self.size = size
        self.taken = 0
        self._lock = Lock()
        self._entries: OrderedDict[_Name, tuple[Any, int]] = OrderedDict()
        self._last: dict[Hashable, _Name] = {}  # by kind

    def get(self, name: _Name) -> object:
        """The entry, which stays; None if there is none."""
        with self._lock:
            if name not in self._entries:
                return None
            self._entries.move_to_end(name)
            self._last[name[0]] = name
            return self._entries[name][0]

    def take(self, name: _Name) -> object:
        """The entry, which is then somebody's alone."""
        with self._lock:
            return self._pop(name)

    def put(self, name: _Name, value: object, weight: int) -> None:
        """Keep `value`, and forget what was used least lately if that is too much."""
        with self._lock:
            self._put(name, value, weight)

    def again(self, name: _Name, weigh: Callable[[Any], int]) -> None:
        """Weigh the entry anew, if it is there: it was used, and has grown."""
        with self._lock:
            value = self._pop(name)
            if value is not None:
                self._put(name, value, weigh(value))

    def count(self, kind: Hashable) -> int:
        """How many entries of `kind` there are."""
        with self._lock:
            return sum(1 for of, _ in self._entries if of == kind)

    def _put(self, name: _Name, value: object, weight: int) -> None:
        self._pop(name)
        self._entries[name] = value, weight
        self._last[name[0]] = name
        self.taken += weight
        while self.taken > self.size:
            oldest = next((n for n in self._entries if n != self._last[n[0]]), None)
            if oldest is None:
                return
            self._pop(oldest)

    def _pop(self, name: _Name) -> object:
        value, weight = self._entries.pop(name, (None, 0))
        self.taken -= weight
        return value


class Recent(Generic[K, V]):
    """The entries of one kind."""

    def __init__(self, room: Room, kind: str, weigh: Callable[[V], int]) -> None:
        self._room, self._kind, self._weigh = room, kind, weigh

    def __len__(self) -> int:
        return self._room.count(self._kind)

    def get(self, key: K) -> V | None:
        """The entry, which stays."""
        return cast("V | None", self._room.get((self._kind, key)))

    def take(self, key: K) -> V | None:
        """The entry, which is then somebody's alone."""
        return cast("V | None", self._room.take((self._kind, key)))

    def put(self, key: K, value: V) -> None:
        """Keep `value`, and forget what was used least lately if there is too much."""
        self._room.put((self._kind, key), value, self._weigh(value))

    def again(self, key: K) -> None:
        """Weigh what is there under `key` anew: it was used, and has grown."""
        self._room.again((self._kind, key), self._weigh)
