"""Runs cases of logs.toml, each in a process of its own that ends as any program does; what it writes goes to a file.

Forked, so that nothing is imported again for each. A job is a line of JSON on stdin: `before`, `code`, `mode`, `out`.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

from interlock.detect.redact import Redaction
from interlock.logs import protect
from interlock.logs.excepthook import install

WORKING = Redaction()


class Broken:
    """A redactor that raises, and says what it was given."""

    def text(self, text: str) -> str:
        raise ValueError(text)

    def __call__(self, value: Any) -> Any:
        raise ValueError(value)


class Everything(logging.Formatter):
    """Writes all that can be reached from a record: what some formatter or shipper somewhere does."""

    def format(self, record: logging.LogRecord) -> str:
        reached: list[object] = [record.getMessage(), vars(record)]
        error = record.exc_info[1] if record.exc_info else None
        while error is not None:
            reached += [error.args, vars(error), getattr(error, "__notes__", [])]
            frames = error.__traceback__
            while frames is not None:
                reached.append(dict(frames.tb_frame.f_locals) if frames.tb_frame.f_code.co_name != "play" else {})
                frames = frames.tb_next
            error = error.__cause__ or error.__context__
        return f"{super().format(record)} {reached}"


def play(job: dict[str, str]) -> None:
    """One case. What it raises ends this process."""
    file = os.open(job["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    given: dict[str, Any] = {"logging": logging, "log": logging.getLogger("app"), "Everything": Everything}
    handler = logging.StreamHandler()
    handler.setFormatter(Everything())
    logging.getLogger().addHandler(handler)
    exec(job["before"], given)  # noqa: S102 - the case
    if job["mode"] != "bare":
        redaction = WORKING if job["mode"] == "guarded" else Broken()
        install(redaction)
        protect(logging.getLogger(), redaction)
    exec(job["code"], given)  # noqa: S102 - the case


def main() -> None:
    """Until stdin ends."""
    WORKING.text("password: hunter2")  # loads its patterns once
    for line in sys.stdin:
        if os.fork() == 0:
            play(json.loads(line))
            return
        os.wait()
        print("done", flush=True)  # noqa: T201 - a program


if __name__ == "__main__":
    main()
