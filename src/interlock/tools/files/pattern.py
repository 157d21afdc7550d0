"""Glob patterns in linear time: `*`, `?`, `[a-z]`, `[!a-z]` within a name, `**` for any number of folders. Pure.

No regular expression: a name is matched with one point of return (the last `*`), a path by keeping the set of places in
the pattern that it has reached. Neither can blow up. Dots have no special meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from interlock.tools.kind import ScopeError

MAX_PATTERN = 1_000  # characters


def matches(pattern: str, name: str) -> bool:
    """`name` is what `pattern` describes, from start to end; at most len(pattern) × len(name) steps."""
    tokens = _tokens(pattern)
    if tokens and tokens[-1] is not None and not (name and _is(tokens[-1], name[-1])):
        return False  # most names end otherwise than most patterns
    at = i = 0
    star, back = -1, 0
    while i < len(name):
        if at < len(tokens) and tokens[at] is None:
            star, back = at, i
            at += 1
        elif at < len(tokens) and _is(tokens[at], name[i]):
            at += 1
            i += 1
        elif star >= 0:
            back += 1
            at, i = star + 1, back
        else:
            return False
    return all(token is None for token in tokens[at:])


def _is(token: str | None, char: str) -> bool:
    """A token is None for `*`, one character for itself, empty for `?`, and longer for a set."""
    if token is None:
        return False
    if len(token) < 2:  # noqa: PLR2004 - see above
        return token in {"", char}
    body = token[2:] if token[1] == "!" else token[1:]
    inside = False
    at = 0
    while at < len(body):
        if at + 2 < len(body) and body[at + 1] == "-":
            inside |= body[at] <= char <= body[at + 2]
            at += 3
        else:
            inside |= body[at] == char
            at += 1
    return inside != (token[1] == "!")


@lru_cache(maxsize=512)
def _tokens(pattern: str) -> tuple[str | None, ...]:
    tokens: list[str | None] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            if not tokens or tokens[-1] is not None:
                tokens.append(None)
        elif char == "?":
            tokens.append("")
        elif char == "[":
            start = at + 1 if pattern[at : at + 1] == "!" else at
            end = pattern.find("]", start + 1)  # a `]` that comes first stands for itself
            if end < 0:
                tokens.append("[")
            else:
                tokens.append("[" + pattern[at:end])
                at = end + 1
        else:
            tokens.append(char)
    return tuple(tokens)


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern of paths below a root, as steps."""

    steps: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Glob:
        """The pattern in `text`.

        Raises:
            ScopeError: it is empty, absolute, too long, or has a `..`.
        """
        steps = tuple(step for step in text.split("/") if step not in {"", "."})
        if not steps or text.startswith("/") or ".." in steps or "\0" in text:
            raise ScopeError("`pattern` must name paths below the root, without `..`", hint="for example `**/*.md`")
        if len(text) > MAX_PATTERN:
            raise ScopeError(f"`pattern` is longer than {MAX_PATTERN} characters")
        return cls(steps)

    def start(self) -> frozenset[int]:
        """Where a match begins: places in `steps`."""
        return self._through(frozenset({0}))

    def step(self, places: frozenset[int], name: str) -> frozenset[int]:
        """Where `places` lead over `name`; none if nothing can match any more."""
        found = set()
        for place in places:
            if place == len(self.steps):
                continue
            if self.steps[place] == "**":
                found.add(place)
            elif matches(self.steps[place], name):
                found.add(place + 1)
        return self._through(frozenset(found))

    def ends(self, places: frozenset[int]) -> bool:
        """A path that leads to `places` is matched."""
        return len(self.steps) in places

    def _through(self, places: frozenset[int]) -> frozenset[int]:
        """With every place behind a `**`, which may stand for no folder at all."""
        found = set(places)
        for place in places:
            while place < len(self.steps) and self.steps[place] == "**":
                place += 1  # noqa: PLW2901 - runs on from here
                found.add(place)
        return frozenset(found)
