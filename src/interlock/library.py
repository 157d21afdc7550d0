"""Two lines around an agent loop: `Interlock(manifest, tools)` once, `lock.run(...)` for each conversation.

    lock = Interlock("interlock.yaml", tools=[find_order, send_email])
    run = lock.run(agent="support", principal="emma", user="Where is order 1042?")
    ...
    reply = client.chat.completions.create(model=..., messages=messages, tools=run.openai_tools())
    messages.append(reply.choices[0].message)
    messages += run.openai_results(reply.choices[0].message)

The loop stays the application's. Tool calls are taken from what the SDK returned, decided, performed if permitted, and
come back in the same dialect; a refused call reads as a constant text. Where external content is shown as handles, the
model gets two more tools, `extract` and `show`, which have no effect outside the run.
"""

from __future__ import annotations

import secrets as randomness
import uuid
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import iscoroutinefunction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock import safeguards
from interlock.adapters import anthropic, openai
from interlock.adapters.errors import ToolError
from interlock.adapters.functions import Tool, tool_of
from interlock.adapters.proposal import Answer, Proposal, Proposed
from interlock.assemble import ASYNCHRONOUS, Opened, Secrets, assemble, not_redacted
from interlock.detect.harden import harden
from interlock.detect.output.guard import AnswerStream, Checked, OutputGuard
from interlock.detectors.inspection import Inspection
from interlock.kernel.call import Call, Json
from interlock.kernel.decision import Decision
from interlock.kernel.labels import Integrity
from interlock.kernel.spec import Show
from interlock.monitor.approvals import InProcessApprovals
from interlock.monitor.errors import ApprovalError, MonitorError, RunHalted
from interlock.monitor.mediate import Monitor, Observed
from interlock.policy.load import load_policy, policy_from
from interlock.policy.policy import Policy
from interlock.provenance.extract import check_schema, checked, read
from interlock.tools.kind import Kind
from interlock.tools.kinds import KINDS

if TYPE_CHECKING:
    from interlock.monitor.ports import (
        ApprovalPort,
        AsyncApprovalPort,
        AuditPort,
        Discharger,
        Guard,
        Inspector,
        Planner,
        Redactor,
    )
    from interlock.monitor.question import Question
    from interlock.monitor.run import Run as State
    from interlock.policy.mandate import Mandate


class SecretWarning(UserWarning):
    """A secret can be had, and should be kept in another way."""


Reader = Callable[[str, Mapping[str, object]], object]  # (text, schema) → value; a model without tools, or `read`

EXTRACT, SHOW = "extract", "show"
NOT_FOUND = "Nothing of that kind can be told from this text."
RENDERED = "It has been shown to the user."
NOT_USABLE = "This reference or schema cannot be used here."


