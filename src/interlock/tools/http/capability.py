"""The kind `http`: an entry of the manifest, open for work.

`resolve`, `connect`, `judge` and `tls` are the world: a test brings its own, a manifest cannot.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from interlock.kernel.spec import ToolSpec
from interlock.tools.arguments import validator
from interlock.tools.http import spec
from interlock.tools.http.client import Client, nothing, tls_context
from interlock.tools.http.dial import Connect, Dialler, Resolver, SystemResolver, connect
from interlock.tools.http.perform import Performer
from interlock.tools.http.prove import prove
from interlock.tools.http.proxy import Policy, Proxy
from interlock.tools.http.reach import Reach
from interlock.tools.http.scope import Scope
from interlock.tools.http.table import Judge, table
from interlock.tools.kind import Context, Inject, Operation, Proof


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What an open entry meets outside. None: the machine's own."""

    judge: Judge | None = None
    resolve: Resolver | None = None
    connect: Connect = connect
    tls: ssl.SSLContext | None = None
    inject: Inject = nothing


class Http:
    """An open entry."""

    def __init__(self, entry: str, config: spec.Settings, context: Context, world: World) -> None:
        limits = config.limits
        self._judge = world.judge or table().why_not
        self._reach = Reach(config.rules, self._judge)
        self._limits = limits
        self._tls = world.tls or tls_context()
        self._dialler = Dialler(
            judge=self._judge,
            resolve=world.resolve or SystemResolver(),
            connect=world.connect,
            connect_seconds=limits.connect_seconds,
            resolve_seconds=limits.resolve_seconds,
        )
        client = partial(Client, reach=self._reach, dialler=self._dialler, limits=limits, tls=self._tls)
        inject = context.inject(config.injections) if config.injections else world.inject
        self._client = client(redirects=config.redirects, inject=inject)
        self._plain = client()  # for the proxy: its clients follow redirects themselves, and hold their own secrets
        self._operations = tuple(
            self._operation(tool, methods, context) for tool, methods in spec.operations(entry, config).values()
        )

    def _operation(self, tool: ToolSpec, methods: tuple[str, ...], context: Context) -> Operation:
        scope = Scope(reach=self._reach, methods=methods, max_request_bytes=self._limits.max_request_bytes)
        perform = Performer(check=context.check, scope=scope, client=self._client)
        return Operation(spec=tool, validate=validator(tool), scope=scope.resource, perform=perform)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """One tool for the reading methods, one for each other."""
        return self._operations

    def prove(self) -> tuple[Proof, ...]:
        """Try this machine's loopback, metadata addresses, private literals and a redirect; sends nothing outside."""
        return prove(self._dialler, self._limits, self._tls)

    def proxy(self, path: str, *, report: Callable[[str], None] | None = None) -> Proxy:
        """The same reach for programs that know proxies only, on a Unix socket at `path`; `start` opens it.

        `report` is told of every refusal, for the operator.
        """
        policy = Policy(reach=self._reach, dialler=self._dialler, client=self._plain, limits=self._limits)
        return Proxy(policy, path, report=report)

    def close(self) -> None:
        """Close every connection."""
        self._client.close()
        self._plain.close()
