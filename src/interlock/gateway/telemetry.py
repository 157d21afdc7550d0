"""OpenTelemetry spans with the GenAI conventions, if the extra is there and an exporter is configured. Never content.

A span says who served which model, how many tokens it took and how the calls were decided. Prompts, answers, arguments
and results are absent on purpose: the conventions make them optional, and what leaves for a collector cannot be called
back. Without the extra, or without `OTEL_EXPORTER_OTLP_ENDPOINT`, nothing is recorded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from interlock.gateway.errors import GatewayError
from interlock.logs import Redacts

if TYPE_CHECKING:
    from interlock.gateway.mediate import Exchange, Request

_OPERATIONS = {"openai": "chat", "anthropic": "chat"}


class Span:
    """One request, as a collector will see it."""

    def __init__(self, inner: Any = None) -> None:  # noqa: ANN401 - an OpenTelemetry span, which is optional
        self._inner = inner

    def ended(self, exchange: Exchange) -> None:
        """The request is over."""
        if self._inner is None:
            return
        usage = exchange.usage
        told: dict[str, str | int] = {"gen_ai.provider.name": exchange.upstream, "gen_ai.request.model": exchange.model}
        if usage.counted:
            told |= {"gen_ai.usage.input_tokens": usage.input, "gen_ai.usage.output_tokens": usage.output}
        told |= {"interlock.calls.permitted": exchange.permitted, "interlock.calls.refused": exchange.refused}
        for name, value in told.items():
            self._inner.set_attribute(name, value)


class Tracer:
    """Makes spans, if there is somebody to send them to."""

    def __init__(self, tracer: Any = None, close: Callable[[], object] = lambda: None) -> None:  # noqa: ANN401 - see above
        self._tracer, self.close = tracer, close

    @contextmanager
    def request(self, request: Request) -> Iterator[Span]:
        """One request, until the block ends. An error is told by its kind: its message could quote content."""
        if self._tracer is None:
            yield Span()
            return
        operation = _OPERATIONS[request.dialect]
        with self._tracer.start_as_current_span(
            operation, record_exception=False, set_status_on_exception=False
        ) as inner:
            inner.set_attribute("gen_ai.operation.name", operation)
            inner.set_attribute("gen_ai.agent.name", request.subject.agent)
            try:
                yield Span(inner)
            except BaseException as problem:
                inner.set_attribute("error.type", type(problem).__name__)
                raise


def tracer(redaction: Redacts) -> Tracer:
    """The tracer that the environment asks for; one that records nothing where it asks for none.

    A client names the model, and the environment the resource: what leaves has passed `redaction`.

    Raises:
        GatewayError: what it asks for is not installed.
    """
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return Tracer()
    try:
        exporter = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        redacting = import_module("interlock.logs.otel")
        sdk, export = import_module("opentelemetry.sdk.trace"), import_module("opentelemetry.sdk.trace.export")
    except ModuleNotFoundError:
        raise GatewayError(
            "`OTEL_EXPORTER_OTLP_ENDPOINT` is set, and nothing here exports spans",
            hint="`pip install interlock[otel] opentelemetry-exporter-otlp-proto-http`",
        ) from None
    provider = sdk.TracerProvider()
    sent = redacting.RedactingSpanExporter(exporter.OTLPSpanExporter(), redaction)
    provider.add_span_processor(export.BatchSpanProcessor(sent))
    return Tracer(provider.get_tracer("interlock.gateway"), provider.shutdown)
