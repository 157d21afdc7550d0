"""OpenAI Responses: `/responses`.

An answer is a list of items, told piece by piece, once more when an item is done, and once more when all is. A call is
whole when its item is done; all tellings of it must agree. From a call on, events wait; items that were refused leave a
gap that is closed by renumbering, and the last telling is rewritten to what the client was given.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from interlock.kernel.call import Json
from interlock.wire.errors import ShapeError
from interlock.wire.events import Allowed, Position, Usage
from interlock.wire.format import Format
from interlock.wire.machine import (
    BROKEN_OFF,
    Base,
    Pending,
    Streamed,
    Told,
    Whole,
    added,
    number,
    once,
    tool_call,
    untouched,
)
from interlock.wire.mould import Mould
from interlock.wire.openai_chat import error
from interlock.wire.reader import Known, Reader, hosts, only, passes, read_object
from interlock.wire.shelf import Shelf
from interlock.wire.sse import Frame
from interlock.wire.steps import Channel, Kind, Machine, Step, Texts
from interlock.wire.strict import dumps, loads
from interlock.wire.view import RequestView

NAME = "openai-responses"

# Requests

TOP = Known(
    "access_programs background background_options context_management conversation continuation_id include"
    " include_obfuscation input instructions max_output_tokens max_tool_calls metadata model moderation"
    " parallel_tool_calls previous_response_id prewarm prompt prompt_cache_key prompt_cache_options"
    " prompt_cache_retention reasoning safety_identifier service_tier store stream stream_options temperature text"
    " tool_choice tools top_logprobs top_p truncation user"
)
# What brings in a history, or fetches the answer past us.
STATE = ("previous_response_id", "conversation", "continuation_id", "prompt", "context_management", "background")
MESSAGE = Known("type role content id status phase", reads="content")
PART = Known(
    "type text annotations logprobs refusal prompt_cache_breakpoint detail image_url file_id file_data file_url"
)
TEXTS = {"input_text": "text", "output_text": "text", "refusal": "refusal", "reasoning_text": "text"}
SAYS = ("text", "refusal", "image_url", "file_id", "file_data", "file_url")
OPAQUE_PARTS = {"input_image": "image", "input_file": "file", "input_audio": "audio", "computer_screenshot": "image"}
_CALL = "type id call_id status caller created_by"
CALL = {
    "function_call": Known(f"{_CALL} name arguments"),
    "custom_tool_call": Known(f"{_CALL} name input"),
    "local_shell_call": Known(f"{_CALL} action", reads="action"),
    "shell_call": Known(f"{_CALL} action environment max_output_length", reads="action"),
    "apply_patch_call": Known(f"{_CALL} operation", reads="operation"),
    "computer_call": Known(f"{_CALL} action actions pending_safety_checks", reads="action actions"),
}
OUTPUT = Known("type id call_id output status caller name acknowledged_safety_checks max_output_length")
FUNCTION = Known("type name description parameters strict allowed_callers defer_loading output_schema")
CUSTOM = Known("type name description format allowed_callers defer_loading")
REASONING = Known("type id summary content encrypted_content status", reads="summary content")
# Calls that the client runs: the item's type, the tool's name if it has none of its own, the field with the arguments.
CALLS = {
    "function_call": ("", "arguments"),
    "custom_tool_call": ("", "input"),
    "local_shell_call": ("local_shell", "action"),
    "shell_call": ("shell", "action"),
    "apply_patch_call": ("apply_patch", "operation"),
    "computer_call": ("computer", "action"),
}
OUTPUTS = {
    "function_call_output",
    "custom_tool_call_output",
    "local_shell_call_output",
    "shell_call_output",
    "apply_patch_call_output",
    "computer_call_output",
}
CLIENT_TOOLS = {
    "local_shell": "local_shell",
    "shell": "shell",
    "apply_patch": "apply_patch",
    "computer": "computer",
    "computer_use_preview": "computer",
}
ROLES: dict[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}


def read(body: bytes, allowed: Allowed, shelf: Shelf | None = None) -> RequestView:
    """The request in `body`.

    Raises:
        WireError: it is no JSON object, or one that can be read in two ways.
    """
    value = read_object(body)
    reader = Reader(allowed, shelf)
    reader.fields((), value, TOP)
    reader.words(("instructions",), "system", value.get("instructions"))
    match value.get("input"):
        case str(text):
            reader.words(("input",), "user", text)
        case None if value.get("prompt") or value.get("conversation") or value.get("previous_response_id"):
            pass
        case list(items):
            reader.items(("input",), items, partial(_read_item, reader))
        case _:
            reader.problem(("input",), "shape", "`input` must be text or a list")
    for at, tool in reader.objects(("tools",), value.get("tools")):
        _read_tool(reader, at, tool)
    for name in STATE:
        if value.get(name):
            reader.uses_state(name, brings=True)
    if value.get("store") is not False:  # this API keeps unless it is told not to
        reader.uses_state("store", brings=False)
    return reader.view(
        format=NAME,
        body=body,
        value=value,
        limit=value.get("max_output_tokens"),
        text_type="input_text",
        add_system=_add_system,
    )


def _read_item(reader: Reader, at: Position, item: dict[str, Any]) -> None:
    kind = item.get("type") or ("message" if "role" in item else "item_reference")
    match kind:
        case "message":
            reader.fields(at, item, MESSAGE)
            role = item.get("role")
            if not isinstance(role, str) or role not in ROLES:
                reader.problem((*at, "role"), "unknown-item", "a message has a role that is not known")
            else:
                _read_content(reader, (*at, "content"), item.get("content"), ROLES[role])
        case "reasoning":
            reader.fields(at, item, REASONING)
            for name in ("summary", "content"):
                for here, part in reader.objects((*at, name), item.get(name)):
                    reader.fields(here, part, PART)
                    reader.alone(here, part, "text", SAYS)
                    reader.words((*here, "text"), "assistant", part.get("text"))
            if item.get("encrypted_content"):
                reader.opaque((*at, "encrypted_content"), "reasoning", item["encrypted_content"])
        case str() if kind in CALLS:
            reader.fields(at, item, CALL[kind])
            _asked(reader, at, item)
        case str() if kind in OUTPUTS:
            reader.fields(at, item, OUTPUT)
            _read_output(reader, at, item)
        case "additional_tools":
            for here, tool in reader.objects((*at, "tools"), item.get("tools")):
                _read_tool(reader, here, tool)
        case "item_reference" | "compaction" | "compaction_trigger":
            reader.opaque(at, kind, item)
            reader.uses_state(kind, brings=True)
        case _:
            if ran := _ran(kind):
                if not hosts(reader.allowed, ran):
                    reader.problem(at, "hosted-tool", f"the history has an item of `{ran}`, which runs at the provider")
            else:
                reader.unknown_item(at, kind)
            reader.opaque(at, str(kind)[:80], item)


def _ran(kind: object) -> str:
    """The provider-run tool that an item is of, "" if it is of none."""
    if not isinstance(kind, str):
        return ""
    if kind.startswith("mcp_"):
        return "mcp"
    if kind.startswith("program"):
        return "programmatic_tool_calling"
    for end in ("_call", "_output", "_call_output"):
        if kind.endswith(end) and kind not in CALLS and kind not in OUTPUTS:
            return kind.removesuffix(end)[:80]
    return ""


def _read_content(reader: Reader, at: Position, content: object, role: Literal["system", "user", "assistant"]) -> None:
    if not isinstance(content, list):
        reader.words(at, role, content)
        return
    for here, part in reader.objects(at, content):
        reader.fields(here, part, PART)
        kind = part.get("type")
        match kind:
            case str() if kind in TEXTS:
                reader.alone(here, part, TEXTS[kind], SAYS)
                reader.words((*here, TEXTS[kind]), role, part.get(TEXTS[kind]))
                reader.cited((*here, "annotations"), "annotations", part.get("annotations"))
            case str() if kind in OPAQUE_PARTS:
                reader.opaque(here, OPAQUE_PARTS[kind], part)
            case _:
                reader.opaque(here, reader.unknown_item(here, kind), part)


def _asked(reader: Reader, at: Position, item: dict[str, Any]) -> None:
    if not _direct(item):
        reader.problem((*at, "caller"), "hosted-tool", "a tool call comes from a program at the provider")
    name, written, kind = _parts_of(item)
    reader.asked(at, item.get("call_id") or item.get("id") or None, name, written, kind)


def _parts_of(item: dict[str, Any]) -> tuple[object, object, str]:
    """Name, arguments and kind of the call in an item."""
    kind: str = item["type"]
    name, where = CALLS[kind]
    written = item.get(where)
    if kind == "function_call":
        return item.get("name"), written if isinstance(written, str) else None, "function"
    if kind == "custom_tool_call":
        return item.get("name"), written, "custom"
    if kind == "computer_call":
        written = {each: item[each] for each in ("action", "actions") if item.get(each) is not None}
    return name, written if isinstance(written, dict) else None, name


def _direct(item: dict[str, Any]) -> bool:
    caller = item.get("caller")
    return caller is None or (isinstance(caller, dict) and bool(caller.get("type") == "direct"))


def _read_output(reader: Reader, at: Position, item: dict[str, Any]) -> None:
    output, call_id = item.get("output"), item.get("call_id") or item.get("id") or None
    failed = item["type"] == "apply_patch_call_output" and item.get("status") == "failed"
    if isinstance(output, dict):  # a screenshot
        before = len(reader.events)
        reader.result((*at, "output"), [output], call_id, partial(_output_part, reader))
        if len(reader.events) > before:
            event = reader.events[before]
            reader.events[before] = type(event)(**_fields(event) | {"parts": ((*at, "output"),)})
        return
    reader.result((*at, "output"), output, call_id, partial(_output_part, reader), failed=failed)


def _fields(event: Any) -> dict[str, Any]:  # noqa: ANN401 - a frozen dataclass with slots
    return {name: getattr(event, name) for name in event.__slots__}


def _output_part(reader: Reader, at: Position, part: dict[str, Any]) -> list[tuple[Position, Json]]:
    if "stdout" in part or "stderr" in part:  # of a shell
        pairs: list[tuple[Position, Json]] = []
        pairs += [((*at, name), part[name]) for name in ("stdout", "stderr") if isinstance(part.get(name), str)]
        return pairs
    reader.fields(at, part, PART)
    match part:
        case {"type": "input_text" | "output_text", "text": str(text)}:
            reader.alone(at, part, "text", SAYS)
            return [((*at, "text"), text)]
        case {"type": str(kind)} if kind in OPAQUE_PARTS:
            return reader.sealed(at, OPAQUE_PARTS[kind], part)
        case _:
            return reader.sealed(at, reader.unknown_item(at, part.get("type")), part)


def _read_tool(reader: Reader, at: Position, tool: dict[str, Any]) -> None:
    kind = tool.get("type")
    environment = tool.get("environment")
    if kind in ("function", "custom"):
        reader.fields(at, tool, FUNCTION if kind == "function" else CUSTOM)
        if tool.get("allowed_callers") not in (None, ["direct"]):
            reader.host((*at, "allowed_callers"), "programmatic_tool_calling")
        name, description, schema = tool.get("name"), tool.get("description"), tool.get("parameters")
        reader.declare(at, name, kind=str(kind), description=description, schema=schema)
    elif isinstance(kind, str) and kind in CLIENT_TOOLS and _local(environment):
        reader.declare(at, CLIENT_TOOLS[kind], kind=CLIENT_TOOLS[kind], description="", schema=None)
    else:
        reader.host(at, kind)


def _local(environment: object) -> bool:
    """Whether commands run at the client: not a tool's display size, `browser`, nor a container at the provider."""
    return not isinstance(environment, dict) or environment.get("type") == "local"


