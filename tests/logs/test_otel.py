"""Real opentelemetry-sdk, judged by what the exporter behind ours was handed."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from interlock.detect.redact import Redaction
from interlock.logs.otel import RedactingLogRecordExporter, RedactingSpanExporter
from tests.logs.broken import Broken

SECRETS = ("hunter2", "bob.smith", "S3cr3tpw", "Zq81xWv93kLm20aPq")


def traced(
    redaction: Any, exporter: SpanExporter, resource: Resource | None = None, **more: Any
) -> tuple[Any, RedactingSpanExporter]:
    ours = RedactingSpanExporter(exporter, redaction)
    provider = TracerProvider(resource=resource or Resource({"service.name": "shop"}), shutdown_on_exit=False, **more)
    provider.add_span_processor(SimpleSpanProcessor(ours))
    return provider.get_tracer("test", "1.0"), ours


def told(spans: Sequence[ReadableSpan]) -> str:
    """All that an exporter could send."""
    more = [
        (
            s.instrumentation_scope and s.instrumentation_scope.to_json(),
            s.context and s.context.trace_state,
            [link.context.trace_state for link in s.links],
        )
        for s in spans
    ]
    return "".join(span.to_json() for span in spans) + str(more)


def test_nothing_secret_leaves_with_a_span() -> None:
    memory = InMemorySpanExporter()
    tracer, _ = traced(Redaction(), memory)
    state = TraceState([("app", "bob.smith@example.com"), ("good", "1")])
    linked = Link(SpanContext(1, 2, True, TraceFlags(1), state), {"note": "mail bob.smith@example.com", "n": 1})
    with suppress(ValueError), tracer.start_as_current_span("GET /?token=Zq81xWv93kLm20aPq", links=[linked]) as span:
        span.set_attribute("db.connection_string", "postgres://app:S3cr3tpw@db/x")
        span.set_attribute("password", "hunter2")
        span.set_attribute("process.command_args", ["run", "--password", "hunter2"])
        span.set_attribute("http.request.header.cookie", ["sid=9f8e7d6c5b4a39281706f5e4d3c2b1a0"])
        span.set_attribute("count", 3)
        span.add_event("sent to bob.smith@example.com", {"gen_ai.prompt": "the password is hunter2, keep it"})
        raise ValueError("password: hunter2") from OSError("postgres://app:S3cr3tpw@db/x")
    (seen,) = memory.get_finished_spans()
    written = told([seen])
    assert [s for s in (*SECRETS, "9f8e7d6c5b4a39281706f5e4d3c2b1a0") if s in written] == []
    assert seen.attributes
    assert seen.attributes["count"] == 3
    assert seen.attributes["process.command_args"] == ("run", "--password", "[secret:password]")
    assert [event.name for event in seen.events] == ["sent to [email]", "exception"]
    assert "direct cause" in str(seen.events[1].attributes)
    assert seen.status.status_code is StatusCode.ERROR
    assert seen.links[0].context.trace_state == TraceState([("good", "1")])
    assert (seen.links[0].context.trace_id, seen.links[0].context.span_id) == (1, 2)


def test_without_the_wrapper_it_would_leave() -> None:
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    with suppress(ValueError), provider.get_tracer("test").start_as_current_span("x") as span:
        span.set_attribute("mail", "bob.smith@example.com")
        raise ValueError("x password: hunter2")
    assert {"hunter2", "bob.smith"} <= {s for s in SECRETS if s in told(memory.get_finished_spans())}


def test_what_is_clean_stays_as_it_was() -> None:
    memory, resource = InMemorySpanExporter(), Resource({"service.name": "shop", "host.name": "web-1"})
    tracer, _ = traced(
        Redaction(), memory, resource, span_limits=SpanLimits(max_attributes=2, max_events=1, max_links=1)
    )
    with (
        tracer.start_as_current_span("outer") as outer,
        tracer.start_as_current_span("inner", links=[Link(outer.get_span_context())] * 2) as span,
    ):
        for n in range(4):
            span.set_attribute(f"n{n}", n)
            span.add_event(f"event {n}")
        span.set_status(Status(StatusCode.ERROR, "odd"))
    inner, seen = memory.get_finished_spans()
    assert inner.resource is resource
    assert inner.parent
    assert inner.parent.span_id == seen.context.span_id
    assert (inner.dropped_attributes, inner.dropped_events, inner.dropped_links) == (2, 3, 1)
    assert (inner.status.description, inner.kind, inner.name) == ("odd", span.kind, "inner")
    assert inner.start_time == span.start_time
    assert inner.end_time == span.end_time


def test_a_resource_loses_its_secret_only() -> None:
    memory = InMemorySpanExporter()
    tracer, _ = traced(
        Redaction(), memory, Resource({"service.name": "shop", "process.command_line": "run --password hunter2"})
    )
    tracer.start_span("x").end()
    (seen,) = memory.get_finished_spans()
    assert seen.resource.attributes == {
        "service.name": "shop",
        "process.command_line": "run --password [secret:password]",
    }


def test_a_redactor_that_raises_drops_the_span_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    memory = InMemorySpanExporter()
    tracer, ours = traced(Broken(), memory)
    tracer.start_span("password: hunter2").end()
    assert memory.get_finished_spans() == ()
    assert ours.dropped == 1
    assert [r.getMessage() for r in caplog.records] == ["a span was dropped: it could not be redacted (1 so far)"]
    assert ours.export([]) is SpanExportResult.SUCCESS


def test_one_that_cannot_be_redacted_takes_no_other_with_it() -> None:
    class Choosy(Redaction):
        def text(self, text: str) -> str:
            if text == "odd":
                raise ValueError(text)
            return super().text(text)

    memory = InMemorySpanExporter()
    ours = RedactingSpanExporter(memory, Choosy())
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(batch := BatchSpanProcessor(ours))
    for name in ("one", "odd", "two"):
        provider.get_tracer("test").start_span(name).end()
    batch.force_flush()
    provider.shutdown()
    assert [span.name for span in memory.get_finished_spans()] == ["one", "two"]
    assert ours.dropped == 1


class Failing(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        raise ConnectionError("https://me:S3cr3tpw@collector refused")

    def shutdown(self) -> None:
        raise ConnectionError("https://me:S3cr3tpw@collector refused")

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        raise ConnectionError("https://me:S3cr3tpw@collector refused")


def test_an_exporter_that_raises_is_a_failure_and_not_quoted(caplog: pytest.LogCaptureFixture) -> None:
    tracer, ours = traced(Redaction(), Failing())
    tracer.start_span("x").end()
    span: Any = tracer.start_span("y")
    assert ours.export([span]) is SpanExportResult.FAILURE
    assert ours.force_flush() is False
    ours.shutdown()
    assert "an exporter failed with ConnectionError" in caplog.text
    assert "S3cr3tpw" not in caplog.text
    assert "S3cr3tpw" not in str([r.exc_info for r in caplog.records])


def logged(redaction: Any) -> tuple[Any, InMemoryLogRecordExporter, RedactingLogRecordExporter]:
    memory = InMemoryLogRecordExporter()
    ours = RedactingLogRecordExporter(memory, redaction)
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(ours))
    return provider.get_logger("test"), memory, ours


def test_nothing_secret_leaves_with_a_log_record() -> None:
    log, memory, _ = logged(Redaction())
    log.emit(
        body={"text": ["mail bob.smith@example.com"], "password": "hunter2"},
        attributes={"url": "postgres://app:S3cr3tpw@db/x", "raw": b"password: hunter2", "n": 3},
        event_name="login of bob.smith@example.com",
        exception=ValueError("password: hunter2"),
    )
    (seen,) = memory.get_finished_logs()
    written = seen.to_json() + repr(vars(seen.log_record))
    assert [s for s in SECRETS if s in written] == []
    assert seen.log_record.body == {"text": ["mail [email]"], "password": "[secret:password]"}
    assert seen.log_record.attributes
    assert seen.log_record.attributes["n"] == 3
    assert json.loads(seen.to_json())["event_name"] == "login of [email]"


def test_a_redactor_that_raises_drops_the_log_record() -> None:
    log, memory, ours = logged(Broken())
    log.emit(body="password: hunter2")
    assert memory.get_finished_logs() == ()
    assert ours.dropped == 1


def test_the_line_about_a_dropped_record_makes_no_other() -> None:
    log, memory, ours = logged(Broken())

    class Back(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            own.emit(body=record.getMessage())

    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(ours))
    own = provider.get_logger("interlock.logs")
    back = Back()
    logging.getLogger("interlock.logs").addHandler(back)
    try:
        log.emit(body="password: hunter2")
    finally:
        logging.getLogger("interlock.logs").removeHandler(back)
    assert memory.get_finished_logs() == ()
    assert ours.dropped <= 2
