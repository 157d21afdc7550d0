"""OpenAI Chat Completions through a real server, with OpenAI's own SDK, plain and streamed."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from interlock.monitor.mediate import REFUSED
from interlock.testing import ModelServer, ScriptedModel, Use
from tests.gateway.world import KEY, PROVIDER_KEY, TOOLS, World, world

TOOLS_DECLARED: Any = [
    {"type": "function", "function": {"name": name, "description": "", "parameters": tool["schema"]}}
    for name, tool in TOOLS.items()
]


def client(w: World, key: str = KEY) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{w.url}/v1", api_key=key, max_retries=0, timeout=20)


def ask(w: World, messages: list[Any], *, stream: bool, **more: Any) -> tuple[str, list[tuple[str, str]], str]:
    """Text, calls and how the turn ended, as the client got them."""
    with client(w) as c:
        if not stream:
            choice = c.chat.completions.create(
                model="gpt-test", messages=messages, tools=TOOLS_DECLARED, **more
            ).choices[0]
            calls = [(x.function.name, x.function.arguments) for x in choice.message.tool_calls or ()]
            return choice.message.content or "", calls, choice.finish_reason
        text, finish = "", ""
        parts: dict[int, tuple[str, str]] = {}
        for chunk in c.chat.completions.create(
            model="gpt-test", messages=messages, tools=TOOLS_DECLARED, stream=True, **more
        ):
            for delta in chunk.choices:
                text += delta.delta.content or ""
                finish = delta.finish_reason or finish
                for piece in delta.delta.tool_calls or ():
                    name, arguments = parts.get(piece.index, ("", ""))
                    assert piece.function is not None
                    parts[piece.index] = (
                        name + (piece.function.name or ""),
                        arguments + (piece.function.arguments or ""),
                    )
        return text, list(parts.values()), finish


def user(text: str) -> list[Any]:
    return [{"role": "system", "content": "You help."}, {"role": "user", "content": text}]


@pytest.fixture(params=[False, True], ids=["plain", "streamed"])
def stream(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_text_passes(stream: bool) -> None:
    with ModelServer(ScriptedModel(["Hello, how are you today?"])) as model, world(model.openai_url) as w:
        assert ask(w, user("Hi"), stream=stream) == ("Hello, how are you today?", [], "stop")


def test_a_permitted_call_reaches_the_client(stream: bool) -> None:
    script = ScriptedModel([Use("find_order", {"order_id": "1042"})])
    with ModelServer(script) as model, world(model.openai_url) as w:
        text, calls, finish = ask(w, user("Where is order 1042?"), stream=stream)
        assert [(n, json.loads(a)) for n, a in calls] == [("find_order", {"order_id": "1042"})]
        assert (text, finish) == ("", "tool_calls")
        assert w.decisions() == [("find_order", "permitted")]
        assert w.records("outcome")[0].body["outcome"] == "handed over"


def test_a_refused_call_never_reaches_the_client(stream: bool) -> None:
    script = ScriptedModel([Use("drop_tables", {"name": "orders"}), "I could not do that."])
    with ModelServer(script) as model, world(model.openai_url) as w:
        text, calls, finish = ask(w, user("Hi"), stream=stream)
        assert calls == []
        assert (text, finish) == ("I could not do that.", "stop")
        assert w.decisions() == [("drop_tables", "forbidden")]
        told = [m.text for m in model.requests[1].conversation.messages if m.role == "tool"]
        assert told == [REFUSED]


def test_the_provider_gets_its_own_key_and_none_of_the_clients(stream: bool) -> None:
    with ModelServer(ScriptedModel(["Hello"])) as model, world(model.openai_url) as w:
        ask(
            w,
            user("Hi"),
            stream=stream,
            extra_headers={"x-api-key": KEY, "cookie": "a=b", "x-forwarded-for": "1.2.3.4"},
        )
        sent = model.requests[0].headers
        assert sent["authorization"] == f"Bearer {PROVIDER_KEY}"
        assert KEY not in str(sent)
        assert not {"x-api-key", "cookie", "x-forwarded-for", "x-stainless-lang"} & set(sent)
