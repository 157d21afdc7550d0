"""What the adapters raise.

InterlockError
└── AdapterError
    ├── ToolError         a function or schema that cannot be a tool; raised when it is wrapped, not when it runs
    ├── ArgumentsError    arguments that the tool's schema refuses; the function was not called
    ├── ResultError       what a function returned has no JSON form; the function was called
    └── WireError         a message that no monitor can mediate: a provider-run tool, an unknown shape
"""

from __future__ import annotations

from interlock.kernel.errors import InterlockError


class AdapterError(InterlockError):
    """An adapter refused its input."""


class ToolError(AdapterError):
    """A function or schema cannot be a tool."""


class ArgumentsError(AdapterError):
    """Arguments do not fit the tool's schema. The function was not called."""


class ResultError(AdapterError):
    """What a function returned has no JSON form. The function was called."""


class WireError(AdapterError):
    """A message, or a use of one, that cannot be mediated."""
