"""What a model's answer goes through before anybody sees it, at once or in pieces.

The steps, in order: leaks (canary, system prompt), links, executable content, redaction, and at the end the shape. Each
reads what the one before let through; a finding's span is in the text that its step read. A step that fails refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from interlock.detect.finding import Finding
from interlock.detect.output.answer import AnswerError, Shape
from interlock.detect.output.executable import CodeStream, Executable
from interlock.detect.output.leaks import CanaryStream, Leaks, PromptStream
from interlock.detect.output.links import Links, LinkStream

REFUSAL = "[answer withheld]"


class Step(Protocol):
    """Takes an answer in pieces; gives back what is safe to show; may say what it found and that it refuses."""

    def feed(self, text: str) -> str:
        """What may be shown now."""
        ...

    def end(self) -> str:
        """The rest."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """`text` may be shown. If `refused`, it is the constant refusal. `value`: the answer read against its shape."""

    text: str
    findings: tuple[Finding, ...]
    refused: bool
    value: Any = None
    problems: tuple[str, ...] = ()  # why it has not the shape that was asked for; places, no values


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputGuard:
    """Checks answers. What is `None` is not looked at.

    `redact` makes a step for one answer (secrets and personal data); a plain function over whole texts becomes one with
    `whole`.
    """

    links: Links | None = field(default_factory=Links)
    leaks: Leaks | None = None
    executable: Executable | None = field(default_factory=Executable)
    redact: Callable[[], Step] | None = None
    shape: Shape | None = None
    refusal: str = REFUSAL

    def check(self, text: str) -> Checked:
        """The whole answer at once."""
        stream = self.stream()
        shown = stream.feed(text) + stream.end()
        return Checked(
            text=self.refusal if stream.refused else shown,
            findings=stream.findings,
            refused=stream.refused,
            value=stream.value,
            problems=stream.problems,
        )

    def stream(self) -> AnswerStream:
        """For one answer that comes in pieces. However it is cut, the same is let through and found."""
        steps: list[Step] = []
        if self.leaks is not None:
            steps += [CanaryStream(self.leaks), PromptStream(self.leaks)]
        if self.links is not None:
            steps.append(LinkStream(self.links))
        if self.executable is not None:
            steps.append(CodeStream(self.executable))
        if self.redact is not None:
            steps.append(self.redact())
        return AnswerStream(steps, self.shape)


class AnswerStream:
    """One answer. Once it is refused, nothing more comes out; what was shown before cannot be taken back."""

    def __init__(self, steps: list[Step], shape: Shape | None) -> None:
        self._steps = steps
        self._shape = shape
        self._shown: list[str] = []
        self._failed: tuple[Finding, ...] = ()
        self.refused = False
        self.value: Any = None
        self.problems: tuple[str, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that the steps found so far, step by step."""
        return (*(f for step in self._steps for f in getattr(step, "findings", ())), *self._failed)

    def feed(self, text: str) -> str:
        """What may be shown now. With a shape nothing may, before all is there."""
        shown = self._pass(text, self._steps)
        if self._shape is not None:
            self._shown.append(shown)
            return ""
        return shown

    def end(self) -> str:
        """The rest."""
        rest = ""
        for place in range(len(self._steps)):
            if not self.refused:
                rest += self._pass(self._close(place), self._steps[place + 1 :])
        if self._shape is None or self.refused:
            return "" if self.refused else rest
        whole = "".join([*self._shown, rest])
        try:
            self.value = self._shape.read(whole)
        except AnswerError as error:
            self.problems = error.problems
            self._refuse("answer/shape", len(whole), "the answer has not the shape that was asked for")
            return ""
        return whole

    def _pass(self, text: str, steps: list[Step]) -> str:
        try:
            for step in steps:
                text = step.feed(text)
                self.refused |= getattr(step, "refused", False)
        except Exception:  # noqa: BLE001 - a foreign redactor may raise anything, and then nothing is shown
            self._refuse("answer/unchecked", 0, "a check failed, so nothing is shown")
        return "" if self.refused else text

    def _close(self, place: int) -> str:
        step = self._steps[place]
        try:
            text = step.end()
            self.refused |= getattr(step, "refused", False)
        except Exception:  # noqa: BLE001 - as above
            self._refuse("answer/unchecked", 0, "a check failed, so nothing is shown")
            return ""
        return text

    def _refuse(self, name: str, size: int, why: str) -> None:
        self.refused = True
        self._failed = (*self._failed, Finding(id=name, span=(0, size), severity="high", confidence=1.0, why=why))


def whole(redact: Callable[[str], str]) -> Callable[[], Step]:
    """Steps from a function over whole texts: they keep everything until the end."""
    return lambda: _Whole(redact)


class _Whole:
    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact
        self._parts: list[str] = []

    def feed(self, text: str) -> str:
        self._parts.append(text)
        return ""

    def end(self) -> str:
        parts, self._parts = self._parts, []
        return self._redact("".join(parts))
