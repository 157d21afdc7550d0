"""Real langsmith client, judged by the bytes that arrive at a server on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import pytest
from langsmith import Client, traceable
from langsmith.run_helpers import tracing_context

from interlock.detect.redact import Redaction
from interlock.logs.langsmith import Hooks
from tests.logs.broken import Broken

SECRETS = ("hunter2", "bob.smith", "S3cr3tpw", "Zq81xWv93kLm20aPq")
INGEST = {
    "use_multipart_endpoint": True,
    "scale_up_qsize_trigger": 1000,
    "scale_up_nthreads_limit": 16,
    "scale_down_nempty_trigger": 4,
    "size_limit": 100,
    "size_limit_bytes": 20_971_520,
}
Sent = Callable[..., bytes]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sent]:
    """What a client with these options sends while `work` runs."""
    bodies: list[bytes] = []
    monkeypatch.setenv("LANGSMITH_DISABLE_RUN_COMPRESSION", "true")  # so that bytes can be searched
    monkeypatch.setenv("LANGSMITH_TRACING", "true")

    class Service(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"batch_ingest_config": INGEST}).encode())

        def do_POST(self) -> None:
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            bodies.append(self.path.encode() + b"\n" + body)
            self.send_response(202)
            self.end_headers()
            self.wfile.write(b"{}")

        do_PATCH = do_POST  # noqa: N815 - its name

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def sent(work: Callable[[Client], object], options: dict[str, Any]) -> bytes:
            bodies.clear()
            client = Client(api_url=f"http://127.0.0.1:{server.server_port}", api_key="key", **options)
            try:
                work(client)
                client.flush(timeout=20)
            finally:
                client.cleanup()
            return b"\n".join(bodies)

        yield sent
        server.shutdown()


def traced(client: Client) -> None:
    @traceable(client=client, run_type="llm", tags=["bob.smith@example.com"], metadata={"password": "hunter2"})
    def ask(prompt: str, headers: dict[str, str]) -> dict[str, Any]:
        return {"answer": [f"token={headers['token']}", "postgres://app:S3cr3tpw@db/x"]}

    @traceable(client=client)
    def fail(password: str) -> None:
        raise ValueError(f"password: {password}") from OSError("postgres://app:S3cr3tpw@db/x")

    with tracing_context(enabled=True):
        ask("the password is hunter2, mail bob.smith@example.com", {"token": "Zq81xWv93kLm20aPq"})
        with pytest.raises(ValueError, match="hunter2"):
            fail("hunter2")


def by_hand(client: Client) -> None:
    run, at = uuid4(), datetime.now(UTC)
    order = at.strftime("%Y%m%dT%H%M%S%fZ") + str(run)
    place: dict[str, Any] = {"trace_id": run, "dotted_order": order}
    client.create_run(
        name="ask bob.smith@example.com",
        inputs={"text": "password: hunter2"},
        run_type="llm",
        id=run,
        start_time=at,
        tags=["password: hunter2"],
        extra={"metadata": {"token": "Zq81xWv93kLm20aPq"}, "invocation_params": {"api_key": "Zq81xWv93kLm20aPq"}},
        serialized={"kwargs": {"password": "hunter2"}},
        attachments={
            "text": ("text/plain", b"password: hunter2"),
            "p": ("image/png", b"\xff hunter2"),
        },
        **place,
    )
    client.update_run(
        run,
        outputs={"text": "mail bob.smith@example.com"},
        error="ValueError('password: hunter2')",
        events=[{"name": "tool_start", "time": at, "kwargs": {"password": "hunter2"}}],
        tags=["bob.smith@example.com"],
        extra={
            "metadata": {"url": "postgres://app:S3cr3tpw@db/x"},
            "invocation_params": {"api_key": "Zq81xWv93kLm20aPq"},
        },
        end_time=at,
        **place,
    )


@pytest.mark.parametrize("work", [traced, by_hand])
def test_nothing_secret_arrives(work: Callable[[Client], None], sent: Sent) -> None:
    hooks = Hooks(Redaction())
    body = sent(work, hooks.options())
    assert b"[secret:" in body
    assert b"[email]" in body
    assert [s for s in SECRETS if s.encode() in body] == []
    assert hooks.dropped == 0


@pytest.mark.parametrize("work", [traced, by_hand])
def test_without_the_hooks_it_would_arrive(work: Callable[[Client], None], sent: Sent) -> None:
    body = sent(work, {})
    assert [s for s in SECRETS if s.encode() not in body] == []


def test_what_its_own_hooks_do_not_see_leaves_with_them_alone(sent: Sent) -> None:
    """Why `options` has more than the anonymizer. A client that covers all of it makes this fail: then drop the rest."""
    body = sent(by_hand, {"anonymizer": Hooks(Redaction()).anonymizer})
    assert b"hunter2" in body


def test_the_run_is_whole(sent: Sent) -> None:
    body = sent(by_hand, Hooks(Redaction()).options())
    for word in (
        b"ask [email]",
        b'"tool_start"',
        b"invocation_params",
        b"text/plain",
        b"password: [secret:password]",
        b"image/png",
    ):
        assert word in body, word


@pytest.mark.parametrize("work", [traced, by_hand])
def test_a_redactor_that_raises_lets_nothing_arrive(work: Callable[[Client], None], sent: Sent) -> None:
    hooks = Hooks(Broken())
    body = sent(work, hooks.options())
    assert [s for s in SECRETS if s.encode() in body] == []
    assert b"could not be redacted" in body
    assert hooks.dropped > 3


@pytest.mark.parametrize("content", [None, "password: hunter2", ["hunter2"], 3])
def test_what_is_no_mapping_is_not_let_through(content: object) -> None:
    assert "hunter2" not in str(Hooks(Redaction()).anonymizer(content))
