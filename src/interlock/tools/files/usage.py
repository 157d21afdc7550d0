"""What a root holds, and how much more it may: bytes and entries, counted before anything is written.

The count is a walk over the root, kept for some seconds; what this tool writes meanwhile is added at once, under a
lock, so that it cannot pass its quota between two walks. Apparent sizes count: a sparse file is as large as it says.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from interlock.tools.kind import ToolFailed

FRESH = 5.0  # seconds for which a walk is believed


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes of files, and how many files, folders and links."""

    size: int
    entries: int


class Usage:
    """The running count of one root."""

    def __init__(self, count: Callable[[], Held], *, size: int, entries: int, clock: Callable[[], float]) -> None:
        self._count, self._clock = count, clock
        self._size, self._entries = size, entries
        self._held = Held(0, 0)  # at the last walk, and what was written since
        self._promised = Held(0, 0)  # to writers that are at work; counted twice if a walk meets a part of it
        self._until = float("-inf")
        self._lock = threading.Lock()

    @contextmanager
    def reserve(self, size: int, entries: int) -> Iterator[None]:
        """Room for `size` more bytes and `entries` more entries; given back if the block fails.

        Raises:
            ToolFailed: there is none.
        """
        with self._lock:
            if self._clock() >= self._until:
                self._held = self._count()
                self._until = self._clock() + FRESH
            held, promised = self._held, self._promised
            if size > 0 and held.size + promised.size + size > self._size:
                raise ToolFailed(f"the root would hold more than its {self._size} bytes")
            if entries > 0 and held.entries + promised.entries + entries > self._entries:
                raise ToolFailed(f"the root would hold more than its {self._entries} files and folders")
            self._promised = Held(promised.size + size, promised.entries + entries)
        done = False
        try:
            yield
            done = True
        finally:
            with self._lock:
                self._promised = Held(self._promised.size - size, self._promised.entries - entries)
                if done:
                    self._held = Held(self._held.size + size, self._held.entries + entries)
                else:
                    self._until = float("-inf")  # a part of it may be there: count again

    def forget(self) -> None:
        """Something was deleted: count again before the next write."""
        with self._lock:
            self._until = float("-inf")
