"""OpenAI Chat Completions: `/chat/completions`.

A call is whole when its choice says why it has finished: the pieces of parallel calls may interleave. From the first
piece of a call on, chunks wait; then all calls of the choice are judged, and the chunks leave as they came if all were
permitted, or without the refused calls, the others renumbered, the reason rewritten.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from interlock.kernel.call import Json
from interlock.wire.errors import ShapeError
from interlock.wire.events import Allowed, Position, Usage
from interlock.wire.format import Format
from interlock.wire.machine import (
    BROKEN_OFF,
    MAX_CALLS,
    Base,
    Pending,
    Streamed,
    Told,
    Whole,
    added,
    number,
    once,
    paragraph,
    tool_call,
    untouched,
)
from interlock.wire.mould import Mould
from interlock.wire.reader import Known, Reader, only, passes, read_object
from interlock.wire.shelf import Shelf
from interlock.wire.sse import Frame
from interlock.wire.steps import Channel, Kind, Machine, Step, Texts
from interlock.wire.strict import dumps, loads
from interlock.wire.view import RequestView

NAME = "openai-chat"

# Requests

TOP = Known(
    "messages model audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens"
    " max_tokens metadata modalities moderation n parallel_tool_calls prediction presence_penalty prompt_cache_key"
    " prompt_cache_options prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier"
    " stop store stream stream_options temperature tool_choice tools top_logprobs top_p user verbosity"
    " web_search_options"
    # of servers that speak this format
    " guided_json guided_regex guided_choice guided_grammar structured_outputs reasoning"
)
MESSAGE = Known(
    "role content name tool_calls tool_call_id function_call refusal audio annotations reasoning_content reasoning"
    " reasoning_details prompt_cache_breakpoint cache_control"
)
PART = Known("type text refusal image_url input_audio file video_url prompt_cache_breakpoint cache_control")
OPAQUE_PARTS = {"image_url": "image", "input_audio": "audio", "file": "file", "video_url": "video"}
SAYS = ("text", "refusal", *OPAQUE_PARTS)
SPEAKER = re.compile(r"[A-Za-z][A-Za-z_-]{0,61}[0-9]{0,2}")  # who speaks; anything else could be a value or a sentence
TOOL = Known("type function custom")
FUNCTION = Known("name description parameters strict")
CUSTOM = Known("name description format")
CALL = Known("id type function custom index extra_content", reads="function custom")
CALLED = Known("name arguments")
CALLED_CUSTOM = Known("name input")


def read(body: bytes, allowed: Allowed, shelf: Shelf | None = None) -> RequestView:
    """The request in `body`.

    Raises:
        WireError: it is no JSON object, or one that can be read in two ways.
    """
    value = read_object(body)
    reader = Reader(allowed, shelf)
    reader.fields((), value, TOP)
    if not isinstance(value.get("messages"), list):
        reader.problem(("messages",), "shape", "`messages` must be a list")
    else:
        reader.items(("messages",), value["messages"], partial(_read_message, reader))
    _read_tools(reader, value)
    if value.get("store"):
        reader.uses_state("store", brings=False)
    n = value.get("n")
    if n is not None and (not isinstance(n, int) or isinstance(n, bool) or n < 1):
        reader.problem(("n",), "shape", "`n` must be a number from 1 on")
        n = None
    options = value.get("stream_options")
    return reader.view(
        format=NAME,
        body=body,
        value=value,
        n=n or 1,
        limit=value.get("max_completion_tokens") or value.get("max_tokens"),
        counted=not value.get("stream") or (isinstance(options, dict) and options.get("include_usage") is True),
        add_system=_add_system,
        add_count=_add_count,
    )


def _read_message(reader: Reader, at: Position, message: dict[str, Any]) -> None:
    reader.fields(at, message, MESSAGE)
    content = (*at, "content")
    _read_role(reader, at, content, message)
    name = "" if message.get("role") == "function" else message.get("name")
    if name and not (isinstance(name, str) and SPEAKER.fullmatch(name)):
        reader.words((*at, "name"), "document", name)


def _read_role(reader: Reader, at: Position, content: Position, message: dict[str, Any]) -> None:
    match message.get("role"):
        case "system" | "developer":
            _read_content(reader, content, message.get("content"), "system")
        case "user":
            _read_content(reader, content, message.get("content"), "user")
        case "assistant":
            for name in ("reasoning_content", "reasoning"):
                reader.words((*at, name), "assistant", message.get(name))
            for name in ("reasoning_details", "audio"):
                if message.get(name):
                    reader.opaque((*at, name), name.partition("_")[0], message[name])
            _read_content(reader, content, message.get("content"), "assistant")
            reader.words((*at, "refusal"), "assistant", message.get("refusal"))
            reader.cited((*at, "annotations"), "annotations", message.get("annotations"))
            _read_calls(reader, at, message)
            return
        case "tool":
            reader.result(content, message.get("content"), message.get("tool_call_id"), partial(_result_part, reader))
        case "function":
            of = str(message.get("name"))
            reader.result(content, message.get("content"), "", partial(_result_part, reader), name=of)
        case _:
            reader.problem((*at, "role"), "unknown-item", "a message has a role that is not known")
    if message.get("tool_calls") or message.get("function_call"):
        reader.problem(at, "contradiction", "only an assistant's message has tool calls")


def _read_content(reader: Reader, at: Position, content: object, role: Any) -> None:  # noqa: ANN401 - one of the roles
    if not isinstance(content, list):
        reader.words(at, role, content)
        return
    for here, part in reader.objects(at, content):
        reader.fields(here, part, PART)
        match part.get("type"):
            case "text":
                reader.alone(here, part, "text", SAYS)
                reader.words((*here, "text"), role, part.get("text"))
            case "refusal" if role == "assistant":
                reader.alone(here, part, "refusal", SAYS)
                reader.words((*here, "refusal"), role, part.get("refusal"))
            case str(kind) if kind in OPAQUE_PARTS:
                reader.opaque(here, OPAQUE_PARTS[kind], part)
            case kind:
                reader.opaque(here, reader.unknown_item(here, kind), part)


def _result_part(reader: Reader, at: Position, part: dict[str, Any]) -> list[tuple[Position, Json]]:
    reader.fields(at, part, PART)
    match part:
        case {"type": "text", "text": str(text)}:
            reader.alone(at, part, "text", SAYS)
            return [((*at, "text"), text)]
        case {"type": str(kind)} if kind in OPAQUE_PARTS:
            return reader.sealed(at, OPAQUE_PARTS[kind], part)
        case _:
            return reader.sealed(at, reader.unknown_item(at, part.get("type")), part)


def _read_calls(reader: Reader, at: Position, message: dict[str, Any]) -> None:
    for here, call in reader.objects((*at, "tool_calls"), message.get("tool_calls")):
        reader.fields(here, call, CALL)
        match call:
            case {"type": "custom", "custom": dict(custom)} if not call.get("function"):
                reader.fields((*here, "custom"), custom, CALLED_CUSTOM)
                reader.asked(here, call.get("id") or None, custom.get("name"), custom.get("input"), "custom")
            case {"function": dict(function)} if not call.get("custom") and call.get("type") in (None, "function"):
                reader.fields((*here, "function"), function, CALLED)
                reader.asked(here, call.get("id") or None, function.get("name"), _text(function.get("arguments")))
            case _:
                reader.problem(here, "unknown-item", "a tool call of the history is neither `function` nor `custom`")
    match message.get("function_call"):
        case None:
            pass
        case dict(legacy):
            here = (*at, "function_call")
            reader.fields(here, legacy, CALLED)
            reader.asked(here, "", legacy.get("name"), _text(legacy.get("arguments")))
        case _:
            reader.problem((*at, "function_call"), "shape", "`function_call` must be an object")


def _text(arguments: object) -> object:
    """What this format carries as text is read as text; anything else in its place is no arguments."""
    return arguments if isinstance(arguments, str) else None


def _read_tools(reader: Reader, value: dict[str, Any]) -> None:
    for at, tool in reader.objects(("tools",), value.get("tools")):
        match tool:
            case {"type": "function", "function": dict(function)}:
                reader.fields(at, tool, TOOL)
                _declare(reader, (*at, "function"), function)
            case {"type": "custom", "custom": dict(custom)}:
                reader.fields(at, tool, TOOL)
                reader.fields((*at, "custom"), custom, CUSTOM)
                here, description = (*at, "custom"), custom.get("description")
                reader.declare(here, custom.get("name"), kind="custom", description=description, schema=None)
            case _:
                reader.host(at, tool.get("type"))
    for at, function in reader.objects(("functions",), value.get("functions")):
        _declare(reader, at, function)
    if value.get("web_search_options") is not None:
        reader.host(("web_search_options",), "web_search")
    modalities = value.get("modalities")
    if (value.get("audio") or modalities not in (None, ["text"])) and "audio" not in reader.allowed.fields:
        reader.problem(("modalities",), "unknown-field", "an answer in sound cannot be mediated; allow `audio` by name")


def _declare(reader: Reader, at: Position, function: dict[str, Any]) -> None:
    reader.fields(at, function, FUNCTION)
    description, schema = function.get("description"), function.get("parameters")
    reader.declare(at, function.get("name"), kind="function", description=description, schema=schema)


def _add_system(value: dict[str, Any], text: str) -> None:
    messages = value["messages"]
    match messages[0] if messages else None:
        case {"role": "system" | "developer", "content": str(content)}:
            messages[0]["content"] = f"{content}\n\n{text}"
        case {"role": "system" | "developer", "content": list(parts)}:
            parts.append({"type": "text", "text": text})
        case _:
            messages.insert(0, {"role": "system", "content": text})


def _add_count(value: dict[str, Any]) -> None:
    if value.get("stream"):
        value["stream_options"] = (value.get("stream_options") or {}) | {"include_usage": True}


# Answers

CHUNK = Known(
    "id choices created model object moderation obfuscation service_tier system_fingerprint usage provider"
    # of servers that speak this format
    " x_groq timings prompt_filter_results prompt_annotations content_filter_results kv_transfer_params prompt_logprobs"
    " prompt_token_ids",
    reads="choices",
)
CHOICE = Known(
    "index delta text finish_reason logprobs native_finish_reason stop_reason matched_stop token_ids"
    " content_filter_results content_filter_offsets content_filter_result",
    reads="delta",
)
DELTA = Known(
    "role content refusal tool_calls function_call reasoning_content reasoning reasoning_details annotations audio"
    " extra_content",
    reads="tool_calls function_call",
)
BODY = Known(" ".join(CHUNK.names) + " metadata", reads="choices")
WHOLE_CHOICE = Known(" ".join(CHOICE.names - {"delta", "text"}) + " message", reads="message")
SPOKEN: tuple[tuple[str, Kind], ...] = (
    ("reasoning_content", "reasoning"),
    ("reasoning", "reasoning"),
    ("content", "text"),
    ("refusal", "refusal"),
)
KINDS_SPOKEN = dict(SPOKEN)
HEAD = ("id", "object", "created", "model")  # the same in every chunk of an answer
WHOLE_REASONS = frozenset({"tool_calls", "stop", "function_call"})  # after any other the last call may be half one


@dataclass(slots=True, eq=False)
class _Call:
    """A call as it comes in."""

    id: str = ""
    name: str = ""
    kind: str = ""
    written: list[str] = field(default_factory=list)
    pending: Pending | None = None  # once it is whole

    @property
    def passed(self) -> bool:
        return self.pending is not None and self.pending.verdict is True


@dataclass(slots=True, eq=False)
class _Choice:
    """One answer of n."""

    index: int
    calls: list[_Call] = field(default_factory=list)
    legacy: _Call | None = None
    said: list[str] = field(default_factory=list)
    spoke: bool = False  # the client has read text
    finish: str = ""

    @property
    def all(self) -> list[_Call]:
        return [self.legacy] if self.legacy else self.calls

    @property
    def settled(self) -> bool:
        """No call waits for more of itself or for a verdict."""
        return all(call.pending is not None and call.pending.verdict is not None for call in self.all)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """What an answer hands on to the one that follows it."""

    usage: Usage
    raw_usage: dict[str, Any]
    head: dict[str, Any]
    said: str  # text of the client's answer so far; of a stream, what is still to be sent of it
    spoke: bool


class _Chat(Base):
    """What a stream and a body of this format share."""

    def __init__(self, view: RequestView, allowed: Allowed, texts: Texts | None, after: _Turn | None) -> None:
        super().__init__(allowed, texts, after.usage if after else Usage())
        self._view = view
        self._choices: dict[int, _Choice] = {}
        self._after = after
        self._head: dict[str, Any] = after.head if after else {}
        self._raw_usage: dict[str, Any] = after.raw_usage if after else {}

    def _error(self, status: int, message: str, code: str) -> bytes:
        return error(status, message, code)

    def _choice(self, value: object) -> _Choice:
        index = value.get("index") if isinstance(value, dict) else None
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < self._view.n:
            raise ShapeError("a choice has no index below `n`")
        return self._choices.setdefault(index, _Choice(index))

    def _count(self, value: dict[str, Any]) -> bool:
        """Take the usage in `value`; whether it was changed."""
        usage = value.get("usage")
        if usage is None:
            return False
        if not isinstance(usage, dict):
            raise ShapeError("`usage` must be an object")
        self._counted = Usage(
            input=number(usage, "prompt_tokens"),
            output=number(usage, "completion_tokens"),
            cached=number(usage.get("prompt_tokens_details"), "cached_tokens"),
            written=number(usage.get("prompt_tokens_details"), "cache_write_tokens"),
            reasoning=number(usage.get("completion_tokens_details"), "reasoning_tokens"),
            counted=True,
        )
        if self._after is None:
            self._raw_usage = usage
            return False
        self._raw_usage = value["usage"] = added(self._after.raw_usage, usage)
        return True

    def _check(self, message: dict[str, Any]) -> None:
        """Look at what is not text and not a call."""
        if name := passes(DELTA, message, self._allowed):
            raise ShapeError(f"the answer has a field `{name[:80]}`, which is not mediated")
        if message.get("role") not in (None, "", "assistant"):
            raise ShapeError("an answer's role is not `assistant`")
        if message.get("annotations") and "web_search" not in self._allowed.hosted:
            raise ShapeError("the answer has `annotations`: the provider has searched the web past the monitor")
        if message.get("audio") is not None and "audio" not in self._allowed.fields:
            raise ShapeError("the answer has `audio`, which is not mediated")

    def _speak(self, choice: _Choice, message: dict[str, Any], *, flush: bool) -> bool:
        """Take the texts of `message`, and leave in it what the client may read. Whether it was changed."""
        changed = self._texts is not None and self._details(message)
        for name, kind in SPOKEN:
            text = message.get(name)
            if text is not None and not isinstance(text, str):
                raise ShapeError(f"`{name}` of an answer is no text")
            if text and name == "content":
                if choice.finish and not flush:
                    raise ShapeError("the answer goes on after its end")
                choice.said.append(text)
            if self._texts is None and self._after is None:
                choice.spoke = choice.spoke or bool(text and name == "content")
                continue
            new = text or ""
            if new and name == "content":
                if self._after is not None and not choice.spoke:
                    new = paragraph(self._after.spoke, new)
                choice.spoke = True
            if self._texts is not None:
                channel = Channel(choice.index, kind)
                new = self._said(channel, new)
                if flush:
                    new += self._flushed(channel)
            if new != (text or ""):
                message[name], changed = new or None, True
        return changed

    def _details(self, message: dict[str, Any]) -> bool:
        """Take texts out of `reasoning_details` that a guard would have to see twice; whether there were any."""
        details = message.get("reasoning_details")
        kept = (
            [d for d in details if isinstance(d, dict) and not d.get("text") and not d.get("summary")]
            if details
            else []
        )
        if not details or kept == details:
            return False
        message["reasoning_details"] = kept
        return True

    def _spoke(self, index: int) -> bool:
        """Whether the client has read text of this choice, in this answer or one before it."""
        choice = self._choices.get(index)
        return bool(choice and choice.spoke) or (self._after is not None and self._after.spoke)

    def _finish(self, choice: _Choice, reason: str) -> None:
        """The choice is over: its calls are whole, but for the last one if it was cut off."""
        choice.finish = reason
        if len({call.id for call in choice.calls}) != len(choice.calls):
            raise ShapeError("two tool calls share an id")
        for call in choice.all:
            if not call.id and call is not choice.legacy:
                raise ShapeError("a tool call has no id")
            whole = tool_call(
                call.id, call.name, "".join(call.written), kind=call.kind or "function", choice=choice.index
            )
            call.pending = Pending(whole)
        judged = choice.all
        if judged and reason not in WHOLE_REASONS and judged[-1].pending:
            judged[-1].pending.verdict = False
            judged = judged[:-1]
        for call in judged:
            if call.pending:
                self._judge(call.pending)

    def _refused_all(self) -> list[Pending]:
        """The calls, if the turn may be asked for again: there are some, and all were refused."""
        if self._view.n != 1 or not (choice := self._choices.get(0)) or choice.finish not in WHOLE_REASONS:
            return []
        calls = [call.pending for call in choice.all if call.pending]
        return [] if any(call.verdict is not False for call in calls) else calls

    def _reason(self, choice: _Choice, reason: object) -> object:
        """The reason that agrees with the calls that were let through."""
        if reason in {"tool_calls", "function_call"} and not any(call.passed for call in choice.all):
            return "stop"
        return reason

    def _apology(self, choice: _Choice) -> str:
        """What the client reads of the calls that were refused."""
        text = once(call.pending.text for call in choice.all if call.pending and call.pending.verdict is False)
        return paragraph(self._spoke(choice.index), text)

    def continuation(self, sent: bytes, text: str) -> bytes:
        """The request that goes on after the refusals."""
        self._check_asked()
        value, choice = loads(sent), self._choices[0]
        turn: dict[str, Any] = {"role": "assistant", "content": "".join(choice.said) or None}
        if choice.legacy:
            name = choice.legacy.name
            turn["function_call"] = {"name": name, "arguments": "".join(choice.legacy.written)}
            results = [{"role": "function", "name": name, "content": text}]
        else:
            turn["tool_calls"] = [_history(call) for call in choice.calls]
            results = [{"role": "tool", "tool_call_id": call.id, "content": text} for call in choice.calls]
        value["messages"] += [turn, *results]
        return dumps(value)


def _history(call: _Call) -> dict[str, Any]:
    written = "".join(call.written)
    if call.kind == "custom":
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": written}}
    # What cannot be read is not shown to the provider again: it refuses the whole request for it.
    readable = written if call.pending and call.pending.call.arguments is not None and written.strip() else "{}"
    return {"id": call.id, "type": "function", "function": {"name": call.name or "unknown", "arguments": readable}}


def _extend(choice: _Choice, entries: object) -> bool:
    """Take pieces of calls; whether the entries had to be changed so that all readers put them together alike."""
    changed = False
    if not isinstance(entries, list):
        raise ShapeError("`tool_calls` is no list")
    for entry in entries:
        index = entry.get("index") if isinstance(entry, dict) else None
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index <= min(len(choice.calls), MAX_CALLS):
            raise ShapeError("the indexes of tool calls are not 0, 1, 2 and so on")
        if index == len(choice.calls):
            choice.calls.append(_Call())
        changed |= _piece(choice.calls[index], entry)
    return changed


def _piece(call: _Call, entry: dict[str, Any]) -> bool:
    """Take one piece of `call`."""
    if name := only(CALL, entry):
        raise ShapeError(f"a tool call has a field `{name[:80]}`, which is not known")
    function, custom = entry.get("function"), entry.get("custom")
    kind = entry.get("type") or ("custom" if custom else call.kind or "function")
    if kind not in ("function", "custom") or (call.kind and kind != call.kind) or (function and custom):
        raise ShapeError("a tool call is of no known type, or of two")
    call.kind = kind
    if (function if kind == "custom" else custom) is not None:
        raise ShapeError("a tool call is of two types")
    changed = _settle(call, entry, "id")
    inner = custom if kind == "custom" else function
    return changed | _inner(call, inner, "input" if kind == "custom" else "arguments") if inner is not None else changed


def _inner(call: _Call, inner: object, written: str) -> bool:
    if not isinstance(inner, dict):
        raise ShapeError("a tool call is no object")
    if name := only(CALLED_CUSTOM if written == "input" else CALLED, inner):
        raise ShapeError(f"a tool call has a field `{name[:80]}`, which is not known")
    text = inner.get(written)
    if text is not None and not isinstance(text, str):
        raise ShapeError("the arguments of a tool call are no text")
    if text:
        call.written.append(text)
    return _settle(call, inner, "name")


def _settle(call: _Call, entry: dict[str, Any], name: str) -> bool:
    """Take `id` or `name`, which comes once. Some readers append a repetition and some replace, so it is taken out."""
    value, known = entry.get(name), getattr(call, name)
    if value is None or value == "":
        return False
    if not isinstance(value, str) or (known and value != known):
        raise ShapeError(f"a tool call has two values of `{name}`")
    setattr(call, name, value)
    if known:
        del entry[name]
    return bool(known)


class ChatStream(_Chat, Streamed):
    """The machine for a stream."""

    def __init__(
        self, view: RequestView, allowed: Allowed, texts: Texts | None = None, after: _Turn | None = None
    ) -> None:
        super().__init__(view, allowed, texts, after)
        self._queue: list[tuple[Frame, dict[str, Any], bool]] = []
        self._done = b""
        if after is not None and after.said:
            self._emit(self._chunk_of(0, {"content": after.said}))

    def _error(self, status: int, message: str, code: str) -> bytes:
        return error_frames(status, message, code)

    def _frame(self, frame: Frame, data: bytes) -> None:
        if data == b"[DONE]":
            self._over(frame.raw if frame.plain and not frame.event else b"data: [DONE]\n\n")
            return
        value = loads(data)
        if not isinstance(value, dict):
            raise ShapeError("an event of the answer is no object")
        if (wrong := value.get("error")) or frame.event == b"error":
            self._provider_failed(wrong)
            return
        changed = frame.event not in {b"", b"message"} or not untouched(frame)
        name = "" if changed or self._after is not None else _alone(value)
        changed |= self._chunk(value)
        if self._queue or not all(choice.settled for choice in self._choices.values()):
            self._hold(len(frame.raw))
            self._queue.append((frame, value, changed))
            self._advance()
        else:
            self._pass(frame, value, changed=changed)
            entry = value["choices"][0] if name else {}
            if name and not (choice := self._choices[entry["index"]]).finish:
                of = (choice, Channel(choice.index, KINDS_SPOKEN[name]), name == "content", entry["delta"].get("role"))
                others = (("obfuscation",),) if isinstance(value.get("obfuscation"), str) else ()
                self._told = Told(of, ("choices", 0, "delta", name), others)

    def _more(self, raw: bytes, text: str, holes: list[bytes], shape: Mould) -> bytes:
        choice, channel, content, role = self._of
        if content:
            choice.said.append(text)
            choice.spoke = True
        new = self._said(channel, text)
        if new == text:
            return raw
        return shape.fill(holes, new or None) if new or role else b""

    def _chunk(self, value: dict[str, Any]) -> bool:
        """Read a chunk, and guard its texts; whether it was changed."""
        if name := passes(CHUNK, value, self._allowed):
            raise ShapeError(f"the answer has a field `{name[:80]}`, which is not mediated")
        choices = value.get("choices")
        if not isinstance(choices, list):
            raise ShapeError("a chunk has no `choices`")
        changed = self._count(value)
        if not self._head and value.get("id"):
            self._head = {name: value[name] for name in HEAD if name in value}
        if self._after is not None:
            value |= self._head
            changed = True
        for entry in choices:
            changed |= self._entry(entry)
        return changed

    def _entry(self, entry: object) -> bool:
        choice = self._choice(entry)
        if not isinstance(entry, dict) or passes(CHOICE, entry, self._allowed):
            raise ShapeError("a choice of the answer has a field which is not mediated")
        delta = entry.get("delta")
        changed = delta is None
        if delta is None:
            delta = entry["delta"] = {}
        if not isinstance(delta, dict):
            raise ShapeError("a `delta` is no object")
        if (text := entry.get("text")) is not None:
            if text != (delta.get("content") or ""):
                raise ShapeError("a choice of the answer tells its text in two ways")
            del entry["text"]  # some servers say it twice
            changed = True
        self._check(delta)
        finish, calls, legacy = entry.get("finish_reason"), delta.get("tool_calls"), delta.get("function_call")
        if finish is not None and (not isinstance(finish, str) or choice.finish not in {"", finish}):
            raise ShapeError("a choice has two reasons to finish")
        if (calls or legacy is not None) and choice.finish:
            raise ShapeError("the answer goes on after its end")
        if calls:
            changed |= _extend(choice, calls)
        if legacy is not None:
            choice.legacy = choice.legacy or _Call()
            changed |= _inner(choice.legacy, legacy, "arguments")
        if choice.legacy and choice.calls:
            raise ShapeError("an answer has tool calls of both kinds")
        if self._speak(choice, delta, flush=bool(finish or calls or legacy)):
            changed = True
            if entry.get("logprobs") is not None:
                entry["logprobs"] = None  # they spell the text out
        if self._after is not None:
            delta.pop("role", None)
        if finish and not choice.finish:
            self._finish(choice, finish)
        return changed

    def _pass(self, frame: Frame, value: dict[str, Any], *, changed: bool) -> None:
        if not value["choices"] and value.get("usage") and not self._view.counted:
            return  # the client has not asked for it
        if not changed:
            self._emit(frame.raw)
        elif value.get("usage") or any(
            any(entry["delta"].values()) or entry.get("finish_reason") for entry in value["choices"]
        ):
            self._emit(_write(value))

    def _provider_failed(self, wrong: object) -> None:
        message = wrong.get("message") if isinstance(wrong, dict) else wrong
        self._broken(self._explained(message), code="provider_error")

    def _over(self, done: bytes) -> None:
        self._ended, self._done = True, done
        self._advance()

    def _closed(self) -> None:
        self._frames(self._parser.end())
        if self._finished or self._ended:
            return
        if not self._choices or not all(choice.finish for choice in self._choices.values()):
            raise ShapeError(BROKEN_OFF)
        self._over(b"")

    def _advance(self) -> None:
        if self._ended and any(choice.all and not choice.finish for choice in self._choices.values()):
            raise ShapeError(BROKEN_OFF)
        if self._finished or not all(choice.settled for choice in self._choices.values()):
            return
        if refused := self._refused_all():
            if self._ended:
                self._ask_again(refused)
            return
        self._drain()

    def _drain(self) -> None:
        for frame, value, changed in self._queue:
            self._pass(frame, value, changed=self._edit(value) or changed)
        self._queue.clear()
        self._held = 0
        if not self._ended:
            return
        for channel in list(self._channels):  # of a choice that never said that it has finished
            if rest := self._flushed(channel):
                self._emit(self._chunk_of(channel.place, {"content" if channel.kind == "text" else channel.kind: rest}))
        self._emit(self._done)
        self._finished = True

    def _edit(self, value: dict[str, Any]) -> bool:
        """Take the refused calls out of a chunk and say so at the choice's end; whether it was changed."""
        changed = False
        for entry in value["choices"]:
            choice, delta = self._choices[entry["index"]], entry["delta"]
            if all(call.passed for call in choice.all):
                continue
            if calls := delta.get("tool_calls"):
                kept = [call for call in calls if choice.calls[call["index"]].passed]
                for call in kept:
                    call["index"] = sum(before.passed for before in choice.calls[: call["index"]])
                if kept:
                    delta["tool_calls"] = kept
                else:
                    del delta["tool_calls"]
                changed = True
            if delta.get("function_call") is not None:
                del delta["function_call"]
                changed = True
            if reason := entry.get("finish_reason"):
                entry["finish_reason"] = self._reason(choice, reason)
                if apology := self._apology(choice):
                    delta["content"] = (delta.get("content") or "") + apology
                changed = True
        return changed

    def close(self) -> list[Step]:
        """End with the text of the refusals."""
        self._check_asked()
        self._drain()
        return self._taken()

    def follow(self) -> Machine:
        """The machine for the answer to `continuation`."""
        self._check_asked()
        self._finished = True
        # What was said beside the refused calls has waited with them.
        held = [entry["delta"].get("content") or "" for _, value, _ in self._queue for entry in value["choices"]]
        turn = _Turn(
            usage=self.usage,
            raw_usage=self._raw_usage,
            head=self._head,
            said="".join(held),
            spoke=self._spoke(0),
        )
        return ChatStream(self._view, self._allowed, self._texts, turn)

    def _chunk_of(self, index: int, delta: dict[str, Any]) -> bytes:
        return _write(self._head | {"choices": [{"index": index, "delta": delta, "finish_reason": None}]})


