"""Runs the code of a permitted call. Calls of tools inside it go out through a port, each with its own decision."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from interlock.kernel.call import Call, Json, freeze, thaw
from interlock.kernel.decision import Permit
from interlock.kernel.errors import CallError, InterlockError
from interlock.tools.compute.pool import Pool
from interlock.tools.kind import HostCall, ToolFailed


def perform(
    permit: Permit, call: Call, *, check: Callable[[Permit, Call], None], pool: Pool, host: HostCall | None
) -> Json:
    """What the code of `call` yields: `{"result": value, "printed": text}`."""
    check(permit, call)

    def answer(name: str, arguments: dict[str, Json]) -> Mapping[str, object]:
        if host is None:
            return {"failed": "no tools can be called from here"}
        try:
            return {"value": host(call, name, arguments)}
        except ToolFailed as error:
            return {"failed": str(error)}
        except InterlockError:
            return {"refused": f"the call of {name} was refused"}  # constant: rules and values are not for the model

    inputs = thaw(call.arguments.get("inputs", {}))
    done = pool.run(str(call.arguments["code"]), inputs if isinstance(inputs, dict) else {}, answer)
    try:
        return {"result": thaw(freeze(done.result, where="result")), "printed": done.printed}
    except CallError as error:
        raise ToolFailed(str(error)) from None
