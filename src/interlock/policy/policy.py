"""A policy: tools, agents and rules that were checked against each other. Plain data; `load` makes it.

The rules are text and effects, not the engine's handles: the monitor alone turns them into something that decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from interlock.kernel.errors import InterlockError
from interlock.kernel.spec import Argument, Effect, Show, ToolSpec
from interlock.policy.readback import Readback

if TYPE_CHECKING:
    from interlock.policy.manifest import Manifest
    from interlock.policy.part_limits import ToolLimits

MandateMode: TypeAlias = Literal["lexical", "none", "required"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPolicy:
    """What one agent has, and how its runs are held."""

    name: str
    tools: frozenset[str]
    mandate: MandateMode
    show: Show


class Kind(Protocol):
    """A kind of tool other than `function`: it knows which tools an entry of the manifest yields."""

    def specs(self, entry: str, config: Mapping[str, object]) -> tuple[ToolSpec, ...]:
        """The tools of an entry; raises `ConfigError`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry under `tools` that is no function: whoever assembles the monitor opens it."""

    name: str
    kind: str
    config: Mapping[str, object]
    tools: tuple[str, ...]
    limits: ToolLimits | None = None  # None: it has no tools that could have any


class Source(Protocol):
    """What a policy was made from; makes it again when functions bring their schemas."""

    def resolve(self, schemas: Mapping[str, Mapping[str, object]], descriptions: Mapping[str, str]) -> Policy:
        """The policy with these schemas and descriptions of functions."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What exists and who may do what. Every tool has its resolved spec; nothing is inferred later."""

    manifest_path: str
    tools: Mapping[str, ToolSpec]
    agents: Mapping[str, AgentPolicy]
    entries: tuple[Entry, ...]  # tools of other kinds than functions
    me: tuple[str, ...]
    rules_text: str  # shipped rules that are not relaxed, then the user's
    relaxed: tuple[str, ...]
    digest: str  # SHA-256 of the manifest and of all rules in force
    args_used: frozenset[str]  # names of arguments that some rule reads
    manifest: Manifest  # as it was written; its sections on limits, detection, approvals and the gateway
    tool_limits: Mapping[str, ToolLimits]  # by tool, whatever its kind
    verify: Mapping[str, Readback]  # by tool: what to read back once it was called
    pending: frozenset[str]  # tools whose arguments nobody described yet: they accept none
    inferred: frozenset[str]  # what no line of the manifest says: `send_email.effect`, `send_email.arguments.to`
    source: Source = field(repr=False, compare=False)

    @property
    def effects(self) -> Mapping[str, Effect]:
        """The effect of each tool, as `kernel.decide.Rules` takes them."""
        return {name: spec.effect for name, spec in self.tools.items()}

    def agent(self, name: str) -> AgentPolicy:
        """The agent with this name.

        Raises:
            InterlockError: the manifest has none.
        """
        if name not in self.agents:
            known = ", ".join(f"`{n}`" for n in self.agents) or "none"
            raise InterlockError(f"`{name}` is no agent of {self.manifest_path}; it has {known}")
        return self.agents[name]

    def with_schemas(
        self, schemas: Mapping[str, Mapping[str, object]], descriptions: Mapping[str, str] | None = None
    ) -> Policy:
        """This policy, checked again with what the functions say of themselves.

        Functions that the manifest does not list are ignored: no agent has them.

        Raises:
            PolicyError: manifest, rules and functions do not fit together.
        """
        return self.source.resolve(schemas, descriptions or {})

    def describe(self) -> str:
        """Everything that is in force, for people: tools with their resolved specs, agents, rules."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield f"policy {self.manifest_path} sha256:{self.digest}"
        yield f"me: {', '.join(self.me) or 'nobody; a run may bring its own'}"
        yield f"relaxed: {', '.join(self.relaxed) or 'none'}"
        for agent in self.agents.values():
            yield ""
            yield f"agent {agent.name} (mandate {agent.mandate}, external content {agent.show})"
            yield f"  tools: {', '.join(sorted(agent.tools)) or 'none'}"
        for tool in self.tools.values():
            yield ""
            yield from self._tool(tool)
        yield ""
        yield "rules"
        yield self.rules_text

    def _tool(self, tool: ToolSpec) -> Iterator[str]:
        yield f"tool {tool.name}: {tool.effect}{self._mark(tool.name, 'effect')}"
        if tool.name in self.pending:
            yield "  arguments: none accepted until a function or `schema` describes them"
        for a in tool.arguments:
            yield f"  {a.path}: {_argument(a)}{self._mark(tool.name, 'arguments', a.path)}"
        if tool.refers:
            yield f"  refers to: {tool.refers}{self._mark(tool.name, 'refers')}"
        r = tool.returns
        said = [f"{n} {', '.join(v)}" for n, v in (("id", r.id), ("names", r.names), ("own", r.own)) if v]
        said += [f"typed {', '.join(r.typed)}"] if r.typed else []
        said += [f"own if {c.field} {c.operator} me: {', '.join(c.fields)}" for c in r.when]
        said += [f"show {name} as {show}" for name, show in r.show.items()]
        said += ["confidential"] if r.confidential else []
        kind = f"{r.object} at {r.records}" if r.object and r.records else r.object or r.records or "result"
        yield f"  returns {kind}: {'; '.join([*said, 'all else external'])}{self._mark(tool.name, 'returns')}"

    def _mark(self, *path: str) -> str:
        return " (inferred)" if ".".join(path) in self.inferred else ""


def _argument(a: Argument) -> str:
    role = f"{a.role}:{a.kind}" if a.kind else str(a.role)
    return f"{role} from {', '.join(o.word for o in sorted(a.origins, reverse=True))}"
