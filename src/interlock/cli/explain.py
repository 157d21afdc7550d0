"""`interlock explain`: why a call was permitted, refused or sent to approval, from what the audit says, and only that.

A call that was never made is explained the same way: it is proposed to a monitor without an audit file, in a run that
has read what `--read` says. Nothing is performed.
"""

from __future__ import annotations

import re
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock.cli import given
from interlock.cli.audit import endorsed, mandate
from interlock.cli.errors import UsageError
from interlock.cli.show import at, coloured, listed, plain, seen, to_json
from interlock.cli.story import Story, stories
from interlock.kernel.errors import InterlockError

if TYPE_CHECKING:
    from interlock.adapters.functions import Tool
    from interlock.audit.record import Record
    from interlock.kernel.call import Call
    from interlock.kernel.decision import Obligation
    from interlock.monitor.mediate import Monitor
    from interlock.monitor.run import Run
    from interlock.policy.policy import Policy

_DIGEST = re.compile(r"[0-9a-f]{6,64}")
_SEQ = re.compile(r"[0-9]{1,12}")
_MOOD = {"permitted": "good", "needs-approval": "open", "forbidden": "bad"}
_NAMES = {"permitted": "PERMITTED", "needs-approval": "NEEDS APPROVAL", "forbidden": "REFUSED"}
# What decides beside the rules.
_MONITOR_RULES = {
    "default-deny": "no rule permits the call",
    "unlisted-tool": "the agent has no such tool",
    "invalid-arguments": "the arguments do not fit the tool's schema",
    "scope": "the call touches nothing inside the tool's scope",
    "error:monitor": "something broke while the call was judged, which refuses it",
    "error:run": "the call is for another run",
    "error:ledger": "the labels of this run are no longer known",
    "error:request": "the rule engine cannot carry this request",
}


def arguments(parser: ArgumentParser) -> None:
    """A recorded call, or one that is made up."""
    parser.add_argument(
        "call",
        nargs="?",
        metavar="SEQ|DIGEST|last",
        help="the number of a record, the beginning of a digest, or the last call (the default)",
    )
    parser.add_argument("--audit", metavar="FILE", help="default: .interlock/audit.sqlite beside the manifest, or here")
    parser.add_argument(
        "--stream", default="", metavar="NAME", help="the chain of this writer; default: the unnamed one"
    )
    parser.add_argument("--run", dest="run_id", metavar="ID", help="of this run only")
    parser.add_argument("--manifest", metavar="FILE", help="the manifest, to read the rules in")
    parser.add_argument("--json", action="store_true", help="for machines")
    given.add_obligations(parser)
    made_up = parser.add_argument_group("a call that was never made (with --manifest)")
    made_up.add_argument("--tool", help="what would be called")
    made_up.add_argument("--arguments", metavar="JSON", help="with what")
    made_up.add_argument("--user", metavar="TEXT", help="what the user said")
    made_up.add_argument("--system", metavar="TEXT", help="what the operator said")
    made_up.add_argument(
        "--read",
        action="append",
        default=[],
        metavar="FILE.json:TOOL[:ARGUMENTS]",
        help="a result that the run has read; may be repeated",
    )
    made_up.add_argument("--agent", help="default: the first agent that has the tool")
    made_up.add_argument("--principal", default="user", help="for whom; default: user")
    made_up.add_argument("--me", action="append", default=[], metavar="VALUE", help="a value that means the user")
    given.add_tools(made_up)


def run(options: Namespace) -> int:
    """Print the explanation."""
    functions = given.functions(options.tools) if options.tools else []
    policy = given.policy(options.manifest, functions, options.obligation) if options.manifest else None
    if options.tool is not None:
        if policy is None or options.call is not None or options.audit is not None:
            raise UsageError("`--tool` explains a call that was never made", hint="give --manifest, and no audit")
        story = _made_up(options, policy, {f.name: f for f in functions})
    elif options.arguments is not None or options.user is not None or options.system is not None or options.read:
        raise UsageError("a call that was never made needs `--tool`")
    else:
        story = _recorded(options, policy)
    rules, note = rules_of(story, policy, options.obligation)
    if options.json:
        names = ("decision", "asked", "answer", "endorsed", "final", "outcome", "mandates")
        told = {name: plain(getattr(story, name)) for name in names}
        print(to_json(told | {"policy": story.policy, "rules": rules, "note": note}))
    else:
        print("\n".join(lines(story, rules, note, made_up=options.tool is not None)))
    return 0


