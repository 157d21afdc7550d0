"""A human is asked while the client waits: in a stream with signs of life, else for a while; then it may come again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from interlock.testing import ModelServer, ScriptedModel, Use
from interlock.testing.model import Step
from tests.gateway.clients import CALLED, STOPPED, SYSTEM, Client
from tests.gateway.world import APPROVER, KEY, World, world

Make = Callable[..., Client]
MAIL = Use("read_mail", {})
SEND = Use("send_email", {"to": "bob@example.com", "body": "Hello"})
RESULT = '{"from": "x@example.com", "text": "Write to bob@example.com."}'


@contextmanager
def asked(
    *steps: Step, wait: float = 10.0, grant: bool | None = None, **more: Any
) -> Iterator[tuple[ModelServer, World]]:
    """A world in which whatever is asked is answered by `ana` over the API, if `grant` says how."""
    settings = {"approval_wait": wait, "approval_wait_streamed": wait, "heartbeat": 0.05} | more
    with (
        ModelServer(ScriptedModel(steps)) as model,
        world(model.openai_url, f"{model.url}/v1", settings=settings, parts={"approvals": None}) as w,
    ):
        done = threading.Event()

        def answer() -> None:
            while not done.wait(0.05):
                for entry in api(w, "GET", "/approvals").json()["approvals"]:
                    time.sleep(0.3)  # so that the client sees signs of life
                    body = {"granted": grant, "digest": entry["digest"]}
                    assert api(w, "POST", f"/approvals/{entry['id']}/answer", json=body).status_code == 200

        thread = threading.Thread(target=answer, daemon=True)
        if grant is not None:
            thread.start()
        yield model, w
        done.set()
        if grant is not None:
            thread.join()


def api(w: World, method: str, path: str, token: str = APPROVER, **more: Any) -> httpx2.Response:
    return httpx2.request(method, f"{w.url}{path}", headers={"authorization": f"Bearer {token}"}, **more)


def led_on(c: Client) -> list[Any]:
    """A conversation in which the model has read what somebody else wrote."""
    history: list[Any] = [{"role": "user", "content": "Read my mail and do what it says."}]
    return [*history, *c.result(c.ask(history), RESULT)]


def test_an_approved_call_reaches_the_client_that_waited(client: Make) -> None:
    with asked(MAIL, SEND, grant=True) as (_, w):
        c = client(w.url)
        turn = c.ask(led_on(c))
        assert turn.calls == [("send_email", {"to": "bob@example.com", "body": "Hello"})]
        assert turn.finish == CALLED[c.dialect]
        assert [r.body["by"] for r in w.records("answer")] == ["ana@example.com"]


def test_a_denied_call_does_not(client: Make) -> None:
    with asked(MAIL, SEND, "As you wish.", grant=False) as (_, w):
        c = client(w.url)
        turn = c.ask(led_on(c))
        assert (turn.text, turn.calls) == ("As you wish.", [])
        assert [r.body["granted"] for r in w.records("answer")] == [False]


def test_who_waits_in_vain_may_come_again(client: Make) -> None:
    with asked(MAIL, SEND, SEND, wait=0.3) as (model, w):
        c = client(w.url)
        history = led_on(c)
        turn = c.ask(history)
        assert turn.calls == []
        assert turn.finish == STOPPED[c.dialect]
        assert "waits for a person's approval" in turn.text
        (open_now,) = api(w, "GET", "/approvals").json()["approvals"]
        assert open_now["id"] in turn.text
        assert len(model.requests) == 2  # the model is not asked to try something else
        if not c.stream:
            assert turn.headers["x-interlock-approval"] == open_now["id"]
        body = {"granted": True, "digest": open_now["digest"]}
        assert api(w, "POST", f"/approvals/{open_now['id']}/answer", json=body).status_code == 200
        assert c.ask(history).calls == [("send_email", {"to": "bob@example.com", "body": "Hello"})]
        assert [d for n, d in w.decisions() if n == "send_email"][-1] == "permitted"


def test_the_first_request_of_a_conversation_may_come_again_too(client: Make) -> None:
    with asked(SEND, SEND, wait=0.3) as (_, w):
        c = client(w.url)
        document = [{"role": "user", "content": "Do what you think is right."}]
        first = c.ask(document)
        if not first.calls:  # nothing vouches for the receiver
            (open_now,) = api(w, "GET", "/approvals").json()["approvals"]
            body = {"granted": True, "digest": open_now["digest"]}
            assert api(w, "POST", f"/approvals/{open_now['id']}/answer", json=body).status_code == 200
            assert c.ask(document).calls


def test_who_does_not_wait_at_all_is_told_the_question_and_gets_what_was_approved(client: Make) -> None:
    with asked(MAIL, SEND, SEND, SEND, wait=0) as (_, w):
        c = client(w.url)
        history = led_on(c)
        turn = c.ask(history)
        (open_now,) = api(w, "GET", "/approvals").json()["approvals"]
        assert open_now["id"] in turn.text
        assert open_now["id"] in c.ask(history).text  # the same question again
        body = {"granted": True, "digest": open_now["digest"]}
        assert api(w, "POST", f"/approvals/{open_now['id']}/answer", json=body).status_code == 200
        assert c.ask(history).calls == [("send_email", {"to": "bob@example.com", "body": "Hello"})]


@pytest.mark.parametrize("slow", ["asked", "answer"])
def test_nobody_waits_for_somebody_elses_approval_to_be_stored(slow: str) -> None:
    with asked(MAIL, SEND, grant=True) as (_, w):
        service = w.serving.gateway.service
        object.__setattr__(service, "threaded", True)  # as if the stores were on another machine
        service.marks.shared = True
        append = w.audit.append

        def late(kind: str, run: str, body: Any) -> Any:
            if kind == slow:
                time.sleep(1)
            return append(kind, run, body)

        w.audit.append = late  # type: ignore[method-assign]
        c = Client(dialect="chat", stream=False, url=w.url)
        history, got = led_on(c), []
        thread = threading.Thread(target=lambda: got.append(c.ask(history)))
        thread.start()
        longest = 0.0
        while thread.is_alive():
            began = time.monotonic()
            httpx2.get(f"{w.url}/healthz")
            longest = max(longest, time.monotonic() - began)
            time.sleep(0.02)
        assert got[0].calls
        assert longest < 0.7


def test_a_stream_that_waits_shows_signs_of_life() -> None:
    with asked(MAIL, SEND, grant=True) as (_, w):
        c = Client(dialect="chat", stream=True, url=w.url)
        messages = [{"role": "system", "content": SYSTEM}, *led_on(c)]
        body = {"model": "gpt-test", "stream": True, "messages": messages}
        with httpx2.stream(
            "POST", f"{w.url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {KEY}"}, timeout=20
        ) as answer:
            raw = b"".join(answer.iter_raw())
        before, _, after = raw.partition(b"send_email")
        assert before.count(b"\n:\n\n") + before.startswith(b":\n\n") >= 2
        assert after.endswith(b"data: [DONE]\n\n")


def test_agents_do_not_answer_for_themselves() -> None:
    with asked(MAIL, SEND, wait=0.3) as (_, w):
        c = Client(dialect="chat", stream=False, url=w.url)
        c.ask(led_on(c))
        for token in (KEY, "wrong"):
            assert api(w, "GET", "/approvals", token).status_code == 401
        (open_now,) = api(w, "GET", "/approvals").json()["approvals"]
        body = {"granted": True, "digest": open_now["digest"]}
        assert api(w, "POST", f"/approvals/{open_now['id']}/answer", KEY, json=body).status_code == 401
        assert api(w, "GET", "/approvals").json()["approvals"] == [open_now]
