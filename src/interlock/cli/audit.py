"""`interlock audit`: verify that a chain of records holds, or list the records. The file is only read."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections import deque
from collections.abc import Iterable, Mapping

from interlock.audit.chain import Broken, Verified
from interlock.audit.record import Head, Record
from interlock.cli import given
from interlock.cli.show import at, coloured, plain, seen, to_json


def arguments(parser: ArgumentParser) -> None:
    """`verify FILE` and `show FILE`."""
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)
    verify = commands.add_parser("verify", help="fail if a record was changed, dropped, moved or squeezed in")
    verify.add_argument("file", help="the audit, for example .interlock/audit.sqlite")
    verify.add_argument(
        "--head",
        type=_head,
        metavar="SEQ:DIGEST",
        help="a head that was noted elsewhere: it must be in the chain, so its end was not cut off",
    )
    verify.add_argument("--json", action="store_true", help="for machines")
    verify.set_defaults(run=_verify)
    show = commands.add_parser("show", help="list the records, oldest first")
    show.add_argument("file", help="the audit, for example .interlock/audit.sqlite")
    show.add_argument("--run", dest="run_id", metavar="ID", help="of this run only")
    show.add_argument("--kind", help="of this kind only: start, run, decision, asked, answer, outcome, …")
    show.add_argument("-n", "--last", type=_count, metavar="COUNT", help="the last COUNT of them only")
    show.add_argument("--json", action="store_true", help="whole records, one JSON object a line")
    show.set_defaults(run=_show)


def _verify(options: Namespace) -> int:
    verdict = given.audit(options.file).verify(options.head)
    match verdict:
        case Verified(head=head):
            if options.json:
                print(to_json({"sound": True, "head": plain(head)}))
                return 0
            print(coloured(f"sound: {head.seq} records", "good"))
            print(f"head {head.seq}:{head.digest}")
            if options.head is None:
                print(
                    "that nothing was cut off at the end shows only against a head noted elsewhere: --head SEQ:DIGEST"
                )
            return 0
        case Broken(seq=seq, why=why):
            if options.json:
                print(to_json({"sound": False, "record": seq, "why": why}))
            else:
                print(coloured(f"broken: {why}", "bad"))
            return 1


def _show(options: Namespace) -> int:
    records: Iterable[Record] = (
        r
        for r in given.audit(options.file).records()
        if (options.run_id is None or r.run == options.run_id) and (options.kind is None or r.kind == options.kind)
    )
    if options.last is not None:
        records = deque(records, maxlen=options.last)
    for record in records:
        print(to_json(record, indent=None) if options.json else _line(record))
    return 0


def _line(record: Record) -> str:
    run = f"{seen(record.run, 40)}  " if record.run else ""
    return f"{record.seq:>6}  {at(record.at)}  {run}{seen(record.kind, 20)}: {told(record)}"


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
