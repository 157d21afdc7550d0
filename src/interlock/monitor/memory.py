"""What no rewriting of a conversation takes back, and how several processes share it.

A `Memory` belongs to one conversation. Where a store is given, every change is added to it as a fact under a key of its
own, and facts of other processes are taken in before a decision: the union only grows, so order and repetition mean
nothing. A store that is away leaves the memory `assumed`: the run then counts as having read something external and
something confidential, and no result is believed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, cast

from interlock.kernel.call import Call, Json, digest_of, thaw
from interlock.kernel.labels import Integrity
from interlock.monitor.history import Event, Proposed, Returned, Said, weight
from interlock.monitor.ports import RunStore
from interlock.policy.mandate import Mandate

EMPTY = 2_000  # bytes of a memory in which nothing is kept
EXACT = 600  # bytes of a call that was counted
_INTEGRITY = {i.word: i for i in Integrity}


@dataclass(frozen=True, slots=True)
class Kept:
    """Something that the model was given to read, and whether its result was believed as the tool's spec says."""

    event: Event
    believed: bool


@dataclass(slots=True, kw_only=True, weakref_slot=True)
class Memory:
    """What no rewriting of a conversation takes back, shared by all runs that are folded from it."""

    lock: RLock = field(default_factory=RLock, repr=False)
    used: Counter[str] = field(default_factory=Counter)  # calls by tool, as mandates count them
    permitted: Counter[str] = field(default_factory=Counter)  # permits by digest of the exact call
    exact: dict[str, tuple[Call, int]] = field(default_factory=dict)  # digest as proposed -> exact call, last decision
    elsewhere: Counter[str] = field(default_factory=Counter)  # proposals by digest that no monitor of ours saw
    believed: dict[str, set[str]] = field(default_factory=dict)  # digest of the exact call -> digests of results
    folded: bool = False  # histories are sent for it, so `kept` is
    kept: dict[str, Kept] = field(default_factory=dict)  # by digest of the event
    mandate: Mandate | None = None  # that somebody fixed; a planned one follows from the words
    narrowed: Mandate | None = None  # what was taken from either
    conversation: str = ""  # its name in the store
    store: RunStore | None = field(default=None, repr=False)
    weight: int = EMPTY  # bytes that it takes, roughly
    alone: bool = False  # no other process adds to what the store has
    assumed: str = ""  # why other processes' facts are not known
    _known: set[str] = field(default_factory=set, repr=False)  # keys of the facts that are in here
    _unsaved: list[tuple[str, Mapping[str, Json]]] = field(default_factory=list, repr=False)
    _cursor: int = 0
    _loaded: bool = False  # what the store had is in here

    @property
    def told(self) -> bool:
        """A store has all that is in here."""
        return self.store is not None and not self._unsaved

    def catch_up(self) -> None:
        """Take in what other processes have added, and add what they have not been told yet."""
        if self.store is None or (self.alone and self._loaded and self.told and not self.assumed):
            return
        try:
            self._save()
            for number, fact in self.store.since(self.conversation, self._cursor):
                self._learn(fact)
                self._cursor = number
        except Exception as error:  # noqa: BLE001 - a port: taint is assumed
            self.assumed = f"{type(error).__name__}: {error}"
        else:
            self.assumed = ""
            self._loaded = True

    def save(self) -> None:
        """Add what other processes have not been told yet."""
        try:
            self._save()
        except Exception as error:  # noqa: BLE001 - a port: taint is assumed
            self.assumed = f"{type(error).__name__}: {error}"

    def permit(self, proposed: Call, exact: Call, decision: int, key: str) -> None:
        """`exact`, which was proposed as `proposed`, was permitted in this decision.

        Raises:
            Exception: the store did not take it; then it is not permitted.
        """
        fact: dict[str, Json] = {"fact": "permitted", "proposed": proposed.digest, "decision": decision}
        fact |= {"key": key, "call": _call(exact)}
        if self.store is not None:
            self._unsaved.append((f"permitted:{key}", fact))
            try:
                self._save()
            except Exception:
                self._unsaved.pop()
                raise
        self._learn(fact)

    def count(self, call: Call) -> None:
        """`call` stands in a history and was permitted by nobody here."""
        number = self.elsewhere[call.digest] + 1
        fact: dict[str, Json] = {"fact": "elsewhere", "digest": call.digest, "tool": call.tool, "number": number}
        self._keep(f"elsewhere:{call.digest}:{number}", fact)

    def keep(self, event: Event, stored: Event, *, believed: bool, exact: str = "", result: str = "") -> None:
        """The model was given `event`, which the store may have as `stored`: redacted.

        A believed result counts against the permits of the `exact` call.
        """
        if event.digest in self.kept and (self.kept[event.digest].believed or not believed):
            return
        fact: dict[str, Json] = {"fact": "kept", "digest": event.digest, "event": _event(stored), "believed": believed}
        self._keep(f"kept:{event.digest}:{believed:d}", fact | {"exact": exact, "result": result})
        self.kept[event.digest] = Kept(event, believed)

    def fix(self, mandate: Mandate) -> None:
        """Somebody fixed the mandate."""
        self._keep("mandate", {"fact": "mandate", "mandate": _mandate(mandate)})

    def narrow(self, mandate: Mandate) -> None:
        """Somebody took from the mandate what `mandate` does not allow."""
        words = _mandate(mandate)
        self._keep(f"narrowed:{digest_of(words)}", {"fact": "narrowed", "mandate": words})

    def _keep(self, key: str, fact: Mapping[str, Json]) -> None:
        if self.store is not None and key not in self._known:
            self._unsaved.append((key, fact))
        self._learn(fact)

    def _save(self) -> None:
        if self._unsaved and self.store is not None:
            self.store.add(self.conversation, self._unsaved)
            self._unsaved.clear()

    def _learn(self, fact: Mapping[str, Json]) -> None:
        """Take in a fact, whoever established it; one that is known changes nothing."""
        told = cast("Mapping[str, Any]", fact)
        match told["fact"]:
            case "permitted":
                key = f"permitted:{told['key']}"
                if key not in self._known:
                    call = _called(told["call"])
                    self.used[call.tool] += 1
                    self.permitted[call.digest] += 1
                    self.exact |= {told["proposed"]: (call, told["decision"]), call.digest: (call, told["decision"])}
                    self._known.add(key)
                    self.weight += weight(call.arguments) + EXACT
            case "elsewhere":
                if told["number"] > self.elsewhere[told["digest"]]:
                    self.weight += EXACT
                    self.elsewhere[told["digest"]] = told["number"]
                    self.used[told["tool"]] += 1
            case "kept":
                if told["believed"] and told["exact"]:
                    self.believed.setdefault(told["exact"], set()).add(told["result"])
                known = self.kept.get(told["digest"])
                if known is None or (told["believed"] and not known.believed):
                    event = self.kept[told["digest"]] = Kept(_evented(told["event"]), told["believed"])
                    self.weight += weight(event.event) if known is None else 0
            case "mandate":
                self.mandate = self.mandate or _mandated(told["mandate"])
            case "narrowed":
                key = f"narrowed:{digest_of(told['mandate'])}"
                if key not in self._known:
                    given = _mandated(told["mandate"])
                    self.narrowed = given if self.narrowed is None else self.narrowed.narrow(given)
                    self._known.add(key)
            case unknown:
                raise ValueError(f"`{unknown}` is no fact of this version")


