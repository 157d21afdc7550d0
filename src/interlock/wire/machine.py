"""What the machines of all formats share: verdicts, steps in order, the one way to fail, guarded texts.

A call leaves only as `permit` has set its verdict; everything that goes wrong ends in `_broken`, which drops what is
held. Subclasses say how bytes are read (`_read`, `_closed`), what can leave now (`_advance`) and how an error looks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from interlock.kernel.call import NAME
from interlock.wire.errors import OrderError, ShapeError, WireError
from interlock.wire.events import Allowed, Position, ToolCall, Usage
from interlock.wire.mould import TRIES, Mould, mould
from interlock.wire.sse import Frame, Parser
from interlock.wire.steps import HEARTBEAT, MAX_HELD, AllRefused, Channel, Emit, Failed, Judge, Step, Texts
from interlock.wire.strict import SEPARATORS, read_arguments, read_input

MAX_ID = 256  # characters of a call's id; the providers' own have fewer than 64
MAX_CALLS = 256  # of one answer
BROKEN_OFF = "the provider's answer broke off"
OF_ERRORS = Channel(-1, "refusal")  # the text that an error's words are to a guard


@dataclass(slots=True, eq=False)
class Pending:
    """A whole call and what was decided."""

    call: ToolCall
    verdict: bool | None = None  # whether it is let through
    text: str = ""  # what the client reads if it is not


@dataclass(frozen=True, slots=True)
class Told:
    """What an event was that said a piece of a text and nothing else, while nothing waits for a verdict."""

    of: Any  # the text, and what else the subclass has to know of it
    text: Position
    others: tuple[Position, ...] = ()  # of what changes with each event, and means nothing


def tool_call(call_id: object, name: object, written: object, *, kind: str = "function", choice: int = 0) -> ToolCall:
    """The call as it can be judged.

    Raises:
        ShapeError: it has no id, so that nothing could answer it.
    """
    if not isinstance(call_id, str) or len(call_id) > MAX_ID:
        raise ShapeError(f"a tool call has no id of 1 to {MAX_ID} characters")
    arguments, problem = read_input(written) if kind == "custom" else read_arguments(written)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        name, arguments, problem = "", None, "the tool's name is not a plain name"
    return ToolCall(id=call_id, name=name, arguments=arguments, problem=problem, kind=kind, choice=choice)


def untouched(frame: Frame) -> bool:
    """Whether every reader sees one event in the frame's own bytes."""
    return frame.plain and not any(character in frame.raw for character, _ in SEPARATORS)


