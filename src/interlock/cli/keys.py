"""`interlock keys`: issue, list, revoke and rotate the keys by which agents and approvers are known."""

from __future__ import annotations

import re
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import TYPE_CHECKING

from interlock.cli import place
from interlock.cli.show import at, seen, to_json

if TYPE_CHECKING:
    from interlock.stores.key import Issued, Key, KeyStore

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def arguments(parser: ArgumentParser) -> None:
    """`create`, `list`, `revoke ID`, `rotate ID`."""
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)
    create = commands.add_parser("create", help="issue a key and show it, once")
    holder = create.add_mutually_exclusive_group(required=True)
    holder.add_argument("--agent", metavar="NAME", help="for an agent of the manifest, to use the gateway")
    holder.add_argument("--approver", metavar="NAME", help="for a human, to answer approvals")
    create.add_argument("--principal", default="", help="for whom the agent acts when no claim says so")
    create.add_argument("--tenant", default="", help="whose budgets it uses")
    create.add_argument("--expires", type=_span, metavar="SPAN", help="how long it is good: 90d, 12h; else for ever")
    create.set_defaults(run=_create)
    listed = commands.add_parser("list", help="every key, without the keys")
    listed.set_defaults(run=_list)
    revoke = commands.add_parser("revoke", help="end a key now and for ever")
    revoke.add_argument("id", help="as `list` shows it")
    revoke.set_defaults(run=_revoke)
    rotate = commands.add_parser("rotate", help="issue a new key to the same holder and let the old one end")
    rotate.add_argument("id", help="as `list` shows it")
    rotate.add_argument("--grace", type=_span, default=0.0, metavar="SPAN", help="how long the old one stays good: 1h")
    rotate.set_defaults(run=_rotate)
    for command in (create, listed, revoke, rotate):
        place.add_store(command)
        command.add_argument("--json", action="store_true", help="for machines")


def _create(options: Namespace) -> int:
    from interlock.stores.key import issue

    now = time.time()
    new = issue(
        "agent" if options.agent is not None else "approver",
        options.agent if options.agent is not None else options.approver,
        now=now,
        principal=options.principal,
        tenant=options.tenant,
        expires=None if options.expires is None else now + options.expires,
    )
    _store(options).add(new.key, new.digest)
    return _shown(new, options)


def _list(options: Namespace) -> int:
    keys = [key for key, _ in _store(options).all()]
    if options.json:
        print(to_json({"keys": keys}))
        return 0
    for key in keys:
        print(_line(key))
    if not keys:
        print("no key was issued")
    return 0


def _revoke(options: Namespace) -> int:
    key = _store(options).change(options.id, revoked=True)
    print(to_json(key) if options.json else _line(key))
    return 0


def _rotate(options: Namespace) -> int:
    from interlock.stores.key import rotate

    return _shown(rotate(_store(options), options.id, now=time.time(), grace=options.grace), options)


def _shown(new: Issued, options: Namespace) -> int:
    if options.json:
        print(to_json({"key": new.text, "id": new.key.id, "expires": new.key.expires}))
        return 0
    print(new.text)
    print(f"{_line(new.key)}\nthe key is shown this once; only its hash is kept", file=sys.stderr)
    return 0


def _line(key: Key) -> str:
    state = "revoked" if key.revoked else "good" if key.good(time.time()) else "expired"
    words = [key.id, f"{key.kind} {seen(key.name, 80)}", state, f"made {at(key.made)}"]
    words += [f"for {seen(key.principal, 80)}"] if key.principal else []
    words += [f"tenant {seen(key.tenant, 80)}"] if key.tenant else []
    words += [f"until {at(key.expires)}"] if key.expires is not None else []
    return "  ".join(words)


def _store(options: Namespace) -> KeyStore:
    from interlock.stores.place import keys_at

    return keys_at(place.store_of(options)[0])


def _span(text: str) -> float:
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text, re.ASCII)
    if found is None:
        raise ArgumentTypeError(f"`{text}` is no span of time; write 90d, 12h, 30m or 60s")
    return float(found[1]) * _UNITS[found[2]]
