"""One step of the audit, as a store keeps it, and its digest.

The entry is one JSON array: stream, number, time, kind, run, commitment to what is personal, digest of the record
before, body. The digest is the leaf hash of RFC 6962, SHA-256(0x00 ‖ entry), so that one hash serves the chain (each
entry holds the digest before it) and the tree. An entry is put together from the row, in which the texts stand as they
were hashed: verifying parses nothing and orders nothing anew. Salt and personal parts lie beside the entry, which
holds only a commitment to them; both are empty after an erasure, and `erased` is then the number of its record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from json.encoder import encode_basestring as quote
from types import MappingProxyType
from typing import NamedTuple, TypeAlias


class Record(NamedTuple):
    """One step: number `seq` (from 1) of `stream` at time `at` (s), about `run`. A row of a store has these columns.

    A tuple and no dataclass: verifying reads rows by the hundred thousand.
    """

    stream: str
    seq: int
    at: float
    kind: str
    run: str
    text: str  # what stays of the body, as canonical JSON
    commitment: str  # to what is personal; empty if nothing is
    previous: str
    digest: str
    salt: str = ""
    personal: str = ""  # canonical JSON
    erased: int = 0

    @property
    def body(self) -> Mapping[str, object]:
        """What the record says; its `kind` says what that means. What was erased is absent."""
        try:
            body = dict(json.loads(self.text))
            if self.personal:
                body |= json.loads(self.personal)
        except (TypeError, ValueError, RecursionError):
            body = {"unreadable": self.text}  # so that a store can be read up to the record that `verify` names
        return MappingProxyType(body)

    @property
    def head(self) -> Head:
        """The end of a chain that this record ends."""
        return _head(Head, (self[1], self[8]))

    @property
    def entry(self) -> str:
        """What is hashed."""
        return entry(*self[:8])


# A record as a database returns it.
Row: TypeAlias = tuple[str, int, float, str, str, str, str, str, str, str, str, int]


class Head(NamedTuple):
    """The end of a chain: the number and the digest of its last record."""

    seq: int
    digest: str


_head = tuple.__new__  # a third of the time of `Head(…)`
EMPTY = Head(0, "0" * 64)
DIGEST = 64  # hex digits


def entry(stream: str, seq: int, at: float, kind: str, run: str, text: str, commitment: str, previous: str) -> str:
    """The entry of a row. Digests have a fixed length, texts are quoted, `text` ends it: two rows never share one."""
    return f'[{quote(stream)},{seq},{at!r},{quote(kind)},{quote(run)},"{commitment}","{previous}",{text}]'


def leaf(entry: str) -> str:
    """The digest of an entry: the leaf hash of RFC 6962, in hex."""
    return sha256(f"\x00{entry}".encode()).hexdigest()
