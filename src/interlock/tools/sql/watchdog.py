"""The third layer: a thread that ends a statement when the engine's own time limit did not.

It first cancels, then, when that does not help within the grace, terminates the session. It never waits for the
statement's own thread, and it stops with the `with` block.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Watchdog:
    """Guards the block under it: after `seconds` it calls `cancel`, after `grace` more seconds `terminate`."""

    def __init__(
        self, *, seconds: float, grace: float, cancel: Callable[[], None], terminate: Callable[[], None]
    ) -> None:
        self._seconds, self._grace, self._cancel, self._terminate = seconds, grace, cancel, terminate
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="interlock-sql-watchdog", daemon=True)
        self.acted = ""  # "cancel" or "terminate" once it did

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._done.set()
        self._thread.join(timeout=self._grace + 10)

    def _watch(self) -> None:
        for word, wait, act in (
            ("cancel", self._seconds, self._cancel),
            ("terminate", self._grace, self._terminate),
        ):
            if self._done.wait(wait):
                return
            self.acted = word
            try:
                act()
            except Exception:  # noqa: BLE001, S112 - whatever failed, the next step is the stronger one
                continue
