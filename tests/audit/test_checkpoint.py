"""Notes, keys and anchors: nothing counts that the right key did not sign, and nothing is signed that does not hold."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.anchors.checkpoint import anchor
from interlock.anchors.file import FileAnchor
from interlock.anchors.ports import Anchor
from interlock.anchors.store import StoreAnchor
from interlock.anchors.witness import HttpWitness
from interlock.audit.chain import Broken, Verified
from interlock.audit.checkpoint import (
    WITNESS,
    Checkpoint,
    Note,
    PrivateKey,
    PublicKey,
    notes,
    origin,
    parse,
    signed,
)
from interlock.audit.errors import AuditError
from interlock.audit.record import Record, leaf
from interlock.audit.verify import examine
from interlock.stores.memory.audit import MemoryAudit
from interlock.stores.sqlite.audit import SqliteAudit
from tests.audit.witness import Witness, serving

KEY = PrivateKey("audit.example", bytes(32))
OTHER = PrivateKey("audit.example", b"x" * 32)
SAID = Checkpoint(origin="audit.example", size=7, root=b"r" * 32, time=17, head="0f" * 32)


def filled(count: int = 5) -> MemoryAudit:
    audit = MemoryAudit(clock=lambda: 0.0)
    for n in range(count):
        audit.append("decision", "r", {"n": n})
    return audit


def rewritten(audit: MemoryAudit) -> None:
    """What the host does who computes everything anew behind a change."""
    previous, made = "0" * 64, []
    for n, row in enumerate(audit._records):
        new = row._replace(previous=previous, run="another" if n == 1 else row.run)
        made.append(new._replace(digest=leaf(new.entry)))
        previous = made[-1].digest
    audit._records = made


def judged(audit: MemoryAudit, anchored: list[Note], **more: Any) -> object:
    return examine(audit.records(), base=audit.base(), anchored=anchored, keys=[KEY.public], **more)


# notes and keys


def test_keys_are_those_of_c2sp() -> None:
    """RFC 8032, 7.1, test 1, written as a C2SP key."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = PrivateKey("example.com/log", seed).public
    assert public.raw.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert PublicKey.parse(str(public)) == public
    assert PrivateKey.parse(PrivateKey.text("example.com/log", seed)).public == public


def test_a_note_is_read_as_it_is_written() -> None:
    note = signed(SAID, [KEY, OTHER])
    assert parse(note.text) == note
    assert list(notes(note.text * 3)) == [note] * 3
    assert KEY.public.signed(note)
    assert OTHER.public.signed(note)
    assert note.text.startswith("audit.example\n7\ncnJycnJycnJycnJycnJycnJycnJycnJycnJycnJycnI=\ntime 17\nhead 0f0f")


@pytest.mark.parametrize(
    "change",
    [{"origin": "other.example"}, {"size": 8}, {"root": b"s" * 32}, {"time": 18}, {"head": "00" * 32}],
    ids=str,
)
def test_a_changed_checkpoint_is_not_signed(change: dict[str, Any]) -> None:
    said = {name: getattr(SAID, name) for name in ("origin", "size", "root", "time", "head")} | change
    assert not KEY.public.signed(Note(Checkpoint(**said), signed(SAID, [KEY]).signatures))


def test_another_key_of_the_same_name_did_not_sign() -> None:
    note = signed(SAID, [OTHER])
    assert not KEY.public.signed(note)
    ((name, signature),) = note.signatures
    assert not KEY.public.signed(Note(SAID, ((name, KEY.public.id + signature[4:]),)))
    assert not KEY.public.signed(Note(SAID, (("else.example", KEY.sign(SAID)[1]),)))
    assert not KEY.public.signed(Note(SAID, ()))


def test_a_log_s_signature_is_no_cosignature_and_the_other_way_round() -> None:
    witness = PrivateKey("audit.example", bytes(32), kind=WITNESS)
    assert witness.public.signed(signed(SAID, [witness]))
    assert not witness.public.signed(signed(SAID, [KEY]))
    assert not KEY.public.signed(signed(SAID, [witness]))


