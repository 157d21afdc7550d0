"""Who may approve which tool.

An approver's name is one spelling of few characters, compared exactly: nobody is two people by writing himself
differently. A principal's name comes from outside and may be spelt in any way, so it is compared with an approver's in
the way that finds more of the cases in which both are the same human.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

from interlock.approvals.errors import NotYours
from interlock.policy.part_approvals import ApprovalsPart, NeedPart

NAME = re.compile(r"[a-z0-9][a-z0-9._+@-]{0,127}")


def check_name(name: str) -> str:
    """`name`, which is an approver's.

    Raises:
        NotYours: it is none: another case, another script, a blank.
    """
    if not NAME.fullmatch(name):
        raise NotYours(f"`{name[:80]!a}` is no approver's name; use a-z, 0-9 and . _ + @ -, as in `ana@example.com`")
    return name


def same_person(approver: str, principal: str) -> bool:
    """Whether both may be one human: equal but for case, width and what cannot be seen, or one the other's mailbox."""
    one, other = _folded(approver), _folded(principal)
    if one == other:
        return True
    return ("@" in one) != ("@" in other) and one.partition("@")[0] == other.partition("@")[0]


def _folded(name: str) -> str:
    wide = unicodedata.normalize("NFKC", name).casefold()
    return "".join(c for c in unicodedata.normalize("NFKC", wide) if unicodedata.category(c)[0] not in "CZ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What it takes to approve a call of one tool."""

    may: frozenset[str]  # approvers who may; empty: whoever is an approver
    count: int = 1  # different approvers who must say yes
    own: bool = False  # an approver may approve what an agent does for himself

    def accepts(self, by: str, principal: str) -> bool:
        """Whether a yes of `by` counts for a run of `principal`."""
        return (not self.may or by in self.may) and (self.own or not same_person(by, principal))


EVERYBODY = Need(may=frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvers:
    """The needs of each tool; `rest` is for tools that are not named."""

    tools: Mapping[str, Need] = field(default_factory=dict)
    rest: Need = EVERYBODY

    def need(self, tool: str) -> Need:
        """What a call of `tool` needs."""
        return self.tools.get(tool, self.rest)


def approvers_of(part: ApprovalsPart) -> Approvers:
    """What the manifest says of approvers."""
    tools = {
        name: Need(may=part.may(need), count=2 if need.four_eyes else 1, own=need.own)
        for name, need in part.tools.items()
    }
    return Approvers(tools=tools, rest=Need(may=part.may(NeedPart()), own=part.own))
