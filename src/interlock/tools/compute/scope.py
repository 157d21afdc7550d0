"""Call → resource: the interpreter itself. Nothing else is within reach of the code."""

from __future__ import annotations

from interlock.kernel.call import Call, Resource, canonical, thaw
from interlock.tools.compute.spec import Settings, validate
from interlock.tools.kind import ScopeError


def resource(entry: str, chosen: Settings, call: Call) -> Resource:
    """The interpreter of this entry.

    Raises:
        ScopeError: the call is none of this tool, or larger than its limits.
    """
    arguments = {name: thaw(value) for name, value in call.arguments.items()}
    validate(arguments)
    if (size := len(canonical(arguments))) > chosen.limits.input_bytes:
        raise ScopeError(f"code and inputs have {size} bytes; `input_bytes` allows {chosen.limits.input_bytes}")
    return Resource("Compute", entry)
