"""The life of a call: propose, decide, record, approve, perform, observe. The only caller of the kernel and of tools.

`propose` decides and records; nothing has happened yet. `begin` takes a permit and returns the call that may now be
made, once; `complete` takes what came of it and returns what the model may read. `call` and `acall` are all of it
around a performer. Everything that can fail fails closed: the answer is then `Forbidden`, on record if that is still
possible, and the model reads one of three constant texts (M8). That a call is invalid has a text of its own, which
names no value: a model that is not hijacked can then mend its arguments, and a hijacked one learns the schema, which
it was given anyway.

Broad `except` clauses stand at the entry points and around each port, nowhere else.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from threading import Lock
from typing import Final, Protocol, TypeAlias, TypeVar, assert_never, cast
from weakref import WeakValueDictionary

from interlock.audit.record import Record
from interlock.kernel.call import Call, Frozen, Json, Resource, canonical, digest_of, freeze, thaw
from interlock.kernel.decide import Facts, MandateState, Request, Rules, decide, decide_approved
from interlock.kernel.decision import Decision, Forbidden, Mint, NeedsApproval, Permit, Permitted
from interlock.kernel.errors import CallError, PermitError
from interlock.kernel.labels import EVERYONE, Integrity, Label, Readers
from interlock.kernel.spec import Role
from interlock.monitor import evidence
from interlock.monitor.errors import ApprovalError, MonitorError, NotPerformed, PromptRefused, RunError
from interlock.monitor.evidence import Examined
from interlock.monitor.history import Event, Proposed, Returned, Said, prefixes
from interlock.monitor.memory import Kept, Memory
from interlock.monitor.ports import Inspected, Performer, Ports, Reading, Tool
from interlock.monitor.question import Answer, Asked, Question, visible
from interlock.monitor.recent import Recent, Room
from interlock.monitor.run import Pending, Run
from interlock.policy.mandate import Mandate
from interlock.policy.policy import AgentPolicy, Policy
from interlock.policy.readback import Readback, Verdict
from interlock.policy.rules import cedar_args
from interlock.provenance.bind import Binding, bind
from interlock.provenance.ledger import Ledger, nouns_of

REFUSED: Final = (
    "This call was not made: it is not permitted in this run. Do not repeat it or work around it; "
    "go on with the rest of the task, and say at the end what could not be done."
)
INVALID: Final = "This call was not made: its arguments do not fit the tool's schema. Correct them and call again."
WITHHELD: Final = "This content was withheld: it is not permitted reading in this run."
DROPPED: Final = "The call was made. Its result cannot be shown."

UNVERIFIED: Final = "The call was made and reported success, but reading back shows that it did not take effect."

EXTERNAL_TEXT: Final = "external text"
INVALID_RULE: Final = "invalid-arguments"
ROOM = 16 << 20  # bytes of folded conversations, the least lately used of which are forgotten
MAX_ERROR = 2000  # characters of a performer's error that go on


@dataclass(frozen=True, slots=True)
class Done:
    """The call was made and returned `output`."""

    output: Json


@dataclass(frozen=True, slots=True)
class Failed:
    """The call was made, or begun, and ended with this error text."""

    error: str


Outcome: TypeAlias = Done | Failed
T = TypeVar("T")


class Do(Protocol):
    """Does some work, here or elsewhere."""

    async def __call__(self, work: Callable[[], T]) -> T:
        """What comes of it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What the model may read of a call, with its label."""

    content: Json
    label: Label
    handles: tuple[str, ...] = ()
    performed: bool
    failed: bool = False  # it was performed and ended with an error, or what it claims did not happen
    verified: Verdict | None = None  # what reading back showed, if the manifest says to read back
    record: Record | None  # of the outcome or the refusal; None if the audit did not take it


@dataclass(frozen=True, slots=True)
class _TakenIn:
    """A result in the ledger: what the model may read of it, and what the record says."""

    content: Json
    label: Label
    handles: tuple[str, ...]
    body: dict[str, object]


@dataclass(frozen=True, slots=True)
class _Made:
    """What came of a call; without the exact call if it was not made."""

    observed: Observed
    call: Call | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    """A question without its answer."""

    question: Question
    call: Call  # as the model proposed it
    asked: float
    record: int


class Monitor:
    """Mediates every call of every run under one policy."""

    def __init__(
        self,
        policy: Policy,
        ports: Ports,
        *,
        key: bytes,
        patience: float = 600.0,
        remember: int = 1024,
        room: Room | None = None,
    ) -> None:
        """Start, with the posture on record.

        `key` is 32 random bytes; an approval is worth `patience` seconds; `room` is where folded
        conversations stay in memory, those used last, and `remember` how many stay beside it that no store knows.

        Raises:
            MonitorError: a tool that the policy does not have, or a patience that is no time.
            RuleError: the rules do not parse.
            AuditError: the posture could not be recorded.
        """
        if unknown := sorted(set(ports.tools) - set(policy.tools)):
            raise MonitorError(f"`{unknown[0]}` is not in the policy; list it under `tools`")
        if not (math.isfinite(patience) and patience > 0):
            raise MonitorError("`patience` must be a number of seconds above 0")
        self._policy = policy
        self._rules = Rules(policy.rules_text, policy.effects)
        self._nouns = nouns_of(policy.tools.values())
        self._ports = ports
        self._mint = Mint(key)
        self._patience = patience
        self._latest = -math.inf
        self._time = Lock()
        room = room or Room(ROOM)
        self._runs: Recent[str, Run] = Recent(room, "run", lambda run: run.weight)
        self._memories: Recent[str, Memory] = Recent(room, "memory", lambda memory: memory.weight)
        self._owing: Recent[str, Memory] = Recent(Room(remember), "owing", lambda _: 1)
        self._alive: WeakValueDictionary[str, Memory] = WeakValueDictionary()  # all that any run has
        self._making = Lock()
        ports.audit.append("start", "", self.posture())

    # runs

    def posture(self) -> dict[str, object]:
        """What is enforced and what is not (M10), for start-up and `/readyz`."""
        tools = self._ports.tools
        return {
            "policy": self._policy.digest,
            "rules": sorted(self._rules.ids),
            "relaxed": sorted(self._policy.relaxed),
            "ports": {
                name: _named(getattr(self._ports, name))
                for name in (
                    "audit",
                    "approvals",
                    "clock",
                    "nonce",
                    "redact",
                    "redact_record",
                    "planner",
                    "blocked",
                    "inspect",
                    "guard",
                    "runs",
                )
            },
            "approvals_expire_after": self._patience,
            "when_a_guard_fails": "closed",
            "proofs": [dict(p) for p in self._ports.proofs],
            "not_enforced": {
                "performed_elsewhere": sorted(n for n in self._policy.tools if n not in tools or not tools[n].perform),
                "arguments_not_validated": sorted(
                    n for n in self._policy.tools if n not in tools or not tools[n].validate
                ),
                "resource_is_the_tool": sorted(n for n in self._policy.tools if n not in tools or not tools[n].scope),
                "agents_without_mandate": sorted(n for n, a in self._policy.agents.items() if a.mandate == "none"),
            },
        }

    def open(self, *, agent: str, principal: str, run_id: str, me: Iterable[str] = ()) -> Run:
        """A new run. `me`: further values that mean the user.

        Raises:
            RunError: the policy has no such agent.
            AuditError: it could not be recorded.
        """
        run = self._new(agent=agent, principal=principal, run_id=run_id, me=tuple(me), memory=Memory())
        self._ports.audit.append("run", run.id, {"agent": agent, "principal": principal, "policy": self._policy.digest})
        return run

    def fold(
        self,
        events: Iterable[Event],
        *,
        agent: str,
        principal: str,
        run_id: str,
        me: Iterable[str] = (),
        fresh: bool = False,
    ) -> Run:
        """The run that this history leads to; `Run.readings` is what the model is to read of each event.

        A history that extends a known one costs what is new. The same one again is the same run. `fresh`: the caller
        has just drawn `run_id`, so that no other process can know anything of it.

        Raises:
            RunError: the policy has no such agent, or a call of the history is another run's.
            MonitorError: the history holds what is no JSON.
            AuditError: something new in it could not be recorded.
        """
        history, mine = tuple(events), tuple(me)
        try:
            chain = prefixes((agent, principal, run_id, list(mine)), history)
        except (TypeError, ValueError, RecursionError) as error:
            raise MonitorError(f"the history holds what is no JSON: {type(error).__name__}") from None
        if (same := self._runs.get(chain[-1])) is not None:
            with same.lock:
                self._catch_up(same)
            self._retain(same.memory)
            return same
        run = None
        done = len(history)
        while run is None and done > 0:
            done -= 1
            run = self._runs.take(chain[done])  # taken, not copied: whoever extends it first has its ledger
        memory = run.memory if run is not None else self._memory(chain[0])
        self._retain(memory)
        with memory.lock:
            if run is None:
                run = self._new(agent=agent, principal=principal, run_id=run_id, me=mine, memory=memory)
                self._ports.audit.append(
                    "run",
                    run.id,
                    {"agent": agent, "principal": principal, "policy": self._policy.digest, "folded": True},
                )
            if not fresh:
                memory.catch_up()
                self._recall(run, {event.digest for event in history})
            for event in history[done:]:
                run.take(event)
                run.readings.append(self._event(run, event))
            memory.save()
        self._retain(memory)  # it has grown
        run.at = chain[-1]
        self._runs.put(run.at, run)
        return run

    def observe(self, run: Run, text: str, integrity: Integrity, *, source: str = "") -> Json:
        """Take `text` into the run and return what the model may read of it (M5): it is redacted first.

        `USER` is for what the user wrote and `OWN` for the operator's words; anything else that the model will read,
        and is no result of a call, is `EXTERNAL`.
        """
        with run.lock:
            if integrity is Integrity.EXTERNAL:
                self._plan(run)  # the last moment at which it is certain that nobody else has spoken
            try:
                content = self._ports.redact(text)
                if integrity is not Integrity.OWN:
                    content = self._inspected(run, content, source or integrity.word, integrity).content
            except PromptRefused:
                raise
            except Exception as error:  # noqa: BLE001 - a port: what cannot be redacted or judged is dropped
                self._ports.audit.append("dropped", run.id, {"source": source, "why": type(error).__name__})
                return DROPPED
            words = _text(content)
            if integrity is Integrity.EXTERNAL:
                run.ledger.read(words, source or EXTERNAL_TEXT)
            else:
                run.ledger.said(words, integrity, source)
            if integrity is Integrity.USER:
                run.words.append(words)
                if run.planned:  # the user went on speaking: still trusted words only
                    self._plan(run, again=True)
            return content

    def fix_mandate(self, run: Run, mandate: Mandate) -> None:
        """Fix the effects that `run` may have. Once, and before the model reads anything external.

        Raises:
            RunError: too late.
            AuditError: it could not be recorded; then the mandate is not fixed.
        """
        with run.lock:
            run.check_mandate_open()
            self._ports.audit.append("mandate", run.id, evidence.mandate(mandate, "fixed"))
            run.fix(mandate)

    def narrow_mandate(self, run: Run, mandate: Mandate) -> None:
        """Take from the run's mandate what `mandate` does not allow; always possible.

        Raises:
            AuditError: it could not be recorded; then nothing changed.
        """
        with run.lock:
            self._ports.audit.append("mandate", run.id, evidence.mandate(mandate, "narrowed by"))
            run.narrow(mandate)

    def declassify(self, run: Run, readers: Readers, *, by: str) -> None:
        """Let `readers` learn what this run has read; recorded first (M6).

        Raises:
            AuditError: it could not be recorded; then nobody was added.
        """
        with run.lock:
            names = None if readers.names is None else sorted(readers.names)
            self._ports.audit.append("declassify", run.id, {"readers": names, "by": by})
            run.ledger.declassify(readers)

    def endorse(self, run: Run, value: str, role: Role, *, kind: str = "", by: str) -> bool:
        """Let a human, `by`, vouch for `value` in this role; recorded first (M6). False if somebody did already.

        Raises:
            AuditError: it could not be recorded; then nobody vouches.
        """
        with run.lock:
            if run.ledger.endorsed(value, role, kind):
                return False
            shown = self._ports.redact_record({"value": value})
            body = {"value": shown, "role": role.value, "kind": kind, "by": by}
            self._ports.audit.append("endorse", run.id, body)
            return run.ledger.endorse(value, role, kind=kind)

    def refuse(self, run: Run, tool: str, why: str) -> Observed:
        """What the model reads of a call that is none: whose name or arguments make no `Call`. On record."""
        words = {"tool": tool[:128], "why": why}
        with run.lock:
            try:
                body: object = self._ports.redact_record(dict(words))
            except Exception as error:  # noqa: BLE001 - a port: what cannot be redacted is not kept
                body = {"dropped": type(error).__name__}
            record = {"decision": "forbidden", "rules": [INVALID_RULE], "call": body}
            self._note(run, "decision", record)
        return refusal(Forbidden(digest="", rules=(INVALID_RULE,), why=why))

    # handles

    def reveal(self, run: Run, ref: str, *, to: str) -> str:
        """The text behind a handle, for somebody other than the model: the user, or a reader without tools.

        Raises:
            ProvenanceError: this run holds no such handle.
            AuditError: it could not be recorded; then nothing is revealed.
        """
        with run.lock:
            text = run.ledger.show(ref)
            self._ports.audit.append("reveal", run.id, {"handle": ref, "to": to})
            return text

    def extracted(self, run: Run, ref: str, value: Json) -> Json:
        """Take in a typed value that was read out of a handle; what the model may read of it. It stays external.

        Raises:
            ProvenanceError: this run holds no such handle, or the value could carry a sentence.
            AuditError: it could not be recorded; then the model does not read it.
        """
        with run.lock:
            shown = run.ledger.extracted(ref, self._ports.redact(value))
            kept = self._ports.redact_record(shown.content)
            self._ports.audit.append("extract", run.id, {"handle": ref, "value": kept})
            return shown.content

    # the life of a call

    def propose(self, run: Run, call: Call) -> Decision:
        """The decision on `call`, on record (M3, M4). Nothing has happened yet."""
        with run.lock:
            try:
                examined = self._examine(run, call)
                if isinstance(examined, Forbidden):
                    return self._refused(run, call, examined)
                return self._settle(run, examined, self._decide(run, examined, approved=False))
            except Exception as error:  # noqa: BLE001 - entry point: whatever breaks refuses
                return self._refused(run, call, _broken(call, "monitor", error))
            finally:
                self._runs.again(run.at)  # the ledger has indexed what it was told

    def approve(self, run: Run, call: Call) -> Decision:
        """The decision on `call` after asking for the approval that it needs, if that is what it needs."""
        asked = self._ask(run, call)
        if not isinstance(asked, _Open):
            return asked
        try:
            answer = self._ports.approvals.ask(asked.question)
            if inspect.isawaitable(answer):
                _close(answer)
                raise ApprovalError("these approvals are asynchronous; use `aapprove` or `acall`")  # noqa: TRY301
        except Exception as error:  # noqa: BLE001 - a port: no answer is a no
            return self._answered(run, asked, error)
        return self._answered(run, asked, answer)

    async def aapprove(self, run: Run, call: Call, *, do: Do | None = None) -> Decision:
        """`approve`, for approvals of either kind. `do` does what may wait for a store: in a thread, for example."""
        do = do or _here
        asked = await do(lambda: self._ask(run, call))
        if not isinstance(asked, _Open):
            return asked
        answer: object
        try:
            answer = self._ports.approvals.ask(asked.question)
            if inspect.isawaitable(answer):
                answer = await answer
        except Exception as error:  # noqa: BLE001 - a port: no answer is a no
            answer = error
        return await do(lambda: self._answered(run, asked, answer))

    def check(self, permit: Permit, call: Call) -> None:
        """Return if `permit` is for exactly `call`; a performer's first line (M1).

        Raises:
            PermitError: it is not.
        """
        self._mint.check(permit, call.digest)

    def begin(self, run: Run, permit: Permit) -> Call:
        """The call that may now be made, with its handles resolved. A permit begins once (M2).

        Raises:
            NotPerformed: the permit is not valid here (any more), or an obligation could not be met (K8).
        """
        with run.lock:
            pending = self._take(run, permit)
            if pending.begun:
                raise NotPerformed("the permit is used")
            if pending.expires is not None and not self._within(pending.expires):
                run.drop(permit)
                self._note(run, "outcome", {"decision": pending.decision, "outcome": "expired"})
                raise NotPerformed("the approval has expired")
            run.expect(replace(pending, begun=True))
        try:
            self._ports.guard.reserve(pending.call, permit.nonce)
        except Exception as error:
            self._not_begun(run, pending, "limit", _name(error))
            raise NotPerformed("a limit is reached") from error
        for due in pending.obligations:
            try:
                self._ports.obligations[due.name](due, pending.call)
            except Exception as error:
                self._not_begun(run, pending, "obligation", f"{due.name}: {_name(error)}")
                with suppress(Exception):  # a port: what is not given back expires
                    self._ports.guard.release(pending.call, permit.nonce)
                raise NotPerformed(f"the obligation `{due.name}` was not met") from error
        return pending.call

    def hand_over(self, run: Run, permit: Permit) -> Call:
        """The call that somebody else now makes, whose result a later history brings; on record before it is returned.

        Raises:
            NotPerformed: see `begin`.
            AuditError: it could not be recorded; then it must not be handed over.
        """
        call = self.begin(run, permit)
        with run.lock:
            pending = self._take(run, permit)
            run.drop(permit)
            self._settle_limits(run, call, permit.nonce, failed=False, output=None)
            body = {"decision": pending.decision, "digest": call.digest, "outcome": "handed over"}
            self._ports.audit.append("outcome", run.id, body)
        return call

    def complete(self, run: Run, permit: Permit, outcome: Outcome) -> Observed:
        """What the model may read of `outcome`: redacted, labelled, on record, joined to its decision (M5).

        Raises:
            NotPerformed: the permit is not pending in this run, so nothing can have come of it (M1, M2).
        """
        with run.lock:
            pending = self._take(run, permit)
            run.drop(permit)
            shown = self._take_in(run, pending.call, outcome)
            self._keep(run, pending.call, outcome)
            failed = isinstance(outcome, Failed)
            self._settle_limits(run, pending.call, permit.nonce, failed=failed, output=shown)
            body = shown.body | {"decision": pending.decision, "digest": pending.call.digest}
            record = self._note(run, "outcome", body)
            content = DROPPED if record is None else shown.content
            return Observed(
                content=content,
                label=shown.label,
                handles=shown.handles,
                performed=True,
                failed=failed,
                record=record,
            )

    def call(self, run: Run, call: Call) -> Observed:
        """Propose, ask if need be, perform, observe; then read back, if the manifest says so."""
        made = self._call(run, call)
        if made.call is None or (contract := self._policy.verify.get(made.call.tool)) is None:
            return made.observed
        asked = self._readback(made, contract)
        return self._judged(run, made, contract, self._call(run, asked) if asked else None)

    async def acall(self, run: Run, call: Call) -> Observed:
        """`call`, for performers and approvals of either kind."""
        made = await self._acall(run, call)
        if made.call is None or (contract := self._policy.verify.get(made.call.tool)) is None:
            return made.observed
        asked = self._readback(made, contract)
        return self._judged(run, made, contract, await self._acall(run, asked) if asked else None)

    def _call(self, run: Run, call: Call) -> _Made:
        decision = self.propose(run, call)
        if isinstance(decision, NeedsApproval):
            decision = self.approve(run, call)
        if not isinstance(decision, Permitted):
            return _Made(refusal(decision))
        ready = self._ready(run, decision.permit)
        if isinstance(ready, Observed):
            return _Made(ready)
        perform, exact = ready
        outcome: Outcome
        try:
            with _performing(run):
                output = perform(decision.permit, exact)
            if inspect.isawaitable(output):
                _close(output)
                raise MonitorError("this tool is asynchronous; use `acall`")  # noqa: TRY301
            outcome = Done(output)
        except Exception as error:  # noqa: BLE001 - a port: its failing is an outcome
            outcome = _failed(error)
        except BaseException:  # interrupted or cancelled, with who knows what done
            self.complete(run, decision.permit, Failed("interrupted"))
            raise
        return _Made(self.complete(run, decision.permit, outcome), exact, outcome)

    async def _acall(self, run: Run, call: Call) -> _Made:
        decision = self.propose(run, call)
        if isinstance(decision, NeedsApproval):
            decision = await self.aapprove(run, call)
        if not isinstance(decision, Permitted):
            return _Made(refusal(decision))
        ready = self._ready(run, decision.permit)
        if isinstance(ready, Observed):
            return _Made(ready)
        perform, exact = ready
        outcome: Outcome
        try:
            with _performing(run):
                output = perform(decision.permit, exact)
                if inspect.isawaitable(output):
                    output = await output
            outcome = Done(output)
        except Exception as error:  # noqa: BLE001 - a port: its failing is an outcome
            outcome = _failed(error)
        except BaseException:  # interrupted or cancelled, with who knows what done
            self.complete(run, decision.permit, Failed("interrupted"))
            raise
        return _Made(self.complete(run, decision.permit, outcome), exact, outcome)

    # reading back

    def _readback(self, made: _Made, contract: Readback) -> Call | None:
        """The call that reads back what `made` claims to have done; None if nothing can be read back."""
        if made.call is None or not isinstance(made.outcome, Done):
            return None
        try:
            arguments = contract.call(thaw(made.call.arguments), _plain(made.outcome.output))
            return replace(made.call, tool=contract.tool, arguments=_frozen(arguments))
        except (TypeError, ValueError, RecursionError, CallError):  # also: a template names what is not there
            return None

    def _judged(self, run: Run, made: _Made, contract: Readback, back: _Made | None) -> Observed:
        """`made` with what reading back showed, which goes on record."""
        if made.call is None or not isinstance(made.outcome, Done):
            return made.observed  # the tool itself says that it failed
        verdict: Verdict = "unknown"
        if back is not None and isinstance(back.outcome, Done):
            with suppress(TypeError, ValueError, RecursionError):
                found, claimed = _plain(back.outcome.output), _plain(made.outcome.output)
                verdict = contract.judge(found, thaw(made.call.arguments), claimed)
        decision = made.observed.record.body.get("decision") if made.observed.record else None
        body = {"decision": decision, "digest": made.call.digest, "tool": made.call.tool, "verdict": verdict}
        with run.lock:
            self._note(run, "verified", body)
        if verdict == "failed":
            return replace(made.observed, content=UNVERIFIED, label=CONSTANT, failed=True, verified=verdict)
        return replace(made.observed, verified=verdict)

    def within(self, outer: Call, tool: str, arguments: Mapping[str, Json]) -> Observed:
        """What comes of a call that `outer`, which is being performed, makes: one like any other of its run.

        Raises:
            RunError: `outer` is not being performed here.
            CallError: it is no call.
        """
        run = _PERFORMING.get()
        if run is None or (outer.agent, outer.principal, outer.run) != (run.agent, run.principal, run.id):
            raise RunError(f"`{outer.tool}` is not being performed here, so it calls nothing")
        call = Call(tool=tool, arguments=_frozen(arguments), agent=run.agent, principal=run.principal, run=run.id)
        return self.call(run, call)

    # examine, decide, record

    def _examine(self, run: Run, call: Call) -> Examined | Forbidden:
        """What `call` would do and whose words it is made of, or a refusal that needs no rule."""
        if (call.agent, call.principal, call.run) != (run.agent, run.principal, run.id):
            return Forbidden(digest=call.digest, rules=("error:run",), why="the call is for another run")
        if run.broken:
            return Forbidden(digest=call.digest, rules=("error:ledger",), why=run.broken)
        spec = self._policy.tools.get(call.tool)
        if spec is None:
            return Forbidden(digest=call.digest, rules=("unlisted-tool",), why="the manifest has no such tool")
        self._catch_up(run)
        self._plan(run)
        tool = self._ports.tools.get(call.tool, Tool())
        try:
            arguments = cast("dict[str, Json]", run.ledger.resolve(thaw(call.arguments)))
            exact = replace(call, arguments=_frozen(tool.validate(arguments) if tool.validate else arguments))
        except Exception as error:  # noqa: BLE001 - a port: what is not valid is not made
            return Forbidden(digest=call.digest, rules=(INVALID_RULE,), why=_name(error))
        try:
            resource = tool.scope(exact) if tool.scope else Resource("Tool", call.tool)
        except Exception as error:  # noqa: BLE001 - a port: what has no resource lies outside the scope
            return Forbidden(digest=exact.digest, rules=("scope",), why=_name(error))
        origins = run.mandate.origins if run.mandate else {}
        narrowed = {path: who for (name, path), who in origins.items() if name == spec.name}
        binding = bind(run.ledger, exact, spec, narrowed)
        facts = Facts(
            listed=call.tool in self._agent(run).tools,
            unvouched=binding.unvouched,
            unpointed=binding.unpointed,
            receivers=binding.receivers,
            unnamed=binding.unnamed,
            blind=binding.blind,
            external=run.ledger.external or bool(run.memory.assumed),
            confidential=run.ledger.confidential is not None or bool(run.memory.assumed),
            sources=frozenset(run.ledger.sources),
            findings=frozenset(run.findings),
            mandate=self._mandate_state(run, call.tool),
            blocked=self._ports.blocked(exact) | self._ports.guard.blocked(exact),
            arguments=cedar_args(spec, exact.arguments, self._policy.args_used),
        )
        return Examined(
            call=exact,
            proposed=call,
            spec=spec,
            binding=binding,
            request=Request(call=exact, resource=resource, facts=facts),
        )

    def _decide(self, run: Run, examined: Examined, *, approved: bool) -> Decision:
        """What the kernel says; an obligation that nobody here can meet refuses (K8)."""
        nonce = self._ports.nonce()
        if not run.fresh(nonce):
            raise MonitorError("the nonce is no text or was used before; use `secrets.token_hex`")
        ask = decide_approved if approved else decide
        decision = ask(examined.request, self._rules, self._mint, nonce)
        if isinstance(decision, Permitted):
            unknown = [due.name for due in decision.obligations if due.name not in self._ports.obligations]
            if unknown:
                why = f"nothing here discharges `{unknown[0]}`"
                return Forbidden(digest=examined.call.digest, rules=(f"obligation:{unknown[0]}",), why=why)
        return decision

    def _settle(self, run: Run, examined: Examined, decision: Decision, *, expires: float | None = None) -> Decision:
        """Put the decision on record, then let its permit be used (M3)."""
        body = evidence.decision(examined.call, decision, examined, self._ports.redact_record)
        record = self._ports.audit.append("decision", run.id, body)
        if isinstance(decision, Forbidden):
            self._learn_refused(examined.call, decision)
        if isinstance(decision, Permitted):
            run.memory.permit(examined.proposed, examined.call, record.seq, decision.permit.nonce)
            run.expect(
                Pending(
                    permit=decision.permit,
                    call=examined.call,
                    decision=record.seq,
                    obligations=decision.obligations,
                    expires=expires,
                )
            )
        return decision

    def _refused(self, run: Run, call: Call, decision: Forbidden) -> Forbidden:
        """A refusal that stands whether or not it can be put on record."""
        try:
            body = evidence.decision(call, decision, None, self._ports.redact_record)
        except Exception as error:  # noqa: BLE001 - a port: what cannot be redacted is not kept
            body = {"decision": "forbidden", "rules": list(decision.rules), "dropped": type(error).__name__}
        self._note(run, "decision", body)
        self._learn_refused(call, decision)
        return decision

    def _learn_refused(self, call: Call, decision: Forbidden) -> None:
        """Tell the guard; that it fails changes no refusal."""
        with suppress(Exception):
            self._ports.guard.refused(call, ",".join(decision.rules))

    def _note(self, run: Run, kind: str, body: Mapping[str, object]) -> Record | None:
        """Record what has happened or been refused already; None if the audit does not take it."""
        try:
            return self._ports.audit.append(kind, run.id, body)
        except Exception:  # noqa: BLE001 - a port: nothing is permitted by this record, so nothing depends on it
            return None

    # approvals

    def _ask(self, run: Run, call: Call) -> _Open | Decision:
        """The question that `call` needs to be answered, on record as asked; or the decision, if it needs none."""
        with run.lock:
            try:
                examined = self._examine(run, call)
                if isinstance(examined, Forbidden):
                    return self._refused(run, call, examined)
                decision = self._decide(run, examined, approved=False)
                if not isinstance(decision, NeedsApproval):
                    return self._settle(run, examined, decision)
                question = self._question(run, examined, decision)
                body = {"question": question.id, "digest": question.digest, "rules": list(question.rules)}
                record = self._ports.audit.append("asked", run.id, body)
                return _Open(question=question, call=call, asked=self._now(), record=record.seq)
            except Exception as error:  # noqa: BLE001 - entry point: whatever breaks refuses
                return self._refused(run, call, _broken(call, "monitor", error))
            finally:
                self._runs.again(run.at)  # see `propose`

    def _question(self, run: Run, examined: Examined, decision: NeedsApproval) -> Question:
        nonce = self._ports.nonce()
        if not run.fresh(nonce):
            raise MonitorError("the nonce is no text or was used before; use `secrets.token_hex`")
        call, facts = examined.call, examined.request.facts
        return Question(
            id=nonce,
            digest=decision.digest,
            tool=call.tool,
            effect=examined.spec.effect,
            agent=call.agent,
            principal=call.principal,
            run=call.run,
            call=visible(canonical(thaw(call.arguments)).decode()),
            arguments=tuple(
                Asked(path=b.path, value=b.value, role=b.role, integrity=b.integrity, vouched=b.vouched, origin=b.why)
                for b in examined.binding.arguments
            ),
            rules=decision.rules,
            unpointed=tuple(sorted(facts.unpointed)),
            unnamed=tuple(sorted(facts.unnamed)),
        )

    def _answered(self, run: Run, asked: _Open, answer: object) -> Decision:
        """The decision after the answer: the same rules and facts, found anew, and one bit more."""
        question = asked.question
        with run.lock:
            try:
                expires = asked.asked + self._patience
                why = self._objection(asked, answer, expires)
                body = {"question": question.id, "digest": question.digest, "asked": asked.record, "granted": not why}
                by = answer.by if isinstance(answer, Answer) else ""
                if why:
                    self._note(run, "answer", body | {"by": by, "why": why})
                    forbidden = Forbidden(digest=question.digest, rules=question.rules, why=why)
                    return self._refused(run, asked.call, forbidden)
                self._ports.audit.append("answer", run.id, body | {"by": by})
                examined = self._examine(run, asked.call)
                if isinstance(examined, Forbidden):
                    return self._refused(run, asked.call, examined)
                if examined.call.digest != question.digest:
                    raise ApprovalError("the call is no longer the one that was approved")  # noqa: TRY301
                now = self._decide(run, examined, approved=False)
                if isinstance(now, NeedsApproval) and not set(now.rules) <= set(question.rules):
                    raise ApprovalError("a rule asks that the human was not shown")  # noqa: TRY301
                decision = self._decide(run, examined, approved=True)
                if isinstance(decision, Permitted):
                    self._endorse(run, examined.binding, by)
                return self._settle(run, examined, decision, expires=self._now() + self._patience)
            except Exception as error:  # noqa: BLE001 - entry point: whatever breaks refuses
                return self._refused(run, asked.call, _broken(asked.call, "monitor", error))

    def _objection(self, asked: _Open, answer: object, expires: float) -> str:
        """Why `answer` is not a yes to this very question; empty if it is one."""
        match answer:
            case BaseException():
                return f"no answer: {_name(answer)}"
            case Answer(question=asked.question.id, digest=asked.question.digest, granted=granted, by=by):
                if granted is not True or not by:
                    return "the human said no"
                return "" if self._within(expires) else "the answer came too late"
            case _:
                return "the answer is for another question"

    def _endorse(self, run: Run, binding: Binding, by: str) -> None:
        """Vouch for what the human has just seen and approved; once per value."""
        for b in binding.arguments:
            if not (b.vouched and b.pointed):
                for value in (b.value, *b.culprits):
                    self.endorse(run, value, b.role, kind=b.kind, by=by)

    # permits and outcomes

    def _take(self, run: Run, permit: Permit) -> Pending:
        """What waits for `permit` in this run (M1)."""
        pending = run.pending(permit) if type(permit) is Permit else None
        if pending is None:
            raise NotPerformed("the permit is used, or was never given in this run")
        try:
            self._mint.check(permit, pending.call.digest)
        except PermitError as error:
            raise NotPerformed(str(error)) from error
        return pending

    def _ready(self, run: Run, permit: Permit) -> tuple[Performer, Call] | Observed:
        """The performer and the exact call, or what the model reads if it cannot be made."""
        try:
            call = self.begin(run, permit)
        except NotPerformed:
            return refusal(None)
        perform = self._ports.tools.get(call.tool, Tool()).perform
        if perform is None:
            with run.lock:
                run.drop(permit)
                self._note(run, "outcome", {"digest": call.digest, "outcome": "no performer"})
            return refusal(None)
        return perform, call

    def _take_in(self, run: Run, call: Call, outcome: Outcome, *, folded: bool = False) -> _TakenIn:
        """Redact and label what came of `call` (M5)."""
        failed = isinstance(outcome, Failed)
        dropped = ""
        content: Json = None
        try:
            raw = outcome.error[:MAX_ERROR] if isinstance(outcome, Failed) else outcome.output
            told = raw if folded else _plain(raw)  # a performer may go on changing what it returned
            inspected = self._inspected(run, self._ports.redact(told), call.tool, Integrity.EXTERNAL)
            content = inspected.content
            body: dict[str, object] = {"outcome": "failed" if failed else "returned", "result": digest_of(content)}
            body |= evidence.findings(inspected.findings)
        except Exception as error:  # noqa: BLE001 - a port: what cannot be redacted is read by nobody
            content, failed, dropped = None, False, type(error).__name__
            body = {"outcome": "dropped", "why": dropped}
        try:
            # Also when the result is dropped: the call was made, and what it wrote is remembered.
            shown = run.ledger.returned(call, content, failed=failed)
        except Exception as error:  # noqa: BLE001 - the label is unknown, so nothing more may depend on this run
            run.broken = type(error).__name__
            return _TakenIn(DROPPED, CONSTANT, (), {"outcome": "dropped", "why": run.broken})
        if dropped:
            return _TakenIn(DROPPED, CONSTANT, (), body)
        body |= {"label": evidence.label(shown.label), "handles": list(shown.handles)}
        return _TakenIn(shown.content, shown.label, shown.handles, body)

    # histories

    def _event(self, run: Run, event: Event) -> Json:
        """Take the next event of a history into `run`; what the model is to read of it."""
        match event:
            case Said(text=text, integrity=integrity, source=source):
                if integrity is Integrity.EXTERNAL:
                    run.memory.keep(event, self._stored(event), believed=False)
                return self.observe(run, text, integrity, source=source)
            case Proposed(call=call):
                self._own(run, call)
                run.proposals[call.digest] += 1
                self._count(run, call)
                return None
            case Returned(call=call):
                self._own(run, call)
                self._plan(run)
                return self._reported(run, event)
            case _:
                assert_never(event)

    def _count(self, run: Run, call: Call) -> None:
        """A call that this monitor did not permit counts all the same: after a restart, mandates stay used up."""
        memory = run.memory
        known = memory.exact.get(call.digest)
        permitted = memory.permitted[known[0].digest] if known else 0
        if run.proposals[call.digest] > permitted + memory.elsewhere[call.digest]:
            memory.count(call)

    def _reported(self, run: Run, event: Returned) -> Json:
        """A result that somebody else reports: believed as often as this monitor permitted the call."""
        memory = run.memory
        known = memory.exact.get(event.call.digest)
        result = digest_of([event.output, event.failed])
        new = event.digest not in memory.kept
        if new:
            content = digest_of(event.output)
            self._learn_limits(run, event.call, failed=event.failed, result=content, size=len(canonical(event.output)))
        if known is not None and not memory.assumed:
            call, decision = known
            results = memory.believed.get(call.digest, set())
            if result in results or len(results) < memory.permitted[call.digest]:
                memory.keep(event, self._stored(event), believed=True, exact=call.digest, result=result)
                shown = self._take_in(run, call, _outcome(event), folded=True)
                if new:
                    self._ports.audit.append(
                        "outcome", run.id, shown.body | {"decision": decision, "digest": call.digest}
                    )
                return shown.content
        memory.keep(event, self._stored(event), believed=False)
        if new:
            self._ports.audit.append(
                "outcome", run.id, {"digest": event.call.digest, "outcome": "not ours", "result": result}
            )
        return self._disbelieve(run, event)

    def _keep(self, run: Run, call: Call, outcome: Outcome) -> None:
        """Remember a result of ours for histories that leave it out."""
        if run.memory.folded:
            output = outcome.output if isinstance(outcome, Done) else outcome.error
            try:
                event = Returned(call, _plain(output), isinstance(outcome, Failed))
            except (TypeError, ValueError, RecursionError):
                event = Returned(call, None)  # it was dropped, but the call was made
            run.memory.keep(event, self._stored(event), believed=True)
            run.taken.add(event.digest)

    def _disbelieve(self, run: Run, event: Returned) -> Json:
        """Take in a result of which nothing is believed, except that the call was made."""
        taken = self._take_in(run, event.call, Done(None))
        if run.broken:
            return taken.content
        try:
            content = self._ports.redact(event.output)
            content = self._inspected(run, content, event.call.tool, Integrity.EXTERNAL).content
        except Exception:  # noqa: BLE001 - a port: what cannot be redacted is read by nobody
            return DROPPED
        run.ledger.read(_text(content), event.call.tool)
        return content

    def _memory(self, conversation: str) -> Memory:
        """The memory of a conversation; one for all its runs, as long as any of them is there."""
        with self._making:
            found = self._alive.get(conversation)
            if found is None:
                ports = self._ports
                found = Memory(folded=True, conversation=conversation, store=ports.runs, alone=ports.alone)
                self._alive[conversation] = found
            return found

    def _retain(self, memory: Memory) -> None:
        """Keep `memory` for other runs. By number and not by size, while no store would give back what is in it."""
        if memory.told:
            self._owing.take(memory.conversation)
            self._memories.put(memory.conversation, memory)
        else:
            self._owing.put(memory.conversation, memory)

    def _catch_up(self, run: Run) -> None:
        """Take in what other processes have met in this conversation since."""
        if run.memory.store is not None:
            run.memory.catch_up()
            self._recall(run, set())

    def _recall(self, run: Run, here: set[str]) -> None:
        """Take in what another branch of this conversation has met: its effects are the same world's."""
        for digest, kept in tuple(run.memory.kept.items()):
            if digest not in here and digest not in run.taken:
                run.take(kept.event)
                self._remember(run, kept)

    def _stored(self, event: Event) -> Event:
        """`event` as a store may have it."""
        try:
            match event:
                case Said(text=text, integrity=integrity, source=source):
                    return Said(_text(self._ports.redact_record(text)), integrity, source)
                case Returned(call=call, output=output, failed=failed):
                    return Returned(call, self._ports.redact_record(output), failed)
                case Proposed():
                    return event
        except Exception:  # noqa: BLE001 - a port: what cannot be redacted is not kept
            return replace(event, output=None) if isinstance(event, Returned) else Said("", Integrity.EXTERNAL)

    def _remember(self, run: Run, kept: Kept) -> None:
        """Take in again what a rewritten history leaves out."""
        match kept.event:
            case Returned(call=call) as event if kept.believed:
                known = run.memory.exact.get(call.digest)
                self._take_in(run, known[0] if known else call, _outcome(event), folded=True)
            case Returned() as event:
                self._disbelieve(run, event)
            case Said(text=text, source=source):
                self.observe(run, text, Integrity.EXTERNAL, source=source)
            case Proposed():
                pass

    @staticmethod
    def _own(run: Run, call: Call) -> None:
        if (call.agent, call.principal, call.run) != (run.agent, run.principal, run.id):
            raise RunError("the history holds a call of another run; make its calls with the names of this one")

    # inspection and limits

    def _inspected(self, run: Run, content: Json, source: str, integrity: Integrity) -> Inspected:
        """What may be read of `content`, with what was found in it, which counts for the rest of the run.

        Raises:
            PromptRefused: these are the user's words, and this agent may not read them.
            Exception: the inspector failed; then nobody reads it.
        """
        reading = Reading(source=source, integrity=integrity, agent=run.agent, run=run.id)
        seen = self._ports.inspect(content, reading)
        for found in seen.findings:
            run.findings.add(found.id)
            if found.severity in {"medium", "high"}:  # a rule may ask for the whole family
                run.findings.add(found.id.partition("/")[0])
        if not seen.refused:
            return seen
        if integrity is Integrity.USER:
            body = {"source": source, "why": seen.refused} | evidence.findings(seen.findings)
            self._ports.audit.append("refused prompt", run.id, body)
            raise PromptRefused(seen.refused)
        return Inspected(WITHHELD, seen.findings, seen.refused)

    def halted(self, run: Run) -> str:
        """Why this run goes no further; empty if it may."""
        return self._ports.guard.halted(run.id, agent=run.agent, principal=run.principal)

    def _settle_limits(self, run: Run, call: Call, key: str, *, failed: bool, output: _TakenIn | None) -> None:
        result, size = ("", 0) if output is None else (digest_of(output.content), len(canonical(output.content)))
        self._learn_limits(run, call, key, failed=failed, result=result, size=size)

    def _learn_limits(self, run: Run, call: Call, key: str = "", *, failed: bool, result: str, size: int) -> None:
        """Tell the guard what came of `call`; its failing now changes nothing that has happened."""
        try:
            self._ports.guard.settle(call, key, failed=failed, result=result, size=size)
        except Exception as error:  # noqa: BLE001 - a port: what is not settled stays reserved
            self._note(run, "limits", {"digest": call.digest, "why": type(error).__name__})

    def _not_begun(self, run: Run, pending: Pending, outcome: str, why: str) -> None:
        with run.lock:
            run.drop(pending.permit)
            try:
                told = self._ports.redact_record(why)
            except Exception as error:  # noqa: BLE001 - a port: what cannot be redacted is not kept
                told = type(error).__name__
            self._note(run, "outcome", {"decision": pending.decision, "outcome": outcome, "why": told})

    # the rest

    def _new(self, *, agent: str, principal: str, run_id: str, me: tuple[str, ...], memory: Memory) -> Run:
        if agent not in self._policy.agents:
            raise RunError(f"the manifest has no agent `{agent}`; list it under `agents`")
        show = self._policy.agents[agent].show
        mine = (*self._policy.me, *me)
        ledger = Ledger(tools=self._policy.tools, me=mine, show=show, nouns=self._nouns)
        return Run(id=run_id, agent=agent, principal=principal, ledger=ledger, memory=memory)

    def _agent(self, run: Run) -> AgentPolicy:
        return self._policy.agents[run.agent]

    def _plan(self, run: Run, *, again: bool = False) -> None:
        """Have the mandate planned from the user's words, before anything external is read."""
        planner = self._ports.planner
        if self._agent(run).mandate != "lexical" or planner is None or (run.base is not None and not again):
            return
        tools = [self._policy.tools[name] for name in sorted(self._agent(run).tools) if name in self._policy.tools]
        mandate = planner.plan("\n".join(run.words), tools)
        change = "planned again" if again else "planned"
        self._ports.audit.append("mandate", run.id, evidence.mandate(mandate, change))
        run.plan(mandate)

    def _mandate_state(self, run: Run, tool: str) -> MandateState:
        if run.mandate is not None:
            return run.mandate.state(tool, run.memory.used[tool])
        return "none" if self._agent(run).mandate == "none" else "off"

    def _now(self) -> float:
        """The time, or NaN if nobody knows it: the clock failed or ran backwards. No comparison with NaN holds."""
        with self._time:
            try:
                now = float(self._ports.clock.now())
            except Exception:  # noqa: BLE001 - a port: without time everything that expires has expired
                return math.nan
            if not now >= self._latest:
                return math.nan
            self._latest = now
            return now

    def _within(self, expires: float) -> bool:
        return self._now() < expires