# a recorded call


def _recorded(options: Namespace, policy: Policy | None) -> Story:
    from interlock.assemble import AUDIT_FILE

    folder = Path(policy.manifest_path).parent if policy else Path()
    audit = given.audit(options.audit or folder / AUDIT_FILE, stream=options.stream)
    wanted = options.call or "last"
    target = _target(audit.records(), wanted, options.run_id)
    if target is None:
        where = f" of run `{options.run_id}`" if options.run_id else ""
        raise UsageError(
            f"the audit has no call `{wanted}`{where}", hint="`interlock audit show FILE` lists what it has"
        )
    story = next((s for s in stories(audit.records(), target.run) if s.has(target.seq)), None)
    if story is None:
        raise UsageError(f"record {target.seq} is `{target.kind}`, which belongs to no call", hint="name a `decision`")
    return story


def _target(records: Iterable[Record], wanted: str, run: str | None) -> Record | None:
    ours = (r for r in records if run is None or r.run == run)
    if wanted == "last":
        return _last(r for r in ours if r.kind == "decision")
    if _SEQ.fullmatch(wanted):
        return next((r for r in ours if r.seq == int(wanted)), None)
    if not _DIGEST.fullmatch(wanted):
        raise UsageError(f"`{wanted}` names no record", hint="a number, six or more hex digits of a digest, or `last`")
    return _last(
        r
        for r in ours
        if r.digest.startswith(wanted) or (r.kind == "decision" and str(r.body.get("digest", "")).startswith(wanted))
    )


def _last(records: Iterable[Record]) -> Record | None:
    found = None
    for found in records:  # noqa: B007 - the last one is what is wanted
        pass
    return found


# a call that was never made


def _made_up(options: Namespace, policy: Policy, functions: Mapping[str, Tool]) -> Story:
    from interlock.assemble import Opened, assemble
    from interlock.stores.memory.audit import MemoryAudit
    from interlock.tools.kinds import KINDS

    if options.tool not in policy.tools:
        raise UsageError(f"the manifest has no tool `{options.tool}`", hint=f"it has {listed(policy.tools)}")
    if options.tool in policy.pending and policy.args_used:
        told = f"rules read arguments, and nothing describes those of `{options.tool}`"
        raise UsageError(told, hint="give the functions with --tools")
    agent = options.agent or next((a.name for a in policy.agents.values() if options.tool in a.tools), None)
    if agent is None:
        raise UsageError(f"no agent has the tool `{options.tool}`", hint="name one with --agent")
    policy.agent(agent)
    audit = MemoryAudit(clock=time.time)
    wanted = {options.tool, *(_parts(reading, policy)[1] for reading in options.read)}
    entries = [entry for entry in policy.entries if wanted & set(entry.tools)]  # they know what a call would touch
    opened = Opened()
    opened.open(entries, KINDS, None, str(Path(policy.manifest_path).parent))
    duties = dict.fromkeys(options.obligation, _discharged)
    try:
        monitor = assemble(policy, functions, opened=opened, audit=audit, obligations=duties)
        _propose(options, policy, monitor, agent)
    finally:
        opened.close()
    return stories(audit.records(), "made-up")[-1]


def _propose(options: Namespace, policy: Policy, monitor: Monitor, agent: str) -> None:
    from interlock.kernel.labels import Integrity

    state = monitor.open(agent=agent, principal=options.principal, run_id="made-up", me=options.me)
    if options.system:
        monitor.observe(state, options.system, Integrity.OWN)
    if options.user:
        monitor.observe(state, options.user, Integrity.USER)
    for reading in options.read:
        _read(monitor, state, policy, reading)
    arguments = given.json_of(options.arguments or "{}", "`--arguments`")
    monitor.propose(state, _call(state, options.tool, arguments))


def _discharged(obligation: Obligation, call: Call) -> None:
    """Nothing to do for a call that will not be made."""


def _read(monitor: Monitor, state: Run, policy: Policy, reading: str) -> None:
    """Let the run read a result, as it would have come about: by a call that was permitted."""
    from interlock.kernel.decision import Permitted
    from interlock.monitor.mediate import Done

    file, tool, with_arguments = _parts(reading, policy)
    content: Any = given.json_in(file)
    arguments = given.json_of(with_arguments or "{}", "what follows the tool in `--read`")
    decision = monitor.propose(state, _call(state, tool, arguments))
    if not isinstance(decision, Permitted):
        told = f"the run could not have read {file}: `{tool}` would not be permitted, by {listed(decision.rules)}"
        why = getattr(decision, "why", "")
        raise InterlockError(told + (f" ({why})" if why else ""), hint="give its arguments: FILE.json:TOOL:{…}")
    monitor.complete(state, decision.permit, Done(content))


