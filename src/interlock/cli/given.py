"""What a command line gives by name: objects of the user's modules, functions, a manifest, an audit, JSON.

A module is looked for in the current folder first. What it prints while it is imported goes to stderr: stdout is the
command's.
"""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.cli.errors import UsageError
from interlock.kernel.errors import InterlockError

if TYPE_CHECKING:
    from argparse import _ActionsContainer

    from interlock.adapters.functions import Tool
    from interlock.policy.policy import Policy
    from interlock.secrets.sources import Sources
    from interlock.stores.sqlite.audit import SqliteAudit

MANIFEST = "interlock.yaml"
TOOLS_HELP = "functions, or an object with them in `tools`; the module is importable from here"


def add_tools(parser: _ActionsContainer) -> None:
    """`--tools module:object`."""
    parser.add_argument("--tools", metavar="MODULE:OBJECT", help=TOOLS_HELP)


def add_obligations(parser: ArgumentParser) -> None:
    """`--obligation NAME`, for manifests whose rules oblige."""
    parser.add_argument(
        "--obligation",
        action="append",
        default=[],
        metavar="NAME",
        help="an obligation that the application discharges (`@obliges`); may be repeated",
    )


def add_dotenv(parser: _ActionsContainer) -> None:
    """`--dotenv FILE`."""
    parser.add_argument("--dotenv", metavar="FILE", help="look for secrets here too: development only")


def secrets(dotenv: str | None) -> Sources:
    """Where this process finds secrets.

    Raises:
        UsageError: there is no such file.
    """
    from interlock.secrets.sources import Sources

    if dotenv is not None and not Path(dotenv).is_file():
        raise UsageError(f"there is no file `{dotenv}`")
    return Sources(environ=os.environ, dotenv=dotenv)


def an_object(reference: str) -> object:
    """The object `module:name`.

    Raises:
        UsageError: there is none, or its module fails.
    """
    module, colon, name = reference.partition(":")
    if not (module and colon and name):
        raise UsageError(f"`{reference}` names no object", hint="write `module:object`, for example `app.tools:TOOLS`")
    folder = os.getcwd()  # noqa: PTH109 - an entry of sys.path is text
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        with redirect_stdout(sys.stderr):
            found: object = import_module(module)
            for step in name.split("."):
                found = getattr(found, step)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code: it may raise anything
        told = f"`{reference}` cannot be imported: {type(error).__name__}: {error}"
        raise UsageError(told, hint=f"modules are looked for in {folder} first") from None
    return found


def functions(reference: str) -> list[Tool]:
    """The tools that `module:name` is, holds, or lists.

    Raises:
        UsageError: it is nothing of that kind.
        ToolError: a function that cannot be a tool.
    """
    return tools_in(an_object(reference), reference)


def tools_in(value: object, reference: str) -> list[Tool]:
    """The tools in `value`: a function, a description of one, a list of them, or an object with `tools`."""
    from interlock.adapters.functions import Tool, tool_of

    inner = getattr(value, "tools", None)
    match value:
        case Tool() | {"name": _}:
            return [tool_of(value)]
        case Mapping():
            return [tool_of(item) for item in value.values()]
        case list() | tuple() | set() | frozenset():
            return [tool_of(item) for item in value]
        case _ if inner is not None and not isinstance(inner, type):
            return tools_in(inner, reference)
        case _ if callable(value):
            return [tool_of(value)]
        case _:
            told = f"`{reference}` is a {type(value).__name__}, which holds no functions"
            raise UsageError(told, hint="name a list of functions, or an object whose `tools` is one")


def policy(path: str, tools: Iterable[Tool] = (), obligations: Iterable[str] = ()) -> Policy:
    """The policy of the manifest at `path`, checked against `tools` and the obligations that somebody discharges.

    Raises:
        UsageError: there is no such file.
        PolicyError: with all that is wrong.
    """
    if not Path(path).is_file():
        hint = "`interlock init --tools module:object -o interlock.yaml` writes a first one"
        raise UsageError(f"there is no manifest `{path}`", hint=hint)
    from interlock.policy.load import load_policy
    from interlock.tools.kinds import KINDS

    known = list(tools)
    return load_policy(
        path,
        schemas={t.name: t.parameters for t in known},
        descriptions={t.name: t.description for t in known},
        obligations=obligations,
        kinds=KINDS,
    )


def audit(path: str | Path, *, stream: str = "") -> SqliteAudit:
    """The audit in the file at `path`, for reading only; of the chain `stream`.

    Raises:
        UsageError: there is no such file.
        AuditError: it is no audit.
    """
    if not Path(path).is_file():
        raise UsageError(f"there is no audit `{path}`", hint="an audit is made when an application opens `Interlock`")
    from interlock.stores.sqlite.audit import SqliteAudit

    return SqliteAudit(path, read_only=True, stream=stream)


def json_in(path: str | Path) -> object:
    """What the JSON file at `path` says.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except OSError as error:
        raise UsageError(f"`{path}` cannot be read: {(error.strerror or 'no file').lower()}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"`{path}` is no JSON: {error}") from None


def json_of(text: str, what: str) -> dict[str, object]:
    """The JSON object in `text`.

    Raises:
        UsageError: it is none.
    """
    from interlock.adapters.proposal import read_arguments

    try:
        return dict(read_arguments(text))
    except InterlockError as error:
        raise UsageError(f"{what} is no JSON object: {error}", hint='write for example \'{"to": "bob"}\'') from None


def rules_in(text: str, obligations: Iterable[str] = ()) -> dict[str, str]:
    """Name → text, with the comment above it, of each rule in `text`, which has been checked."""
    from interlock.policy.rules import parse_rules, split

    rules, _ = parse_rules(split(text, "rules"), obligations=frozenset(obligations))
    return {rule.id: _without_heading(rule.text) for rule in rules}


def _without_heading(rule: str) -> str:
    """The rule with the comment right above it; what stands above a blank line is the file's."""
    lines = rule.splitlines()
    first = next((i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("//")), 0)
    start = max((i + 1 for i in range(first) if not lines[i].strip()), default=0)
    return "\n".join(lines[start:])


def shipped_rules() -> frozenset[str]:
    """The names of the rules in base.cedar."""
    from importlib.resources import files

    return frozenset(rules_in(files("interlock.policy").joinpath("base.cedar").read_text("utf-8")))
