"""A run as a fold over the history that a caller sends whole each turn. Read after `run`; `mediate` does the folding.

Events are content-addressed: a prefix of a history is known by the digest of the chain of its events, so a history that
extends a known one costs what is new, and one that differs anywhere is folded afresh. A run that is found again is
handed on, never copied: one ledger never serves two histories.

What the user said can be taken back; what a tool did or returned cannot. A rewritten history therefore starts with
every result that it leaves out (`Memory.kept`). Results are believed as their tool's spec says only if this monitor
permitted the call, and no more different results than it permitted calls; every other result is external.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Generic, TypeAlias, TypeVar

from interlock.kernel.call import Call, Json, digest_of
from interlock.kernel.labels import Integrity

V = TypeVar("V")


@dataclass(frozen=True)
class Said:
    """Somebody's words: the user's, the operator's (`OWN`), or a document's (`EXTERNAL`)."""

    text: str
    integrity: Integrity
    source: str = ""

    @cached_property
    def digest(self) -> str:
        """What stands for this event."""
        return digest_of(["said", self.text, self.integrity.word, self.source])


@dataclass(frozen=True)
class Proposed:
    """The model asked for `call`."""

    call: Call

    @cached_property
    def digest(self) -> str:
        """What stands for this event."""
        return digest_of(["proposed", self.call.digest])


@dataclass(frozen=True)
class Returned:
    """Somebody performed `call`, and this came back; `failed`: it is the text of an error."""

    call: Call
    output: Json
    failed: bool = False

    @cached_property
    def digest(self) -> str:
        """What stands for this event."""
        return digest_of(["returned", self.call.digest, self.output, self.failed])


Event: TypeAlias = Said | Proposed | Returned


def prefixes(seed: Sequence[Json], events: Sequence[Event]) -> list[str]:
    """The digests of all prefixes of `events`, from none to all; `seed` keeps conversations apart."""
    found = [digest_of(list(seed))]
    for event in events:
        found.append(digest_of([found[-1], event.digest]))
    return found


class Recent(Generic[V]):
    """The `size` entries that were put in last."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = Lock()
        self._entries: OrderedDict[str, V] = OrderedDict()

    def get(self, key: str) -> V | None:
        """The entry, which stays."""
        with self._lock:
            return self._entries.get(key)

    def take(self, key: str) -> V | None:
        """The entry, which is then somebody's alone."""
        with self._lock:
            return self._entries.pop(key, None)

    def share(self, key: str, make: Callable[[], V]) -> V:
        """The entry, made if there is none; the same for everybody who asks."""
        with self._lock:
            value = self._entries.get(key)
            if value is None:
                value = make()
            self._put(key, value)
            return value

    def put(self, key: str, value: V) -> None:
        """Keep `value`, and forget the oldest entry if there are too many."""
        with self._lock:
            self._put(key, value)

    def _put(self, key: str, value: V) -> None:
        self._entries[key] = value
        self._entries.move_to_end(key)
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)
