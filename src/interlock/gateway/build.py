"""From settings and a manifest to a gateway: what `assemble` is to the library.

Functions of the manifest are made by the client, so here they are checked against their schemas and performed by
nobody. The provider keys are secrets like any other: they are loaded with those of the tools, so that they are taken
out of everything that is read or kept, and they are revealed to the upstream client alone, request by request.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from interlock import safeguards
from interlock.adapters.functions import Tool
from interlock.approvals.api import ApprovalsApi
from interlock.approvals.approvers import approvers_of
from interlock.approvals.desk import Desk
from interlock.approvals.stored import Limits, StoredApprovals
from interlock.approvals.webhook import Webhook
from interlock.assemble import Opened, Secrets, assemble, joined, not_redacted
from interlock.audit.record import Record
from interlock.config import Settings
from interlock.detect.output.guard import whole
from interlock.gateway.app import Gateway, token_is
from interlock.gateway.approvals import Approvals
from interlock.gateway.auth import Claims, Doorkeeper
from interlock.gateway.errors import GatewayError
from interlock.gateway.history import Histories, Marks
from interlock.gateway.mediate import Asking, Guarded, Service
from interlock.gateway.metrics import Metrics
from interlock.gateway.stores import Stores, stores
from interlock.gateway.telemetry import tracer
from interlock.gateway.upstream import Client, Routes, upstreams
from interlock.kernel.call import Json
from interlock.monitor.ports import ApprovalPort, AsyncApprovalPort, AuditPort, Planner, Redactor
from interlock.monitor.recent import Recent, Room
from interlock.policy.load import load_policy, policy_from
from interlock.policy.part_approvals import ApprovalsPart
from interlock.policy.part_gateway import GatewayPart, UsersPart
from interlock.policy.policy import Entry, Policy
from interlock.secrets.matcher import SecretRedactor
from interlock.stores.grouped import GroupedAudit
from interlock.tools.kind import Capability, Config, Context, Operation, Proof
from interlock.tools.kinds import KINDS
from interlock.wire.anthropic import ANTHROPIC
from interlock.wire.events import Allowed
from interlock.wire.format import Format
from interlock.wire.openai_chat import CHAT
from interlock.wire.openai_responses import RESPONSES
from interlock.wire.shelf import Prefixes, weigh
from interlock.wire.steps import Texts

LOCAL = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What may be put in place of what the settings say: by tests, and by whoever embeds the gateway."""

    stores: Stores | None = None
    secrets: Secrets | None = None
    approvals: ApprovalPort | AsyncApprovalPort | None = None
    planner: Planner | None = None
    redact: Redactor = not_redacted


FORMATS: Mapping[str, Format] = {"chat": CHAT, "responses": RESPONSES, "anthropic": ANTHROPIC}


def load(manifest: str | Mapping[str, object]) -> Policy:
    """The policy of a manifest that has a section `gateway`.

    Raises:
        GatewayError: there is no such file, or no such section.
        PolicyError: with all else that is wrong.
    """
    if isinstance(manifest, str):
        if not Path(manifest).is_file():
            raise GatewayError(f"there is no manifest `{manifest}`", hint="`INTERLOCK_MANIFEST` names another")
        policy = load_policy(manifest, kinds=KINDS)
    else:
        policy = policy_from(manifest, kinds=KINDS)
    if policy.manifest.gateway is None:
        hint = "name the providers under `gateway.upstreams`: docs/gateway.md"
        raise GatewayError("the manifest has no section `gateway`", hint=hint)
    return policy


