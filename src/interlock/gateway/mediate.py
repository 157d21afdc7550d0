"""The life of one request: read, fold, rewrite, forward; then step by step through the answer, until the client has it.

Nothing is forwarded that was not read whole, and no call reaches the client before the monitor has permitted it, its
decision is on the disk (M3) and its permit is begun. Text flows at once. Whatever breaks in between ends the client's
answer with an error of its dialect: what was held is dropped.

The monitor is synchronous. With state in memory or in SQLite it runs where it is called; with a database elsewhere in a
thread, so that nobody waits for somebody else's round trip.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import orjson

from interlock.approvals.errors import StillPending
from interlock.approvals.stored import StoredApprovals
from interlock.audit.errors import AuditError
from interlock.config import Settings
from interlock.detect.output.guard import AnswerStream, OutputGuard
from interlock.gateway.auth import Subject
from interlock.gateway.errors import Dialect, Refusal
from interlock.gateway.history import WAITING, Conversation, Histories, Marks, call_of, conversation
from interlock.gateway.limits import Writer
from interlock.gateway.metrics import Metrics
from interlock.gateway.upstream import FAULTS, Answer, Client, Routes, Upstream
from interlock.kernel.call import Call, Json
from interlock.kernel.decision import Decision, NeedsApproval, Permitted
from interlock.kernel.errors import InterlockError
from interlock.limits import estimate
from interlock.limits.errors import LimitError
from interlock.limits.guard import Limits
from interlock.limits.prices import Usage as Tokens
from interlock.monitor.errors import NotPerformed, PromptRefused
from interlock.monitor.mediate import INVALID, REFUSED, Monitor, refusal
from interlock.monitor.ports import ApprovalPort, AsyncApprovalPort
from interlock.monitor.question import Answer as Answered
from interlock.monitor.question import Question
from interlock.monitor.run import Run
from interlock.wire.errors import WireError
from interlock.wire.events import Allowed, Usage, Words
from interlock.wire.format import Format
from interlock.wire.shelf import Prefixes
from interlock.wire.steps import HEARTBEAT, AllRefused, Channel, Emit, Failed, Judge, Machine, Step, Texts
from interlock.wire.view import RequestView

BROKEN = "this gateway could not mediate the answer"
LARGE = 256 * 1024  # bytes of a body that takes long enough to read for others to notice
SOON = 0.05  # seconds after which marks that nobody waits for are in the store
TO_ASK = 10.0  # seconds that a question may take to be stored
MAX_HEARD = 2_000_000  # characters of an answer's texts that are remembered by their digest

T = TypeVar("T")
log = logging.getLogger("interlock.gateway")


@dataclass(slots=True, eq=False)
class Asked:
    """The question that a call waits for."""

    ref: str = ""
    pending: bool = False  # it stays open, and nobody has answered it
    waits: asyncio.Event = field(default_factory=asyncio.Event)  # for a human, under its name
    concluding: bool = False  # it is answered, and that is used up


_ASKED: ContextVar[Asked | None] = ContextVar("interlock_asked", default=None)


class Asking:
    """An approval port that tells which question is open; who answers synchronously is asked in a thread."""

    def __init__(self, inner: ApprovalPort | AsyncApprovalPort) -> None:
        self._inner = inner

    async def ask(self, question: Question) -> Answered:
        """What the inner port answers."""
        asked = _ASKED.get() or Asked()
        asked.ref = question.id
        try:
            if isinstance(self._inner, StoredApprovals):
                entry, terms = await asyncio.to_thread(self._inner.post, question)
                asked.ref = entry.id  # an open question for the same call is taken up again
                if entry.id == question.id or await asyncio.to_thread(self._inner.pending, entry.id):
                    asked.waits.set()
                    await self._inner.wait_for(entry.id)
                asked.concluding = True
                return await asyncio.to_thread(self._inner.conclude, question, entry.id, terms)
            asked.waits.set()
            if inspect.iscoroutinefunction(self._inner.ask):
                answer: Answered = await self._inner.ask(question)
                return answer
            return await asyncio.to_thread(self._inner.ask, question)  # type: ignore[arg-type]
        except StillPending:
            asked.pending = True
            raise


class Guarded:
    """`OutputGuard` on each text of an answer: what it withholds, the client does not read."""

    def __init__(self, guard: OutputGuard) -> None:
        self._guard = guard
        self._streams: dict[Channel, AnswerStream] = {}

    def text(self, channel: Channel, piece: str) -> str:
        """What may be shown after `piece`."""
        stream = self._streams.get(channel)
        if stream is None:
            stream = self._streams[channel] = self._guard.stream()
        return stream.feed(piece)

    def flush(self, channel: Channel) -> str:
        """The rest of a text; one that was refused stays so."""
        stream = self._streams.get(channel)
        if stream is None or stream.refused:
            return ""
        del self._streams[channel]
        return stream.end()


class Heard:
    """The texts that the client gets, to know them again."""

    def __init__(self, inner: Texts) -> None:
        self._inner = inner
        self._texts: dict[int, list[str]] = {}
        self._left = MAX_HEARD

    def text(self, channel: Channel, piece: str) -> str:
        """What the client may read of `piece`."""
        shown = self._inner.text(channel, piece)
        if shown:
            self._hear(channel, shown)
        return shown

    def flush(self, channel: Channel) -> str:
        """What is still held."""
        rest = self._inner.flush(channel)
        self._hear(channel, rest)
        return rest

    def _hear(self, channel: Channel, piece: str) -> None:
        if piece and channel.kind != "reasoning" and self._left > 0:
            self._left -= len(piece)
            self._texts.setdefault(channel.place, []).append(piece)

    def whole(self) -> list[str]:
        """Each text; one too long to remember is nobody's."""
        return ["".join(pieces) for pieces in self._texts.values()] if self._left > 0 else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What all requests share."""

    settings: Settings
    monitor: Monitor
    client: Client
    routes: Routes
    marks: Marks
    prefixes: Prefixes
    histories: Histories
    metrics: Metrics
    allowed: Allowed
    second_chances: int
    fresh: Callable[[], str]  # a new run's id
    durable: Callable[[], Awaitable[None]]
    threaded: bool  # the monitor waits for another machine
    closing: asyncio.Event
    texts: Callable[[str, bool], Texts]  # the guard on an answer's texts, from the operator's words; if it is streamed
    limits: Limits
    schemas: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)  # of the manifest's tools
    scrub: Callable[[Json], Json] = lambda value: value  # takes known secrets out of errors of providers


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the client sent."""

    format: Format
    dialect: Dialect
    body: bytes
    headers: Sequence[tuple[bytes, bytes]]
    query: str
    subject: Subject
    named: str  # the conversation, if the client names it


