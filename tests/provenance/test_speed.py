"""Nothing that an attacker writes costs more than its length: twice the text, about twice the work."""

import gc
import time
from collections.abc import Callable

import pytest

from interlock.provenance import dates, kinds, text
from tests.provenance.runs import World, reader

SIZE = 10_000
BOUND = 3.2  # four is quadratic
HOSTILE = [
    "a", "a.", "a-", ".", "-", "@", "a@", "a.@", "a!", "a@a", "a@a.", "a@a-", "//", "http://", "a://", "http:", "www.", "1", "1 ", "1-", "1.",
    "AA11", "AA11 1111 ", "AA111", "DE89 3704 0044 0532 0130 0 ", "0x", "bc1", "1A", "may ", "may 1 ", "1 may ", "1-", "12:", "1 and ", "2024-01-01 to ",
    "in 1 day ", "next ", "'", '"', "‘", "`a", "%", "%2", "%25", "&", "&amp;", "&#4", "(", "](", "](a", "href=", "href=' ", "data:", "\\\\a", "[a", "\u200b", "é", "é.", "ﷺ", "a\u0301",
    " ", "\n", "\t", ", ", "; ", "a/", "../", "#", "a b ", "x\ufe0f.", "。",
]  # fmt: skip


def cost(work: Callable[[str], object], piece: str, size: int) -> float:
    """Processor time for `size` characters of `piece`, and an end that makes matches fail; the better of two."""
    hostile = (piece * (size // len(piece) + 1))[:size] + ".\x01"
    best = float("inf")
    for _ in range(2):
        start = time.process_time()
        work(hostile)
        best = min(best, time.process_time() - start)
    return best


@pytest.mark.parametrize(
    "work", [kinds.found, kinds.actionable, dates.when, text.units, text.quoted], ids=lambda w: w.__name__
)
def test_twice_the_text_is_about_twice_the_work(work: Callable[[str], object]) -> None:
    gc.disable()
    try:
        for piece in HOSTILE:
            one, two = cost(work, piece, SIZE), cost(work, piece, 2 * SIZE)
            if two > 0.02 and two / max(one, 1e-9) > BOUND:  # measured again before it is believed
                one, two = cost(work, piece, SIZE), cost(work, piece, 2 * SIZE)
                assert two / one <= BOUND, (piece, one, two)
    finally:
        gc.enable()


def test_taking_in_a_result_costs_the_same_late_in_a_run() -> None:
    """The work is counted in what is looked at: the prose that has the rarest word, never all that was read."""
    run = World(reader(own=("name",)))
    run.user("Book the Riverside View hotel")
    for n in range(2_000):
        run.returned("service", [{"name": f"Plain House {n}", "note": "others"}])
    assert len(run.ledger.user.prose) == 1
    assert run.ledger.own.stands["1999"] == [1_999]
    assert run.ledger.own.source("entity", "Plain House 1999") is not None  # type: ignore[arg-type]
