"""What an anchor is, and what it needs of the store whose checkpoints it keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias

from interlock.audit.base import Base
from interlock.audit.checkpoint import Note
from interlock.audit.record import Record

Proof: TypeAlias = Callable[[int], list[bytes]]  # that the tree begins with its first so many leaves


class Anchor(Protocol):
    """Keeps checkpoints where whoever writes the audit cannot take them back."""

    def put(self, note: Note, proof: Proof) -> Note:
        """Keep `note`; the note, with a cosignature if this is a witness.

        Raises:
            AuditError: it could not be kept, or contradicts what was kept before.
        """
        ...


class Store(Protocol):
    """An audit store, as checkpoints are taken from it."""

    stream: str

    def records(self, *, after: int = 0) -> Iterator[Record]:
        """The records with a larger number than `after`."""
        ...

    def base(self) -> Base:
        """Where the kept records begin."""
        ...

    def checkpoint(self) -> Base:
        """The latest checkpoint."""
        ...

    def keep(self, checkpoint: Base) -> None:
        """Note a checkpoint."""
        ...