class Interlock:
    """A manifest, the functions it speaks of, and everything that holds for all runs."""

    def __init__(
        self,
        manifest: str | Path | Mapping[str, object],
        tools: Iterable[Callable[..., Any] | Tool | Mapping[str, Any]],
        *,
        audit: AuditPort | str | Path | None = None,
        approvals: ApprovalPort | AsyncApprovalPort | Callable[[Question], bool] | None = None,
        planner: Planner | None = None,
        redact: Redactor = not_redacted,
        reader: Reader = read,
        obligations: Mapping[str, Discharger] | None = None,
        secrets: Secrets | None = None,
        kinds: Mapping[str, Kind] | None = None,
        guard: Guard | None = None,
        inspect: Inspector | None = None,
    ) -> None:
        """Load and check everything; nothing starts half-checked.

        Args:
            manifest: the path of `interlock.yaml`, or its content.
            tools: functions with type hints, or `{"name", "description", "parameters", "call"}` with a JSON Schema.
            audit: where records go; by default `.interlock/audit.sqlite` beside the manifest.
            approvals: who is asked: a port, or a function that returns True to approve; by default nobody, which
                refuses whatever needs an approval.
            planner: writes each run's mandate from the user's words; by default the lexical one.
            redact: takes out of whatever is read or recorded what must not be there. Known secrets always are.
            reader: reads typed values out of handles.
            secrets: what turns `secret://NAME` into a value: `interlock.secrets.sources.Sources`, or a function. By
                default the environment and secret files. It is asked for what the manifest names, once.
            kinds: what a tool can be beside a function; by default the scoped tools that come with Interlock.
            obligations: what does the obligations that rules name (`@obliges`), by name.
            guard: holds runs to their limits; by default the manifest's budgets, rates, breakers and loops, in this
                process, with budgets that outlive a run in `.interlock/state.sqlite`.
            inspect: looks at what a model is about to read; by default as the manifest's section `detect` says.

        Raises:
            PolicyError: manifest, rules and functions do not fit; every problem with file, line and remedy.
            ConfigError: an entry of the manifest cannot be opened safely here.
            ProofError: a tool could not show that its limits hold here.
            SecretError: a secret that the manifest names cannot be had.
            ToolError: a function that cannot be a tool.
            ApprovalError: an asynchronous function for `approvals`.
            AuditError: the audit cannot be opened.
            TermsError: a limit of the manifest cannot be meant.
        """
        functions = [tool_of(t) for t in tools]
        self.tools: dict[str, Tool] = {}
        for tool in functions:
            if tool.name in self.tools or tool.name in {EXTRACT, SHOW}:
                raise ToolError(f"`{tool.name}` is the name of two tools; give one of them another `name`")
            self.tools[tool.name] = tool
        known = KINDS if kinds is None else kinds
        schemas = {t.name: t.parameters for t in functions}
        descriptions = {t.name: t.description for t in functions}
        duties = tuple(obligations or ())
        self.policy: Policy = (
            policy_from(manifest, schemas=schemas, descriptions=descriptions, obligations=duties, kinds=known)
            if isinstance(manifest, Mapping)
            else load_policy(manifest, schemas=schemas, descriptions=descriptions, obligations=duties, kinds=known)
        )
        self._opened = Opened()
        if callable(approvals) and not hasattr(approvals, "ask"):
            if iscoroutinefunction(approvals):
                raise ApprovalError("this function approves asynchronously; pass an object with `async def ask`")
            approvals = InProcessApprovals(approvals, by="application")
        self.reader = reader
        self._opened.open(self.policy.entries, known, secrets, str(Path(self.policy.manifest_path).parent))
        try:
            for name in (n for e in self.policy.entries for n in e.tools):
                spec = self.policy.tools[name]
                self.tools[name] = Tool.from_schema(name, spec.description, spec.schema, _elsewhere)
            self._taken = self._opened.redactions(self.policy)
            self._inspector = inspect or safeguards.inspected(self.policy)
            self.monitor: Monitor = assemble(
                self.policy,
                {t.name: t for t in functions},
                opened=self._opened,
                audit=audit,
                approvals=approvals,
                planner=planner,
                redact=redact,
                obligations=obligations,
                guard=guard,
                inspect=self._inspector,
            )
        except BaseException:
            self.close()
            raise
        for warning in self._opened.vault.warnings if self._opened.vault else ():
            warnings.warn(warning, SecretWarning, stacklevel=2)

    @property
    def inspector(self) -> Inspector | None:
        """What looks at what a model is about to read."""
        return self._inspector

    def answers(self, prompt: str = "", canaries: tuple[str, ...] = ()) -> OutputGuard:
        """What checks an answer before anybody sees it; `prompt` and `canaries` must not come back in it."""
        known = self._opened.vault.matcher if self._opened.vault else None
        taken = self._taken.answers
        return safeguards.answers(self.policy, taken, known=known, prompt=prompt, canaries=canaries)

    def close(self) -> None:
        """Give back what scoped tools hold open: descriptors, connections, workers."""
        self._opened.close()

    def run(
        self,
        *,
        agent: str,
        principal: str,
        user: str = "",
        system: str = "",
        run_id: str = "",
        me: Iterable[str] = (),
        mandate: Mandate | None = None,
    ) -> Run:
        """A conversation of `agent` for `principal`, beginning with the operator's and the user's words.

        Args:
            agent: a name under `agents` in the manifest.
            principal: for whom the agent acts.
            user: what the user wrote: the only text that can ask for something.
            system: the system prompt.
            run_id: the application's own id of the conversation; a fresh one by default.
            me: further values that mean the user (an address, an account).
            mandate: the effects this run may have; by default as the manifest says.
        """
        state = self.monitor.open(agent=agent, principal=principal, run_id=run_id or uuid.uuid4().hex, me=me)
        run = Run(self, state)
        if system:
            run.system(system)
        if user:
            run.user(user)
        if mandate is not None:
            self.monitor.fix_mandate(state, mandate)
        return run


