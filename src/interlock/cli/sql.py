"""`interlock sql grants`: what a PostgreSQL database must grant to an entry's role, printed, or applied when told to.

What is applied is printed first, and it is one transaction. The administrator's address is a handle, never an argument:
arguments are seen by everybody on the machine.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from interlock.cli import given
from interlock.cli.errors import UsageError
from interlock.cli.show import coloured, listed

if TYPE_CHECKING:
    from interlock.policy.policy import Policy
    from interlock.tools.sql.entry import Entry


def arguments(parser: ArgumentParser) -> None:
    """`grants MANIFEST ENTRY`."""
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)
    grants = commands.add_parser("grants", help="role, column grants, row-level security and timeouts of an entry")
    grants.add_argument("manifest", help=f"the manifest, for example {given.MANIFEST}")
    grants.add_argument("entry", help="a tool of `kind: sql`")
    grants.add_argument("--apply", action="store_true", help="run what is printed, in one transaction")
    grants.add_argument("--admin-dsn", metavar="secret://NAME", help="who applies it: a handle, see docs/tools.md")
    given.add_tools(grants)
    given.add_dotenv(grants)
    grants.set_defaults(run=_grants)


def _grants(options: Namespace) -> int:
    from interlock.tools.sql.grants import grants

    if options.apply != (options.admin_dsn is not None):
        raise UsageError("`--apply` and `--admin-dsn` go together", hint="without both, the SQL is printed only")
    if options.apply:
        from interlock.secrets.handles import name_of

        name_of(options.admin_dsn)  # a value in its place is refused, and not repeated
    tools = given.functions(options.tools) if options.tools else []
    entry = _entry(given.policy(options.manifest, tools), options.entry)
    print(grants(entry), end="")
    if options.apply:
        _apply(entry, options.admin_dsn, options.dotenv)
        print(coloured(f"-- applied to the role `{entry.role}`; `interlock doctor` tries it", "good"))
    return 0


def _entry(policy: Policy, name: str) -> Entry:
    from interlock.tools.sql.entry import parse

    known = {e.name: e for e in policy.entries if e.kind == "sql"}
    if name not in known:
        raise UsageError(f"the manifest has no sql entry `{name}`", hint=f"it has {listed(known)}")
    return parse(name, known[name].config)


def _apply(entry: Entry, admin: str, dotenv: str | None) -> None:
    from interlock.assemble import administering, handles_in
    from interlock.tools.sql.capability import apply

    handles = list(handles_in([entry.dsn, entry.key, admin]))
    with administering(handles, given.secrets(dotenv)) as resolve:
        apply(entry, resolve, resolve(admin))
