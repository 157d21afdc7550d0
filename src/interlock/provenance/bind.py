"""Binding: for each value in a call, who vouches for it. The result is facts; rules decide what they mean.

A value is vouched if an author whom its role accepts named it, typed and whole. A value that nobody named counts as the
model's own work while the run has read nothing external, and as external from then on (K10): a hijacked model can then
only choose among what the user and the service supplied, whatever it writes and however it spells it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from interlock.kernel.call import Call
from interlock.kernel.labels import Integrity
from interlock.kernel.spec import RECEIVERS, Argument, Effect, Role, ToolSpec
from interlock.provenance import kinds
from interlock.provenance.known import new_words
from interlock.provenance.labels import Scalar, step
from interlock.provenance.ledger import APPROVED, Ledger, flatten

MADE = "was made by the model before it read anything external"
_FREE = frozenset({Role.TITLE, Role.TEXT})
_HARMLESS = frozenset({Role.TIME, Role.AMOUNT})  # may come through a handle: when and how much, not where to


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One value of a call and what stands behind it."""

    path: str
    value: str
    role: Role
    kind: str
    integrity: Integrity  # of the best source that the role accepts; external without one
    vouched: bool
    pointed: bool
    switch: bool  # nobody can vouch for it: on or off, a choice, or an amount that nobody named
    culprits: tuple[str, ...] = ()  # what inside the value nobody vouches for: links, addresses, words
    explain: Callable[[], str] = field(repr=False, compare=False)

    @property
    def why(self) -> str:
        """One sentence for a human: where the value stands. Searched for when asked."""
        return self.explain()


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What binding found; the sets hold argument paths."""

    arguments: tuple[Bound, ...]
    receivers: frozenset[str]
    unnamed: frozenset[str]
    blind: bool

    @property
    def unvouched(self) -> frozenset[str]:
        """Arguments with a value that no accepted source names."""
        return frozenset(b.path for b in self.arguments if not b.vouched)

    @property
    def unpointed(self) -> frozenset[str]:
        """Arguments with an object that the user's words do not mean."""
        return frozenset(b.path for b in self.arguments if not b.pointed)


def bind(
    ledger: Ledger, call: Call, spec: ToolSpec, origins: Mapping[str, frozenset[Integrity]] | None = None
) -> Binding:
    """What stands behind each argument of `call`. `origins` narrows who may fill an argument (a mandate's word)."""
    bound = tuple(
        _bound(ledger, spec, _narrowed(spec.argument(path), origins or {}), path, value)
        for path, value in flatten(call.arguments) + _keys(call.arguments, spec)
        if value is not None and value != ""
    )
    receiving = [b for b in bound if b.role in RECEIVERS and not _may_read(ledger, b.value)]
    return Binding(
        arguments=bound,
        receivers=frozenset(b.path for b in receiving),
        unnamed=frozenset(
            b.path for b in receiving if ledger.user.source(b.role, b.value) is None and not _endorsed(ledger, b)
        ),
        blind=all(b.switch for b in bound),
    )


def _bound(ledger: Ledger, spec: ToolSpec, argument: Argument, path: str, value: Scalar) -> Bound:
    text = str(value)
    integrity, where, culprits = _judge(ledger, argument, value, text)
    # Endorsed by a human for this role: vouched, whatever the origins (M6). It points at the object too, but not for
    # destruction: who agreed to a change has not agreed to that.
    accepted = ledger.endorsed(text, argument.role, argument.kind)
    pointed = (accepted and spec.effect is not Effect.DESTROY) or _pointed(ledger, spec, argument, text)
    if accepted:
        integrity, where, culprits = Integrity.USER, APPROVED, ()

    def explain() -> str:
        if where:
            return where if pointed else f"{where}, but the user's words do not mean it"
        return "; ".join(f"`{c}` {ledger.found_in(c)}" for c in culprits[:5]) or ledger.found_in(text)

    return Bound(
        path=path,
        value=text,
        role=argument.role,
        kind=argument.kind,
        integrity=integrity,
        vouched=where is not None,
        pointed=pointed,
        switch=isinstance(value, bool)
        or argument.role is Role.OPTION
        or (argument.role is Role.AMOUNT and integrity is Integrity.EXTERNAL),
        culprits=culprits,
        explain=explain,
    )


