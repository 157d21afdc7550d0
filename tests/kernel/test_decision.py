"""K9, second half: a permit is for one call, and none but the mint's own passes."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.kernel.decision import Mint
from interlock.kernel.errors import PermitError
from tests.kernel import invariants
from tests.kernel.invariants import KEY, call_of
from tests.kernel.strategies import arguments

keys = st.binary(min_size=32, max_size=40)
nonces = st.text(min_size=1, max_size=5)


@given(keys, keys, arguments, nonces, st.booleans())
def test_k9_only_what_this_mint_minted_passes(
    key: bytes, other: bytes, value: dict[str, object], nonce: str, approved: bool
) -> None:
    if key.rstrip(b"\0") == other.rstrip(b"\0"):  # HMAC pads keys with zeros: these are one key
        other += b"o"
    digest = call_of(value).digest
    invariants.k9_only_what_was_minted_passes(Mint(key), Mint(other), digest, nonce, approved=approved)


@given(st.tuples(nonces, st.booleans()), st.tuples(nonces, st.booleans()))
def test_k9_no_two_permits_have_one_proof(a: tuple[str, bool], b: tuple[str, bool]) -> None:
    mint, digest = Mint(KEY), call_of().digest
    proofs = [mint.permit(digest, nonce, approved=approved).proof for nonce, approved in (a, b)]
    assert (proofs[0] == proofs[1]) == (a == b)


def test_the_mint_keeps_its_key() -> None:
    mint = Mint(KEY)
    assert KEY.decode() not in repr(mint)
    assert not hasattr(mint, "__dict__")
    permit = mint.permit(call_of().digest, "n", approved=False)
    assert KEY not in pickle.dumps(permit)


@pytest.mark.parametrize("length", [0, 1, 31])
def test_a_short_key_is_refused(length: int) -> None:
    with pytest.raises(PermitError, match="fewer than 32 bytes"):
        Mint(b"k" * length)
