"""`interlock call`: one call from the shell, decided and performed as in an agent's run, and put on record.

What the model reads goes to stdout as JSON, what the operator should know to stderr. The run is a new one that has read
nothing external; `--user` is all that it was told. Exit status: 0 the call was made, 1 it was refused, 3 it failed.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from interlock.cli import given
from interlock.cli.errors import UsageError
from interlock.cli.explain import lines, rules_of, strings
from interlock.cli.show import listed, seen, to_json
from interlock.cli.story import Story, stories

if TYPE_CHECKING:
    from interlock.adapters.functions import Tool
    from interlock.audit.record import Record
    from interlock.library import Interlock
    from interlock.monitor.ports import ApprovalPort, AuditPort
    from interlock.policy.policy import Policy

REFUSED, FAILED = 1, 3


def arguments(parser: ArgumentParser) -> None:
    """The call, and in which run it is made."""
    parser.add_argument("tool", help="what is called")
    parser.add_argument("arguments", nargs="?", default="{}", metavar="JSON", help="with what; default: {}")
    parser.add_argument("--manifest", default=given.MANIFEST, metavar="FILE", help=f"default: {given.MANIFEST}")
    parser.add_argument("--as", dest="principal", required=True, metavar="PRINCIPAL", help="for whom")
    parser.add_argument("--agent", help="by which agent; default: the first one that has the tool")
    parser.add_argument("--user", default="", metavar="TEXT", help="what the user said: the words that ask for effects")
    parser.add_argument("--me", action="append", default=[], metavar="VALUE", help="a value that means the user")
    parser.add_argument("--audit", metavar="FILE", help="default: .interlock/audit.sqlite beside the manifest")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="explain the decision; perform and record nothing")
    how.add_argument("--ask", action="store_true", help="ask at this terminal where an approval is needed")
    how.add_argument("--yes", action="store_true", help="approve; what no approval lifts stays refused")
    given.add_tools(parser)
    given.add_dotenv(parser)


def run(options: Namespace) -> int:
    """Make the call, or explain it."""
    from interlock.assemble import audit_at
    from interlock.stores.memory.audit import MemoryAudit

    tools = given.functions(options.tools) if options.tools else []
    policy = given.policy(options.manifest, tools)
    if options.tool not in policy.tools:
        raise UsageError(f"the manifest has no tool `{options.tool}`", hint=f"it has {listed(policy.tools)}")
    agent = options.agent or next((a.name for a in policy.agents.values() if options.tool in a.tools), None)
    if agent is None:
        raise UsageError(f"no agent has the tool `{options.tool}`", hint="name one with --agent")
    policy.agent(agent)
    arguments = given.json_of(options.arguments, "what follows the tool")
    audit = _Kept(MemoryAudit(clock=time.time) if options.dry_run else audit_at(options.audit, policy))
    with _opened(options, tools, audit) as lock:
        told = lock.run(agent=agent, principal=options.principal, user=options.user, me=options.me)
        if options.dry_run:
            told.propose(options.tool, arguments)
            _explain(_story(audit, told.state.id), policy)
            return 0
        observed = told.call(options.tool, arguments)
    if not observed.performed:
        _refused(_story(audit, told.state.id), policy)
        return REFUSED
    print(to_json(observed.content))
    return FAILED if observed.failed else 0


class _Kept:
    """An audit that remembers here what it was given, to tell the operator about it."""

    def __init__(self, inner: AuditPort) -> None:
        self._inner = inner
        self.records: list[Record] = []

    def append(self, kind: str, run: str, body: Mapping[str, object]) -> Record:
        """See `AuditPort.append`."""
        record = self._inner.append(kind, run, body)
        self.records.append(record)
        return record


@contextmanager
def _opened(options: Namespace, tools: list[Tool], audit: AuditPort) -> Iterator[Interlock]:
    from interlock.library import Interlock

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        lock = Interlock(
            options.manifest,
            tools,
            audit=audit,
            approvals=_approvals(options),
            secrets=given.secrets(options.dotenv),
        )
    try:
        for warning in warned:
            print(f"warning: {seen(str(warning.message))}", file=sys.stderr)
        yield lock
    finally:
        lock.close()


def _approvals(options: Namespace) -> ApprovalPort | None:
    from interlock.monitor.approvals import InProcessApprovals, TerminalApprovals

    who = f"shell:{os.getuid()}"
    if options.yes:
        return InProcessApprovals(lambda _question: True, by=who)
    return TerminalApprovals(sys.stdin, sys.stderr, by=who) if options.ask else None


def _story(audit: _Kept, run: str) -> Story:
    return stories(audit.records, run)[-1]


def _explain(story: Story, policy: Policy) -> None:
    rules, note = rules_of(story, policy)
    print("\n".join(lines(story, rules, note, made_up=True)))


def _refused(story: Story, policy: Policy) -> None:
    """Why, for the operator; the model would have read a constant text."""
    body = story.last.body
    rules, _ = rules_of(story, policy)
    print(f"refused by {seen(listed(strings(body.get('rules'))))}", file=sys.stderr)
    if body.get("decision") == "permitted":
        print("  it was permitted, and something on the way to it failed", file=sys.stderr)
    if why := body.get("why"):
        print(f"  {seen(why)}", file=sys.stderr)
    for text in rules.values():
        print("\n".join(f"  {seen(line, 10_000)}" for line in text.splitlines()), file=sys.stderr)
    print(f"hint: record {story.last.seq}; `interlock explain` and `--dry-run` say more", file=sys.stderr)
