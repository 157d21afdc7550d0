"""Keys that Interlock issues: to agents, for the gateway, and to approvers, for the API of approvals.

    ilk_7f3k9q2m4x_Zb…(43 characters)…(6 of checksum)      an agent's
    ila_…                                                  an approver's

The secret part is 256 bits from the operating system, so nobody finds a key by trying, and a fast hash keeps it: slow
hashes protect what humans think up. What is stored is SHA-256 of the whole key; the key itself is shown once. The
checksum needs no secret: a mistyped key is refused, and a scanner's find confirmed, without asking a store.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Literal, Protocol, TypeAlias

from interlock.approvals.approvers import NAME
from interlock.stores.errors import StoreAway, StoreError

Kind: TypeAlias = Literal["agent", "approver"]
PREFIXES: dict[Kind, str] = {"agent": "ilk", "approver": "ila"}
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ID, _SECRET, _CHECK = 10, 43, 6  # characters; 62 ** 43 > 2 ** 256, 62 ** 6 > 2 ** 32
TEXT = re.compile(rf"(il[ka])_([0-9a-z]{{{_ID}}})_([0-9A-Za-z]{{{_SECRET}}})([0-9A-Za-z]{{{_CHECK}}})", re.ASCII)
_NOBODY = hashlib.sha256(b"").digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What is known of a key. `name` is the agent's or the approver's; moments are seconds since 1970."""

    id: str
    kind: Kind
    name: str
    made: float
    principal: str = ""  # for whom an agent's key acts when nothing else says so
    tenant: str = ""
    expires: float | None = None
    revoked: bool = False

    def __post_init__(self) -> None:
        if not self.name or len(self.name) > 256 or not (self.name + self.principal + self.tenant).isprintable():  # noqa: PLR2004
            raise StoreError("a key needs a name of 1 to 256 characters that can be seen")
        if self.kind == "approver" and not NAME.fullmatch(self.name):
            raise StoreError(f"`{self.name!a}` is no approver's name; use a-z, 0-9 and . _ + @ -")

    @property
    def agent(self) -> str:
        """Through which agent it acts; none for an approver's."""
        return self.name if self.kind == "agent" else ""

    def good(self, now: float) -> bool:
        """Whether it opens anything at `now`."""
        return not self.revoked and (self.expires is None or now < self.expires)


@dataclass(frozen=True, slots=True)
class Issued:
    """A new key; `text` is shown to its holder once, `digest` is stored."""

    key: Key
    text: str = field(repr=False)
    digest: str


def issue(
    kind: Kind, name: str, *, now: float, principal: str = "", tenant: str = "", expires: float | None = None
) -> Issued:
    """A fresh key of `kind` for `name`."""
    ref = "".join(secrets.choice(_DIGITS[:36]) for _ in range(_ID))
    body = f"{PREFIXES[kind]}_{ref}_{_base62(secrets.randbits(256), _SECRET)}"
    text = body + _checksum(body)
    key = Key(id=ref, kind=kind, name=name, made=now, principal=principal, tenant=tenant, expires=expires)
    return Issued(key, text, _hash(text).hex())


def well_formed(text: str) -> bool:
    """Whether `text` can be a key: its form, and its checksum."""
    return TEXT.fullmatch(text) is not None and hmac.compare_digest(text[-_CHECK:], _checksum(text[:-_CHECK]))


class KeyStore(Protocol):
    """Keeps keys. Raising: nothing is known of any key."""

    def add(self, key: Key, digest: str) -> None:
        """Keep a new key."""
        ...

    def all(self) -> tuple[tuple[Key, str], ...]:
        """Every key with its digest, oldest first."""
        ...

    def change(self, ref: str, *, expires: float | None = None, revoked: bool = False) -> Key:
        """Let a key end at `expires`, if it does not before, or now and for ever."""
        ...

    def version(self) -> int:
        """A number that grows with every change."""
        ...


def changed(key: Key, *, expires: float | None, revoked: bool) -> Key:
    """`key`, of which nothing is ever extended."""
    ends = [e for e in (key.expires, expires) if e is not None]
    return replace(key, expires=min(ends) if ends else None, revoked=key.revoked or revoked)


def rotate(store: KeyStore, ref: str, *, now: float, grace: float) -> Issued:
    """A new key for the holder of `ref`, which ends in `grace` seconds.

    Raises:
        StoreError: there is no such key, or it is good no longer.
    """
    old = next((key for key, _ in store.all() if key.id == ref), None)
    if old is None or not old.good(now):
        raise StoreError(f"there is no valid key `{ref[:32]!a}`")
    new = issue(old.kind, old.name, now=now, principal=old.principal, tenant=old.tenant, expires=old.expires)
    store.add(new.key, new.digest)  # first: whoever dies in between leaves two keys, not none
    store.change(ref, expires=now + grace)
    return new


class KeyRing:
    """This process's copy of the keys of one kind: who looks one up waits for no store, while the copy is fresh.

    A revoked key is refused after `fresh` seconds at the latest. When the store is away the copy serves for `stale`
    seconds; then every key is refused.
    """

    def __init__(
        self,
        store: KeyStore,
        *,
        kind: Kind,
        fresh: float = 1.0,
        stale: float = 30.0,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` is for expiry, `ticks` for the age of the copy.

        Raises:
            StoreError: the store is away.
        """
        self._store, self._kind, self._fresh, self._stale = store, kind, fresh, stale
        self._clock, self._ticks = clock, ticks
        self._lock = Lock()
        self._version = -1
        self._keys: dict[str, tuple[Key, bytes]] = {}
        self._asked = self._known = ticks()
        self.refresh()

    def find(self, presented: str) -> Key | None:
        """The valid key that `presented` is, or None.

        Raises:
            StoreAway: nothing is known of any key.
        """
        now = self._ticks()
        if now - self._asked >= self._fresh:
            self._asked = now  # the others go on with the copy
            try:
                self.refresh()
            except StoreError as error:
                if now - self._known >= self._stale:
                    raise StoreAway("keys cannot be checked: the store is away") from error
        elif now - self._known >= self._stale:
            raise StoreAway("keys cannot be checked: the store is away")
        if not well_formed(presented):
            return None
        key, digest = self._keys.get(presented[4 : 4 + _ID], (None, _NOBODY))
        same = hmac.compare_digest(_hash(presented), digest)
        return key if same and key is not None and key.good(self._clock()) else None

    def refresh(self) -> None:
        """Look whether the store has changed; for a thread that does so every second, so that `find` never has to.

        Raises:
            StoreError: the store is away; the copy stays.
        """
        with self._lock:
            version = self._store.version()
            if version != self._version:
                found = self._store.all()
                self._keys = {key.id: (key, bytes.fromhex(digest)) for key, digest in found if key.kind == self._kind}
                self._version = version
            self._asked = self._known = self._ticks()


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECK)


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, rest = divmod(number, 62)
        digits.append(_DIGITS[rest])
    return "".join(reversed(digits))
