"""What every store of facts about conversations does. A store's own tests subclass `RunsConformance`."""

from __future__ import annotations

import threading
from collections.abc import Callable

from interlock.gateway.stores import Facts
from interlock.kernel.call import Json
from interlock.monitor.ports import RunStore


def everything(store: RunStore, conversation: str, after: int = 0) -> list[Json]:
    return [dict(fact) for _, fact in store.since(conversation, after)]


class RunsConformance:
    """Tests; `make_runs` is a fixture that returns a function to another handle of the same store."""

    def test_facts_come_back_in_order_and_once(self, make_runs: Callable[[], Facts]) -> None:
        store = make_runs()
        store.add("c", [("a", {"n": 1, "text": "\0Grüße\u202e", "f": 1.0}), ("b", {"n": 2})])
        store.add("c", [("a", {"n": 3}), ("d", {"n": 4})])
        assert everything(store, "c") == [{"n": 1, "text": "\0Grüße\u202e", "f": 1.0}, {"n": 2}, {"n": 4}]

    def test_conversations_are_kept_apart(self, make_runs: Callable[[], Facts]) -> None:
        store = make_runs()
        store.add("c", [("a", {"n": 1})])
        store.add("d", [("a", {"n": 2})])
        assert everything(store, "c") == [{"n": 1}]
        assert everything(store, "none") == []

    def test_whoever_has_read_goes_on_from_there(self, make_runs: Callable[[], Facts]) -> None:
        one, other = make_runs(), make_runs()
        one.add("c", [("a", {"n": 1})])
        number, _ = one.since("c", 0)[-1]
        other.add("c", [("b", {"n": 2})])
        assert everything(one, "c", number) == [{"n": 2}]

    def test_conversations_are_read_together(self, make_runs: Callable[[], Facts]) -> None:
        store = make_runs()
        store.add_all([("c", "b", {"n": 1}), ("d", "a", {"n": 2}), ("c", "a", {"n": 3}), ("c", "a", {"n": 4})])
        store.add("c", [("d", {"n": 5})])
        store.add_all([("d", "a", {"n": 6})])
        found = {name: [dict(fact) for fact in facts] for name, facts in store.of(["d", "none", "c", "c"]).items()}
        assert found.keys() == {"c", "d"}
        assert sorted(str(fact) for fact in found["c"][:2]) == ["{'n': 1}", "{'n': 3}"]
        assert (found["c"][2:], found["d"]) == ([{"n": 5}], [{"n": 2}])
        assert everything(store, "d") == [{"n": 2}]
        assert store.of([]) == {}
        assert len(store.of([f"c{n}" for n in range(5_000)] + ["c"])) == 1

    def test_writers_of_the_same_conversations_do_not_wait_for_each_other(self, make_runs: Callable[[], Facts]) -> None:
        names = [f"c{n}" for n in range(20)]

        def write(w: int) -> None:
            mine = make_runs()
            for _ in range(5):
                mine.add_all([(name, f"{w}", {"w": w}) for name in (names if w % 2 else names[::-1])])

        writers = [threading.Thread(target=write, args=(w,)) for w in range(4)]
        for w in writers:
            w.start()
        for w in writers:
            w.join()
        assert {len(facts) for facts in make_runs().of(names).values()} == {4}

    def test_no_fact_is_missed_by_a_reader_beside_eight_writers(self, make_runs: Callable[[], Facts]) -> None:
        store = make_runs()

        def write(w: int) -> None:
            mine = make_runs()
            for i in range(10):
                mine.add("c", [(f"{w}/{i}", {"w": w, "i": i})])

        writers = [threading.Thread(target=write, args=(w,)) for w in range(8)]
        for w in writers:
            w.start()
        seen: list[dict[str, Json]] = []
        cursor = 0
        while any(w.is_alive() for w in writers) or store.since("c", cursor):
            for number, fact in store.since("c", cursor):
                cursor = number
                seen.append(dict(fact))
        assert sorted((str(f["w"]), str(f["i"])) for f in seen) == [
            (str(w), str(i)) for w in range(8) for i in range(10)
        ]
