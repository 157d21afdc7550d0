"""What a model asks for, before anything is decided: one value for every wire format.

Arguments arrive as JSON text that a hijacked model wrote. They are read once, here, and refused where two readers
could differ: duplicate keys, NaN, integers beyond 64 bits, lone surrogates, bottomless nesting. What cannot be read is
a value too (`Unreadable`), because it must be answered like any other call, or the conversation ends.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

from interlock.adapters.errors import WireError
from interlock.kernel.call import NAME, Json, canonical, freeze, thaw
from interlock.kernel.errors import CallError

MAX_ARGUMENTS = 1_000_000  # characters of JSON in one call
TOO_LONG = f"`arguments` have more than {MAX_ARGUMENTS} characters"
MAX_PROBLEM = 300  # characters; a path in it is made of keys that the model chose
MAX_ID = 256  # characters; the providers' own ids have fewer than 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A call that can be judged. `arguments` are a private copy."""

    id: str
    name: str
    arguments: dict[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A call that is none. `problem` may be shown to the model: it says nothing but what was wrong with the JSON."""

    id: str
    name: str
    problem: str


Proposed: TypeAlias = Proposal | Unreadable


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model will read in return for one call."""

    content: Json
    failed: bool = False

    @property
    def text(self) -> str:
        """Text as it is, everything else as JSON."""
        if isinstance(self.content, str):
            return self.content
        return json.dumps(self.content, ensure_ascii=False, allow_nan=False)


def propose(call_id: object, name: object, arguments: object) -> Proposed:
    """The proposal in a call with this id, name and `arguments`: JSON text, or an object that an SDK has read.

    Raises:
        WireError: the id is missing, so that nothing could answer the call.
    """
    if not isinstance(call_id, str) or not call_id or len(call_id) > MAX_ID:
        raise WireError(f"a tool call has no id of 1 to {MAX_ID} characters, so nothing can answer it")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return Unreadable(id=call_id, name="", problem="the tool's name is not a plain name")
    try:
        return Proposal(id=call_id, name=name, arguments=read_arguments(arguments))
    except CallError as error:
        return Unreadable(id=call_id, name=name, problem=str(error)[:MAX_PROBLEM])


def read_arguments(arguments: object) -> dict[str, Json]:
    """The one reading of `arguments`, as a fresh copy. Blank text means none, as some servers write it.

    Raises:
        CallError: they are no JSON object, or one that two readers could read differently.
    """
    match arguments:
        case str() if len(arguments) > MAX_ARGUMENTS:
            raise CallError(TOO_LONG)
        case str() if not arguments.strip():
            return {}
        case str():
            value = _loads(arguments)
        case _:
            value = arguments
    if not isinstance(value, Mapping):
        raise CallError("`arguments` must be a JSON object")
    plain = thaw(freeze(value))
    if not isinstance(plain, dict):
        raise CallError("`arguments` must be a JSON object")
    if value is arguments and len(canonical(plain)) > MAX_ARGUMENTS:
        raise CallError(TOO_LONG)
    return plain


def _loads(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_not_json)
    except RecursionError:
        raise CallError("`arguments` are nested too deeply") from None
    except ValueError:  # also a number with more digits than Python reads
        raise CallError("`arguments` are not valid JSON") from None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise CallError("`arguments` name the same key twice")
    return read


def _not_json(constant: str) -> NoReturn:
    raise CallError(f"`arguments` hold {constant}, which is not JSON")


def answered(proposed: Sequence[Proposed], answers: Sequence[Answer]) -> list[tuple[Proposed, Answer]]:
    """Each call with its answer.

    Raises:
        WireError: some call has none, or more than one.
    """
    if len(proposed) != len(answers):
        raise WireError(f"{len(proposed)} calls have {len(answers)} answers; every call needs exactly one, in order")
    return list(zip(proposed, answers, strict=True))


def each_once(proposed: list[Proposed]) -> list[Proposed]:
    """`proposed`, if every id stands for one call.

    Raises:
        WireError: two calls share an id: their answers could not be told apart.
    """
    if len({p.id for p in proposed}) != len(proposed):
        raise WireError("two tool calls of one message share an id, so their answers cannot be told apart")
    return proposed


def part(value: object, name: str) -> Any:
    """`name` of an SDK object or of the dictionary that stands for one; None where it is missing."""
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
