"""Messages to a real server of this machine: signed, tried again, bounded, without values."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from interlock.approvals.webhook import QUEUE, Webhook, signature, verified
from interlock.monitor.errors import ApprovalError
from tests.approvals.stage import SECRET, Stage, redact

KEY = b"a secret that was drawn"


class Receiver:
    """Answers as told and keeps what came."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.hold = threading.Event()
        self.hold.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                receiver.hold.wait(10)
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 204)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?x=1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.hold.set()
    made.server.shutdown()
    made.server.server_close()


def until(found: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not found():
        assert time.monotonic() < end
        time.sleep(0.005)


def hook(receiver: Receiver, **options: Any) -> Webhook:
    return Webhook(receiver.url, KEY, redact=options.pop("redact", redact), pauses=(0.01, 0.01), patience=2, **options)


def test_a_question_is_told_signed_and_without_values(stage: Stage, receiver: Receiver) -> None:
    made = hook(receiver)
    stage.approvals._posted = made
    stage.call(body=f"the card is {SECRET}")
    until(lambda: made.delivered.sent)
    headers, body = receiver.got[0]
    told = json.loads(body)
    assert SECRET.encode() not in body
    assert told["arguments"]["body"] == '"the card is [card]"'
    assert (told["event"], told["tool"], told["principal"]) == ("approval.asked", "send", "emma")
    assert told["id"] == headers["interlock-id"] == stage.book.pending()[0].id
    check = {"ref": told["id"], "now": time.time()}
    assert verified(KEY, headers["interlock-signature"], body=body, **check)
    assert not verified(KEY + b"x", headers["interlock-signature"], body=body, **check)
    assert not verified(KEY, headers["interlock-signature"], body=body + b" ", **check)
    assert not verified(KEY, headers["interlock-signature"], body=body, ref="other", now=time.time())
    assert not verified(KEY, headers["interlock-signature"], body=body, ref=told["id"], now=time.time() + 301)
    made.close()


@pytest.mark.parametrize("header", ["", "t=,v1=", "t=1e9,v1=x", "t=٣,v1=x", "v1=x", "t=-5,v1=x"])
def test_what_is_no_signature_verifies_nothing(header: str) -> None:
    assert not verified(KEY, header, "q", b"{}", now=0.0)
    assert verified(KEY, signature(KEY, "q", b"{}", 0.0), "q", b"{}", now=0.0)


@pytest.mark.parametrize(
    ("statuses", "tries", "sent"),
    [
        ([500, 204], 2, 1),
        ([503, 429, 200], 3, 1),
        ([500, 500, 500, 204], 3, 0),
        ([404], 1, 0),
        ([302, 204], 1, 0),  # a redirect leads somewhere that nobody named
        ([307, 204], 1, 0),
    ],
)
def test_what_may_pass_is_tried_again(
    stage: Stage, receiver: Receiver, statuses: list[int], tries: int, sent: int
) -> None:
    receiver.statuses = list(statuses)
    made = hook(receiver)
    stage.approvals._posted = made
    stage.call()
    until(lambda: made.delivered.sent + made.delivered.failed)
    assert (len(receiver.got), made.delivered.sent) == (tries, sent)
    assert len({headers["interlock-id"] for headers, _ in receiver.got}) == 1
    made.close()


def test_a_receiver_that_hangs_holds_up_no_call_and_no_memory(stage: Stage, receiver: Receiver) -> None:
    receiver.hold.clear()
    made = hook(receiver)
    stage.call()
    entry = stage.told[0]
    start = time.monotonic()
    for _ in range(QUEUE + 50):
        made(entry)
    assert time.monotonic() - start < 5
    assert made.delivered.dropped >= 49
    assert made._queue.qsize() <= QUEUE
    made._stop.set()
    receiver.hold.set()


def test_nobody_listens(stage: Stage) -> None:
    made = Webhook("http://127.0.0.1:9/", KEY, redact=redact, pauses=(0.01,), patience=1)
    stage.approvals._posted = made
    stage.call()
    until(lambda: made.delivered.failed)
    assert len(stage.book.pending()) == 1  # the question is there all the same
    made.close()


def test_m9_a_redactor_that_fails_lets_nothing_out(stage: Stage, receiver: Receiver) -> None:
    def broken(value: object) -> Any:
        raise RuntimeError

    made = hook(receiver, redact=broken)
    stage.call()
    made(stage.told[0])
    made.close()
    assert made.delivered.dropped == 1
    assert receiver.got == []


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "http://localhost.example.com/",
        "http://127.0.0.1@example.com/",
        "http://127.0.0.1.example.com/",
        "https://user:password@example.com/",
        "https://user@example.com/",
        "https://example.com/#part",
        "ftp://example.com/",
        "//example.com",
        "https://",
        "example.com",
        "https://example.com:port/",
        "https://exa mple.com/",
        "https://example.com/\r\nX: y",
        "https://exämple.com/",
        "file:///etc/passwd",
        "",
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ApprovalError):
        Webhook(url, KEY, redact=redact)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ApprovalError, match="16 bytes"):
        Webhook("https://example.com/", b"short", redact=redact)
