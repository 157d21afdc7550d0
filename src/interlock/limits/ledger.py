"""The port to whatever keeps what was used: reserve before, settle after, nothing in between is lost.

A reservation is counted as used from the moment it is made. `settle` replaces what was reserved by what was used,
`release` by nothing. A reservation that is neither settled nor released within its lease has **lapsed**: it stays
counted at its reserved amount. That is the one rule that can never overspend a hard cap, whatever happened to the
process that held it; a late `settle` or `release` still corrects it. Settling is final, releasing is not: whoever says
that the call was made after all is believed.

What was reserved in one window and settled in the next belongs to the first; if it was more than reserved, the excess
counts in the newest window. Raising: nothing was reserved, or nobody knows; the call is not made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from interlock.limits.budget import Line

LEASE: Final = 600.0  # seconds that a call may take before its reservation lapses
KEPT: Final = 86_400.0  # seconds that a reservation's key is remembered after its lease


class Ledger(Protocol):
    """Accounts and reservations. All methods are atomic and may be called by any thread."""

    def reserve(self, key: str, lines: Sequence[Line], *, lease: float = LEASE) -> None:
        """Count the amounts of all `lines` as used, or none of them.

        The same `key` with the same lines again changes nothing, unless it was released: then it counts anew.

        Raises:
            Exhausted: an account has no room.
            LimitError: the key stands for another reservation.
            StoreError: the store is away; the key may be tried again.
        """
        ...

    def settle(self, key: str, used: Mapping[str, int]) -> bool:
        """Count what was `used` by account instead of what was reserved; accounts not named stay as reserved.

        False if the key is not known (any more), or was settled.
        """
        ...

    def release(self, key: str) -> bool:
        """Count nothing instead of what was reserved. False if the key is not known, or was settled or released."""
        ...

    def full(self, lines: Sequence[Line]) -> str:
        """The first account that has no room for its line; empty if all have."""
        ...

    def used(self, lines: Sequence[Line]) -> tuple[int, ...]:
        """What is used of each account in the window that is open."""
        ...

    def lapsed(self) -> int:
        """How many reservations have outlived their lease and wait for somebody to say what became of them."""
        ...

    def prune(self, *, idle: float) -> int:
        """Forget reservations that are long over, and accounts of runs without a change for `idle` seconds."""
        ...
