"""Interlock as a monitor of the instrument: the real `interlock.monitor.Monitor`, a manifest a suite, nothing else.

The instrument issues calls and executes what passes; here each call goes through `propose`, and what was executed
through `complete`. Where the instrument's human approves, `approve` is answered with yes, so that what a person
accepted once is not asked again. No label, role or rule lives in this file.

A suite without a manifest, or a tool or an argument that its manifest does not know, is described by inference from
names and schemas, as `interlock init` does it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from interlock.kernel.call import Call
from interlock.kernel.decision import NeedsApproval, Permit, Permitted
from interlock.kernel.errors import InterlockError
from interlock.kernel.labels import Integrity
from interlock.monitor import mediate
from interlock.monitor.ports import Ports
from interlock.monitor.question import Answer, Question, yes
from interlock.policy.load import policy_from
from interlock.policy.mandate import LexicalPlanner, Mandate
from interlock.policy.policy import Policy
from interlock.stores.memory.audit import MemoryAudit

MANIFESTS = Path(__file__).parent / "manifests"
AGENT, USER = "assistant", "user"


class Yes:
    """The human of the instrument has approved already when we are told; this says so to the monitor."""

    def ask(self, question: Question) -> Answer:
        """Yes."""
        return yes(question, "the instrument's human")


class Ticks:
    """A clock that counts."""

    def __init__(self) -> None:
        self._count = count(1)

    def now(self) -> float:
        """The next second."""
        return float(next(self._count))


class Monitor:
    """Inline: the agent reads everything. Labels `tight`, mandate from the lexical planner."""

    labels = "tight"
    show = "inline"
    mandate = "lexical"
    manifests = True
    uses_oracle = False

    def start(self, task: Any) -> None:
        """Begin a session: a run with the user's words, under the suite's policy."""
        tools = tuple((t.name, t.description, json.dumps(t.parameters, sort_keys=True)) for t in task.tools)
        policy = _policy(task.suite if self.manifests else "", tools, self.labels, self.show, self.mandate)
        nonces = count(1)
        ticks = Ticks()
        ports = Ports(
            audit=MemoryAudit(clock=ticks.now),
            approvals=Yes(),
            clock=ticks,
            nonce=lambda: f"n{next(nonces)}",
            redact=lambda value: value,
            redact_record=lambda value: value,
            planner=LexicalPlanner(),
            tools={},
        )
        self._monitor = mediate.Monitor(policy, ports, key=bytes(32), patience=1e9)
        self._run = self._monitor.open(agent=AGENT, principal=USER, run_id=f"{task.suite}/{task.task_id}")
        self._monitor.observe(self._run, task.prompt, Integrity.USER)
        self._fix(task)
        self._taken = 0
        self._permit: Permit | None = None

    def _fix(self, task: Any) -> None:
        """The mandate comes from the planner."""

    def decide(self, call: Any, history: Sequence[Any]) -> str:
        """`allow`, `ask` or `deny`."""
        self._take(history)
        self._permit = None
        try:
            decision = self._monitor.propose(self._run, self._call(call))
        except InterlockError:
            return "deny"  # no call at all: a value that JSON cannot carry
        match decision:
            case Permitted(permit=permit):
                self._permit = permit
                return "allow"
            case NeedsApproval():
                return "ask"
            case _:
                return "deny"

    def _call(self, call: Any) -> Call:
        return Call(tool=call.tool, arguments=call.args, agent=AGENT, principal=USER, run=self._run.id)

    def _take(self, history: Sequence[Any]) -> None:
        """Tell the monitor what became of the calls since it was asked last."""
        for event in history[self._taken :]:
            if event.executed:
                self._complete(event.call, event.output, event.error)
        self._taken = len(history)

    def _complete(self, call: Any, output: Any, error: str | None) -> Any:
        """What the agent may read of an executed call."""
        permit = self._permit
        if permit is None:
            approved = self._monitor.approve(self._run, self._call(call))
            if not isinstance(approved, Permitted):
                raise RuntimeError(f"an approved call of `{call.tool}` is not permitted")
            permit = approved.permit
        self._permit = None
        outcome = mediate.Failed(error) if error is not None else mediate.Done(output)
        return self._monitor.complete(self._run, permit, outcome).content


class Conservative(Monitor):
    """What an outsider could set with some effort is external too."""

    labels = "conservative"


class Handles(Monitor):
    """External fields are shown as references: the agent never reads them."""

    show = "handle"

    def present(self, call: Any, output: Any, text: str) -> str:
        """What the agent reads instead of `text`: the result with handles in it."""
        failed = output is None and text not in {"None", "null", ""}  # the instrument gives an error's text alone
        content = self._complete(call, output, text if failed else None)
        return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)

    def _take(self, history: Sequence[Any]) -> None:
        """`present` took each result when it came."""


class HandlesConservative(Handles):
    """Handles with conservative labels."""

    labels = "conservative"


class Application(Monitor):
    """The mandate is an application's: here, and only here, the ground truth's list of tools stands in for it."""

    mandate = "required"
    uses_oracle = True

    def _fix(self, task: Any) -> None:
        wanted = [c.tool for c in task.oracle.calls]
        effects = {tool: wanted.count(tool) for tool in dict.fromkeys(wanted)}
        self._monitor.fix_mandate(self._run, Mandate(effects=effects, open=False, origins={}, by="application"))


class NoMandate(Monitor):
    """Provenance and rules alone: what the mandate adds shows in the difference."""

    mandate = "none"


class Inferred(Monitor):
    """No manifest at all: tools as they are described by their names and schemas. Shows what the defaults are worth."""

    manifests = False


@cache
def _policy(suite: str, tools: tuple[tuple[str, str, str], ...], labels: str, show: str, mandate: str) -> Policy:
    schemas = {name: json.loads(schema) for name, _, schema in tools}
    path = MANIFESTS / f"{suite}.yaml"
    manifest: dict[str, Any] = yaml.safe_load(path.read_text()) if path.exists() else {"version": 1, "tools": {}}
    known = {name: manifest["tools"].get(name, {}) for name in schemas}
    kinds = {t.get("returns", {}).get("object") for t in known.values()} | {t.get("refers") for t in known.values()}
    described = {name: _fitting(tool, schemas[name], kinds) for name, tool in known.items()}
    manifest |= {
        "labels": labels,
        "tools": described,
        "agents": {AGENT: {"tools": sorted(described), "show": show, "mandate": mandate}},
    }
    return policy_from(manifest).with_schemas(schemas, {name: text for name, text, _ in tools})


def _fitting(tool: Mapping[str, Any], schema: Mapping[str, Any], kinds: set[str | None]) -> dict[str, Any]:
    """The manifest's words on a tool, without those on arguments or objects that this suite does not have.

    Inference speaks of them instead.
    """
    has = schema.get("properties", {})
    arguments = {
        path: role
        for path, role in tool.get("arguments", {}).items()
        if path.split(".")[0] in has and (not role.startswith("id:") or role.removeprefix("id:") in kinds)
    }
    return {**tool, "arguments": arguments} if arguments else {k: v for k, v in tool.items() if k != "arguments"}
