"""The Merkle tree of RFC 6962 over the digests of a chain: one root for all of it, and short proofs.

An appended leaf changes only the right edge, so the edge is all that is kept (`Frontier`: one hash for each bit of the
size). *Inclusion*: this record stands in the tree with that root. *Consistency*: the tree of n records begins with the
tree of m; a witness asks for that before it signs. Proofs are made from subtrees that a caller supplies, and checked
as RFC 9162, 2.1.3.2 and 2.1.4.2, say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

Subtree: TypeAlias = Callable[[int, int], bytes]  # the hash over the leaves from … up to, not including


def node(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """The right edge of a tree of `size` leaves: the hashes of its whole subtrees, the smallest first."""

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.hashes) != self.size.bit_count():
            raise ValueError("a frontier has one hash for each bit of its size")

    def extend(self, leaves: Sequence[bytes]) -> Frontier:
        """The tree with `leaves` behind it, level by level."""
        own, rest, kept = list(self.hashes), self.size, []
        nodes = list(leaves)
        while nodes or rest:
            if rest & 1:
                nodes.insert(0, own.pop(0))
            if len(nodes) & 1:
                kept.append(nodes.pop())
            # `node`, without the call
            nodes = [sha256(b"\x01" + nodes[i] + nodes[i + 1]).digest() for i in range(0, len(nodes), 2)]
            rest >>= 1
        return Frontier(self.size + len(leaves), tuple(kept))

    @property
    def root(self) -> bytes:
        """The root of the tree; of none, the hash of nothing."""
        if not self.hashes:
            return sha256().digest()
        found, *larger = self.hashes
        for left in larger:
            found = node(left, found)
        return found


def subtrees(leaves: Sequence[bytes], *, before: Frontier | None = None) -> Subtree:
    """Subtrees over `leaves`, which stand behind the tree `before`; inside that one only its whole subtrees exist."""
    start = before.size if before else 0
    whole: dict[tuple[int, int], bytes] = {}
    end = start
    bits = [bit for bit in range(start.bit_length()) if start >> bit & 1]
    for bit, found in zip(bits, before.hashes if before else (), strict=True):
        whole[end - (1 << bit), end] = found
        end -= 1 << bit

    def subtree(low: int, high: int) -> bytes:
        if low >= start:
            return Frontier().extend(leaves[low - start : high - start]).root
        if (low, high) in whole:
            return whole[low, high]
        middle = low + _split(high - low)
        return node(subtree(low, middle), subtree(middle, high))

    return subtree


def inclusion(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """The proof that leaf `index` (from 0) is in the tree of `size` leaves."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} has no leaf {index}")
    proof, low, high = [], 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            proof.append(subtree(middle, high))
            high = middle
        else:
            proof.append(subtree(low, middle))
            low = middle
    return proof[::-1]


def consistency(old: int, size: int, subtree: Subtree) -> list[bytes]:
    """The proof that the tree of `size` leaves begins with the tree of `old`. From 0, and to itself, it is empty."""
    if not 0 <= old <= size:
        raise ValueError(f"a tree of {size} does not begin with one of {old}")
    if old in {0, size}:
        return []
    proof, low, high = [], 0, size
    while old != high:
        middle = low + _split(high - low)
        if old <= middle:
            proof.append(subtree(middle, high))
            high = middle
        else:
            proof.append(subtree(low, middle))
            low = middle
    if low:
        proof.append(subtree(low, high))
    return proof[::-1]


def included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """`proof` shows that `leaf` has number `index` (from 0) in the tree of `size` leaves with this `root`."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for other in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node(other, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node(found, other)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def consistent(old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """`proof` shows that the tree of `size` leaves with `root` begins with the tree of `old` leaves with `old_root`."""
    if old == size:
        return not proof and old_root == root
    if old == 0:
        return not proof and size > 0 and old_root == Frontier().root
    if not 0 < old < size or not proof:
        return False
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    at, last = old - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = path[0]
    for other in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            first, second = node(other, first), node(other, second)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            second = node(second, other)
        at, last = at >> 1, last >> 1
    return last == 0 and first == old_root and second == root


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << ((count - 1).bit_length() - 1)
