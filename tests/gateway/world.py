"""A gateway over a scripted provider, for every test of this folder.

What the world is like afterwards is asked of the provider (what was it sent?) and of `World` (what does the audit say?).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from interlock.audit.record import Record
from interlock.config import Settings
from interlock.gateway import Serving, serving
from interlock.gateway.build import Parts
from interlock.gateway.stores import Stores
from interlock.monitor.approvals import DenyAll
from interlock.stores.memory.approvals import MemoryApprovals
from interlock.stores.memory.audit import MemoryAudit
from interlock.stores.memory.budgets import MemoryBudgets
from interlock.stores.memory.runs import MemoryRuns

KEY = "il-test-key-0123456789abcdef"
OTHER_KEY = "il-test-key-of-somebody-else"
APPROVER = "il-approver-token-0123456789"
PROVIDER_KEY = "sk-provider-8fJq2LmX0aZr7TyU"

TOOLS: dict[str, Any] = {
    "find_order": {
        "kind": "function",
        "effect": "read",
        "arguments": {"order_id": "id:order"},
        "schema": {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]},
        "returns": {"object": "order", "id": ["id"], "own": ["id", "status"]},
    },
    "read_mail": {
        "kind": "function",
        "effect": "read",
        "schema": {"type": "object", "properties": {}},
    },
    "send_email": {
        "kind": "function",
        "effect": "egress",
        "arguments": {"to": "recipient", "subject": "title", "body": "text"},
        "schema": {
            "type": "object",
            "properties": {"to": {"type": "string"}, "subject": {"type": "string"}, "body": {"type": "string"}},
            "required": ["to", "body"],
        },
    },
}


def manifest(openai: str, anthropic: str = "", **gateway: object) -> dict[str, Any]:
    upstreams = {"openai": {"url": openai, "key": "secret://PROVIDER_KEY"}}
    if anthropic:
        upstreams["anthropic"] = {"url": anthropic, "key": "secret://PROVIDER_KEY"}
    return {
        "version": 1,
        "agents": {"support": {"tools": list(TOOLS), "mandate": "none"}, "reader": {"tools": ["find_order"]}},
        "tools": TOOLS,
        "gateway": {"upstreams": upstreams} | gateway,
    }


@dataclass(frozen=True)
class Entry:
    id: str
    name: str
    principal: str


@dataclass
class Keys:
    entries: dict[str, Entry] = field(
        default_factory=lambda: {
            KEY: Entry("k1", "support", "emma"),
            OTHER_KEY: Entry("k2", "support", "oscar"),
        }
    )

    def find(self, presented: str) -> Entry | None:
        return self.entries.get(presented)


@dataclass
class World:
    serving: Serving
    audit: MemoryAudit
    book: MemoryApprovals

    @property
    def url(self) -> str:
        return self.serving.url

    def records(self, kind: str = "") -> list[Record]:
        return [r for r in self.audit.records() if not kind or r.kind == kind]

    def decisions(self) -> list[tuple[str, str]]:
        return [(str(r.body.get("tool")), str(r.body["decision"])) for r in self.records("decision")]


@contextmanager
def world(
    openai: str,
    anthropic: str = "",
    *,
    settings: Mapping[str, Any] | None = None,
    parts: Mapping[str, Any] | None = None,
    change: Mapping[str, Any] | None = None,
    **gateway: object,
) -> Iterator[World]:
    audit, book = MemoryAudit(), MemoryApprovals()
    stores = Stores(
        audit=audit,
        runs=MemoryRuns(),
        approvals=book,
        budgets=MemoryBudgets(),
        keys=Keys(),
        approvers=Keys({APPROVER: Entry("a1", "ana@example.com", "")}),
        threaded=False,
    )
    # Nobody is asked, unless a test is about that: `parts={"approvals": None}` asks whoever answers in `World.book`.
    given: dict[str, Any] = {"stores": stores, "secrets": _secret, "approvals": DenyAll()} | dict(parts or {})
    said = manifest(openai, anthropic, **gateway) | dict(change or {})
    with serving(said, Parts(**given), Settings(**({"log": "off"} | dict(settings or {})))) as running:
        yield World(running, audit, book)


def _secret(handle: str) -> str:
    return {
        "secret://PROVIDER_KEY": PROVIDER_KEY,
        "secret://OPERATOR": "operator-token-77aa",
        "secret://USERS": "u" * 40,
    }[handle]
