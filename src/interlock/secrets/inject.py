"""What goes out: a secret in one header, to named hosts, with named methods, over TLS only.

The transport asks for headers after it knows whom it dialled and before it writes; a model never sees or names them.
The binding, not the request, decides: whatever is not bound is refused, and so is a request that brings the header of a
binding itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from interlock.secrets.errors import InjectRefused, SecretError
from interlock.secrets.handles import Secret

_HOST = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")  # RFC 9110, 5.6.2
_VISIBLE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")  # no line end, no edge of white space: RFC 9110, 5.5
_METHODS = frozenset("GET HEAD POST PUT PATCH DELETE OPTIONS".split())
_FRAMING = frozenset(  # headers that decide who is spoken to, or where a message ends
    "host content-length transfer-encoding connection te trailer upgrade expect content-type content-encoding".split()
)
PORT = 443


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """`secret`, as `header`, to `hosts` (exact, lower case) with `methods`, on `port`."""

    secret: Secret
    hosts: tuple[str, ...]
    header: str
    methods: tuple[str, ...]
    prefix: str = ""  # "Bearer "
    port: int = PORT

    def __post_init__(self) -> None:
        if not self.hosts or not self.methods:
            raise SecretError(f"`{self.secret}` needs hosts and methods to be bound to")
        for host in self.hosts:
            if not _HOST.fullmatch(host):
                raise SecretError(
                    f"`{host!a}` is no host to bind `{self.secret}` to; write one exact name in lower case"
                )
        for method in self.methods:
            if method not in _METHODS:
                raise SecretError(
                    f"`{method!a}` is no method to bind `{self.secret}` to; use {', '.join(sorted(_METHODS))}"
                )
        if (
            not _TOKEN.fullmatch(self.header)
            or self.header.lower() in _FRAMING
            or self.header.lower().startswith("proxy-")
        ):
            raise SecretError(f"`{self.header!a}` is no header for `{self.secret}`; use one made for credentials")
        if self.prefix and not _VISIBLE.fullmatch(self.prefix.rstrip(" ")):
            raise SecretError(f"the prefix of `{self.secret}` must be visible ASCII, such as `Bearer `")


class Headers(Mapping[str, str]):
    """Headers to send. Only looking one up shows its value."""

    __slots__ = ("__values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self.__values = MappingProxyType(dict(values))

    def __getitem__(self, name: str) -> str:
        return self.__values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.__values)

    def __len__(self) -> int:
        return len(self.__values)

    def __repr__(self) -> str:
        return f"Headers({', '.join(self)})"


class Injector:
    """All bindings of one tool."""

    __slots__ = ("__bindings",)

    def __init__(self, bindings: Iterable[Binding]) -> None:
        self.__bindings = tuple(bindings)
        seen = set()
        for binding in self.__bindings:
            for host in binding.hosts:
                place = (host, binding.port, binding.header.lower())
                if place in seen:
                    raise SecretError(f"header `{binding.header}` of `{host}` is bound twice; bind one secret to it")
                seen.add(place)

    def __repr__(self) -> str:
        return f"Injector({', '.join(f'{b.secret} → {h}' for b in self.__bindings for h in b.hosts)})"

    @property
    def hosts(self) -> frozenset[str]:
        """Hosts that get a secret; for all others `headers_for` refuses."""
        return frozenset(host for binding in self.__bindings for host in binding.hosts)

    @property
    def handles(self) -> tuple[str, ...]:
        """What to name in `Vault.performing`."""
        return tuple(dict.fromkeys(str(binding.secret) for binding in self.__bindings))

    def headers_for(
        self, host: str, method: str, *, scheme: str = "https", port: int = PORT, given: Iterable[str] = ()
    ) -> Mapping[str, str]:
        """What to add to a request to the `host` that was dialled; `given` are the names of the headers it has already.

        Raises:
            InjectRefused: nothing is bound to this host, port and method, the connection has no TLS, or `given` has
                a bound header.
            SecretError: outside `Vault.performing`; or the value cannot stand in a header.
        """
        here = [b for b in self.__bindings if host in b.hosts]
        if not here:
            raise InjectRefused(f"no secret is bound to `{host!a}`; bound are {', '.join(sorted(self.hosts))}")
        if scheme != "https":
            raise InjectRefused(f"a secret for `{host}` goes over https only, not over `{scheme!a}`")
        here = [b for b in here if b.port == port]
        if not here:
            raise InjectRefused(f"no secret is bound to port {port} of `{host}`")
        here = [b for b in here if method in b.methods]
        if not here:
            raise InjectRefused(f"no secret is bound to `{method!a}` at `{host}`; bind the methods that the tool needs")
        taken = {name.lower() for name in given}
        for binding in here:
            if binding.header.lower() in taken:
                raise InjectRefused(
                    f"header `{binding.header}` of `{host}` belongs to `{binding.secret}`; do not set it"
                )
        return Headers({binding.header: _line(binding) for binding in here})


def _line(binding: Binding) -> str:
    """The header's value: visible ASCII, so that nothing in it starts another header."""
    if not _VISIBLE.fullmatch(binding.secret.reveal()):  # the value itself stays out of this frame
        raise SecretError(f"`{binding.secret}` cannot stand in a header; it must be one line of visible ASCII")
    return binding.prefix + binding.secret.reveal()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Preset:
    hosts: tuple[str, ...]
    under: str  # other hosts of the service end so
    header: str
    prefix: str = ""
    methods: tuple[str, ...] = ("GET", "POST")


PRESETS: Mapping[str, _Preset] = MappingProxyType(
    {
        "openai": _Preset(hosts=("api.openai.com",), under=".api.openai.com", header="Authorization", prefix="Bearer "),
        "anthropic": _Preset(hosts=("api.anthropic.com",), under=".api.anthropic.com", header="x-api-key"),
        "pinecone": _Preset(
            hosts=("api.pinecone.io",),
            under=".pinecone.io",  # an index has a host of its own: name-project.svc.environment.pinecone.io
            header="Api-Key",
            methods=("GET", "POST", "PATCH", "DELETE"),
        ),
        "langsmith": _Preset(
            hosts=("api.smith.langchain.com",),
            under=".api.smith.langchain.com",  # regions: eu.api.smith.langchain.com
            header="x-api-key",
            methods=("GET", "POST", "PATCH", "DELETE"),
        ),
    }
)


def service_at(host: str) -> str:
    """The preset whose host this is; empty if none."""
    return next((name for name, p in PRESETS.items() if host in p.hosts or host.endswith(p.under)), "")


def preset(service: str, secret: Secret, *, hosts: Iterable[str] = (), methods: Iterable[str] = ()) -> Binding:
    """The binding of a well-known service. `hosts` replaces the default by other hosts of the same service.

    Raises:
        SecretError: an unknown service, or a host that is not the service's.
    """
    if service not in PRESETS:
        raise SecretError(f"`{service!a}` is no preset; there are {', '.join(sorted(PRESETS))}")
    known = PRESETS[service]
    wanted = tuple(hosts) or known.hosts
    for host in wanted:
        if host not in known.hosts and not host.endswith(known.under):
            raise SecretError(f"`{host!a}` is no host of `{service}`; its hosts end in `{known.under}`")
    return Binding(
        secret=secret,
        hosts=wanted,
        header=known.header,
        prefix=known.prefix,
        methods=tuple(methods) or known.methods,
    )
