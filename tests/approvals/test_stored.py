"""The port over a store: waiting, going on, giving up; and what it does when something it needs is away."""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interlock.approvals.approvers import Need
from interlock.approvals.desk import Desk
from interlock.approvals.entry import Entry
from interlock.approvals.errors import Settled, StillPending, TooMany
from interlock.approvals.stored import Limits, StoredApprovals
from interlock.kernel.call import Call, Json
from interlock.kernel.decision import Forbidden, Permitted
from interlock.monitor.errors import ApprovalError
from interlock.monitor.mediate import REFUSED
from interlock.monitor.question import Question
from interlock.policy.mandate import Mandate
from interlock.stores.errors import StoreAway
from interlock.stores.memory.approvals import MemoryApprovals
from interlock.stores.sqlite.approvals import SqliteApprovals
from interlock.stores.sqlite.database import SqliteDatabase
from tests.approvals.stage import KEY, SECRET, Stage, redact
from tests.monitor.world import BOB, EVE, TO_EVE, FlakyAudit, World


def waiting(stage: Stage, seconds: float = 20.0) -> Stage:
    stage.limits = Limits(wait=seconds)
    stage.restart()
    return stage


def until(found: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not found():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_call_that_waits_goes_on_when_it_is_approved(stage: Stage) -> None:
    waiting(stage)
    seen: list[Any] = []
    caller = threading.Thread(target=lambda: seen.append(stage.call()))
    caller.start()
    until(lambda: stage.told)
    assert stage.sent == []
    stage.answer("ana", granted=True)
    caller.join(10)
    assert seen[0].performed
    assert len(stage.sent) == 1
    assert stage.world.audit.bodies("answer")[-1]["by"] == "ana"


def test_a_call_that_waits_is_refused_when_it_is_denied(stage: Stage) -> None:
    waiting(stage)
    seen: list[Any] = []
    caller = threading.Thread(target=lambda: seen.append(stage.call()))
    caller.start()
    until(lambda: stage.told)
    stage.answer("ana", granted=False)
    caller.join(10)
    assert seen[0].content == REFUSED
    assert stage.sent == []


def test_both_pairs_of_eyes_stand_in_the_audit(stage: Stage) -> None:
    stage.need = Need(may=frozenset({"ana", "ben"}), count=2)
    stage.restart()
    stage.call()
    stage.answer("ben", granted=True)
    stage.answer("ana", granted=True)
    stage.call()
    assert stage.world.audit.bodies("answer")[-1]["by"] == "ana, ben"


def test_who_gives_up_leaves_the_question_open(stage: Stage) -> None:
    stage.call()
    answer = stage.world.audit.bodies("answer")[-1]
    assert answer["granted"] is False
    assert stage.told[0].id in str(answer["why"])
    assert [e.id for e in stage.book.pending()] == [stage.told[0].id]


def test_facts_that_change_between_question_and_answer_void_it(stage: Stage) -> None:
    """The human says yes to what he was shown; meanwhile somebody takes the effect out of the run's mandate."""
    waiting(stage)
    seen: list[Any] = []
    caller = threading.Thread(target=lambda: seen.append(stage.call()))
    caller.start()
    until(lambda: stage.told)
    stage.world.monitor.narrow_mandate(stage.runs["r1", "emma"], Mandate(effects={}, by="operator"))
    stage.answer("ana", granted=True)
    caller.join(10)
    assert seen[0].content == REFUSED
    assert stage.sent == []


def test_a_doubt_that_arises_between_question_and_resumption_voids_it(stage: Stage) -> None:
    stage.call()
    question = stage.told[0]
    stage.answer("ana", granted=True)
    posted: list[Question] = []
    ask = stage.approvals.ask

    def doubtful(asked: Question) -> Any:
        posted.append(asked)
        return ask(dataclasses.replace(asked, unpointed=(*asked.unpointed, "to")))

    stage.world.monitor._ports.approvals.ask = doubtful  # type: ignore[method-assign,assignment]
    assert stage.call().content == REFUSED
    assert stage.book.get(question.id)[1] == "expired"


def test_many_callers_of_one_call_and_one_is_let_through(stage: Stage) -> None:
    """Each in a run object of its own, as in as many processes."""
    waiting(stage)
    worlds = [Stage(stage.folder) for _ in range(8)]
    for other in worlds:
        waiting(other)
    callers = [threading.Thread(target=other.call) for other in worlds]
    for caller in callers:
        caller.start()
    until(lambda: any(w.told for w in worlds))
    asked = [e for w in worlds for e in w.told]
    assert len(asked) == 1
    time.sleep(0.2)
    stage.told = asked
    stage.answer("ana", granted=True)
    until(lambda: stage.sent)
    for other in worlds:
        other.approvals.close()
    for caller in callers:
        caller.join(20)
    assert len(stage.sent) == 1


def test_closing_lets_nobody_wait(stage: Stage) -> None:
    waiting(stage)
    caller = threading.Thread(target=stage.call)
    caller.start()
    until(lambda: stage.told)
    start = time.monotonic()
    stage.approvals.close()
    caller.join(10)
    assert time.monotonic() - start < 5
    assert stage.call().content == REFUSED  # at once
    assert len(stage.book.pending()) == 1


def test_one_thread_watches_however_many_wait(tmp_path: Path) -> None:
    stage = waiting(Stage(tmp_path))
    stage.limits = Limits(wait=20, most=100, most_per_run=100)
    stage.restart()
    before = threading.active_count()
    callers = [threading.Thread(target=stage.call, kwargs={"run": f"r{n}"}) for n in range(10)]
    for caller in callers:
        caller.start()
    until(lambda: len(stage.told) == 10)
    assert threading.active_count() - before <= 11
    for entry in stage.told:
        stage.desk.answer(entry.id, "ana", granted=True, digest=entry.terms.digest, via="test")
    for caller in callers:
        caller.join(10)
    assert len(stage.sent) == 10
    until(lambda: not any(t.name == "interlock-approvals" for t in threading.enumerate()))


def asynchronous(stage: Stage) -> World:
    return World(stage.folder / "outbox", approvals=stage.approvals.asynchronous)


def test_an_event_loop_waits_without_threads_and_goes_on(stage: Stage) -> None:
    waiting(stage)
    world = asynchronous(stage)

    async def scene() -> list[Any]:
        run = world.open()
        call = asyncio.create_task(world.monitor.acall(run, TO_EVE))
        await asyncio.to_thread(until, lambda: stage.told)
        await asyncio.to_thread(stage.answer, "ana", granted=True)
        return [await call]

    assert asyncio.run(scene())[0].performed
    assert len(world.sent) == 1


def test_a_client_that_goes_away_leaves_the_question_open(stage: Stage) -> None:
    waiting(stage)
    world = asynchronous(stage)

    async def scene() -> None:
        run = world.open()
        call = asyncio.create_task(world.monitor.acall(run, TO_EVE))
        await asyncio.to_thread(until, lambda: stage.told)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.to_thread(stage.answer, "ana", granted=True)
        assert (await world.monitor.acall(run, TO_EVE)).performed  # the client came back

    asyncio.run(scene())
    assert len(world.sent) == 1


def test_an_event_loop_gives_up_in_time(stage: Stage) -> None:
    stage.limits = Limits(wait=0.1)
    stage.restart()
    world = asynchronous(stage)

    async def scene() -> Any:
        return await world.monitor.acall(world.open(), TO_EVE)

    assert asyncio.run(scene()).content == REFUSED
    assert len(stage.book.pending()) == 1


# what fails


def asked(stage: Stage) -> Question:
    """A question as the monitor asks it."""
    human = World(stage.folder / "elsewhere")
    run = human.open()
    human.monitor.approve(run, TO_EVE)
    return human.human.asked[0]


def test_m9_a_store_that_is_away_refuses(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreAway("gone")

    for name in ("post", "consume"):
        with monkeypatch.context() as patch:
            patch.setattr(stage.book, name, away)
            assert stage.call().content == REFUSED
            if stage.told:
                stage.answer("ana", granted=True)
    assert stage.sent == []
    assert stage.call().performed  # it is back


def test_m9_a_store_that_goes_away_while_somebody_waits_refuses_in_time(stage: Stage) -> None:
    stage.limits = Limits(wait=0.5)
    stage.restart()

    def away(*_: object, **__: object) -> None:
        raise StoreAway("gone")

    stage.book.get = stage.book.wait = away  # type: ignore[method-assign,assignment]
    start = time.monotonic()
    assert stage.call().content == REFUSED
    assert time.monotonic() - start < 10
    assert stage.sent == []


def test_m9_a_redactor_that_fails_asks_nobody(stage: Stage) -> None:
    def broken(value: Json) -> Json:
        raise RuntimeError("no rules")

    stage.redact = broken
    assert stage.call().content == REFUSED
    assert stage.book.pending() == ()
    assert stage.told == []


def test_a_question_that_shows_another_call_is_not_posted(stage: Stage) -> None:
    question = dataclasses.replace(asked(stage), call='{"body":"hello","to":"bob@example.com"}')
    with pytest.raises(ApprovalError, match="another call"):
        stage.approvals.ask(question)
    with pytest.raises(ApprovalError, match="no arguments"):
        stage.approvals.ask(dataclasses.replace(question, call="{"))
    assert stage.book.pending() == ()


def test_what_an_ask_comes_to_says_so(stage: Stage) -> None:
    question = asked(stage)
    with pytest.raises(StillPending) as found:
        stage.approvals.ask(question)
    assert found.value.ref == question.id
    stage.answer("ana", granted=True)
    assert stage.approvals.ask(question).by == "ana"
    with pytest.raises(ApprovalError, match="used before"):
        stage.approvals.ask(question)
    with pytest.raises(Settled, match="used"):
        stage.approvals.conclude(question, question.id, stage.told[0].terms)


def test_a_flood_of_questions_reaches_nobody(stage: Stage) -> None:
    """A hijacked model asks until somebody says yes out of habit. It gets ten questions, and the rest are refusals."""
    for n in range(40):
        assert stage.call(body=f"hello {n}").content == REFUSED
    assert len(stage.book.pending()) == len(stage.told) == 10
    with pytest.raises(TooMany):
        stage.approvals.ask(dataclasses.replace(asked(stage)))


@pytest.mark.parametrize(
    "limits", [{"wait": -1}, {"life": 0}, {"most": 0}, {"most_per_run": 0}, {"wait": float("nan")}], ids=str
)
def test_limits_that_mean_nothing_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ApprovalError):
        Limits(**limits)


def test_a_watcher_that_stumbles_goes_on_watching(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting(stage)
    wait, stumbles = stage.book.wait, iter([1, 1])

    def stumbling(since: int, timeout: float) -> int:
        if next(stumbles, None):
            raise RuntimeError("a bug of the driver")
        return wait(since, timeout)

    monkeypatch.setattr(stage.book, "wait", stumbling)
    caller = threading.Thread(target=stage.call)
    caller.start()
    until(lambda: stage.told)
    stage.answer("ana", granted=True)
    caller.join(15)
    assert len(stage.sent) == 1


def test_m4_an_answer_that_cannot_be_recorded_is_not_given(stage: Stage) -> None:
    stage.call()
    entry, audit = stage.told[0], FlakyAudit()
    desk = Desk(stage.book, redact=redact, audit=audit)
    audit.fails = lambda kind: True
    with pytest.raises(OSError, match="no space"):
        desk.answer(entry.id, "ana", granted=True, digest=entry.terms.digest, via="api")
    assert stage.book.get(entry.id)[1] == "pending"
    audit.fails = lambda kind: False
    desk.answer(entry.id, "ana", granted=True, digest=entry.terms.digest, via="api")
    assert audit.bodies("approval") == [
        {"approval": entry.id, "digest": entry.terms.digest, "by": "ana", "granted": True, "via": "api"}
    ]


# what is kept


def on_disk(stage: Stage) -> bytes:
    stage.book._database._db().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for attempt in range(200):  # the watcher may be reading just now
        try:
            stage.book._database._db().execute("VACUUM")
            break
        except sqlite3.OperationalError:
            if attempt == 199:
                raise
            time.sleep(0.02)
    stage.book._database._db().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return b"".join(p.read_bytes() for p in stage.folder.glob("state.db*"))


@pytest.mark.parametrize("end", ["used", "denied", "expired"])
def test_the_arguments_are_kept_whole_while_the_question_is_open_and_redacted_afterwards(
    stage: Stage, end: str
) -> None:
    body = f"the card is {SECRET}"
    stage.call(body=body)
    assert SECRET.encode() in on_disk(stage)
    assert SECRET in str(stage.desk.show(stage.told[0].id, "ana")["call"])  # he must see what will run
    if end == "expired":
        stage.now.seconds += 3600
        stage.call(body="another")
    else:
        stage.answer(
            "ana",
            granted=end == "used",
        )
        stage.call(body=body)
    assert stage.book.get(stage.told[0].id)[1] == end
    assert SECRET.encode() not in on_disk(stage)
    assert "[card]" in str(stage.desk.show(stage.told[0].id, "ana")["kept"])


def test_the_difference_to_the_last_approved_call_is_shown(stage: Stage) -> None:
    stage.call(body=f"the card is {SECRET}")
    assert stage.desk.open("ana")[0]["changes"] == []
    stage.answer("ana", granted=True)
    stage.call(body=f"the card is {SECRET}")
    stage.call(run="r2", body="the card is 4000-9999")
    changes = stage.desk.open("ana")[0]["changes"]
    assert changes == [
        {"path": "body", "change": "changed", "before": '"the card is [card]"'},
        {"path": "to", "change": "same", "before": f'"{EVE}"'},
    ]


def test_values_that_differ_only_in_what_is_redacted_are_different(stage: Stage) -> None:
    stage.redact = lambda _: {"to": "[mail]", "body": "[text]"}
    stage.call(body="one")
    stage.answer("ana", granted=True)
    stage.call(body="one")
    stage.call(run="r2", body="two")
    changes: Any = stage.desk.open("ana")[0]["changes"]
    assert {c["path"]: c["change"] for c in changes} == {"body": "changed", "to": "same"}


def test_a_question_that_was_changed_keeps_nobody_from_the_others(stage: Stage) -> None:
    stage.call()
    stage.forge(lambda entry: entry["content"]["arguments"].update(to="bob@example.com"), KEY)
    stage.call(run="r2")
    assert [shown["run"] for shown in stage.desk.open("ana")] == ["r2"]


def test_approved_calls_run_through_memory_too(tmp_path: Path) -> None:
    told: list[Entry] = []
    store = MemoryApprovals()
    approvals = StoredApprovals(store, policy="p", redact=lambda v: v, limits=Limits(wait=0), posted=told.append)
    world = World(tmp_path / "outbox", approvals=approvals)
    run = world.open()
    assert isinstance(world.monitor.approve(run, TO_EVE), Forbidden)
    from tests.stores.approvals import given

    store.answer(told[0].id, given())
    assert isinstance(world.monitor.approve(run, TO_EVE), Permitted)


def test_who_needs_no_approval_waits_for_nothing(stage: Stage) -> None:
    stage.book.post = None  # type: ignore[method-assign,assignment]
    assert stage.call(to=BOB).performed


def test_a_question_survives_its_process(stage: Stage, tmp_path: Path) -> None:
    stage.call()
    other = SqliteApprovals(SqliteDatabase(stage.file, durable=True), clock=stage.now, seal=stage.book._seal)
    assert [e.terms.tool for e in other.pending()] == ["send"]
    assert Call(
        tool="send", arguments={"to": EVE, "body": "hello"}, agent="support", principal="emma", run="r1"
    ).digest == (other.pending()[0].terms.digest)