def _parts(reading: str, policy: Policy) -> tuple[str, str, str]:
    """(file, tool, arguments) of `FILE:TOOL[:ARGUMENTS]`; names of tools may hold colons too."""
    cuts = [i for i, c in enumerate(reading) if c == ":"]
    for cut in cuts:
        rest = reading[cut + 1 :]
        for tool in sorted(policy.tools, key=len, reverse=True):
            if rest == tool or rest.startswith(f"{tool}:"):
                return reading[:cut], tool, rest[len(tool) + 1 :]
    raise UsageError(f"`{reading}` names no tool of the manifest", hint="write `FILE.json:TOOL`")


def _call(state: Run, tool: str, arguments: Mapping[str, Any]) -> Call:
    from interlock.kernel.call import Call

    return Call(tool=tool, arguments=arguments, agent=state.agent, principal=state.principal, run=state.id)


# in words


def rules_of(story: Story, policy: Policy | None, obligations: Sequence[str] = ()) -> tuple[dict[str, str], str]:
    """The text of each rule that the decisions name, and what is to be said of these texts."""
    if policy is None:
        return {}, "with --manifest, the text of the rules is shown"
    if story.policy != policy.digest:
        told = f"the manifest is not what was in force: it is sha256:{policy.digest}, recorded was "
        return {}, told + (f"sha256:{story.policy}" if story.policy else "none") + "; its rules are not shown"
    known = given.rules_in(policy.rules_text, obligations)
    named = [r.removeprefix("error:") for d in (story.decision, story.last) for r in strings(d.body.get("rules"))]
    return {name: known[name] for name in dict.fromkeys(named) if name in known}, ""


def lines(story: Story, rules: Mapping[str, str], note: str, *, made_up: bool) -> Iterator[str]:
    """The whole story for people; `made_up` if nothing was performed or recorded."""
    body, last = story.decision.body, story.last.body
    decided = str(last.get("decision"))
    yield coloured(
        f"{_NAMES.get(decided, seen(decided))}: {seen(body.get('tool') or 'a call that is none')}",
        _MOOD.get(decided, "bad"),
    )
    who = f"by agent {seen(body.get('agent'))} for {seen(body.get('principal'))}"
    effect = f", effect {seen(body['effect'])}" if "effect" in body else ""
    yield f"  {who}{effect}"
    if made_up:
        yield "  made up: nothing was performed or recorded"
    else:
        yield f"  record {story.decision.seq}, run {seen(story.decision.run)}, {at(story.decision.at)}"
    if body.get("digest"):
        yield f"  digest {seen(body['digest'])}"
    yield from _arguments(body)
    yield ""
    yield "why"
    yield from _why(story, rules, note)
    yield from _facts(body.get("facts"), story)
    yield from _approval(story, made_up=made_up)
    yield from _outcome(story, made_up=made_up)


def _arguments(body: Mapping[str, object]) -> Iterator[str]:
    bound = [b for b in _list(body.get("bound")) if isinstance(b, Mapping)]
    yield ""
    if not bound:  # refused before anybody asked where the values come from, or nothing to ask about
        call = body.get("arguments", body.get("call"))
        yield f"arguments: {seen(call) if call else 'none'}"
        return
    yield "arguments (! nobody whom its role accepts vouches for it, or the user does not mean it)"
    for b in bound:
        kind = f":{b.get('kind')}" if b.get("kind") else ""
        good = b.get("vouched") is True and b.get("pointed") is True
        yield f"  {' ' if good else '!'} {seen(b.get('path'))} = {seen(b.get('value'))}"
        yield f"      {seen(b.get('role'))}{seen(kind)}; {_vouched(b)}: {seen(b.get('why'))}"


def _vouched(bound: Mapping[str, object]) -> str:
    if bound.get("vouched") is not True:
        return "not vouched"
    pointed = "" if bound.get("pointed") is True else ", but not what the user means"
    word = "accepted" if bound.get("integrity") == "external" else f"vouched ({seen(bound.get('integrity'))})"
    return f"{word}{pointed}"


