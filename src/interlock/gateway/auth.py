"""Who asks: an issued key says which agent, a signed claim says for which user.

A key comes as `authorization: Bearer …` or `x-api-key`; two that differ are none. The end user comes as a claim in
`x-interlock-user`, which `users` verifies. A claim that nobody here can verify is refused, never ignored. What is
refused reads the same whatever was wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from interlock.gateway.errors import Refusal

if TYPE_CHECKING:
    import aiohttp

MAX_KEY = 512  # characters
MAX_CLAIM = 8192  # characters of a token


class KeyEntry(Protocol):
    """An issued key, as the store of keys knows it."""

    @property
    def id(self) -> str:
        """Its public name."""
        ...

    @property
    def name(self) -> str:
        """Whose it is: the agent's, or the approver's."""
        ...

    @property
    def principal(self) -> str:
        """For whom, where no claim says otherwise."""
        ...


class Keys(Protocol):
    """The store of keys. Raising: nobody is let in."""

    def find(self, presented: str) -> KeyEntry | None:
        """The entry of this key, if it was issued and still counts."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Who asks, for whom."""

    key: str  # its public name
    agent: str
    principal: str
    me: tuple[str, ...] = ()  # further values that mean the user


def presented(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, str]:
    """The key and the claim in a request's headers; "" where there is none.

    Raises:
        Refusal: something is there twice, or is no key.
    """
    key, claim = "", ""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, rest = value.partition(b" ")
            if scheme.lower() != b"bearer":
                raise _unknown()
            key = _only(key, _text(rest.strip(), MAX_KEY), "key")
        elif name == b"x-api-key":
            key = _only(key, _text(value.strip(), MAX_KEY), "key")
        elif name == b"x-interlock-user":
            if claim:
                raise unproven()
            claim = _text(value.strip(), MAX_CLAIM)
    return key, claim


def _only(before: str, now: str, what: str) -> str:
    if before and before != now:
        raise Refusal(401, "two_keys", f"two different {what}s were presented; send one")
    return now


def _text(value: bytes, most: int) -> str:
    if not value or len(value) > most or not value.isascii():
        raise _unknown()
    return value.decode("ascii")


def _unknown() -> Refusal:
    return Refusal(401, "invalid_api_key", "this gateway does not know this key; ask its operator for one")


def unproven() -> Refusal:
    """The refusal of a claim, whatever is wrong with it."""
    return Refusal(401, "invalid_user", "the end user's claim in `x-interlock-user` is missing or does not count")


class Claims(Protocol):
    """What verifies claims: `Users`."""

    async def read(self, claim: str, session: aiohttp.ClientSession) -> tuple[str, tuple[str, ...]]:
        """The principal in `claim`, and what else means him.

        Raises:
            Refusal: it does not count.
        """
        ...


class Doorkeeper:
    """Keys and claims together."""

    def __init__(self, keys: Keys, users: Claims | None, *, required: bool, agents: Mapping[str, object]) -> None:
        self._keys, self._users, self._required, self._agents = keys, users, required, agents

    async def subject(
        self, headers: Iterable[tuple[bytes, bytes]], session: Callable[[], aiohttp.ClientSession]
    ) -> Subject:
        """Who asks.

        Raises:
            Refusal: nobody who may, or nobody can tell.
        """
        key, claim = presented(headers)
        if not key:
            raise _unknown()
        try:
            entry = self._keys.find(key)
        except Exception:  # noqa: BLE001 - a port: nobody is let in
            raise Refusal(503, "keys_unavailable", "keys cannot be checked now; try again", retry_after=5) from None
        if entry is None or entry.name not in self._agents:
            raise _unknown()
        if claim:
            if self._users is None:
                raise unproven()
            principal, me = await self._users.read(claim, session())
            return Subject(key=entry.id, agent=entry.name, principal=principal, me=me)
        if self._users is not None and self._required:
            raise unproven()
        # A key without a principal acts for the workload itself.
        return Subject(key=entry.id, agent=entry.name, principal=entry.principal or entry.name)
