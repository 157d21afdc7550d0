"""What can be erased without breaking anything: the personal parts of a record, behind a salted commitment.

A record about a run says some things that concern nobody in particular (the tool, the rules, the decision), named in
`IMPERSONAL`; everything else is personal, so that what nobody thought of can be erased. The entry holds the SHA-256 of
a salt and the personal parts; they lie beside it. Without the salt (16 random bytes) nobody can find out by guessing
what was erased; with salt and parts anybody can prove that they were in the entry.

Digests of calls and results are personal: without a salt, guessing would find what they stand for. Who approved
(`by`) is not: that a human answered for an effect must stay provable.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

IMPERSONAL = frozenset(
    "agent approved asked blocked by change confidence decision dropped effect effects findings granted handle handles"
    " kind limit nonce obligations open origins outcome policy question role rules state tool".split()
)
SALT = 32  # hex digits


def parted(run: str, body: Mapping[str, object]) -> tuple[dict[str, object], dict[str, object]]:
    """What stays of the body of a record about `run`, and what is personal. Without a run all of it stays."""
    if not run:
        return dict(body), {}
    stays: dict[str, object] = {}
    personal: dict[str, object] = {}
    for key, value in body.items():
        (stays if key in IMPERSONAL else personal)[key] = value
    return stays, personal


def commit(salt: str, personal: str) -> str:
    """The commitment to `personal`, canonical JSON: 64 hex digits."""
    return sha256(f"\x02{salt}{personal}".encode()).hexdigest()
