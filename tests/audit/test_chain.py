"""Whatever is done to a chain shows: edited, deleted, inserted, reordered, cut off, computed anew."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.audit.canonical import encode
from interlock.audit.chain import Broken, Verified, link, verify
from interlock.audit.commitment import IMPERSONAL
from interlock.audit.erasure import erasure
from interlock.audit.errors import AuditError
from interlock.audit.record import EMPTY, Head, Record, leaf
from interlock.kernel.call import canonical

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
        records.append(link(head, at=float(n), kind="decision", run="r1", body=body, salt=f"{n:032x}"))
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
    "stream": lambda r: r._replace(stream="other"),
    "seq": lambda r: r._replace(seq=r.seq + 1),
    "at": lambda r: r._replace(at=r.at + 1e-6),
    "kind": lambda r: r._replace(kind="outcome"),
    "run": lambda r: r._replace(run="r2"),
    "text": lambda r: r._replace(text='{"n":-1}'),
    "commitment": lambda r: r._replace(commitment="0" * 64),
    "no commitment": lambda r: r._replace(commitment="", salt="", personal=""),
    "previous": lambda r: r._replace(previous="0" * 63 + "1"),
    "digest": lambda r: r._replace(digest="f" * 64),
    "salt": lambda r: r._replace(salt="f" * 32),
    "personal": lambda r: r._replace(personal='{"n":-1}'),
    "salt and personal shifted": lambda r: r._replace(salt=r.salt + r.personal[:1], personal=r.personal[1:]),
    "personal gone": lambda r: r._replace(salt="", personal=""),
    "erased by itself": lambda r: r._replace(salt="", personal="", erased=r.seq),
    "erased and there": lambda r: r._replace(erased=99),
    "no text": lambda r: r._replace(text="\ud800"),
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
    changed = TEN[at]._replace(text='{"n":-1}')
    edited = [*TEN[:at], changed._replace(digest=leaf(changed.entry)), *TEN[at + 1 :]]
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
        link(EMPTY, at=0.0, kind="decision", run="r1", body=body, salt="0" * 32)


def test_a_record_is_a_copy() -> None:
    body: dict[str, object] = {"n": [1]}
    record = link(EMPTY, at=0.0, kind="decision", run="r1", body=body, salt="0" * 32)
    body["n"].append(2)  # type: ignore[attr-defined]
    assert record.body == {"n": [1]}
    with pytest.raises(TypeError):
        record.body["n"] = 2  # type: ignore[index]


def test_a_record_about_a_run_needs_a_salt() -> None:
    for salt in ("", "0" * 31, "0" * 33):
        with pytest.raises(AuditError, match="needs a salt"):
            link(EMPTY, at=0.0, kind="run", run="r1", body={"principal": "emma"}, salt=salt)
    assert not link(EMPTY, at=0.0, kind="start", run="", body={"policy": "x"}, salt="0" * 32).salt


def test_what_is_erased_is_as_much_as_the_erasure_says() -> None:
    """An erasure that was real does not cover for another record whose personal parts somebody took."""
    done = erasure(HEAD, [2, 3], "emma", by="olga", why="", at=11.0, salt="5" * 32, stream="")

    def without(*seqs: int) -> list[Record]:
        gone = [r._replace(salt="", personal="", erased=11) if r.seq in seqs else r for r in TEN]
        return [*gone, done.record]

    assert isinstance(verify(without(2, 3)), Verified)
    for seqs in [(2,), (2, 3, 4), (2, 4), ()]:
        assert isinstance(verify(without(*seqs)), Broken), seqs
    elsewhere = [r._replace(salt="", personal="", erased=12) if r.seq == 2 else r for r in TEN]
    assert isinstance(verify(elsewhere), Broken)


@given(BODIES)
def test_the_entry_is_json_and_orders_keys(body: dict[str, object]) -> None:
    (record,) = chain([body])
    entry = json.loads(record.entry)
    assert entry[:5] == ["", 1, 0.0, "decision", "r1"]
    assert record.text == canonical({k: v for k, v in body.items() if k in IMPERSONAL}).decode()
    assert record.body == json.loads(canonical(body))


@given(JSON)
def test_orjson_or_not_the_bytes_are_the_same(value: object) -> None:
    body = {"value": value}
    assert encode(body) == canonical(body).decode()


@pytest.mark.parametrize("value", [1e16, 1e-7, -0.0, 1.5, 5e-324, [None], {"x": 1e22}, 2**70, {1: 2}, ["\x7f\u2028\0"]])
def test_what_orjson_would_spell_in_another_way(value: object) -> None:
    assert encode({"value": value}) == canonical({"value": value}).decode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("nan")], {"x": float("-inf")}])
def test_what_orjson_would_let_pass(value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode({"value": value})


def test_a_circle_is_no_record() -> None:
    circle: dict[str, object] = {}
    circle["again"] = circle
    with pytest.raises(AuditError, match="no JSON"):
        link(EMPTY, at=0.0, kind="decision", run="", body=circle)
    assert link(EMPTY, at=0.0, kind="decision", run="", body={"a": [{}], "b": [{}]}).text == '{"a":[{}],"b":[{}]}'