def added(a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> dict[str, Any]:
    """Two providers' counts added up, number by number; what is no number is the later one's."""
    total: dict[str, Any] = dict(a or {})
    for name, value in (b or {}).items():
        before = total.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            total[name] = added(before, value)
        elif _number(value) and _number(before):
            total[name] = before + value
        elif value is not None or name not in total:
            total[name] = value
    return total


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def number(value: object, name: str) -> int:
    """The count `name` of a provider's usage, 0 if it is none."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, int) and found > 0 else 0


def paragraph(before: bool, text: str) -> str:  # noqa: FBT001
    """`text`, set off from what the client has read `before`."""
    return f"\n\n{text}" if before and text else text


def once(texts: Iterable[str]) -> str:
    """Different texts, each once, a paragraph each."""
    return "\n\n".join(dict.fromkeys(text for text in texts if text))


class Base(ABC):
    """Half a machine."""

    def __init__(self, allowed: Allowed, texts: Texts | None, before: Usage) -> None:
        self._allowed = allowed
        self._texts = texts
        self._channels: dict[Channel, None] = {}  # that the guard may hold something of
        self._before = before  # usage of the answers that this one follows
        self._counted = Usage()
        self._judges: dict[Judge, Pending] = {}
        self._called = 0
        self._held = 0  # bytes of a stream that wait for a verdict
        self._steps: list[Step] = []
        self._out = bytearray()
        self._finished = False
        self._ended = False  # the provider has said all
        self._asked = False  # `AllRefused` was told

    # What subclasses say

    @abstractmethod
    def _read(self, chunk: bytes) -> None: ...

    @abstractmethod
    def _closed(self) -> None:
        """The provider has closed the answer."""

    @abstractmethod
    def _advance(self) -> None:
        """Let out what can leave now."""

    @abstractmethod
    def _error(self, status: int, message: str, code: str) -> bytes: ...

    # The protocol

    @property
    def usage(self) -> Usage:
        """Tokens so far."""
        return self._before + self._counted

    @property
    def finished(self) -> bool:
        """Whether the client has everything, or an error."""
        return self._finished

    @property
    def holding(self) -> bool:
        """Whether something is kept back until a call is whole and decided."""
        return bool(self._judges) or self._held > 0

    @property
    def waiting(self) -> tuple[Judge, ...]:
        """The calls that nobody has decided yet."""
        return tuple(self._judges)

    def feed(self, chunk: bytes) -> list[Step]:
        """Take bytes of the answer."""
        if not self._finished and not self._ended:  # after the end nothing is read
            try:
                self._read(chunk)
            except WireError as error:
                self._broken(str(error))
        return self._taken()

    def end(self) -> list[Step]:
        """The provider has closed the answer."""
        if not self._finished and not self._ended:
            try:
                self._closed()
                self._advance()
            except WireError as error:
                self._broken(str(error))
        return self._taken()

    def permit(self, judge: Judge) -> list[Step]:
        """Let the call through."""
        if judge in self._judges and judge.call.arguments is None:
            raise OrderError("a call that cannot be read cannot be permitted")
        return self._decided(judge, verdict=True)

    def refuse(self, judge: Judge, text: str) -> list[Step]:
        """Keep the call back."""
        return self._decided(judge, verdict=False, text=text)

    def fail(self, status: int, message: str, code: str = "") -> list[Step]:
        """Drop what is held and end with the dialect's error."""
        if not self._finished:
            self._broken(message, status=status, code=code)
        return self._taken()

    # For subclasses

    def _decided(self, judge: Judge, *, verdict: bool, text: str = "") -> list[Step]:
        if self._finished:  # it has failed meanwhile
            return []
        pending = self._judges.pop(judge, None)
        if pending is None:
            raise OrderError("the call waits for no verdict")
        pending.verdict, pending.text = verdict, text
        try:
            self._advance()
        except WireError as error:
            self._broken(str(error))
        return self._taken()

    def _emit(self, data: bytes) -> None:
        self._out += data

    def _step(self, step: Step) -> None:
        if self._out:
            self._steps.append(Emit(bytes(self._out)))
            self._out.clear()
        self._steps.append(step)

    def _taken(self) -> list[Step]:
        if self._out:
            self._steps.append(Emit(bytes(self._out)))
            self._out.clear()
        steps, self._steps = self._steps, []
        return steps

    def _judge(self, pending: Pending) -> None:
        self._called += 1
        if self._called > MAX_CALLS:
            raise ShapeError(f"the answer has more than {MAX_CALLS} tool calls")
        judge = Judge(pending.call)
        self._judges[judge] = pending
        self._step(judge)

    def _ask_again(self, calls: Iterable[Pending]) -> None:
        if not self._asked:
            self._asked = True
            self._step(AllRefused(tuple(pending.call for pending in calls)))

    def _check_asked(self) -> None:
        if not self._asked or self._finished:
            raise OrderError("this is for after `AllRefused`")

    def _broken(self, problem: str, *, status: int = 502, code: str = "unmediated_answer") -> None:
        self._judges.clear()
        self._steps = [step for step in self._steps if isinstance(step, Emit)]
        self._finished = True
        self._emit(self._error(status, problem, code))
        self._step(Failed(problem))

    def _explained(self, message: object) -> str:
        """What the client may read of a provider's own words for what went wrong."""
        if not isinstance(message, str):
            return BROKEN_OFF
        return (self._said(OF_ERRORS, message) + self._flushed(OF_ERRORS)) or BROKEN_OFF

    def _said(self, channel: Channel, piece: str) -> str:
        """What the client may read of `piece`."""
        if self._texts is None or not piece:
            return piece
        self._channels[channel] = None
        return self._texts.text(channel, piece)

    def _flushed(self, channel: Channel) -> str:
        """What the guard still holds of `channel`."""
        if self._texts is None or channel not in self._channels:
            return ""
        del self._channels[channel]
        return self._texts.flush(channel)


class Streamed(Base):
    """The part of a machine that reads frames."""

    def __init__(self, allowed: Allowed, texts: Texts | None, before: Usage) -> None:
        super().__init__(allowed, texts, before)
        self._parser = Parser()
        self._mould: Mould | None = None  # what events that say more of the same text look like
        self._told: Told | None = None  # whether the event that was just read is one of these
        self._of: Any = None  # what the mould is for
        self._tries = TRIES

    @abstractmethod
    def _frame(self, frame: Frame, data: bytes) -> None:
        """Read one event."""

    @abstractmethod
    def _more(self, raw: bytes, text: str, holes: list[bytes], shape: Mould) -> bytes:
        """What leaves of one more event `raw` that fits the mould; no event of another kind has come since."""

    def feed(self, chunk: bytes) -> list[Step]:
        """Take bytes of the answer; most often they are one event like the one before."""
        shape = self._mould
        if shape is None or self._finished or not self._parser.between:
            return super().feed(chunk)
        fitting = shape.fit(chunk)
        if fitting is None or not fitting[0]:
            return super().feed(chunk)
        self._tries = TRIES
        out = self._more(chunk, *fitting, shape)
        return [Emit(out)] if out else []

    def _read(self, chunk: bytes) -> None:
        self._frames(self._parser.feed(chunk))

    def _frames(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            if self._finished or self._ended:
                return
            if frame.data is not None:
                shape = self._mould
                if shape is not None and (fitting := shape.fit(frame.raw)) is not None and fitting[0]:
                    self._tries = TRIES
                    self._emit(self._more(frame.raw, *fitting, shape))
                    continue
                self._mould = None
                self._frame(frame, frame.data)
                if self._told is not None:
                    self._repeat(frame, shape, self._told)
                    self._told = None
            elif frame.raw.startswith(b":"):
                self._emit(HEARTBEAT)  # not its text: see `sse`

    def _repeat(self, frame: Frame, before: Mould | None, told: Told) -> None:
        """Make the mould of what was `told` in `frame`, or keep the one `before` if only an escape did not fit it."""
        if before is not None and told.of == self._of and b"\\" in frame.raw:
            self._mould = before
        elif self._tries:
            self._tries -= 1
            self._mould, self._of = mould(frame, told.text, *told.others), told.of

    def _hold(self, size: int) -> None:
        self._held += size
        if self._held > MAX_HELD:
            raise ShapeError(f"more than {MAX_HELD} bytes of the answer wait behind a tool call")


class Whole(Base):
    """The part of a machine that reads an answer in one piece."""

    def __init__(self, allowed: Allowed, texts: Texts | None, before: Usage) -> None:
        super().__init__(allowed, texts, before)
        self._body = bytearray()

    @abstractmethod
    def _whole(self, body: bytes) -> None:
        """Read the answer."""

    def _read(self, chunk: bytes) -> None:
        self._body += chunk
        if len(self._body) > MAX_HELD:
            raise ShapeError(f"the answer has more than {MAX_HELD} bytes")

    def _closed(self) -> None:
        self._ended = True
        self._whole(bytes(self._body))
