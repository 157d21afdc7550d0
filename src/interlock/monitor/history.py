"""A run as a fold over the history that a caller sends whole each turn. Read after `run`; `mediate` does the folding.

Events are content-addressed: a prefix of a history is known by the digest of the chain of its events, so a history that
extends a known one costs what is new, and one that differs anywhere is folded afresh. A run that is found again is
handed on, never copied: one ledger never serves two histories.

What the user said can be taken back; what a tool did or returned cannot. A rewritten history therefore starts with
every result that it leaves out (`Memory.kept`). Results are believed as their tool's spec says only if this monitor
permitted the call, and no more different results than it permitted calls; every other result is external.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import TypeAlias

from interlock.kernel.call import Call, Json, canonical, digest_of
from interlock.kernel.labels import Integrity


@dataclass(frozen=True)
class Said:
    """Somebody's words: the user's, the operator's (`OWN`), or a document's (`EXTERNAL`)."""

    text: str
    integrity: Integrity
    source: str = ""

    @cached_property
    def digest(self) -> str:
        """What stands for this event."""
        return digest_of_parts("said", self.integrity.word, self.source, self.text)


@dataclass(frozen=True)
class Proposed:
    """The model asked for `call`."""

    call: Call

    @cached_property
    def digest(self) -> str:
        """What stands for this event."""
        return digest_of_parts("proposed", self.call.digest)


@dataclass(frozen=True)
class Returned:
    """Somebody performed `call`, and this came back; `failed`: it is the text of an error.

    `output` is JSON as it was read, and nobody's to change any more.
    """

    call: Call
    output: Json
    failed: bool = False

    @cached_property
    def digest(self) -> str:
        """What stands for this event."""
        told = self.output if isinstance(self.output, str) else canonical(self.output).decode()
        kind = f"{'text' if isinstance(self.output, str) else 'json'} {self.failed:d}"
        return digest_of_parts("returned", self.call.digest, kind, told)


Event: TypeAlias = Said | Proposed | Returned


def digest_of_parts(*parts: str) -> str:
    """SHA-256, in hex, of `parts`, each with its length before it: no two lists of parts are spelt alike."""
    return sha256("".join([f"{len(part)}:{part}" for part in parts]).encode()).hexdigest()


def prefixes(seed: Sequence[Json], events: Sequence[Event]) -> list[str]:
    """The digests of all prefixes of `events`, from none to all; `seed` keeps conversations apart."""
    running = sha256(digest_of(list(seed)).encode())
    found = [running.hexdigest()]
    for event in events:
        running.update(event.digest.encode())  # as long as every other, so it needs no separator
        found.append(running.hexdigest())
    return found


def weight(value: object) -> int:
    """Bytes that `value` takes: text, an event, or JSON. From above, and cheap: it looks at no character."""
    found = 0
    left = [value]
    while left:
        match left.pop():
            case str() as text:
                found += _TEXT + (len(text) if text.isascii() else 4 * len(text))
            case Mapping() as fields:
                found += _FIELDS
                left += fields.keys()
                left += fields.values()
            case list() | tuple() as items:
                found += _ITEMS + 8 * len(items)
                left += items
            case Said(text=text):
                found += _EVENT
                left.append(text)
            case Proposed(call=call):
                found += _EVENT
                left.append(call.arguments)
            case Returned(call=call, output=output):
                found += _EVENT
                left += call.arguments, output
            case _:
                found += _NUMBER
    return found


_TEXT, _FIELDS, _ITEMS, _EVENT, _NUMBER = 56, 240, 72, 500, 32  # bytes around what is in them
