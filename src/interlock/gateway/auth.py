"""Who asks: an issued key says which agent, a signed claim says for which user.

A key comes as `authorization: Bearer …` or `x-api-key`; two that differ are none. The end user comes as a JWT in
`x-interlock-user`: its algorithm is on the manifest's list and fits the kind of key that verifies it, `iss`, `aud` and
`exp` are there and right, and `kid` names one of the issuer's keys. A claim that nobody here can verify is refused,
never ignored. What is refused reads the same whatever was wrong.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import jwt
import orjson

from interlock.gateway.errors import GatewayError, Refusal
from interlock.policy.part_gateway import UsersPart

if TYPE_CHECKING:
    import aiohttp

MAX_KEY = 512  # characters
MAX_CLAIM = 8192  # characters of a token
MAX_JWKS = 256 * 1024  # bytes
MAX_PRINCIPAL = 256  # characters
FRESH = 600.0  # seconds for which the issuer's keys count without another look
PAUSE = 10.0  # seconds between two looks for a key that is not there


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
                raise _unproven()
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


def _unproven() -> Refusal:
    return Refusal(401, "invalid_user", "the end user's claim in `x-interlock-user` is missing or does not count")


class Users:
    """Verifies claims."""

    def __init__(
        self,
        part: UsersPart,
        *,
        secret: Callable[[], str] | None,
        base_dir: str,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`secret` gives the shared secret, when it is needed.

        Raises:
            GatewayError: the manifest says what cannot be verified.
        """
        shared = [a for a in part.algorithms if a.startswith("HS")]
        public = [a for a in part.algorithms if not a.startswith("HS")]
        if shared and public:
            # A public key must never be taken for a shared secret.
            raise GatewayError("`gateway.users.algorithms` mixes shared secrets with public keys; choose one kind")
        if bool(shared) != (part.secret is not None) or bool(public) != (part.jwks is not None):
            raise GatewayError("`gateway.users` needs `secret` for HS… algorithms, and `jwks` for all others")
        self._part = part
        self._secret = secret
        self._now = now
        self._keys: dict[str, jwt.PyJWK] = {}
        self._until = 0.0  # when the keys must be looked at again
        self._again = 0.0  # when they may be looked at again
        self._lock = asyncio.Lock()
        self._url, self._file = "", None
        if part.jwks is not None:
            if part.jwks.startswith("https://"):
                self._url = part.jwks
            elif "://" in part.jwks:
                raise GatewayError("`gateway.users.jwks` must be an https address or a file")
            else:
                self._file = Path(base_dir) / part.jwks
                self._learn(_bytes_of(self._file))

    async def read(self, claim: str, session: aiohttp.ClientSession) -> tuple[str, tuple[str, ...]]:
        """The principal in `claim`, and what else means him.

        Raises:
            Refusal: it does not count.
        """
        try:
            head = jwt.get_unverified_header(claim)
        except jwt.PyJWTError:
            raise _unproven() from None
        algorithm, kid = head.get("alg"), head.get("kid")
        if algorithm not in self._part.algorithms or "crit" in head:
            raise _unproven()
        key: Any
        if self._secret is not None:
            key = self._secret()
        else:
            if not isinstance(kid, str) or not kid:
                raise _unproven()
            key = await self._key(kid, session)
        try:
            body = jwt.decode(
                claim,
                key,
                algorithms=[algorithm],
                audience=self._part.audience,
                issuer=self._part.issuer,
                leeway=self._part.leeway,
                options={"require": ["exp", "iss", "aud"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError):
            raise _unproven() from None
        principal = body.get(self._part.principal)
        if not _name(principal):
            raise _unproven()
        return str(principal), tuple(str(body[c]) for c in self._part.me if _name(body.get(c)))

    async def _key(self, kid: str, session: aiohttp.ClientSession) -> jwt.PyJWK:
        if self._url:
            now = self._now()
            if now >= self._until or (kid not in self._keys and now >= self._again):
                async with self._lock:
                    if now >= self._until or kid not in self._keys:
                        await self._fetch(session)
            if self._now() >= self._until:  # the issuer is away and what we know is old
                raise Refusal(503, "users_unavailable", "end users cannot be verified now; try again", retry_after=5)
        found = self._keys.get(kid)
        if found is None:
            raise _unproven()
        return found

    async def _fetch(self, session: aiohttp.ClientSession) -> None:
        import aiohttp  # noqa: PLC0415 - see above: only for its types elsewhere

        self._again = self._now() + PAUSE
        try:
            timeout = aiohttp.ClientTimeout(total=5)
            async with session.get(self._url, allow_redirects=False, timeout=timeout) as response:
                raw = await response.content.read(MAX_JWKS + 1)
                if response.status == 200:  # noqa: PLR2004 - HTTP
                    self._learn(raw)
                    self._until = self._now() + FRESH
        except (aiohttp.ClientError, OSError, TimeoutError, GatewayError):
            pass  # what is known still counts, as long as it is fresh

    def _learn(self, raw: bytes) -> None:
        try:
            if len(raw) > MAX_JWKS:
                raise ValueError("too large")  # noqa: TRY301
            keys = jwt.PyJWKSet.from_dict(orjson.loads(raw)).keys
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
            raise GatewayError("`gateway.users.jwks` holds no usable keys; it must be a JSON Web Key Set") from None
        found = {k.key_id: k for k in keys if k.key_id and k.key_type != "oct"}
        if not found:
            raise GatewayError("`gateway.users.jwks` has no public key with a `kid`")
        self._keys = found


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise GatewayError(f"`gateway.users.jwks` cannot be read: {(error.strerror or 'no file').lower()}") from None


def _name(value: object) -> bool:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_PRINCIPAL or not value.isprintable():
        return False
    return bool(value.strip())


class Doorkeeper:
    """Keys and claims together."""

    def __init__(self, keys: Keys, users: Users | None, *, required: bool, agents: Mapping[str, object]) -> None:
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
                raise _unproven()
            principal, me = await self._users.read(claim, session())
            return Subject(key=entry.id, agent=entry.name, principal=principal, me=me)
        if self._users is not None and self._required:
            raise _unproven()
        # A key without a principal acts for the workload itself.
        return Subject(key=entry.id, agent=entry.name, principal=entry.principal or entry.name)
