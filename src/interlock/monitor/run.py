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
from interlock.monitor.ports import MandateView
from interlock.provenance.ledger import Ledger


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
    broken: str = ""  # why nothing more may depend on this run's labels
    readings: tuple[Json, ...] = ()  # what the model is to read of each event of a folded history
    lock: RLock = field(default_factory=RLock, repr=False)
    used: Counter[str] = field(default_factory=Counter)  # permits by tool
    permitted: Counter[str] = field(default_factory=Counter)  # permits by digest
    words: list[str] = field(default_factory=list)  # what the user said
    _pending: dict[str, Pending] = field(default_factory=dict, repr=False)
    _nonces: set[str] = field(default_factory=set, repr=False)
    _mandate: MandateView | None = None
    _planned: bool = False

    @property
    def mandate(self) -> MandateView | None:
        """The effects that this run may have, once they are fixed."""
        return self._mandate

    @property
    def planned(self) -> bool:
        """The mandate came from the planner, who reads the user's words only."""
        return self._planned

    def check_mandate_open(self) -> None:
        """Return if a mandate may still be fixed.

        Raises:
            RunError: it is fixed, or the model has read something external.
        """
        if self._mandate is not None:
            raise RunError(f"the mandate of run `{self.id}` is fixed; it can be narrowed")
        if self.ledger.external:
            raise RunError(f"run `{self.id}` has read something external; fix its mandate before that")

    def fix(self, mandate: MandateView, *, planned: bool) -> None:
        """Keep `mandate`, which the monitor has checked and recorded."""
        self._mandate, self._planned = mandate, planned

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
