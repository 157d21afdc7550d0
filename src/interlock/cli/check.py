"""`interlock check`: all that is wrong with a manifest, or what holds, what was guessed and what is not enforced.

What is not enforced is what the monitor says of itself at start-up (M10): one is assembled here, over no audit file.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from interlock.cli import given
from interlock.cli.show import coloured, listed, to_json
from interlock.policy.errors import PolicyError

if TYPE_CHECKING:
    from interlock.adapters.functions import Tool
    from interlock.policy.policy import Policy

_GAPS = {
    "performed_elsewhere": "performed elsewhere: no function was given for",
    "arguments_not_validated": "arguments not checked against a schema",
    "resource_is_the_tool": "what a call touches is not looked into (no scope)",
    "agents_without_mandate": "agents whose runs may have any effect that the rules permit (mandate none)",
}
_ABOUT_FUNCTIONS = frozenset({"performed_elsewhere", "arguments_not_validated"})


def arguments(parser: ArgumentParser) -> None:
    """The manifest, the functions."""
    parser.add_argument("manifest", nargs="?", default=given.MANIFEST, help=f"default: {given.MANIFEST}")
    given.add_tools(parser)
    given.add_obligations(parser)
    parser.add_argument("--json", action="store_true", help="for machines")


def run(options: Namespace) -> int:
    """Print the problems, or the summary."""
    tools = given.functions(options.tools) if options.tools else []
    try:
        policy = given.policy(options.manifest, tools, options.obligation)
    except PolicyError as error:
        if options.json:
            print(to_json({"sound": False, "problems": error.problems}))
            return 1
        for problem in error.problems:
            print(problem)
        count = len(error.problems)
        print(coloured(f"{count} problem{'s' if count > 1 else ''}; nothing was loaded", "bad"))
        return 1
    gaps = not_enforced(policy, tools if options.tools else None)
    rules = list(given.rules_in(policy.rules_text, options.obligation))
    if options.json:
        print(to_json(_summary(policy, rules, gaps)))
    else:
        print("\n".join(_lines(policy, rules, gaps, tools if options.tools else None)))
    return 0


def not_enforced(policy: Policy, tools: Sequence[Tool] | None) -> Mapping[str, Sequence[str]]:
    """What the monitor would not enforce; without functions, nothing is said of what they alone bring."""
    from interlock.assemble import assemble
    from interlock.stores.memory.audit import MemoryAudit

    functions = {t.name: t for t in tools or ()}
    posture = assemble(policy, functions, audit=MemoryAudit(clock=time.time)).posture()["not_enforced"]
    gaps: Mapping[str, Sequence[str]] = posture if isinstance(posture, Mapping) else {}
    scoped = {name for entry in policy.entries for name in entry.tools}  # not opened here: `interlock doctor` does
    left = {gap: [name for name in names if name not in scoped] for gap, names in gaps.items()}
    return {k: v for k, v in left.items() if v and not (tools is None and k in _ABOUT_FUNCTIONS)}


def told_gaps(gaps: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What is not enforced, in words."""
    yield f"not enforced: {'nothing of what is asked here' if not gaps else ''}".rstrip()
    yield from (f"  {_GAPS.get(gap, gap)}: {listed(names)}" for gap, names in gaps.items())


def inferred(policy: Policy) -> Iterator[tuple[str, list[str]]]:
    """Of each tool, what no line of the manifest says: points for a human to look at."""
    for name, spec in policy.tools.items():
        points = [f"effect {spec.effect}"] if f"{name}.effect" in policy.inferred else []
        points += [
            f"{a.path} is {a.role}{f':{a.kind}' if a.kind else ''}"
            for a in spec.arguments
            if f"{name}.arguments.{a.path}" in policy.inferred
        ]
        points += [f"refers to {spec.refers}"] if f"{name}.refers" in policy.inferred else []
        if f"{name}.returns" in policy.inferred:
            points.append(f"returns {spec.returns.object or 'a result'}, own: {listed(spec.returns.own)}")
        if points:
            yield name, points


def _lines(
    policy: Policy, rules: Sequence[str], gaps: Mapping[str, Sequence[str]], tools: Sequence[Tool] | None
) -> Iterator[str]:
    shipped = given.shipped_rules()
    own = [r for r in rules if r not in shipped]
    yield coloured(f"{policy.manifest_path}: no problem", "good")
    yield f"tools: {listed(f'{n} ({s.effect})' for n, s in policy.tools.items())}"
    for agent in policy.agents.values():
        told = f"tools {listed(sorted(agent.tools))}; mandate {agent.mandate}; external content {agent.show}"
        yield f"agent {agent.name}: {told}"
    yield f"rules: {len(rules) - len(own)} shipped, {len(own)} own{f' ({listed(own)})' if own else ''}"
    yield f"relaxed: {listed(policy.relaxed)}"
    if policy.entries:
        told = listed(f"{e.name} ({e.kind}: {listed(e.tools)})" for e in policy.entries)
        yield f"scoped, for `interlock doctor` to prove: {told}"
    yield f"digest: {policy.digest}"
    points = list(inferred(policy))
    yield f"inferred, for you to review: {'nothing' if not points else ''}".rstrip()
    yield from (f"  {name}: {'; '.join(found)}" for name, found in points)
    yield from told_gaps(gaps)
    if tools is None:
        yield "no functions were given (--tools): arguments were checked against the manifest alone"
    elif strangers := sorted({t.name for t in tools} - set(policy.tools)):
        yield f"functions that the manifest does not describe, so no agent has them: {listed(strangers)}"


def _summary(policy: Policy, rules: Sequence[str], gaps: Mapping[str, Sequence[str]]) -> dict[str, object]:
    return {
        "sound": True,
        "problems": [],
        "manifest": policy.manifest_path,
        "digest": policy.digest,
        "tools": {n: s.effect for n, s in policy.tools.items()},
        "agents": policy.agents,
        "rules": rules,
        "relaxed": policy.relaxed,
        "inferred": policy.inferred,
        "not_enforced": gaps,
    }
