"""A filter for `logging`: message and arguments are formatted, then redacted; so is all else that a record carries.

The record itself changes, so that it is the same for every handler, queue and formatter behind it. An exception is
replaced by one that only holds the redacted traceback: no frame, no cause and no local variable travels on. A record
that cannot be redacted is emptied, and a constant line stands in it. Nothing raises into the application.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from types import TracebackType

from interlock.logs.cleaner import Cleaner, Redacts, plain, shown

NAME = "interlock.logs"  # the logger whose name stands on lines of ours
# What every record has; all else came with `extra` or from a filter.
_STANDARD = frozenset(
    "args asctime created exc_info exc_text filename funcName levelname levelno lineno message module msecs msg name "
    "pathname process processName relativeCreated stack_info taskName thread threadName".split()
)
_NAMES = ("name", "levelname", "pathname", "filename", "module", "funcName", "threadName", "processName", "taskName")


class Redacted(Exception):
    """Stands in a record for the error that was logged. Its text is the redacted traceback."""


class _Dropped(str):
    """The line of a record that was dropped already."""

    __slots__ = ()


class RedactingFilter(logging.Filter):
    """Redacts every record that passes; each may pass often. Filters behind it could add what it has not seen."""

    def __init__(self, redaction: Redacts) -> None:
        super().__init__()
        self.__cleaner = Cleaner(redaction)

    @property
    def redaction(self) -> Redacts:
        """What takes out."""
        return self.__cleaner.redaction

    @property
    def dropped(self) -> int:
        """How many records could not be redacted."""
        return self.__cleaner.dropped

    def filter(self, record: logging.LogRecord) -> bool:
        """True: the record may leave, as it is now."""
        try:
            if type(record.msg) is not _Dropped:
                self.__clean(record)
        except Exception:  # noqa: BLE001 - whatever it is, the record does not leave
            try:
                self.__drop(record)
            except Exception:  # noqa: BLE001 - such as the end of the stack
                return False
        return True

    def __clean(self, record: logging.LogRecord) -> None:
        cleaner = self.__cleaner
        said = vars(record)
        if isinstance(record.msg, dict) and not record.args:  # structured, as structlog and JSON formatters take it
            record.msg = cleaner.mapping(record.msg)  # `logging` allows any object
        else:
            record.msg = cleaner.text(_formatted(record))
        record.args = None
        if "message" in said:  # some handler has formatted it before
            record.message = record.getMessage()
        self.__error(record)
        if record.stack_info:
            record.stack_info = cleaner.text(record.stack_info)
        for name in _NAMES:
            if said.get(name):
                said[name] = cleaner.name(said[name])
        extra = {k: v for k, v in said.items() if k not in _STANDARD and not isinstance(v, logging.Logger)}
        if extra:
            cleaned = cleaner.mapping(extra)
            for name in extra:
                del said[name]
            said.update(cleaned)

    def __error(self, record: logging.LogRecord) -> None:
        error, frames = raised(record.exc_info)
        if error is None:
            record.exc_info = None
        elif not isinstance(error, Redacted):
            text = record.exc_text or "".join(traceback.format_exception(type(error), error, frames)).rstrip("\n")
            record.exc_text = self.__cleaner.text(text)
            record.exc_info = (type(error), Redacted(record.exc_text), None)
            return
        if record.exc_text:
            record.exc_text = self.__cleaner.text(record.exc_text)

    def __drop(self, record: logging.LogRecord) -> None:
        level, created = int(record.levelno), float(record.created)
        empty = vars(logging.LogRecord(NAME, level, "", 0, "", None, None))
        empty |= {
            "created": created,
            "msecs": created % 1 * 1000,
            "threadName": "",
            "processName": "",
            "taskName": None,
        }
        vars(record).clear()
        vars(record).update(empty)
        record.msg = _Dropped(self.__cleaner.drop("a log record"))


def protect(target: logging.Logger | logging.Handler, redaction: Redacts) -> RedactingFilter:
    """Put one filter on `target`; on a logger, on those below it and on all their handlers, also later ones.

    For the root logger that includes the handler of last resort. Doing it again changes nothing, but for loggers and
    handlers that are new. The filter tells how much was dropped.
    """
    there = (f for f in target.filters if isinstance(f, RedactingFilter) and f.redaction is redaction)
    redacting = next(there, None) or RedactingFilter(redaction)
    if isinstance(target, logging.Handler):
        target.addFilter(redacting)
        return redacting
    for logger in _below(target):
        logger.addFilter(redacting)
        for handler in logger.handlers:
            handler.addFilter(redacting)
        vars(logger)["addHandler"] = _Adding(logger, redacting)
    if isinstance(target, logging.RootLogger) and logging.lastResort is not None:
        logging.lastResort.addFilter(redacting)
    return redacting


class _Adding:
    """`addHandler` of a logger whose handlers redact: frameworks set theirs up when they start, often after us."""

    __slots__ = ("logger", "redacting")

    def __init__(self, logger: logging.Logger, redacting: RedactingFilter) -> None:
        self.logger, self.redacting = logger, redacting

    def __call__(self, hdlr: logging.Handler) -> None:
        hdlr.addFilter(self.redacting)
        type(self.logger).addHandler(self.logger, hdlr)


def _below(target: logging.Logger) -> Iterator[logging.Logger]:
    yield target
    root = isinstance(target, logging.RootLogger)
    for name, logger in list(logging.Logger.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and (root or name.startswith(f"{target.name}.")):
            yield logger


def raised(said: object) -> tuple[BaseException | None, TracebackType | None]:
    """The error that `exc_info` means, and its frames; loggers other than `logging`'s leave it as it was given."""
    match said:
        case BaseException():
            return said, said.__traceback__
        case (_, BaseException() as error, frames):
            return error, frames if isinstance(frames, TracebackType) else None
        case tuple():
            return None, None
        case _:
            return sys.exc_info()[1:] if said else (None, None)


def _formatted(record: logging.LogRecord) -> str:
    """The message with its arguments. `logging` would print both as they are if they did not fit."""
    try:
        return str.__str__(record.getMessage())
    except Exception:  # noqa: BLE001 - a template that does not fit, or the code of an argument
        return f"{shown(record.msg)} {plain(record.args)}"