class Exchange:
    """One request with its answer."""

    def __init__(self, service: Service, request: Request, writer: Writer) -> None:
        self._service, self._request, self._writer = service, request, writer
        self._approvals: dict[asyncio.Task[Decision | None], tuple[Judge, Asked]] = {}
        self._given_up = False
        self._judges: deque[Judge] = deque()
        self._out: list[bytes] = []
        self._released: list[str] = []  # ids of calls that the client gets
        self._refused = 0
        self._refused_all: AllRefused | None = None
        self._failed = self._remembered = False
        self._faulty = False  # the provider is not well: nothing that an answer says makes it so
        self._waiting = ""  # the approval that nobody has given yet
        self._streamed = False
        self._begun = False  # the provider answers
        self._head: list[tuple[bytes, bytes]] = []
        self.upstream = self.model = ""
        self.usage = Usage()
        self._heard: Heard
        self._run: Run
        self._conversation: Conversation
        self._machine: Machine

    async def serve(self) -> None:
        """Answer the client.

        Raises:
            Refusal: nothing was sent to the client yet, and this is to be.
        """
        service, request = self._service, self._request
        began = time.perf_counter()
        large = len(request.body) > LARGE  # others go on meanwhile
        view = await asyncio.to_thread(self._read) if large else self._read()
        upstream = service.routes.to(view.model, request.dialect)
        self.upstream, self.model = upstream.name, view.model
        prepare = partial(self._prepare, view)
        sent = await (asyncio.to_thread(prepare) if large else self._do(prepare))
        service.metrics.prepare.observe(time.perf_counter() - began)
        key = await self._reserve(view, upstream)
        try:
            await self._converse(view, upstream, sent)
        except Refusal:
            raise
        except Exception as error:  # entry point: whatever breaks ends the answer, with nothing that was held
            service.metrics.aborted.add("broken")
            log.error("an answer could not be mediated: %s", type(error).__name__)  # noqa: TRY400 - no content
            if not self._writer.started:
                raise Refusal(500, "not_mediated", BROKEN) from error
            self._fail(500, BROKEN, "not_mediated")
            await self._writer.end(b"".join(self._out))
        finally:
            for task in self._approvals:
                task.cancel()
            self._settle(key, upstream)

    @property
    def permitted(self) -> int:
        """How many calls the client got."""
        return len(self._released)

    @property
    def refused(self) -> int:
        """How many it did not get."""
        return self._refused

    # the request

    def _read(self) -> RequestView:
        request = self._request
        try:
            s = request.subject
            shelf = self._service.prefixes.shelf(request.format.name, f"{s.agent}\0{s.key}\0{s.principal}")
            view = request.format.read(request.body, self._service.allowed, shelf)
        except WireError as error:
            raise Refusal(400, "invalid_request", str(error)) from None
        if view.problems:
            problem = view.problems[0]
            where = ".".join(map(str, problem.at))
            raise Refusal(400, problem.code.replace("-", "_"), f"{problem.why} (`{where}`)" if where else problem.why)
        return view

    def _prepare(self, view: RequestView) -> bytes:
        """Fold the history; the bytes that the provider gets."""
        service, request = self._service, self._request
        drawn = service.fresh()
        found = conversation(view.events, request.subject, request.named, service.marks, drawn)
        self._conversation = found
        told = service.histories.of(view.events, found, len(request.body))
        s = request.subject
        try:
            self._run = service.monitor.fold(
                told.events,
                agent=s.agent,
                principal=s.principal,
                run_id=found.run,
                me=s.me,
                fresh=found.run == drawn,
            )
            if service.monitor.halted(self._run):
                raise Refusal(403, "run_halted", "this conversation was stopped; begin another one")  # noqa: TRY301
            readings = told.readings(view.events, self._run.readings[: len(told.events)])
            sent = view.rewrite(readings)
        except WireError as error:
            raise Refusal(400, "invalid_request", str(error)) from None
        except PromptRefused:
            raise Refusal(403, "prompt_refused", "this agent does not answer that") from None
        except Refusal:
            raise
        except InterlockError:
            raise Refusal(
                503, "not_mediated", "this request cannot be mediated now; try again", retry_after=5
            ) from None
        for tool in view.tools:
            schema = service.schemas.get(tool.name)
            if schema is not None and tool.schema is not None and dict(schema) != dict(tool.schema):
                service.metrics.calls.add("schema_differs")
        return sent

    async def _reserve(self, view: RequestView, upstream: Upstream) -> str:
        """Take what the answer may use of the agent's budgets."""
        service, s = self._service, self._request.subject
        key = service.fresh()

        def reserve() -> None:
            service.limits.reserve_model(
                s.agent,
                s.principal,
                self._run.id,
                key,
                model=view.model,
                tokens_estimate=estimate.prompt(self._request.body),
                output_estimate=estimate.answer(view.limit, choices=view.n),
                upstream=upstream.name,
            )

        try:
            await self._do(reserve)
        except LimitError as error:
            if error.kind == "breaker":
                why = "the provider fails too often and is left alone for a while; try again"
                raise Refusal(503, "upstream_failing", why, retry_after=5) from None
            raise Refusal(429, "budget_exhausted", "a limit of this agent is reached") from None
        except InterlockError:
            raise Refusal(503, "not_mediated", "limits cannot be checked now; try again", retry_after=5) from None
        return key

    def _settle(self, key: str, upstream: Upstream) -> None:
        """Count what was used; where nobody has counted, the estimate stands."""
        usage, limits = self.usage, self._service.limits
        for kind, count in (("input", usage.input), ("output", usage.output), ("cached", usage.cached)):
            if count:
                self._service.metrics.tokens.add(upstream.name, kind, by=count)
        if not self._begun:
            work = partial(limits.release_model, key, failed=self._faulty)
        else:
            told = None
            if usage.counted:
                anew = max(0, usage.input - usage.cached - usage.written)
                told = Tokens(input=anew, output=usage.output, cached=usage.cached, written=usage.written)
            work = partial(limits.settle_model, key, told, failed=self._faulty)
        if self._service.threaded:
            asyncio.get_running_loop().run_in_executor(None, work)  # nobody waits for it
        else:
            work()

    # the answer

    async def _converse(self, view: RequestView, upstream: Upstream, sent: bytes) -> None:
        """Ask the provider, and once more after a turn of nothing but refused calls."""
        service, path = self._service, self._request.format.path
        outcomes = service.metrics.upstream
        for chance in range(service.second_chances + 1):
            try:
                async with service.client.ask(
                    upstream, path, sent, self._request.headers, self._request.query
                ) as answer:
                    self._faulty = answer.status >= 500  # noqa: PLR2004 - HTTP
                    if answer.status != 200 and chance == 0:  # noqa: PLR2004 - HTTP
                        outcomes.add(upstream.name, f"{answer.status // 100}xx")
                        await self._pass_error(answer)
                        return
                    await self._begin_answer(answer, view, first=chance == 0)
                    await self._pump(answer)
            except Refusal as problem:
                outcomes.add(upstream.name, problem.code)
                self._faulty = self._faulty or problem.code in FAULTS
                if not self._writer.started:
                    raise
                self._fail(problem.status, str(problem), problem.code)
                break
            outcomes.add(upstream.name, "failed" if self._failed else "ok")
            if self._failed or self._refused_all is None:
                break
            if self._waiting or chance == service.second_chances:
                self._take(self._machine.close())
                break
            sent = self._machine.continuation(sent, REFUSED)
            self._machine = self._machine.follow()
            self._refused_all = None
        self.usage = self._machine.usage
        await self._finish()

    async def _begin_answer(self, answer: Answer, view: RequestView, *, first: bool) -> None:
        """Check the head of an answer; with the first one the client's begins."""
        if answer.status != 200:  # noqa: PLR2004 - HTTP
            raise Refusal(502, "upstream_error", "the provider refused to go on")
        if (answer.streamed and not view.stream) or (not first and answer.streamed is not self._streamed):
            raise Refusal(502, "upstream_stream", "the provider's answer has a form that nobody asked for")
        if not first:
            return
        self._begun = True
        self._streamed, self._head = answer.streamed, answer.headers
        prompt = "\n".join(e.text for e in view.events if isinstance(e, Words) and e.role == "system")
        self._heard = Heard(self._service.texts(prompt, answer.streamed))
        make = self._request.format.stream if answer.streamed else self._request.format.body
        self._machine = make(view, self._service.allowed, self._heard)
        if answer.streamed:
            await self._start()

    async def _finish(self) -> None:
        await self._known_again()
        data = b"".join(self._out)
        self._out.clear()
        if self._streamed:
            await self._writer.end(data)
            return
        if self._waiting:
            self._head.append((b"x-interlock-approval", self._waiting.encode()))
        await self._start(status=502 if self._failed else 200, length=len(data))
        await self._writer.end(data)

    def _remember(self) -> None:
        external = self._run.ledger.external
        self._conversation.heard(self._heard.whole(), self._released, refused=self._refused > 0, external=external)
        marks = self._service.marks
        if marks.shared:
            marks.save()
        elif not marks.due:
            marks.due = True
            asyncio.get_running_loop().call_later(SOON, marks.save)  # those of many requests at once

    async def _start(self, *, status: int = 200, length: int = -1) -> None:
        headers = [*self._head, (b"x-interlock-run", self._conversation.run.encode())]
        if length >= 0:
            headers += [(b"content-type", b"application/json"), (b"content-length", str(length).encode())]
        else:
            headers += [
                (b"content-type", b"text/event-stream; charset=utf-8"),
                (b"cache-control", b"no-cache"),
                (b"x-accel-buffering", b"no"),  # nginx and its kin keep streams back otherwise
            ]
        await self._writer.start(status, headers)

    async def _pump(self, answer: Answer) -> None:
        """Put the provider's answer through the machine, to its end."""
        machine, streamed, ready = self._machine, self._streamed, False
        while piece := await answer.read():
            steps = machine.feed(piece)
            if streamed and not self._out and not machine.finished and len(steps) == 1 and isinstance(steps[0], Emit):
                await self._writer.write(steps[0].data)  # nearly always
                continue
            self._take(steps)
            if self._judges:
                await self._decided()
            if streamed:
                if self._out:
                    await self._flush()
                if machine.holding and not ready:
                    ready = True
                    self._make_ready()
            if self._approvals or self._failed:
                break
        if self._approvals:
            await self._wait(answer)
        elif not self._failed:
            self._take(machine.end())
            await self._decided()
            if self._approvals:
                await self._wait(None)

    def _make_ready(self) -> None:
        """A call begins to come: what judging it will need of the conversation can be worked out meanwhile."""
        if not self._service.threaded:
            with suppress(Exception):  # whatever it is, it happens again when the call is judged, and refuses it
                self._run.ready()

    async def _known_again(self) -> None:
        """Have the answer known, by other workers too, before the client has its end and can go on from it."""
        if not self._failed and not self._remembered:
            self._remembered = True
            await self._do(self._remember)

    async def _flush(self) -> None:
        if self._machine.finished:
            await self._known_again()
        data = b"".join(self._out)
        self._out.clear()
        await self._writer.write(data)

    async def _wait(self, answer: Answer | None) -> None:
        """Go on reading while humans are asked, and show the client that somebody is there."""
        service = self._service
        settings, streamed = service.settings, self._streamed
        patience = settings.approval_wait_streamed if streamed else settings.approval_wait
        end = time.monotonic() + patience
        machine = self._machine
        reading = asyncio.ensure_future(answer.read()) if answer is not None else None
        closing = asyncio.ensure_future(service.closing.wait())
        service.metrics.waiting.add()
        try:
            while (self._approvals or reading is not None) and not self._failed:
                left = end - time.monotonic()
                if self._approvals and (left <= 0 or service.closing.is_set()):
                    await self._give_up()
                    await self._decided()
                    continue
                waited: set[asyncio.Future[Any]] = {*self._approvals}
                if reading is not None:
                    waited.add(reading)
                if self._approvals:
                    waited.add(closing)
                timeout = min(left, settings.heartbeat) if self._approvals else None
                done, _ = await asyncio.wait(waited, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    if task is reading:
                        piece = reading.result()
                        if piece and answer is not None:
                            self._take(machine.feed(piece))
                            reading = asyncio.ensure_future(answer.read())
                        else:
                            reading = None
                            self._take(machine.end())
                    elif task in self._approvals:
                        await self._answered(task)
                await self._decided()
                if streamed and self._out:
                    await self._flush()
                elif streamed and not done:
                    await self._writer.write(HEARTBEAT)
        finally:
            service.metrics.waiting.add(by=-1)
            closing.cancel()
            if reading is not None:
                reading.cancel()

    # steps

    def _take(self, steps: Iterable[Step]) -> None:
        """Take the machine's steps; calls are queued for `_decided`."""
        for step in steps:
            match step:
                case Emit(data=data):
                    self._out.append(data)
                case Judge():
                    self._judges.append(step)
                case AllRefused():
                    self._refused_all = step
                case Failed():
                    self._failed = True

    async def _decided(self) -> None:
        """Decide on all calls that are whole."""
        while self._judges and not self._failed:
            judge = self._judges.popleft()
            began = time.perf_counter()
            verdict = await self._judge(judge)
            if verdict is not None:
                await self._apply(judge, verdict)
                self._service.metrics.held.observe(time.perf_counter() - began)

    async def _judge(self, judge: Judge) -> str | None:
        """What stands in place of the call, nothing if it may be made; None while a human is asked."""
        service, wanted = self._service, judge.call
        call = None if wanted.arguments is None else call_of(wanted.name, wanted.arguments, self._conversation)
        if call is None:
            why = wanted.problem or "the tool's name is not a plain name"
            await self._do(lambda: service.monitor.refuse(self._run, wanted.name, why))
            service.metrics.calls.add("unreadable")
            return INVALID
        exact = call
        decision = await self._do(lambda: service.monitor.propose(self._run, exact))
        if isinstance(decision, NeedsApproval):
            self._ask(judge, exact)
            return None
        return await self._do(lambda: self._begin(decision, exact))

    def _begin(self, decision: Decision, call: Call) -> str:
        """Use the permit: from here on the call is the client's to make."""
        service = self._service
        if not isinstance(decision, Permitted):
            service.metrics.calls.add("forbidden")
            return str(refusal(decision).content)
        if decision.permit.digest != call.digest:
            # The client makes the call as the model wrote it, so what was judged must be exactly that.
            service.metrics.calls.add("altered")
            return REFUSED
        try:
            service.monitor.hand_over(self._run, decision.permit)
        except (NotPerformed, AuditError):
            service.metrics.calls.add("not_begun")
            return REFUSED
        service.metrics.calls.add("permitted")
        return ""

    async def _apply(self, judge: Judge, words: str) -> None:
        if words:
            self._refused += 1
            self._take(self._machine.refuse(judge, words))
            return
        await self._service.durable()
        self._released.append(judge.call.id)
        self._take(self._machine.permit(judge))

    # approvals

    def _ask(self, judge: Judge, call: Call) -> None:
        asked = Asked()
        self._approvals[asyncio.create_task(self._approve(call, asked))] = judge, asked

    async def _approve(self, call: Call, asked: Asked) -> Decision | None:
        """The decision after a human was asked; none if nobody has answered yet."""
        _ASKED.set(asked)  # of this task alone
        try:
            decision = await self._service.monitor.aapprove(self._run, call, do=self._do)
        except asyncio.CancelledError:
            if self._given_up:
                return None
            raise
        return None if asked.pending else decision

    async def _answered(self, task: asyncio.Task[Decision | None]) -> None:
        judge, asked = self._approvals.pop(task)
        decision = task.result()
        if decision is None:
            self._service.metrics.calls.add("waiting")
            self._waiting = asked.ref
            await self._do(self._conversation.come_again)
            text = f"{WAITING} Approval {asked.ref}." if asked.ref else WAITING
        else:
            call = call_of(judge.call.name, judge.call.arguments or {}, self._conversation)
            text = REFUSED if call is None else await self._do(lambda: self._begin(decision, call))
        await self._apply(judge, text)

    async def _give_up(self) -> None:
        """Nobody answers in time: the questions stay open, the client may come again."""
        self._given_up = True
        for task, (_, asked) in self._approvals.items():
            waits = asyncio.ensure_future(asked.waits.wait())  # a question that nobody could find is none
            await asyncio.wait({task, waits}, timeout=TO_ASK, return_when=asyncio.FIRST_COMPLETED)
            waits.cancel()
            if not asked.concluding:
                task.cancel()
        await asyncio.wait(set(self._approvals))
        for task in list(self._approvals):
            await self._answered(task)

    # the rest

    def _fail(self, status: int, message: str, code: str) -> None:
        """End the client's stream with an error; nothing held is released."""
        self._failed = True
        self._take(self._machine.fail(status, message, code))

    async def _pass_error(self, answer: Answer) -> None:
        """The provider's own refusal, without our secrets."""
        raw = await answer.whole()
        status = answer.status
        if status < 400:  # noqa: PLR2004 - HTTP: neither an answer nor an error
            raise Refusal(502, "upstream_error", "the provider's answer makes no sense")
        try:
            body = orjson.dumps(self._service.scrub(orjson.loads(raw)))
        except (ValueError, TypeError):
            body = self._request.format.error(status, "the provider refused, in words that are not its own dialect's")
        head = [*answer.headers, (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await self._writer.start(status, head)
        await self._writer.end(body)

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.to_thread(work) if self._service.threaded else work()
