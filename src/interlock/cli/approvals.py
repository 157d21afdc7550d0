"""`interlock approvals`: what waits for a human, and his answer, on the store that the agents' processes share.

Whoever can open the store can answer in any name: `--as` says who did, it does not prove it. Where that matters, give
approvers keys (`interlock keys create --approver NAME`) and let them answer through the API, or here with their key in
`INTERLOCK_APPROVER_KEY`. Where an audit is kept with the store, each answer is on record there before it counts.
"""

from __future__ import annotations

import getpass
import os
import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, TextIO

from interlock.cli import place
from interlock.cli.errors import UsageError
from interlock.cli.show import at, coloured, seen, to_json

if TYPE_CHECKING:
    from interlock.approvals.book import Book
    from interlock.approvals.entry import Entry, Given, Standing

KEY = "INTERLOCK_APPROVER_KEY"
STREAM = "approvals"  # the chain of the audit that answers from terminals go into


def arguments(parser: ArgumentParser) -> None:
    """`list`, `show ID`, `approve ID`, `deny ID`."""
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)
    listed = commands.add_parser("list", help="what waits for an answer, oldest first")
    listed.set_defaults(run=_list)
    show = commands.add_parser("show", help="one question: what will run, where each value stands, which rule asks")
    show.set_defaults(run=_show)
    approve = commands.add_parser("approve", help="let this very call run, once")
    approve.set_defaults(run=_answer, granted=True)
    deny = commands.add_parser("deny", help="refuse it")
    deny.set_defaults(run=_answer, granted=False)
    for command in (show, approve, deny):
        command.add_argument("id", help="the question's id, or its beginning")
    for command in (approve, deny):
        command.add_argument("--as", dest="name", metavar="NAME", help="who answers; else the one who is logged in")
        command.add_argument("--comment", default="", help="a reason, for the record")
    for command in (listed, show, approve, deny):
        place.add_store(command)
        command.add_argument("--json", action="store_true", help="for machines")


def _list(options: Namespace) -> int:
    book = _book(options)
    open_now, damaged = _sound(book)
    if options.json:
        from interlock.approvals.shown import as_json

        shown = [as_json(e, "pending", book.last(e.terms.tool)) for e in open_now]
        print(to_json({"approvals": shown, "damaged": damaged}))
        return 1 if damaged else 0
    for entry in open_now:
        terms, missing = entry.terms, entry.terms.need.count - len(entry.yeses(entry.terms.need))
        more = f", {missing} more needed" if entry.given else ""
        print(f"{entry.id}  {terms.tool}, by {seen(terms.agent, 40)} for {seen(terms.principal, 40)}{more}")
        print(f"    asked {at(entry.asked)}, expires {at(entry.expires)}, by {', '.join(sorted(terms.rules))}")
    for ref in damaged:
        print(coloured(f"{seen(ref, 40)}  was changed by somebody, or sealed under another key; it is void", "bad"))
    if not open_now and not damaged:
        print("nothing waits for an answer")
    return 1 if damaged else 0


def _sound(book: Book) -> tuple[list[Entry], list[str]]:
    """Open questions, and the ids of those that were changed."""
    from interlock.approvals.errors import Tampered
    from interlock.approvals.shown import question_of

    sound, damaged = [], list(book.damaged())
    for entry in book.pending():
        try:
            question_of(entry)
        except Tampered:
            damaged.append(entry.id)
        else:
            sound.append(entry)
    return sound, damaged


def _show(options: Namespace) -> int:
    book = _book(options)
    entry, standing = _found(book, options.id)
    if options.json:
        from interlock.approvals.shown import as_json

        print(to_json(as_json(entry, standing, book.last(entry.terms.tool))))
        return 0
    _print(book, entry, standing)
    return 0


def _answer(options: Namespace) -> int:
    from interlock.approvals.desk import Desk
    from interlock.detect.redact import Redaction
    from interlock.monitor.approvals import CODE
    from interlock.stores.place import audit_at

    book = _book(options)
    name, via = _name(options)
    entry, standing = _found(book, options.id)
    if options.granted and standing in {"pending", "granted"}:
        _print(book, entry, standing, to=sys.stderr if options.json else None)
        code = entry.terms.digest[:CODE]
        print(f"type {code} to let it run, anything else changes nothing: ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip() != code:
            print("nothing was changed", file=sys.stderr)
            return 1
    audit = audit_at(place.store_of(options)[0], stream=STREAM)
    after = Desk(book, redact=Redaction(), audit=audit).answer(
        entry.id, name, granted=options.granted, digest=entry.terms.digest, via=via, comment=options.comment
    )
    if options.json:
        print(to_json(after))
    elif options.granted:
        print(
            coloured("approved" if after["standing"] == "granted" else "your yes is kept; one more is needed", "good")
        )
    else:
        print(coloured("refused", "bad"))
    return 0


def _print(book: Book, entry: Entry, standing: Standing, *, to: TextIO | None = None) -> None:
    from interlock.approvals.shown import changes, question_of
    from interlock.monitor.approvals import render

    lines = [f"{entry.id}: {standing}, asked {at(entry.asked)}, expires {at(entry.expires)}"]
    if standing in {"pending", "granted"}:
        lines.append(render(question_of(entry)))
        last = changes(entry, book.last(entry.terms.tool))
        lines += [f"    since the last approved call: {seen(c.path)} {c.change}{_before(c.before)}" for c in last]
        may = sorted(entry.terms.need.may)
        lines.append(f"    needs {entry.terms.need.count} of {', '.join(may) or 'all approvers'}")
    lines += [_said(g) for g in entry.given]
    print("\n".join(lines), file=to)


def _said(given: Given) -> str:
    why = f": {seen(given.comment)}" if given.comment else ""
    return f"    {given.by} said {'yes' if given.granted else 'no'} {at(given.at)} ({given.via}){why}"


def _before(text: str) -> str:
    return f", was {seen(text)}" if text else ""


def _book(options: Namespace) -> Book:
    from interlock.approvals.entry import Seal
    from interlock.stores.place import approvals_at

    where, key = place.store_of(options)
    return approvals_at(where, seal=Seal(key), create=False)


def _found(book: Book, ref: str) -> tuple[Entry, Standing]:
    from interlock.approvals.errors import NoSuchApproval

    try:
        return book.get(ref)
    except NoSuchApproval:
        begun = [e for e in book.pending() if ref and e.id.startswith(ref)]
        if len(begun) != 1:
            told = f"`{seen(ref, 40)}` begins {len(begun)} ids; write more of it" if begun else ""
            raise UsageError(told or f"there is no approval `{seen(ref, 40)}`") from None
        return book.get(begun[0].id)


def _name(options: Namespace) -> tuple[str, str]:
    from interlock.approvals.approvers import check_name

    text = os.environ.get(KEY, "")
    if not text:
        return check_name(getpass.getuser() if options.name is None else options.name), "cli"
    from interlock.stores.key import KeyRing
    from interlock.stores.place import keys_at

    key = KeyRing(keys_at(place.store_of(options)[0], create=False), kind="approver").find(text)
    if key is None:
        raise UsageError(f"`{KEY}` holds no valid key of an approver")
    if options.name not in {None, key.name}:
        raise UsageError(f"the key in `{KEY}` is {key.name}'s; leave out --as")
    return key.name, "cli, with a key"