@given(st.text(max_size=300))
def test_whatever_text_it_is_a_note_or_an_error(text: str) -> None:
    for what in (parse, PublicKey.parse, PrivateKey.parse, lambda t: list(notes(t))):
        try:
            what(text)
        except AuditError:
            continue


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.replace("\n7\n", "\n07\n"),
        lambda t: t.replace("\n7\n", "\n+7\n"),
        lambda t: t.replace("\n7\n", "\n７\n"),
        lambda t: t.replace("time 17", "time 17 "),
        lambda t: t.replace("head ", ""),
        lambda t: t + "\n",
        lambda t: t[:-1],
        lambda t: t.replace("\n\n", "\nmore\n\n"),
        lambda t: t.replace("—", "-"),
        lambda t: t.replace("\n", "\r\n"),
        lambda t: " " + t,
    ],
)
def test_a_note_has_one_spelling(change: Any) -> None:
    with pytest.raises(AuditError):
        parse(change(signed(SAID, [KEY]).text))


def test_a_private_key_does_not_print() -> None:
    secret = PrivateKey.text("audit.example", b"s" * 32).rpartition("+")[2]
    assert secret not in f"{PrivateKey('audit.example', b's' * 32)!r}"
    with pytest.raises(AuditError, match="mistyped"):
        PrivateKey.parse(PrivateKey.text("audit.example", b"s" * 32).replace("audit.", "andit."))
    for name in ("", "a b", "a+b"):
        with pytest.raises(AuditError):
            PrivateKey(name, bytes(32))


def test_streams_have_origins_of_their_own() -> None:
    names = [origin("log", s) for s in ("", "a", "a b", "a%20b", "a/b", "ä", "a\nb", "a%b")]
    assert len(set(names)) == len(names)
    for name in names:
        note = signed(Checkpoint(origin=name, size=1, root=b"r" * 32, time=0, head="00" * 32), [KEY])
        assert parse(note.text) == note


# anchors


