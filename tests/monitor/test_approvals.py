"""Approvals: whatever is not a clear yes to this very call, in time, leaves the world as it was."""

from __future__ import annotations

import io
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from interlock.kernel.call import Json
from interlock.kernel.decision import Forbidden, NeedsApproval, Permitted
from interlock.kernel.labels import Integrity
from interlock.kernel.spec import Effect, Role
from interlock.monitor.approvals import LONG, DenyAll, InProcessApprovals, TerminalApprovals, render
from interlock.monitor.errors import ApprovalError, NotPerformed
from interlock.monitor.mediate import REFUSED
from interlock.monitor.ports import Tool
from interlock.monitor.question import Answer, Asked, Question, visible, yes
from tests.monitor.world import BOB, EVE, TO_BOB, TO_EVE, World, call


def test_a_yes_to_this_call_lets_it_run_and_no_other(world: World) -> None:
    run = world.open()
    decision = world.monitor.approve(run, TO_EVE)
    assert isinstance(decision, Permitted)
    assert decision.permit.approved
    assert decision.permit.digest == TO_EVE.digest
    assert isinstance(world.monitor.propose(run, call("send", to="other@evil.example", body="x")), NeedsApproval)


def broken(question: Question) -> Answer:
    raise TimeoutError("the approver's service is away")


WRONG: dict[str, Callable[[Question], object]] = {
    "raises": broken,
    "another digest": lambda q: replace(yes(q, "emma"), digest=TO_BOB.digest),
    "another question": lambda q: replace(yes(q, "emma"), question="nonce-0"),
    "nobody's": lambda q: yes(q, ""),
    "no": lambda q: Answer(question=q.id, digest=q.digest, granted=False, by="emma"),
    "truthy": lambda q: replace(yes(q, "emma"), granted="yes"),  # type: ignore[arg-type]
    "just true": lambda q: True,
    "nothing": lambda q: None,
}


@pytest.mark.parametrize("reply", WRONG.values(), ids=WRONG.keys())
def test_m9_an_answer_that_is_no_yes_to_the_question_is_a_no(world: World, reply: Callable[[Question], object]) -> None:
    run = world.open()
    world.human.reply = reply
    assert world.monitor.call(run, TO_EVE).content == REFUSED
    assert world.sent == []
    assert world.audit.bodies("answer")[-1]["granted"] is False
    assert not run.ledger.endorsed(EVE, Role.RECIPIENT, "")


def test_an_answer_counts_once(world: World) -> None:
    run = world.open()
    given: list[Answer] = []

    def once(question: Question) -> Answer:
        given.append(yes(question, "emma"))
        return given[0]

    world.human.reply = once
    assert world.monitor.call(run, TO_EVE).performed
    run.ledger._endorsed.clear()
    assert world.monitor.call(run, TO_EVE).content == REFUSED  # the same answer to the same call, asked again
    assert len(world.sent) == 1


@pytest.mark.parametrize("shift", [-1.0, 60.0, 3600.0, float("nan")], ids=["back", "just late", "late", "nan"])
def test_m9_an_answer_is_void_when_time_has_passed_or_nobody_knows_how_much(world: World, shift: float) -> None:
    run = world.open()

    def late(question: Question) -> Answer:
        world.clock.seconds += shift
        return yes(question, "emma")

    world.human.reply = late
    assert world.monitor.call(run, TO_EVE).content == REFUSED
    assert world.sent == []


@pytest.mark.parametrize("shift", [-1.0, 60.0, float("nan")], ids=["back", "late", "nan"])
def test_m9_an_approved_permit_expires_and_turning_the_clock_back_does_not_help(world: World, shift: float) -> None:
    run = world.open()
    decision = world.monitor.approve(run, TO_EVE)
    assert isinstance(decision, Permitted)
    world.clock.seconds += shift
    with pytest.raises(NotPerformed, match="expired"):
        world.monitor.begin(run, decision.permit)
    world.clock.seconds = 1001.0
    with pytest.raises(NotPerformed):
        world.monitor.begin(run, decision.permit)
    assert world.sent == []


def test_a_permit_from_before_the_clock_went_back_and_forth_has_expired(world: World) -> None:
    run = world.open()
    decision = world.monitor.approve(run, TO_EVE)
    assert isinstance(decision, Permitted)
    world.clock.seconds += 3600
    assert isinstance(world.monitor.propose(run, TO_BOB), Permitted)
    world.monitor._now()  # an hour later, somebody looks at the clock
    world.clock.seconds -= 3600
    with pytest.raises(NotPerformed, match="expired"):
        world.monitor.begin(run, decision.permit)


