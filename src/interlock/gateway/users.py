"""For which end user: claims that an issuer has signed.

A claim is a JWT. Its algorithm is on the manifest's list and fits the kind of key that verifies it, `iss`, `aud` and
`exp` are there and right, and `kid` names one of the issuer's keys. Imported only where a manifest has `users`: the
cryptography behind it takes 10 MB of every worker.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import orjson

from interlock.gateway.auth import unproven
from interlock.gateway.errors import GatewayError, Refusal
from interlock.policy.part_gateway import UsersPart

MAX_JWKS = 256 * 1024  # bytes
MAX_PRINCIPAL = 256  # characters
FRESH = 600.0  # seconds for which the issuer's keys count without another look
PAUSE = 10.0  # seconds between two looks for a key that is not there


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
            raise unproven() from None
        algorithm, kid = head.get("alg"), head.get("kid")
        if algorithm not in self._part.algorithms or "crit" in head:
            raise unproven()
        key: Any
        if self._secret is not None:
            key = self._secret()
        else:
            if not isinstance(kid, str) or not kid:
                raise unproven()
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
            raise unproven() from None
        principal = body.get(self._part.principal)
        if not _name(principal):
            raise unproven()
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
            raise unproven()
        return found

    async def _fetch(self, session: aiohttp.ClientSession) -> None:
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
