"""Streams: any split gives the same, what is permitted leaves as it came, what is refused leaves no trace."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.testing.model import Reply, Use
from interlock.wire.anthropic import ANTHROPIC
from interlock.wire.errors import OrderError
from interlock.wire.events import ToolCall, Usage
from interlock.wire.format import Format
from interlock.wire.openai_chat import CHAT
from interlock.wire.openai_responses import RESPONSES
from interlock.wire.steps import AllRefused, Channel, Failed, Judge
from tests.wire.driver import REFUSAL, body_of, drive, no, opened, request, stream_of, yes
from tests.wire.test_attacks import read_calls

FORMATS = [CHAT, RESPONSES, ANTHROPIC]
SAMPLE = Reply("Grüße, I will look.", (Use("find", {"q": "ü\n"}), Use("send", {"to": "a@b.example", "n": 1})))
every_format = pytest.mark.parametrize("fmt", FORMATS, ids=lambda f: f.name)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
uses = st.builds(
    Use, st.sampled_from(["find", "send", "pay"]), st.dictionaries(st.sampled_from("abc"), texts, max_size=2)
)
replies = st.builds(Reply, texts, st.lists(uses, max_size=4).map(tuple))


def compact(raw: bytes) -> bytes:
    """The stream as the providers write it: no spaces, UTF-8 as it is."""
    blocks = []
    for block in raw.decode().split("\n\n")[:-1]:
        *head, data = block.split("\n")
        if data != "data: [DONE]":
            data = "data: " + json.dumps(json.loads(data[6:]), separators=(",", ":"), ensure_ascii=False)
        blocks.append("\n".join([*head, data]) + "\n\n")
    return "".join(blocks).encode()


def first_only(call: ToolCall) -> bool:
    return call.name == "find"


def last_only(call: ToolCall) -> bool:
    return call.name == "send"


def said(fmt: Format, out: list[dict[str, Any]]) -> str:
    """The text that a client puts together."""
    if fmt is CHAT:
        return "".join(c["delta"].get("content") or "" for d in out for c in d.get("choices", ()))
    if fmt is ANTHROPIC:
        return "".join(d["delta"].get("text", "") for d in out if d["type"] == "content_block_delta")
    return "".join(d["delta"] for d in out if d["type"] == "response.output_text.delta")


@every_format
@pytest.mark.parametrize("verdict", [yes, no, first_only, last_only])
def test_every_split_in_two_gives_the_same(fmt: Format, verdict: Any) -> None:
    raw = compact(stream_of(fmt, SAMPLE))
    whole = drive(opened(fmt), [raw], verdict)
    assert not whole.problem
    for at in range(0, len(raw), 1 if verdict is first_only else 13):
        assert drive(opened(fmt), [raw[:at], raw[at:]], verdict).out == whole.out


@every_format
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_what_is_permitted_leaves_byte_for_byte(fmt: Format, ends: str) -> None:
    for written in (stream_of(fmt, SAMPLE), compact(stream_of(fmt, SAMPLE))):
        raw = written.replace(b"\n", ends.encode())
        assert drive(opened(fmt), [raw]).out == raw
        assert drive(opened(fmt), [raw], late=True).out == raw
    raw = body_of(fmt, SAMPLE)
    assert drive(opened(fmt, stream=False), [raw]).out == raw


@every_format
@settings(max_examples=60, deadline=None)
@given(reply=replies, permitted=st.sets(st.sampled_from(["find", "send", "pay"])), late=st.booleans(), data=st.data())
def test_any_reply_any_verdict_any_split(fmt: Format, reply: Reply, permitted: set[str], late: bool, data: Any) -> None:
    raw = compact(stream_of(fmt, reply))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    chunks = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]

    def verdict(call: ToolCall) -> bool:
        return call.name in permitted

    seen = drive(opened(fmt), chunks, verdict, late=late)
    assert not seen.problem
    assert [call.name for call in seen.calls] == [use.tool for use in reply.calls]
    assert [call.arguments for call in seen.calls] == [use.arguments for use in reply.calls]
    assert read_calls(fmt, seen) == [use.tool for use in reply.calls if use.tool in permitted]
    refused = any(use.tool not in permitted for use in reply.calls)
    assert (REFUSAL in said(fmt, seen.data)) == refused
    assert said(fmt, seen.data).replace(f"\n\n{REFUSAL}", "").replace(REFUSAL, "") == reply.text
    for separator in ("\u2028", "\u2029", "\x85"):  # line ends to some readers
        assert separator not in seen.out.decode()


@every_format
def test_a_stream_that_breaks_off_releases_no_call(fmt: Format) -> None:
    raw = compact(stream_of(fmt, SAMPLE))
    for at in range(0, len(raw), 3):
        seen = drive(opened(fmt), [raw[:at]])
        assert len(read_calls(fmt, seen)) <= len(seen.calls)
        if seen.out != raw[: len(seen.out)]:
            assert seen.problem, "other bytes without an error"
        if "error" not in seen.out.decode():
            assert not seen.problem


@every_format
def test_all_refused_is_told_once_and_text_has_already_flowed(fmt: Format) -> None:
    machine, steps = opened(fmt), []
    judges: list[Judge] = []
    raw = stream_of(fmt, SAMPLE)
    for step in machine.feed(raw):
        steps.append(step)
        if isinstance(step, Judge):
            judges.append(step)
    for judge in judges:
        with pytest.raises(OrderError):
            machine.close()
        steps += machine.refuse(judge, REFUSAL)
    steps += machine.end()
    assert [len(s.calls) for s in steps if isinstance(s, AllRefused)] == [2]
    assert not machine.finished
    machine.close()
    assert machine.finished


@every_format
@pytest.mark.parametrize("streamed", [True, False])
def test_the_next_answer_goes_on_in_the_same_one(fmt: Format, streamed: bool) -> None:
    write = stream_of if streamed else body_of
    answers = [[write(fmt, Reply("Or so.", (Use("pay", {}),)), 2)], [write(fmt, Reply("Done."), 3)]]
    sent = request(fmt, stream=streamed)
    seen = drive(opened(fmt, stream=streamed), [write(fmt, SAMPLE)], no, sent=sent, again=answers)
    assert not seen.problem
    assert len(seen.asked_again) == 2
    for body in seen.asked_again:  # the next request is one that can be read
        view = fmt.read(body, opened(fmt)._allowed)  # type: ignore[attr-defined]
        assert not view.problems
        results = [e for e in view.events if type(e).__name__ == "Result"]
        assert [r.content for r in results] == [REFUSAL] * len(results)  # type: ignore[union-attr]
        assert all(r.asked >= 0 for r in results)  # type: ignore[union-attr]
    assert isinstance(seen.usage, Usage)
    alone = [drive(opened(fmt, stream=streamed), [write(fmt, r)], no).usage for r in (SAMPLE, Reply("Done."))]
    assert all(isinstance(u, Usage) and seen.usage.input > u.input for u in alone)
    if streamed:
        text = said(fmt, seen.data)
        assert [part in text for part in ("Grüße", "Or so.", "Done.")] == [True] * 3
        assert REFUSAL not in text
        assert read_calls(fmt, seen) == []
    else:
        assert not any(name in seen.out for name in (b'"find"', b'"send"', b'"pay"'))


@every_format
@pytest.mark.parametrize("streamed", [True, False])
def test_a_follow_up_may_be_permitted(fmt: Format, streamed: bool) -> None:
    write = stream_of if streamed else body_of
    again = [[write(fmt, Reply("", (Use("find", {"q": "x"}),)), 2)]]
    first = write(fmt, Reply("Now.", (Use("send", {}),)))
    seen = drive(opened(fmt, stream=streamed), [first], first_only, sent=request(fmt), again=again)
    assert not seen.problem
    if streamed:
        assert read_calls(fmt, seen) == ["find"]
    assert b"find" in seen.out
    assert b"send" not in seen.out


class Redactor:
    """Holds the last eight characters back, and replaces a word; the shape of every streaming guard."""

    def __init__(self) -> None:
        self.held: dict[Channel, str] = {}

    def text(self, channel: Channel, piece: str) -> str:
        whole = (self.held.get(channel, "") + piece).replace("geheim", "[word]")
        self.held[channel] = whole[-8:]
        return whole[:-8]

    def flush(self, channel: Channel) -> str:
        return self.held.pop(channel, "")


@every_format
@settings(max_examples=40, deadline=None)
@given(before=texts, after=texts, calls=st.lists(uses, max_size=2).map(tuple))
def test_guarded_text_is_whole_and_changed_everywhere(
    fmt: Format, before: str, after: str, calls: tuple[Use, ...]
) -> None:
    reply = Reply(f"{before}geheim{after}", calls)
    seen = drive(opened(fmt, texts=Redactor()), [compact(stream_of(fmt, reply))])
    assert not seen.problem
    expected = reply.text.replace("geheim", "[word]")
    assert said(fmt, seen.data) == expected
    assert "geheim" not in seen.out.decode()
    assert read_calls(fmt, seen) == [use.tool for use in calls]
    whole = drive(opened(fmt, texts=Redactor(), stream=False), [body_of(fmt, reply)])
    assert "geheim" not in whole.out.decode()
    assert json.dumps(expected)[1:-1] in json.dumps(json.loads(whole.out))


@every_format
def test_a_guard_that_changes_nothing_leaves_the_bytes(fmt: Format) -> None:
    class Quiet:
        def text(self, channel: Channel, piece: str) -> str:
            return piece

        def flush(self, channel: Channel) -> str:
            return ""

    raw = stream_of(fmt, SAMPLE)
    assert drive(opened(fmt, texts=Quiet()), [raw]).out == raw


@every_format
def test_a_guard_that_raises_ends_in_an_error(fmt: Format) -> None:
    class Broken:
        def text(self, channel: Channel, piece: str) -> str:
            raise RuntimeError("broken")

        def flush(self, channel: Channel) -> str:
            raise RuntimeError("broken")

    machine = opened(fmt, texts=Broken())
    raw = stream_of(fmt, SAMPLE)
    with pytest.raises(RuntimeError):
        machine.feed(raw)
    steps = machine.fail(500, "the answer could not be checked")
    assert any(isinstance(step, Failed) for step in steps)
    assert machine.finished
    assert machine.feed(raw) == []
    assert b"find" not in b"".join(getattr(step, "data", b"") for step in steps)


@every_format
def test_a_failure_while_a_call_waits_drops_it(fmt: Format) -> None:
    machine = opened(fmt)
    judge = next(step for step in machine.feed(stream_of(fmt, SAMPLE)) if isinstance(step, Judge))
    out = b"".join(getattr(step, "data", b"") for step in machine.fail(504, "the provider has stalled"))
    assert b"the provider has stalled" in out
    assert b"find" not in out
    assert machine.permit(judge) == []
    assert machine.finished


@every_format
def test_a_verdict_counts_once_and_only_for_what_waits(fmt: Format) -> None:
    machine = opened(fmt)
    judge = next(step for step in machine.feed(stream_of(fmt, SAMPLE)) if isinstance(step, Judge))
    machine.permit(judge)
    with pytest.raises(OrderError):
        machine.permit(judge)
    with pytest.raises(OrderError):
        machine.refuse(Judge(judge.call), REFUSAL)


@every_format
def test_arguments_that_cannot_be_read_cannot_be_permitted(fmt: Format) -> None:
    if fmt is ANTHROPIC:
        raw = (
            stream_of(fmt, Reply("", (Use("find", {"a": 1}),)))
            .replace(b'\\"a\\": 1', b'\\"a\\": 1e999')
            .replace(b'{\\"a\\": ', b'{\\"a\\": 1, \\"a\\":')
        )
    else:
        raw = stream_of(fmt, Reply("", (Use("find", '{"a": 1, "a": 2}'),)))
    machine = opened(fmt)
    (judge,) = (step for step in [*machine.feed(raw), *machine.end()] if isinstance(step, Judge))
    assert judge.call.arguments is None
    assert judge.call.problem
    with pytest.raises(OrderError):
        machine.permit(judge)


@every_format
def test_an_error_of_the_provider_mid_stream(fmt: Format) -> None:
    raw = stream_of(fmt, SAMPLE)
    half = raw[: raw.index(b"find")].rpartition(b"\n\n")[0] + b"\n\n"
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    if fmt is RESPONSES:
        error = {"type": "error", "code": "server_error", "message": "Overloaded", "sequence_number": 9}  # type: ignore[dict-item]
    name = b"" if fmt is CHAT else b"event: error\n"
    seen = drive(opened(fmt), [half + name + b"data: " + json.dumps(error).encode() + b"\n\n"])
    assert seen.problem == "Overloaded"
    assert b"Overloaded" in seen.out
    assert b"find" not in seen.out


# Chat alone


def choice(index: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
    entry = {"index": index, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "c", "model": "m", "choices": [entry]}).encode() + b"\n\n"


def piece(at: int, arguments: str, name: str = "", call_id: str = "") -> dict[str, Any]:
    call: dict[str, Any] = {"index": at, "function": {"arguments": arguments}}
    if call_id:
        call |= {"id": call_id, "type": "function"}
        call["function"]["name"] = name
    return {"tool_calls": [call]}


def test_choices_are_judged_apart() -> None:
    raw = [
        choice(0, {"role": "assistant", "content": "a"}),
        choice(1, piece(0, "{", "evil", "x")),
        choice(0, {"content": "b"}),
        choice(1, piece(0, "}")),
        choice(0, piece(0, "{}", "fine", "y")),
        choice(1, {}, "tool_calls"),
        choice(0, {}, "tool_calls"),
        b"data: [DONE]\n\n",
    ]
    seen = drive(opened(CHAT, n=2), raw, lambda call: call.name == "fine", late=True)
    assert [(call.choice, call.name) for call in seen.calls] == [(1, "evil"), (0, "fine")]
    ends = {c["index"]: c["finish_reason"] for d in seen.data for c in d["choices"] if c["finish_reason"]}
    assert ends == {0: "tool_calls", 1: "stop"}
    assert "evil" not in seen.out.decode()
    assert drive(opened(CHAT, n=2), raw).out == b"".join(raw)


@given(st.permutations(["0:{", '0:"a"', "0::1}", "1:{", "1:}"]))
def test_interleaved_pieces_are_put_together_by_index(order: list[str]) -> None:
    begun = [choice(0, piece(0, "", "a", "x")), choice(0, piece(1, "", "b", "y"))]
    middle = [choice(0, piece(int(p[0]), p[2:])) for p in order]
    seen = drive(opened(CHAT), [*begun, *middle, choice(0, {}, "tool_calls"), b"data: [DONE]\n\n"])
    written = ["".join(p[2:] for p in order if p[0] == at) for at in "01"]
    assert [call.arguments for call in seen.calls] == [
        {"a": 1} if written[0] == '{"a":1}' else None,
        {} if written[1] == "{}" else None,
    ]


def test_usage_that_was_asked_for_here_stays_here() -> None:
    view = CHAT.read(json.dumps({"model": "m", "stream": True, "messages": []}).encode(), opened(CHAT)._allowed)  # type: ignore[attr-defined]
    assert b"include_usage" in view.rewrite({}, count=True)
    machine = CHAT.stream(view, opened(CHAT)._allowed)  # type: ignore[attr-defined]
    seen = drive(machine, [stream_of(CHAT, Reply("hi"))])
    assert isinstance(seen.usage, Usage)
    assert seen.usage.counted
    assert not any(d.get("usage") for d in seen.data)


def test_a_stream_without_done_is_whole_if_its_choices_are() -> None:
    raw = choice(0, {"content": "hi"}) + choice(0, {}, "stop")
    assert drive(opened(CHAT), [raw]).out == raw


def test_what_waits_is_bounded() -> None:
    machine = opened(CHAT)
    machine.feed(choice(0, piece(0, "", "a", "x")))
    long = choice(0, piece(0, "x" * 1_000_000))
    steps = [step for _ in range(17) for step in machine.feed(long)]
    assert any(isinstance(step, Failed) for step in steps)
    assert machine.finished


def test_a_text_that_is_told_twice_is_told_once() -> None:
    raw = choice(0, {"content": "hi"}).replace(b'"index": 0', b'"index": 0, "text": "hi"') + choice(0, {}, "stop")
    seen = drive(opened(CHAT), [raw, b"data: [DONE]\n\n"])
    assert not seen.problem
    assert said(CHAT, seen.data) == "hi"
    assert "text" not in seen.data[0]["choices"][0]


def test_what_a_guard_holds_comes_out_where_a_server_tells_less() -> None:
    """Responses without `output_text.done` and `content_part.done`: the item's end is the text's."""
    raw = stream_of(RESPONSES, Reply("It is geheim, so there."))
    less = [b + b"\n\n" for b in raw.split(b"\n\n")[:-1] if b"output_text.done" not in b and b"content_part" not in b]
    seen = drive(opened(RESPONSES, texts=Redactor()), less)
    assert not seen.problem
    assert said(RESPONSES, seen.data) == "It is [word], so there."
    assert b"geheim" not in seen.out


@every_format
def test_calls_are_bounded(fmt: Format) -> None:
    seen = drive(opened(fmt), [stream_of(fmt, Reply("", tuple(Use("find", {"n": n}) for n in range(300))))])
    assert seen.problem
    assert len(read_calls(fmt, seen)) <= 256


def test_ten_thousand_tools_are_read_in_linear_time() -> None:
    tools = [{"type": "function", "function": {"name": f"t{n}"}} for n in range(10_000)]
    view = CHAT.read(request(CHAT, tools=tools), opened(CHAT)._allowed)  # type: ignore[attr-defined]
    assert len(view.tools) == 10_000
    assert not view.problems


class Recorder:
    """Remembers what it let through."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def text(self, channel: Channel, piece: str) -> str:
        self.heard.append(piece)
        return piece

    def flush(self, channel: Channel) -> str:
        return ""