@pytest.fixture(params=["file", "memory", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    match request.param:
        case "file":
            return FileAnchor(tmp_path / "notes.txt")
        case "memory":
            return StoreAnchor(MemoryAudit())
        case _:
            return StoreAnchor(SqliteAudit(tmp_path / "second.sqlite"))


def test_what_an_anchor_keeps_finds_a_cut_and_a_rewrite(place: Any) -> None:
    audit = filled()
    first = anchor(audit, [KEY], [place], now=1.0)
    audit.append("decision", "r", {})
    second = anchor(audit, [KEY], [place], now=2.0)
    assert place.notes() == [first, second]
    assert judged(audit, place.notes()) == Verified(audit.head(), 6)
    whole = list(audit._records)
    audit._records = whole[:-1]
    assert isinstance(judged(audit, place.notes()), Broken)
    audit._records = list(whole)
    rewritten(audit)
    assert audit.verify() == Verified(audit.head())
    assert judged(audit, place.notes()) == Broken(5, "the first 5 records are not those of the checkpoint")


def test_an_anchor_takes_no_history_that_contradicts_what_it_has(place: Any) -> None:
    audit = filled()
    anchor(audit, [KEY], [place], now=1.0)
    other = filled(5)  # other salts, so another root
    for _ in range(2):
        with pytest.raises(AuditError, match="contradicts"):
            anchor(other, [KEY], [place], now=2.0)
    with pytest.raises(AuditError, match="contradicts"):
        anchor(filled(3), [KEY], [place], now=2.0)
    assert other.checkpoint().note == ""
    assert len(place.notes()) == 1


def test_m9_an_anchor_that_is_away_is_an_error_and_the_next_one_tries_again(tmp_path: Path) -> None:
    audit, place = filled(), FileAnchor(tmp_path / "missing" / "notes.txt")
    with pytest.raises(AuditError, match="cannot be written"):
        anchor(audit, [KEY], [place], now=1.0)
    assert audit.checkpoint().note == ""
    (tmp_path / "missing").mkdir()
    anchor(audit, [KEY], [place], now=2.0)
    assert [n.checkpoint.size for n in place.notes()] == [5]
    (tmp_path / "missing" / "notes.txt").write_text("rubbish")
    with pytest.raises(AuditError, match="not whole"):
        anchor(audit, [KEY], [place], now=3.0)


def test_nothing_is_signed_that_does_not_hold(tmp_path: Path) -> None:
    store = SqliteAudit(tmp_path / "audit.sqlite")
    for n in range(5):
        store.append("decision", "r", {"n": n})
    anchor(store, [KEY], [], now=1.0)
    for n in range(5):
        store.append("decision", "r", {"n": n})
    with sqlite3.connect(tmp_path / "audit.sqlite") as db:
        db.execute("DROP TRIGGER audit_is_not_changed")
        db.execute("UPDATE audit SET run = 'another' WHERE seq = 8")
    db.close()
    with pytest.raises(AuditError, match="no checkpoint is signed: record 8 was changed"):
        anchor(store, [KEY], [], now=2.0)


def test_a_last_checkpoint_of_somebody_else_is_not_gone_on_from() -> None:
    audit = filled()
    anchor(audit, [OTHER], [], now=1.0)
    with pytest.raises(AuditError, match="is not one that these keys signed"):
        anchor(audit, [KEY], [], now=2.0)
    both = anchor(audit, [KEY, OTHER], [], now=2.0)  # a change of keys
    assert KEY.public.signed(both)
    assert OTHER.public.signed(both)
    audit.append("decision", "r", {})
    assert not OTHER.public.signed(anchor(audit, [KEY], [], now=3.0))


def test_a_checkpoint_costs_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    audit = filled(50)
    anchor(audit, [KEY], [], now=1.0)
    audit.append("decision", "r", {})
    asked: list[int] = []
    records = audit.records

    def counted(*, after: int = 0) -> Iterator[Record]:
        asked.append(after)
        return records(after=after)

    monkeypatch.setattr(audit, "records", counted)
    anchor(audit, [KEY], [], now=2.0)
    assert asked == [50]


# witnesses


@pytest.fixture
def witness() -> Witness:
    return Witness(KEY.public)


def test_a_witness_signs_what_continues_what_it_saw(witness: Witness) -> None:
    audit = filled()
    with serving(witness) as url:
        place = HttpWitness(url, witness.key.public)
        kept = [anchor(audit, [KEY], [place], now=1.0)]
        for _ in range(7):
            audit.append("decision", "r", {})
            kept.append(anchor(audit, [KEY], [place], now=2.0))
        assert witness.asked == 8
        audit.append("decision", "r", {})
        kept.append(anchor(audit, [KEY], [HttpWitness(url, witness.key.public)], now=3.0))  # after a restart: 409 first
        assert witness.asked == 10
    assert all(witness.key.public.signed(note) for note in kept)
    assert judged(audit, kept, witnesses=[witness.key.public]) == Verified(audit.head(), 13)
    assert judged(audit, [parse(kept[-1].text)], witnesses=[witness.key.public]) == Verified(audit.head(), 13)


def test_a_history_that_was_written_anew_finds_no_witness(witness: Witness) -> None:
    audit = filled()
    with serving(witness) as url:
        anchor(audit, [KEY], [HttpWitness(url, witness.key.public)], now=1.0)
        rewritten(audit)
        audit._checkpoint = MemoryAudit().checkpoint()
        audit.append("decision", "r", {})
        with pytest.raises(AuditError, match="does not sign the checkpoint: 422"):
            anchor(audit, [KEY], [HttpWitness(url, witness.key.public)], now=2.0)
        with pytest.raises(AuditError, match="has seen 5 records, more than there are"):
            anchor(filled(3), [KEY], [HttpWitness(url, witness.key.public)], now=2.0)
    alone = anchor(audit, [KEY], [], now=2.0)  # the host can sign it, but shows no witness
    assert judged(audit, [alone], witnesses=[witness.key.public]) == Broken(
        1, "no checkpoint was seen by the witness `witness.example`"
    )


@pytest.mark.parametrize("lie", ["", "— witness.example AAAA\n", "rubbish\n", "OTHER"])
def test_m9_a_witness_that_signs_something_else_counts_for_nothing(witness: Witness, lie: str) -> None:
    forged = "— witness.example " + "A" * 104 + "\n" if lie == "OTHER" else lie
    witness.lie = (forged or " ").encode()
    with serving(witness) as url, pytest.raises(AuditError):
        anchor(filled(), [KEY], [HttpWitness(url, witness.key.public)], now=1.0)


def test_m9_a_witness_that_is_away_is_an_error(witness: Witness, tmp_path: Path) -> None:
    with serving(witness) as url:
        pass
    audit = filled()
    later = FileAnchor(tmp_path / "notes.txt")
    places: list[Anchor] = [HttpWitness(url, witness.key.public, patience=0.5), later]
    with pytest.raises(AuditError, match="does not answer"):
        anchor(audit, [KEY], places, now=1.0)
    assert later.notes() == []
    for wrong in ("ftp://x", "http://"):
        with pytest.raises(AuditError):
            HttpWitness(wrong, witness.key.public)
    with pytest.raises(AuditError):
        HttpWitness(url, KEY.public)


# what is no evidence


def test_a_checkpoint_that_the_key_did_not_sign_is_no_evidence() -> None:
    audit = filled()
    good = anchor(audit, [KEY], [], now=1.0)
    said = good.checkpoint
    witness_s = PrivateKey("audit.example", bytes(32), kind=WITNESS)
    for note in (signed(said, [OTHER]), Note(said, ()), signed(said, [witness_s])):
        assert judged(audit, [note]) == Broken(5, "the checkpoint of 5 is not signed with the key")
        assert isinstance(judged(audit, [good, note]), Broken)
    elsewhere = Checkpoint(origin="other.example", size=5, root=said.root, time=1, head=said.head)
    assert judged(audit, [signed(elsewhere, [KEY])]) == Broken(1, "no checkpoint of `audit.example` was anchored")
    with pytest.raises(AuditError, match="public key of the log"):
        examine(audit.records(), anchored=[good])


def test_a_witness_s_key_alone_vouches_for_no_log() -> None:
    audit = filled()
    said = anchor(audit, [KEY], [], now=1.0).checkpoint
    witness = PrivateKey("audit.example", b"w" * 32, kind=WITNESS)
    verdict = examine(audit.records(), anchored=[signed(said, [witness])], keys=[witness.public])
    assert isinstance(verdict, Broken)


def test_records_are_not_dropped_behind_a_checkpoint_that_the_key_did_not_sign() -> None:
    """Whoever can write the store, and has no key, drops what is in the way and writes down that it was retention."""
    audit = filled()
    anchor(audit, [OTHER], [], now=1.0)
    audit.append("decision", "r", {})
    audit.drop(by="mallory")
    assert audit.verify() == Verified(audit.head())  # the records alone cannot tell
    verdict = examine(audit.records(), base=audit.base(), keys=[KEY.public])
    assert verdict == Broken(5, "what is kept begins after record 5, and no signed checkpoint says so")


def test_a_dropped_beginning_has_to_end_at_an_anchored_checkpoint() -> None:
    """The host has the key and drops evidence behind a checkpoint of a history that it wrote anew."""
    audit = filled()
    kept = [anchor(audit, [KEY], [], now=1.0)]
    rewritten(audit)
    audit._checkpoint = MemoryAudit().checkpoint()
    audit.append("decision", "r", {})
    anchor(audit, [KEY], [], now=2.0)
    audit.drop(by="mallory")
    assert isinstance(judged(audit, []), Verified)
    verdict = judged(audit, kept)
    assert verdict == Broken(6, "records 1 to 6 were dropped behind a checkpoint that was not anchored")


def test_the_same_checkpoint_may_be_anchored_more_than_once() -> None:
    audit = filled()
    kept = [anchor(audit, [KEY], [], now=float(n)) for n in range(1, 3)]
    assert judged(audit, kept) == Verified(audit.head(), 5)
    assert judged(audit, kept * 2) == Verified(audit.head(), 5)
