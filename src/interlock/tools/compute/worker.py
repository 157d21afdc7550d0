"""The process that stands between the interpreter and the agent's process; a program, started by `pool`.

Monty keeps hostile code away from the machine, but what the code returns, or hands to a host function, becomes objects
of whoever drives it: three lists in each other that share their elements are a few kilobytes there and all of the
machine's memory here. So it is driven from this process, which has an empty environment and an address space of its
own, and only JSON of a bounded size goes on. Lines of JSON in both directions; `pool` describes them.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from typing import Any

import pydantic_monty as monty

OVERHEAD = 1 << 30  # bytes of address space beside the limit on the interpreter's heap: libraries, stacks, JSON
NOT_COUNTED = 100  # name look-ups also suspend the interpreter; `calls` is counted by the pool


class TooMuch(Exception):
    """More bytes than the limit."""


def _send(message: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(message).encode() + b"\n")
    sys.stdout.buffer.flush()


def _receive() -> Any:  # noqa: ANN401 - JSON
    line = sys.stdin.buffer.readline()
    if not line:
        raise SystemExit(0)  # whoever asked is gone
    return json.loads(line)


def _refuse(value: object) -> object:
    raise TypeError(f"a {type(value).__name__} is not JSON; make it a list, an object, text or a number")


def _json(value: object, limit: int) -> str:
    """`value` as JSON of at most `limit` bytes; stops as soon as it is more."""
    pieces, size = [], 0
    for piece in json.JSONEncoder(allow_nan=False, default=_refuse).iterencode(value):
        size += len(piece)
        if size > limit:
            raise TooMuch(f"a value has more than {limit} bytes of JSON")
        pieces.append(piece)
    return "".join(pieces)


def _host(name: str, limit: int) -> Callable[..., Any]:
    def call(*positional: object, **arguments: object) -> object:
        if positional:
            raise TypeError(f"{name}() takes its arguments by name")
        _send({"call": name, "arguments": _json(arguments, limit)})
        match _receive():
            case {"value": value}:
                return value
            case {"refused": str(text)}:
                raise PermissionError(text)
            case {"failed": str(text)}:
                raise RuntimeError(text)
            case _:
                raise SystemExit(1)

    return call


def _serve(pool: monty.Monty, job: dict[str, Any]) -> dict[str, Any]:
    limits = job["limits"]
    printed = monty.CollectString(limits["printed_bytes"])
    try:
        with pool.checkout(
            limits={
                "max_feed_duration_secs": limits["seconds"],
                "max_memory": limits["memory"],
                "max_recursion_depth": limits["recursion"],
                "max_suspensions": limits["calls"] + NOT_COUNTED,
            },
            os_policy={"sleep": "zero"},
            assert_message_annotations=False,
        ) as session:
            value = session.feed_run(
                job["code"],
                inputs=job["inputs"],
                external_lookup={name: _host(name, limits["input_bytes"]) for name in job["tools"]},
                print_callback=printed,
            )
        return {"result": _json(value, limits["result_bytes"]), "printed": printed.output}
    except MemoryError:
        raise  # ours, not the code's: see `main`
    except monty.MontyCrashedError:
        return {"error": "the interpreter had to be stopped"}
    except (monty.MontySyntaxError, monty.MontyRuntimeError) as error:
        where = [f"line {frame.line}" for frame in error.traceback()[-1:]]
        return {"error": ", ".join([error.display("type-msg"), *where])}
    except (monty.MontyError, TooMuch, TypeError, ValueError, RecursionError) as error:
        return {"error": str(error)}


def main() -> None:
    """Serve jobs until the other end closes."""
    start = _receive()
    for limit, value in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
        resource.setrlimit(limit, (value, value))
    with monty.Monty(min_processes=1, max_processes=1, checkout_timeout=5) as pool:
        most = start["memory"] + OVERHEAD
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        _send({"ready": True})
        while True:
            job = _receive()
            try:
                answer = _serve(pool, job)
            except MemoryError:
                raise SystemExit(1) from None  # with nothing left there is no answer to build; `pool` starts another
            _send(answer)


if __name__ == "__main__":
    main()
