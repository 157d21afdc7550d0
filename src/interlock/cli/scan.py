"""`interlock scan`: literals that should be secret handles, in files, notebooks and git's history."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from interlock.cli.show import coloured, plain, seen, to_json


def arguments(parser: ArgumentParser) -> None:
    """Where to look."""
    parser.add_argument("path", help="a file or a folder")
    parser.add_argument("--history", action="store_true", help="also what only the git history still has")
    parser.add_argument("--json", action="store_true", help="for machines")


def run(options: Namespace) -> int:
    """Print what was found, masked; 1 if there is anything."""
    from interlock.secrets.scan import scan

    found = []
    for finding in scan(options.path, history=options.history):
        found.append(finding)
        if not options.json:
            print(seen(str(finding)))
            print(f"    {seen(finding.remedy)}")
    if options.json:
        findings = [{**_mapping(plain(f)), "remedy": f.remedy} for f in found]
        print(to_json({"findings": findings}))
    elif not found:
        print(coloured("nothing found", "good"))
    else:
        told = f"{len(found)} finding{'s' if len(found) > 1 else ''}; values are masked, not removed"
        print(coloured(told, "bad"), file=sys.stderr)
    return 1 if found else 0


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