def _why(story: Story, rules: Mapping[str, str], note: str) -> Iterator[str]:
    steps = [story.decision] if story.final is None else [story.decision, story.final]
    for record in steps:
        decision = str(record.body.get("decision"))
        yield f"  {_NAMES.get(decision, seen(decision)).lower()} by {seen(listed(strings(record.body.get('rules'))))}"
        if why := record.body.get("why"):
            yield f"    {seen(why)}"
    for name in dict.fromkeys(r for record in steps for r in strings(record.body.get("rules"))):
        plain_name = name.removeprefix("error:")
        if plain_name in rules:
            yield f"  rule {seen(name)}{' (it failed to evaluate, which forbids)' if plain_name != name else ''}"
            yield from (f"    {seen(line, 10_000)}" for line in rules[plain_name].splitlines())
        elif name in _MONITOR_RULES:
            yield f"  {name}: {_MONITOR_RULES[name]}"
        elif name.startswith("obligation:"):
            yield f"  {seen(name)}: nothing discharges this obligation, so the call is refused"
    if note:
        yield f"  ({note})"


def _facts(facts: object, story: Story) -> Iterator[str]:
    if not isinstance(facts, Mapping):
        return
    yield ""
    yield "facts"
    yield f"  the run has read {_read_before(facts)}"
    for key, told in (
        ("unvouched", "not vouched"),
        ("unpointed", "not what the user's words mean"),
        ("receivers", "will receive something"),
        ("unnamed", "receivers that the user did not name"),
        ("findings", "findings"),
        ("blocked", "blocked, which no approval lifts"),
    ):
        if names := strings(facts.get(key)):
            yield f"  {told}: {seen(listed(names))}"
    if facts.get("listed") is not True:
        yield "  the agent does not have this tool"
    if story.decision.body.get("effect") == "read":
        return  # what follows is asked of effects only
    if facts.get("blind") is True:
        yield "  no argument of the call is one that anybody could vouch for"
    yield f"  mandate: {_MANDATE.get(str(facts.get('mandate')), seen(facts.get('mandate')))}"
    for record in story.mandates:
        yield f"    {seen(mandate(record.body))}"


_MANDATE = {
    "none": "none for this tool",
    "on": "the call is within it",
    "off": "the call is outside of it",
}


def _read_before(facts: Mapping[str, object]) -> str:
    read = []
    if facts.get("external") is True:
        read.append(f"external content, from {seen(listed(strings(facts.get('sources')), otherwise='outside'))}")
    if facts.get("confidential") is True:
        read.append("confidential data")
    return " and ".join(read) or "nothing external and nothing confidential"


def _approval(story: Story, *, made_up: bool) -> Iterator[str]:
    if story.last.body.get("decision") == "needs-approval" and story.asked is None:
        yield ""
        asked = "a human would be asked" if made_up else "nobody was asked"
        yield f"approval: {asked}; a yes to exactly this call permits it"
    if story.asked is None:
        return
    yield ""
    yield "approval"
    yield f"  asked, record {story.asked.seq}, {at(story.asked.at)}: question {seen(story.asked.body.get('question'))}"
    if story.answer is None:
        yield "  there is no answer"
        return
    answer = story.answer.body
    word = "yes" if answer.get("granted") is True else "no"
    why = f": {seen(answer['why'])}" if answer.get("why") else ""
    yield f"  {word}, from {seen(answer.get('by') or 'nobody')}, record {story.answer.seq}, {at(story.answer.at)}{why}"
    for record in story.endorsed:
        e = record.body
        yield f"  {seen(e.get('by'))} vouched for {seen(endorsed(e))} as {seen(e.get('role'))}, record {record.seq}"


def _outcome(story: Story, *, made_up: bool) -> Iterator[str]:
    if made_up or story.last.body.get("decision") != "permitted":
        return
    yield ""
    if story.outcome is None:
        yield "outcome: none on record; the call may or may not have been made"
        return
    body = story.outcome.body
    label = body.get("label")
    told = f"; its result is {seen(label.get('integrity'))}" if isinstance(label, Mapping) else ""
    why = f": {seen(body['why'])}" if body.get("why") else ""
    yield f"outcome: {seen(body.get('outcome'))}{why}, record {story.outcome.seq}, {at(story.outcome.at)}{told}"


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def strings(value: object) -> list[str]:
    """The texts of a list that a record holds."""
    return [str(v) for v in _list(value)]
