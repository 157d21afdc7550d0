"""Errors that nobody caught, in the main thread, in other threads and in finalizers, and warnings: redacted on stderr.

What stood there before is not called: it would see the error as it is. An asyncio task's error goes to `logging`, which
`protect` sees to. Interpreters that start child processes print what ends those themselves; install it in them, too.
"""

from __future__ import annotations

import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from interlock.logs.cleaner import Cleaner, Redacts, shown


def install(redaction: Redacts) -> Callable[[], None]:
    """From now on, for this process. What is returned puts back what stood there."""
    printer = _Printer(Cleaner(redaction))
    before = (sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning)

    def undo() -> None:
        sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning = before

    sys.excepthook = printer.uncaught
    threading.excepthook = printer.in_thread
    sys.unraisablehook = printer.unraisable
    warnings.showwarning = printer.warned
    return undo


class _Printer:
    """The four hooks. They have nobody to raise to."""

    def __init__(self, cleaner: Cleaner) -> None:
        self.cleaner = cleaner

    def uncaught(self, kind: type[BaseException], error: BaseException, frames: TracebackType | None) -> None:
        self.print(lambda: "".join(traceback.format_exception(kind, error, frames)))

    def in_thread(self, told: threading.ExceptHookArgs) -> None:
        if told.exc_type is SystemExit:
            return
        name = told.thread.name if told.thread is not None else "?"
        error = (told.exc_type, told.exc_value, told.exc_traceback)
        self.print(lambda: f"Exception in thread {name}:\n" + "".join(traceback.format_exception(*error)))

    def unraisable(self, told: sys.UnraisableHookArgs) -> None:
        where = f"{told.err_msg or 'Exception ignored in'}: "
        error = (told.exc_type, told.exc_value, told.exc_traceback)
        self.print(lambda: f"{where}{shown(told.object)}\n" + "".join(traceback.format_exception(*error)))

    def warned(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        self.print(lambda: warnings.formatwarning(message, category, filename, lineno, line), file)

    def print(self, told: Callable[[], str], file: TextIO | None = None) -> None:
        """Write what `told` says, redacted, or that it cannot be."""
        try:
            text = self.cleaner.text(told())
        except Exception:  # noqa: BLE001 - whatever it is, the text does not leave
            text = f"interlock: {self.cleaner.drop('an error')}\n"
        stream = file or sys.stderr
        try:
            stream.write(text)
            stream.flush()
        except Exception:  # noqa: BLE001, S110 - there is no stderr, or nobody reads it
            pass
