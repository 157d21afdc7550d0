"""What every kind of scoped tool is to the rest: from an entry of the manifest to operations that can be called.

A kind turns an entry into `ToolSpec`s without touching anything (`specs`), and opens it for work (`open`): then the
capability holds descriptors, connections or workers, proves its limits (`prove`) and offers operations. An operation's
`scope` says which resource a call would touch and raises `ScopeError` for everything outside; its `perform` checks the
permit before anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn, Protocol, TypeAlias

from interlock.kernel.call import Call, Json, Resource
from interlock.kernel.decision import Permit
from interlock.kernel.spec import ToolSpec
from interlock.monitor.errors import MonitorError
from interlock.policy.errors import ConfigError

__all__ = [
    "Capability",
    "Config",
    "ConfigError",
    "Context",
    "HostCall",
    "Inject",
    "Injection",
    "Kind",
    "Operation",
    "Proof",
    "ScopeError",
    "ToolFailed",
]

Config: TypeAlias = Mapping[str, object]
Layer: TypeAlias = Literal["kernel", "engine", "gate", "watchdog"]


class ScopeError(MonitorError):
    """A call that names no resource inside the tool's scope. It is refused, and no approval changes that."""

    def __init__(self, message: str, *, layer: Layer = "gate", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.layer = layer


class ToolFailed(MonitorError):
    """A permitted call that could not be carried out. The message is short and names nothing outside the scope."""

    def __init__(self, message: str, *, layer: Layer = "gate", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.layer = layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One claim of a capability, and whether trying to break it failed as it should."""

    layer: Layer
    claim: str
    held: bool
    evidence: str
    residual: str = ""  # what this layer does not stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One tool that a model can call."""

    spec: ToolSpec
    validate: Callable[[dict[str, Json]], Mapping[str, Json]]
    scope: Callable[[Call], Resource]
    perform: Callable[[Permit, Call], Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """A secret that an entry wants in a header of its requests to one host and port, over TLS."""

    secret: str  # the handle
    host: str
    port: int
    methods: tuple[str, ...]
    header: str = ""  # empty: as the service at this host wants it
    prefix: str = ""


class Inject(Protocol):
    """Headers that hold secrets, bound to a host and a method. Raising: the request is not sent."""

    def __call__(self, host: str, method: str, /) -> Mapping[str, str]:
        """The headers to add."""
        ...


class HostCall(Protocol):
    """Makes a call of another tool on behalf of `outer`: same agent, principal and run, its own decision and permit."""

    def __call__(self, outer: Call, name: str, arguments: Mapping[str, Json], /) -> Json:
        """The result of the call.

        Raises:
            ToolFailed: it was made and failed.
            InterlockError: it was refused.
        """
        ...


def _nothing_injects(wanted: Sequence[Injection]) -> NoReturn:
    raise ConfigError(f"nothing here injects `{wanted[0].secret}`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What an entry may use when it is opened."""

    base_dir: str  # relative paths of the manifest start here
    secrets: Callable[[str], str]  # `secret://NAME` → its value, while opened, proved or performed (M7); else raises
    check: Callable[[Permit, Call], None]  # a performer's first line
    inject: Callable[[Sequence[Injection]], Inject] = _nothing_injects
    call: HostCall | None = None  # for entries whose code may call other tools


class Capability(Protocol):
    """An entry of the manifest, open for work."""

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Everything that can be called."""
        ...

    def prove(self) -> tuple[Proof, ...]:
        """Try to break every claim; touches nothing but what the entry owns."""
        ...

    def close(self) -> None:
        """Give descriptors, connections and workers back."""
        ...


class Kind(Protocol):
    """A kind of tool, as `kind:` in the manifest names it."""

    @property
    def name(self) -> str:
        """The word after `kind:`."""
        ...

    def specs(self, entry: str, config: Config) -> tuple[ToolSpec, ...]:
        """The tools that an entry yields; touches nothing.

        Raises:
            ConfigError: the entry cannot be what it says.
        """
        ...

    def open(self, entry: str, config: Config, context: Context) -> Capability:
        """The entry, open for work.

        Raises:
            ConfigError: it cannot be opened safely here; the message says what is missing.
        """
        ...
