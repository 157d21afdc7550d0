"""What `logs.toml` cannot see: how often, in which types, and that nothing raises into the application."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import pytest

from interlock.detect.redact import Redaction
from interlock.logs import RedactingFilter, protect
from interlock.logs.filter import Redacted
from tests.logs.broken import Broken


@pytest.fixture
def tree() -> Iterator[tuple[logging.Logger, logging.Logger]]:
    above, below = logging.getLogger("logs-test"), logging.getLogger("logs-test.below")
    yield above, below
    for logger in (above, below):
        logger.filters.clear()
        logger.handlers.clear()
        vars(logger).pop("addHandler", None)


def record(message: object = "x", *args: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("app", logging.INFO, "/srv/app.py", 3, message, args, None, "view")
    vars(made).update(extra)
    return made


def test_twice_is_once(tree: tuple[logging.Logger, logging.Logger]) -> None:
    above, below = tree
    redaction, handler = Redaction(), logging.NullHandler()
    below.addHandler(handler)
    first = protect(above, redaction)
    later = logging.NullHandler()
    below.addHandler(later)
    assert protect(above, redaction) is first
    for target in (above, below, handler, later):
        assert target.filters == [first]
    assert below.handlers == [handler, later]


def test_another_redactor_is_another_filter(tree: tuple[logging.Logger, logging.Logger]) -> None:
    above, _ = tree
    assert protect(above, Redaction()) is not protect(above, Redaction())
    assert len(above.filters) == 2


def test_a_record_that_passes_again_stays_the_same() -> None:
    redacting = RedactingFilter(Redaction())
    error = ValueError("password: hunter2")
    given = record("mail %s", "bob.smith@example.com", password="hunter2")
    given.exc_info = (ValueError, error, None)
    assert redacting.filter(given)
    once = dict(vars(given))
    assert redacting.filter(given)
    assert vars(given) == once
    assert given.exc_info
    assert given.exc_info[0] is ValueError
    assert isinstance(given.exc_info[1], Redacted)
    assert given.exc_info[2] is None


def test_clean_values_keep_their_types() -> None:
    at, ident = datetime(2026, 11, 23, tzinfo=UTC), UUID(int=5)
    given = record("done", at=at, ident=ident, n=3, ratio=0.5, good=True, nothing=None, items=["a", {"b": (1, 2)}])
    assert RedactingFilter(Redaction()).filter(given)
    said = vars(given)
    assert (said["at"], said["ident"], said["n"], said["ratio"], said["good"], said["nothing"]) == (
        at,
        ident,
        3,
        0.5,
        True,
        None,
    )
    assert said["items"] == ["a", {"b": [1, 2]}]
    assert (given.name, given.pathname, given.lineno, given.levelno) == ("app", "/srv/app.py", 3, logging.INFO)


def test_each_dropped_record_counts_once_however_many_filters_it_passes() -> None:
    redacting = RedactingFilter(Broken())
    given = record("password: hunter2", password="hunter2")
    assert redacting.filter(given)
    assert redacting.filter(given)
    assert redacting.dropped == 1
    assert given.getMessage() == "a log record was dropped: it could not be redacted (1 so far)"
    assert "hunter2" not in str(vars(given))
    assert given.levelno == logging.INFO


def test_a_record_that_cannot_even_be_emptied_does_not_leave() -> None:
    given = record("password: hunter2")
    given.levelno = "hunter2"  # type: ignore[assignment]
    assert RedactingFilter(Broken()).filter(given) is False


def test_the_end_of_the_stack_raises_nothing() -> None:
    redacting, passed = RedactingFilter(Redaction()), []

    def deeper() -> None:
        given = record("password: hunter2")
        passed.append((redacting.filter(given), given))
        deeper()

    with pytest.raises(RecursionError):
        deeper()
    assert len(passed) > 100
    assert not [given for left, given in passed if left and "hunter2" in str(vars(given))]
