"""`interlock labels audit`: a field that outsiders can write and the manifest believes is a hole; canaries find it.

The plan puts texts that occur nowhere else where outsiders can write; the real functions read them back; the ledger
labels what they return, as in a run. A canary that comes back `own` would vouch for whatever an attacker writes there.
So is one that the model reads and that no label covers. See docs/cli.md for plans.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import secrets
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

from interlock.cli import given
from interlock.cli.errors import UsageError
from interlock.cli.show import coloured, listed, seen, table, to_json
from interlock.kernel.errors import InterlockError

if TYPE_CHECKING:
    from interlock.adapters.functions import Tool
    from interlock.kernel.call import Json
    from interlock.policy.policy import Policy

Find = Callable[[str], set[str]]  # the channels whose canary stands in a text

_LETTERS = 12  # of chance in a canary
SENTENCE = 4  # words: from here on an own value looks like somebody's prose
EXTERNAL, TRUSTED, UNLABELLED = "external", "TRUSTED", "UNLABELLED"


def arguments(parser: ArgumentParser) -> None:
    """`audit`."""
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)
    audit = commands.add_parser(
        "audit", help="plant canaries in every channel from outside; none may come back trusted"
    )
    audit.add_argument("--manifest", metavar="FILE", default=given.MANIFEST, help=f"default: {given.MANIFEST}")
    source = audit.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--plan", metavar="MODULE:OBJECT", help="an object with `tools`, `plant`, `calls`, maybe `clean`"
    )
    source.add_argument("--results", metavar="DIR", help="recorded results, one file TOOL.json a tool; nothing is run")
    audit.add_argument("--canary", metavar="REGEX", help="what a canary looks like in recorded results")
    audit.add_argument("--me", action="append", default=[], metavar="VALUE", help="a value that means the user")
    audit.add_argument("--json", action="store_true", help="for machines")
    given.add_obligations(audit)
    audit.set_defaults(run=_audit)


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """A canary that came back: where, and as what."""

    tool: str
    field: str
    label: str
    channel: str
    verdict: str

    @property
    def bad(self) -> bool:
        """An attacker could use this."""
        return self.verdict != EXTERNAL


@dataclass(slots=True)
class Findings:
    """Everything that an audit found."""

    rows: set[Row] = field(default_factory=set)
    prose: dict[tuple[str, str], str] = field(default_factory=dict)  # own fields with values like sentences
    failed: list[str] = field(default_factory=list)  # calls that were not examined
    unseen: list[str] = field(default_factory=list)  # channels whose canary never came back
    uncalled: list[str] = field(default_factory=list)  # tools that read, of which no result was examined

    @property
    def sound(self) -> bool:
        """Something was tested, all of it was examined, and nothing is trusted that outsiders write."""
        return bool(self.rows) and not self.failed and not any(row.bad for row in self.rows)


def _audit(options: Namespace) -> int:
    if (options.results is None) != (options.canary is None):
        raise UsageError("`--results` and `--canary` go together", hint="with --plan, canaries are made here")
    found = _recorded(options) if options.results else _planned(options)
    if options.json:
        told = {
            "sound": found.sound,
            "rows": [{name: getattr(r, name) for name in Row.__slots__} for r in sorted(found.rows)],
            "prose": [{"tool": t, "field": f, "value": v} for (t, f), v in sorted(found.prose.items())],
            "failed": found.failed,
            "unseen": found.unseen,
            "uncalled": found.uncalled,
        }
        print(to_json(told))
    else:
        print("\n".join(_lines(found)))
    return 0 if found.sound else 1


# with a plan


def _planned(options: Namespace) -> Findings:
    """Plant, call, label, clean up."""
    plan = given.an_object(options.plan)
    if inspect.isclass(plan):
        plan = _theirs("making the plan", plan)
    for name in ("tools", "plant", "calls"):
        if not hasattr(plan, name):
            raise UsageError(f"the plan `{options.plan}` has no `{name}`", hint="docs/cli.md shows a plan")
    tools = {t.name: t for t in given.tools_in(getattr(plan, "tools"), options.plan)}  # noqa: B009 - checked above
    policy = given.policy(options.manifest, tools.values(), options.obligation)
    planted: dict[str, str] = {}

    def canary(channel: str) -> str:
        # One plain word in small letters: legal wherever a name, an address or a title is, and `typed` lets it through.
        fresh = "".join(secrets.choice(ascii_lowercase) for _ in range(_LETTERS))
        return planted.setdefault(str(channel), f"canary{fresh}")

    def find(text: str) -> set[str]:
        low = text.casefold()
        return {channel for channel, planted_text in planted.items() if planted_text in low}

    found = Findings()
    called: set[str] = set()
    try:
        _theirs("`plant`", plan.plant, canary)  # type: ignore[attr-defined]
        for name, arguments in _calls(plan):
            if name not in tools:
                raise UsageError(f"the plan calls `{name}`, which is not among its `tools`")
            if name not in policy.tools:
                raise UsageError(f"the plan calls `{name}`, which {options.manifest} does not describe")
            try:
                output = _output(tools[name], arguments)
            except Exception as error:  # noqa: BLE001 - the user's function; one that fails is reported
                found.failed.append(f"{name}: {type(error).__name__}: {error}")
                continue
            called.add(name)
            _examine(found, policy, options.me, name, output, find)
    finally:
        if callable(clean := getattr(plan, "clean", None)):
            _theirs("`clean`", clean)
    seen_channels = {row.channel for row in found.rows}
    found.unseen = sorted(set(planted) - seen_channels)
    found.uncalled = _uncalled(policy, called)
    return found


def _theirs(what: str, function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - the user's
    """What the user's function returns; what it prints goes to stderr.

    Raises:
        InterlockError: it raised.
    """
    try:
        with redirect_stdout(sys.stderr):
            return function(*arguments)
    except Exception as error:
        told = f"{what} of the plan failed: {type(error).__name__}: {error}"
        raise InterlockError(told, hint="nothing was examined") from error


def _calls(plan: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:  # noqa: ANN401 - the user's object
    calls = _theirs("`calls`", plan.calls) if callable(plan.calls) else plan.calls
    for call in calls:
        match call:
            case (str(name), Mapping() as arguments):
                yield name, arguments
            case (function, Mapping() as arguments) if callable(function):
                yield str(getattr(function, "__name__", "")), arguments
            case _:
                raise UsageError(f"`{call!r}` in the plan's `calls` is no call", hint='write ("tool", {arguments})')


def _output(tool: Tool, arguments: Mapping[str, Any]) -> Json:
    with redirect_stdout(sys.stderr):
        return asyncio.run(tool.acall(arguments)) if tool.asynchronous else tool.call(arguments)


# with recorded results


def _recorded(options: Namespace) -> Findings:
    """Label what was recorded."""
    from interlock.adapters.functions import jsonable

    policy = given.policy(options.manifest, (), options.obligation)
    try:
        pattern = re.compile(options.canary)
    except re.error as error:
        raise UsageError(f"`{options.canary}` is no regular expression: {error}") from None
    files = sorted(Path(options.results).glob("*.json"))
    if not files:
        raise UsageError(f"`{options.results}` holds no results", hint="write each tool's result into TOOL.json")
    found = Findings()
    for file in files:
        if file.stem not in policy.tools:
            raise UsageError(
                f"`{file}` is named after no tool of {options.manifest}", hint=f"it has {listed(policy.tools)}"
            )
        output = jsonable(given.json_in(file))
        _examine(
            found, policy, options.me, file.stem, output, lambda text: {m[0] for m in pattern.finditer(text) if m[0]}
        )
    found.uncalled = _uncalled(policy, {file.stem for file in files})
    return found


# labels


def _examine(found: Findings, policy: Policy, me: Iterable[str], tool: str, output: Json, find: Find) -> None:
    """Label `output` as a run would, and look for canaries in what came of it."""
    from interlock.kernel.call import Call
    from interlock.kernel.labels import Integrity
    from interlock.kernel.spec import Show
    from interlock.provenance.labels import label
    from interlock.provenance.ledger import Ledger

    mine = (*policy.me, *me)
    leaves, _ = label(output, policy.tools[tool].returns, mine)
    labelled: set[str] = set()
    for leaf in leaves:
        text = leaf.value if isinstance(leaf.value, str) else ""
        channels = find(text)
        labelled |= channels
        own = leaf.integrity is not Integrity.EXTERNAL
        where = (leaf.field or "(outside the records)") + (" (a key)" if leaf.key else "")
        found.rows |= {
            Row(tool, where, leaf.integrity.word, channel, TRUSTED if own else EXTERNAL) for channel in channels
        }
        if own and not channels and len(text.split()) >= SENTENCE:
            found.prose.setdefault((tool, where), text)
    ledger = Ledger(tools=policy.tools, me=mine, show=Show.INLINE)
    call = Call(tool=tool, arguments={}, agent="audit", principal="audit", run="audit")
    shown = ledger.returned(call, output)
    read = {channel for text in _texts(shown.content) for channel in find(text)}
    # Neither own nor external: the model reads it, and no label says so (a key of a record that is own as a whole).
    found.rows |= {Row(tool, "(a key)", "none", channel, UNLABELLED) for channel in read - labelled}


def _texts(value: object) -> Iterator[str]:
    """Every text in `value`, keys included."""
    match value:
        case str():
            yield value
        case Mapping():
            for key, inner in value.items():
                yield str(key)
                yield from _texts(inner)
        case list() | tuple():
            for inner in value:
                yield from _texts(inner)
        case _:
            pass


def _uncalled(policy: Policy, called: set[str]) -> list[str]:
    reading = {"read", "fetch"}
    return sorted(n for n, s in policy.tools.items() if s.effect.value in reading and n not in called)


# in words


def _lines(found: Findings) -> Iterator[str]:
    if found.rows:
        rows = [("tool", "field", "label", "canary of", "verdict")]
        rows += [
            (seen(r.tool), seen(r.field, 60), r.label, seen(r.channel, 60), "ok" if not r.bad else r.verdict)
            for r in sorted(found.rows)
        ]
        yield from table(rows)
        yield ""
    for line in found.failed:
        yield f"not examined: {seen(line)}"
    for channel in found.unseen:
        yield f"warning: the canary of `{seen(channel)}` came back in no result; the plan did not reach it"
    for (tool, name), value in sorted(found.prose.items()):
        yield f"warning: `{seen(name)}` of `{seen(tool)}` is own and reads like a sentence: {seen(value, 80)}"
    for tool in found.uncalled:
        yield f"warning: no result of `{seen(tool)}` was examined"
    bad = sorted({(r.tool, r.field) for r in found.rows if r.bad})
    for tool, name in bad:
        yield f"outsiders can write `{seen(name)}` of `{seen(tool)}`: take it out of `own`, `typed`, `when`, `presumed`"
    if bad:
        yield coloured(
            f"FAILED: {len(bad)} trusted field{'s' if len(bad) > 1 else ''} can be written from outside", "bad"
        )
    elif found.failed:
        yield coloured(f"FAILED: {len(found.failed)} calls could not be examined", "bad")
    elif not found.rows:
        yield coloured("FAILED: no canary came back at all, so nothing was tested", "bad")
    else:
        yield coloured(f"passed: {len(found.rows)} canaries came back, each as external", "good")