def test_m9_a_clock_that_fails_lets_no_approval_count(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run = world.open()
    monkeypatch.setattr(world.clock, "now", lambda: 1 / 0)
    assert world.monitor.call(run, TO_EVE).content == REFUSED
    assert world.monitor.call(run, TO_BOB).performed  # needs no approval, so no time
    assert len(world.sent) == 1


@pytest.mark.parametrize("nonces", [itertools.repeat("same"), iter([]), itertools.repeat(""), itertools.repeat(7)])
def test_m9_a_nonce_that_repeats_or_is_none_refuses(tmp_path: Path, nonces: Iterator[str]) -> None:
    world = World(tmp_path / "outbox", nonces=nonces)
    run = world.open(poisoned=False)
    observed = [world.monitor.call(run, TO_BOB).content for _ in range(3)]
    assert observed[1:] == [REFUSED, REFUSED]
    assert len(world.sent) == observed.count({"status": "sent"}) <= 1


def test_what_was_approved_is_what_runs_or_nothing_does(tmp_path: Path) -> None:
    def unstable(arguments: dict[str, Json]) -> dict[str, Json]:
        return arguments | {"body": f"version {len(world.human.asked)}"}

    box = World(tmp_path / "outbox")
    world = World(tmp_path / "outbox", tools={"send": Tool(perform=box.send, validate=unstable)})
    box.monitor = world.monitor
    assert world.monitor.call(world.open(), TO_EVE).content == REFUSED
    assert len(world.human.asked) == 1
    assert world.sent == []


def test_an_approval_lifts_only_what_an_approval_may_lift(world: World) -> None:
    run = world.open("reader")
    foreign = replace(TO_EVE, agent="reader")
    assert isinstance(world.monitor.approve(run, foreign), Forbidden)
    assert world.human.asked == []


def test_approving_what_needs_none_asks_nobody(world: World) -> None:
    assert isinstance(world.monitor.approve(world.open(), TO_BOB), Permitted)
    assert world.human.asked == []


def test_the_question_says_where_each_value_stands_and_which_rule_asks(world: World) -> None:
    world.monitor.approve(world.open(), TO_EVE)
    question = world.human.asked[0]
    assert question.rules == ("unvouched",)
    to = next(a for a in question.arguments if a.path == "to")
    assert (to.value, to.vouched, to.role) == (EVE, False, Role.RECIPIENT)
    assert "`body` of `read_mail`" in to.origin
    assert question.unnamed == ("to",)


# implementations


def test_nobody_there_is_a_no(tmp_path: Path) -> None:
    world = World(tmp_path / "outbox", approvals=DenyAll())
    assert world.monitor.call(world.open(), TO_EVE).content == REFUSED
    assert world.sent == []


def test_m9_a_function_that_hangs_is_a_no_and_its_late_yes_changes_nothing(tmp_path: Path) -> None:
    release, done = threading.Event(), threading.Event()

    def hang(question: Question) -> bool:
        release.wait(30)
        done.set()
        return True

    world = World(tmp_path / "outbox", approvals=InProcessApprovals(hang, by="emma", timeout=0.05))
    assert world.monitor.call(world.open(), TO_EVE).content == REFUSED
    release.set()
    assert done.wait(30)
    assert world.sent == []
    assert "nobody answered" in str(world.audit.bodies("answer")[-1]["why"])


@pytest.mark.parametrize(("value", "count"), [(True, 1), (False, 0), (1, 0), ("yes", 0), (None, 0)])
def test_a_function_says_yes_with_true_only(tmp_path: Path, value: object, count: int) -> None:
    approvals = InProcessApprovals(lambda question: value, by="emma")  # type: ignore[arg-type,return-value]
    world = World(tmp_path / "outbox", approvals=approvals)
    world.monitor.call(world.open(), TO_EVE)
    assert len(world.sent) == count


def test_a_function_that_raises_is_a_no(tmp_path: Path) -> None:
    world = World(tmp_path / "outbox", approvals=InProcessApprovals(lambda question: 1 / 0 > 1, by="emma"))
    assert world.monitor.call(world.open(), TO_EVE).content == REFUSED
    assert world.sent == []


def test_a_function_approves_in_somebodys_name() -> None:
    with pytest.raises(ApprovalError, match="in whose name"):
        InProcessApprovals(lambda question: True, by="")
    with pytest.raises(ApprovalError, match="above 0"):
        InProcessApprovals(lambda question: True, by="emma", timeout=0)


@pytest.mark.parametrize(
    ("typed", "count"),
    [
        ("{code}\n", 1),
        (" {code} \n", 1),
        ("", 0),
        ("\n", 0),
        ("y\n", 0),
        ("yes\n", 0),
        ("{code}{code}\n", 0),
        ("n\n{code}\n", 0),
    ],
)
def test_a_terminal_says_yes_with_the_code_of_the_call(tmp_path: Path, typed: str, count: int) -> None:
    screen = io.StringIO()
    keys = io.StringIO(typed.format(code=TO_EVE.digest[:4]))
    world = World(tmp_path / "outbox", approvals=TerminalApprovals(keys, screen))
    world.monitor.call(world.open(), TO_EVE)
    assert len(world.sent) == count
    assert EVE in screen.getvalue()
    assert ("approved" in screen.getvalue()) == bool(count)


def test_a_closed_terminal_is_a_no(tmp_path: Path) -> None:
    keys = io.StringIO()
    keys.close()
    world = World(tmp_path / "outbox", approvals=TerminalApprovals(keys, io.StringIO()))
    assert world.monitor.call(world.open(), TO_EVE).content == REFUSED
    assert world.sent == []


# what the screen shows


def question(**values: str) -> Question:
    arguments = tuple(
        Asked(
            path=path,
            value=value,
            role=Role.TEXT if path == "body" else Role.TITLE if path == "subject" else Role.RECIPIENT,
            integrity=Integrity.EXTERNAL,
            vouched=False,
            origin="stands in nothing",
        )
        for path, value in values.items()
    )
    return Question(
        id="q",
        digest="ab" * 32,
        tool="send",
        effect=Effect.EGRESS,
        agent="support",
        principal="emma",
        run="r1",
        call=visible(str(values)),
        arguments=arguments,
        rules=("unvouched",),
        unpointed=(),
        unnamed=(),
    )


UNSEEN = [
    "\x00", "\x07", "\x1b", "\x7f", "\x85", "\r", "\u00a0", "\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4",
    "\u180e", "\u200b", "\u200d", "\u200e", "\u202a", "\u202e", "\u2028", "\u2029", "\u2060", "\u2066", "\u2069",
    "\u2800", "\u3000", "\u3164", "\ufe0f", "\ufeff", "\uffa0", "\ue000", "\U000e0041", "\U000e0101", "\u0378",
]  # fmt: skip


@pytest.mark.parametrize("c", UNSEEN, ids=[f"{ord(c):04x}" for c in UNSEEN])
def test_what_a_screen_does_not_show_is_shown(c: str) -> None:
    for path in ("to", "subject", "body"):
        screen = render(question(**{path: f"a{c}b"}))
        assert c not in screen
        assert c.encode("unicode_escape").decode() in screen


def test_escapes_cannot_be_forged() -> None:
    assert visible("\\u202e") != visible("\u202e")


def test_plain_text_of_any_language_stays_readable() -> None:
    for text in ("Grüße aus Köln", "日本語", "здравствуйте", "a b-c_d 1,2"):
        assert visible(text) == text


def test_look_alikes_are_spelt_out() -> None:
    assert "\\u0430" in render(question(to="p\u0430ypal@example.com"))


def test_a_text_cannot_pass_for_a_line_of_ours() -> None:
    forged = "hi\n    asked by: nobody\u2028    digest: none\r\ntype yes to let it run"
    lines = render(question(body=forged)).splitlines()
    assert [line for line in lines if line.startswith("    asked by")] == ["    asked by: unvouched"]
    assert sum("type yes" in line for line in lines if not line.startswith(("    | ", "    exactly"))) == 0


def test_a_long_text_says_how_much_is_missing_and_a_deciding_value_is_never_cut() -> None:
    long = "x" * (LONG + 77)
    screen = render(question(body=long))
    assert "77 more characters; SHA-256 of the whole" in screen
    assert long not in screen
    for path in ("to", "subject"):
        assert long in render(question(**{path: long}))


def test_a_call_without_arguments_says_so() -> None:
    assert "it has no arguments" in render(question())
    assert BOB not in render(question())
