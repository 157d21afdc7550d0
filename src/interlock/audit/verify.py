"""The offline verifier: records, checkpoints that were kept elsewhere, and public keys in; what is wrong out.

It needs nothing of the installation that wrote the records, nor its store:

    python -m interlock.audit.verify export.jsonl --key log.pub --anchor checkpoints.txt

The chain finds an edit, a deletion, an insertion, a reordering. A checkpoint that was kept where the host could not
write finds a cut end, and a chain that the host computed anew, even with its signing key: the root at that size is
another one. A witness's cosignature (`--witness`) cannot be made by the host at all.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import assert_never

from interlock.audit.base import Base
from interlock.audit.chain import Broken, Tally, Verdict, Verified, Walk, pages
from interlock.audit.checkpoint import LOG, Note, PublicKey, notes, origin, parse
from interlock.audit.errors import AuditError
from interlock.audit.export import read
from interlock.audit.record import Head, Row

PAGE = 500  # records at a time


def examine(
    records: Iterable[Row],
    *,
    stream: str = "",
    base: Base | None = None,
    known: Head | None = None,
    anchored: Iterable[Note] = (),
    keys: Sequence[PublicKey] = (),
    witnesses: Sequence[PublicKey] = (),
) -> Verdict:
    """Whether `records` are whole, and what the `anchored` checkpoints of `stream`, signed with `keys`, say they are.

    `base`: where the records begin, if older ones were dropped. `witnesses`: each must have cosigned a checkpoint.

    Raises:
        AuditError: checkpoints without a key to check them with.
    """
    base = base or Base()
    vouched = _vouched(anchored, stream, keys, witnesses)
    if isinstance(vouched, Broken):
        return vouched
    if flaw := _based(base, stream, keys, vouched):
        return flaw
    tallies = {n: Tally(t.count, t.running) for n, t in base.tallies.items()}
    walk = Walk(base.head, stream, tallies=tallies)
    frontier, due = base.frontier, [n for n in vouched if n.checkpoint.size > base.head.seq]
    met = known is None or known == base.head or known.seq < base.head.seq
    for page in pages(records, PAGE):
        before = walk.head.seq
        if flaw := walk.along(page):
            return flaw
        if known is not None and before < known.seq <= walk.head.seq:
            if walk.leaves[known.seq - before - 1] != known.digest:
                return Broken(known.seq, f"record {known.seq} is not the one that was noted")
            met = True
        if due:
            leaves = [bytes.fromhex(leaf) for leaf in walk.leaves]
            while due and due[0].checkpoint.size <= walk.head.seq:
                note = due.pop(0)
                size = note.checkpoint.size
                frontier = frontier.extend(leaves[frontier.size - before : size - before])
                if flaw := _differs(note, frontier.root, walk.leaves[size - before - 1]):
                    return flaw
            frontier = frontier.extend(leaves[frontier.size - before :])
        walk.leaves.clear()
    if flaw := walk.end():
        return flaw
    end = walk.head.seq
    if walk.dropped < base.head.seq:
        return Broken(1, f"records 1 to {base.head.seq} are missing, and no record says that they were dropped")
    if due:
        return Broken(end + 1, f"the chain ends at record {end}; a checkpoint of {due[0].checkpoint.size} was anchored")
    if known is not None and not met:
        return Broken(end + 1, f"the chain ends at record {end}; record {known.seq} was noted")
    return Verified(walk.head, max((n.checkpoint.size for n in vouched), default=0))


def _vouched(
    anchored: Iterable[Note], stream: str, keys: Sequence[PublicKey], witnesses: Sequence[PublicKey]
) -> list[Note] | Broken:
    """The checkpoints of `stream`, the smallest first, if each of them is signed."""
    given = list(anchored)
    if (given or witnesses) and not keys:
        raise AuditError("checkpoints are checked with the public key of the log; give it")
    names = {origin(key.name, stream) for key in keys}
    ours = sorted((n for n in given if n.checkpoint.origin in names), key=lambda n: n.checkpoint.size)
    if given and not ours:
        return Broken(1, f"no checkpoint of `{min(names)}` was anchored")
    for note in ours:
        if not any(key.kind == LOG and key.signed(note) for key in keys):
            return Broken(note.checkpoint.size, f"the checkpoint of {note.checkpoint.size} is not signed with the key")
    for witness in witnesses:
        if not any(witness.signed(note) for note in ours):
            return Broken(1, f"no checkpoint was seen by the witness `{witness.name}`")
    return ours


def _based(base: Base, stream: str, keys: Sequence[PublicKey], vouched: Sequence[Note]) -> Broken | None:
    """What is wrong with the place at which the records begin."""
    if base.head.seq == 0:
        return None
    size = base.head.seq
    note = parse(base.note)
    if _differs(note, base.frontier.root, base.head.digest) or note.checkpoint.size != size:
        return Broken(size, f"what is kept begins after record {size}, where the checkpoint is of something else")
    if keys and not any(
        key.kind == LOG and key.signed(note) and note.checkpoint.origin == origin(key.name, stream) for key in keys
    ):
        return Broken(size, f"what is kept begins after record {size}, and no signed checkpoint says so")
    early = [n for n in vouched if n.checkpoint.size <= size]
    if early and early[-1].checkpoint.size != size:
        return Broken(size, f"records 1 to {size} were dropped behind a checkpoint that was not anchored")
    return _differs(early[-1], base.frontier.root, base.head.digest) if early else None


def _differs(note: Note, root: bytes, head: str) -> Broken | None:
    said = note.checkpoint
    if (said.root, said.head) == (root, head):
        return None
    return Broken(said.size, f"the first {said.size} records are not those of the checkpoint")


def main(argv: Sequence[str] | None = None) -> int:
    """Verify an export; the exit status is 0 if it is whole, 1 if not, 2 if the command line is wrong."""
    parser = argparse.ArgumentParser(prog="python -m interlock.audit.verify", description=examine.__doc__)
    parser.add_argument("file", help="what `interlock audit export --format jsonl` wrote")
    parser.add_argument("--key", action="append", default=[], metavar="FILE", help="a public key of the log")
    parser.add_argument("--anchor", action="append", default=[], metavar="FILE", help="checkpoints kept elsewhere")
    parser.add_argument("--witness", action="append", default=[], metavar="FILE", help="a witness's public key")
    options = parser.parse_args(argv)
    try:
        anchored = [note for path in options.anchor for note in notes(_text(path))]
        keys, witnesses = ([PublicKey.parse(_text(path)) for path in some] for some in (options.key, options.witness))
        with open(options.file, encoding="utf-8") as lines:  # noqa: PTH123 - ring 1 knows no paths
            stream, base, records = read(lines)
            verdict = examine(records, stream=stream, base=base, anchored=anchored, keys=keys, witnesses=witnesses)
    except (AuditError, OSError, UnicodeError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - a program
        return 2 if isinstance(error, OSError) else 1
    match verdict:
        case Verified(head=head, anchored=size):
            print(f"sound: {head.seq} records, {size} of them under an anchored checkpoint")  # noqa: T201 - a program
            print(f"head {head.seq}:{head.digest}")  # noqa: T201 - a program
            return 0
        case Broken(why=why):
            print(f"broken: {why}")  # noqa: T201 - a program
            return 1
        case _:
            assert_never(verdict)


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - ring 1 knows no paths
        return file.read()


if __name__ == "__main__":
    raise SystemExit(main())
