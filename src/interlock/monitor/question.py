"""What a human is asked, and the answer, which is worth something for this very call only.

The question shows the call as it will run. Whatever a screen does not show or shows elsewhere (control characters,
bidirectional marks, zero widths, fillers, odd spaces) stands there as an escape, so that nobody approves what he cannot
see.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from interlock.kernel.labels import Integrity
from interlock.kernel.spec import Effect, Role

_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
# Drawn as nothing, or as a blank, although their category says letter, mark or symbol.
_BLANK = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}
_BLANK |= {*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}


def visible(text: str) -> str:
    """`text` with every character that cannot be seen as an escape; a plain space stays, a backslash is doubled."""
    return "".join(_shown(c) for c in text)


def _shown(c: str) -> str:
    if c == " " or (c.isascii() and c.isprintable() and c != "\\"):
        return c
    if c == "\\" or unicodedata.category(c) in _UNSEEN or ord(c) in _BLANK:
        return c.encode("unicode_escape").decode()
    return c


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One argument of the call in question. `origin` says in a sentence where its value stands."""

    path: str
    value: str  # as it will run; put it through `visible` before a screen shows it
    role: Role
    integrity: Integrity
    vouched: bool
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """May this call be made? `id` is fresh, `digest` stands for exactly the call."""

    id: str
    digest: str
    tool: str
    effect: Effect
    agent: str
    principal: str
    run: str
    call: str  # the arguments in canonical JSON, made visible
    arguments: tuple[Asked, ...]
    rules: tuple[str, ...]  # that ask
    unpointed: tuple[str, ...]  # arguments whose object the user's words do not point at
    unnamed: tuple[str, ...]  # receivers that the user's words do not name


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What `by` said to the question with this `id`, about the call with this `digest`."""

    question: str
    digest: str
    granted: bool
    by: str


def yes(question: Question, by: str) -> Answer:
    """`by` lets the call in question run."""
    return Answer(question=question.id, digest=question.digest, granted=True, by=by)


def no(question: Question, by: str) -> Answer:
    """`by` does not."""
    return Answer(question=question.id, digest=question.digest, granted=False, by=by)
