"""Anthropic Messages: `/messages`.

Blocks come one after the other. A call is whole when the next block begins or the message says why it stops: one that
was cut off by a limit looks whole before. From a call on, events wait; refused blocks leave a gap that is closed by
renumbering, and `stop_reason` is rewritten.
"""

from __future__ import annotations

from collections import deque
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
from interlock.wire.reader import Known, Reader, hosts, only, passes, read_object
from interlock.wire.shelf import Shelf
from interlock.wire.sse import Frame
from interlock.wire.steps import Channel, Kind, Machine, Step, Texts
from interlock.wire.strict import dumps, loads
from interlock.wire.view import RequestView

NAME = "anthropic"

# Requests

TOP = Known(
    "max_tokens messages model cache_control container diagnostics inference_geo metadata output_config service_tier"
    " speed stop_sequences stream system temperature thinking tool_choice tools top_k top_p billing_policy"
    " compaction context_management mcp_servers output_format thread user_profile_id"
)
STATE = ("container", "context_management", "compaction", "thread")
MESSAGE = Known("role content")
TEXT = Known("type text cache_control citations")
MEDIA = Known("type source cache_control citations context title transformations")
SEARCH_RESULT = Known("type content source title cache_control citations")
THINKING = Known("type thinking signature")
REDACTED = Known("type data")
CALL = Known("type id name input cache_control caller")
RESULT = Known("type tool_use_id content is_error cache_control")
SOURCE = Known("type data media_type url file_id content")
TOOL = Known(
    "name description input_schema type cache_control allowed_callers defer_loading eager_input_streaming"
    " input_examples strict"
)
CLIENT_TOOLS = ("bash_", "text_editor_", "memory_")  # the model knows them; the client runs them
ROLES: dict[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
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
    if value.get("system") is not None:
        _read_content(reader, ("system",), value["system"], "system")
    if not isinstance(value.get("messages"), list):
        reader.problem(("messages",), "shape", "`messages` must be a list")
    else:
        reader.items(("messages",), value["messages"], partial(_read_message, reader))
    for at, tool in reader.objects(("tools",), value.get("tools")):
        _read_tool(reader, at, tool)
    for at, _ in reader.objects(("mcp_servers",), value.get("mcp_servers")):
        reader.host(at, "mcp")
    for name in STATE:
        if value.get(name):
            reader.uses_state(name, brings=not (name == "context_management" and _only_clears(value[name])))
    return reader.view(format=NAME, body=body, value=value, limit=value.get("max_tokens"), add_system=_add_system)


def _read_message(reader: Reader, at: Position, message: dict[str, Any]) -> None:
    reader.fields(at, message, MESSAGE)
    role = message.get("role")
    if not isinstance(role, str) or role not in ROLES:
        reader.problem((*at, "role"), "unknown-item", "a message has a role that is not known")
    else:
        _read_content(reader, (*at, "content"), message.get("content"), ROLES[role])


def _only_clears(editing: object) -> bool:
    """Whether the provider only leaves things out of the history: what the model reads is then less than was seen."""
    edits = editing.get("edits") if isinstance(editing, dict) and editing.keys() == {"edits"} else None
    return isinstance(edits, list) and all(
        isinstance(edit, dict) and isinstance(edit.get("type"), str) and edit["type"].startswith("clear_")
        for edit in edits
    )


def _read_content(reader: Reader, at: Position, content: object, role: Literal["system", "user", "assistant"]) -> None:
    if isinstance(content, str):
        reader.words(at, role, content)
        return
    if content is None:
        reader.problem(at, "shape", "`content` must be text or a list of blocks")
    for here, block in reader.objects(at, content):
        kind = block.get("type")
        match kind, role:
            case "text", _:
                reader.fields(here, block, TEXT)
                reader.words((*here, "text"), role, block.get("text"))
                reader.cited((*here, "citations"), "citations", block.get("citations"))
            case "tool_result", "user":
                _read_result(reader, here, block)
            case (("image" | "document" | "search_result" | "container_upload"), "user"):
                for there, item in _material(reader, here, block):
                    if isinstance(item, str):
                        reader.words(there, "document", item)
                    else:
                        reader.opaque(there, str(kind), block)
            case "thinking", "assistant":
                reader.fields(here, block, THINKING)
                reader.words((*here, "thinking"), "assistant", block.get("thinking"))
            case "redacted_thinking", "assistant":
                reader.fields(here, block, REDACTED)
                reader.opaque(here, "reasoning", block)
            case "tool_use", "assistant":
                _read_call(reader, here, block)
            case _:
                reader.opaque(here, _provider_block(reader, here, block), block)


def _provider_block(reader: Reader, at: Position, block: dict[str, Any]) -> str:
    """What a provider-run tool has left in the history: external, and only if the tool is allowed."""
    name = _ran(block)
    if name:
        if not hosts(reader.allowed, name):
            reader.problem(at, "hosted-tool", f"the history has a block of `{name[:80]}`, which runs at the provider")
        return name[:80]
    return reader.unknown_item(at, block.get("type"))


def _ran(block: dict[str, Any]) -> str:
    """The provider-run tool that a block is of, "" if it is of none."""
    kind, name = block.get("type"), block.get("name")
    match kind:
        case "server_tool_use":
            return name if isinstance(name, str) else ""
        case "mcp_tool_use" | "mcp_tool_result" | "mcp_tool_listing":
            return "mcp"
        case "container_upload":
            return "code_execution"
        case str() if kind.endswith("_tool_result"):
            return kind.removesuffix("_tool_result")
        case _:
            return ""


def _read_call(reader: Reader, at: Position, block: dict[str, Any]) -> None:
    reader.fields(at, block, CALL)
    if not _direct(block):
        reader.problem((*at, "caller"), "hosted-tool", "a tool call comes from a program at the provider")
    given = block.get("input")
    reader.asked(at, block.get("id") or None, block.get("name"), given if isinstance(given, dict) else None)


def _direct(block: dict[str, Any]) -> bool:
    caller = block.get("caller")
    return caller is None or (isinstance(caller, dict) and bool(caller.get("type") == "direct"))


def _read_result(reader: Reader, at: Position, block: dict[str, Any]) -> None:
    reader.fields(at, block, RESULT)
    failed = block.get("is_error")
    if failed is not None and not isinstance(failed, bool):
        reader.problem((*at, "is_error"), "shape", "`is_error` must be true or false")
    content = (*at, "content")
    part = partial(_material, reader)
    reader.result(content, block.get("content"), block.get("tool_use_id") or None, part, failed=failed is True)


def _material(reader: Reader, at: Position, block: dict[str, Any]) -> list[tuple[Position, Json]]:
    """What can be read in a block that carries foreign material, text by text; or the block, sealed."""
    match block:
        case {"type": "text", "text": str(text)}:
            reader.fields(at, block, TEXT)
            return [((*at, "text"), text)]
        case {"type": "document", "source": {"type": "text", "data": str(text)}}:
            reader.fields(at, block, MEDIA)
            return [*_titles(at, block, "title", "context"), ((*at, "source", "data"), text)]
        case {"type": "document", "source": {"type": "content", "content": content}}:
            reader.fields(at, block, MEDIA)
            there = (*at, "source", "content")
            return [*_titles(at, block, "title", "context"), *_materials(reader, there, content)]
        case {"type": "search_result", "content": list(content)}:
            reader.fields(at, block, SEARCH_RESULT)
            return [*_titles(at, block, "title", "source"), *_materials(reader, (*at, "content"), content)]
        case {"type": "image" | "document" as kind, "source": dict(source)}:
            reader.fields(at, block, MEDIA)
            reader.fields((*at, "source"), source, SOURCE)
            return reader.sealed(at, kind, block)
        case {"type": "container_upload"}:
            return reader.sealed(at, _provider_block(reader, at, block), block)
        case _:
            return reader.sealed(at, reader.unknown_item(at, block.get("type")), block)


def _materials(reader: Reader, at: Position, content: object) -> list[tuple[Position, Json]]:
    if isinstance(content, str):
        return [(at, content)]
    return [pair for here, item in reader.objects(at, content) for pair in _material(reader, here, item)]


def _titles(at: Position, block: dict[str, Any], *names: str) -> list[tuple[Position, Json]]:
    return [((*at, name), block[name]) for name in names if isinstance(block.get(name), str)]


def _read_tool(reader: Reader, at: Position, tool: dict[str, Any]) -> None:
    kind = tool.get("type")
    if kind in (None, "custom"):
        reader.fields(at, tool, TOOL)
        if not isinstance(tool.get("input_schema"), dict):
            reader.problem((*at, "input_schema"), "shape", "a tool has no `input_schema`")
    elif not (isinstance(kind, str) and kind.startswith(CLIENT_TOOLS)):
        reader.host(at, kind)
        return
    if tool.get("allowed_callers") not in (None, ["direct"]) and not hosts(reader.allowed, "code_execution"):
        reader.problem((*at, "allowed_callers"), "hosted-tool", "a program at the provider could call this tool")
    reader.declare(
        at,
        tool.get("name"),
        kind="function" if kind in (None, "custom") else str(kind),
        description=tool.get("description"),
        schema=tool.get("input_schema"),
    )


def _add_system(value: dict[str, Any], text: str) -> None:
    match value.get("system"):
        case str(system) if system:
            value["system"] = f"{system}\n\n{text}"
        case list(blocks):
            blocks.append({"type": "text", "text": text})
        case _:
            value["system"] = text


# Answers

EVENTS = {
    "message_start": Known("type message", reads="message"),
    "content_block_start": Known("type index content_block", reads="content_block"),
    "content_block_delta": Known("type index delta", reads="delta"),
    "content_block_stop": Known("type index"),
    "message_delta": Known("type delta usage context_management input_transformations", reads="delta"),
    "message_stop": Known("type amazon-bedrock-invocationMetrics"),
    "ping": Known("type"),
}
ANSWER = Known(
    "id type role model content stop_reason stop_sequence stop_details usage container diagnostics context_management"
    " input_transformations",
    reads="content",
)
BLOCKS = {
    "text": Known("type text citations"),
    "thinking": Known("type thinking signature"),
    "redacted_thinking": Known("type data"),
    "tool_use": Known("type id name input caller", reads="input"),
}
DELTAS = {
    "text_delta": ("text", "text", Known("type text")),
    "citations_delta": ("text", "citation", Known("type citation")),
    "thinking_delta": ("thinking", "thinking", Known("type thinking")),
    "signature_delta": ("thinking", "signature", Known("type signature")),
    "input_json_delta": ("tool_use", "partial_json", Known("type partial_json")),
}
STOP = Known("stop_reason stop_sequence stop_details container")
SPOKEN: dict[str, Kind] = {"text_delta": "text", "thinking_delta": "reasoning"}
WHOLE_REASONS = frozenset({"tool_use", "end_turn", "stop_sequence"})  # after any other the last call may be half one


@dataclass(slots=True, eq=False)
class _Block:
    """A block as it comes in. `said` is what a later request repeats of it."""

    said: dict[str, Any]
    index: int  # of the provider
    sent: int = -1  # the client's
    written: list[str] = field(default_factory=list)
    pending: Pending | None = None  # of a call, once it is whole

    @property
    def calls(self) -> bool:
        return bool(self.said["type"] == "tool_use")

    @property
    def passed(self) -> bool:
        return self.pending is not None and self.pending.verdict is True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """What an answer hands on to the one that follows it."""

    usage: Usage
    raw_usage: dict[str, Any]
    head: dict[str, Any]
    sent: int  # blocks of the client's answer so far
    blocks: list[dict[str, Any]]  # the blocks, of a body


class _Anthropic(Base):
    """What a stream and a body of this format share."""

    def __init__(self, view: RequestView, allowed: Allowed, texts: Texts | None, after: _Turn | None) -> None:
        super().__init__(allowed, texts, after.usage if after else Usage())
        self._view = view
        self._after = after
        self._blocks: list[_Block] = []
        self._raw_usage: dict[str, Any] = {}
        self._head: dict[str, Any] = after.head if after else {}
        self._stopped = ""
        self._closing = False

    def _error(self, status: int, message: str, code: str) -> bytes:
        return error(status, message, code)

    def _count(self, usage: object) -> None:
        """Take a count; a later one replaces what it names."""
        if not isinstance(usage, dict):
            raise ShapeError("`usage` must be an object")
        raw = self._raw_usage = self._raw_usage | {name: item for name, item in usage.items() if item is not None}
        read, written = number(raw, "cache_read_input_tokens"), number(raw, "cache_creation_input_tokens")
        self._counted = Usage(
            input=number(raw, "input_tokens") + read + written,
            output=number(raw, "output_tokens"),
            cached=read,
            written=written,
            reasoning=number(raw.get("output_tokens_details"), "thinking_tokens"),
            counted=True,
        )

    def _check_message(self, message: object) -> dict[str, Any]:
        if not isinstance(message, dict) or message.get("role") != "assistant":
            raise ShapeError("the answer is no assistant's message")
        if name := passes(ANSWER, message, self._allowed):
            raise ShapeError(f"the answer has a field `{name[:80]}`, which is not mediated")
        if message.get("container") and not hosts(self._allowed, "code_execution"):
            raise ShapeError("the answer has a `container`: the provider has run code past the monitor")
        return message

    def _check_block(self, block: object) -> dict[str, Any]:
        if not isinstance(block, dict):
            raise ShapeError("a block is no object")
        kind = block.get("type")
        known = BLOCKS.get(kind) if isinstance(kind, str) else None
        if known is None:
            ran = _ran(block)
            if not (hosts(self._allowed, ran) if ran else kind in self._allowed.fields):
                raise ShapeError(f"the answer has a block `{str(kind)[:80]}`, which is not mediated")
            return block
        if name := only(known, block) if kind == "tool_use" else passes(known, block, self._allowed):
            raise ShapeError(f"a block has a field `{name[:80]}`, which is not mediated")
        if not _direct(block):
            raise ShapeError("a tool call comes from a program at the provider, which is not mediated")
        return block

    def _whole_call(self, block: _Block) -> None:
        """The call in `block` is whole."""
        given, written = block.said.get("input"), "".join(block.written)
        if not isinstance(given, dict):
            raise ShapeError("the input of a tool call is no object")
        call_id = block.said.get("id")
        if not call_id or any(b is not block and b.said.get("id") == call_id for b in self._blocks if b.calls):
            raise ShapeError("a tool call has no id of its own")
        if written.strip() and given:
            raise ShapeError("a tool call has two inputs")
        call = tool_call(call_id, block.said.get("name"), written if written.strip() else given)
        block.pending = Pending(call)
        if written.strip():
            block.said["input"] = dict(call.arguments or {})

    def _stop(self, reason: object) -> None:
        """The message says why it stops: what has come is whole, but for a last call that was cut off."""
        if not isinstance(reason, str) or not reason:
            raise ShapeError("a message stops without a reason")
        self._stopped = reason
        last = self._blocks[-1] if self._blocks else None
        for block in self._blocks:
            if block.calls and block.pending is None:
                self._whole_call(block)
                if block.pending is None:  # cannot be: keeps the type checker and the reader sure
                    raise ShapeError(BROKEN_OFF)
                if block is last and reason not in WHOLE_REASONS:
                    block.pending.verdict = False
                else:
                    self._judge(block.pending)

    def _refused_all(self) -> list[Pending]:
        """The calls, if the turn may be asked for again: there are some, and all were refused."""
        calls = [block.pending for block in self._blocks if block.pending]
        if self._closing or self._stopped not in WHOLE_REASONS or any(call.verdict is not False for call in calls):
            return []
        return calls

    def _reason(self) -> str:
        """The reason that agrees with the calls that were let through."""
        if self._stopped == "tool_use" and not any(block.passed for block in self._blocks):
            return "end_turn"
        return self._stopped

    def continuation(self, sent: bytes, text: str) -> bytes:
        """The request that goes on after the refusals."""
        self._check_asked()
        value = loads(sent)
        said = [block.said for block in self._blocks if block.said.get("text") != ""]
        results = [
            {"type": "tool_result", "tool_use_id": block.said["id"], "content": text, "is_error": True}
            for block in self._blocks
            if block.calls
        ]
        value["messages"] += [{"role": "assistant", "content": said}, {"role": "user", "content": results}]
        return dumps(value)

    def _turn(self, sent: int, blocks: list[dict[str, Any]]) -> _Turn:
        self._check_asked()
        self._finished = True
        raw = added(self._after.raw_usage if self._after else None, self._raw_usage)
        return _Turn(usage=self.usage, raw_usage=raw, head=self._head, sent=sent, blocks=blocks)


class AnthropicStream(_Anthropic, Streamed):
    """The machine for a stream."""

    def __init__(
        self, view: RequestView, allowed: Allowed, texts: Texts | None = None, after: _Turn | None = None
    ) -> None:
        super().__init__(view, allowed, texts, after)
        self._queue: deque[tuple[Frame, dict[str, Any], bool, _Block | None]] = deque()
        self._open: _Block | None = None
        self._begun = False
        self._sent = after.sent if after else 0

    def _error(self, status: int, message: str, code: str) -> bytes:
        return error_frames(status, message, code)

    def _frame(self, frame: Frame, data: bytes) -> None:
        value = loads(data)
        kind = value.get("type") if isinstance(value, dict) else None
        if kind == "error" or frame.event == b"error":
            self._provider_failed(value)
            return
        known = EVENTS.get(kind) if isinstance(kind, str) else None
        if not isinstance(kind, str) or known is None:
            raise ShapeError("the answer has an event that is not known")
        if frame.event and frame.event != kind.encode():
            raise ShapeError("an event has two names")
        if name := passes(known, value, self._allowed):
            raise ShapeError(f"an event has a field `{name[:80]}`, which is not mediated")
        changed = not frame.event or not untouched(frame)
        alike = not changed
        if kind == "ping":
            self._emit(_write(value) if changed else frame.raw)
            return
        if (kind == "message_start") == self._begun:
            raise ShapeError("a message must start, and start once")
        block, more = self._event(kind, value)
        changed |= more
        if kind == "message_start" and self._after is not None:
            return
        if self._queue or (block and block.calls) or kind in {"message_delta", "message_stop"}:
            self._hold(len(frame.raw))
            self._queue.append((frame, value, changed, block))
            self._advance()
        else:
            name = _alone(value) if alike else ""
            self._pass(frame, value, block, changed=changed)
            if name and block and block.said["type"] == name and block.sent == block.index:
                of = (block, Channel(block.index, SPOKEN[f"{name}_delta"]))
                self._told = Told(of, ("delta", name))

    def _more(self, raw: bytes, text: str, holes: list[bytes], shape: Mould) -> bytes:
        block, channel = self._of
        block.written.append(text)
        new = self._said(channel, text)
        if new == text:
            return raw
        return shape.fill(holes, new) if new else b""

    def _event(self, kind: str, value: dict[str, Any]) -> tuple[_Block | None, bool]:
        """Read an event: the block that it is of, and whether it was changed."""
        if self._stopped and kind != "message_stop":
            raise ShapeError("the answer goes on after its end")
        match kind:
            case "message_start":
                self._start(value)
            case "content_block_start":
                return self._block_start(value)
            case "content_block_delta":
                return self._delta(value)
            case "content_block_stop":
                return self._block_stop(value)
            case "message_delta":
                self._message_delta(value)
            case _:
                if not self._stopped:
                    raise ShapeError(BROKEN_OFF)
                self._ended = True
        return None, False

    def _start(self, value: dict[str, Any]) -> None:
        message = self._check_message(value.get("message"))
        if message.get("content") != []:
            raise ShapeError("a message has blocks before they start")
        self._begun = True
        self._count(message.get("usage") or {})

    def _block_start(self, value: dict[str, Any]) -> tuple[_Block, bool]:
        if self._open is not None or value.get("index") != len(self._blocks) or isinstance(value["index"], bool):
            raise ShapeError("blocks do not come one after the other")
        for before in self._blocks:
            if before.calls and before.pending is None:
                self._whole_call(before)
                if before.pending:
                    self._judge(before.pending)
        said = self._check_block(value.get("content_block"))
        block = self._open = _Block(dict(said), len(self._blocks))
        self._blocks.append(block)
        return block, self._begin_text(block, said)

    def _begin_text(self, block: _Block, said: dict[str, Any]) -> bool:
        """Guard a text that a block begins with; whether it was changed."""
        changed = False
        for kind, name in (("text", "text"), ("thinking", "thinking")):
            text = said.get(name)
            if said["type"] == kind and text:
                if not isinstance(text, str):
                    raise ShapeError(f"`{name}` of a block is no text")
                block.written.append(text)
                block.said[name] = ""
                said[name] = self._said(Channel(block.index, SPOKEN[f"{kind}_delta"]), text)
                changed |= said[name] != text
        return changed

    def _delta(self, value: dict[str, Any]) -> tuple[_Block, bool]:
        block = self._its_block(value)
        delta = value.get("delta")
        if not isinstance(delta, dict):
            raise ShapeError("a `delta` is no object")
        kind = delta.get("type")
        if block.said["type"] not in BLOCKS:  # of an allowed provider-run tool
            if isinstance(delta.get("partial_json"), str):
                block.written.append(delta["partial_json"])
            return block, False
        of, name, known = DELTAS.get(kind, ("", "", STOP)) if isinstance(kind, str) else ("", "", STOP)
        if of != block.said["type"] or passes(known, delta, self._allowed):
            raise ShapeError("a `delta` does not fit its block")
        piece = delta.get(name)
        if name == "citation":
            return block, False
        if not isinstance(piece, str):
            raise ShapeError(f"`{name}` of a delta is no text")
        if name == "signature":
            block.said["signature"] = piece
            return block, False
        block.written.append(piece)
        if self._texts is None or block.calls:
            return block, False
        new = delta[name] = self._said(Channel(block.index, SPOKEN[str(kind)]), piece)
        return block, new != piece

    def _its_block(self, value: dict[str, Any]) -> _Block:
        block = self._open
        if block is None or value.get("index") != block.index or isinstance(value["index"], bool):
            raise ShapeError("an event is of no open block")
        return block

    def _block_stop(self, value: dict[str, Any]) -> tuple[_Block, bool]:
        block = self._its_block(value)
        self._open = None
        kind = block.said["type"]
        if kind not in BLOCKS and block.written:
            block.said["input"] = loads("".join(block.written).encode())
        if kind not in {"text", "thinking"}:
            return block, False
        block.said[kind] = "".join(block.written)
        if rest := self._flushed(Channel(block.index, SPOKEN[f"{kind}_delta"])):
            delta = {"type": f"{kind}_delta", kind: rest}
            more = {"type": "content_block_delta", "index": block.index, "delta": delta}
            frame = Frame(b"", b"", b"", False)  # noqa: FBT003
            if self._queue:
                self._queue.append((frame, more, True, block))
            else:
                self._pass(frame, more, block, changed=True)
        return block, False

    def _message_delta(self, value: dict[str, Any]) -> None:
        delta = value.get("delta")
        if self._open is not None or not isinstance(delta, dict) or passes(STOP, delta, self._allowed):
            raise ShapeError("a message stops in a block, or in a way that is not known")
        if delta.get("container") and not hosts(self._allowed, "code_execution"):
            raise ShapeError("the answer has a `container`: the provider has run code past the monitor")
        if value.get("usage") is not None:
            self._count(value["usage"])
        self._stop(delta.get("stop_reason"))

    def _provider_failed(self, value: object) -> None:
        wrong = value.get("error") if isinstance(value, dict) else None
        wrong = wrong if isinstance(wrong, dict) else {}
        status = next((status for status, kind in KINDS.items() if kind == wrong.get("type")), 502)
        message = wrong.get("message")
        self._broken(self._explained(message), status=status)

    def _closed(self) -> None:
        self._frames(self._parser.end())
        if not self._finished and not self._ended:
            raise ShapeError(BROKEN_OFF)

    def _advance(self) -> None:
        while self._queue and not self._finished:
            frame, value, changed, block = self._queue[0]
            if block and block.calls:
                if block.pending is None or block.pending.verdict is None:
                    return
                if block.passed:
                    if value["type"] == "content_block_start":
                        self._apologise()
                    self._pass(frame, value, block, changed=changed)
            elif value["type"] == "message_delta":
                if any(b.pending and b.pending.verdict is None for b in self._blocks):
                    return
                if refused := self._refused_all():
                    if self._ended:
                        self._ask_again(refused)
                    return
                self._apologise()
                changed |= self._end_turn(value)
                self._pass(frame, value, None, changed=changed)
            else:
                self._pass(frame, value, block, changed=changed)
            self._queue.popleft()
        if self._ended and not self._queue:
            self._finished = True

    def _end_turn(self, value: dict[str, Any]) -> bool:
        changed = False
        if (reason := self._reason()) != self._stopped:
            value["delta"]["stop_reason"], changed = reason, True
        if self._after is not None:
            value["usage"], changed = added(self._after.raw_usage, self._raw_usage), True
        return changed

    def _apologise(self) -> None:
        """Say what the client reads of the calls that were refused up to here, as a block of its own."""
        refused = [b.pending for b in self._blocks if b.pending and b.pending.verdict is False]
        text = once(pending.text for pending in refused)
        for pending in refused:
            pending.text = ""
        if text:
            at, self._sent = self._sent, self._sent + 1
            begun = {"type": "content_block_start", "index": at, "content_block": {"type": "text", "text": ""}}
            said = {"type": "content_block_delta", "index": at, "delta": {"type": "text_delta", "text": text}}
            for event in (begun, said, {"type": "content_block_stop", "index": at}):
                self._emit(_write(event))

    def _pass(self, frame: Frame, value: dict[str, Any], block: _Block | None, *, changed: bool) -> None:
        if block is not None:
            if block.sent < 0:
                block.sent, self._sent = self._sent, self._sent + 1
            if block.sent != value["index"]:
                value["index"], changed = block.sent, True
        if not changed:
            self._emit(frame.raw)
        elif not (value["type"] == "content_block_delta" and _empty(value["delta"])):
            self._emit(_write(value))

    def close(self) -> list[Step]:
        """End with the text of the refusals."""
        self._check_asked()
        self._closing = True
        self._advance()
        return self._taken()

    def follow(self) -> Machine:
        """The machine for the answer to `continuation`."""
        return AnthropicStream(self._view, self._allowed, self._texts, self._turn(self._sent, []))


def _alone(value: dict[str, Any]) -> str:
    """The name of the text that an event has a piece of, if it is a piece of a text."""
    match value:
        case {"type": "content_block_delta", "delta": {"type": "text_delta" | "thinking_delta" as kind}}:
            return str(kind).removesuffix("_delta")
        case _:
            return ""


def _empty(delta: dict[str, Any]) -> bool:
    """Whether the guard has held all of a piece back."""
    return "" in (delta.get("text"), delta.get("thinking"))


def _write(value: dict[str, Any]) -> bytes:
    kind: str = value["type"]
    return b"event: " + kind.encode() + b"\ndata: " + dumps(value) + b"\n\n"


class AnthropicBody(_Anthropic, Whole):
    """The machine for an answer in one piece."""

    def __init__(
        self, view: RequestView, allowed: Allowed, texts: Texts | None = None, after: _Turn | None = None
    ) -> None:
        super().__init__(view, allowed, texts, after)
        self._value: dict[str, Any] = {}
        self._changed = after is not None

    def _whole(self, body: bytes) -> None:
        value = self._value = self._check_message(loads(body))
        content = value.get("content")
        if not isinstance(content, list):
            raise ShapeError("the answer's `content` is no list")
        self._count(value.get("usage") or {})
        for index, item in enumerate(content):
            block = self._check_block(item)
            self._blocks.append(_Block(dict(block), index))
            for kind, name in (("text", "text"), ("thinking", "thinking")):
                if block["type"] == kind:
                    self._guard(index, block, name, SPOKEN[f"{kind}_delta"])
        self._stop(value.get("stop_reason"))

    def _guard(self, index: int, block: dict[str, Any], name: str, kind: Kind) -> None:
        text = block.get(name)
        if not isinstance(text, str):
            raise ShapeError(f"`{name}` of a block is no text")
        channel = Channel(index, kind)
        new = self._said(channel, text) + self._flushed(channel)
        if new != text:
            block[name], self._changed = new, True

    def _advance(self) -> None:
        undecided = any(block.pending and block.pending.verdict is None for block in self._blocks)
        if not self._ended or self._finished or undecided:
            return
        if refused := self._refused_all():
            self._ask_again(refused)
            return
        self._finished = True
        content = self._kept()
        refused_calls = [b.pending for b in self._blocks if b.pending and b.pending.verdict is False]
        if refused_calls:
            self._changed = True
            if text := once(pending.text for pending in refused_calls):
                content.append({"type": "text", "text": text})
        if self._after is not None:
            content = [*self._after.blocks, *content]
            self._value |= self._after.head
            self._value["usage"] = added(self._after.raw_usage, self._raw_usage)
        self._value |= {"content": content, "stop_reason": self._reason()}
        self._emit(dumps(self._value) if self._changed else bytes(self._body))

    def _kept(self) -> list[dict[str, Any]]:
        """The blocks that the client gets."""
        pairs = zip(self._value["content"], self._blocks, strict=True)
        return [said for said, block in pairs if not block.calls or block.passed]

    def close(self) -> list[Step]:
        """End with the text of the refusals."""
        self._check_asked()
        self._closing = True
        self._advance()
        return self._taken()

    def follow(self) -> Machine:
        """The machine for the answer to `continuation`."""
        blocks = [*(self._after.blocks if self._after else ()), *self._kept()]
        if not self._head:
            self._head = {name: self._value[name] for name in ("id", "model") if name in self._value}
        return AnthropicBody(self._view, self._allowed, self._texts, self._turn(0, blocks))


# Errors

KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def error(status: int, message: str, code: str = "") -> bytes:  # noqa: ARG001 - this dialect has no code
    """The body of an error."""
    return dumps({"type": "error", "error": {"type": KINDS.get(status, "api_error"), "message": message}})


def error_frames(status: int, message: str, code: str = "") -> bytes:
    """The end of a stream that cannot go on."""
    return b"event: error\ndata: " + error(status, message, code) + b"\n\n"


ANTHROPIC = Format(
    name=NAME,
    path="/messages",
    read=read,
    stream=AnthropicStream,
    body=AnthropicBody,
    error=error,
    error_frames=error_frames,
)
