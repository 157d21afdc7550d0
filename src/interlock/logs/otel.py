"""Exporters for OpenTelemetry that redact what the exporter behind them sends. Needs the extra `otel`.

The SDK has no place before a span ends where all of it could be changed, so it is done last: name, attributes, events
with the texts of exceptions, links, status, scope, resource. What nothing was taken out of stays the object it was.
What cannot be redacted is dropped, counted and told of in the log. Nothing raises into the SDK: it would log it.
"""

from __future__ import annotations

import copy
import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status
from opentelemetry.trace.span import TraceState

from interlock.kernel.call import Json
from interlock.logs.cleaner import Cleaner, Redacts, plain
from interlock.logs.filter import NAME

log = logging.getLogger(NAME)
T = TypeVar("T")


class RedactingSpanExporter(SpanExporter):
    """Hands redacted spans to `exporter`."""

    def __init__(self, exporter: SpanExporter, redaction: Redacts) -> None:
        self.__exporter, self.__telling = exporter, _Telling(redaction)

    @property
    def dropped(self) -> int:
        """How many spans could not be redacted."""
        return self.__telling.dropped

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """As the exporter says; a failure if it raises, or if nothing is left to hand on."""
        kept = self.__telling.each("a span", self.__telling.span, spans)
        result = _tried(lambda: self.__exporter.export(kept)) if kept or not spans else None
        return SpanExportResult.FAILURE if result is None else result

    def shutdown(self) -> None:
        """The exporter's."""
        _tried(self.__exporter.shutdown)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """The exporter's."""
        return bool(_tried(lambda: self.__exporter.force_flush(timeout_millis)))


class RedactingLogRecordExporter(LogRecordExporter):
    """Hands redacted log records to `exporter`."""

    def __init__(self, exporter: LogRecordExporter, redaction: Redacts) -> None:
        self.__exporter, self.__telling = exporter, _Telling(redaction)

    @property
    def dropped(self) -> int:
        """How many records could not be redacted."""
        return self.__telling.dropped

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """As the exporter says; a failure if it raises, or if nothing is left to hand on."""
        kept = self.__telling.each("a log record", self.__telling.record, batch)
        result = _tried(lambda: self.__exporter.export(kept)) if kept or not batch else None
        return LogRecordExportResult.FAILURE if result is None else result

    def shutdown(self) -> None:
        """The exporter's."""
        _tried(self.__exporter.shutdown)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """The exporter's."""
        return bool(_tried(lambda: self.__exporter.force_flush(timeout_millis)))


class _Telling:
    """What spans and records may tell."""

    def __init__(self, redaction: Redacts) -> None:
        self.cleaner = Cleaner(redaction)
        self.__resource: tuple[Resource, Resource] | None = None  # one process has one, and every span has it

    @property
    def dropped(self) -> int:
        return self.cleaner.dropped

    def each(self, what: str, cleaned: Callable[[T], T], items: Sequence[T]) -> list[T]:
        kept = []
        for item in items:
            try:
                kept.append(cleaned(item))
            except Exception:  # noqa: BLE001 - whatever it is, this one does not leave
                line = self.cleaner.drop(what)
                scope = getattr(item, "instrumentation_scope", None)
                if scope is None or scope.name != NAME:  # or a line about a line about a line
                    log.error(line)  # noqa: TRY400 - a traceback could quote it
        return kept

    def span(self, span: ReadableSpan) -> ReadableSpan:
        events = [
            Event(self.text(event.name), self.attributes(event.attributes), event.timestamp) for event in span.events
        ]
        links = [Link(self.context(link.context), self.attributes(link.attributes)) for link in span.links]
        status = span.status
        if status.description:
            status = Status(status.status_code, self.text(status.description))
        return ReadableSpan(
            name=self.text(span.name),
            context=span.context and self.context(span.context),
            parent=span.parent and self.context(span.parent),
            resource=self.resource(span.resource),
            attributes=self.attributes(span.attributes, dropped=span.dropped_attributes),
            events=_bounded(events, span.dropped_events),
            links=_bounded(links, span.dropped_links),
            kind=span.kind,
            status=status,
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=self.scope(span.instrumentation_scope),
        )

    def record(self, given: ReadableLogRecord) -> ReadableLogRecord:
        record = copy.copy(given.log_record)
        record.body = self.value(record.body)
        record.attributes = self.attributes(record.attributes)
        record.severity_text = record.severity_text and self.text(record.severity_text)
        record.event_name = record.event_name and self.text(record.event_name)
        record.exception = None  # its text is in the attributes
        return dataclasses.replace(
            given,
            log_record=record,
            resource=self.resource(given.resource),
            instrumentation_scope=self.scope(given.instrumentation_scope),
        )

    def text(self, text: str) -> str:
        return self.cleaner.text(text)

    def value(self, value: Any) -> Any:  # noqa: ANN401 - what a log record may hold
        before = plain(value)
        after = self.cleaner.redaction(before)
        return value if after == before else after

    def attributes(self, given: Mapping[str, Any] | None, *, dropped: int | None = None) -> Any:  # noqa: ANN401 - the SDK's
        if not given:
            return given
        after: Json = self.value(given)
        bounded = BoundedAttributes(attributes=after)  # type: ignore[arg-type] # a mapping stays one
        bounded.dropped = getattr(given, "dropped", 0) if dropped is None else dropped
        return bounded

    def context(self, given: SpanContext) -> SpanContext:
        kept = [(key, value) for key, value in given.trace_state.items() if self.value({key: value}) == {key: value}]
        if len(kept) == len(given.trace_state):
            return given
        state = TraceState(kept)  # the identity stays, so that spans find each other
        return SpanContext(given.trace_id, given.span_id, given.is_remote, given.trace_flags, state)

    def resource(self, given: Resource) -> Resource:
        known = self.__resource
        if known is None or known[0] is not given:
            after = self.value(given.attributes)
            known = (given, given if after is given.attributes else Resource(after, given.schema_url))
            self.__resource = known
        return known[1]

    def scope(self, given: InstrumentationScope | None) -> InstrumentationScope | None:
        if given is None:
            return None
        said = {"name": given.name, "version": given.version, "schema": given.schema_url}
        if given.attributes:
            said["attributes"] = given.attributes  # type: ignore[assignment] # only looked at
        after = self.value(said)
        if after is said:
            return given
        return InstrumentationScope(self.text(given.name), given.version, None, self.value(given.attributes))


def _bounded(items: list[T], dropped: int) -> Sequence[T]:
    kept = BoundedList[T].from_seq(None, items)
    kept.dropped = dropped
    return kept


def _tried(what: Callable[[], T]) -> T | None:
    """What an exporter returns; None if it raises."""
    try:
        return what()
    except Exception as error:  # noqa: BLE001 - its message could quote an address with its password
        log.error("an exporter failed with %s", type(error).__name__)  # noqa: TRY400 - the same
        return None
