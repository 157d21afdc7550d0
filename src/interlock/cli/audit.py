"""`interlock audit`: is a chain of records whole, what does it say, and what its keeper does with it.

`verify`, `show` and `export` only read. A file, an export or a database is named the same way: a path, a path that ends
with `.jsonl`, or an address that begins with `postgresql://` (its password comes from libpq's places, as for psql).
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from interlock.audit.chain import Broken, Verdict, Verified
from interlock.audit.record import Head, Record
from interlock.cli.errors import UsageError
from interlock.cli.show import at, coloured, plain, seen, to_json

if TYPE_CHECKING:
    from interlock.audit.base import Base
    from interlock.audit.checkpoint import Note, PrivateKey, PublicKey
    from interlock.stores.ledger import Ledger

FILE_HELP = "the audit, for example .interlock/audit.sqlite; also an export (.jsonl) or postgresql://…"


def arguments(parser: ArgumentParser) -> None:
    """One command for each thing that is done with an audit."""
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)

    def command(name: str, summary: str, run: Callable[[Namespace], int]) -> ArgumentParser:
        made = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        made.set_defaults(run=run)
        if name != "keygen":
            made.add_argument("file", help=FILE_HELP)
            made.add_argument("--stream", metavar="NAME", help="of the chain of this writer only")
        return made

    verify = command("verify", "fail if a record was changed, dropped, moved or squeezed in", _verify)
    verify.add_argument(
        "--head",
        type=_head,
        metavar="SEQ:DIGEST",
        help="a head that was noted elsewhere: it must be in the chain, so its end was not cut off",
    )
    verify.add_argument("--key", action="append", default=[], metavar="FILE", help="a public key of the log")
    verify.add_argument("--anchor", action="append", default=[], metavar="FILE", help="checkpoints kept elsewhere")
    verify.add_argument("--witness", action="append", default=[], metavar="FILE", help="a witness's public key")
    verify.add_argument("--json", action="store_true", help="for machines")

    show = command("show", "list the records, oldest first, each decision with its outcome", _show)
    show.add_argument("--run", dest="run_id", metavar="ID", help="of this run only")
    show.add_argument("--kind", help="of this kind only: start, run, decision, asked, answer, outcome, …")
    show.add_argument("-n", "--last", type=_count, metavar="COUNT", help="the last COUNT of them only")
    show.add_argument("--json", action="store_true", help="whole records, one JSON object a line")

    export = command("export", "print every record for another program", _export)
    export.add_argument("--format", choices=("jsonl", "ocsf", "csv"), default="jsonl", help="jsonl can be verified")

    checkpoint = command("checkpoint", "sign what the chain is now, and put the note where it stays", _checkpoint)
    checkpoint.add_argument("--key", action="append", required=True, metavar="FILE", help="the private key; may repeat")
    checkpoint.add_argument(
        "--anchor", action="append", default=[], metavar="FILE", help="a file to append the note to"
    )
    checkpoint.add_argument(
        "--witness", action="append", default=[], metavar="URL=FILE", help="a witness and its public key"
    )

    erase = command("erase", "erase what the records of a principal say; the chain still verifies", _erase)
    erase.add_argument("principal", help="whose")
    erase.add_argument("--by", required=True, metavar="NAME", help="who answers for it")
    erase.add_argument("--why", default="", metavar="TEXT", help="stays on record: name nobody")

    drop = command("drop", "drop the records up to the latest checkpoint; what remains still verifies", _drop)
    drop.add_argument("--by", required=True, metavar="NAME", help="who answers for it")

    keygen = command("keygen", "make a key that signs checkpoints", _keygen)
    keygen.add_argument("name", help="of the log or the witness, for example audit.example.com")
    keygen.add_argument(
        "--output", "-o", required=True, metavar="FILE", help="the private key; FILE.pub is the public one"
    )
    keygen.add_argument("--witness", action="store_true", help="a witness's key")


class Chain(NamedTuple):
    """One chain to be read: its records, where they begin."""

    stream: str
    base: Base
    records: Callable[[], Iterable[Record]]


# reading


def _verify(options: Namespace) -> int:
    notes, keys, witnesses = _evidence(options)
    verdicts = {c.stream: _judged(c, options, notes, keys, witnesses) for c in _chains(options)}
    sound = all(isinstance(v, Verified) for v in verdicts.values())
    if options.json:
        told = [_as_json(stream, verdict, anchored=bool(keys)) for stream, verdict in verdicts.items()]
        print(to_json({k: v for k, v in told[0].items() if k != "stream"} if len(told) == 1 else told))
    else:
        for stream, verdict in verdicts.items():
            _say(f"{seen(stream)}: " if len(verdicts) > 1 else "", verdict, anchored=bool(keys))
        if sound and options.head is None and not keys:
            print("that nothing was cut off at the end, and that not all of it was written anew, shows only against")
            print("what was noted elsewhere: --key and --anchor, or --head SEQ:DIGEST")
    for note in _unread(notes, keys, verdicts) if options.stream is None else ():
        sound = False
        origin, size = seen(note.checkpoint.origin), note.checkpoint.size
        print(coloured(f"broken: the log `{origin}` is missing; a checkpoint of {size} was anchored", "bad"))
    return 0 if sound else 1


def _judged(
    c: Chain, options: Namespace, notes: list[Note], keys: list[PublicKey], witnesses: list[PublicKey]
) -> Verdict:
    from interlock.audit.checkpoint import origin
    from interlock.audit.verify import examine

    names = {origin(key.name, c.stream) for key in keys}
    ours = [note for note in notes if note.checkpoint.origin in names]
    return examine(
        c.records(),
        stream=c.stream,
        base=c.base,
        known=options.head,
        anchored=ours,
        keys=keys,
        witnesses=witnesses if ours or not notes else (),  # a chain that began after the last checkpoint has none
    )


def _unread(notes: list[Note], keys: list[PublicKey], streams: Iterable[str]) -> list[Note]:
    """Checkpoints of chains that are not there."""
    from interlock.audit.checkpoint import origin

    known = {origin(key.name, stream) for key in keys for stream in streams}
    names = tuple(key.name for key in keys)
    return [n for n in notes if n.checkpoint.origin not in known and n.checkpoint.origin.startswith(names)]


def _say(prefix: str, verdict: Verdict, *, anchored: bool) -> None:
    match verdict:
        case Verified(head=head, anchored=size):
            under = f", {size} of them under an anchored checkpoint" if anchored else ""
            print(prefix + coloured(f"sound: {head.seq} records{under}", "good"))
            print(f"{prefix}head {head.seq}:{head.digest}")
        case Broken(why=why):
            print(prefix + coloured(f"broken: {why}", "bad"))


def _as_json(stream: str, verdict: Verdict, *, anchored: bool) -> dict[str, object]:
    match verdict:
        case Verified(head=head, anchored=size):
            more = {"anchored": size} if anchored else {}
            return {"stream": stream, "sound": True, "head": plain(head), **more}
        case Broken(seq=seq, why=why):
            return {"stream": stream, "sound": False, "record": seq, "why": why}


def _show(options: Namespace) -> int:
    chains = list(_chains(options))
    outcomes = {(r.stream, r.body.get("decision")): r for c in chains for r in c.records() if r.kind == "outcome"}
    records: Iterable[Record] = (
        r
        for c in chains
        for r in c.records()
        if (options.run_id is None or r.run == options.run_id) and (options.kind is None or r.kind == options.kind)
    )
    if options.last is not None:
        records = deque(records, maxlen=options.last)
    for record in records:
        outcome = outcomes.get((record.stream, record.seq)) if record.kind == "decision" else None
        if options.json:
            more = {"outcome": {"record": outcome.seq, **plain_body(outcome)}} if outcome else {}
            print(to_json({**as_mapping(record), **more}, indent=None))
        else:
            print(_line(record, outcome))
    return 0


def as_mapping(record: Record) -> dict[str, object]:
    """A record for machines."""
    found = plain(record)
    return found if isinstance(found, dict) else {}


def plain_body(record: Record) -> dict[str, object]:
    """What a record says, for machines."""
    return {k: plain(v) for k, v in record.body.items()}


def _line(record: Record, outcome: Record | None) -> str:
    stream = f"{seen(record.stream, 40)}  " if record.stream else ""
    run = f"{seen(record.run, 40)}  " if record.run else ""
    end = f" → {seen(outcome.body.get('outcome', 'unknown'), 40)} (record {outcome.seq})" if outcome else ""
    gone = f" (erased by record {record.erased})" if record.erased else ""
    return f"{record.seq:>6}  {at(record.at)}  {stream}{run}{seen(record.kind, 20)}: {told(record)}{end}{gone}"


def _export(options: Namespace) -> int:
    from interlock.audit.export import jsonl, ocsf, rows

    chains = list(_chains(options))
    if options.format == "jsonl" and len(chains) > 1:
        raise UsageError("this audit has several chains", hint=f"name one with --stream: {[c.stream for c in chains]}")
    for c in chains:
        match options.format:
            case "jsonl":
                lines = jsonl(c.records(), stream=c.stream, base=c.base)
            case "ocsf":
                from importlib.metadata import version

                lines = ocsf(c.records(), version=version("interlock"))
            case _:
                lines = rows(c.records())
        for line in lines:
            sys.stdout.write(line)
    return 0


# what its keeper does


def _checkpoint(options: Namespace) -> int:
    from interlock.anchors.checkpoint import anchor
    from interlock.anchors.file import FileAnchor
    from interlock.anchors.ports import Anchor
    from interlock.anchors.witness import HttpWitness
    from interlock.audit.checkpoint import PrivateKey, PublicKey

    keys: list[PrivateKey] = [PrivateKey.parse(_text(path)) for path in options.key]
    anchors: list[Anchor] = []
    for pair in options.witness:
        url, equals, path = pair.rpartition("=")
        if not equals:
            raise UsageError(f"`{pair}` names no witness", hint="write URL=FILE, with the witness's public key in FILE")
        anchors.append(HttpWitness(url, PublicKey.parse(_text(path))))
    anchors += [FileAnchor(path) for path in options.anchor]
    with _stores(options) as stores:
        for store in stores:
            print(anchor(store, keys, anchors, now=time.time()).text, end="")
    return 0


def _erase(options: Namespace) -> int:
    with _stores(options) as stores:
        for store in stores:
            done = store.erase(options.principal, by=options.by, why=options.why)
            if done.count or len(stores) == 1:
                where = f"{seen(store.stream)}: " if store.stream else ""
                print(f"{where}record {done.record.seq}: erased what {done.count} records said; receipt {done.receipt}")
    return 0


def _drop(options: Namespace) -> int:
    with _stores(options) as stores:
        for store in stores:
            record = store.drop(by=options.by)
            print(f"record {record.seq}: dropped the records up to {record.body['through']}")
    return 0


def _keygen(options: Namespace) -> int:
    from interlock.audit.checkpoint import LOG, WITNESS, PrivateKey

    text = PrivateKey.text(options.name, secrets.token_bytes(32), kind=WITNESS if options.witness else LOG)
    public = str(PrivateKey.parse(text).public)
    try:
        descriptor = os.open(options.output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text + "\n")
        Path(f"{options.output}.pub").write_text(public + "\n", "utf-8")
    except OSError as error:
        hint = "a key that exists is left alone"
        raise UsageError(f"`{options.output}` cannot be made: {error.strerror}", hint=hint) from None
    print(public)
    return 0


# what a command line names


def _chains(options: Namespace) -> Iterator[Chain]:
    """The chains that the command line names."""
    if str(options.file).endswith(".jsonl"):
        yield _exported(options.file)
        return
    names = _streams(options)
    for name in names:
        store = _store(options.file, name, read_only=True)
        yield Chain(name, store.base(), store.records)


def _exported(path: str) -> Chain:
    from interlock.audit.export import read

    if not Path(path).is_file():
        raise UsageError(f"there is no export `{path}`")

    def records() -> Iterator[Record]:
        with Path(path).open(encoding="utf-8") as lines:
            yield from read(lines)[2]

    with Path(path).open(encoding="utf-8") as lines:
        stream, base, _ = read(lines)
    return Chain(stream, base, records)


def _streams(options: Namespace) -> list[str]:
    if options.stream is not None:
        return [options.stream]
    store = _store(options.file, "", read_only=True)
    try:
        return store.streams() or [""]
    finally:
        store.close()


@contextmanager
def _stores(options: Namespace) -> Iterator[Sequence[Ledger]]:
    """The chains that the command line names, to be written to."""
    if str(options.file).endswith(".jsonl"):
        raise UsageError("an export is only read")
    stores = [_store(options.file, name, read_only=False) for name in _streams(options)]
    try:
        yield stores
    finally:
        for store in stores:
            store.close()


def _store(where: str, stream: str, *, read_only: bool) -> Ledger:
    if where.startswith(("postgresql://", "postgres://")):
        from interlock.stores.postgres.audit import PostgresAudit
        from interlock.stores.postgres.database import PostgresDatabase

        return PostgresAudit(PostgresDatabase(where, size=2), read_only=read_only, stream=stream)
    if not Path(where).is_file():
        raise UsageError(f"there is no audit `{where}`", hint="an audit is made when an application opens `Interlock`")
    from interlock.stores.sqlite.audit import SqliteAudit

    return SqliteAudit(where, read_only=read_only, stream=stream)


def _evidence(options: Namespace) -> tuple[list[Note], list[PublicKey], list[PublicKey]]:
    from interlock.audit.checkpoint import PublicKey, notes

    if (options.anchor or options.witness) and not options.key:
        raise UsageError("checkpoints are checked with the public key of the log", hint="give it with --key FILE")
    if options.key and not options.anchor:
        raise UsageError("a key alone shows nothing", hint="give the file with the checkpoints too: --anchor FILE")
    anchored = [note for path in options.anchor for note in notes(_text(path))]
    keys = [PublicKey.parse(_text(path)) for path in options.key]
    return anchored, keys, [PublicKey.parse(_text(path)) for path in options.witness]


def _text(path: str) -> str:
    """What the file at `path` says."""
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise UsageError(f"`{path}` cannot be read: {error}") from None


def told(record: Record) -> str:
    """A record in a few words."""
    body = record.body
    match record.kind:
        case "decision":
            tool = body.get("tool") or "a call that is none"
            return seen(f"{body.get('decision')} {tool}, by {_words(body.get('rules'))}")
        case "start":
            return seen(f"policy {body.get('policy')}, relaxed {_words(body.get('relaxed'))}")
        case "run":
            return seen(f"agent {body.get('agent')} for {body.get('principal')}")
        case "asked":
            return seen(f"a human, because of {_words(body.get('rules'))}")
        case "answer":
            why = f": {body['why']}" if "why" in body else ""
            return seen(f"{'yes' if body.get('granted') is True else 'no'} from {body.get('by') or 'nobody'}{why}")
        case "outcome":
            why = f": {body['why']}" if "why" in body else ""
            return seen(f"{body.get('outcome')} (decision {body.get('decision', 'of somebody else')}){why}")
        case "mandate":
            return seen(mandate(body))
        case "endorse":
            return seen(f"{body.get('by')} vouched for `{endorsed(body)}` as {body.get('role')}")
        case _:
            return seen(dict(body))


def mandate(body: Mapping[str, object]) -> str:
    """A mandate as its record says it."""
    effects = body.get("effects")
    limits = effects.items() if isinstance(effects, Mapping) else ()
    tools = _words([f"{tool}{'' if limit is None else f' (at most {limit})'}" for tool, limit in limits])
    rest = "; on tools that it does not list it says nothing" if body.get("open") is True else ""
    return f"{body.get('change')}, {body.get('by')}: {tools}{rest}"


def endorsed(body: Mapping[str, object]) -> object:
    """The value that somebody vouched for; the redactor gets it, and gives it back, under a key."""
    value = body.get("value")
    return value.get("value") if isinstance(value, Mapping) else value


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) and value else "none"


def _head(text: str) -> Head:
    seq, _, digest = text.partition(":")
    if not seq.isdecimal() or len(digest) != 64 or set(digest) - set("0123456789abcdef"):  # noqa: PLR2004 - SHA-256
        raise ArgumentTypeError(f"`{text}` is no head; copy the line `head SEQ:DIGEST` that verify prints")
    return Head(int(seq), digest)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ArgumentTypeError(f"`{text}` is no number of records")
    return int(text)
