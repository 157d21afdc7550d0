"""What others tell the monitor: inspectors, guards, and the memory that processes share. Each fails closed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from interlock.detect.finding import Finding
from interlock.kernel.call import Call, Json
from interlock.kernel.decision import Forbidden, NeedsApproval, Permitted
from interlock.kernel.labels import Integrity
from interlock.monitor.errors import NotPerformed, PromptRefused
from interlock.monitor.history import Event, Proposed, Returned, Said
from interlock.monitor.mediate import DROPPED, REFUSED, WITHHELD
from interlock.monitor.ports import Inspected, Reading, Unlimited
from interlock.monitor.run import Run
from interlock.policy.load import policy_from
from interlock.policy.mandate import Mandate
from interlock.stores.memory.runs import MemoryRuns
from tests.monitor.world import BOB, MANIFEST, POISON, TO_BOB, World, call

FOUND = Finding(id="injection/override", span=(0, 4), severity="high", confidence=0.9, why="an order to the reader")
READ = call("read_mail")
ANN = "ann@example.org"
TO_ANN = call("send", to=ANN, body="hello")
MAIL: Json = {"items": [{"id": "m1", "contact": ANN, "body": POISON}]}
WORDS = Said(f"write a mail to {BOB}", Integrity.USER)


# inspectors


def cleaned(content: Json, read: Reading) -> Inspected:
    return Inspected({"items": []} if read.source == "read_mail" else content, (FOUND,))


def failing(content: Json, read: Reading) -> Inspected:
    raise RuntimeError("broken")


def refusing(content: Json, read: Reading) -> Inspected:
    return Inspected(content, (FOUND,), "hidden instructions")


def test_the_model_reads_what_the_inspector_leaves(tmp_path: Path) -> None:
    world = World(tmp_path / "outbox", inspect=cleaned)
    run = world.open(poisoned=False)
    assert world.monitor.call(run, READ).content == {"items": []}


def test_what_was_found_is_on_record_without_the_text(tmp_path: Path) -> None:
    world = World(tmp_path / "outbox", inspect=cleaned)
    world.open()
    outcome = [r for r in world.audit.inner.records() if r.kind == "outcome"][-1]
    assert outcome.body["findings"] == [{"id": "injection/override", "severity": "high", "confidence": 0.9}]
    assert POISON not in repr(outcome)


def test_a_rule_can_forbid_on_a_finding(tmp_path: Path) -> None:
    rule = tmp_path / "extra.cedar"
    rule.write_text(
        '@id("no-orders") forbid (principal, action in Action::"effect", resource) '
        'when { context.findings.contains("injection") };'
    )
    ruled = policy_from({**MANIFEST, "rules": ["extra.cedar"]}, tmp_path)
    world = World(tmp_path / "outbox", inspect=cleaned, policy=ruled)
    run = world.open(poisoned=False, words="go on")
    run.findings.clear()
    assert isinstance(world.monitor.propose(run, TO_BOB), Permitted)  # nothing was read yet
    world.monitor.call(run, READ)
    decision = world.monitor.propose(run, TO_BOB)
    assert isinstance(decision, Forbidden)
    assert decision.rules == ("no-orders",)


def test_what_an_inspector_refuses_nobody_reads(tmp_path: Path) -> None:
    world = World(tmp_path / "outbox", inspect=refusing)
    run = world.monitor.open(agent="support", principal="emma", run_id="r1")
    assert world.monitor.observe(run, "a document", Integrity.EXTERNAL, source="upload") == WITHHELD
    assert world.monitor.call(run, READ).content == WITHHELD
    with pytest.raises(PromptRefused):
        world.monitor.observe(run, "hello", Integrity.USER)
    assert run.words == []


def test_m9_an_inspector_that_fails_lets_nothing_through(tmp_path: Path) -> None:
    world = World(tmp_path / "outbox", inspect=failing)
    run = world.monitor.open(agent="support", principal="emma", run_id="r1")
    assert world.monitor.observe(run, "a document", Integrity.EXTERNAL) == DROPPED
    assert world.monitor.call(run, READ).content == DROPPED
    folded = world.monitor.fold([Returned(READ, MAIL)], agent="support", principal="emma", run_id="r1")
    assert folded.readings == [DROPPED]


# guards


@dataclass
class Guarded(Unlimited):
    """A guard that tells what it was asked, and fails as told."""

    reasons: frozenset[str] = frozenset()
    failing: str = ""
    log: list[tuple[object, ...]] = field(default_factory=list)

    def blocked(self, call: Call) -> frozenset[str]:
        self._fail("blocked")
        return self.reasons

    def reserve(self, call: Call, key: str) -> None:
        self._fail("reserve")
        self.log.append(("reserve", call.tool, key))

    def release(self, call: Call, key: str) -> None:
        self._fail("release")
        self.log.append(("release", call.tool, key))

    def settle(self, call: Call, key: str, *, failed: bool, result: str, size: int) -> None:
        self._fail("settle")
        self.log.append(("settle", call.tool, key, failed, bool(result), size > 0))

    def _fail(self, name: str) -> None:
        if self.failing == name:
            raise RuntimeError("broken")


@pytest.mark.parametrize("reason", ["budget", "rate", "breaker", "loop", "depth", "halted"])
def test_no_approval_lifts_what_a_guard_blocks(tmp_path: Path, reason: str) -> None:
    world = World(tmp_path / "outbox", guard=Guarded(reasons=frozenset({reason})))
    run = world.open(poisoned=False)
    assert world.monitor.call(run, TO_BOB).content == REFUSED
    assert world.sent == []
    assert world.human.asked == []


@pytest.mark.parametrize("failing", ["blocked", "reserve"])
def test_m9_a_guard_that_fails_beforehand_refuses(tmp_path: Path, failing: str) -> None:
    world = World(tmp_path / "outbox", guard=Guarded(failing=failing))
    assert world.monitor.call(world.open(poisoned=False), TO_BOB).content == REFUSED
    assert world.sent == []


def test_a_guard_that_fails_afterwards_changes_nothing_that_happened(tmp_path: Path) -> None:
    world = World(tmp_path / "outbox", guard=Guarded(failing="settle"))
    assert world.monitor.call(world.open(poisoned=False), TO_BOB).performed
    assert [r.body["why"] for r in world.audit.inner.records() if r.kind == "limits"] == ["RuntimeError"]


def test_what_is_reserved_is_settled_or_given_back(tmp_path: Path) -> None:
    guard = Guarded()
    world = World(tmp_path / "outbox", guard=guard)
    world.monitor.call(world.open(poisoned=False), TO_BOB)
    (reserved, tool, key), settled = guard.log
    assert (reserved, tool) == ("reserve", "send")
    assert settled == ("settle", "send", key, False, True, True)

    rule = tmp_path / "extra.cedar"
    rule.write_text('@id("owed") @obliges("owed") permit (principal, action in Action::"egress", resource);')
    ruled = policy_from({**MANIFEST, "rules": ["extra.cedar"]}, tmp_path, obligations=["owed"])

    def owed(obligation: object, call: object) -> None:
        raise RuntimeError("not met")

    guard = Guarded()
    other = World(tmp_path / "other", guard=guard, policy=ruled, obligations={"owed": owed})
    other.monitor.call(other.open(poisoned=False), TO_BOB)
    assert [entry[0] for entry in guard.log] == ["reserve", "release"]
    assert other.sent == []


# handing over


def test_a_call_is_handed_over_once_and_on_record(tmp_path: Path) -> None:
    guard = Guarded()
    world = World(tmp_path / "outbox", guard=guard)
    run = world.monitor.fold([WORDS], agent="support", principal="emma", run_id="r1")
    decision = world.monitor.propose(run, TO_BOB)
    assert isinstance(decision, Permitted)
    assert world.monitor.hand_over(run, decision.permit) == TO_BOB
    with pytest.raises(NotPerformed):
        world.monitor.hand_over(run, decision.permit)
    assert [r.body.get("outcome") for r in world.audit.inner.records()][-1] == "handed over"
    assert [entry[0] for entry in guard.log] == ["reserve", "settle"]


def test_m4_a_call_that_cannot_be_recorded_is_not_handed_over(tmp_path: Path) -> None:
    world = World(tmp_path / "outbox")
    run = world.monitor.fold([WORDS], agent="support", principal="emma", run_id="r1")
    decision = world.monitor.propose(run, TO_BOB)
    assert isinstance(decision, Permitted)
    world.audit.fails = lambda kind: True
    with pytest.raises(OSError, match="no space"):
        world.monitor.hand_over(run, decision.permit)


# memory that processes share


def beside(tmp_path: Path, store: MemoryRuns) -> tuple[World, World]:
    """Two processes with one store."""
    return World(tmp_path / "one", runs=store), World(tmp_path / "two", runs=store)


def fold(world: World, *events: Event, agent: str = "support") -> Run:
    return world.monitor.fold(events, agent=agent, principal="emma", run_id="r1")


def test_another_process_believes_what_this_one_permitted(tmp_path: Path) -> None:
    one, two = beside(tmp_path, MemoryRuns())
    assert isinstance(one.monitor.propose(fold(one, WORDS), READ), Permitted)
    history = (WORDS, Proposed(READ), Returned(READ, MAIL))
    assert isinstance(two.monitor.propose(fold(two, *history), TO_ANN), Permitted)
    alone = World(tmp_path / "alone")
    assert isinstance(alone.monitor.propose(fold(alone, *history), TO_ANN), NeedsApproval)


def test_a_result_that_is_left_out_taints_in_every_process(tmp_path: Path) -> None:
    one, two = beside(tmp_path, MemoryRuns())
    fold(one, WORDS, Proposed(READ), Returned(READ, MAIL))
    assert fold(two, WORDS).ledger.external
    assert not fold(World(tmp_path / "alone"), WORDS).ledger.external


def test_a_result_that_comes_meanwhile_elsewhere_counts_at_the_next_decision(tmp_path: Path) -> None:
    one, two = beside(tmp_path, MemoryRuns())
    run = fold(one, WORDS)
    assert isinstance(one.monitor.propose(run, call("destroy", name="bob")), NeedsApproval | Permitted)
    fold(two, WORDS, Said("a document", Integrity.EXTERNAL, "upload"))
    one.monitor.propose(run, READ)
    assert run.ledger.external


def test_a_mandate_is_used_up_by_all_processes_together(tmp_path: Path) -> None:
    one, two = beside(tmp_path, MemoryRuns())
    once = Mandate(effects={"send": 1}, by="test")
    run = fold(one, WORDS, agent="strict")
    one.monitor.fix_mandate(run, once)
    to_bob = call("send", agent="strict", to=BOB, body="hello")
    assert isinstance(one.monitor.propose(run, to_bob), Permitted)
    again = call("send", agent="strict", to=BOB, body="once more")
    assert isinstance(two.monitor.propose(fold(two, WORDS, agent="strict"), again), Forbidden)


def test_a_narrowed_mandate_is_narrowed_everywhere(tmp_path: Path) -> None:
    one, two = beside(tmp_path, MemoryRuns())
    run = fold(one, WORDS, agent="strict")
    one.monitor.fix_mandate(run, Mandate(effects={"send": None}, by="test"))
    one.monitor.narrow_mandate(run, Mandate(effects={}, by="test"))
    to_bob = call("send", agent="strict", to=BOB, body="hello")
    assert isinstance(two.monitor.propose(fold(two, WORDS, agent="strict"), to_bob), Forbidden)


class Away(MemoryRuns):
    away = False

    def since(self, conversation: str, after: int) -> Sequence[tuple[int, Mapping[str, Json]]]:
        if self.away:
            raise OSError("away")
        return super().since(conversation, after)

    def add(self, conversation: str, facts: Sequence[tuple[str, Mapping[str, Json]]]) -> None:
        if self.away:
            raise OSError("away")
        super().add(conversation, facts)


def test_m9_without_the_store_taint_is_assumed_and_nothing_is_permitted(tmp_path: Path) -> None:
    store = Away()
    world = World(tmp_path / "outbox", runs=store)
    run = fold(world, WORDS)
    store.away = True
    for proposed in (TO_BOB, READ):
        assert not isinstance(world.monitor.propose(run, proposed), Permitted)
    assert run.memory.assumed
    assert run.memory.used.total() == 0
    store.away = False
    assert isinstance(world.monitor.propose(run, TO_BOB), Permitted)


def test_what_was_read_while_the_store_was_away_is_told_later(tmp_path: Path) -> None:
    store = Away()
    one, two = beside(tmp_path, store)
    store.away = True
    fold(one, WORDS, Said("a document", Integrity.EXTERNAL, "upload"))
    store.away = False
    fold(one, WORDS)
    assert fold(two, WORDS).ledger.external


def test_a_process_that_is_alone_asks_once_and_knows_the_rest(tmp_path: Path) -> None:
    asked: list[str] = []

    class Told(MemoryRuns):
        def since(self, conversation: str, after: int) -> Sequence[tuple[int, Mapping[str, Json]]]:
            asked.append(conversation)
            return super().since(conversation, after)

    store = Told()
    fold(World(tmp_path / "before", runs=store), WORDS, Said("a document", Integrity.EXTERNAL, "upload"))
    asked.clear()
    world = World(tmp_path / "alone", runs=store, alone=True)
    run = fold(world, WORDS)
    assert run.ledger.external  # what was met before the restart
    world.monitor.propose(run, READ)
    fold(world, WORDS, Proposed(READ), Returned(READ, MAIL))
    assert len(asked) == 1


def test_a_process_that_is_alone_asks_again_when_the_store_is_back(tmp_path: Path) -> None:
    store = Away()
    fold(World(tmp_path / "before", runs=store), WORDS, Proposed(READ), Returned(READ, MAIL))
    world = World(tmp_path / "alone", runs=store, alone=True)
    store.away = True
    run = fold(world, WORDS)
    assert run.memory.assumed
    store.away = False
    world.monitor.propose(run, READ)
    assert not run.memory.assumed
    assert run.ledger.external


def test_the_store_is_given_nothing_unredacted(tmp_path: Path) -> None:
    store = MemoryRuns()
    world = World(tmp_path / "outbox", runs=store, redact=lambda value: "[gone]" if "hunter2" in str(value) else value)
    assert isinstance(world.monitor.propose(fold(world, WORDS), READ), Permitted)
    fold(world, WORDS, Proposed(READ), Returned(READ, MAIL), Said("also hunter2-secret", Integrity.EXTERNAL, "x"))
    (conversation,) = store._facts
    assert "hunter2" not in repr(store.since(conversation, 0))
