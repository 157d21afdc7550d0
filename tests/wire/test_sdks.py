"""The vendors' SDKs read what the machines write: streams and bodies, permitted, refused, mixed and stitched."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from interlock.testing.model import Reply, Use
from interlock.wire.anthropic import ANTHROPIC
from interlock.wire.format import Format
from interlock.wire.openai_chat import CHAT
from interlock.wire.openai_responses import RESPONSES
from interlock.wire.steps import HEARTBEAT
from tests.wire.driver import REFUSAL, Verdict, body_of, drive, no, opened, request, stream_of, yes

REPLY = Reply("I will look.", (Use("find", {"q": "ü"}), Use("send", {"to": "a@b.example"})))
FORMATS = [CHAT, RESPONSES, ANTHROPIC]


def client_of(fmt: Format, body: bytes, *, streamed: bool) -> Any:
    kind = "text/event-stream" if streamed else "application/json"

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": kind}, content=body)

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    if fmt is ANTHROPIC:
        return anthropic.Anthropic(api_key="k", base_url="http://gateway.example", http_client=http, max_retries=0)
    return openai.OpenAI(api_key="k", base_url="http://gateway.example/v1", http_client=http, max_retries=0)


def heard(fmt: Format, body: bytes, *, streamed: bool) -> tuple[str, list[tuple[str, Any]], str]:
    """What the SDK makes of `body`: text, calls, and why it ended."""
    client = client_of(fmt, body, streamed=streamed)
    messages: Any = [{"role": "user", "content": "hello"}]
    if fmt is CHAT:
        if streamed:
            with client.chat.completions.stream(model="m", messages=messages) as stream:
                for _ in stream:
                    pass
                completion = stream.get_final_completion()
        else:
            completion = client.chat.completions.create(model="m", messages=messages)
        (entry,) = completion.choices
        calls = [(c.function.name, json.loads(c.function.arguments)) for c in entry.message.tool_calls or ()]
        return entry.message.content or "", calls, entry.finish_reason
    if fmt is ANTHROPIC:
        if streamed:
            with client.messages.stream(model="m", max_tokens=9, messages=messages) as stream:
                for _ in stream:
                    pass
                message = stream.get_final_message()
        else:
            message = client.messages.create(model="m", max_tokens=9, messages=messages)
        text = "\n\n".join(b.text for b in message.content if b.type == "text")
        return text, [(b.name, b.input) for b in message.content if b.type == "tool_use"], message.stop_reason
    if streamed:
        with client.responses.stream(model="m", input="hello") as stream:
            numbers = [event.sequence_number for event in stream]
            response = stream.get_final_response()
        assert numbers == list(range(len(numbers)))
    else:
        response = client.responses.create(model="m", input="hello")
    texts = [c.text for item in response.output if item.type == "message" for c in item.content]
    calls = [(item.name, json.loads(item.arguments)) for item in response.output if item.type == "function_call"]
    return "\n\n".join(texts), calls, response.status


ENDS = {
    CHAT.name: ("tool_calls", "stop"),
    ANTHROPIC.name: ("tool_use", "end_turn"),
    RESPONSES.name: ("completed", "completed"),
}


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "body"])
@pytest.mark.parametrize("fmt", FORMATS, ids=lambda f: f.name)
@pytest.mark.parametrize("permitted", [("find", "send"), ("find",), ("send",), ()], ids="-".join)
def test_the_sdk_reads_what_was_let_through(fmt: Format, streamed: bool, permitted: tuple[str, ...]) -> None:
    verdict: Verdict = lambda call: call.name in permitted  # noqa: E731
    raw = (stream_of if streamed else body_of)(fmt, REPLY)
    seen = drive(opened(fmt, stream=streamed), [raw], verdict)
    text, calls, end = heard(fmt, seen.out, streamed=streamed)
    assert calls == [(use.tool, use.arguments) for use in REPLY.calls if use.tool in permitted]
    assert text == "I will look." if len(permitted) == 2 else text == f"I will look.\n\n{REFUSAL}"
    assert end == ENDS[fmt.name][0 if permitted else 1]


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "body"])
@pytest.mark.parametrize("fmt", FORMATS, ids=lambda f: f.name)
def test_the_sdk_reads_an_answer_made_of_two(fmt: Format, streamed: bool) -> None:
    write = stream_of if streamed else body_of
    sent = request(fmt, stream=streamed)
    seen = drive(
        opened(fmt, stream=streamed), [write(fmt, REPLY)], no, sent=sent, again=[[write(fmt, Reply("Then not."), 2)]]
    )
    assert heard(fmt, seen.out, streamed=streamed) == ("I will look.\n\nThen not.", [], ENDS[fmt.name][1])


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda f: f.name)
def test_the_sdk_waits_through_heartbeats(fmt: Format) -> None:
    raw = stream_of(fmt, REPLY).replace(b"\n\n", b"\n\n" + HEARTBEAT)
    assert heard(fmt, drive(opened(fmt), [raw], yes).out, streamed=True)[1] != []


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda f: f.name)
def test_the_sdk_raises_what_is_broken_off(fmt: Format) -> None:
    raw = stream_of(fmt, REPLY)
    seen = drive(opened(fmt), [raw[: raw.index(b"find") + 400]])
    assert seen.problem
    with pytest.raises((openai.APIError, anthropic.APIError), match="broke off"):
        heard(fmt, seen.out, streamed=True)


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda f: f.name)
def test_the_sdk_reads_error_bodies(fmt: Format) -> None:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(403, content=fmt.error(403, "not for this key", "forbidden"))

    client = client_of(fmt, b"", streamed=False).with_options(
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer))
    )
    create = client.messages.create if fmt is ANTHROPIC else client.chat.completions.create
    messages: Any = [{"role": "user", "content": "x"}]
    with pytest.raises((openai.PermissionDeniedError, anthropic.PermissionDeniedError), match="not for this key"):
        create(model="m", max_tokens=1, messages=messages)
