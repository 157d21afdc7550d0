"""Providers that stall, break off, lie or talk nonsense: the client gets its dialect's error, and never a held call."""

from __future__ import annotations

import json
import re
import socket
import time
from typing import Any

import httpx2
import openai
import pytest

from interlock.gateway.connection import Connection, Connector
from tests.gateway.rough import (
    STREAM_HEAD,
    Rough,
    call_more,
    call_start,
    chunk,
    chunked,
    connect,
    event,
    plain,
    read_all,
    request,
    rough,
)
from tests.gateway.world import KEY, PROVIDER_KEY, world

BODY: dict[str, Any] = {"model": "gpt-test", "messages": [{"role": "user", "content": "Where is order 1042?"}]}
STREAMED = BODY | {"stream": True}
END = chunked(b"data: [DONE]\n\n") + b"0\r\n\r\n"
HASTY = {"answer_timeout": 0.5, "connect_timeout": 0.5}


def post(url: str, body: dict[str, Any], **headers: str) -> httpx2.Response:
    return httpx2.post(
        f"{url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {KEY}"} | headers, timeout=20
    )


def told(answer: httpx2.Response) -> str:
    code: str = answer.json()["error"]["code"]
    return code


def test_nobody_answers() -> None:
    free = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    free.close()
    with world(url) as w:
        answer = post(w.url, BODY)
        assert (answer.status_code, told(answer)) == (502, "upstream_unreachable")
        assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("body", [BODY, STREAMED], ids=["plain", "streamed"])
def test_a_provider_that_never_begins(body: dict[str, Any]) -> None:
    with rough(lambda c: time.sleep(5)) as provider, world(provider.url, settings=HASTY) as w:
        answer = post(w.url, body)
        assert (answer.status_code, told(answer)) == (504, "upstream_timeout")


def test_a_provider_that_stalls_in_a_stream() -> None:
    def behave(c: socket.socket) -> None:
        c.sendall(STREAM_HEAD + chunk({"role": "assistant", "content": "Let me see. " * 50}) + call_start("find_order"))
        time.sleep(5)

    with rough(behave) as provider, world(provider.url, settings=HASTY) as w:
        answer = post(w.url, STREAMED)
        assert answer.status_code == 200
        assert "Let me see. Let me see." in answer.text
        assert "find_order" not in answer.text
        assert '"upstream_timeout"' in answer.text
        assert w.decisions() == []


def test_the_time_for_a_piece_begins_anew_with_each() -> None:
    def behave(c: socket.socket) -> None:
        c.sendall(STREAM_HEAD + chunk({"role": "assistant", "content": ""}))
        for n in range(8):
            time.sleep(0.2)
            c.sendall(chunk({"content": f"piece {n} "}))
        time.sleep(5)

    with rough(behave) as provider, world(provider.url, settings=HASTY) as w:
        connector = w.serving.gateway.service.client.session.connector
        began = time.monotonic()
        answer = post(w.url, STREAMED)
        assert 2.0 < time.monotonic() - began < 5
        assert "piece" in answer.text.rpartition("upstream_timeout")[0]
        assert '"upstream_timeout"' in answer.text
        assert isinstance(connector, Connector)
        assert isinstance(connector._factory(), Connection)


@pytest.mark.parametrize("where", ["arguments", "end", "after"])
def test_a_provider_that_breaks_off_while_a_call_is_held(where: str) -> None:
    def behave(c: socket.socket) -> None:
        c.sendall(STREAM_HEAD + chunk({"role": "assistant", "content": "Well"}) + call_start("drop_tables"))
        if where != "arguments":
            c.sendall(call_more('{"name": "orders"}'))
        if where == "after":
            c.sendall(chunk({}, "tool_calls"))
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, no end

    with rough(behave) as provider, world(provider.url) as w:
        answer = post(w.url, STREAMED)
        assert "drop_tables" not in answer.text
        assert '"tool_calls"' not in answer.text
        assert "error" in answer.text
        with openai.OpenAI(base_url=f"{w.url}/v1", api_key=KEY, max_retries=0) as sdk, pytest.raises(openai.APIError):
            for _ in sdk.chat.completions.create(**STREAMED):
                pass