def _add_system(value: dict[str, Any], text: str) -> None:
    before = value.get("instructions")
    value["instructions"] = f"{before}\n\n{text}" if before else text


# Answers

ANSWER = Known(
    "id access_programs created_at error incomplete_details instructions metadata model object output"
    " parallel_tool_calls temperature tool_choice tools top_p background completed_at conversation image"
    " input_transformations max_output_tokens max_tool_calls moderation output_text previous_response_id prompt"
    " prompt_cache_diagnostics prompt_cache_key prompt_cache_options prompt_cache_retention reasoning"
    " safety_identifier service_tier status store text tool_usage top_logprobs truncation usage user billing"
    " frequency_penalty presence_penalty content_filters",
    # besides `output`, what the client has sent itself
    reads="output tools tool_choice text prompt instructions metadata reasoning",
)
ERROR = Known("code message param type")
BEGINS = frozenset({"response.created", "response.queued", "response.in_progress"})
ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})
EVENT = Known(
    "type sequence_number output_index item_id content_index summary_index delta text refusal arguments input part item"
    " response logprobs annotation annotation_index obfuscation name command command_index status",
    reads="response item part",
)
# Events that tell a text: where it stands in the item, and what it is.
SPOKEN: dict[str, tuple[str, str, Kind]] = {
    "response.output_text": ("content", "text", "text"),
    "response.refusal": ("content", "refusal", "refusal"),
    "response.reasoning_text": ("content", "text", "reasoning"),
    "response.reasoning_summary_text": ("summary", "text", "reasoning"),
}
PARTS = {"response.content_part": "content", "response.reasoning_summary_part": "summary"}
WRITTEN = {
    "response.function_call_arguments": ("function_call", "arguments"),
    "response.custom_tool_call_input": ("custom_tool_call", "input"),
}
SPOKEN_PARTS: dict[str, tuple[str, Kind]] = {
    "output_text": ("text", "text"),
    "refusal": ("refusal", "refusal"),
    "reasoning_text": ("text", "reasoning"),
    "summary_text": ("text", "reasoning"),
}
SAID = Known("type text annotations logprobs refusal")
# What an event tells beside where it stands.
CARRIED = frozenset(
    {"delta", "text", "refusal", "arguments", "input", "part", "item", "response", "annotation", "name"}
)


