"""Our own processes: what the command line and the gateway write has passed the redactor by default."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from interlock.cli.console import UNTOLD
from interlock.cli.show import seen
from interlock.detect.redact import Redaction
from interlock.gateway.telemetry import tracer
from interlock.testing import ModelServer, ScriptedModel
from tests.gateway.world import PROVIDER_KEY, world

ROOT = Path(__file__).parents[2]
SECRETS = ("hunter2", "S3cr3tpw", "bob.smith")


def python(code: str) -> str:
    """What a process that runs `code` writes."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", code],
        env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_a_message_of_the_command_line() -> None:
    written = python("from interlock.cli import main; main(['check', '/none/postgres://app:S3cr3tpw@db/x.yaml'])")
    assert "no manifest" in written
    assert "S3cr3tpw" not in written


@pytest.mark.parametrize("where", ["main", "thread"])
def test_a_bug_of_the_command_line(where: str) -> None:
    call = {
        "main": "main(['version'])",
        "thread": "main(['version']); t = threading.Thread(target=broken, args=('',)); t.start(); t.join()",
    }[where]
    code = f"""
import threading
import interlock.cli as cli
from interlock.cli import main
def broken(words): raise ValueError('password: hunter2, mail bob.smith@example.com')
if {where!r} == 'main': cli._parser = broken
{call}
"""
    written = python(code)
    assert "ValueError" in written
    assert [s for s in SECRETS if s in written] == []


def test_what_a_command_shows() -> None:
    assert seen({"password": "hunter2", "n": 1}) == '{"password": "[secret:password]", "n": 1}'
    assert seen("Authorization: Basic dXNlcjpodW50ZXIy").startswith("Authorization: Basic [secret:")
    assert seen("pay bob.smith@example.com") == "pay bob.smith@example.com"  # whoever decides must see whom


def test_a_secret_at_the_cut_is_taken_out_before_it_is_cut() -> None:
    text = "x" * 570 + " postgres://app:S3cr3tpw-that-goes-on-and-on@db/x"
    assert "S3cr" not in seen(text)


def test_what_cannot_be_redacted_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object, text: str) -> str:
        raise ValueError(text)

    monkeypatch.setattr(Redaction, "text", broken)
    assert seen("hunter2") == UNTOLD


GATEWAY = """
import logging
from interlock.gateway.logs import configure
from interlock.detect.redact import Redaction
{before}
log = logging.getLogger("aiohttp.client")
log.error("cannot reach %s", "https://me:S3cr3tpw@api.example.com", extra={{"password": "hunter2"}})
try: raise ValueError("password: hunter2")
except ValueError: logging.getLogger("asyncio").exception("Task of bob.smith@example.com failed")
raise RuntimeError("password: hunter2")
"""


@pytest.mark.parametrize("how", ["json", "text", "off"])
def test_a_log_of_the_gateway(how: str) -> None:
    written = python(GATEWAY.format(before=f"configure({how!r})"))
    assert ("cannot reach" in written) == (how != "off")
    assert ('"error": "ValueError"' in written) == (how == "json")
    assert "RuntimeError" in written
    assert [s for s in SECRETS if s in written] == []


def test_a_gateway_whose_redactor_raises_logs_that_it_does() -> None:
    before = "Redaction.text = lambda self, text: 1 / 0\nconfigure('json')"
    written = python(GATEWAY.format(before=before))
    assert "a log record was dropped: it could not be redacted (2 so far)" in written
    assert "an error was dropped" in written
    assert [s for s in SECRETS if s in written] == []


def test_a_worker_that_fails_at_its_start() -> None:
    code = """
import interlock.gateway.serve as serve
from interlock.config import Settings
def broken(*_, **__): raise ValueError("password: hunter2")
serve.build = broken
if __name__ == "__main__":
    import multiprocessing
    process = multiprocessing.get_context("fork").Process(target=serve.work, args=(Settings(), None, 1))
    process.start(); process.join(); print("status", process.exitcode)
"""
    written = python(code)
    assert "ValueError" in written
    assert "status 1" in written
    assert "hunter2" not in written


def test_the_gateway_logs_with_the_manifest_s_redactor_which_knows_its_secrets() -> None:
    with ModelServer(ScriptedModel([])) as model, world(model.openai_url) as w:
        redaction = w.serving.gateway.redaction
        assert redaction
        assert PROVIDER_KEY not in redaction.text(f"sent {PROVIDER_KEY} and {PROVIDER_KEY[::-1]}")


def test_spans_of_the_gateway_are_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = InMemorySpanExporter()
    name = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    module = ModuleType(name)
    module.OTLPSpanExporter = lambda: memory  # type: ignore[attr-defined] # its package is not among our extras
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    spans = tracer(Redaction())
    spans._tracer.start_span("chat", attributes={"gen_ai.request.model": "gpt password: hunter2"}).end()
    spans.close()
    (seen_,) = memory.get_finished_spans()
    assert seen_.attributes == {"gen_ai.request.model": "gpt password: [secret:password]"}
