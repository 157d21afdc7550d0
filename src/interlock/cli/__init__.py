"""`interlock …`: checks, explanations and audits for developers, reviewers and CI. One module per command.

A command's module has `arguments(parser)` and `run(options) -> int`. Only the module of the command that was asked for
is imported, so that help is at hand at once. Exit status: 0 fine, 1 what was checked is bad, 2 the command line is
wrong. What the package raises becomes one message on stderr, with its hint; the traceback
of anything else is redacted.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from interlock.cli.console import Uncaught, told
from interlock.cli.errors import UsageError
from interlock.kernel.errors import InterlockError
from interlock.logs.excepthook import install

COMMANDS = {
    "check": "check a manifest, its rules and the functions it speaks of",
    "policy": "show what is in force: tools, agents, rules",
    "explain": "say why a call was, or would be, permitted, refused or sent to approval",
    "call": "make one call, as an agent would",
    "doctor": "try to break what is configured, and show what held",
    "scan": "find literals that should be secret handles",
    "scan-text": "say how much of a text reads like an injected instruction, and where",
    "sql": "print or apply what a database must grant to a tool",
    "init": "write a first manifest from functions or tool schemas",
    "labels": "find fields that a manifest trusts although outsiders can write them",
    "audit": "verify an audit, or list its records",
    "approvals": "see what waits for a human, and answer it",
    "keys": "issue, list, revoke and rotate keys of agents and approvers",
    "serve": "serve the gateway: agents change their base URL, and nothing else",
    "version": "print the version",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` names; its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # no text is worth a traceback
    install(Uncaught())
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        options = _parser(words).parse_args(words)
        status = int(options.run(options))
        sys.stdout.flush()  # here, so that a reader who went away is noticed below
    except SystemExit as stop:  # argparse has printed help, or what is wrong
        return stop.code if isinstance(stop.code, int) else 0
    except UsageError as error:
        return _complain(error, 2)
    except InterlockError as error:
        return _complain(error, 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the flush at exit has nobody to fail for
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="interlock", description="A reference monitor for AI agents: the model proposes, Interlock disposes."
    )
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if words[:1] == [name]:
            module = import_module(f"interlock.cli.{name.replace('-', '_')}")
            command.set_defaults(run=getattr(module, "run", None))
            module.arguments(command)
    return parser


def _complain(error: InterlockError, status: int) -> int:
    print(told(str(error)), file=sys.stderr)
    if error.hint:
        print(f"hint: {told(error.hint)}", file=sys.stderr)
    return status
