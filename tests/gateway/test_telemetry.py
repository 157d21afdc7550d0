"""Spans say who served what and how the calls were decided, and nothing of what was said."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from interlock.detect.redact import Redaction
from interlock.gateway.errors import GatewayError
from interlock.gateway.telemetry import Tracer, tracer
from interlock.testing import ModelServer, ScriptedModel, Use
from tests.gateway.clients import Client
from tests.gateway.world import KEY, PROVIDER_KEY, world


def test_a_span_has_no_content() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with (
        ModelServer(ScriptedModel([Use("find_order", {"order_id": "1042"})])) as model,
        world(model.openai_url) as w,
    ):
        w.serving.gateway.tracer = Tracer(provider.get_tracer("test"))
        Client(dialect="chat", stream=True, url=w.url).ask("Where is order 1042, which my sister sent?")
    (span,) = exporter.get_finished_spans()
    told = dict(span.attributes or {})
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.agent.name"] == "support"
    assert told["gen_ai.request.model"] == "gpt-test"
    assert told["interlock.calls.permitted"] == 1
    said = span.to_json()
    for word in ("1042", "sister", "find_order", KEY, PROVIDER_KEY, "emma"):
        assert word not in said


def test_without_an_endpoint_nothing_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    assert tracer(Redaction())._tracer is None


def test_an_endpoint_without_an_exporter_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(GatewayError, match="exports spans"):
        tracer(Redaction())