@every_format
@pytest.mark.parametrize("streamed", [True, False])
def test_a_guard_has_seen_all_that_the_client_reads(fmt: Format, streamed: bool) -> None:
    write = stream_of if streamed else body_of
    recorder = Recorder()
    machine = opened(fmt, texts=recorder, stream=streamed)
    seen = drive(machine, [write(fmt, SAMPLE)], no, sent=request(fmt), again=[[write(fmt, Reply("So."), 2)]])
    if streamed:
        assert "".join(recorder.heard) == said(fmt, seen.data)
    else:
        assert json.dumps("".join(recorder.heard) if fmt is CHAT else "So.")[1:-1] in json.dumps(json.loads(seen.out))


def test_reasoning_is_guarded_wherever_it_is_told() -> None:
    details = [{"type": "reasoning.text", "text": "geheim"}, {"type": "reasoning.encrypted", "data": "xyz"}]
    raw = choice(0, {"reasoning": "ge", "reasoning_details": details}) + choice(0, {"reasoning": "heim"})
    raw += choice(0, {}, "stop") + b"data: [DONE]\n\n"
    guarded = drive(opened(CHAT, texts=Redactor()), [raw])
    assert not guarded.problem
    assert b"geheim" not in guarded.out
    assert b"[word]" in guarded.out
    assert b"xyz" in guarded.out, "what is sealed is needed for the next turn"
    assert drive(opened(CHAT), [raw]).out == raw


