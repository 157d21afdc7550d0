"""The kind `compute`, and an entry of it that is open for work and shows that its walls stand."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from interlock.kernel.call import Json
from interlock.kernel.spec import ToolSpec
from interlock.tools.compute.perform import perform
from interlock.tools.compute.pool import Pool
from interlock.tools.compute.scope import resource
from interlock.tools.compute.spec import Limits, Settings, settings, tool, validate
from interlock.tools.kind import Config, ConfigError, Context, HostCall, Operation, Proof, ToolFailed

RESIDUAL = "rests on one interpreter written in Rust; its process has this service's uid and an empty environment"
ATTEMPTS: Mapping[str, tuple[str, ...]] = {  # claim → code that must raise, never yield
    "no files": (
        "open('/etc/hostname').read()",
        "import os\nos.listdir('/')",
        "import pathlib\npathlib.Path('/etc/hostname').read_text()",
    ),
    "no environment": ("import os\nos.environ['PATH']", "import os\nos.getenv('PATH') + ''"),
    "no processes, sockets or foreign code": (
        "import subprocess",
        "import socket",
        "import ctypes",
        "__import__('os').system('true')",
        "().__class__.__base__.__subclasses__()",
    ),
    "bounded memory and recursion": ("'x' * 10**11", "10**10**9", "def f(n): return f(n + 1)\nf(0)"),
    "bounded results": ("'x' * {more}", "a = [0] * 1000\nb = [a] * 1000\nc = [b] * 1000\nc"),
}


class Compute:
    """An entry of `kind: compute`: a pool of workers."""

    def __init__(self, entry: str, chosen: Settings, context: Context, host: HostCall | None) -> None:
        self._chosen = chosen
        self._pool = Pool(chosen)
        self.operations: tuple[Operation, ...] = (
            Operation(
                spec=tool(entry, chosen),
                validate=validate,
                scope=partial(resource, entry, chosen),
                perform=partial(perform, check=context.check, pool=self._pool, host=host),
            ),
        )

    def prove(self) -> tuple[Proof, ...]:
        """Run what must not work."""
        more = str(self._chosen.limits.result_bytes + 1)
        proofs = [
            Proof(
                layer="engine",
                claim=claim,
                held=not came,
                evidence=came or f"{len(codes)} attempts raised",
                residual=RESIDUAL,
            )
            for claim, codes in ATTEMPTS.items()
            for came in ["; ".join(filter(None, (self._yields(code.replace("{more}", more)) for code in codes)))]
        ]
        start = time.monotonic()
        came = self._yields("while True: pass", replace(self._chosen.limits, seconds=0.2))
        took = time.monotonic() - start
        late = took > 2  # noqa: PLR2004 - seconds, also on a busy machine
        held = not came and not late
        proofs.append(
            Proof(layer="engine", claim="bounded time", held=held, evidence=came or f"stopped after {took:.1f} s")
        )
        return tuple(proofs)

    def _yields(self, code: str, limits: Limits | None = None) -> str:
        """What went wrong: `code` yielded something."""
        try:
            self._pool.run(code, {}, _nothing, limits=limits)
        except ToolFailed:
            return ""
        return f"`{code[:40]}` yielded a value"

    def close(self) -> None:
        """End the workers."""
        self._pool.close()


def _nothing(name: str, arguments: dict[str, Json]) -> Mapping[str, object]:  # noqa: ARG001 - as `HostCall`
    return {"failed": f"{name} is not called to prove anything"}


class ComputeKind:
    """`kind: compute`. `host` makes the calls of the tools under `tools:`; without one the context does."""

    name = "compute"

    def __init__(self, host: HostCall | None = None) -> None:
        self._host = host

    def specs(self, entry: str, config: Config) -> tuple[ToolSpec, ...]:
        """The one tool of the entry."""
        return (tool(entry, settings(config)),)

    def open(self, entry: str, config: Config, context: Context) -> Compute:
        """Start the workers.

        Raises:
            ConfigError: the interpreter is not installed, or tools are listed that nobody can call.
        """
        chosen = settings(config)
        if importlib.util.find_spec("pydantic_monty") is None:
            raise ConfigError("`kind: compute` needs pydantic-monty", hint="pip install 'interlock[tools]'")
        host = self._host or context.call
        if chosen.tools and host is None:
            raise ConfigError("`tools` are listed, but nothing here can call them", path=("tools",))
        return Compute(entry, chosen, context, host)