_PERFORMING: ContextVar[Run | None] = ContextVar("interlock_performing", default=None)


@contextmanager
def _performing(run: Run) -> Iterator[None]:
    """Inside, a performer makes a call of `run`; threads and tasks that copy the context are inside too."""
    token = _PERFORMING.set(run)
    try:
        yield
    finally:
        _PERFORMING.reset(token)


CONSTANT: Final = Label(Integrity.OWN, EVERYONE)


def refusal(decision: NeedsApproval | Forbidden | None) -> Observed:
    """What the model reads of a call that was not made: one of two constants (M8)."""
    invalid = isinstance(decision, Forbidden) and decision.rules == (INVALID_RULE,)
    return Observed(content=INVALID if invalid else REFUSED, label=CONSTANT, performed=False, record=None)


def _broken(call: Call, what: str, error: Exception) -> Forbidden:
    return Forbidden(digest=call.digest, rules=(f"error:{what}",), why=_name(error))


def _failed(error: Exception) -> Failed:
    return Failed(_name(error))


def _name(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


async def _here(work: Callable[[], T]) -> T:
    return work()


def _frozen(arguments: Mapping[str, Json]) -> Mapping[str, Frozen]:
    return cast("Mapping[str, Frozen]", freeze(dict(arguments)))


def _close(promise: object) -> None:
    """Let a coroutine that will not run go without a warning."""
    if inspect.iscoroutine(promise):
        promise.close()


def _plain(value: object) -> Json:
    """`value` as the JSON that it is sent as."""
    return cast("Json", json.loads(canonical(value)))


def _text(content: Json) -> str:
    return content if isinstance(content, str) else canonical(content).decode()


def _outcome(event: Returned) -> Outcome:
    return Failed(_text(event.output)) if event.failed else Done(event.output)


def _named(port: object) -> str:
    """What plays the part: a function or a class by its name."""
    return str(getattr(port, "__name__", type(port).__name__)) if port is not None else "none"
