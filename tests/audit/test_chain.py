"""Whatever is done to a chain shows: edited, deleted, inserted, reordered, cut off, computed anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.audit.chain import Broken, Verified, link, verify
from interlock.audit.errors import AuditError
from interlock.audit.record import EMPTY, Head, Record

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab\0é", max_size=3), inner, max_size=3),
    max_leaves=6,
)
BODIES = st.dictionaries(st.text("ab", max_size=3), JSON, max_size=3)


def chain(bodies: list[dict[str, object]], start: Head = EMPTY) -> list[Record]:
    records: list[Record] = []
    head = start
    for n, body in enumerate(bodies):
        records.append(link(head, at=float(n), kind="decision", run="r1", body=body))
        head = Head(records[-1].seq, records[-1].digest)
    return records


TEN = chain([{"n": n} for n in range(10)])
HEAD = Head(TEN[-1].seq, TEN[-1].digest)


@given(st.lists(BODIES, max_size=8))
def test_a_chain_as_it_was_written_verifies(bodies: list[dict[str, object]]) -> None:
    records = chain(bodies)
    verdict = verify(records)
    assert verdict == Verified(Head(records[-1].seq, records[-1].digest) if records else EMPTY)


CHANGES: dict[str, Callable[[Record], Record]] = {
    "seq": lambda r: replace(r, seq=r.seq + 1),
    "at": lambda r: replace(r, at=r.at + 1e-6),
    "kind": lambda r: replace(r, kind="outcome"),
    "run": lambda r: replace(r, run="r2"),
    "body": lambda r: replace(r, body={"n": -1}),
    "previous": lambda r: replace(r, previous="0" * 63 + "1"),
    "digest": lambda r: replace(r, digest="f" * 64),
    "no json": lambda r: replace(r, body={"n": float("nan")}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("at", [0, 4, 9])
def test_an_edited_record_shows(change: Callable[[Record], Record], at: int) -> None:
    edited = [*TEN[:at], change(TEN[at]), *TEN[at + 1 :]]
    verdict = verify(edited)
    assert isinstance(verdict, Broken)
    assert verdict.seq == at + 1


@pytest.mark.parametrize("at", [0, 4, 8])
def test_an_edited_record_with_a_new_digest_breaks_the_link_after_it(at: int) -> None:
    changed = replace(TEN[at], body={"n": -1})
    edited = [*TEN[:at], replace(changed, digest=changed.computed()), *TEN[at + 1 :]]
    assert verify(edited) == Broken(at + 2, f"record {at + 2} does not follow record {at + 1}")


@pytest.mark.parametrize("at", [0, 4, 8])
def test_a_deleted_record_shows(at: int) -> None:
    assert isinstance(verify([*TEN[:at], *TEN[at + 1 :]]), Broken)


@given(st.permutations(range(10)))
def test_reordered_records_show(order: list[int]) -> None:
    assert isinstance(verify([TEN[n] for n in order]), Verified) == (order == sorted(order))


def test_an_inserted_record_shows() -> None:
    assert isinstance(verify([*TEN[:5], TEN[4], *TEN[5:]]), Broken)


@pytest.mark.parametrize("left", range(10))
def test_a_cut_off_end_shows_against_a_noted_head(left: int) -> None:
    assert isinstance(verify(TEN[:left]), Verified)
    verdict = verify(TEN[:left], known=HEAD)
    assert verdict == Broken(left + 1, f"the chain ends at record {left}; record 10 was noted")


def test_a_chain_computed_anew_shows_against_a_noted_head() -> None:
    anew = chain([{"n": n if n != 3 else -1} for n in range(10)])
    assert isinstance(verify(anew), Verified)
    assert isinstance(verify(anew, known=HEAD), Broken)


def test_a_chain_that_grew_still_contains_a_noted_head() -> None:
    assert isinstance(verify([*TEN, *chain([{}], HEAD)], known=HEAD), Verified)
    assert isinstance(verify([], known=EMPTY), Verified)


def test_a_part_verifies_from_its_start_only() -> None:
    start = Head(TEN[4].seq, TEN[4].digest)
    assert verify(TEN[5:], start=start) == Verified(HEAD)
    assert isinstance(verify(TEN[5:]), Broken)
    assert isinstance(verify(TEN[6:], start=start), Broken)


@pytest.mark.parametrize("body", [{"x": float("nan")}, {"x": object()}, {"x": "\ud800"}, {"x": {1}}])
def test_what_is_no_json_is_no_record(body: dict[str, object]) -> None:
    with pytest.raises(AuditError, match="is no JSON"):
        link(EMPTY, at=0.0, kind="decision", run="r1", body=body)


def test_a_record_is_a_copy() -> None:
    body: dict[str, object] = {"n": [1]}
    record = link(EMPTY, at=0.0, kind="decision", run="r1", body=body)
    body["n"].append(2)  # type: ignore[attr-defined]
    assert record.body == {"n": [1]}
    with pytest.raises(TypeError):
        record.body["n"] = 2  # type: ignore[index]
