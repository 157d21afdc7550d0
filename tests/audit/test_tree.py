"""The tree against a naive one, and proofs against everything that is not one."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.audit.tree import Frontier, consistency, consistent, included, inclusion, subtrees


def leaves(count: int) -> list[bytes]:
    return [sha256(b"\0" + str(n).encode()).digest() for n in range(count)]


def naive(nodes: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if not nodes:
        return sha256(b"").digest()
    if len(nodes) == 1:
        return nodes[0]
    k = 1
    while k * 2 < len(nodes):
        k *= 2
    return sha256(b"\x01" + naive(nodes[:k]) + naive(nodes[k:])).digest()


def test_the_vectors_of_certificate_transparency() -> None:
    """The eight leaves that implementations of RFC 6962 test with, and their roots."""
    data = [b"", b"\0", b"\x10", b"\x20\x21", b"\x30\x31", b"@ABC", b"PQRSTUVW", b"`abcdefghijklmno"]
    nodes = [sha256(b"\0" + d).digest() for d in data]
    assert Frontier().root.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert nodes[0].hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert Frontier().extend(nodes[:2]).root.hex() == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"


@given(st.lists(st.integers(0, 40), max_size=6))
def test_in_whatever_portions_leaves_come_the_root_is_the_same(portions: list[int]) -> None:
    every, frontier, done = leaves(sum(portions)), Frontier(), 0
    for portion in portions:
        frontier = frontier.extend(every[done : done + portion])
        done += portion
        assert frontier.root == naive(every[:done])
    assert frontier.size == done


@pytest.mark.parametrize("size", range(1, 20))
def test_every_leaf_is_included_and_nothing_else_is(size: int) -> None:
    nodes = leaves(size)
    root = naive(nodes)
    for index in range(size):
        proof = inclusion(index, size, subtrees(nodes))
        assert included(nodes[index], index, size, proof, root)
        assert not included(sha256(b"x").digest(), index, size, proof, root)
        assert not included(nodes[index], index, size, proof, sha256(b"x").digest())
        assert not included(nodes[index], index, size, [*proof, root], root)
        assert not included(nodes[index], size + index, size, proof, root)
        assert not proof or not included(nodes[index], index, size, proof[:-1], root)
        for other in range(size):
            assert (other == index) == included(nodes[index], other, size, proof, root)


@pytest.mark.parametrize("size", range(1, 20))
def test_a_tree_is_consistent_with_its_beginnings_and_no_other_is(size: int) -> None:
    nodes = leaves(size)
    root = naive(nodes)
    for old in range(size + 1):
        before = Frontier().extend(nodes[:old])
        proof = consistency(old, size, subtrees(nodes))
        assert proof == consistency(old, size, subtrees(nodes[old:], before=before))  # from the edge alone
        assert consistent(old, before.root, size, root, proof)
        if old:
            changed = Frontier().extend([sha256(b"x").digest(), *nodes[1:old]])
            assert not consistent(old, changed.root, size, root, proof)
            anew = naive([sha256(b"x").digest(), *nodes[1:]])
            assert not consistent(old, before.root, size, anew, proof)
            assert not consistent(old, before.root, size, root, [*proof, root])
            assert not proof or not consistent(old, before.root, size, root, proof[:-1])


@given(st.integers(1, 60), st.data())
def test_a_proof_of_random_hashes_shows_nothing(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size))
    nodes = leaves(size)
    anew = [sha256(b"x").digest(), *nodes[1:]]
    proof = data.draw(st.lists(st.sampled_from([*nodes, naive(nodes), naive(anew)]), max_size=8))
    assert not consistent(old, naive(nodes[:old]), size, naive(anew), proof)


@pytest.mark.parametrize(("size", "hashes"), [(-1, ()), (1, ()), (2, (b"", b"")), (0, (b"",))])
def test_a_frontier_fits_its_size(size: int, hashes: tuple[bytes, ...]) -> None:
    with pytest.raises(ValueError, match="one hash for each bit"):
        Frontier(size, hashes)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 3)])
def test_there_is_no_proof_of_what_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="has no leaf"):
        inclusion(index, size, subtrees(leaves(size)))
    with pytest.raises(ValueError, match="does not begin with"):
        consistency(4, 3, subtrees(leaves(3)))
