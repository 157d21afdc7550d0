"""What is known of a tool before it runs: its effect, what its arguments decide, whose words its results are.

Plain, frozen data. `policy` makes it from the manifest, `provenance` reads it to bind arguments and to label results,
`decide` never sees it: by then it has become facts. Everything left out is the unsafe reading of it: an unknown effect
is an egress, an unknown argument must be vouched, an unlisted field of a result is external.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from interlock.kernel.errors import SpecError
from interlock.kernel.labels import Integrity


class Effect(StrEnum):
    """What a call does to the world. `fetch` and `spend` are kinds of egress, see `groups`."""

    READ = "read"
    FETCH = "fetch"  # reads, but from a place that the call names and that learns of it
    WRITE = "write"
    EGRESS = "egress"
    SPEND = "spend"
    DESTROY = "destroy"

    @property
    def groups(self) -> tuple[str, ...]:
        """The action groups in which rules find a tool with this effect, itself first."""
        return _GROUPS[self]


_GROUPS = {
    Effect.READ: ("read",),
    Effect.FETCH: ("fetch", "egress", "effect"),
    Effect.WRITE: ("write", "effect"),
    Effect.EGRESS: ("egress", "effect"),
    Effect.SPEND: ("spend", "egress", "effect"),
    Effect.DESTROY: ("destroy", "effect"),
}


class Role(StrEnum):
    """What an argument decides; each role has its own way to compare values (`provenance.kinds`)."""

    RECIPIENT = "recipient"  # an address or name that will receive something
    ACCOUNT = "account"  # a bank account, IBAN, wallet
    URL = "url"
    HOST = "host"
    PATH = "path"
    ID = "id"  # of an object of a kind
    ENTITY = "entity"  # a name: hotel, channel, person, product
    CREDENTIAL = "credential"
    COMMAND = "command"
    TIME = "time"
    AMOUNT = "amount"
    TITLE = "title"  # short text that names the thing made
    TEXT = "text"  # free text; only the links, addresses and accounts inside it count
    OPTION = "option"  # a switch, limit or enumerated choice: decides nothing that matters
    UNKNOWN = "unknown"  # nobody said: must be vouched, word for word


RECEIVERS = frozenset({Role.RECIPIENT, Role.ACCOUNT, Role.URL, Role.HOST})
_USER_ONLY = frozenset({Integrity.USER})
_VOUCHED = frozenset({Integrity.USER, Integrity.OWN})
_ANY = frozenset(Integrity)
ORIGINS: Mapping[Role, frozenset[Integrity]] = MappingProxyType(
    dict.fromkeys(Role, _VOUCHED)
    | {
        Role.CREDENTIAL: _USER_ONLY,
        Role.COMMAND: _USER_ONLY,
        Role.TIME: _USER_ONLY,
        Role.AMOUNT: _ANY,  # carried by budgets and mandates; docs/limitations.md
        Role.OPTION: _ANY,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """What one argument decides. `path` is dotted (`attachments.file_id`); lists have no step of their own.

    A path covers everything beneath it that has no longer path of its own.
    """

    path: str
    role: Role
    kind: str = ""  # of the object, for `id`
    origins: frozenset[Integrity] = frozenset()  # who may fill it; empty means the role's own

    def __post_init__(self) -> None:
        if not self.path or any(not step for step in self.path.split(".")):
            raise SpecError(f"`{self.path}` is no argument path; use names joined by dots")
        if (self.role is Role.ID) != bool(self.kind):
            raise SpecError(f"`{self.path}`: an `id` names the kind of object (`id:order`), and nothing else does")
        if not self.origins:
            object.__setattr__(self, "origins", ORIGINS[self.role])


class Show(StrEnum):
    """How external content of a result reaches the model."""

    INLINE = "inline"  # as it is; the run has then read something external
    MARK = "mark"  # the same, wrapped in delimiters that say so
    HANDLE = "handle"  # a reference in its place; the model never reads it


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """`field == me`, `field in me` or `field <= me`: when it holds for a record, `fields` of it are own."""

    field: str  # or `writers`, the set that `sharing` yields
    operator: str  # "==" | "in" | "<="
    fields: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.operator not in {"==", "in", "<="}:
            raise SpecError(f"`{self.operator}` is no condition; use ==, in or <=")
        if not self.field or not self.fields:
            raise SpecError("a condition needs a field to look at and fields that it makes own")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """Where a record says who owns it and who may read or write it (`{name: mode}` or a list of names)."""

    owner: str
    members: str
    write: frozenset[str] = frozenset({"rw", "w", "write", "writer", "edit", "editor", "owner"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Returns:
    """Whose words a result is, field by field. A field is a dotted path inside a record.

    A record is the result itself, each element of a list, or what `records` points at (`items`, `data.rows`; `*` for
    the values of a dictionary keyed by names). `*` as a field means all of a record, `.` a result that is one plain
    value, `keys` the keys of a dictionary keyed by names.
    """

    object: str = ""  # the kind of object a record is; its ids are ids of that kind
    records: str = ""
    id: tuple[str, ...] = ()
    names: tuple[str, ...] = ()  # fields by which a user may mean the object: title, file name, subject
    own: tuple[str, ...] = ()
    typed: tuple[str, ...] = ()  # own where the value is one plain identifier
    when: tuple[Condition, ...] = ()
    sharing: Sharing | None = None
    confidential: bool = False  # only the principal may read it
    show: Mapping[str, Show] = field(default_factory=dict)  # by field; `*` for all others

    def __post_init__(self) -> None:
        object.__setattr__(self, "show", MappingProxyType({k: Show(v) for k, v in dict(self.show).items()}))


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """One tool as the monitor knows it."""

    name: str
    effect: Effect = Effect.EGRESS
    description: str = ""
    arguments: tuple[Argument, ...] = ()
    returns: Returns = field(default_factory=Returns)
    refers: str = ""  # the kind of object that the tool writes to, when no argument says it (a profile, a password)
    schema: Mapping[str, object] = field(default_factory=dict)  # JSON Schema of the arguments; empty accepts none
    timeout: float | None = None  # s that a function may take; None waits for it
    resource: str = "Tool"  # the type of what `scope` returns; rules may speak of it

    def __post_init__(self) -> None:
        paths = [a.path for a in self.arguments]
        if twice := {p for p in paths if paths.count(p) > 1}:
            raise SpecError(f"`{self.name}` describes the argument `{min(twice)}` twice")

    def argument(self, path: str) -> Argument:
        """What the argument at `path` decides: the longest listed path that covers it, else unknown."""
        best: Argument | None = None
        for a in self.arguments:
            if (path == a.path or path.startswith(a.path + ".")) and (best is None or len(a.path) > len(best.path)):
                best = a
        return best or Argument(path=path, role=Role.UNKNOWN)