def _carried(kind: str) -> frozenset[str]:
    """Which of `CARRIED` an event of this kind has; all of them if it is not known here."""
    of, _, what = kind.rpartition(".")
    if kind in BEGINS or kind in ENDS:
        return frozenset({"response"})
    if kind == "keepalive":
        return frozenset()
    if of in PARTS:
        return frozenset({"part"})
    if of == "response.output_item":
        return frozenset({"item"})
    if of in SPOKEN:
        return frozenset({"delta"} if what == "delta" else {SPOKEN[of][1]})
    if of in WRITTEN:
        return frozenset({"delta", "name"} if what == "delta" else {WRITTEN[of][1], "name"})
    return CARRIED


UNANSWERABLE = frozenset({"computer", "local_shell"})  # their results are not text


@dataclass(slots=True)
class _Text:
    """One text of an item: as the provider told it, and as the client was told."""

    kind: Kind
    said: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    over: bool = False


@dataclass(slots=True, eq=False)
class _Item:
    """One item of the answer, as it comes in."""

    index: int  # of the provider
    kind: str
    begun: dict[str, Any]
    texts: dict[tuple[str, int], _Text] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    whole: str | None = None  # what the provider said was written
    raw: dict[str, Any] | None = None  # once it is done, as the provider told it
    done: dict[str, Any] | None = None  # the same, as the client is told
    pending: Pending | None = None
    sent: int = -1  # the client's index

    @property
    def calls(self) -> bool:
        return self.kind in CALLS

    @property
    def passed(self) -> bool:
        return self.pending is not None and self.pending.verdict is True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """What an answer hands on to the one that follows it."""

    usage: Usage
    raw_usage: dict[str, Any]
    head: dict[str, Any]
    output: list[dict[str, Any]]
    sequence: int | None


