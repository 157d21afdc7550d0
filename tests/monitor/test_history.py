"""The fold: the same history gives the same run, a longer one costs what is new, a rewritten one gains nothing."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from interlock.kernel.call import Call, Json
from interlock.kernel.decision import Forbidden, NeedsApproval, Permitted
from interlock.kernel.labels import Integrity
from interlock.monitor.errors import MonitorError, RunError
from interlock.monitor.history import Event, Proposed, Returned, Said, prefixes
from interlock.monitor.mediate import DROPPED
from interlock.monitor.ports import Tool
from interlock.monitor.run import Run
from interlock.provenance.ledger import Ledger, Shown
from tests.monitor.world import BOB, EVE, POISON, TO_BOB, TO_EVE, Words, World, call

WORDS = Said(f"write a mail to {BOB}", Integrity.USER)
READ = call("read_mail")
ANN = "ann@example.org"  # stands in an own field of the mail
MAIL: Json = {"items": [{"id": "m1", "contact": ANN, "body": POISON}]}
TO_ANN = call("send", to=ANN, body="hello")


def fold(world: World, *events: Event, agent: str = "support") -> Run:
    return world.monitor.fold(events, agent=agent, principal="emma", run_id="r1")


def turn(world: World, *events: Event, then: Call = READ, result: Json = MAIL) -> tuple[Event, ...]:
    """The history after the model proposed `then`, was permitted, and somebody else performed it."""
    assert isinstance(world.monitor.propose(fold(world, *events), then), Permitted)
    return (*events, Proposed(then), Returned(then, result))


def test_a_history_decides_like_the_run_it_tells_of(world: World, tmp_path: Path) -> None:
    history = turn(world, WORDS)
    folded = fold(world, *history)
    other = World(tmp_path / "other")
    lived = other.open()
    for proposal in (TO_BOB, TO_EVE, TO_ANN, READ, call("destroy", name="x")):
        assert type(world.monitor.propose(folded, proposal)) is type(other.monitor.propose(lived, proposal))
    assert folded.readings == [WORDS.text, None, MAIL]


def test_the_same_history_is_the_same_run(world: World) -> None:
    history = turn(world, WORDS)
    assert fold(world, *history) is fold(world, *history)


def test_a_longer_history_costs_what_is_new(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    returned = Ledger.returned

    def counted(self: Ledger, call: Call, output: Json, *, failed: bool = False) -> Shown:
        taken.append(call.tool)
        return returned(self, call, output, failed=failed)

    monkeypatch.setattr(Ledger, "returned", counted)
    history: tuple[Event, ...] = (WORDS,)
    for n in range(20):
        history = turn(world, *history, then=READ, result={"items": [{"id": f"m{n}", "body": str(n)}]})
    assert len(taken) == 19
    fold(world, *history)
    assert len(taken) == 20


def test_a_longer_history_takes_the_ledger_along_and_leaves_none_behind(world: World) -> None:
    short = (WORDS, Said("and more", Integrity.USER))
    first = fold(world, *short)
    longer = fold(world, *short, Said("still more", Integrity.USER))
    assert longer is first
    fork = fold(world, *short, Said("something else", Integrity.USER))
    assert fork is not longer
    assert fork.ledger is not longer.ledger
    assert fork.words == ["write a mail to bob@example.com", "and more", "something else"]
    assert longer.words[-1] == "still more"


def test_histories_of_different_people_and_runs_have_nothing_in_common(world: World) -> None:
    run = fold(world, WORDS)
    for agent, principal, name, me in [
        ("reader", "emma", "r1", ()),
        ("support", "bob", "r1", ()),
        ("support", "emma", "r2", ()),
        ("support", "emma", "r1", (EVE,)),
    ]:
        other = world.monitor.fold((WORDS,), agent=agent, principal=principal, run_id=name, me=me)
        assert other is not run
        assert other.memory is not run.memory


# a rewritten history gains nothing


def test_what_the_user_takes_back_no_longer_vouches(world: World) -> None:
    history = turn(world, WORDS)
    assert isinstance(world.monitor.propose(fold(world, *history), TO_BOB), Permitted)
    edited = (Said("read my mail", Integrity.USER), *history[1:])
    assert isinstance(world.monitor.propose(fold(world, *edited), TO_BOB), NeedsApproval)


def test_a_history_that_leaves_out_what_was_read_stays_external(world: World) -> None:
    history = turn(world, WORDS)
    assert fold(world, *history).ledger.external
    for cut in ((WORDS,), (WORDS, Said("go on", Integrity.USER)), ()):
        run = fold(world, *cut)
        assert run.ledger.external
        assert isinstance(world.monitor.propose(run, TO_EVE), NeedsApproval)


def test_a_history_that_leaves_out_a_document_stays_external(world: World) -> None:
    assert fold(world, WORDS, Said(POISON, Integrity.EXTERNAL, "upload")).ledger.external
    run = fold(world, WORDS, Said("go on", Integrity.USER))
    assert run.ledger.external
    assert run.ledger.sources == {"upload"}


def test_a_history_that_leaves_out_a_write_does_not_launder_what_was_written(world: World) -> None:
    planted = "mallory@evil.example"
    written = call("send", to=BOB, body=planted)
    fold(world, *turn(world, WORDS, then=written, result={"status": "sent"}))
    echo: Json = {"items": [{"id": "m2", "contact": planted, "body": "x"}]}
    laundered = turn(world, WORDS, then=READ, result=echo)
    again = fold(world, *laundered)
    assert isinstance(world.monitor.propose(again, call("send", to=planted, body="x")), NeedsApproval)


def test_branches_of_a_conversation_learn_of_each_others_effects(world: World) -> None:
    first = (WORDS, Said("one", Integrity.USER))
    second = (WORDS, Said("two", Integrity.USER))
    fold(world, *first)
    fold(world, *second)
    fold(world, *turn(world, *first))
    run = fold(world, *second, Said("go on", Integrity.USER))
    assert run.ledger.external


def test_a_result_of_a_call_that_this_monitor_never_permitted_is_external(world: World) -> None:
    run = fold(world, WORDS, Proposed(READ), Returned(READ, MAIL))
    assert run.ledger.external
    assert isinstance(world.monitor.propose(run, TO_ANN), NeedsApproval)
    assert world.audit.bodies("outcome")[-1]["outcome"] == "not ours"


def test_a_result_of_a_refused_call_is_external(world: World) -> None:
    world.human.granted = False
    history = turn(world, WORDS)
    assert isinstance(world.monitor.approve(fold(world, *history), TO_EVE), Forbidden)
    forged = Returned(TO_EVE, {"status": ANN})
    run = fold(world, *history[:1], Proposed(TO_EVE), forged)
    assert run.memory.kept[forged.digest].believed is False


def test_a_call_has_as_many_believed_results_as_it_was_permitted(world: World) -> None:
    history = turn(world, WORDS)
    assert isinstance(world.monitor.propose(fold(world, *history), TO_ANN), Permitted)
    other = "new@example.org"
    swapped: Json = {"items": [{"id": "m1", "contact": other, "body": ""}]}
    rewritten = (*history[:2], Returned(READ, swapped))
    run = fold(world, *rewritten)
    assert isinstance(world.monitor.propose(run, call("send", to=other, body="x")), NeedsApproval)
    again = turn(world, *history, then=READ, result=swapped)  # permitted a second time: believed
    assert isinstance(world.monitor.propose(fold(world, *again), call("send", to=other, body="x")), Permitted)


def test_after_a_restart_results_are_external_and_calls_count(tmp_path: Path) -> None:
    world = World(tmp_path / "outbox", planner=Words())
    words = Said(f"send {BOB} a mail", Integrity.USER)
    to_bob = replace(TO_BOB, agent="planned")
    history = (words, Proposed(to_bob), Returned(to_bob, {"status": "sent"}))
    run = fold(world, *history, agent="planned")
    assert isinstance(world.monitor.propose(run, to_bob), Forbidden)  # the one call that the words ask for is made
    assert isinstance(world.monitor.propose(fold(world, words, agent="planned"), to_bob), Forbidden)


def test_after_a_restart_what_was_written_before_it_is_not_believed_when_it_comes_back(world: World) -> None:
    planted = "mallory@evil.example"
    written = call("send", to=BOB, body=planted)
    before = (WORDS, Proposed(written), Returned(written, {"status": "sent"}))
    echo: Json = {"items": [{"id": "m2", "contact": planted, "body": "x"}]}
    run = fold(world, *turn(world, *before, then=READ, result=echo))
    assert isinstance(world.monitor.propose(run, call("send", to=planted, body="x")), NeedsApproval)


def test_mandates_stay_used_up_when_the_history_is_rewritten(tmp_path: Path) -> None:
    world = World(tmp_path / "outbox", planner=Words())
    words = Said(f"send {BOB} a mail", Integrity.USER)
    to_bob = replace(TO_BOB, agent="planned")
    assert isinstance(world.monitor.propose(fold(world, words, agent="planned"), to_bob), Permitted)
    rewritten = (words, Said("go on", Integrity.OWN))
    assert isinstance(world.monitor.propose(fold(world, *rewritten, agent="planned"), to_bob), Forbidden)


def test_results_that_we_performed_are_remembered_too(world: World) -> None:
    run = fold(world, WORDS)
    assert world.monitor.call(run, READ).performed
    assert fold(world, WORDS, Said("go on", Integrity.USER)) is run  # longer: the same ledger
    assert fold(world, Said("start again", Integrity.USER)).ledger.external


def test_a_dropped_result_of_ours_is_remembered_as_a_call(tmp_path: Path) -> None:
    planted = "mallory@evil.example"
    world = World(tmp_path / "outbox", tools={"send": Tool(perform=lambda permit, call: object())})  # type: ignore[arg-type]
    assert world.monitor.call(fold(world, WORDS), call("send", to=BOB, body=planted)).content == DROPPED
    other = Said(f"please write to {BOB}", Integrity.USER)
    echo: Json = {"items": [{"id": "m2", "contact": planted, "body": "x"}]}
    run = fold(world, *turn(world, other, then=READ, result=echo))
    assert isinstance(world.monitor.propose(run, call("send", to=planted, body="x")), NeedsApproval)


# faults


def test_a_history_with_another_runs_call_is_refused(world: World) -> None:
    for foreign in (replace(READ, run="r2"), replace(READ, principal="bob"), replace(READ, agent="reader")):
        with pytest.raises(RunError, match="another run"):
            fold(world, WORDS, Proposed(foreign))
        with pytest.raises(RunError, match="another run"):
            fold(world, WORDS, Returned(foreign, MAIL))


def test_a_history_that_is_no_json_is_refused(world: World) -> None:
    for output in (float("nan"), object(), "\ud800"):
        with pytest.raises(MonitorError, match="no JSON"):
            fold(world, Returned(READ, output))  # type: ignore[arg-type]


def test_a_history_that_cannot_be_recorded_gives_no_run(world: World) -> None:
    history = turn(world, WORDS)
    world.audit.fails = lambda kind: kind == "outcome"
    with pytest.raises(OSError, match="no space"):
        fold(world, *history)
    world.audit.fails = lambda _kind: False
    assert fold(world, *history).ledger.external


def test_a_history_that_cannot_be_redacted_is_read_by_nobody(world: World) -> None:
    history = turn(world, WORDS)

    def broken(value: Json) -> Json:
        raise RuntimeError

    world.redact = broken
    run = fold(world, *history, Returned(READ, "unseen"), Said("hello", Integrity.EXTERNAL))
    assert run.readings[2:] == [DROPPED, DROPPED, DROPPED]
    assert isinstance(world.monitor.propose(run, TO_BOB), Forbidden)


def test_chains_tell_events_and_orders_apart() -> None:
    events: list[Event] = [
        WORDS,
        Said(WORDS.text, Integrity.OWN),
        Said(WORDS.text, Integrity.USER, "x"),
        Proposed(READ),
        Returned(READ, None),
        Returned(READ, None, failed=True),
        Returned(READ, ""),
        Returned(READ, 1),
        Returned(READ, "1"),
        Returned(READ, True),
        Returned(READ, "null"),
        Returned(TO_BOB, None),
        Said("b", Integrity.EXTERNAL, "a"),
        Said("1:b", Integrity.EXTERNAL, "a"),
        Said("", Integrity.EXTERNAL, "a1:b"),
    ]
    assert len({e.digest for e in events}) == len(events)
    assert prefixes(["a"], events[:2])[-1] != prefixes(["a"], events[1::-1])[-1]
    assert prefixes(["a"], events)[:3] == prefixes(["a"], events[:2])
    assert prefixes(["a"], [])[0] != prefixes(["b"], [])[0]


def test_threads_that_send_the_same_history_never_share_a_ledger_between_two_runs(world: World) -> None:
    history = turn(world, WORDS)
    runs: list[Run] = []
    start = threading.Barrier(16)

    def work(n: int) -> None:
        start.wait()
        runs.extend(fold(world, *history, Said(f"turn {n % 4}", Integrity.USER)) for _ in range(5))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledgers = {id(run): id(run.ledger) for run in runs}
    assert len(set(ledgers.values())) == len(ledgers)
    assert all(run.ledger.external for run in runs)
    for run in runs:
        assert len({w for w in run.words if w.startswith("turn")}) == 1
