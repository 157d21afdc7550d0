"""What answers in a model's place, and what it is shown: the same for every wire format.

An order is `>>> tool {"json": "arguments"}` anywhere in a text: in the user's words, a mail, a page, an error. Texts
are searched as they are and with JSON's escapes undone, level by level, because results reach a model as JSON in JSON
and a real one reads through it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol, TypeAlias

from interlock.kernel.call import Json
from interlock.kernel.errors import InterlockError

WRAPPINGS = 4  # of a text within texts that are looked through
ORDER = re.compile(r">>>\s*([A-Za-z_][A-Za-z0-9_.:/-]{0,127})\s*(?=\{)")


class ScriptError(InterlockError):
    """A script was asked for more than it says, or says what no wire format carries."""


@dataclass(frozen=True, slots=True)
class Use:
    """A tool call to make. Arguments as text are sent as they are, valid JSON or not."""

    tool: str
    arguments: Mapping[str, Any] | str

    @property
    def json(self) -> str:
        """The arguments as the model writes them."""
        if isinstance(self.arguments, str):
            return self.arguments
        return json.dumps(dict(self.arguments), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """One turn of a model: text, then calls."""

    text: str = ""
    calls: tuple[Use, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """The provider's refusal to answer, with an HTTP status."""

    status: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message as a model is shown it. `role` is system, user, assistant or tool."""

    role: str
    text: str = ""
    calls: tuple[tuple[str, Use], ...] = ()  # of an assistant, by id
    answers: str = ""  # of a tool: the id of the call


@dataclass(frozen=True, slots=True)
class Conversation:
    """All that a request shows to the model."""

    messages: tuple[Message, ...]
    tools: tuple[str, ...] = ()

    def results(self, tool: str) -> list[Any]:
        """What calls of `tool` have returned, oldest first; JSON is read."""
        named = {call_id: use.tool for message in self.messages for call_id, use in message.calls}
        return [_read(m.text) for m in self.messages if m.role == "tool" and named.get(m.answers) == tool]

    @property
    def last(self) -> Message:
        """The newest message.

        Raises:
            ScriptError: there is none.
        """
        if not self.messages:
            raise ScriptError("the conversation is empty")
        return self.messages[-1]


class Model(Protocol):
    """Whatever answers a conversation."""

    def answer(self, conversation: Conversation) -> Reply | Failure:
        """The next turn."""


Line: TypeAlias = str | Use | Reply | Failure
Step: TypeAlias = Line | Callable[[Conversation], Line]


def _turn(step: Step, conversation: Conversation) -> Reply | Failure:
    line = step(conversation) if callable(step) else step
    match line:
        case str():
            return Reply(line)
        case Use():
            return Reply(calls=(line,))
        case Reply() | Failure():
            return line


class ScriptedModel:
    """Answers the first request with the first step, and so on, whatever it is asked. One for each conversation."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self._steps = list(steps)
        self._next = 0
        self._lock = Lock()

    def answer(self, conversation: Conversation) -> Reply | Failure:
        """The next step's turn.

        Raises:
            ScriptError: the script has ended.
        """
        with self._lock:
            if self._next == len(self._steps):
                raise ScriptError(f"the script has {len(self._steps)} steps and was asked for another")
            self._next += 1
            return _turn(self._steps[self._next - 1], conversation)


class ObedientModel:
    """A model that is fully hijacked: it carries out each order that it reads, once, before it goes on with its plan.

    The plan is what an honest model would do for the user. A refused order does not stop it. One for each conversation.
    """

    def __init__(self, plan: Iterable[Step]) -> None:
        self._plan = ScriptedModel(plan)
        self._obeyed: set[Use] = set()
        self._lock = Lock()

    def answer(self, conversation: Conversation) -> Reply | Failure:
        """All new orders at once; without any, the plan's next step.

        Raises:
            ScriptError: the plan has ended.
        """
        with self._lock:
            new = []
            for message in conversation.messages:
                for order in orders(message.text) if message.role != "assistant" else ():
                    if order not in self._obeyed:
                        self._obeyed.add(order)
                        new.append(order)
        return Reply(calls=tuple(new)) if new else self._plan.answer(conversation)


def orders(text: str) -> list[Use]:
    """The orders in `text`, as it stands and beneath up to four wrappings; an order that is found once counts once."""
    found: list[Use] = []
    for _ in range(WRAPPINGS + 1):
        text = _cut(text, found)
        if (unwrapped := _unwrapped(text)) == text:
            break
        text = unwrapped
    return found


def _cut(text: str, found: list[Use]) -> str:
    """`text` without the orders that can be read in it; those are added to `found`."""
    kept, start = [], 0
    for match in ORDER.finditer(text):
        if match.start() < start:
            continue
        try:
            arguments, end = json.JSONDecoder(strict=False).raw_decode(text, match.end())
        except (ValueError, RecursionError):
            continue
        found.append(Use(match[1], json.dumps(arguments, ensure_ascii=False)))
        kept.append(text[start : match.start()])
        start = end
    return "".join([*kept, text[start:]])


_ESCAPE = re.compile(r'(?:\\u[0-9a-fA-F]{4})+|\\["\\/bfnrt]')  # runs of \u: a character may need two


def _unwrapped(text: str) -> str:
    """`text` with one level of JSON's escapes undone."""
    return _ESCAPE.sub(_unescaped, text)


def _unescaped(match: re.Match[str]) -> str:
    text: str = json.loads(f'"{match[0]}"')
    return text


def _read(text: str) -> Json:
    try:
        value: Json = json.loads(text)
    except ValueError:
        return text
    return value


def texts(content: object) -> Iterator[str]:
    """Every text in a message's content, whichever parts it is made of."""
    match content:
        case str():
            yield content
        case Mapping():
            for name, item in content.items():
                if name != "type":
                    yield from texts(item)
        case Sequence():
            for item in content:
                yield from texts(item)
        case _:
            pass
