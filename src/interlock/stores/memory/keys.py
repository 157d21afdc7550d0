"""Keys that live as long as the process: for tests and for trying things out."""

from __future__ import annotations

from threading import Lock

from interlock.stores.errors import StoreError
from interlock.stores.key import Key, changed


class MemoryKeys:
    """The store of keys over a dictionary."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._keys: dict[str, tuple[Key, str]] = {}
        self._version = 0

    def add(self, key: Key, digest: str) -> None:
        """Keep a new key.

        Raises:
            StoreError: its id is taken.
        """
        with self._lock:
            if key.id in self._keys:
                raise StoreError(f"the key `{key.id}` is there already")
            self._keys[key.id] = (key, digest)
            self._version += 1

    def all(self) -> tuple[tuple[Key, str], ...]:
        """Every key with its digest, oldest first."""
        with self._lock:
            return tuple(self._keys.values())

    def change(self, ref: str, *, expires: float | None = None, revoked: bool = False) -> Key:
        """Let a key end at `expires`, if it does not before, or now and for ever.

        Raises:
            StoreError: there is none.
        """
        with self._lock:
            if ref not in self._keys:
                raise StoreError(f"there is no key `{ref[:32]!a}`")
            key, digest = self._keys[ref]
            self._keys[ref] = (changed(key, expires=expires, revoked=revoked), digest)
            self._version += 1
            return self._keys[ref][0]

    def version(self) -> int:
        """A number that grows with every change."""
        with self._lock:
            return self._version