# facts as JSON, and back


def _call(call: Call) -> Json:
    names: dict[str, Json] = {n: getattr(call, n) for n in ("tool", "agent", "principal", "run")}
    return names | {"arguments": thaw(call.arguments)}


def _called(words: Mapping[str, Any]) -> Call:
    return Call(**words)


def _event(event: Event) -> Json:
    match event:
        case Said(text=text, integrity=integrity, source=source):
            return {"said": text, "integrity": integrity.word, "source": source}
        case Proposed(call=call):
            return {"proposed": _call(call)}
        case Returned(call=call, output=output, failed=failed):
            return {"returned": _call(call), "output": output, "failed": failed}


def _evented(words: Mapping[str, Any]) -> Event:
    if "said" in words:
        return Said(words["said"], _INTEGRITY[words["integrity"]], words["source"])
    if "proposed" in words:
        return Proposed(_called(words["proposed"]))
    return Returned(_called(words["returned"]), words["output"], words["failed"])


def _mandate(mandate: Mandate) -> Json:
    origins: Sequence[Json] = [
        [tool, path, [*sorted(i.word for i in who)]] for (tool, path), who in sorted(mandate.origins.items())
    ]
    return {"effects": dict(mandate.effects), "open": mandate.open, "origins": [*origins], "by": mandate.by}


def _mandated(words: Mapping[str, Any]) -> Mandate:
    origins = {(tool, path): frozenset(_INTEGRITY[w] for w in who) for tool, path, who in words["origins"]}
    return Mandate(effects=words["effects"], open=words["open"], origins=origins, by=words["by"])
