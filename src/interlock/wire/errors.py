"""What the wire raises.

InterlockError
└── WireError             bytes that cannot be mediated; `str` of it may be shown to the client, it quotes no content
    ├── NotJson           no JSON, or JSON that two readers could read differently
    ├── SseError          a stream of events that is none, or an event that is too large
    ├── ShapeError        JSON of a shape that is unknown or contradicts itself
    └── OrderError        the machine was used out of order: a verdict for a call that waits for none
"""

from __future__ import annotations

from interlock.kernel.errors import InterlockError


class WireError(InterlockError):
    """Bytes that cannot be mediated."""


class NotJson(WireError):
    """No JSON, or JSON that two readers could read differently."""


class SseError(WireError):
    """No stream of events, or an event that is too large."""


class ShapeError(WireError):
    """A shape that is unknown or contradicts itself. It is refused, never passed."""


class OrderError(WireError):
    """A verdict for a call that waits for none, a chunk after the end, and the like: a bug of the caller."""