def _alone(value: dict[str, Any]) -> str:
    """The name of the text that a chunk has a piece of, if it says nothing else."""
    match value:
        case {"choices": [{"delta": dict(delta)} as entry]} if value.get("usage") is None:
            names = [name for name, said in delta.items() if said and name != "role"]
            alone = len(names) == 1 and names[0] in KINDS_SPOKEN
            more = entry.get("finish_reason") or entry.get("logprobs") or "text" in entry
            return names[0] if alone and not more else ""
        case _:
            return ""


def _write(value: dict[str, Any]) -> bytes:
    return b"data: " + dumps(value) + b"\n\n"


class ChatBody(_Chat, Whole):
    """The machine for an answer in one piece."""

    def __init__(
        self, view: RequestView, allowed: Allowed, texts: Texts | None = None, after: _Turn | None = None
    ) -> None:
        super().__init__(view, allowed, texts, after)
        self._value: dict[str, Any] = {}
        self._changed = after is not None

    def _whole(self, body: bytes) -> None:
        value = self._value = loads(body)
        if not isinstance(value, dict) or not isinstance(value.get("choices"), list) or not value["choices"]:
            raise ShapeError("the answer is no chat completion")
        if name := passes(BODY, value, self._allowed):
            raise ShapeError(f"the answer has a field `{name[:80]}`, which is not mediated")
        self._changed |= self._count(value)
        for entry in value["choices"]:
            choice = self._choice(entry)
            message = entry.get("message")
            if choice.finish or not isinstance(message, dict) or passes(WHOLE_CHOICE, entry, self._allowed):
                raise ShapeError("a choice of the answer is there twice, or has a field which is not mediated")
            self._message(choice, entry, message)

    def _message(self, choice: _Choice, entry: dict[str, Any], message: dict[str, Any]) -> None:
        self._check(message)
        finish = entry.get("finish_reason")
        if finish is not None and not isinstance(finish, str):
            raise ShapeError("`finish_reason` is no text")
        if calls := message.get("tool_calls"):
            if not isinstance(calls, list):
                raise ShapeError("`tool_calls` is no list")
            for call in calls:
                choice.calls.append(_Call())
                if not isinstance(call, dict):
                    raise ShapeError("a tool call is no object")
                self._changed |= _piece(choice.calls[-1], call)
        if (legacy := message.get("function_call")) is not None:
            choice.legacy = _Call()
            _inner(choice.legacy, legacy, "arguments")
            if choice.calls:
                raise ShapeError("an answer has tool calls of both kinds")
        if self._speak(choice, message, flush=True):
            entry["logprobs"], self._changed = None, True
        self._finish(choice, finish or "unknown")

    def _advance(self) -> None:
        if not self._ended or self._finished or not all(choice.settled for choice in self._choices.values()):
            return
        if refused := self._refused_all():
            self._ask_again(refused)
            return
        self._write()

    def _write(self) -> None:
        self._finished = True
        for entry in self._value["choices"]:
            choice, message = self._choices[entry["index"]], entry["message"]
            if all(call.passed for call in choice.all):
                continue
            self._changed = True
            apology = self._apology(choice)
            entry["finish_reason"] = self._reason(choice, entry.get("finish_reason"))
            message.pop("function_call", None)
            kept = [call for call, of in zip(message.get("tool_calls") or (), choice.calls, strict=True) if of.passed]
            message.pop("tool_calls", None)
            if kept:
                message["tool_calls"] = kept
            message["content"] = (message.get("content") or "") + apology or None
        if self._after is not None:
            self._value |= self._head
            message = self._value["choices"][0]["message"]
            message["content"] = self._after.said + (message.get("content") or "") or None
        self._emit(dumps(self._value) if self._changed else bytes(self._body))

    def close(self) -> list[Step]:
        """End with the text of the refusals."""
        self._check_asked()
        self._write()
        return self._taken()

    def follow(self) -> Machine:
        """The machine for the answer to `continuation`."""
        self._check_asked()
        self._finished = True
        head = {name: self._value[name] for name in HEAD if name in self._value}
        said = self._value["choices"][0]["message"].get("content") or ""
        turn = _Turn(
            usage=self.usage,
            raw_usage=self._raw_usage,
            head=self._head or head,
            said=(self._after.said if self._after else "") + said,
            spoke=self._spoke(0),
        )
        return ChatBody(self._view, self._allowed, self._texts, turn)


# Errors

KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def error(status: int, message: str, code: str = "") -> bytes:
    """The body of an error."""
    kind = KINDS.get(status, "invalid_request_error" if status < 500 else "server_error")  # noqa: PLR2004 - HTTP
    return dumps({"error": {"message": message, "type": kind, "param": None, "code": code or None}})


def error_frames(status: int, message: str, code: str = "") -> bytes:
    """The end of a stream that cannot go on."""
    return b"data: " + error(status, message, code) + b"\n\ndata: [DONE]\n\n"


CHAT = Format(
    name=NAME,
    path="/chat/completions",
    read=read,
    stream=ChatStream,
    body=ChatBody,
    error=error,
    error_frames=error_frames,
)
