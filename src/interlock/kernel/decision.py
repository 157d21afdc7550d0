"""What the kernel answers, and the permit that nothing else can mint. Read after `call`.

A permit is a capability for one call: its proof is an HMAC over digest and nonce under a key that lives in one `Mint`.
`Mint.check` is what `perform` asks first (K9, M1); that a permit is used once (M2) is kept by the monitor.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TypeAlias

from interlock.kernel.errors import PermitError


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """The right to perform one call. Whoever builds one by hand lacks the key: `Mint.check` refuses it."""

    digest: str
    nonce: str
    approved: bool  # a human said yes to this very call
    proof: bytes

    def __repr__(self) -> str:
        return f"Permit({self.digest[:12]}…)"


class Mint:
    """Mints and checks permits. The key is given once, at least 32 random bytes, and never leaves."""

    __slots__ = ("__key",)

    def __init__(self, key: bytes) -> None:
        if len(key) < 32:  # noqa: PLR2004 - bytes; shorter than the hash's block is guessable
            raise PermitError("the mint's key has fewer than 32 bytes; use `secrets.token_bytes(32)`")
        self.__key = key

    def permit(self, digest: str, nonce: str, *, approved: bool) -> Permit:
        """Only `decide` calls this; `tests/test_architecture.py` holds everybody else to it."""
        if not nonce:
            raise PermitError("a permit needs a nonce")
        return Permit(digest=digest, nonce=nonce, approved=approved, proof=self.__proof(digest, nonce, approved))

    def check(self, permit: Permit, digest: str) -> None:
        """Return if `permit` was minted here for the call with this digest.

        Raises:
            PermitError: it was not.
        """
        if type(permit) is not Permit:
            raise PermitError("this is no permit; permits come from `Monitor.propose`")
        if permit.digest != digest:
            raise PermitError("the permit is for another call; propose the call that is to run (K9)")
        fields = (type(permit.nonce), type(permit.approved), type(permit.proof))
        proof = self.__proof(digest, str(permit.nonce), bool(permit.approved))
        if fields != (str, bool, bytes) or not hmac.compare_digest(permit.proof, proof):
            raise PermitError("the permit was not minted by this kernel")

    def __proof(self, digest: str, nonce: str, approved: bool) -> bytes:  # noqa: FBT001 - private
        text = f"{digest}\0{nonce}\0{approved:d}"
        return hmac.digest(self.__key, text.encode(errors="surrogatepass"), "sha256")


@dataclass(frozen=True, slots=True)
class Obligation:
    """What must be done along with a permitted call, as a rule's `@obliges("name:argument")` says."""

    name: str
    argument: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permitted:
    """Go ahead, with this permit, doing these obligations."""

    permit: Permit
    rules: tuple[str, ...]
    obligations: tuple[Obligation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedsApproval:
    """Forbidden as it stands, permitted once a human approves this very call."""

    digest: str
    rules: tuple[str, ...]  # that ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Forbidden:
    """No, and no approval changes it."""

    digest: str
    rules: tuple[str, ...]  # that forbid; `default-deny` when none permits, `error:<rule>` for one that failed
    why: str = ""  # for operators only


Decision: TypeAlias = Permitted | NeedsApproval | Forbidden