class Run:
    """One conversation. Methods with a leading `a` are for asynchronous loops."""

    def __init__(self, lock: Interlock, state: State) -> None:
        self._lock, self.state = lock, state
        self._prompt, self._canaries = "", tuple[str, ...]()
        self.rendered: list[str] = []  # what `show` gave out, for the application to put before the user
        agent = lock.policy.agent(state.agent)
        self._tools = [t for name, t in lock.tools.items() if name in agent.tools]
        shows = [agent.show, *(s for t in self._tools for s in lock.policy.tools[t.name].returns.show.values())]
        self._inner = {t.name: t for t in self._helpers()} if Show.HANDLE in shows else {}

    # What is read

    def user(self, text: str) -> str:
        """Take in what the user wrote; what the model may read of it."""
        return str(self._lock.monitor.observe(self.state, text, Integrity.USER))

    def system(self, text: str, *, hardened: bool = False) -> str:
        """Take in the operator's words; what to send to the model.

        `hardened` adds rules, what the marks around foreign text mean, and a canary that no answer may hold.

        Raises:
            MonitorError: hardening wants the manifest's own inspector, whose marks it explains.
        """
        shown = str(self._lock.monitor.observe(self.state, text, Integrity.OWN))
        self._prompt += f"{shown}\n"
        if not hardened:
            return shown
        if not isinstance(self._lock.inspector, Inspection):
            raise MonitorError("`hardened` needs the section `detect` of the manifest, and no inspector of your own")
        made = harden(shown, nonce=randomness.token_hex(16), marker=self._lock.inspector.marker(self.state.id))
        self._canaries = (*self._canaries, made.canary)
        return made.text

    def external(self, text: str, *, source: str) -> str:
        """Take in text from outside that reaches the model by another way than a tool: a document, an attachment."""
        return str(self._lock.monitor.observe(self.state, text, Integrity.EXTERNAL, source=source))

    # Calls

    def propose(self, tool: str, arguments: Mapping[str, object]) -> Decision:
        """The decision on a call; nothing happens."""
        return self._lock.monitor.propose(self.state, self._call(tool, arguments))

    def call(self, tool: str, arguments: Mapping[str, object]) -> Observed:
        """Decide, ask if need be, perform, observe.

        Raises:
            RunHalted: the run goes no further; the call was not made.
        """
        return self._going(self._lock.monitor.call(self.state, self._call(tool, arguments)))

    async def acall(self, tool: str, arguments: Mapping[str, object]) -> Observed:
        """The same for asynchronous tools and approvals."""
        token = ASYNCHRONOUS.set(True)
        try:
            return self._going(await self._lock.monitor.acall(self.state, self._call(tool, arguments)))
        finally:
            ASYNCHRONOUS.reset(token)

    def _going(self, seen: Observed) -> Observed:
        """`seen`, unless the run is over: whoever drives a model in circles must hear it, not the model."""
        if not seen.performed and (why := self._lock.monitor.halted(self.state)):
            raise RunHalted(f"run `{self.state.id}` is halted: {why}")
        return seen

    def answer(self, text: str) -> Checked:
        """Check what the model answers before anybody sees it, as the manifest's section `answers` says."""
        return self._lock.answers(self._prompt, self._canaries).check(text)

    def answer_stream(self) -> AnswerStream:
        """The same for an answer that comes in pieces."""
        return self._lock.answers(self._prompt, self._canaries).stream()

    def _call(self, tool: str, arguments: Mapping[str, object]) -> Call:
        s = self.state
        return Call(tool=tool, arguments=arguments, agent=s.agent, principal=s.principal, run=s.id)  # type: ignore[arg-type]

    # OpenAI

    def openai_tools(self, *, strict: bool = False) -> list[dict[str, Any]]:
        """`tools=` of `client.chat.completions.create`."""
        return openai.chat_tools(self._all(), strict=strict)

    def openai_results(self, message: object) -> list[dict[str, Any]]:
        """One tool message a call, to append to `messages` after `message` itself; empty without calls."""
        proposed = openai.chat_proposals(message)
        return openai.chat_results(proposed, self._answers(proposed))

    async def aopenai_results(self, message: object) -> list[dict[str, Any]]:
        """`openai_results` for asynchronous loops."""
        proposed = openai.chat_proposals(message)
        return openai.chat_results(proposed, await self._aanswers(proposed))

    def openai_responses_tools(self, *, strict: bool = False) -> list[dict[str, Any]]:
        """`tools=` of `client.responses.create`."""
        return openai.responses_tools(self._all(), strict=strict)

    def openai_responses_results(self, response: object) -> list[dict[str, Any]]:
        """One `function_call_output` a call, to append to `input`."""
        proposed = openai.responses_proposals(response)
        return openai.responses_results(proposed, self._answers(proposed))

    async def aopenai_responses_results(self, response: object) -> list[dict[str, Any]]:
        """`openai_responses_results` for asynchronous loops."""
        proposed = openai.responses_proposals(response)
        return openai.responses_results(proposed, await self._aanswers(proposed))

    # Anthropic

    def anthropic_tools(self, *, strict: bool = False) -> list[dict[str, Any]]:
        """`tools=` of `client.messages.create`."""
        return anthropic.anthropic_tools(self._all(), strict=strict)

    def anthropic_results(self, message: object) -> list[dict[str, Any]]:
        """The user message with one `tool_result` a call, to append to `messages`; empty without calls."""
        proposed = anthropic.anthropic_proposals(message)
        return anthropic.anthropic_results(proposed, self._answers(proposed))

    async def aanthropic_results(self, message: object) -> list[dict[str, Any]]:
        """`anthropic_results` for asynchronous loops."""
        proposed = anthropic.anthropic_proposals(message)
        return anthropic.anthropic_results(proposed, await self._aanswers(proposed))

    # Mediation of one message

    def _all(self) -> list[Tool]:
        return [*self._tools, *self._inner.values()]

    def _answers(self, proposed: Sequence[Proposed]) -> list[Answer]:
        return [self._beforehand(p) or _answer(self.call(p.name, _arguments(p))) for p in proposed]

    async def _aanswers(self, proposed: Sequence[Proposed]) -> list[Answer]:
        return [self._beforehand(p) or _answer(await self.acall(p.name, _arguments(p))) for p in proposed]

    def _beforehand(self, proposed: Proposed) -> Answer | None:
        """The answer to what is no call of a tool: one that cannot be read, or one for `extract` or `show`."""
        if not isinstance(proposed, Proposal):
            return _answer(self._lock.monitor.refuse(self.state, proposed.name, proposed.problem))
        inner = self._inner.get(proposed.name)
        if inner is None:
            return None
        try:
            return Answer(inner.call(proposed.arguments))
        except Exception:  # noqa: BLE001 - the reader is the application's, and what it raises may quote the text
            return Answer(NOT_USABLE, failed=True)

    def _helpers(self) -> list[Tool]:
        ref = {"type": "string", "description": "The value of `$ref`, for example r7."}
        wanted = {"type": "object", "description": "JSON Schema: numbers, booleans, enum, or text with a format."}
        return [
            Tool.from_schema(
                EXTRACT,
                "Reads a typed value (number, boolean, choice, date, email, uri, iban) out of a text that is shown as "
                '{"$ref": ...}. Pass a reference itself wherever a tool takes the text.',
                {"type": "object", "properties": {"ref": ref, "schema": wanted}, "required": ["ref", "schema"]},
                self._extract,
            ),
            Tool.from_schema(
                SHOW,
                'Shows the text behind a {"$ref": ...} to the user, who can read it; you cannot.',
                {"type": "object", "properties": {"ref": ref}, "required": ["ref"]},
                self._show,
            ),
        ]

    def _extract(self, *, ref: str, schema: dict[str, object]) -> Json:
        check_schema(schema)
        text = self._lock.monitor.reveal(self.state, ref, to="reader")
        value = checked(self._lock.reader(text, schema), schema)
        return NOT_FOUND if value is None else self._lock.monitor.extracted(self.state, ref, value)

    def _show(self, *, ref: str) -> str:
        self.rendered.append(self._lock.monitor.reveal(self.state, ref, to="user"))
        return RENDERED


def _elsewhere(**_arguments: object) -> None:
    raise ToolError("a scoped tool is performed by the monitor alone")


def _answer(seen: Observed) -> Answer:
    return Answer(seen.content, failed=seen.failed or not seen.performed)


def _arguments(proposed: Proposed) -> Mapping[str, object]:
    return proposed.arguments if isinstance(proposed, Proposal) else {}
