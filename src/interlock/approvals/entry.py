"""One stored approval, and everything that can become of it, as pure functions; stores only keep it.

An entry is good for one call: the same digest (tool, arguments, agent, principal, run) under the same policy, at most
the rules and doubts that the human was shown, in its time, once. A no of anybody who may answer ends it; a yes may be
taken back until it is used. What a call needs is asked twice: of the approvers as they were when the question was
posted, and as they are when the approval is used.

While it is open an entry holds the arguments whole: who approves must see what will run. Once it is settled only
`kept` stays, which has passed the redactor, with salted prints by which a later call can be compared.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from interlock.approvals.approvers import Need, check_name
from interlock.approvals.errors import NotYours, Settled, Tampered
from interlock.kernel.call import canonical

Standing: TypeAlias = Literal["pending", "granted", "denied", "expired", "used"]
MAX_COMMENT = 2000  # characters


@dataclass(frozen=True, slots=True)
class Moment:
    """A time, and how often the clock has been set back until then: what was posted before that has expired."""

    now: float
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The call that an approval is for, and what it takes to approve it."""

    digest: str
    policy: str
    tool: str
    agent: str
    principal: str
    run: str
    rules: frozenset[str]  # that ask
    doubts: frozenset[str]  # arguments that nothing vouches for, that are not pointed at, receivers not named
    need: Need

    def cover(self, other: Terms) -> bool:
        """Whether who says yes to this has said yes to `other`: the same call, and nothing that was not shown."""
        same = ("digest", "policy", "tool", "agent", "principal", "run")
        return (
            all(getattr(self, name) == getattr(other, name) for name in same)
            and other.rules <= self.rules
            and other.doubts <= self.doubts
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What somebody answered."""

    by: str
    granted: bool
    comment: str
    at: float
    via: str  # how he was known: `cli`, `api`


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One question with its answers."""

    id: str
    terms: Terms
    asked: float  # seconds since 1970, as are all moments here
    expires: float
    epoch: int
    content: Mapping[str, object]  # what the approver is shown; empty once settled
    kept: Mapping[str, object]  # redacted
    given: tuple[Given, ...] = ()
    used: float | None = None

    def standing(self, moment: Moment) -> Standing:
        """How it stands at `moment`. What cannot be told has expired."""
        if self.used is not None:
            return "used"
        if any(not g.granted for g in self.given):
            return "denied"
        if self.epoch != moment.epoch or not moment.now < self.expires:
            return "expired"
        return "granted" if self.suffices(self.terms.need) else "pending"

    def suffices(self, need: Need) -> bool:
        """Whether as many different approvers as `need` says, who may, have said yes."""
        return len(self.yeses(need)) >= max(1, need.count)

    def yeses(self, need: Need) -> frozenset[str]:
        """Approvers whose yes counts."""
        principal = self.terms.principal
        return frozenset(g.by for g in self.given if g.granted is True and need.accepts(g.by, principal))

    @property
    def denier(self) -> str:
        """Who said no."""
        return next((g.by for g in self.given if not g.granted), "")


def answered(entry: Entry, given: Given, moment: Moment) -> Entry:
    """`entry` with one more answer; the same answer twice is one.

    Raises:
        NotYours: who gives it may not.
        Settled: nothing is left to answer.
    """
    check_name(given.by)
    need = entry.terms.need
    if need.may and given.by not in need.may:
        raise NotYours(f"`{given.by}` may not answer for `{entry.terms.tool}`")
    if not need.accepts(given.by, entry.terms.principal):
        raise NotYours(f"`{given.by}` may not approve what is done for himself")
    if any((g.by, g.granted) == (given.by, given.granted) for g in entry.given):
        return entry
    standing = entry.standing(moment)
    if standing not in {"pending", "granted"}:
        raise Settled(f"`{entry.id}` is {standing}")
    now = replace(given, comment=given.comment[:MAX_COMMENT], at=moment.now)
    return settled(replace(entry, given=(*entry.given, now)), moment)


def spent(entry: Entry, terms: Terms, moment: Moment) -> Entry | None:
    """`entry`, used for the call of `terms`; None if it is not good for that."""
    fits = entry.terms.cover(terms) and entry.standing(moment) == "granted" and entry.suffices(terms.need)
    return settled(replace(entry, used=moment.now), moment) if fits else None


def settled(entry: Entry, moment: Moment) -> Entry:
    """`entry` without what only an open question needs, if it is none."""
    return entry if entry.standing(moment) in {"pending", "granted"} else replace(entry, content={})


@dataclass(frozen=True, slots=True, repr=False)
class Seal:
    """Marks what was written. With a key, who can write the store but lacks the key cannot write an approval.

    Without one it is a checksum: it finds accidents, and edits by hand.
    """

    key: bytes = b""

    def mark(self, text: bytes) -> str:
        """64 hex digits for `text`."""
        return hmac.digest(self.key, b"interlock approval\0" + text, "sha256").hex()


def encode(entry: Entry, seal: Seal) -> str:
    """`entry` as text, sealed."""
    body = canonical(_plain(entry))
    return canonical({"entry": body.decode(), "seal": seal.mark(body)}).decode()


def decode(text: str, seal: Seal) -> Entry:
    """The entry that was encoded.

    Raises:
        Tampered: it is not what was written here.
    """
    try:
        outer = json.loads(text)
        body = outer["entry"].encode()
        if not hmac.compare_digest(seal.mark(body), outer["seal"]):
            raise Tampered("a stored approval does not bear our seal; it was changed, or the key is another one")
        return _entry(json.loads(body))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Tampered("a stored approval cannot be read; it was changed") from error


def _plain(entry: Entry) -> dict[str, object]:
    terms, need = entry.terms, entry.terms.need
    return {
        "id": entry.id,
        "call": [terms.digest, terms.policy, terms.tool, terms.agent, terms.principal, terms.run],
        "rules": sorted(terms.rules),
        "doubts": sorted(terms.doubts),
        "need": [sorted(need.may), need.count, need.own],
        "asked": entry.asked,
        "expires": entry.expires,
        "epoch": entry.epoch,
        "content": dict(entry.content),
        "kept": dict(entry.kept),
        "given": [[g.by, g.granted, g.comment, g.at, g.via] for g in entry.given],
        "used": entry.used,
    }


def _entry(value: Any) -> Entry:  # noqa: ANN401 - JSON that bears our seal
    digest, policy, tool, agent, principal, run = value["call"]
    may, count, own = value["need"]
    return Entry(
        id=value["id"],
        terms=Terms(
            digest=digest,
            policy=policy,
            tool=tool,
            agent=agent,
            principal=principal,
            run=run,
            rules=frozenset(value["rules"]),
            doubts=frozenset(value["doubts"]),
            need=Need(may=frozenset(may), count=count, own=own),
        ),
        asked=value["asked"],
        expires=value["expires"],
        epoch=value["epoch"],
        content=value["content"],
        kept=value["kept"],
        given=tuple(Given(by=b, granted=g, comment=c, at=a, via=v) for b, g, c, a, v in value["given"]),
        used=value["used"],
    )
