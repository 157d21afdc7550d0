"""The guard that the monitor asks: every limit of a manifest, in front of one call.

`blocked` looks and takes nothing; `reserve` takes (rate, breaker, budgets: all or nothing); `settle` says what came of
it. Rates of one process, breakers, loops and depth live in memory; budgets live in ledgers, and those of a run may live
in one of their own when one process has the run. Whatever raises on the way in refuses. A ledger that is away when
something is settled is told later; until then the reservation counts as used, and so it does if nobody ever tells.

A run is known by agent, principal and its id: nobody spends or halts the run of somebody else by choosing its id.
Time is that of a clock that is never set; a reading below an earlier one is taken as the earlier one.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from types import MappingProxyType
from typing import Final, TypeAlias

from interlock.kernel.call import Call
from interlock.kernel.errors import InterlockError
from interlock.limits import breaker
from interlock.limits.breaker import CLOSED, Breaker, Event
from interlock.limits.budget import MAX_AMOUNT, Budget, Line, Meter, Scope, subject
from interlock.limits.depth import descend, too_deep
from interlock.limits.errors import Kind, LimitError
from interlock.limits.ledger import LEASE, Ledger
from interlock.limits.loop import Trail
from interlock.limits.prices import Usage
from interlock.limits.rate import LocalRates, Rate, Rates
from interlock.limits.terms import AgentTerms, Terms, ToolTerms

HELD_MS: Final = 30_000  # milliseconds reserved for a call of a tool without a timeout
HELD_BYTES: Final = 65_536  # reserved for a result
PATIENCE: Final = 3  # calls that a run may ask for after its own budget is used up
RUNS: Final = 4_096  # whose trails are remembered: those that were used last
OPEN: Final = 100_000  # calls on their way, halted runs, and what a ledger has yet to be told, at most
OFTEN: Final = 4_096  # calls between two tidyings
IDLE: Final = 7 * 86_400.0  # seconds after which the accounts of a run are forgotten
MEASURED: Final = (Meter.SECONDS, Meter.BYTES)
NOTHING: Final[Mapping[str, int]] = MappingProxyType({})
NONE: Final[frozenset[str]] = frozenset()
UPSTREAM: Final = breaker.Settings(failures=0.5, minimum=20, slow_after=3600.0, open=30.0, trials=3)  # models take time


@dataclass(frozen=True, slots=True)  # no tuple with names: taking those apart takes twice as long
class _Part:
    """What one ledger keeps of it; `measured` are the accounts whose amount shows only afterwards."""

    ledger: Ledger
    lines: tuple[Line, ...]
    measured: tuple[tuple[str, Meter], ...]


_Lines: TypeAlias = tuple[_Part, ...]


@dataclass(slots=True, kw_only=True)
class _Run:
    """What is remembered of one run."""

    agent: str
    principal: str
    id: str
    tenant: str
    key: str
    chain: tuple[str, ...]
    terms: AgentTerms
    trail: Trail = field(default_factory=Trail)
    needs: dict[str, _Needs] = field(default_factory=dict)
    halted: str = ""
    looped: bool = False
    begging: int = 0  # calls asked for after the run's own budget was used up
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Needs:
    """What one call of one tool takes in one run."""

    buckets: tuple[tuple[str, Rate], ...]
    fuse: str  # the name of its breaker
    settings: breaker.Settings | None
    reserved: _Lines
    room: _Lines


@dataclass(slots=True)  # not frozen: one is made for each call, and freezing would take four times as long
class _Open:
    """A reservation on its way."""

    fuse: str
    settings: breaker.Settings | None
    term: int
    since: float
    lines: _Lines
    model: str


class Limits:
    """Serves the monitor's guard, and model calls, under the `terms` of one manifest."""

    def __init__(
        self,
        terms: Terms,
        ledger: Ledger,
        *,
        clock: Callable[[], float],
        run_ledger: Ledger | None = None,
        rates: Rates | None = None,
        lease: float = LEASE,
    ) -> None:
        """Serve `terms`; `clock` gives seconds of a clock that is never set.

        `run_ledger` keeps the budgets of single runs, if this process alone has them; `rates` are shared ones.
        """
        self._terms = terms
        self._ledger = ledger
        self._run_ledger = ledger if run_ledger is None else run_ledger
        self._clock = clock
        self._rates = LocalRates(clock) if rates is None else rates
        self._lease = lease
        self._latest = -math.inf
        self._lock = Lock()
        self._runs: OrderedDict[tuple[str, str, str], _Run] = OrderedDict()
        self._stopped: OrderedDict[tuple[str, str, str], str] = OrderedDict()  # halted runs outlive the others
        self._breakers: dict[str, Breaker] = {
            f"tool:{name}": Breaker(tool.state) for name, tool in terms.tools.items() if tool.breaker is not None
        }
        self._open: dict[str, _Open] = {}
        self._taken = 0
        self._handed: dict[str, list[str]] = {}  # digest of a call that somebody else makes -> its keys
        self._untold: OrderedDict[tuple[str, int], tuple[Ledger, Mapping[str, int] | None]] = OrderedDict()

    # runs

    def enter(
        self, *, agent: str, principal: str, run: str, tenant: str = "", key: str = "", chain: tuple[str, ...] = ()
    ) -> None:
        """Say whose run this is, before its first call: its tenant, the client's key, and who started it (`chain`)."""
        with self._lock:
            self._made(agent, principal, run, tenant=tenant, key=key, chain=chain)

    def chain(self, *, agent: str, principal: str, run: str) -> tuple[str, ...]:
        """Who started whom up to this run: what `enter` needs for a run that it starts."""
        with self._lock:
            return self._made(agent, principal, run).chain

    def halted(self, run: str, *, agent: str | None = None, principal: str | None = None) -> str:
        """Why the run goes no further; empty if it may. Without agent and principal: any run of this id."""
        if not self._stopped:
            return ""
        with self._lock:
            if agent is not None and principal is not None:
                return self._stopped.get((agent, principal, run), "")
            return next((why for (_, _, name), why in self._stopped.items() if name == run), "")

    def halt(self, *, agent: str, principal: str, run: str, why: str) -> None:
        """Let the run go no further."""
        with self._lock:
            self._halt(self._made(agent, principal, run), why)

    def warnings(self, *, agent: str, principal: str, run: str) -> tuple[str, ...]:
        """What looks like a loop in this run, each kind once."""
        with self._lock:
            return tuple(self._made(agent, principal, run).warnings)

    # tool calls

    def blocked(self, call: Call) -> frozenset[str]:
        """Reasons against `call` that no approval lifts. Takes nothing."""
        against = self._against(call)
        return frozenset([kind for kind, _ in against]) if against else NONE

    def reasons(self, call: Call) -> tuple[tuple[Kind, str], ...]:
        """The same reasons with words for operators."""
        return tuple(self._against(call))

    def reserve(self, call: Call, key: str) -> None:
        """Take what `call` may use. The same `key` again takes nothing more.

        Raises:
            LimitError: a limit stands against it; then nothing was taken but its place in a rate.
            StoreError: a ledger is away.
        """
        if key in self._open:
            return
        run = self._runs.get((call.agent, call.principal, call.run)) or self._run(call)
        if run.halted:
            raise LimitError(run.halted, kind="halted")
        if len(run.chain) > run.terms.depth:
            raise LimitError(too_deep(run.chain, run.terms.depth), kind="depth")
        needs = run.needs.get(call.tool) or self._needs(run, call.tool)
        self._take(key, needs.buckets, needs.fuse, needs.settings, needs.reserved)

    def release(self, call: Call, key: str) -> None:  # noqa: ARG002 - the port's shape
        """Give back what was reserved: the call was not made."""
        self._give_back(key)

    def settle(self, call: Call, key: str, *, failed: bool, result: str, size: int) -> None:
        """The call was made: `result` is the digest of what came back, of `size` bytes.

        Without a `key` somebody else made it. Without a `result` somebody else is making it now.
        """
        if not result:
            with self._lock:
                if key in self._open:
                    self._handed.setdefault(call.digest, []).append(key)
                    if len(self._handed) > OPEN:  # what is dropped here lapses
                        self._handed.pop(next(iter(self._handed)))
            return
        run = self._runs.get((call.agent, call.principal, call.run)) or self._run(call)
        with self._lock:
            if not key and (keys := self._handed.get(call.digest)):
                key = keys.pop()
                if not keys:
                    del self._handed[call.digest]
            opened = self._open.pop(key, None) if key else None
            took = 0.0 if opened is None else self._ended(opened, failed=failed)
            self._saw(run, call, result, failed=failed)
            if (call.agent, call.principal, call.run) in self._runs:
                self._runs.move_to_end((call.agent, call.principal, call.run))
        if opened is not None:
            for part in opened.lines:
                self._tell(part.ledger, key, _measured(part, took, size) if part.measured else NOTHING)

    def refused(self, call: Call, why: str) -> None:
        """The call was asked for and not made: a run that asks for the same again and again is a loop, too."""
        run = self._run(call)
        with self._lock:
            self._saw(run, call, f"refused: {why}", failed=True)

    # model calls

    def reserve_model(
        self,
        agent: str,
        principal: str,
        run: str,
        key: str,
        *,
        model: str,
        tokens_estimate: int,
        output_estimate: int = 0,
        upstream: str = "",
    ) -> None:
        """Take what a request to `model` may use: tokens of the prompt and of the answer, as estimated.

        Raises:
            LimitError: a limit stands against it, or the model has no price where cost is limited.
            StoreError: a ledger is away.
        """
        if key in self._open:
            return
        with self._lock:
            state = self._made(agent, principal, run)
        if state.halted:
            raise LimitError(state.halted, kind="halted")
        usage = Usage(input=tokens_estimate, output=output_estimate)
        lines = self._by_ledger(state, self._model_amounts(state, model, usage))
        name = f"upstream:{upstream}" if upstream else ""
        self._take(key, (), name, UPSTREAM if upstream else None, lines, model=model)

    def settle_model(self, key: str, usage: Usage | None, *, failed: bool = False) -> None:
        """What the provider counted; None if nobody knows, then the estimate stands.

        `failed`: the upstream's fault, which its breaker counts.
        """
        with self._lock:
            opened = self._open.pop(key, None)
            if opened is None:
                return
            self._ended(opened, failed=failed)
        for part in opened.lines:
            self._tell(part.ledger, key, NOTHING if usage is None else self._counted(part, opened.model, usage))

    def release_model(self, key: str, *, failed: bool = False) -> None:
        """Give back what was reserved: nothing was answered. `failed`: by the upstream, which its breaker counts."""
        self._give_back(key, failed=failed)

    def used_model(self, agent: str, principal: str, run: str, key: str, *, model: str, usage: Usage) -> None:
        """Count a request that was made without asking first. The same `key` again counts nothing more.

        Raises:
            LimitError: the model has no price where cost is limited; the run is halted.
            StoreError: a ledger is away; try again.
        """
        with self._lock:
            state = self._made(agent, principal, run)
        try:
            amounts = self._model_amounts(state, model, usage)
        except LimitError as error:
            with self._lock:
                self._halt(state, str(error))
            raise
        for part in self._by_ledger(state, [(budget, 0) for budget, _ in amounts]):
            # It has happened, so no limit is asked.
            lines = [Line(n.account, 0, MAX_AMOUNT, n.window) for n in part.lines]
            part.ledger.reserve(key, lines, lease=self._lease)
            part.ledger.settle(key, self._counted(part, model, usage))

    # operators

    def shift(self, name: str, event: Event) -> None:
        """Force a breaker: `name` is `tool:<name>` or `upstream:<name>`."""
        with self._lock:
            self._breakers[name] = breaker.shift(self._breakers.get(name, Breaker()), event, self._now())

    def state(self, name: str) -> breaker.State:
        """The state of a breaker, as time has left it."""
        with self._lock:
            held = self._breakers.get(name, Breaker())
            return breaker.turned(held, self._settings(name), self._now()).state

    # inside

    def _against(self, call: Call) -> list[tuple[Kind, str]]:
        run = self._runs.get((call.agent, call.principal, call.run)) or self._run(call)
        found: list[tuple[Kind, str]] = []
        if run.halted:
            found.append(("halted", run.halted))
            if run.looped:
                found.append(("loop", run.halted))
            return found
        if len(run.chain) > run.terms.depth:
            found.append(("depth", too_deep(run.chain, run.terms.depth)))
        needs = run.needs.get(call.tool) or self._needs(run, call.tool)
        if needs.buckets:
            try:
                wait = self._rates.wait(needs.buckets)
                if wait:
                    found.append(("rate", f"the rate lets the next call pass in {wait:.1f} s"))
            except InterlockError as error:
                found.append(("rate", str(error)))
        if needs.settings is not None:
            fuse = self._breakers[needs.fuse]
            if fuse.state is not CLOSED and not breaker.admits(fuse, needs.settings, self._now()):
                found.append(("breaker", f"the breaker of `{needs.fuse}` lets nothing pass now"))
        for part in needs.room:
            try:
                account = part.ledger.full(part.lines)
            except InterlockError as error:
                found.append(("budget", f"the store of budgets is away: {error}"))
                continue
            if account:
                found.append(("budget", f"the budget `{account}` has no room left"))
                self._begged(run, account)
        return found

    def _take(
        self,
        key: str,
        buckets: tuple[tuple[str, Rate], ...],
        name: str,
        settings: breaker.Settings | None,
        lines: _Lines,
        *,
        model: str = "",
    ) -> None:
        if buckets and (wait := self._rates.take(buckets)):
            raise LimitError(f"the rate lets the next call pass in {wait:.1f} s", kind="rate")
        with self._lock:
            now, term = self._now(), 0
            if settings is not None:
                admitted = breaker.admit(self._breakers.get(name) or Breaker(), settings, now)
                if admitted is None:
                    raise LimitError(f"the breaker of `{name}` lets nothing pass now", kind="breaker")
                self._breakers[name], term = admitted, admitted.term
        opened = _Open(name, settings, term, now, lines, model)
        done: list[Ledger] = []
        try:
            for part in lines:
                if self._untold:
                    self._untold.pop((key, id(part.ledger)), None)  # the key is tried again
                done.append(part.ledger)
                part.ledger.reserve(key, part.lines, lease=self._lease)
        except BaseException as error:
            if isinstance(error, LimitError):
                done.pop()  # it has said no; one that was away may have counted all the same
            for ledger in done:
                self._tell(ledger, key, None)
            with self._lock:
                self._withdrawn(opened)
            raise
        self._open[key] = opened
        self._taken += 1
        if self._taken % OFTEN == 0:
            self._tidy()

    def _give_back(self, key: str, *, failed: bool = False) -> None:
        with self._lock:
            opened = self._open.pop(key, None)
            if opened is None:
                return
            if failed:
                self._ended(opened, failed=True)
            else:
                self._withdrawn(opened)
        for part in opened.lines:
            self._tell(part.ledger, key, None)

    def _tell(self, ledger: Ledger, key: str, used: Mapping[str, int] | None) -> None:
        """Settle, or release for None; what a ledger does not take now it is told later."""
        if self._untold:
            self._catch_up()
        try:
            _told(ledger, key, used)
        except InterlockError:
            with self._lock:
                self._untold[key, id(ledger)] = ledger, used
                if len(self._untold) > OPEN:  # what is dropped here stays counted as it was reserved
                    self._untold.popitem(last=False)

    def _catch_up(self) -> None:
        while True:
            with self._lock:
                if not self._untold:
                    return
                name, (ledger, used) = self._untold.popitem(last=False)
            try:
                _told(ledger, name[0], used)
            except InterlockError:
                with self._lock:
                    self._untold[name] = ledger, used
                return

    def _ended(self, opened: _Open, *, failed: bool) -> float:
        now = self._now()
        took = now - opened.since
        if opened.settings is not None:
            held = self._breakers[opened.fuse]
            self._breakers[opened.fuse] = breaker.record(
                held, opened.settings, now, term=opened.term, failed=failed, took=took
            )
        return took

    def _withdrawn(self, opened: _Open) -> None:
        if opened.settings is not None:
            self._breakers[opened.fuse] = breaker.withdraw(self._breakers[opened.fuse], opened.term)

    def _saw(self, run: _Run, call: Call, result: str, *, failed: bool) -> None:
        if run.terms.loops is None or run.halted:
            return
        tool = self._terms.tools.get(call.tool)
        idle = failed or (tool is not None and tool.reads)
        alarm = run.trail.saw(call.tool, call.arguments, result, run.terms.loops, idle=idle)
        if alarm is None:
            return
        if alarm.halt:
            run.looped = True
            self._halt(run, f"the run goes in circles: {alarm.why}")
        elif alarm.why not in run.warnings and len(run.warnings) < PATIENCE * 8:
            run.warnings.append(alarm.why)

    def _begged(self, run: _Run, account: str) -> None:
        if not account.startswith("run:"):
            return
        with self._lock:
            run.begging += 1
            if run.begging >= PATIENCE:
                self._halt(run, f"the run's budget is used up (`{_short(account)}`), and it goes on asking")

    def _halt(self, run: _Run, why: str) -> None:
        if run.halted:
            return
        run.halted = why
        self._stopped[run.agent, run.principal, run.id] = why
        if len(self._stopped) > OPEN:
            self._stopped.popitem(last=False)

    def _run(self, call: Call) -> _Run:
        found = self._runs.get((call.agent, call.principal, call.run))
        if found is not None:
            return found
        with self._lock:
            return self._made(call.agent, call.principal, call.run)

    def _made(
        self, agent: str, principal: str, run: str, *, tenant: str = "", key: str = "", chain: tuple[str, ...] = ()
    ) -> _Run:
        name = (agent, principal, run)
        found = self._runs.get(name)
        if found is not None:
            self._runs.move_to_end(name)
            return found
        if not tenant:
            tenant = next((t for t, terms in self._terms.tenants.items() if terms.has(principal)), "")
        made = _Run(
            agent=agent,
            principal=principal,
            id=run,
            tenant=tenant,
            key=key,
            chain=descend(chain, agent),
            terms=self._terms.agents.get(agent) or AgentTerms(),
            halted=self._stopped.get(name, ""),
        )
        self._runs[name] = made
        if len(self._runs) > RUNS:  # the one that was used least lately
            self._runs.popitem(last=False)
        return made

    def _needs(self, run: _Run, name: str) -> _Needs:
        tool = self._terms.tools.get(name) or ToolTerms()
        buckets = []
        if run.terms.rate is not None:
            buckets.append((f"agent:{subject(run.agent)}", run.terms.rate))
        if tool.rate is not None:
            buckets.append((f"tool:{name}", tool.rate))
        held = HELD_MS if tool.timeout is None else math.ceil(tool.timeout * 1_000)
        amounts = {Meter.CALLS: 1, Meter.SECONDS: held, Meter.BYTES: HELD_BYTES}
        budgets = self._budgets(run)
        needs = _Needs(
            buckets=tuple(buckets),
            fuse=f"tool:{name}",
            settings=tool.breaker,
            reserved=self._by_ledger(run, [(b, amounts[b.meter]) for b in budgets if b.meter in amounts]),
            # A run that has no tokens or money left makes no calls either.
            room=self._by_ledger(run, [(b, amounts.get(b.meter, 1)) for b in budgets]),
        )
        if len(run.needs) < PATIENCE * 1_000:  # names are the model's until they are looked up
            run.needs[name] = needs
        return needs

    def _budgets(self, run: _Run) -> tuple[Budget, ...]:
        tenant = self._terms.tenants.get(run.tenant)
        return run.terms.budgets + (tenant.budgets if tenant is not None else ())

    def _by_ledger(self, run: _Run, amounts: list[tuple[Budget, int]]) -> _Lines:
        own = {id(b) for b in run.terms.budgets}
        parts: dict[int, tuple[Ledger, list[Line]]] = {}
        for budget, amount in amounts:
            ledger = self._run_ledger if budget.scope is Scope.RUN else self._ledger
            whose = _subject(run, budget, of_agent=id(budget) in own)
            line = Line(budget.account(whose), amount, budget.limit, budget.window)
            parts.setdefault(id(ledger), (ledger, []))[1].append(line)
        return tuple(
            _Part(ledger, tuple(lines), tuple((n.account, m) for n in lines if (m := _meter(n)) in MEASURED))
            for ledger, lines in parts.values()
        )

    def _model_amounts(self, run: _Run, model: str, usage: Usage) -> list[tuple[Budget, int]]:
        amounts = []
        for budget in self._budgets(run):
            if budget.meter is Meter.TOKENS:
                amounts.append((budget, usage.tokens))
            elif budget.meter is Meter.COST:
                amounts.append((budget, self._cost(model, usage)))
        return amounts

    def _cost(self, model: str, usage: Usage) -> int:
        price = self._terms.prices.find(model)
        if price is None:
            raise LimitError(
                f"the model `{model}` has no price, and cost is limited; say what it costs under `prices`",
                kind="budget",
            )
        return price.of(usage)

    def _counted(self, part: _Part, model: str, usage: Usage) -> dict[str, int]:
        return {n.account: usage.tokens if _meter(n) is Meter.TOKENS else self._cost(model, usage) for n in part.lines}

    def _tidy(self) -> None:
        """Forget what is long over, now and then."""
        with self._lock:
            for key in list(self._open)[:-OPEN]:  # whoever has it will not come back; it lapses
                del self._open[key]
        for ledger in {id(each): each for each in (self._ledger, self._run_ledger)}.values():
            with suppress(InterlockError):
                ledger.prune(idle=IDLE)

    def _settings(self, name: str) -> breaker.Settings:
        tool = self._terms.tools.get(name.removeprefix("tool:")) if name.startswith("tool:") else None
        return tool.breaker if tool is not None and tool.breaker is not None else UPSTREAM

    def _now(self) -> float:
        now = self._clock()
        if now > self._latest:
            if now == math.inf:
                raise ValueError("the clock gives no time")
            self._latest = now
        elif not now > -math.inf:  # also when it is no number
            raise ValueError("the clock gives no time")
        return self._latest


def _told(ledger: Ledger, key: str, used: Mapping[str, int] | None) -> None:
    if used is None:
        ledger.release(key)
    else:
        ledger.settle(key, used)


def _subject(run: _Run, budget: Budget, *, of_agent: bool) -> str:
    match budget.scope:
        case Scope.RUN:
            return subject(run.agent, run.principal, run.id)
        case Scope.AGENT:
            return subject(run.agent)
        case Scope.PRINCIPAL:
            return subject(run.agent, run.principal)
        case Scope.TENANT:
            return subject(run.agent, run.tenant) if of_agent else subject(run.tenant)
        case Scope.KEY:
            return subject(run.agent, run.key)


def _meter(line: Line) -> Meter:
    return Meter(line.account.rpartition("|")[2].partition("/")[0])


def _measured(part: _Part, took: float, size: int) -> dict[str, int]:
    return {name: size if meter is Meter.BYTES else math.ceil(took * 1_000) for name, meter in part.measured}


def _short(account: str) -> str:
    return account.rpartition("|")[2]
