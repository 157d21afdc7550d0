"""One conversation of an agent, and everything that its decisions depend on.

A `Run` is made by `Monitor.open` or `Monitor.fold` and is changed by the monitor alone, under its lock: threads that
share one get the decisions that some serial order would give. A permit is pending from its minting until it is used; as
it is looked up here, one that was used, has expired or belongs to another run is simply not found (M2).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from threading import RLock

from interlock.kernel.call import Call, Json
from interlock.kernel.decision import Obligation, Permit
from interlock.monitor.errors import RunError
from interlock.monitor.history import Event, Proposed, Returned, Said, weight
from interlock.monitor.memory import Memory
from interlock.policy.mandate import Mandate
from interlock.provenance.ledger import Ledger

# bytes, as measured; tests/monitor/test_room.py measures again
EMPTY = 9_000  # of a run that has read nothing
TAKEN = 250  # of an event that it has taken in, beside what it says
INDEXED_WORDS = 20  # of a character of words that vouch, once a call was compared with them
INDEXED = 3  # of a character of external text, likewise


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A permit on its way: for which call, on record as which decision, until when."""

    permit: Permit
    call: Call
    decision: int  # seq of the record
    obligations: tuple[Obligation, ...]
    expires: float | None  # approvals do; what needs none, does not
    begun: bool = False


@dataclass(slots=True, kw_only=True)
class Run:
    """The state of one conversation. Read it; only the monitor changes it."""

    id: str
    agent: str
    principal: str
    ledger: Ledger
    memory: Memory = field(default_factory=Memory, repr=False)
    broken: str = ""  # why nothing more may depend on this run's labels
    readings: list[Json] = field(default_factory=list)  # what the model is to read of each event of a folded history
    findings: set[str] = field(default_factory=set)  # ids of what was found in what it has read
    taken: set[str] = field(default_factory=set, repr=False)  # digests of the events that are in the ledger
    words: list[str] = field(default_factory=list)  # what the user said
    proposals: Counter[str] = field(default_factory=Counter)  # by digest, in a folded history
    at: str = ""  # the digest of the history that it was folded from
    _read: int = 0  # bytes of what it was folded from
    _pending: dict[str, Pending] = field(default_factory=dict, repr=False)
    _nonces: set[str] = field(default_factory=set, repr=False)
    _planned: Mandate | None = None

    @property
    def lock(self) -> RLock:
        """Held whenever this run is read for a decision or changed."""
        return self.memory.lock

    @property
    def weight(self) -> int:
        """Bytes that it takes without its memory, roughly."""
        told = INDEXED_WORDS * self.ledger.indexed_words + INDEXED * self.ledger.indexed
        return EMPTY + self._read + told

    @property
    def base(self) -> Mandate | None:
        """The mandate as it was fixed or planned."""
        return self.memory.mandate or self._planned

    @property
    def mandate(self) -> Mandate | None:
        """The effects that this run may have, once they are fixed."""
        base, narrowed = self.base, self.memory.narrowed
        return base.narrow(narrowed) if base is not None and narrowed is not None else base or narrowed

    @property
    def planned(self) -> bool:
        """The mandate comes from the planner, who reads the user's words only."""
        return self.memory.mandate is None and self._planned is not None

    def check_mandate_open(self) -> None:
        """Return if a mandate may still be fixed.

        Raises:
            RunError: it is fixed, or the model has read something external.
        """
        if self.base is not None:
            raise RunError(f"the mandate of run `{self.id}` is fixed; it can be narrowed")
        if self.ledger.external:
            raise RunError(f"run `{self.id}` has read something external; fix its mandate before that")

    def fix(self, mandate: Mandate) -> None:
        """Keep the application's `mandate`, which the monitor has checked and recorded."""
        self.memory.fix(mandate)

    def plan(self, mandate: Mandate) -> None:
        """Keep the planner's `mandate`."""
        self._planned = mandate

    def narrow(self, mandate: Mandate) -> None:
        """Take from the mandate what `mandate` does not allow."""
        self.memory.narrow(mandate)

    def take(self, event: Event) -> None:
        """`event` of a folded history goes into the ledger."""
        self.taken.add(event.digest)
        match event:
            case Said(text=text):
                self._read += TAKEN + weight(text)
            case Proposed(call=call):
                self._read += TAKEN + weight(call.arguments)
            case Returned(output=output):
                self._read += TAKEN + weight(output)

    def ready(self) -> None:
        """A call is about to be proposed: take apart what was said, which it will be compared with."""
        with self.lock:
            _ = self.ledger.ids

    def fresh(self, nonce: str) -> bool:
        """`nonce` is text and was never used in this run; from now on it was."""
        if type(nonce) is not str or not nonce or nonce in self._nonces:
            return False
        self._nonces.add(nonce)
        return True

    def expect(self, pending: Pending) -> None:
        """A permit was minted."""
        self._pending[pending.permit.nonce] = pending

    def pending(self, permit: Permit) -> Pending | None:
        """What waits for this permit."""
        return self._pending.get(permit.nonce)

    def drop(self, permit: Permit) -> None:
        """The permit is used."""
        self._pending.pop(permit.nonce, None)
