"""What every store of approvals does. An engine's tests inherit `ApprovalsConformance` and bring `make`."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from interlock.approvals.approvers import Need
from interlock.approvals.book import Book
from interlock.approvals.entry import Entry, Given, Terms
from interlock.approvals.errors import NoSuchApproval, NotYours, Settled, TooMany
from interlock.kernel.call import digest_of
from interlock.monitor.errors import ApprovalError

TERMS = Terms(
    digest="d" * 64,
    policy="p" * 64,
    tool="send",
    agent="support",
    principal="emma",
    run="r1",
    rules=frozenset({"unvouched", "external"}),
    doubts=frozenset({"unvouched to"}),
    need=Need(may=frozenset()),
)
CONTENT = {"arguments": {"to": "eve@evil.example", "body": "\0 Grüße \u202e"}}
KEPT = {"salt": "s", "prints": {}, "shown": {}}


class Now:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def terms(**changes: Any) -> Terms:
    """Other terms; another run is another call."""
    if "run" in changes:
        changes = {"digest": digest_of(changes["run"])} | changes
    return dataclasses.replace(TERMS, **changes)


def post(
    book: Book, ref: str = "q1", wanted: Terms = TERMS, *, life: float = 60, most: int = 100, run: int = 100
) -> Entry:
    return book.post(ref, wanted, CONTENT, KEPT, life=life, most=most, most_per_run=run)


def given(by: str = "ana", *, granted: bool = True, comment: str = "") -> Given:
    return Given(by=by, granted=granted, comment=comment, at=0, via="test")


class ApprovalsConformance:
    """Tests; `make` is a fixture that returns a function from a clock to the one store of this test, opened anew."""

    @pytest.fixture
    def now(self) -> Now:
        return Now()

    @pytest.fixture
    def book(self, make: Callable[..., Book], now: Now) -> Book:
        return make(now)

    def test_what_is_posted_is_what_is_read(self, book: Book) -> None:
        posted = post(book)
        assert book.get("q1") == (posted, "pending")
        assert book.pending() == (posted,)
        assert dict(posted.content) == CONTENT
        assert (posted.asked, posted.expires) == (1000.0, 1060.0)

    def test_a_yes_is_used_once(self, book: Book) -> None:
        post(book)
        assert book.consume("q1", TERMS) is None
        assert book.answer("q1", given())[1] == "granted"
        used = book.consume("q1", TERMS)
        assert used is not None
        assert used.yeses(TERMS.need) == {"ana"}
        assert book.consume("q1", TERMS) is None
        assert book.get("q1")[1] == "used"
        assert book.pending() == ()

    @pytest.mark.parametrize(
        "changes",
        [
            {"digest": "e" * 64},
            {"policy": "q" * 64},
            {"tool": "destroy"},
            {"agent": "other"},
            {"principal": "eve"},
            {"run": "r2"},
            {"rules": frozenset({"unvouched", "another"})},
            {"doubts": frozenset({"unvouched to", "unnamed to"})},
            {"need": Need(may=frozenset({"ben"}))},
            {"need": Need(may=frozenset(), count=2)},
            {"need": Need(may=frozenset({"emma", "ana"}), count=2, own=True)},
        ],
        ids=["digest", "policy", "tool", "agent", "principal", "run", "rules", "doubts", "one", "two", "own"],
    )
    def test_it_is_good_for_nothing_else(self, book: Book, changes: dict[str, Any]) -> None:
        post(book)
        book.answer("q1", given())
        assert book.consume("q1", dataclasses.replace(TERMS, **changes)) is None
        assert book.consume("q1", TERMS) is not None

    def test_fewer_rules_and_doubts_than_were_shown_are_covered(self, book: Book) -> None:
        post(book)
        book.answer("q1", given())
        assert book.consume("q1", terms(rules=frozenset({"unvouched"}), doubts=frozenset())) is not None

    @pytest.mark.parametrize("shift", [60.0, 3600.0, -2.0, -1e6], ids=["just late", "late", "back", "far back"])
    def test_m9_time_that_passed_or_ran_backwards_voids_it(self, book: Book, now: Now, shift: float) -> None:
        post(book)
        book.answer("q1", given())
        now.seconds += shift
        assert book.consume("q1", TERMS) is None
        now.seconds = 1001.0
        if shift < 0:
            assert book.consume("q1", TERMS) is None  # forth again: nobody knows how late it is
        assert post(book, "q2").id == "q2" or shift > 0

    @pytest.mark.parametrize("time_is", [float("nan"), float("inf")])
    def test_m9_no_time_no_approval(self, book: Book, now: Now, time_is: float) -> None:
        post(book)
        book.answer("q1", given())
        now.seconds = time_is
        with pytest.raises(ApprovalError, match="no time"):
            book.consume("q1", TERMS)

    def test_an_expired_question_cannot_be_answered_and_shows_nothing(self, book: Book, now: Now) -> None:
        post(book)
        now.seconds = 1060.0
        with pytest.raises(Settled, match="expired"):
            book.answer("q1", given())
        post(book, "q2", terms(run="r2"))
        assert book.get("q1")[0].content == {}

    def test_what_is_settled_keeps_no_arguments(self, book: Book) -> None:
        for ref, run in (("q1", "r1"), ("q2", "r2")):
            post(book, ref, terms(run=run))
        book.answer("q1", given(granted=False))
        book.answer("q2", given())
        book.consume("q2", terms(run="r2"))
        assert book.get("q1")[0].content == book.get("q2")[0].content == {}
        assert book.get("q2")[0].kept == KEPT

    def test_a_no_ends_it_and_nobody_is_asked_again_in_its_time(self, book: Book, now: Now) -> None:
        post(book)
        book.answer("q1", given())
        assert book.answer("q1", given("ben", granted=False))[1] == "denied"
        assert book.consume("q1", TERMS) is None
        with pytest.raises(Settled):
            book.answer("q1", given("cem"))
        assert post(book, "q2").id == "q1"
        now.seconds = 1060.0
        assert post(book, "q3").id == "q3"

    def test_a_yes_may_be_taken_back_until_it_is_used(self, book: Book) -> None:
        post(book)
        book.answer("q1", given())
        assert book.answer("q1", given(granted=False))[1] == "denied"
        post(book, "q2", terms(run="r2"))
        book.answer("q2", given())
        book.consume("q2", terms(run="r2"))
        with pytest.raises(Settled, match="used"):
            book.answer("q2", given(granted=False))

    def test_the_same_answer_twice_is_one(self, book: Book) -> None:
        post(book)
        book.answer("q1", given(comment="as agreed"))
        version = book.version()
        entry, standing = book.answer("q1", given(comment="again"))
        assert (len(entry.given), entry.given[0].comment, standing) == (1, "as agreed", "granted")
        assert book.version() == version
        book.consume("q1", TERMS)
        assert book.answer("q1", given())[1] == "used"

    def test_four_eyes_are_two_approvers(self, book: Book) -> None:
        both = terms(need=Need(may=frozenset({"ana", "ben"}), count=2))
        post(book, "q1", both)
        assert book.answer("q1", given())[1] == "pending"
        assert book.answer("q1", given())[1] == "pending"
        assert book.consume("q1", both) is None
        with pytest.raises(NotYours):
            book.answer("q1", given("cem"))
        assert book.answer("q1", given("ben"))[1] == "granted"
        assert book.consume("q1", both) is not None

    def test_the_same_call_again_finds_its_question(self, book: Book) -> None:
        first = post(book)
        assert post(book, "q2") == first
        assert len(book.pending()) == 1
        book.answer("q1", given())
        assert post(book, "q3").id == "q1"
        book.consume("q1", TERMS)
        assert post(book, "q4").id == "q4"  # made again, asked again

    def test_a_question_that_no_longer_covers_the_call_expires(self, book: Book) -> None:
        post(book)
        book.answer("q1", given())
        wider = terms(rules=TERMS.rules | {"new"})
        assert post(book, "q2", wider).id == "q2"
        assert book.get("q1")[1] == "expired"
        assert [e.id for e in book.pending()] == ["q2"]

    def test_humans_are_asked_a_bounded_number_of_questions(self, book: Book, now: Now) -> None:
        for n in range(3):
            post(book, f"q{n}", terms(digest=f"{n}" * 64), run=3)
        with pytest.raises(TooMany):
            post(book, "q4", terms(digest="4" * 64), run=3)
        with pytest.raises(TooMany):  # another run of the same principal: the others want to ask, too
            post(book, "q5", terms(digest="5" * 64, run="r2"), run=3, most=12)
        post(book, "q5", terms(digest="5" * 64, run="r2"), run=3, most=16)
        post(book, "q6", terms(digest="6" * 64, run="r3", principal="eve"), run=3, most=5)
        with pytest.raises(TooMany):
            post(book, "q8", terms(digest="8" * 64, run="r4", principal="mallory"), run=3, most=5)
        assert post(book, "q0-again", terms(digest="0" * 64), run=3, most=4).id == "q0"
        now.seconds = 1060.0
        assert post(book, "q7", terms(digest="7" * 64), run=3, most=4).id == "q7"

    def test_an_id_is_used_once(self, book: Book) -> None:
        post(book)
        with pytest.raises(ApprovalError, match="used before"):
            post(book, "q1", terms(run="r2"))

    @pytest.mark.parametrize("ref", ["nothing", "", "\0", "q1\0", "q1' OR 1=1 --", "x" * 500, "q\udc00"])
    def test_what_is_not_there_is_not_there(self, book: Book, ref: str) -> None:
        post(book)
        with pytest.raises(NoSuchApproval):
            book.get(ref)
        with pytest.raises(NoSuchApproval):
            book.answer(ref, given())
        assert book.consume(ref, TERMS) is None

    def test_a_question_may_be_withdrawn(self, book: Book) -> None:
        post(book)
        book.withdraw("q1")
        assert book.get("q1")[1] == "expired"
        with pytest.raises(Settled):
            book.withdraw("q1")

    def test_the_last_approved_call_of_a_tool_is_found(self, book: Book, now: Now) -> None:
        assert book.last("send") is None
        for ref in ("q1", "q2", "q3"):
            now.seconds += 1
            post(book, ref, terms(run=ref))
            book.answer(ref, given())
            if ref != "q3":
                book.consume(ref, terms(run=ref))
        last = book.last("send")
        assert last is not None
        assert last.id == "q2"

    def test_what_is_settled_is_forgotten_in_the_end(self, book: Book, now: Now) -> None:
        post(book)
        book.answer("q1", given(granted=False))
        now.seconds += 91 * 86_400
        post(book, "q2", terms(run="r2"))
        with pytest.raises(NoSuchApproval):
            book.get("q1")

    def test_all_ports_see_one_book(self, make: Callable[..., Book], now: Now) -> None:
        one, other = make(now), make(now)
        post(one)
        other.answer("q1", given())
        assert one.consume("q1", TERMS) is not None
        assert other.consume("q1", TERMS) is None

    def test_who_waits_is_woken(self, make: Callable[..., Book], now: Now) -> None:
        one, other = make(now), make(now)
        post(one)
        before, woken = one.version(), threading.Event()

        def wait() -> None:
            if one.wait(before, 30) > before:
                woken.set()

        waiter = threading.Thread(target=wait)
        waiter.start()
        time.sleep(0.05)
        start = time.monotonic()
        other.answer("q1", given())
        assert woken.wait(10)
        assert time.monotonic() - start < 5
        waiter.join()

    def test_a_wait_ends(self, book: Book) -> None:
        start = time.monotonic()
        assert book.wait(book.version(), 0.2) == book.version()
        assert 0.15 < time.monotonic() - start < 5

    def test_sixty_four_callers_and_one_gets_it(self, make: Callable[..., Book], now: Now) -> None:
        books = [make(now) for _ in range(4)]
        for number in range(5):
            ref, wanted = f"q{number}", terms(run=f"r{number}")
            post(books[0], ref, wanted)
            books[1].answer(ref, given())
            start = threading.Barrier(64)
            got: list[int] = []

            def race(book: Book, ref: str = ref, wanted: Terms = wanted, start: Any = start, got: Any = got) -> None:
                start.wait()
                if book.consume(ref, wanted) is not None:
                    got.append(1)

            threads = [threading.Thread(target=race, args=(books[n % 4],)) for n in range(64)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert got == [1]
