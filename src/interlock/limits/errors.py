"""What limits raise.

LimitError            a limit is reached, or cannot be checked: the call is not made
├── Exhausted         a budget has no room for what was to be reserved
└── TermsError        what a manifest says of limits cannot be meant
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from interlock.kernel.errors import InterlockError

Kind: TypeAlias = Literal["budget", "rate", "breaker", "loop", "depth", "halted"]


class LimitError(InterlockError):
    """A limit stands against a call; `kind` is the word that rules find in `context.blocked`."""

    def __init__(self, message: str, *, kind: Kind, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.kind = kind


class Exhausted(LimitError):
    """The budget of `account` has no room. Nothing was reserved."""

    def __init__(self, account: str) -> None:
        super().__init__(f"the budget `{account}` has no room left", kind="budget")
        self.account = account


class TermsError(InterlockError):
    """What a manifest says of limits cannot be meant."""
