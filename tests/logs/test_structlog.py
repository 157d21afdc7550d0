"""Real structlog, judged by what its renderers write."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from interlock.detect.redact import Redaction
from interlock.logs.structlog import RedactingProcessor
from tests.logs.broken import Broken

BEFORE: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.StackInfoRenderer(),
]


@pytest.fixture(autouse=True)
def reset() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def logger(*last: Any, redaction: Any = None) -> tuple[Any, io.StringIO, RedactingProcessor]:
    out = io.StringIO()
    ours = RedactingProcessor(redaction or Redaction())
    structlog.configure(processors=[*BEFORE, ours, *last], logger_factory=structlog.PrintLoggerFactory(out))
    return structlog.get_logger(), out, ours


def failing() -> None:
    password = "hun" + "ter2"
    raise ValueError(f"password: {password}") from OSError("postgres://app:S3cr3tpw@db/x")


RENDERERS = [
    structlog.processors.JSONRenderer(),
    structlog.dev.ConsoleRenderer(colors=False),
    structlog.processors.KeyValueRenderer(),
    structlog.processors.LogfmtRenderer(),
]


@pytest.mark.parametrize("renderer", RENDERERS, ids=lambda r: type(r).__name__)
def test_event_context_and_values_are_redacted(renderer: Any) -> None:
    log, out, _ = logger(renderer)
    structlog.contextvars.bind_contextvars(tenant="bob.smith@example.com")
    log.bind(password="hunter2").info(
        "login with token=Zq81xWv93kLm20aPq",
        headers={"Authorization": "Basic dXNlcjpodW50ZXIy"},
        body=b"password: hunter2",
    )
    written = out.getvalue()
    assert "login with" in written
    assert not [s for s in ("hunter2", "bob.smith", "Zq81xWv93kLm20aPq", "dXNlcjpodW50ZXIy") if s in written]


@pytest.mark.parametrize("renderer", RENDERERS[:2], ids=lambda r: type(r).__name__)
@pytest.mark.parametrize("given", ["true", "error", "triple"])
def test_an_exception_becomes_its_redacted_traceback(renderer: Any, given: str) -> None:
    log, out, _ = logger(renderer)
    try:
        failing()
    except ValueError as error:
        info: Any = {"true": True, "error": error, "triple": (type(error), error, error.__traceback__)}[given]
        log.error("failed", exc_info=info)  # noqa: TRY400 - every way to say it
    written = out.getvalue()
    assert "Traceback" in written
    assert "direct cause" in written
    assert "hunter2" not in written
    assert "S3cr3tpw" not in written


def test_tracebacks_with_locals_of_a_processor_before_it() -> None:
    out = io.StringIO()
    structlog.configure(
        processors=[
            structlog.processors.dict_tracebacks,
            RedactingProcessor(Redaction()),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(out),
    )
    try:
        failing()
    except ValueError:
        structlog.get_logger().exception("failed")
    told = json.loads(out.getvalue())
    assert told["exception"][0]["exc_type"] == "ValueError"
    assert "hunter2" not in out.getvalue()


def test_values_stay_what_json_takes() -> None:
    log, out, _ = logger(structlog.processors.JSONRenderer())
    log.info("done", count=3, ratio=0.5, good=True, nothing=None, items=["a", {"b": 1}])
    told = json.loads(out.getvalue())
    assert (told["count"], told["ratio"], told["good"], told["nothing"]) == (3, 0.5, True, None)
    assert told["items"] == ["a", {"b": 1}]


def test_records_of_logging_that_pass_through_structlog() -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)

    def whole(_: object, __: str, event: Any) -> str:
        return f"{event} {vars(event['_record'])}"

    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[RedactingProcessor(Redaction()), whole]))
    log = logging.Logger("foreign")  # noqa: LOG001 - below no other
    log.addHandler(handler)
    log.error("user %s, password: %s", "bo", "hunter2", extra={"password": "hunter2"})
    assert "user bo" in out.getvalue()
    assert "hunter2" not in out.getvalue()


def test_a_name_of_structlog_does_not_pass_a_text_of_somebody_else() -> None:
    log, out, _ = logger(structlog.processors.JSONRenderer())
    log.info("login", _record="password: hunter2", _from_structlog="password: hunter2")
    assert "hunter2" not in out.getvalue()


def test_a_redactor_that_raises_drops_the_event() -> None:
    log, out, ours = logger(structlog.processors.JSONRenderer(), redaction=Broken())
    log.info("password: hunter2", password="hunter2")
    log.info("password: hunter2")
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [
        {"event": f"a log event was dropped: it could not be redacted ({n} so far)", "level": "info"} for n in (1, 2)
    ]
    assert ours.dropped == 2