def test_a_whole_answer_that_breaks_off() -> None:
    with (
        rough(
            b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"choices": ['
        ) as provider,
        world(provider.url) as w,
    ):
        answer = post(w.url, BODY)
        assert (answer.status_code, told(answer)) == (502, "upstream_broken")


@pytest.mark.parametrize(
    "status", ["400 Bad Request", "401 Unauthorized", "429 Too Many Requests", "500 Oops", "529 Busy"]
)
def test_a_providers_error_passes_without_our_key(status: str) -> None:
    body = json.dumps({"error": {"message": f"incorrect API key provided: {PROVIDER_KEY}", "type": "x"}}).encode()
    headers = (b"retry-after: 7", b"x-request-id: r1", b"set-cookie: a=b", b"x-secret: " + PROVIDER_KEY.encode())
    with rough(plain(status, body, *headers)) as provider, world(provider.url) as w:
        answer = post(w.url, BODY)
        assert answer.status_code == int(status[:3])
        assert "incorrect API key" in answer.json()["error"]["message"]
        assert PROVIDER_KEY not in answer.text + str(answer.headers)
        assert (answer.headers["retry-after"], answer.headers["x-request-id"]) == ("7", "r1")
        assert "set-cookie" not in answer.headers


def test_an_error_page_is_told_in_the_clients_dialect() -> None:
    page = plain("503 Service Unavailable", b"<html>" + PROVIDER_KEY.encode(), kind=b"text/html")
    with rough(page) as provider, world(provider.url, provider.url) as w:
        answer = post(w.url, BODY)
        assert answer.status_code == 503
        assert "message" in answer.json()["error"]
        body = BODY | {"model": "claude-test", "max_tokens": 5}
        other = httpx2.post(f"{w.url}/v1/messages", json=body, headers={"x-api-key": KEY})
        assert (other.status_code, other.json()["type"]) == (503, "error")
        assert PROVIDER_KEY not in answer.text + other.text


NONSENSE = {
    "html": plain("200 OK", b"<html></html>", kind=b"text/html"),
    "no JSON": plain("200 OK", b'{"choices": ['),
    "another shape": plain("200 OK", b'{"answer": 42}'),
    "a list": plain("200 OK", b"[]"),
    "nothing": plain("200 OK", b""),
    "another dialect": plain(
        "200 OK", b'{"type": "message", "content": [{"type": "tool_use", "id": "x", "name": "y"}]}'
    ),
    "accepted": plain("202 Accepted", b"{}"),
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "elsewhere": plain("302 Found", b"", b"location: http://127.0.0.1:9/"),
    "compressed": plain("200 OK", b"\x1f\x8b", b"content-encoding: gzip"),
    "a stream": STREAM_HEAD + chunk({"content": "x"}) + event(b"[DONE]") + b"0\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_is_an_error(what: str) -> None:
    with rough(NONSENSE[what]) as provider, world(provider.url) as w:
        answer = post(w.url, BODY)
        assert answer.status_code == 502
        assert answer.json()["error"]["message"]
        assert httpx2.get(f"{w.url}/healthz").status_code == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"data: {not json}\n\n",
        b'data: {"choices": 1}\n\n',
        b"\xff\xfe\n\n",
        b'data: {"type": "content_block_start"}\n\n',
    ],
)
def test_nonsense_in_a_stream_ends_it_with_an_error(raw: bytes) -> None:
    more = b"%x\r\n%s\r\n" % (len(raw), raw) + call_start("drop_tables") + call_more("{}") + chunk({}, "tool_calls")
    whole = STREAM_HEAD + chunk({"content": "x"}) + more + event(b"[DONE]") + b"0\r\n\r\n"
    with rough(whole) as provider, world(provider.url) as w:
        answer = post(w.url, STREAMED)
        assert "drop_tables" not in answer.text


