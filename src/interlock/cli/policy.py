"""`interlock policy show`: what is in force, as it was resolved; the shipped rules included."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from interlock.cli import given
from interlock.cli.show import to_json


def arguments(parser: ArgumentParser) -> None:
    """`show [MANIFEST]`."""
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)
    show = commands.add_parser("show", help="tools with effect, roles, origins and labels; agents; every rule in force")
    show.add_argument("manifest", nargs="?", default=given.MANIFEST, help=f"default: {given.MANIFEST}")
    given.add_tools(show)
    given.add_obligations(show)
    form = show.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for machines")
    form.add_argument("--cedar-schema", action="store_true", help="the Cedar schema that rules are checked against")
    form.add_argument("--json-schema", action="store_true", help="the JSON Schema of a manifest, for editors")
    show.set_defaults(run=_show)


def _show(options: Namespace) -> int:
    if options.json_schema:
        from interlock.policy.manifest import json_schema

        print(json_schema(), end="")
        return 0
    tools = given.functions(options.tools) if options.tools else []
    policy = given.policy(options.manifest, tools, options.obligation)
    if options.cedar_schema:
        from interlock.policy.rules import cedar_schema

        print(cedar_schema(policy.tools.values()), end="")
    elif options.json:
        names = ("manifest_path", "digest", "me", "agents", "tools", "relaxed", "pending", "inferred")
        rules = given.rules_in(policy.rules_text, options.obligation)
        print(to_json({name: getattr(policy, name) for name in names} | {"rules": rules}))
    else:
        print(policy.describe(), end="")
    return 0
