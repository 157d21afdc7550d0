"""What every audit store does, whatever it is made of. A store's own test file subclasses `AuditConformance`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import pytest

from interlock.anchors.checkpoint import anchor
from interlock.audit.base import Base
from interlock.audit.chain import Broken, Verdict, Verified
from interlock.audit.checkpoint import Note, PrivateKey
from interlock.audit.commitment import commit
from interlock.audit.erasure import Erasure
from interlock.audit.errors import AuditError
from interlock.audit.record import EMPTY, Head, Record
from interlock.audit.verify import examine
from interlock.monitor.ports import AuditPort
from interlock.stores.memory.audit import MemoryAudit

KEY = PrivateKey("audit.example", bytes(32))


class AuditStore(AuditPort, Protocol):
    """The port, and what operators read."""

    def head(self) -> Head: ...

    stream: str

    def records(self, *, after: int = 0) -> Iterator[Record]: ...
    def extend(self, records: Sequence[Record]) -> None: ...
    def base(self) -> Base: ...
    def checkpoint(self) -> Base: ...
    def keep(self, checkpoint: Base) -> None: ...
    def erase(self, principal: str, *, by: str) -> Erasure: ...
    def drop(self, *, by: str) -> Record: ...
    def verify(self, known: Head | None = None) -> Verdict: ...


def listed(store: AuditStore, after: int = 0) -> list[Record]:
    return list(store.records(after=after))


class AuditConformance:
    """Tests; `make` is a fixture that returns a function from a clock to a new, empty store."""

    def test_an_empty_store_is_an_empty_chain(self, make: Callable[..., AuditStore]) -> None:
        store = make(lambda: 0.0)
        assert store.head() == EMPTY
        assert listed(store) == []
        assert store.verify() == Verified(EMPTY)

    def test_what_is_appended_is_what_is_read(self, make: Callable[..., AuditStore]) -> None:
        store = make(lambda: 12.5)
        body = {"text": "Grüße \u202e\0", "number": 1.0, "int": 2**53 + 1, "list": [None, True, {"a": []}]}
        first = store.append("decision", "r1", body)
        second = store.append("outcome", "", {})
        assert listed(store) == [first, second]
        assert (first.seq, first.at, first.kind, first.run, dict(first.body)) == (1, 12.5, "decision", "r1", body)
        assert second.previous == first.digest
        assert store.head() == Head(2, second.digest)
        assert listed(store, after=1) == [second]
        assert listed(store, after=2) == []

    @pytest.mark.parametrize("at", [0, 7, -0.0, 1e-300, 1795447799.4067826, -1.5])
    def test_every_time_comes_back_as_it_was(self, make: Callable[..., AuditStore], at: float) -> None:
        store = make(lambda: at)
        store.append("decision", "r1", {})
        assert isinstance(store.verify(), Verified)
        assert listed(store)[0].at == at

    def test_a_head_that_was_noted_is_found_again(self, make: Callable[..., AuditStore]) -> None:
        store = make(lambda: 0.0)
        for n in range(3):
            store.append("decision", "r1", {"n": n})
        noted = store.head()
        store.append("decision", "r1", {})
        assert store.verify(noted) == Verified(store.head())
        assert isinstance(store.verify(Head(noted.seq, "f" * 64)), Broken)
        assert isinstance(store.verify(Head(99, noted.digest)), Broken)

    @pytest.mark.parametrize("body", [{"x": float("nan")}, {"x": object()}, {"x": "\ud800"}])
    def test_what_is_no_json_leaves_no_trace(self, make: Callable[..., AuditStore], body: dict[str, object]) -> None:
        store = make(lambda: 0.0)
        with pytest.raises(AuditError):
            store.append("decision", "r1", body)
        assert listed(store) == []
        store.append("decision", "r1", {})
        assert isinstance(store.verify(), Verified)

    def test_a_clock_that_gives_no_time_gives_no_record(self, make: Callable[..., AuditStore]) -> None:
        store = make(lambda: float("nan"))
        with pytest.raises(AuditError):
            store.append("decision", "r1", {})
        assert listed(store) == []

    def test_sixteen_threads_make_one_chain(self, make: Callable[..., AuditStore]) -> None:
        store = make(lambda: 0.0)
        start = threading.Barrier(16)
        got: list[Record] = []

        def work(n: int) -> None:
            start.wait()
            got.extend(store.append("decision", f"r{n}", {"n": i}) for i in range(10))

        threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(got, key=lambda r: r.seq) == listed(store)
        assert store.verify() == Verified(Head(160, listed(store)[-1].digest))

    def test_more_records_than_a_page_holds(self, make: Callable[..., AuditStore]) -> None:
        store = make(lambda: 0.0)
        for n in range(7):
            store.append("decision", "r1", {"n": n})
        assert [r.seq for r in listed(store)] == list(range(1, 8))

    def test_records_that_were_linked_elsewhere_are_taken_in_a_group(self, make: Callable[..., AuditStore]) -> None:
        store, other = make(lambda: 0.0), MemoryAudit(clock=lambda: 0.0)
        first = store.append("start", "", {})
        other.extend([first])
        group = [other.append("decision", f"r{n}", {"n": n, "text": "Grüße \0\t\\."}) for n in range(10)]
        store.extend(group)
        assert listed(store) == [first, *group]
        assert isinstance(store.verify(), Verified)
        for wrong in (group, group[1:], [group[-1]._replace(seq=12)]):
            with pytest.raises(AuditError, match="somebody else writes the same stream"):
                store.extend(wrong)
        assert listed(store) == [first, *group]

    def test_what_a_principal_left_is_erased_and_the_rest_verifies(self, make: Callable[..., AuditStore]) -> None:
        store = make(lambda: 0.0)
        for name in ("emma", "ben"):
            store.append("run", f"run of {name}", {"agent": "a", "principal": name})
            store.append("decision", f"run of {name}", {"principal": name, "tool": "t", "arguments": {"to": name}})
            store.append("outcome", f"run of {name}", {"outcome": "returned", "result": f"{name}'s"})
        store.append("outcome", "run of emma", {"principal": "ben", "result": "ben's, in a run that shares its name"})
        before, noted = listed(store), store.head()
        done = store.erase("emma", by="olga")
        after = listed(store)
        assert done.count == 3
        assert "emma" not in repr([(r.salt, r.personal, r.text) for r in after])
        assert [dict(r.body) for r in after[:3]] == [{"agent": "a"}, {"tool": "t"}, {"outcome": "returned"}]
        assert after[3:-1] == before[3:]
        assert after[-1].kind == "erase"
        assert store.verify(noted) == Verified(store.head())
        # Whoever kept the value and its salt can show that they were in the record; a guess shows nothing.
        assert commit(before[1].salt, before[1].personal) == after[1].commitment
        assert commit("0" * 32, before[1].personal) != after[1].commitment
        assert commit(done.receipt, '{"principal":"emma"}') == after[-1].body["subject"]
        assert store.erase("emma", by="olga").count == 0
        assert store.erase("nobody", by="olga").count == 0
        store.append("decision", "r", {})
        assert isinstance(store.verify(noted), Verified)

    def test_old_records_are_dropped_behind_a_signed_checkpoint(self, make: Callable[..., AuditStore]) -> None:
        store = make(lambda: 0.0)
        kept: list[Note] = []
        with pytest.raises(AuditError, match="a signed checkpoint"):
            store.drop(by="olga")
        for n in range(5):
            store.append("run", f"r{n}", {"principal": f"p{n}"})
        store.erase("p1", by="olga")
        kept.append(anchor(store, [KEY], [], now=1.0))
        store.append("run", "r6", {"principal": "p6"})
        store.erase("p3", by="olga")
        kept.append(anchor(store, [KEY], [], now=2.0))
        store.append("run", "r7", {"principal": "p7"})
        store.drop(by="olga")
        assert [r.seq for r in listed(store)] == [9, 10]
        assert store.verify() == Verified(store.head())

        def told(anchored: list[Note]) -> Verdict:
            found = {"stream": store.stream, "base": store.base(), "keys": [KEY.public]}
            return examine(store.records(), **found, anchored=anchored)  # type: ignore[arg-type]

        assert told(kept) == Verified(store.head(), 8)
        assert isinstance(told(kept[:1]), Broken)  # dropped behind something else
        for n in range(3):
            store.append("run", f"s{n}", {"principal": "p7"})
        assert store.erase("p7", by="olga").count == 4
        kept.append(anchor(store, [KEY], [], now=3.0))
        store.drop(by="olga")
        assert told(kept) == Verified(store.head(), 14)

    def test_a_drop_between_an_erasure_and_what_it_erased(self, make: Callable[..., AuditStore]) -> None:
        store = make(lambda: 0.0)
        for n in range(6):
            store.append("run", f"r{n}", {"principal": f"p{n % 2}"})
        anchor(store, [KEY], [], now=1.0)
        store.append("run", "r9", {"principal": "p1"})
        assert store.erase("p1", by="olga").count == 4
        store.drop(by="olga")
        assert [r.seq for r in listed(store)] == [7, 8, 9]
        assert store.verify() == Verified(store.head())