def build(
    settings: Settings, manifest: str | Mapping[str, object], parts: Parts | None = None, *, worker: int = 0
) -> Gateway:
    """The application, not yet open. `worker` numbers the processes that share a port.

    Raises:
        GatewayError: manifest and settings do not make a gateway.
        InterlockError: a part of it cannot be had here.
    """
    parts = parts or Parts()
    policy = load(manifest)
    folder = str(Path(policy.manifest_path).parent)
    opened = Opened()
    own = Entry(name="gateway", kind="gateway", config={"secrets": _handles(policy, settings)}, tools=())
    opened.open([*policy.entries, own], {**KINDS, "gateway": _Providers()}, parts.secrets, folder)

    def reveal(handle: str) -> str:
        if opened.vault is None:
            raise GatewayError(f"`{handle}` was not loaded")
        with opened.vault.opening((handle,)):
            return opened.vault.resolve(handle)

    try:
        where = reveal(settings.store) if settings.store.startswith("secret://") else settings.store
        asked = policy.manifest.approvals
        seal = reveal(asked.seal).encode() if asked and asked.seal else b""
        kept = parts.stores or stores(where, folder, worker=worker, seal=seal)
        try:
            return _gateway(settings, policy, opened, reveal, parts, kept)
        except BaseException:
            kept.shut()
            raise
    except BaseException:
        opened.close()
        raise


def _gateway(
    settings: Settings,
    policy: Policy,
    opened: Opened,
    reveal: Callable[[str], str],
    parts: Parts,
    kept: Stores,
) -> Gateway:
    section, folder = policy.manifest.gateway, str(Path(policy.manifest_path).parent)
    if section is None:
        raise GatewayError("the manifest has no section `gateway`")
    scoped = {name for entry in policy.entries for name in entry.tools}
    functions = {
        name: Tool.from_schema(name, spec.description, spec.schema, _elsewhere)
        for name, spec in policy.tools.items()
        if name not in scoped and name not in policy.pending
    }
    taken = opened.redactions(policy)
    redact = opened.redact(joined(taken.records, parts.redact))
    given = policy.manifest.approvals or ApprovalsPart()
    hook = None
    if given.webhook is not None:
        hook = Webhook(given.webhook.url, reveal(given.webhook.secret).encode(), redact=redact)
    # How long a request waits is the gateway's to say: see `Settings`.
    longest = max(settings.approval_wait, settings.approval_wait_streamed)
    approvals = parts.approvals or StoredApprovals(
        kept.approvals,
        policy=policy.digest,
        redact=redact,
        approvers=approvers_of(given),
        limits=Limits(wait=longest, life=given.expires, most=given.most, most_per_run=given.most_per_run),
        posted=hook,
    )
    guard = safeguards.limits(policy, kept.budgets)
    known = opened.vault.matcher if opened.vault else None

    def texts(prompt: str, streamed: bool) -> Texts:  # noqa: FBT001 - the port's shape
        checks = safeguards.answers(policy, taken.answers, known=known, prompt=prompt)
        redact = taken.answers
        if redact is not None and not streamed:  # one look at the whole costs a hundredth of looks at its pieces
            checks = replace(checks, redact=whole(lambda text: str(redact(text))))
        return Guarded(checks)

    shared = kept.threaded or settings.workers > 1
    room = Room(settings.max_folded)
    monitor = assemble(
        policy,
        {},
        opened=opened,
        audit=kept.audit,
        approvals=Asking(approvals),
        planner=parts.planner,
        redact=parts.redact,
        elsewhere=functions,
        runs=kept.runs,
        alone=not shared,
        guard=guard,
        room=room,
    )
    providers = upstreams(section)
    marks = Marks(kept.runs, shared=shared)
    service = Service(
        settings=settings,
        monitor=monitor,
        client=Client(settings, reveal, section.betas),
        routes=Routes(section, providers),
        marks=marks,
        prefixes=Prefixes(Recent(room, "prefix", weigh)),
        histories=Histories(room),
        metrics=Metrics(),
        allowed=_allowed(section),
        second_chances=section.second_chances,
        fresh=lambda: f"run-{os.urandom(12).hex()}",
        durable=_durable(kept),
        threaded=kept.threaded,
        closing=asyncio.Event(),
        texts=texts,
        limits=guard,
        schemas={name: tool.parameters for name, tool in functions.items()},
        scrub=SecretRedactor(opened.vault.matcher) if opened.vault else not_redacted,
    )
    users = section.users
    verifying = _claims(users, reveal, folder) if users else None
    token = settings.operator_token
    operator: Callable[[str], bool] | None
    if token:
        if not token.startswith("secret://"):
            raise GatewayError("`INTERLOCK_OPERATOR_TOKEN` must be a handle: `secret://NAME`")
        operator = token_is(lambda: reveal(token))
    else:
        operator = None if settings.host in LOCAL else _nobody

    def posture() -> dict[str, object]:
        return monitor.posture() | {
            "gateway": {
                "upstreams": {u.name: {"url": u.url, "dialect": u.dialect.value} for u in providers.values()},
                "users": "signed claims" if users else "the key's own principal",
                "hosted_tools_allowed": sorted(section.hosted_tools),
                "server_history_allowed": section.server_history,
                "formats": sorted(FORMATS),
                "tools_without_schema": sorted(policy.pending),
                "process": os.getpid(),
            }
        }

    spans = tracer(taken.records)
    return Gateway(
        service=service,
        doorkeeper=Doorkeeper(
            kept.keys, verifying, required=users is not None and users.required, agents=policy.agents
        ),
        formats=FORMATS,
        operator=operator,
        posture=posture,
        away=kept.away,
        approvals=Approvals(
            ApprovalsApi(Desk(kept.approvals, redact=redact, audit=_Settled(kept.audit))),
            kept.approvers,
            seconds=settings.body_timeout,
        ),
        tracer=spans,
        redaction=taken.records,
        on_close=(*([hook.close] if hook else []), spans.close, marks.save, kept.shut, opened.close),
    )


