"""A processor for structlog with the meaning of `RedactingFilter`. It belongs right before the renderer.

Bound context, event and positional arguments are redacted together; an exception becomes its redacted traceback under
`exception`, whichever processors ran before. An event that cannot be redacted is emptied, and a constant line is in it.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

from interlock.logs.cleaner import Cleaner, Redacts
from interlock.logs.filter import RedactingFilter, raised

# How structlog passes records of `logging` on; its formatter takes them out.
_ITS: dict[str, type] = {"_record": logging.LogRecord, "_from_structlog": bool}


class RedactingProcessor:
    """Redacts every event."""

    def __init__(self, redaction: Redacts) -> None:
        self.__cleaner, self.__filter = Cleaner(redaction), RedactingFilter(redaction)

    @property
    def dropped(self) -> int:
        """How many events could not be redacted."""
        return self.__cleaner.dropped

    def __call__(self, logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ARG002 - the port's shape
        """The event as it may leave."""
        passed = {name: event[name] for name, kind in _ITS.items() if isinstance(event.get(name), kind)}
        record = passed.get("_record")
        if isinstance(record, logging.LogRecord):
            self.__filter.filter(record)
        try:
            return self.__clean({k: v for k, v in event.items() if k not in passed}) | passed
        except Exception:  # noqa: BLE001 - whatever it is, the event does not leave
            return {"event": self.__cleaner.drop("a log event"), "level": method} | passed

    def __clean(self, event: dict[object, object]) -> dict[str, Any]:
        error, _ = raised(event.pop("exc_info", None))
        cleaned = self.__cleaner.mapping(event)
        if error is not None and "exception" not in cleaned:
            cleaned["exception"] = self.__cleaner.trace(error)
        return cleaned