def _judge(
    ledger: Ledger, argument: Argument, value: Scalar, text: str
) -> tuple[Integrity, str | None, tuple[str, ...]]:
    """(integrity, where it stands or None, culprits) of one value."""
    role, origins = argument.role, argument.origins
    if isinstance(value, bool) or role is Role.OPTION:
        return Integrity.OWN, "is a switch, which decides nothing that matters", ()
    if role in _FREE:
        culprits = _culprits(ledger, argument, text)
        return (
            (Integrity.EXTERNAL, None, culprits)
            if culprits
            else (Integrity.EXTERNAL, "is free text without anything to act on", ())
        )
    where = _source(ledger, argument, text)
    if where is not None:
        return where[0], f"stands in {where[1]}", ()
    if Integrity.EXTERNAL in origins:
        return Integrity.EXTERNAL, "may come from anywhere, as its role allows", ()
    if not ledger.external and (role in _HARMLESS or not ledger.outside(role, text)):
        return Integrity.OWN, MADE, ()
    return Integrity.EXTERNAL, None, ()


def _source(ledger: Ledger, argument: Argument, text: str) -> tuple[Integrity, str] | None:
    role, kind, origins = argument.role, argument.kind, argument.origins
    if role is Role.ID:
        if Integrity.USER in origins and ledger.ids.names(text, kind):
            return Integrity.USER, "the user's words"
        if Integrity.OWN in origins and ledger.knows(text, kind):
            return Integrity.OWN, f"the {kind}s that the service listed"
        return None
    if Integrity.USER in origins and (where := ledger.user.source(role, text)):
        return Integrity.USER, where
    if Integrity.OWN in origins and (where := ledger.own.source(role, text)):
        return Integrity.OWN, where
    return None


def _culprits(ledger: Ledger, argument: Argument, text: str) -> tuple[str, ...]:
    """What in free text nobody vouches for: links, addresses, accounts; in a title also words of unknown origin."""
    found = [
        value
        for kind, value in sorted(kinds.actionable(text))
        if not (ledger.user.actionable(kind, value) or ledger.own.actionable(kind, value))
        and (ledger.external or ledger.outside_actionable(kind, value))
    ]
    if argument.role is Role.TITLE and (ledger.external or ledger.holds(text)):
        found += new_words(text, ledger.user, ledger.own)
    return tuple(f for f in found if not ledger.endorsed(f, argument.role, argument.kind))


def _pointed(ledger: Ledger, spec: ToolSpec, argument: Argument, text: str) -> bool:
    """The user's words mean the object; asked of ids in effects, and of names where something is destroyed."""
    if spec.effect is Effect.READ:
        return True
    if argument.role is Role.ID:
        if not ledger.external and (ledger.knows(text, argument.kind) or not ledger.outside(argument.role, text)):
            return True
        return ledger.means(text, argument.kind, exactly=spec.effect is Effect.DESTROY)
    if spec.effect is Effect.DESTROY and argument.role in {Role.ENTITY, Role.RECIPIENT, Role.PATH, Role.UNKNOWN}:
        if not ledger.external and not ledger.outside(argument.role, text):
            return True
        return ledger.user.source(argument.role, text) is not None
    return True


def _may_read(ledger: Ledger, receiver: str) -> bool:
    """The receiver is among the readers of everything confidential that the run has read."""
    spelt = kinds.address(receiver) or (receiver,)
    return ledger.confidential is not None and all(ledger.confidential.include(s) for s in spelt)


def _endorsed(ledger: Ledger, bound: Bound) -> bool:
    return ledger.endorsed(bound.value, bound.role, bound.kind)


def _narrowed(argument: Argument, origins: Mapping[str, frozenset[Integrity]]) -> Argument:
    allowed = origins.get(argument.path)
    if allowed is None:
        return argument
    kept = argument.origins & allowed or frozenset({Integrity.USER})
    return Argument(path=argument.path, role=argument.role, kind=argument.kind, origins=kept)


def _keys(arguments: Mapping[str, object], spec: ToolSpec) -> list[tuple[str, Scalar]]:
    """Keys that the model made up inside a nested object: values like any other."""
    declared = {a.path for a in spec.arguments}
    found: list[tuple[str, Scalar]] = []

    def walk(value: object, path: str) -> None:
        if isinstance(value, Mapping):
            for k, v in value.items():
                here = f"{path}.{step(k)}" if path else step(k)
                if path and not any(d == here or d.startswith(f"{here}.") for d in declared):
                    found.append((path, k))
                walk(v, here)
        elif isinstance(value, list | tuple):
            for v in value:
                walk(v, path)

    walk(arguments, "")
    return found
