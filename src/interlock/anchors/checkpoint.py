"""Taking a checkpoint: verify what is new since the last one, sign, and hand it to every anchor.

Nothing is signed that does not hold: a record that was changed since the last checkpoint stops the next one. The note
is kept in the store only after every anchor has it, so an anchor that was away is tried again with the next one.
"""

from __future__ import annotations

from collections.abc import Sequence

from interlock.anchors.ports import Anchor, Store
from interlock.audit.base import Base
from interlock.audit.chain import Broken, Walk, pages
from interlock.audit.checkpoint import Checkpoint, Note, PrivateKey, origin, parse, signed
from interlock.audit.errors import AuditError
from interlock.audit.tree import Subtree, consistency, subtrees


def anchor(store: Store, keys: Sequence[PrivateKey], anchors: Sequence[Anchor], *, now: float) -> Note:
    """The signed checkpoint of everything that `store` has, kept by each of `anchors`; witnesses come first.

    `keys`: the key of the log, and after a change of keys the new one first, the old one behind it.

    Raises:
        AuditError: the chain does not hold, an anchor refused or was away; then no checkpoint was noted in the store.
    """
    last = store.checkpoint()
    if last.head.seq:
        _ours(last, keys)
    walk = Walk(last.head, store.stream, whole=last.head.seq == 0)
    frontier = last.frontier
    fresh: list[bytes] = []
    for page in pages(store.records(after=last.head.seq)):
        if flaw := walk.along(page):
            raise _broken(flaw)
        leaves = [bytes.fromhex(leaf) for leaf in walk.leaves]
        walk.leaves.clear()
        frontier = frontier.extend(leaves)
        fresh += leaves
    if frontier.size == 0:
        raise AuditError("there is no record to take a checkpoint of")
    said = Checkpoint(
        origin=origin(keys[0].public.name, store.stream),
        size=frontier.size,
        root=frontier.root,
        time=int(now),
        head=walk.head.digest,
    )
    note = signed(said, keys)

    def proof(old: int) -> list[bytes]:
        if old >= last.head.seq:
            return consistency(old, said.size, subtrees(fresh, before=last.frontier))
        return consistency(old, said.size, _all(store, said.size))

    for place in anchors:
        note = place.put(note, proof)
    store.keep(Base(head=walk.head, frontier=frontier, note=note.text))
    return note


def _ours(last: Base, keys: Sequence[PrivateKey]) -> None:
    note = parse(last.note)
    same = (note.checkpoint.size, note.checkpoint.root) == (last.frontier.size, last.frontier.root)
    if not same or not any(key.public.signed(note) for key in keys):
        told = f"the last checkpoint, of {last.head.seq} records, is not one that these keys signed"
        raise AuditError(told, hint="after a change of keys give the old key too, once")


def _all(store: Store, size: int) -> Subtree:
    base = store.base()
    leaves = [bytes.fromhex(r.digest) for r in store.records(after=base.head.seq) if r.seq <= size]
    return subtrees(leaves, before=base.frontier)


def _broken(flaw: Broken) -> AuditError:
    return AuditError(f"no checkpoint is signed: {flaw.why}", hint="docs/operations.md, what to do when verify fails")
