"""Clients that send too much, too slowly, too often or in two ways: refused at once, and the others are served."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from typing import Any

import httpx2
import pytest

from tests.gateway.rough import (
    STREAM_HEAD,
    chunk,
    connect,
    event,
    plain,
    read_all,
    request,
    rough,
    status_of,
)
from tests.gateway.world import KEY, OTHER_KEY, world

BODY: dict[str, Any] = {"model": "gpt-test", "messages": [{"role": "user", "content": "Hi"}]}
ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
}
GOOD = plain("200 OK", json.dumps(ANSWER).encode())


def post(url: str, body: Any = BODY, *, key: str = KEY, **more: Any) -> httpx2.Response:
    return httpx2.post(
        f"{url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}, timeout=20, **more
    )


def say(url: str, raw: bytes, seconds: float = 5) -> bytes:
    with connect(url) as connection:
        connection.sendall(raw)
        return read_all(connection, seconds)


# too much


def test_a_body_that_is_too_large_is_refused_before_it_is_sent() -> None:
    with rough(GOOD) as provider, world(provider.url, settings={"max_body": 1000}) as w:
        with connect(w.url) as connection:
            connection.sendall(request(b"", b"content-length: 1001"))
            assert status_of(connection.recv(65536)) == 413
        assert post(w.url).status_code == 200
        assert len(provider.requests) == 1


def test_so_is_one_that_does_not_say_how_large_it_is() -> None:
    with rough(GOOD) as provider, world(provider.url, settings={"max_body": 1000}) as w:
        with connect(w.url) as connection:
            connection.sendall(request(b"", b"transfer-encoding: chunked"))
            piece = b"%x\r\n%s\r\n" % (600, b"x" * 600)
            connection.sendall(piece + piece)
            assert status_of(connection.recv(65536)) == 413
        assert provider.requests == []


def test_all_bodies_together_are_bounded() -> None:
    with rough(GOOD) as provider, world(provider.url, settings={"max_bodies": 5000}) as w:
        with connect(w.url) as holding:
            holding.sendall(request(b"", b"content-length: 4990"))
            time.sleep(0.2)
            answer = post(w.url)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "overloaded")
            assert answer.headers["retry-after"] == "1"
        while w.serving.gateway.admission.active:  # it has gone, and its bytes with it
            time.sleep(0.01)
        assert post(w.url).status_code == 200
        assert w.serving.gateway.admission.bytes == 0


def test_headers_are_bounded() -> None:
    with rough(GOOD) as provider, world(provider.url, settings={"max_header": 4096}) as w:
        assert b" 200 " not in say(w.url, request(BODY, b"content-length: 9", b"x: " + b"y" * 5000))[:20]
        assert b" 200 " not in say(w.url, b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nhost: x\r\n\r\n")[:20]
        assert b" 200 " not in say(w.url, request(BODY, b"content-length: 9", *[b"x: y"] * 200))[:20]
        assert provider.requests == []
        assert post(w.url).status_code == 200


BOMBS = {
    "deep lists": (b"[" * 100_000 + b"]" * 100_000, 400),
    "deep objects": (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, 400),
    "a huge number": (b'{"model": "m", "messages": [], "seed": ' + b"9" * 100_000 + b"}", 400),
    "twice the same key": (
        b'{"model": "gpt-test", "messages": [], "messages": [{"role": "user", "content": "x"}]}',
        400,
    ),
    "no JSON": (b"hello", 400),
    "nothing": (b"", 400),
    "a byte order mark": (b"\xef\xbb\xbf{}", 400),
    "no UTF-8": (b'{"model": "\xff"}', 400),
    "not a number": (b'{"model": "m", "messages": [], "temperature": NaN}', 400),
    "a list": (b"[]", 400),
    "a lone surrogate": (b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}]}', 400),
}


@pytest.mark.parametrize("what", BOMBS)
def test_bombs_are_refused(what: str) -> None:
    raw, status = BOMBS[what]
    with rough(GOOD) as provider, world(provider.url) as w:
        assert status_of(say(w.url, request(raw), 2)) == status
        assert provider.requests == []
        assert post(w.url).status_code == 200


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd", "gzip, identity"])
def test_encoded_bodies_are_refused(name: str) -> None:
    raw = gzip.compress(json.dumps(BODY).encode())
    with rough(GOOD) as provider, world(provider.url) as w:
        headers = (b"content-length: %d" % len(raw), b"content-encoding: " + name.encode())
        assert status_of(say(w.url, request(raw, *headers), 2)) == 415
        assert provider.requests == []


# too slowly


def test_headers_must_come_in_time() -> None:
    with rough(GOOD) as provider, world(provider.url, settings={"header_timeout": 0.3}) as w:
        for sent in (b"", b"POST /v1/chat/completions HTTP/1.1\r\nx: "):
            with connect(w.url) as connection:
                began = time.monotonic()
                connection.sendall(sent)
                for _ in range(20):  # trickling does not help
                    time.sleep(0.05)
                    try:
                        if sent:
                            connection.sendall(b"y")
                    except OSError:
                        break
                raw = read_all(connection)
                assert time.monotonic() - began < 3
                assert raw == b"" or status_of(raw) == 408


def test_bodies_must_come_in_time() -> None:
    with rough(GOOD) as provider, world(provider.url, settings={"body_timeout": 0.3}) as w:
        with connect(w.url) as connection:
            connection.sendall(request(b"{", b"content-length: 100"))
            assert status_of(connection.recv(65536)) == 408
        assert provider.requests == []
        assert w.serving.gateway.admission.active == 0


# too many


def test_overload_is_shed_and_the_gateway_stays_up() -> None:
    go = threading.Event()

    def behave(c: socket.socket) -> None:
        go.wait(10)
        c.sendall(GOOD)

    with rough(behave) as provider, world(provider.url, settings={"max_requests": 3, "max_requests_per_key": 2}) as w:
        found: list[int] = []

        def ask(key: str) -> None:
            found.append(post(w.url, key=key).status_code)

        waiting = [threading.Thread(target=ask, args=(key,)) for key in (KEY, KEY, OTHER_KEY)]
        for thread in waiting:
            thread.start()
        while len(provider.requests) < 3:
            time.sleep(0.01)
        shed = post(w.url, key=OTHER_KEY)
        assert (shed.status_code, shed.headers["retry-after"]) == (503, "1")
        assert httpx2.get(f"{w.url}/healthz").status_code == 200
        go.set()
        for thread in waiting:
            thread.join()
        assert found == [200, 200, 200]
        assert post(w.url).status_code == 200


def test_one_key_cannot_take_all() -> None:
    go = threading.Event()

    def behave(c: socket.socket) -> None:
        go.wait(10)
        c.sendall(GOOD)

    with rough(behave) as provider, world(provider.url, settings={"max_requests_per_key": 1}) as w:
        thread = threading.Thread(target=post, args=(w.url,))
        thread.start()
        while not provider.requests:
            time.sleep(0.01)
        shed = post(w.url)
        assert (shed.status_code, shed.headers["retry-after"]) == (429, "1")
        other = threading.Thread(target=post, args=(w.url,), kwargs={"key": OTHER_KEY})
        other.start()
        while len(provider.requests) < 2:
            time.sleep(0.01)
        go.set()
        thread.join()
        other.join()


def test_connections_are_bounded() -> None:
    with rough(GOOD) as provider, world(provider.url, settings={"max_connections": 3}) as w:
        held = [connect(w.url) for _ in range(3)]
        time.sleep(0.2)
        assert status_of(say(w.url, request(BODY), 2)) == 503
        for connection in held:
            connection.close()
        time.sleep(0.2)
        assert post(w.url).status_code == 200


# in two ways


RAW = json.dumps(BODY).encode()
SMUGGLED = {
    "length and chunks": (b"content-length: %d" % len(RAW), b"transfer-encoding: chunked"),
    "two lengths": (b"content-length: %d" % len(RAW), b"content-length: 0"),
    "a length with a sign": (b"content-length: +%d" % len(RAW),),
    "an unknown coding": (b"transfer-encoding: xchunked",),
    "chunks, then something": (b"transfer-encoding: chunked, identity",),
    "a folded line": (b"x: a", b" b", b"content-length: %d" % len(RAW)),
    "a blank before the colon": (b"content-length : %d" % len(RAW),),
    "a NUL": (b"x: \0", b"content-length: %d" % len(RAW)),
    "a bare line feed": (b"x: a\ntransfer-encoding: chunked", b"content-length: %d" % len(RAW)),
}


@pytest.mark.parametrize("how", SMUGGLED)
def test_what_can_be_read_in_two_ways_is_refused(how: str) -> None:
    second = request(BODY | {"model": "gpt-smuggled"})
    with rough(GOOD) as provider, world(provider.url) as w:
        raw = say(w.url, request(RAW, *SMUGGLED[how]) + second, 2)
        assert status_of(raw) == 400
        assert raw.count(b"HTTP/1.1 ") == 1  # and nothing that follows is read
        assert provider.requests == []


def test_two_keys_that_differ_are_none() -> None:
    with rough(GOOD) as provider, world(provider.url) as w:
        headers = {"authorization": f"Bearer {KEY}", "x-api-key": OTHER_KEY}
        assert httpx2.post(f"{w.url}/v1/chat/completions", json=BODY, headers=headers).status_code == 401
        raw = say(
            w.url, request(BODY, b"content-length: %d" % len(RAW), b"authorization: Bearer " + OTHER_KEY.encode()), 2
        )
        assert status_of(raw) == 401
        assert provider.requests == []


@pytest.mark.parametrize("query", ["?model=other", "?beta=true&x=1", "?api-version=1"])
def test_unknown_queries_are_refused(query: str) -> None:
    with rough(GOOD) as provider, world(provider.url) as w:
        answer = httpx2.post(f"{w.url}/v1/chat/completions{query}", json=BODY, headers={"x-api-key": KEY})
        assert answer.status_code == 400
        assert provider.requests == []


def test_streams_end_after_the_gateway_was_told_to_stop() -> None:
    go = threading.Event()

    def behave(c: socket.socket) -> None:
        c.sendall(STREAM_HEAD + chunk({"role": "assistant", "content": "Hello there. " * 50}))
        go.wait(10)
        c.sendall(chunk({"content": " world"}) + chunk({}, "stop") + event(b"[DONE]") + b"0\r\n\r\n")

    with rough(behave) as provider, world(provider.url) as w:
        with connect(w.url) as connection:
            connection.sendall(request(BODY | {"stream": True}))
            before = connection.recv(65536)
            while b"Hello" not in before:
                before += connection.recv(65536)
            w.serving.stop()
            time.sleep(0.5)
            with pytest.raises(httpx2.HTTPError):
                post(w.url)
            go.set()
            after = read_all(connection)
        assert b" wor" in after  # the last letters could begin a secret: they come with the end
        assert after.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert len(provider.requests) == 1