class _Responses(Base):
    """What a stream and a body of this format share."""

    def __init__(self, view: RequestView, allowed: Allowed, texts: Texts | None, after: _Turn | None) -> None:
        super().__init__(allowed, texts, after.usage if after else Usage())
        self._view = view
        self._after = after
        self._items: list[_Item] = []
        self._head: dict[str, Any] = after.head if after else {}
        self._raw_usage: dict[str, Any] = {}
        self._output: list[dict[str, Any]] = list(after.output) if after else []  # what the client has, done
        self._edited = after is not None
        self._status = ""
        self._closing = False

    def _error(self, status: int, message: str, code: str) -> bytes:
        return error(status, message, code)

    def _check_response(self, response: object) -> dict[str, Any]:
        if not isinstance(response, dict):
            raise ShapeError("the answer is no response")
        if name := passes(ANSWER, response, self._allowed):
            raise ShapeError(f"the answer has a field `{name[:80]}`, which is not mediated")
        if (usage := response.get("usage")) is not None:
            if not isinstance(usage, dict):
                raise ShapeError("`usage` must be an object")
            self._raw_usage = usage
            self._counted = Usage(
                input=number(usage, "input_tokens"),
                output=number(usage, "output_tokens"),
                cached=number(usage.get("input_tokens_details"), "cached_tokens"),
                written=number(usage.get("input_tokens_details"), "cache_write_tokens"),
                reasoning=number(usage.get("output_tokens_details"), "reasoning_tokens"),
                counted=True,
            )
        if not self._head:
            self._head = {name: response[name] for name in ("id", "created_at") if name in response}
        return response

    def _check_item(self, item: object) -> dict[str, Any]:
        """Look at what an item is."""
        kind = item.get("type") if isinstance(item, dict) else None
        if not isinstance(item, dict) or not isinstance(kind, str):
            raise ShapeError("an item of the answer has no type")
        if kind in CALLS:
            if not _local(item.get("environment")):
                raise ShapeError("a command runs at the provider, which is not mediated")
            if not _direct(item):
                raise ShapeError("a tool call comes from a program at the provider, which is not mediated")
            known = CALL[kind]
        elif kind == "message":
            known = MESSAGE
            if item.get("role") != "assistant":
                raise ShapeError("a message of the answer is not the assistant's")
        elif kind == "reasoning":
            known = REASONING
        else:
            ran = _ran(kind)
            if not (hosts(self._allowed, ran) if ran else kind in self._allowed.fields | self._allowed.state):
                raise ShapeError(f"the answer has an item `{kind[:80]}`, which is not mediated")
            return item
        if name := only(known, item) if kind in CALLS else passes(known, item, self._allowed):
            raise ShapeError(f"an item of the answer has a field `{name[:80]}`, which is not mediated")
        return item

    def _excused(self, response: dict[str, Any]) -> bool:
        """Guard what a response says of its own failing; whether it was changed."""
        wrong = response.get("error")
        if wrong is None:
            return False
        if not isinstance(wrong, dict) or passes(ERROR, wrong, self._allowed):
            raise ShapeError("`error` of the answer has a field which is not mediated")
        told, wrong["message"] = wrong.get("message"), self._explained(wrong.get("message"))
        return bool(told != wrong["message"])

    def _check_part(self, part: Any) -> tuple[str, Kind]:  # noqa: ANN401 - JSON
        """The field and the kind of the text in a part."""
        kind = part.get("type") if isinstance(part, dict) else None
        if not isinstance(part, dict) or not isinstance(kind, str) or kind not in SPOKEN_PARTS:
            raise ShapeError("a part of the answer is of no known type")
        if passes(SAID, part, self._allowed) or (part.get("annotations") and not self._allowed.hosted):
            raise ShapeError("a part of the answer has a field which is not mediated, or cites what was not seen here")
        name, what = SPOKEN_PARTS[kind]
        if not isinstance(part.get(name), str):
            raise ShapeError("a part of the answer has no text")
        return name, what

    def _done(self, item: _Item, told: dict[str, Any]) -> bool:
        """The item is done, and `told` once more; whether that had to be changed."""
        item.raw = dict(told)
        changed = False
        if item.calls:
            self._call_done(item, told)
        elif item.kind in {"message", "reasoning"}:
            for place in ("content", "summary"):
                parts = told.get(place)
                if parts is not None and not isinstance(parts, list):
                    raise ShapeError(f"`{place}` of an item is no list")
                told[place] = parts = [dict(part) if isinstance(part, dict) else part for part in parts or ()]
                if not parts and item.raw.get(place) is None:
                    del told[place]
                for index, part in enumerate(parts):
                    changed |= self._part_done(item, (place, index), part)
                if any(place == of and index >= len(parts) for of, index in item.texts):
                    raise ShapeError("the answer takes back what it said")
        item.done = told
        self._edited |= changed
        return changed

    def _part_done(self, item: _Item, where: tuple[str, int], part: Any) -> bool:  # noqa: ANN401 - JSON
        name, kind = self._check_part(part)
        text = item.texts.get(where)
        if text is None:  # nothing of it was streamed
            text = item.texts[where] = _Text(kind, [part[name]])
            channel = _channel(item, where, kind)
            text.shown = [self._said(channel, part[name]), self._flushed(channel)]
            text.over = True
        self._over(item, where, text)
        if "".join(text.said) != part[name] or text.kind != kind:
            raise ShapeError("the answer tells a text in two ways")
        shown = "".join(text.shown)
        if shown == part[name]:
            return False
        part[name] = shown
        if part.get("logprobs"):
            part["logprobs"] = []  # they spell the text out
        return True

    def _over(self, item: _Item, where: tuple[str, int], text: _Text) -> str:
        """The text is over: what the guard still holds of it."""
        if text.over:
            return ""
        text.over = True
        rest = self._flushed(_channel(item, where, text.kind))
        text.shown.append(rest)
        return rest

    def _call_done(self, item: _Item, told: dict[str, Any]) -> None:
        name, written, kind = _parts_of(told)
        call_id = told.get("call_id") or (told.get("id") if item.kind == "local_shell_call" else None)
        tellings = {"".join(item.written), item.whole or "", str(item.begun.get(CALLS[item.kind][1]) or "")} - {""}
        if item.kind in {"function_call", "custom_tool_call"} and tellings - {written}:
            raise ShapeError("the answer tells the arguments of a tool call in two ways")
        for key in ("call_id", "name", "id"):
            if item.begun.get(key) and item.begun[key] != told.get(key):
                raise ShapeError(f"the answer tells `{key}` of a tool call in two ways")
        if not call_id or any(other.pending and other.pending.call.id == call_id for other in self._items):
            raise ShapeError("a tool call has no id of its own")
        call = tool_call(call_id, name, written, kind=kind)
        item.pending = Pending(call)
        if told.get("status") in (None, "completed"):
            self._judge(item.pending)
        else:
            item.pending.verdict = False  # cut off

    def _refused_all(self) -> list[Pending]:
        """The calls, if the turn may be asked for again: there are some, and all were refused."""
        calls = [item.pending for item in self._items if item.pending]
        if self._closing or self._status != "completed" or any(call.verdict is not False for call in calls):
            return []
        return [] if any(call.call.kind in UNANSWERABLE for call in calls) else calls

    def _apology(self) -> str:
        """What the client reads of the calls that were refused up to here."""
        refused = [item.pending for item in self._items if item.pending and item.pending.verdict is False]
        text = once(pending.text for pending in refused)
        for pending in refused:
            pending.text = ""
        return text

    def _message(self, text: str) -> dict[str, Any]:
        """A message that says `text`, as an item."""
        part = {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
        name = f"msg_{self._head.get('id', '')}_{len(self._output)}"
        return {"id": name, "type": "message", "status": "completed", "role": "assistant", "content": [part]}

    def _last(self, response: dict[str, Any]) -> dict[str, Any]:
        """The whole response as the client is told at the end."""
        response = response | self._head | {"output": self._output}
        if "output_text" in response:
            texts = [p["text"] for i in self._output for p in i.get("content") or () if p.get("type") == "output_text"]
            response["output_text"] = "".join(texts)
        if self._after is not None:
            response["usage"] = added(self._after.raw_usage, self._raw_usage)
        return response

    def continuation(self, sent: bytes, text: str) -> bytes:
        """The request that goes on after the refusals."""
        self._check_asked()
        value = loads(sent)
        before = value.get("input")
        before = [{"role": "user", "content": before}] if isinstance(before, str) else list(before or ())
        turn = [
            item.raw
            for item in self._items
            if item.raw
            # An item that the provider has not kept cannot be named to it.
            if item.kind != "reasoning" or value.get("store") is not False or item.raw.get("encrypted_content")
        ]
        results = [_refusal(item.pending.call.kind, item.pending.call.id, text) for item in self._items if item.pending]
        value["input"] = before + turn + results
        return dumps(value)

    def _turn(self, sequence: int | None) -> _Turn:
        self._check_asked()
        self._finished = True
        raw = added(self._after.raw_usage if self._after else None, self._raw_usage)
        return _Turn(usage=self.usage, raw_usage=raw, head=self._head, output=self._output, sequence=sequence)


def _refusal(kind: str, call_id: str, text: str) -> dict[str, Any]:
    """The result of a call that was refused."""
    match kind:
        case "custom":
            return {"type": "custom_tool_call_output", "call_id": call_id, "output": text}
        case "shell":
            outcome = {"stdout": "", "stderr": text, "outcome": {"type": "exit", "exit_code": 1}}
            return {"type": "shell_call_output", "call_id": call_id, "output": [outcome]}
        case "apply_patch":
            return {"type": "apply_patch_call_output", "call_id": call_id, "status": "failed", "output": text}
        case _:
            return {"type": "function_call_output", "call_id": call_id, "output": text}


def _channel(item: _Item, where: tuple[str, int], kind: Kind) -> Channel:
    return Channel(item.index + 1000 * where[1], kind)


class ResponsesStream(_Responses, Streamed):
    """The machine for a stream."""

    def __init__(
        self, view: RequestView, allowed: Allowed, texts: Texts | None = None, after: _Turn | None = None
    ) -> None:
        super().__init__(view, allowed, texts, after)
        self._queue: deque[tuple[Frame, dict[str, Any], bool, _Item | None]] = deque()
        self._sent = len(self._output)
        self._next = after.sequence if after else None  # number of the client's next event

    def _error(self, status: int, message: str, code: str) -> bytes:
        return error_frames(status, message, code, self._next or 0)

    def _frame(self, frame: Frame, data: bytes) -> None:
        value = loads(data)
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(kind, str) or (frame.event and frame.event != kind.encode()):
            raise ShapeError("an event has no type, or two names")
        if kind == "error":
            self._provider_failed(value)
            return
        if name := passes(EVENT, value, self._allowed):
            raise ShapeError(f"an event has a field `{name[:80]}`, which is not mediated")
        if self._next is None and isinstance(value.get("sequence_number"), int):
            self._next = value["sequence_number"]
        if any(value[name] is not None for name in value if name in CARRIED and name not in _carried(kind)):
            raise ShapeError("an event has a field of another event")
        item, changed = self._event(kind, value)
        if kind in BEGINS and self._after is not None:
            return
        alike = bool(frame.event) and untouched(frame) and not value.get("logprobs")
        changed |= not frame.event or not untouched(frame)
        if self._queue or (item and item.calls) or kind in ENDS:
            self._hold(len(frame.raw))
            self._queue.append((frame, value, changed, item))
            self._advance()
        else:
            self._pass(frame, value, item, changed=changed)
            if alike and item:
                self._told = self._alone(item, kind, value)

    def _alone(self, item: _Item, kind: str, value: dict[str, Any]) -> Told | None:
        """What an event that was read tells, if it is a piece of a text."""
        of, _, what = kind.rpartition(".")
        counted = type(value.get("sequence_number")) is int
        if of not in SPOKEN or what != "delta" or item.sent != item.index or counted is (self._next is None):
            return None
        place, _, spoken = SPOKEN[of]
        where = self._where(place, value)
        others = [("sequence_number",)] if counted else []
        others += [("obfuscation",)] if isinstance(value.get("obfuscation"), str) else []
        return Told((item.texts[where], _channel(item, where, spoken)), ("delta",), tuple(others))

    def _more(self, raw: bytes, text: str, holes: list[bytes], shape: Mould) -> bytes:
        said, channel = self._of
        said.said.append(text)
        new = self._said(channel, text)
        said.shown.append(new)
        if not new:
            return b""
        number, changed = self._next, new != text
        if number is not None:
            changed |= shape.number(holes) != number
            self._next = number + 1
        return shape.fill(holes, new, number) if changed else raw

    def _event(self, kind: str, value: dict[str, Any]) -> tuple[_Item | None, bool]:
        """Read an event: the item that it is of, and whether it was changed."""
        if kind in BEGINS or kind in ENDS:
            response = self._check_response(value.get("response"))
            if kind in BEGINS:
                if response.get("output") or response.get("output_text") or response.get("error"):
                    raise ShapeError("a response has items or an error before they begin")
                return None, False
            self._end(kind, response)
            return None, self._excused(response)
        if not self._head:
            raise ShapeError("a response has items before it begins")
        if kind == "keepalive":
            return None, False
        if kind == "response.output_item.added":
            return self._begin(value), False
        item = self._its_item(value)
        if kind == "response.output_item.done":
            told = self._check_item(value.get("item"))
            if told["type"] != item.kind or told.get("id") != item.begun.get("id"):
                raise ShapeError("an item is told in two ways")
            return item, self._done(item, told)
        return item, self._piece(item, kind, value)

    def _begin(self, value: dict[str, Any]) -> _Item:
        begun = self._check_item(value.get("item"))
        index, name = value.get("output_index"), begun.get("id")
        if index != len(self._items) or isinstance(index, bool):
            raise ShapeError("the indexes of items are not 0, 1, 2 and so on")
        if name is not None and any(item.begun.get("id") == name for item in self._items):
            raise ShapeError("two items share an id")
        if begun.get("content") or begun.get("summary"):
            raise ShapeError("an item says something before it begins")
        item = _Item(index, begun["type"], begun)
        self._items.append(item)
        return item

    def _its_item(self, value: dict[str, Any]) -> _Item:
        index = value.get("output_index")
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(self._items):
            raise ShapeError("an event is of no item")
        item = self._items[index]
        name = value.get("item_id")
        if item.done is not None or (name is not None and name != item.begun.get("id")):
            raise ShapeError("an event is of an item that is done, or of two")
        return item

    def _piece(self, item: _Item, kind: str, value: dict[str, Any]) -> bool:
        """Read an event in the middle of an item; whether it was changed."""
        of, _, what = kind.rpartition(".")
        if of in SPOKEN and item.kind in {"message", "reasoning"} and what in {"delta", "done"}:
            return self._spoken(item, of, what, value)
        if of in PARTS and item.kind in {"message", "reasoning"} and what in {"added", "done"}:
            return self._part(item, PARTS[of], what, value)
        if of in WRITTEN and WRITTEN[of][0] == item.kind:
            text = value.get("delta" if what == "delta" else WRITTEN[of][1])
            if not isinstance(text, str) or what not in {"delta", "done"} or (what == "delta" and item.whole):
                raise ShapeError("the arguments of a tool call are no text")
            if value.get("name") not in (None, item.begun.get("name")):
                raise ShapeError("the answer tells `name` of a tool call in two ways")
            if what == "delta":
                item.written.append(text)
            else:
                item.whole = text
            return False
        if kind == "response.output_text.annotation.added" and item.kind == "message" and self._allowed.hosted:
            return False
        if kind.startswith("response.shell_call_command.") and item.kind == "shell_call":
            return False  # never passed on, see `_pass`
        ran = _ran(item.kind)
        if ran and hosts(self._allowed, ran) and kind.startswith(("response." + item.kind, f"response.{ran}_")):
            return False
        raise ShapeError("the answer has an event that is not known, or not of its item")

    def _where(self, place: str, value: dict[str, Any]) -> tuple[str, int]:
        index = value.get("content_index" if place == "content" else "summary_index")
        if not isinstance(index, int) or isinstance(index, bool) or index < 0:
            raise ShapeError("an event is of no part")
        return place, index

    def _spoken(self, item: _Item, of: str, what: str, value: dict[str, Any]) -> bool:
        place, name, kind = SPOKEN[of]
        where = self._where(place, value)
        text = item.texts.setdefault(where, _Text(kind))
        piece = value.get("delta" if what == "delta" else name)
        if text.over or text.kind != kind or not isinstance(piece, str):
            raise ShapeError("a text of the answer goes on after its end, or is none")
        channel = _channel(item, where, kind)
        if what == "delta":
            text.said.append(piece)
            new = self._said(channel, piece)
            text.shown.append(new)
            if new != piece:
                value["delta"] = new
                if value.get("logprobs"):
                    value["logprobs"] = []
            return new != piece
        if not text.said:
            text.said.append(piece)
            text.shown.append(self._said(channel, piece))
        elif "".join(text.said) != piece:
            raise ShapeError("the answer tells a text in two ways")
        self._over(item, where, text)
        return self._retold(value, name, text)

    def _over(self, item: _Item, where: tuple[str, int], text: _Text) -> str:
        rest = super()._over(item, where, text)
        if not rest:
            return rest
        place, index = where
        prefix = next(of for of, (there, _, what) in SPOKEN.items() if (there, what) == (place, text.kind))
        more: dict[str, Any] = {"type": f"{prefix}.delta", "item_id": item.begun.get("id"), "delta": rest}
        more |= {"output_index": item.index, "content_index" if place == "content" else "summary_index": index}
        if text.kind == "text":
            more["logprobs"] = []
        frame = Frame(b"", b"", b"", False)  # noqa: FBT003
        if self._queue:
            self._queue.append((frame, more, True, item))
        else:
            self._pass(frame, more, item, changed=True)
        return rest

    def _retold(self, value: dict[str, Any], name: str, text: _Text) -> bool:
        """Tell a text once more, as the client knows it; whether that is a change."""
        shown = "".join(text.shown)
        if value[name] == shown:
            return False
        value[name] = shown
        if value.get("logprobs"):
            value["logprobs"] = []
        return True

    def _part(self, item: _Item, place: str, what: str, value: dict[str, Any]) -> bool:
        where = self._where(place, value)
        part: Any = value.get("part")
        name, _ = self._check_part(part)
        if what == "added":
            if part[name]:
                raise ShapeError("a part says something before it begins")
            return False
        return self._part_done(item, where, part)

    def _end(self, kind: str, response: dict[str, Any]) -> None:
        self._ended, self._status = True, kind.removeprefix("response.")
        told = response.get("output")
        if told is None:
            told = []
        if not isinstance(told, list) or (told and len(told) != len(self._items)):
            raise ShapeError("the answer's last telling has other items than the answer")
        for item, again in zip(self._items, told, strict=False):
            _agree(item, self._check_item(again))
            if item.kind in {"message", "reasoning"}:
                for part in (*(again.get("content") or ()), *(again.get("summary") or ())):
                    self._check_part(part)
        for item in self._items:
            if item.raw is None:
                if self._status == "completed":
                    raise ShapeError("the answer is over, but not all its items are")
                self._edited = True
                if item.calls:
                    item.pending = Pending(tool_call("", "", None), verdict=False)
        _same_text(response, told)

    def _provider_failed(self, value: dict[str, Any]) -> None:
        wrong = value.get("error") if isinstance(value.get("error"), dict) else value
        message = wrong.get("message") if isinstance(wrong, dict) else None
        self._broken(self._explained(message), code="provider_error")

    def _closed(self) -> None:
        self._frames(self._parser.end())
        if not self._finished and not self._ended:
            raise ShapeError(BROKEN_OFF)

    def _advance(self) -> None:
        while self._queue and not self._finished:
            frame, value, changed, item = self._queue[0]
            if item and item.calls:
                if item.pending is None or item.pending.verdict is None:
                    return
                if item.passed:
                    if value["type"] == "response.output_item.added":
                        self._apologise()
                        changed |= _begun_as_done(item, value)
                    self._pass(frame, value, item, changed=changed)
            elif value["type"] in ENDS:
                if any(i.pending and i.pending.verdict is None for i in self._items):
                    return
                if refused := self._refused_all():
                    self._ask_again(refused)
                    return
                self._apologise()
                if self._edited or any(i.calls and not i.passed for i in self._items):
                    value["response"], changed = self._last(value["response"]), True
                self._pass(frame, value, None, changed=changed)
            else:
                self._pass(frame, value, item, changed=changed)
            self._queue.popleft()
        if self._ended and not self._queue:
            self._finished = True

    def _apologise(self) -> None:
        text = self._apology()
        if not text:
            return
        item = self._message(text)
        at, self._sent = self._sent, self._sent + 1
        self._output.append(item)
        self._edited = True
        for event in _told(item, at):
            self._pass(Frame(b"", b"", b"", False), event, None, changed=True)  # noqa: FBT003

    def _pass(self, frame: Frame, value: dict[str, Any], item: _Item | None, *, changed: bool) -> None:
        kind = value["type"]
        if kind.startswith("response.shell_call_command."):
            return  # a second telling of what the item says, which nobody needs
        if changed and kind.endswith(".delta") and value.get("delta") == "":
            return  # the guard has held all of it back
        if item is not None:
            if item.sent < 0:
                item.sent, self._sent = self._sent, self._sent + 1
            if item.sent != value.get("output_index"):
                value["output_index"], changed = item.sent, True
            if kind == "response.output_item.done" and item.done is not None:
                self._output.append(item.done)
        if self._next is not None:
            if value.get("sequence_number") != self._next:
                value["sequence_number"], changed = self._next, True
            self._next += 1
        self._emit(_write(value) if changed else frame.raw)

    def close(self) -> list[Step]:
        """End with the text of the refusals."""
        self._check_asked()
        self._closing = True
        self._advance()
        return self._taken()

    def follow(self) -> Machine:
        """The machine for the answer to `continuation`."""
        return ResponsesStream(self._view, self._allowed, self._texts, self._turn(self._next))


def _begun_as_done(item: _Item, value: dict[str, Any]) -> bool:
    """Let a shell's or editor's call begin as it ends, since its pieces are not compared; whether that is a change."""
    if item.kind in {"function_call", "custom_tool_call"} or item.done is None:
        return False
    begun = item.done | {"status": value["item"].get("status", "in_progress")}
    if begun == value["item"]:
        return False
    value["item"] = begun
    return True


def _agree(item: _Item, again: dict[str, Any]) -> None:
    """Check that the last telling of `item` is the one before.

    Raises:
        ShapeError: it is another.
    """
    before = item.raw
    if before is None:
        if item.calls and again.get("status") in (None, "completed"):
            raise ShapeError("the answer's last telling has a call that was never done")
        if again["type"] != item.kind:
            raise ShapeError("the answer's last telling has other items than the answer")
        return
    keys = ("type", "id", "call_id", "name", "arguments", "input", "action", "actions", "operation", "role")
    if any(before.get(key) != again.get(key) for key in keys) or any(
        _texts(before.get(place)) != _texts(again.get(place)) for place in ("content", "summary")
    ):
        raise ShapeError("the answer's last telling of an item differs from the one before")


def _same_text(response: dict[str, Any], output: list[Any]) -> None:
    """Check that `output_text`, which some servers add, is the text of the items.

    Raises:
        ShapeError: it is another.
    """
    told = response.get("output_text")
    texts = (text for item in output if isinstance(item, dict) for text in _texts(item.get("content")))
    if told and told != "".join(str(text) for kind, text, _ in texts if kind == "output_text"):
        raise ShapeError("the answer tells its text in two ways")


def _texts(parts: object) -> list[tuple[Any, Any, Any]]:
    if not isinstance(parts, list):
        return []
    return [(part.get("type"), part.get("text"), part.get("refusal")) for part in parts if isinstance(part, dict)]


def _told(item: dict[str, Any], at: int) -> Iterator[dict[str, Any]]:
    """The events that tell a message."""
    (part,) = item["content"]
    where = {"item_id": item["id"], "output_index": at, "content_index": 0}
    begun = item | {"status": "in_progress", "content": []}
    yield {"type": "response.output_item.added", "output_index": at, "item": begun}
    yield {"type": "response.content_part.added", "part": part | {"text": ""}} | where
    yield {"type": "response.output_text.delta", "delta": part["text"], "logprobs": []} | where
    yield {"type": "response.output_text.done", "text": part["text"], "logprobs": []} | where
    yield {"type": "response.content_part.done", "part": part} | where
    yield {"type": "response.output_item.done", "output_index": at, "item": item}


def _write(value: dict[str, Any]) -> bytes:
    kind: str = value["type"]
    return b"event: " + kind.encode() + b"\ndata: " + dumps(value) + b"\n\n"


class ResponsesBody(_Responses, Whole):
    """The machine for an answer in one piece."""

    def __init__(
        self, view: RequestView, allowed: Allowed, texts: Texts | None = None, after: _Turn | None = None
    ) -> None:
        super().__init__(view, allowed, texts, after)
        self._value: dict[str, Any] = {}

    def _whole(self, body: bytes) -> None:
        value = self._value = self._check_response(loads(body))
        status, output = value.get("status"), value.get("output")
        if not isinstance(output, list) or status not in ("completed", "incomplete", "failed"):
            raise ShapeError("the answer is no response that is over")
        self._status = status
        self._edited |= self._excused(value)
        _same_text(value, output)
        for index, told in enumerate(output):
            item = _Item(index, self._check_item(told)["type"], {})
            self._items.append(item)
            self._done(item, told)

    def _advance(self) -> None:
        undecided = any(item.pending and item.pending.verdict is None for item in self._items)
        if not self._ended or self._finished or undecided:
            return
        if refused := self._refused_all():
            self._ask_again(refused)
            return
        self._finished = True
        self._keep()
        if self._edited:
            if text := self._apology():
                self._output.append(self._message(text))
            self._value = self._last(self._value)
        self._emit(dumps(self._value) if self._edited else bytes(self._body))

    def _keep(self) -> None:
        """Add the items that the client gets."""
        kept = [item.done for item in self._items if item.done and (not item.calls or item.passed)]
        self._edited |= len(kept) != len(self._items)
        self._output += kept

    def close(self) -> list[Step]:
        """End with the text of the refusals."""
        self._check_asked()
        self._closing = True
        self._advance()
        return self._taken()

    def follow(self) -> Machine:
        """The machine for the answer to `continuation`."""
        self._check_asked()
        self._keep()
        return ResponsesBody(self._view, self._allowed, self._texts, self._turn(None))


# Errors


def error_frames(status: int, message: str, code: str = "", sequence: int = 0) -> bytes:
    """The end of a stream that cannot go on, flat as it is documented and nested as SDKs raise it."""
    flat = {"type": "error", "code": code or None, "message": message, "param": None, "sequence_number": sequence}
    return _write(flat | loads(error(status, message, code)))


RESPONSES = Format(
    name=NAME,
    path="/responses",
    read=read,
    stream=ResponsesStream,
    body=ResponsesBody,
    error=error,
    error_frames=error_frames,
)
