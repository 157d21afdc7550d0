"""How an answer passes: the machine's protocol, the same for every format, streamed or whole.

    machine = FORMAT.stream(view, allowed, texts)          # or FORMAT.body(...) for an answer in one piece
    for chunk in upstream: handle(machine.feed(chunk))
    handle(machine.end())

`handle` takes steps in order: `Emit` goes to the client at once; `Judge` is decided, whenever, and `permit` or `refuse`
returns further steps. Meanwhile `feed` may go on: what follows a call waits behind it. `AllRefused` comes last, if the
model wanted nothing but calls and got none: `close` ends the client's answer with the refusals' text; or ask again with
`continuation`, and feed what comes to `follow()`, which goes on with the same client stream (ids, indexes, usage).
`Failed`: the answer could not be mediated; the client has its dialect's error already, nothing held was released.
An exception from `texts` leaves the machine fit for `fail` only. No call ever leaves without `permit`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeAlias

from interlock.wire.events import ToolCall, Usage

HEARTBEAT = b":\n\n"  # a comment; may be sent between any two `Emit`s of a stream
MAX_HELD = 16_000_000  # bytes of an answer that wait for a verdict


@dataclass(frozen=True, slots=True)
class Emit:
    """Send this to the client now."""

    data: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """Decide on this call. Equal to itself only: it stands for one place in one answer."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class AllRefused:
    """The turn is over, all it asked for was refused, and its end is held: `close` it or `follow` it."""

    calls: tuple[ToolCall, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """The answer ends here, with an error that the client was told. Constant words."""

    problem: str


Step: TypeAlias = Emit | Judge | AllRefused | Failed


Kind: TypeAlias = Literal["text", "refusal", "reasoning"]


class Channel(NamedTuple):
    """One text of an answer. `place` tells choices, blocks or items apart."""

    place: int
    kind: Kind


class Texts(Protocol):
    """A guard on what the model says. It may hold text back, and gives it out with a later piece or at the end."""

    def text(self, channel: Channel, piece: str) -> str:
        """What the client may read now, after `piece` has come."""

    def flush(self, channel: Channel) -> str:
        """What is still held; the channel ends, or a call begins."""


class Machine(Protocol):
    """Mediates one answer."""

    @property
    def usage(self) -> Usage:
        """Tokens so far, of this answer and those that it follows."""

    @property
    def finished(self) -> bool:
        """Whether the client has everything, or an error."""

    @property
    def holding(self) -> bool:
        """Whether something is kept back until a call is whole and decided."""

    @property
    def waiting(self) -> tuple[Judge, ...]:
        """The calls that nobody has decided yet."""

    def feed(self, chunk: bytes) -> list[Step]:
        """Take bytes of the answer, split anywhere."""

    def end(self) -> list[Step]:
        """The provider has closed the answer."""

    def permit(self, judge: Judge) -> list[Step]:
        """Let the call through.

        Raises:
            OrderError: it waits for no verdict, or cannot be read.
        """

    def refuse(self, judge: Judge, text: str) -> list[Step]:
        """Keep the call back; `text`, a constant, is what the client reads instead if the turn ends with it.

        Raises:
            OrderError: it waits for no verdict.
        """

    def close(self) -> list[Step]:
        """After `AllRefused`: end the client's answer with the text of the refusals."""

    def continuation(self, sent: bytes, text: str) -> bytes:
        """After `AllRefused`: the next request, which is `sent`, this turn, and `text` as the result of each call."""

    def follow(self) -> Machine:
        """After `AllRefused`: the machine for the answer to that request. This one is then done."""

    def fail(self, status: int, message: str, code: str = "") -> list[Step]:
        """Drop what is held and end with the dialect's error: upstream has stalled, a guard has broken."""
