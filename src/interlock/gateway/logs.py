"""The gateway's own log: one JSON object a line on stderr, or plain lines.

No content of requests is logged on purpose. What libraries write, and what nobody caught, could hold some: every record
and every last word of the process is redacted.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from interlock.detect.redact import Redaction
from interlock.logs import Redacts, protect
from interlock.logs.excepthook import install

QUIET = ("aiohttp", "asyncio", "uvicorn", "uvicorn.error")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        body = {"at": at, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        if record.exc_info and record.exc_info[0] is not None:
            body["error"] = record.exc_info[0].__name__  # its message and its frames could quote content
        return json.dumps(body, ensure_ascii=False)


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatException(self, ei: object) -> str:  # noqa: ARG002, N802 - the base class's signature
        """Nothing: see `_Json`."""
        return ""


def configure(how: str, redaction: Redacts | None = None) -> None:
    """Log as `INTERLOCK_LOG` says, for the whole process. `redaction` is the manifest's, once it is known."""
    redaction = redaction or Redaction()
    install(redaction)
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    if how == "off":
        root.addHandler(logging.NullHandler())
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if how == "json" else _Text())
    protect(handler, redaction)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