def test_what_a_guard_let_through_before_it_broke_is_delivered() -> None:
    class Breaks(Recorder):
        def text(self, channel: Channel, piece: str) -> str:
            if self.heard:
                raise RuntimeError("broken")
            return super().text(channel, piece)

    machine = opened(CHAT, texts=Breaks())
    with pytest.raises(RuntimeError):
        machine.feed(choice(0, {"content": "first"}) + choice(0, {"content": "second"}))
    out = b"".join(getattr(step, "data", b"") for step in machine.fail(500, "checked no more"))
    assert b"first" in out
    assert b"second" not in out
    assert b"checked no more" in out


def test_nobody_is_asked_about_an_answer_that_has_failed() -> None:
    raw = choice(0, piece(0, "{}", "find", "x")) + choice(0, {}, "tool_calls") + b"data: nonsense\n\n"
    steps = opened(CHAT).feed(raw)
    assert not [step for step in steps if isinstance(step, Judge)]
    assert [step for step in steps if isinstance(step, Failed)]


def test_a_shell_is_told_the_judged_commands_and_no_others() -> None:
    def event(kind: str, **more: object) -> bytes:
        data = {"type": kind, "output_index": 0} | more
        return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()

    item = {"type": "shell_call", "id": "s", "call_id": "a", "status": "completed", "action": {"commands": ["ls"]}}
    raw = stream_of(RESPONSES, Reply("x")).split(b"event: response.output_item.added")[0]
    raw += event("response.output_item.added", item=item | {"status": "in_progress", "action": {"commands": ["rm -r"]}})
    raw += event("response.shell_call_command.delta", command_index=0, delta="rm -rf")
    raw += event("response.shell_call_command.done", command_index=0, command="rm -rf")
    raw += event("response.output_item.done", item=item)
    raw += event("response.completed", response={"id": "resp_1", "status": "completed", "output": [item]})
    seen = drive(opened(RESPONSES), [raw])
    assert not seen.problem
    assert [call.arguments for call in seen.calls] == [{"commands": ["ls"]}]
    assert b"rm -r" not in seen.out
    assert seen.out.count(b'"ls"') == 3
