"""Time and bytes that one request may still take, over all its look-ups, connections, redirects and reads.

A time-out per read lets a server drip for ever; here every wait gets what is left of the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from interlock.tools.http.errors import TooMuch

OVERHEAD = 512 * 1024  # bytes on the wire beside the body: heads, chunk sizes, trailers; redirects share it


@dataclass(slots=True, kw_only=True)
class Meter:
    """What is left of a request's limits. `clock` gives seconds and is never set."""

    deadline: float
    bytes_left: int
    clock: Callable[[], float]

    def seconds(self, most: float) -> float:
        """Seconds that a wait may take, at most `most`.

        Raises:
            TooMuch: there are none left.
        """
        left = self.deadline - self.clock()
        if left <= 0:
            raise TooMuch("the request took longer than it may", hint="`seconds` of the tool's entry")
        return min(left, most)

    def took(self, count: int) -> None:
        """Charge `count` bytes that were read.

        Raises:
            TooMuch: there were fewer left.
        """
        self.bytes_left -= count
        if self.bytes_left < 0:
            raise TooMuch("the answer is larger than it may be", hint="`max_bytes` of the tool's entry")
