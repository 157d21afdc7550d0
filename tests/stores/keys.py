"""What every store of keys does. An engine's tests inherit `KeysConformance` and bring `make`."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable

import pytest

from interlock.stores.errors import StoreAway, StoreError
from interlock.stores.key import Issued, Key, KeyRing, KeyStore, issue, rotate


class Hands:
    """Two clocks that a test sets."""

    def __init__(self) -> None:
        self.wall, self.steady = 1000.0, 0.0


def added(store: KeyStore, name: str = "support", **options: float) -> Issued:
    new = issue("agent", name, now=1000.0, principal="emma", tenant="acme", **options)
    store.add(new.key, new.digest)
    return new


class KeysConformance:
    """Tests; `make` is a fixture that returns the one store of this test, opened anew."""

    @pytest.fixture
    def store(self, make: Callable[[], KeyStore]) -> KeyStore:
        return make()

    @pytest.fixture
    def hands(self) -> Hands:
        return Hands()

    def ring(self, store: KeyStore, hands: Hands) -> KeyRing:
        return KeyRing(store, kind="agent", clock=lambda: hands.wall, ticks=lambda: hands.steady)

    def test_a_key_opens_what_it_was_made_for(self, store: KeyStore, hands: Hands) -> None:
        new = added(store)
        found = self.ring(store, hands).find(new.text)
        assert found == new.key
        assert (found.agent, found.principal, found.tenant) == ("support", "emma", "acme")

    def test_a_key_of_another_kind_opens_nothing(self, store: KeyStore, hands: Hands) -> None:
        approver = issue("approver", "ana", now=1000.0)
        store.add(approver.key, approver.digest)
        assert self.ring(store, hands).find(approver.text) is None
        assert approver.key.agent == ""
        assert KeyRing(store, kind="approver").find(approver.text) == approver.key
        assert KeyRing(store, kind="approver").find(added(store).text) is None

    def test_the_key_is_nowhere_in_the_store(self, store: KeyStore) -> None:
        new = added(store)
        assert new.text.split("_")[2] not in repr(store.all())
        assert new.text not in repr(new)

    def test_neighbours_of_a_key_open_nothing(self, store: KeyStore, hands: Hands) -> None:
        new, other = added(store), added(store, "other")
        ring = self.ring(store, hands)
        prefix, ref, secret = new.text.split("_")
        for text in (
            "",
            new.text[:-1],
            new.text + "0",
            new.text + "\n",
            new.text.swapcase(),
            new.text.replace("ilk_", "ila_"),
            f"{prefix}_{other.key.id}_{secret}",
            f"{prefix}_{ref}_{other.text.split('_')[2]}",
            new.digest,
            f"{prefix}_{ref}_" + "0" * 49,
            new.text[:20] + "\u0430" + new.text[21:],
            "x" * 1_000_000,
        ):
            assert ring.find(text) is None
        assert ring.find(new.text) is not None

    def test_a_revoked_key_is_refused_within_a_second_and_for_ever(
        self, make: Callable[[], KeyStore], hands: Hands
    ) -> None:
        store, elsewhere = make(), make()
        new = added(store)
        ring = self.ring(store, hands)
        elsewhere.change(new.key.id, revoked=True)
        hands.steady = 1.0
        assert ring.find(new.text) is None
        store.change(new.key.id, expires=1e12)
        hands.steady = 2.0
        assert ring.find(new.text) is None

    def test_a_key_ends_when_it_says(self, store: KeyStore, hands: Hands) -> None:
        new = added(store, expires=1060.0)
        ring = self.ring(store, hands)
        hands.wall = 1059.9
        assert ring.find(new.text) is not None
        for wall in (1060.0, 5000.0, float("nan")):
            hands.wall = wall
            assert ring.find(new.text) is None

    def test_no_change_extends_a_key(self, store: KeyStore) -> None:
        new = added(store, expires=1060.0)
        assert store.change(new.key.id, expires=9000.0).expires == 1060.0
        assert store.change(new.key.id, expires=1010.0).expires == 1010.0

    def test_rotation_gives_a_new_key_and_ends_the_old(self, store: KeyStore, hands: Hands) -> None:
        old = added(store)
        new = rotate(store, old.key.id, now=1000.0, grace=60.0)
        ring = self.ring(store, hands)
        assert ring.find(old.text) is not None
        found = ring.find(new.text)
        assert found is not None
        assert (found.name, found.tenant) == ("support", "acme")
        hands.wall = 1060.0
        assert ring.find(old.text) is None
        assert ring.find(new.text) is not None
        with pytest.raises(StoreError, match="no valid key"):
            rotate(store, old.key.id, now=1060.0, grace=0.0)
        with pytest.raises(StoreError, match="no valid key"):
            rotate(store, "nothing", now=1060.0, grace=0.0)

    def test_keys_are_listed_in_order(self, store: KeyStore) -> None:
        made = [added(store, name).key for name in ("b", "a", "ü \u00e9")]
        assert [key for key, _ in store.all()] == made

    def test_an_id_is_taken_once(self, store: KeyStore) -> None:
        new = added(store)
        with pytest.raises(StoreError, match="already"):
            store.add(dataclasses.replace(new.key, name="thief"), "0" * 64)
        assert len(store.all()) == 1

    @pytest.mark.parametrize("ref", ["nothing", "", "\0", "' OR 1=1 --"])
    def test_what_is_not_there_is_not_changed(self, store: KeyStore, ref: str) -> None:
        new = added(store)
        with pytest.raises(StoreError, match="no key"):
            store.change(ref, revoked=True)
        assert store.all()[0][0] == new.key

    @pytest.mark.parametrize(
        ("kind", "name"),
        [("agent", ""), ("agent", "a\nb"), ("agent", "x" * 257), ("approver", "Ana"), ("approver", "\u0430na")],
    )
    def test_names_that_deceive_get_no_key(self, kind: str, name: str) -> None:
        with pytest.raises(StoreError):
            Key(id="x", kind=kind, name=name, made=0.0)  # type: ignore[arg-type]

    def test_m9_a_store_that_is_away_refuses_every_key_after_a_while(
        self, store: KeyStore, hands: Hands, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        new = added(store)
        ring = self.ring(store, hands)

        def away() -> int:
            raise StoreAway("gone")

        monkeypatch.setattr(store, "version", away)
        hands.steady = 29.0
        assert ring.find(new.text) is not None
        for hands.steady in (30.0, 30.5, 99.0):
            with pytest.raises(StoreAway):
                ring.find(new.text)
        monkeypatch.undo()
        hands.steady = 101.0
        assert ring.find(new.text) is not None

    def test_threads_add_and_look_up(self, make: Callable[[], KeyStore]) -> None:
        stores = [make() for _ in range(3)]
        made: list[Issued] = []

        def work(number: int) -> None:
            made.append(added(stores[number % 3], f"agent {number}"))

        threads = [threading.Thread(target=work, args=(n,)) for n in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ring = KeyRing(stores[0], kind="agent")
        assert {ring.find(new.text) for new in made} == {new.key for new in made}
        assert stores[0].version() == 24
