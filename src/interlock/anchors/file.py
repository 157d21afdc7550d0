"""Checkpoints in a text file, one signed note after the other: on another disk, a mount that only appends, a printer.

It is evidence exactly as far as whoever runs the audit cannot write it.
"""

from __future__ import annotations

import os
from pathlib import Path

from interlock.anchors.ports import Proof
from interlock.audit.checkpoint import Note, notes
from interlock.audit.errors import AuditError


class FileAnchor:
    """Notes in the file at `path`, which is only ever appended to."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    def put(self, note: Note, proof: Proof) -> Note:  # noqa: ARG002 - the port's shape: a file checks no proof
        """Append `note`; it is on the disk when this returns.

        Raises:
            AuditError: the file cannot be written, or has another checkpoint of that size, or a larger one.
        """
        contradicted(note, self.notes())
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, 0o644)
            try:
                whole = note.text.encode()
                if os.write(descriptor, whole) != len(whole):
                    raise OSError("the disk is full")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise AuditError(f"the anchor `{self._path}` cannot be written: {error}") from error
        return note

    def notes(self) -> list[Note]:
        """Every checkpoint in the file.

        Raises:
            AuditError: it cannot be read, or something in it is no checkpoint.
        """
        try:
            return list(notes(self._path.read_text("utf-8")))
        except FileNotFoundError:
            return []
        except (OSError, UnicodeError) as error:
            raise AuditError(f"the anchor `{self._path}` cannot be read: {error}") from error


def contradicted(note: Note, kept: list[Note]) -> None:
    """Refuse a `note` that cannot follow those that were `kept`.

    Raises:
        AuditError: one of them has more records, or as many and another root.
    """
    said = note.checkpoint
    for other in (n.checkpoint for n in kept if n.checkpoint.origin == said.origin):
        if other.size > said.size or (other.size == said.size and other.root != said.root):
            raise AuditError(
                f"a checkpoint of {other.size} records was anchored before, which this one of {said.size} contradicts",
                hint="docs/operations.md, what to do when verify fails",
            )