def _handles(policy: Policy, settings: Settings) -> list[str]:
    """Every handle that is needed beside those of the tools."""
    said = policy.manifest
    found = [settings.store, settings.operator_token, said.redact.key]
    if said.gateway is not None:
        found += [u.key for u in said.gateway.upstreams.values()]
        found.append(said.gateway.users.secret if said.gateway.users else None)
    if said.approvals is not None:
        found += [said.approvals.seal, said.approvals.webhook.secret if said.approvals.webhook else None]
    return [handle for handle in found if handle and handle.startswith("secret://")]


def _claims(part: UsersPart, reveal: Callable[[str], str], folder: str) -> Claims:
    from interlock.gateway.users import Users  # noqa: PLC0415 - 10 MB

    handle = part.secret
    return Users(part, secret=(lambda: reveal(handle)) if handle else None, base_dir=folder)


def _allowed(section: GatewayPart) -> Allowed:
    state = frozenset({"previous_response_id", "conversation", "store"}) if section.server_history else frozenset[str]()
    return Allowed(hosted=frozenset(section.hosted_tools), state=state)


def _durable(kept: Stores) -> Callable[[], Any]:
    audit = kept.audit

    async def durable() -> None:
        if isinstance(audit, GroupedAudit):
            await audit.aflush()

    return durable


def _elsewhere(**arguments: Json) -> NoReturn:  # noqa: ARG001 - a tool's shape
    raise GatewayError("the client makes this call")


def _nobody(token: str) -> bool:  # noqa: ARG001 - the port's shape
    """No operator's token was set, and this gateway listens to other machines."""
    return False


@dataclass(frozen=True, slots=True)
class _Settled:
    """An audit whose records are on the disk when `append` returns: an approver's answer counts at once."""

    audit: AuditPort

    def append(self, kind: str, run: str, body: Mapping[str, object]) -> Record:
        """The record."""
        record = self.audit.append(kind, run, body)
        if isinstance(self.audit, GroupedAudit):
            self.audit.settled(record)
        return record


class _Providers:
    """The section `gateway` as an entry without tools: its secrets are loaded and matched with all others."""

    name = "gateway"

    def specs(self, entry: str, config: Config) -> tuple[Any, ...]:  # noqa: ARG002 - the port's shape
        """It offers no tool."""
        return ()

    def open(self, entry: str, config: Config, context: Context) -> Capability:  # noqa: ARG002 - the port's shape
        """Nothing is opened: connections are made when they are used."""
        return _Nothing()


class _Nothing:
    operations: tuple[Operation, ...] = ()

    def prove(self) -> tuple[Proof, ...]:
        return ()

    def close(self) -> None:
        pass
