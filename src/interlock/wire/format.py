"""One wire format as a value: `openai_chat.CHAT`, `openai_responses.RESPONSES`, `anthropic.ANTHROPIC`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from interlock.wire.events import Allowed
from interlock.wire.shelf import Shelf
from interlock.wire.steps import Machine, Texts
from interlock.wire.view import RequestView


class Read(Protocol):
    """Reads a request."""

    def __call__(self, body: bytes, allowed: Allowed, shelf: Shelf | None = None) -> RequestView:
        """What it says; `shelf` knows what earlier ones said.

        Raises:
            WireError: it is no JSON, or not this format at all.
        """
        ...


class Open(Protocol):
    """Makes the machine for one answer to the request in `view`."""

    def __call__(self, view: RequestView, allowed: Allowed, texts: Texts | None = None) -> Machine:
        """The machine."""


class ErrorBody(Protocol):
    """Writes an error as this format's clients read it."""

    def __call__(self, status: int, message: str, code: str = "") -> bytes:
        """The bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One wire format."""

    name: str
    path: str  # below the base URL, without /v1
    read: Read
    stream: Open
    body: Open  # for an answer in one piece: the same protocol, steps come from `end()`
    error: ErrorBody  # a body
    error_frames: ErrorBody  # the end of a stream
