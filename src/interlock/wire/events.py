"""What the three formats say, in one vocabulary. Nothing here knows a format.

A request is read into events in the order in which the model reads them; each knows its place in the JSON, so that a
reading can be put there. An answer is read into events too; the calls in it are what the monitor judges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from interlock.kernel.call import Json

Position: TypeAlias = "tuple[str | int, ...]"  # keys and indexes from the body's root

# Requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Text in the conversation. `document` is text that the user handed in rather than said: external."""

    at: Position  # of the text itself
    role: Literal["system", "user", "assistant", "document"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A call in the history. `arguments` are None if they cannot be read one way; `problem` says why."""

    at: Position
    id: str  # "" for legacy function calls
    name: str
    arguments: Mapping[str, Json] | None
    problem: str = ""
    kind: str = "function"  # or custom, shell, apply_patch, computer, local_shell


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a call has returned. Untrusted until somebody knows better.

    `content` is text; or, if there is not exactly one text, a list of texts and `opaque` objects, one for each part. A
    reading of it has the same form, or is one text in place of all.
    """

    at: Position  # of the content
    parts: tuple[Position, ...]  # of each text or part of a list; of the one text otherwise
    id: str
    name: str  # of the tool, "" if nothing in the history asked for this
    asked: int  # index of the `Asked` event, -1 if there is none
    content: Json
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Opaque:
    """Something that the model reads and we do not: an image, a file, sound, an encrypted item. External."""

    at: Position
    kind: str
    digest: str  # SHA-256 of its canonical JSON
    size: int  # bytes of that


Event: TypeAlias = Words | Asked | Result | Opaque


def opaque_part(kind: str, digest: str) -> dict[str, Json]:
    """How an opaque part stands in the content of a `Result`."""
    return {"opaque": kind, "sha256": digest}


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A tool that the client runs. `schema` is None for tools without one (custom, shell ...)."""

    at: Position
    name: str
    kind: str = "function"
    description: str = ""
    schema: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosted:
    """A tool that the provider runs, past every monitor, by its type: `web_search`, `mcp`, `code_execution`."""

    at: Position
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a request is refused. Constant words and names of fields; may be shown to the client."""

    at: Position
    code: Literal["hosted-tool", "server-state", "unknown-field", "unknown-item", "contradiction", "shape"]
    why: str


# Answers


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A whole call that the model asks for. With `arguments` None it can only be refused."""

    id: str
    name: str
    arguments: Mapping[str, Json] | None
    problem: str = ""  # may be shown to the model
    kind: str = "function"
    choice: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of all answers of a turn, as the provider has counted them. `input` includes what was cached."""

    input: int = 0
    output: int = 0
    cached: int = 0  # of input: read from the provider's cache
    written: int = 0  # of input: written to it
    reasoning: int = 0  # of output
    counted: bool = False  # whether the provider has said anything

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input=self.input + other.input,
            output=self.output + other.output,
            cached=self.cached + other.cached,
            written=self.written + other.written,
            reasoning=self.reasoning + other.reasoning,
            counted=self.counted or other.counted,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What an operator lets through by name, although no monitor sees into it."""

    hosted: frozenset[str] = field(default_factory=frozenset)  # provider-run tools, by type
    state: frozenset[str] = field(default_factory=frozenset)  # server-side history, by field
    fields: frozenset[str] = field(default_factory=frozenset)  # unknown fields and items, by name
