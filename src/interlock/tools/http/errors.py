"""What fails after a call was permitted. The model reads the message, the operator the hint as well.

ToolFailed
├── NotReached    no checked address answered, or none may be dialled
├── TooMuch       a limit of the entry: time, bytes, headers
└── BadAnswer     what came back is no answer that can be read
"""

from __future__ import annotations

from interlock.tools.kind import ToolFailed


class NotReached(ToolFailed):
    """No address was connected to. One message for all causes, so that a call cannot map the network inside."""

    def __init__(self, host: str, *, hint: str) -> None:
        super().__init__(f"the host `{host[:80]}` cannot be reached", hint=hint)


class TooMuch(ToolFailed):
    """A limit of the entry was met; the connection is closed."""


class BadAnswer(ToolFailed):
    """The answer is not valid, or cannot be shown."""
