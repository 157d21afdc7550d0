"""A connection to a provider: aiohttp's, with less to do for each piece of an answer.

aiohttp sets a timer anew for every piece, and asks the parser after each whether it holds something back, paused or
not. Here one timer runs; when it is due it looks when something came last.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler


class Connection(ResponseHandler):
    """One connection."""

    _came = 0.0  # when the last piece did

    def resume_reading(self, *args: Any, **named: Any) -> None:  # noqa: ANN401 - what aiohttp passes
        """Go on after a pause."""
        if self._reading_paused:
            super().resume_reading(*args, **named)

    def _reschedule_timeout(self) -> None:
        self._came = self._loop.time()
        if not self._read_timeout:
            self._drop_timeout()
        elif self._read_timeout_handle is None:
            self._read_timeout_handle = self._loop.call_later(self._read_timeout, self._on_read_timeout)

    def _on_read_timeout(self) -> None:
        self._read_timeout_handle = None
        left = self._came + (self._read_timeout or 0.0) - self._loop.time()
        if left > 0:
            self._read_timeout_handle = self._loop.call_later(left, self._on_read_timeout)
        else:
            super()._on_read_timeout()


class Connector(aiohttp.TCPConnector):
    """Makes them."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - aiohttp's
        super().__init__(**settings)
        self._factory = cast("partial[ResponseHandler]", partial(Connection, loop=self._loop))
