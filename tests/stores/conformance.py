"""What every audit store does, whatever it is made of. A store's own test file subclasses `AuditConformance`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

import pytest

from interlock.audit.chain import Broken, Verdict, Verified
from interlock.audit.errors import AuditError
from interlock.audit.record import EMPTY, Head, Record
from interlock.monitor.ports import AuditPort


class AuditStore(AuditPort, Protocol):
    """The port, and what operators read."""

    def head(self) -> Head: ...
    def records(self, *, after: int = 0) -> object: ...
    def verify(self, known: Head | None = None) -> Verdict: ...


def listed(store: AuditStore, after: int = 0) -> list[Record]:
    return list(store.records(after=after))  # type: ignore[call-overload,no-any-return]


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
