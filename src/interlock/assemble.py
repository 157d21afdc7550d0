"""The composition root: a policy, tools and ports become one monitor. Nothing else wires parts together."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar, copy_context
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, TypeAlias

from interlock import safeguards
from interlock.kernel.call import Call, Json, thaw
from interlock.kernel.decision import Permit
from interlock.kernel.errors import InterlockError
from interlock.monitor.approvals import DenyAll
from interlock.monitor.errors import NotPerformed
from interlock.monitor.mediate import Monitor
from interlock.monitor.ports import (
    ApprovalPort,
    AsyncApprovalPort,
    AuditPort,
    Discharger,
    Guard,
    Inspector,
    Performer,
    Planner,
    Ports,
    Redactor,
    RunStore,
    Tool,
    Validator,
    as_it_is,
)
from interlock.monitor.recent import Room
from interlock.policy.mandate import LexicalPlanner
from interlock.secrets.errors import SecretError
from interlock.secrets.inject import Binding, Injector, preset, service_at
from interlock.secrets.matcher import SecretRedactor
from interlock.secrets.sources import Given, Source, Sources
from interlock.secrets.vault import Vault
from interlock.stores.memory.budgets import MemoryBudgets
from interlock.stores.sqlite.audit import SqliteAudit
from interlock.stores.sqlite.budgets import SqliteBudgets
from interlock.stores.sqlite.database import SqliteDatabase
from interlock.tools.kind import (
    Capability,
    ConfigError,
    Context,
    Inject,
    Injection,
    Kind,
    Operation,
    Proof,
    ToolFailed,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from interlock.adapters.functions import Tool as Function
    from interlock.limits.ledger import Ledger
    from interlock.policy.policy import Entry, Policy

ASYNCHRONOUS: ContextVar[bool] = ContextVar("interlock_asynchronous", default=False)  # set around `Monitor.acall`
AUDIT_FILE = Path(".interlock") / "audit.sqlite"


class SystemClock:
    """Time that is never set back."""

    def now(self) -> float:
        """Seconds since the machine started."""
        return time.monotonic()


def not_redacted(value: Json) -> Json:
    """`value` as it is. The posture says so at start-up."""
    return value


Secrets: TypeAlias = Source | Callable[[str], str]  # or: `secret://NAME` → its value, else it raises
_HANDLE = re.compile(r"(?:.*\s)?(secret://\S+)", re.DOTALL)  # a text that is one, or ends in one: `Bearer secret://KEY`


def handles_in(config: object) -> Iterator[str]:
    """Every handle in an entry of the manifest."""
    match config:
        case str():
            if found := _HANDLE.fullmatch(config):
                yield found[1]
        case Mapping():
            for value in config.values():
                yield from handles_in(value)
        case list() | tuple():
            for value in config:
                yield from handles_in(value)
        case _:
            pass


def audit_at(where: AuditPort | str | Path | None, policy: Policy) -> AuditPort:
    """The audit store: as given, in the named file, or beside the manifest."""
    match where:
        case None:
            path = Path(policy.manifest_path).parent / AUDIT_FILE
        case str() | Path():
            path = Path(where)
        case _:
            return where
    path.parent.mkdir(parents=True, exist_ok=True)
    return SqliteAudit(path)


def ledger_at(policy: Policy) -> Ledger:
    """Where budgets are kept: beside the audit if any outlives its run, else in memory."""
    if not safeguards.lasting(policy):
        return MemoryBudgets()
    path = Path(policy.manifest_path).parent / AUDIT_FILE.with_name("state.sqlite")
    path.parent.mkdir(parents=True, exist_ok=True)
    return SqliteBudgets(SqliteDatabase(path, durable=False))


def joined(first: Redactor, second: Redactor) -> Redactor:
    """One redactor after the other."""
    return first if second is not_redacted else _Both(first, second)


class ProofError(InterlockError):
    """A tool could not show at start-up that its limits hold. Nothing is served."""


@dataclass(slots=True)
class Opened:
    """The entries of other kinds than functions, open for work, and the secrets that they name."""

    capabilities: dict[str, Capability] = field(default_factory=dict)
    vault: Vault | None = None  # None: no entry names a secret
    monitor: Monitor | None = None
    _handles: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def check(self, permit: Permit, call: Call) -> None:
        """A performer's first line."""
        self._standing().check(permit, call)

    def open(self, entries: Iterable[Entry], kinds: Mapping[str, Kind], secrets: Secrets | None, base_dir: str) -> None:
        """Open every entry; what was opened is closed again if one fails.

        Secrets are looked for where an entry names one, and only then; by default in the environment and in files.

        Raises:
            ConfigError: an entry cannot be opened safely here.
            SecretError: a secret cannot be had.
        """
        wanted = tuple(entries)
        self._handles = {e.name: tuple(dict.fromkeys(handles_in(e.config))) for e in wanted}
        if any(self._handles.values()):
            handles = [h for found in self._handles.values() for h in found]
            self.vault = Vault(handles, _source(secrets), self.check)
        context = Context(
            base_dir=base_dir,
            secrets=self.vault.resolve if self.vault else _named_nowhere,
            check=self.check,
            inject=self._inject,
            call=self._call,
        )
        try:
            for entry in wanted:
                self.capabilities[entry.name] = self._open(entry, kinds[entry.kind], context)
        except BaseException:
            self.close()
            raise

    def tools(self) -> Iterator[tuple[Operation, Callable[[Permit, Call], Json]]]:
        """Every operation, and what performs it with the secrets of its entry, and no others, at hand."""
        for name, capability in self.capabilities.items():
            for operation in capability.operations:
                yield operation, self._granted(name, operation.perform)

    def proofs(self) -> list[tuple[str, Proof]]:
        """Every claim, with the name of its entry."""
        found = []
        for name, capability in self.capabilities.items():
            with self._opening(name):
                found += [(name, proof) for proof in capability.prove()]
        return found

    def prove(self) -> list[dict[str, object]]:
        """Every claim with its evidence.

        Raises:
            ProofError: one does not hold.
        """
        proofs = self.proofs()
        if broken := [f"`{name}`: {p.claim} ({p.evidence})" for name, p in proofs if not p.held]:
            raise ProofError("not enforced here: " + "; ".join(broken), hint="`interlock doctor` shows every claim")
        return [{"tool": name} | asdict(proof) for name, proof in proofs]

    def redact(self, then: Redactor) -> Redactor:
        """A redactor that takes every known secret out, and then does what `then` does (M7)."""
        if self.vault is None:
            return then
        scrub = SecretRedactor(self.vault.matcher)
        return scrub if then is not_redacted else _Both(scrub, then)

    def redactions(self, policy: Policy) -> safeguards.Redactions:
        """What takes secrets and personal data out, with every known secret, as `policy` says."""
        vault = self.vault
        if vault is None:
            return safeguards.redactions(policy, known=None, reveal=_named_nowhere)
        handle = policy.manifest.redact.key
        with vault.opening((handle,) if handle else ()):
            return safeguards.redactions(policy, known=vault.matcher, reveal=vault.resolve)

    def blocked(self, call: Call) -> frozenset[str]:
        """`secret` if an argument holds the value of a known secret, in whatever spelling (M7)."""
        found = self.vault and self.vault.matcher.found(thaw(call.arguments))
        return frozenset({"secret"}) if found else frozenset()

    def close(self) -> None:
        """Give everything back."""
        for capability in self.capabilities.values():
            capability.close()
        self.capabilities.clear()

    def _standing(self) -> Monitor:
        if self.monitor is None:
            raise ProofError("a tool was performed before the monitor stood")
        return self.monitor

    def _open(self, entry: Entry, kind: Kind, context: Context) -> Capability:
        try:
            with self._opening(entry.name):
                return kind.open(entry.name, entry.config, context)
        except ConfigError as error:
            path = (entry.name, *error.path)
            raise ConfigError(f"`{'.'.join(path)}`: {error}", path=("tools", *path), hint=error.hint) from error

    def _opening(self, name: str) -> AbstractContextManager[None]:
        return self.vault.opening(self._handles[name]) if self.vault else nullcontext()

    def _granted(self, name: str, perform: Callable[[Permit, Call], Json]) -> Callable[[Permit, Call], Json]:
        vault, handles = self.vault, self._handles[name]
        if vault is None or not handles:
            return perform

        def performed(permit: Permit, call: Call) -> Json:
            with vault.performing(permit, call, handles):
                return perform(permit, call)

        return performed

    def _inject(self, wanted: Sequence[Injection]) -> Inject:
        """What adds these headers, while the call is performed."""
        if self.vault is None:
            raise ConfigError(f"`{wanted[0].secret}` is no handle of this entry")
        injector = Injector([_binding(w, self.vault) for w in wanted])
        ports = {w.host: w.port for w in wanted}

        def inject(host: str, method: str) -> Mapping[str, str]:
            return injector.headers_for(host, method, port=ports[host]) if host in ports else {}

        return inject

    def _call(self, outer: Call, name: str, arguments: Mapping[str, Json]) -> Json:
        """See `HostCall`."""
        token = ASYNCHRONOUS.set(False)  # whoever calls from inside a tool waits for the answer
        try:
            observed = self._standing().within(outer, name, arguments)
        finally:
            ASYNCHRONOUS.reset(token)
        if not observed.performed:
            raise NotPerformed(f"`{name}` was not permitted")
        if observed.failed:
            raise ToolFailed(str(observed.content))
        return observed.content


