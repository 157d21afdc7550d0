"""How the story is printed: plain lines of at most 80 columns, colours on a terminal only, and marks that say ✓ or ✗.

Whatever came from outside goes through `visible`: a mail must not move the cursor of who watches it being refused.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import TextIO

from interlock.monitor.question import visible

WIDTH = 80
BOLD, DIM, RED, GREEN, YELLOW = "1", "2", "31", "32", "33"
MARGIN = "  "


class Stage:
    """Prints, and remembers which expectations did not hold."""

    def __init__(self, out: TextIO, environment: Mapping[str, str]) -> None:
        self.out = out
        self._colour = out.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
        self.failed: list[str] = []

    def line(self, text: str = "") -> None:
        """`text` as it stands."""
        print(text, file=self.out, flush=True)

    def ink(self, text: str, colour: str) -> str:
        """`text` in a colour, where there are colours."""
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour else text

    def act(self, number: int, title: str) -> None:
        """The heading of an act."""
        head = f"ACT {number}  {title} "
        self.line()
        self.line(self.ink(head + "─" * (WIDTH - len(head)), BOLD))
        self.line()

    def say(self, text: str) -> None:
        """A paragraph."""
        self.block(text)
        self.line()

    def block(self, text: str, first: str = "", *, colour: str = "") -> None:
        """`text`, wrapped; `first` stands before its first line, blanks before the others."""
        before = MARGIN + first
        lines = textwrap.wrap(
            text,
            WIDTH,
            initial_indent=before,
            subsequent_indent=" " * len(before),
            break_on_hyphens=False,
        )
        for line in lines:
            self.line(self.ink(line, colour) if colour else line)

    def quote(self, text: str) -> None:
        """Somebody's words, set off from ours."""
        for line in text.strip().splitlines():
            for piece in textwrap.wrap(visible(line), WIDTH - 4, break_on_hyphens=False) or [""]:
                self.line(self.ink(f"{MARGIN}│ {piece}".rstrip(), DIM))
        self.line()

    def facts(self, name: str, rows: Iterable[tuple[str, str]]) -> None:
        """What stands on the disk, in rows beside the name of the moment."""
        for place, (what, value) in enumerate(rows):
            self.block(visible(value), f"{name if place == 0 else '':<8} {what:<10}")
        self.line()

    def call(self, text: str, *, made: bool) -> None:
        """One call of the agent."""
        word, colour = ("made", GREEN) if made else ("refused", RED)
        room = WIDTH - len(MARGIN) - 9
        shown = visible(text)
        shown = shown if len(shown) <= room else shown[: room - 1] + "…"
        self.line(f"{MARGIN}{self.ink(f'{word:<8}', colour)} {shown}")

    def check(self, text: str, *, holds: bool) -> None:
        """An expectation, and whether it holds."""
        mark, colour = ("✓", GREEN) if holds else ("✗", RED)
        self.block(text, f"{mark} ", colour=colour)
        if not holds:
            self.failed.append(text)
