"""What is wrong with a manifest or its rules: every problem at once, each with its place and a remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from interlock.kernel.errors import InterlockError


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One thing that stops the load. `line` is 0 where there is no file to count lines in."""

    file: str
    line: int
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.message}" + (f"; {self.remedy}" if self.remedy else "")


class PolicyError(InterlockError):
    """The manifest or the rules cannot be loaded. Nothing of them is in force."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)), hint="nothing was loaded; correct the places named")


class ConfigError(InterlockError):
    """An entry of the manifest that cannot be what its kind says. `path` leads to the key inside the entry."""

    def __init__(self, message: str, *, path: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.path = path


def meant(word: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """A remedy: the known word nearest to `word`, else `otherwise`, else all known words if they are few."""
    words = sorted(set(known))
    if near := difflib.get_close_matches(word, words, n=1, cutoff=0.6):
        return f"did you mean `{near[0]}`?"
    if otherwise:
        return otherwise
    return "use one of " + ", ".join(f"`{w}`" for w in words) if 0 < len(words) <= _FEW else ""


_FEW = 16  # words that one line of an error can list