@contextmanager
def administering(handles: Sequence[str], secrets: Secrets | None = None) -> Iterator[Callable[[str], str]]:
    """What resolves `handles` while an administrator works, outside of any run.

    Raises:
        SecretError: one cannot be had.
    """
    vault = Vault(handles, _source(secrets), Opened().check)
    with vault.opening(handles):
        yield vault.resolve


class TooSlow(InterlockError):
    """A function did not return in its time. It may still be running."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer within {seconds:g} s")


async def _awaited(function: Function, call: Call, limit: float | None) -> Json:
    try:
        return await asyncio.wait_for(function.acall(call.arguments), limit)
    except TimeoutError:
        if limit is None:
            raise
        raise TooSlow(limit) from None


def _waited(function: Function, call: Call, limit: float) -> Json:
    """The result of `function` if it comes in time. In a thread, which nothing can stop but everything can leave."""
    answers: SimpleQueue[tuple[Json, BaseException | None]] = SimpleQueue()
    context = copy_context()

    def run() -> None:
        try:
            answers.put((context.run(function.call, call.arguments), None))
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            answers.put((None, error))

    Thread(target=run, name=f"interlock-{function.name}", daemon=True).start()
    try:
        result, error = answers.get(timeout=limit)
    except Empty:
        raise TooSlow(limit) from None
    if error is not None:
        raise error
    return result


@dataclass(frozen=True, slots=True)
class _Both:
    """One redactor after the other."""

    first: Redactor
    second: Redactor

    def __call__(self, value: Json) -> Json:
        return self.second(self.first(value))


def _source(secrets: Secrets | None) -> Source:
    if secrets is None:
        return Sources(environ=os.environ)
    return secrets if isinstance(secrets, Sources | Given) or hasattr(secrets, "load") else Given(secrets)


def _named_nowhere(handle: str) -> str:
    raise SecretError(f"`{handle}` was not loaded; name it in the manifest")


def _binding(wanted: Injection, vault: Vault) -> Binding:
    secret = vault.get(wanted.secret)
    if wanted.header:
        return Binding(
            secret=secret,
            hosts=(wanted.host,),
            header=wanted.header,
            methods=wanted.methods,
            prefix=wanted.prefix,
            port=wanted.port,
        )
    service = service_at(wanted.host)
    if not service:
        raise ConfigError(
            f"nobody knows which header `{wanted.host}` wants `{wanted.secret}` in",
            path=("hosts",),
            hint="write `headers: {Authorization: Bearer secret://NAME}`",
        )
    return preset(service, secret, hosts=(wanted.host,), methods=wanted.methods)


def assemble(
    policy: Policy,
    functions: Mapping[str, Function],
    *,
    opened: Opened | None = None,
    audit: AuditPort | str | Path | None = None,
    approvals: ApprovalPort | AsyncApprovalPort | None = None,
    planner: Planner | None = None,
    redact: Redactor = not_redacted,
    obligations: Mapping[str, Discharger] | None = None,
    elsewhere: Mapping[str, Function] | None = None,
    runs: RunStore | None = None,
    alone: bool = False,
    guard: Guard | None = None,
    inspect: Inspector | None = None,
    room: Room | None = None,
) -> Monitor:
    """A monitor that performs `functions` under `policy`. Without approvals, whatever needs one is refused.

    Functions `elsewhere` are only checked here: a client of the gateway makes those calls. `runs` is shared by the
    processes that fold the same histories, unless this one is `alone`. `redact` is for what a model reads, on top of
    what the manifest says; limits and inspection are the manifest's unless they are given. `room` is for
    conversations that stay folded.

    Raises:
        TermsError: a limit of the manifest cannot be meant.
    """
    monitor: Monitor

    def performer(function: Function) -> Performer:
        def perform(permit: Permit, call: Call) -> Json | Awaitable[Json]:
            monitor.check(permit, call)
            limit = policy.tools[function.name].timeout
            if function.asynchronous or ASYNCHRONOUS.get():  # a function that blocks must not hold the event loop
                return _awaited(function, call, limit)
            return function.call(call.arguments) if limit is None else _waited(function, call, limit)

        return perform

    def validator(function: Function) -> Validator:
        def validate(arguments: dict[str, Json]) -> dict[str, Json]:
            function.check(arguments)
            return arguments

        return validate

    def threaded(perform: Callable[[Permit, Call], Json]) -> Performer:
        def performed(permit: Permit, call: Call) -> Json | Awaitable[Json]:
            return asyncio.to_thread(perform, permit, call) if ASYNCHRONOUS.get() else perform(permit, call)

        return performed

    opened = opened or Opened()
    scoped = {
        operation.spec.name: Tool(perform=threaded(perform), validate=operation.validate, scope=operation.scope)
        for operation, perform in opened.tools()
    }
    taken = opened.redactions(policy)
    ports = Ports(
        audit=audit_at(audit, policy),
        approvals=approvals or DenyAll(),
        clock=SystemClock(),
        nonce=lambda: secrets.token_hex(16),
        redact=opened.redact(redact if taken.reads is None else joined(taken.reads, redact)),
        redact_record=opened.redact(joined(taken.records, redact)),
        planner=planner or LexicalPlanner(),
        obligations=obligations or {},
        proofs=opened.prove(),
        blocked=opened.blocked,
        runs=runs,
        alone=alone,
        guard=guard or safeguards.limits(policy, ledger_at(policy)),
        inspect=inspect or safeguards.inspected(policy) or as_it_is,
        tools=scoped
        | {n: Tool(validate=validator(f)) for n, f in (elsewhere or {}).items() if n in policy.tools}
        | {n: Tool(perform=performer(f), validate=validator(f)) for n, f in functions.items() if n in policy.tools},
    )
    monitor = opened.monitor = Monitor(policy, ports, key=secrets.token_bytes(32), room=room)
    return monitor