FAILING = {
    "500": plain("500 Oops", b'{"error": {"message": "no"}}'),
    "overloaded": plain("529 Busy", b"{}"),
    "breaks off": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{",
    "no HTTP": NONSENSE["no HTTP"],
}


@pytest.mark.parametrize("what", FAILING)
def test_a_provider_that_is_not_well_is_left_alone(what: str) -> None:
    with rough(FAILING[what]) as provider, rough(NONSENSE["a list"]) as other, world(provider.url, other.url) as w:
        answers = [post(w.url, BODY) for _ in range(25)]
        assert len(provider.requests) == 20
        assert {(a.status_code, told(a)) for a in answers[20:]} == {(503, "upstream_failing")}
        assert int(answers[-1].headers["retry-after"]) > 0
        body = BODY | {"model": "claude-test", "max_tokens": 5}
        assert httpx2.post(f"{w.url}/v1/messages", json=body, headers={"x-api-key": KEY}).status_code == 502
        assert len(other.requests) == 1


WELL = {
    "refused": plain("400 Bad Request", b'{"error": {"message": "no"}}'),
    "too much": plain("429 Too Many Requests", b'{"error": {"message": "no"}}'),
    "another shape": NONSENSE["another shape"],
    "an error in a stream": STREAM_HEAD + event({"error": {"message": "no"}}) + b"0\r\n\r\n",
    "a call that nobody can read": STREAM_HEAD + chunk({"tool_calls": [{"index": 0}]}) + END,
}


@pytest.mark.parametrize("what", WELL)
def test_nothing_that_an_answer_says_closes_a_provider_to_others(what: str) -> None:
    with rough(WELL[what]) as provider, world(provider.url) as w:
        for _ in range(25):
            post(w.url, STREAMED if "stream" in what or "call" in what else BODY)
        assert len(provider.requests) == 25


def test_redirects_are_not_followed() -> None:
    with rough(plain("200 OK", b"{}")) as elsewhere:
        away = plain("307 Temporary Redirect", b"", b"location: " + elsewhere.url.encode())
        with rough(away) as provider, world(provider.url) as w:
            assert post(w.url, BODY).status_code == 502
            assert elsewhere.requests == []  # least of all with our key


def test_an_answer_that_is_too_large() -> None:
    with rough(plain("200 OK", b"x" * 200_000)) as provider, world(provider.url, settings={"max_answer": 100_000}) as w:
        answer = post(w.url, BODY)
        assert (answer.status_code, told(answer)) == (502, "answer_too_large")


@pytest.mark.parametrize("body", [BODY, STREAMED], ids=["plain", "streamed"])
def test_a_client_that_leaves_breaks_off_the_providers_work(body: dict[str, Any]) -> None:
    provider: Rough

    def behave(c: socket.socket) -> None:
        if body is STREAMED:
            c.sendall(STREAM_HEAD + chunk({"content": "x"}))
        provider.gone(c)

    with rough(behave) as provider, world(provider.url) as w:
        connection = connect(w.url)
        connection.sendall(request(body))
        while not provider.requests:
            time.sleep(0.01)
        if body is STREAMED:
            assert b"content" in connection.recv(65536)
        connection.close()
        assert provider.closed.wait(5)


def test_a_client_that_does_not_read_is_left_and_costs_no_memory() -> None:
    sent = 0
    provider: Rough

    def behave(c: socket.socket) -> None:
        nonlocal sent
        piece = chunk({"content": "A few words. " * 800})
        c.sendall(STREAM_HEAD)
        c.settimeout(10)
        try:
            for _ in range(5_000):
                c.sendall(piece)
                sent += len(piece)
        except OSError:
            provider.closed.set()

    class Passing:
        def text(self, channel: Any, piece: str) -> str:
            return piece

        def flush(self, channel: Any) -> str:
            return ""

    with rough(behave) as provider, world(provider.url, settings={"write_timeout": 0.5}) as w:
        # What checks texts takes its time; here the provider is to be faster than the client.
        object.__setattr__(w.serving.gateway.service, "texts", lambda prompt, streamed: Passing())
        connection = connect(w.url)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(request(STREAMED))
        assert provider.closed.wait(10)
        assert sent < 20_000_000  # of fifty megabytes: what the sockets of this machine hold
        assert w.serving.gateway.admission.active == 0
        connection.close()


def test_the_provider_is_sent_one_well_formed_request() -> None:
    with rough(plain("500 Oops", b"{}")) as provider, world(provider.url) as w:
        headers = (
            b"content-length: %d" % len(json.dumps(BODY)),
            b"connection: keep-alive, x-evil",
            b"x-evil: 1",
            b"te: trailers",
        )
        with connect(w.url) as connection:
            connection.sendall(request(BODY, *headers, b"proxy-authorization: x", b"x-http-method-override: DELETE"))
            read_all(connection, 1)
        (raw,) = provider.requests
        head = raw.partition(b"\r\n\r\n")[0].lower()
        names = {line.split(b":")[0] for line in head.split(b"\r\n")[1:]}
        assert names == {b"host", b"content-type", b"content-length", b"accept-encoding", b"authorization"}


def test_a_provider_that_is_slow_but_not_silent_is_waited_for() -> None:
    def behave(c: socket.socket) -> None:
        c.sendall(STREAM_HEAD)
        for n in range(6):  # together longer than the provider may be silent
            time.sleep(0.2)
            c.sendall(chunk({"role": "assistant", "content": f"word{n} "}))
        time.sleep(5)

    with rough(behave) as provider, world(provider.url, settings=HASTY) as w:
        began = time.monotonic()
        answer = post(w.url, STREAMED)
        assert "word4" in "".join(re.findall(r'"content":"([^"]*)"', answer.text))
        assert '"upstream_timeout"' in answer.text
        assert 1.6 < time.monotonic() - began < 3


def test_a_client_that_reads_late_gets_all_of_a_large_answer() -> None:
    """Far more than the buffers hold: reading from the provider pauses, and goes on."""
    pieces = [f"{n:07d} " * 2000 for n in range(400)]

    def behave(c: socket.socket) -> None:
        c.sendall(STREAM_HEAD)
        for piece in pieces:
            c.sendall(chunk({"role": "assistant", "content": piece}))
        c.sendall(chunk({}, "stop") + END)
        time.sleep(0.2)

    with rough(behave) as provider, world(provider.url) as w, httpx2.Client() as client:
        url, head = f"{w.url}/v1/chat/completions", {"authorization": f"Bearer {KEY}"}
        with client.stream("POST", url, json=STREAMED, headers=head) as answer:
            time.sleep(2)
            text = "".join(answer.iter_text())
    said = "".join(
        json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
        for line in text.split("\n")
        if line.startswith("data: {") and '"choices"' in line
    )
    assert said == "".join(pieces)
    assert text.endswith("data: [DONE]\n\n")
