"""From an entry of the manifest to settings and tool specs; touches nothing.

Reading methods make one tool, every writing method its own: rules, roles and budgets see what a call does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from interlock.kernel.spec import Argument, Effect, Returns, Role, ToolSpec
from interlock.policy.errors import meant
from interlock.tools.http import names, url
from interlock.tools.http.reach import METHODS, READING, Rule
from interlock.tools.kind import Config, ConfigError, Injection, ScopeError

_KEYS = {
    "kind",
    "description",
    "hosts",
    "any_public_host",
    "methods",
    "schemes",
    "ports",
    "redirects",
    "tunnel",
    "trusted",
}
_HOST_KEYS = {"host", "methods", "paths", "tunnel", "headers", "secret"}
_HANDLE = re.compile(r"(.*\s)?(secret://\S+)", re.DOTALL)
_MIN_WILDCARD = 2  # labels behind `*.`: nobody owns all of `*.org`


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request may take. Every limit has a key of its name."""

    seconds: float = 20.0  # from the first look-up to the last byte, redirects and all
    connect_seconds: float = 5.0  # of it, for one connection
    resolve_seconds: float = 5.0  # of it, for one look-up
    max_bytes: int = 2_000_000  # of an answer's body, before and after decoding
    max_request_bytes: int = 1_000_000
    max_headers: int = 100  # of an answer
    connections: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """An entry, checked."""

    rules: tuple[Rule, ...]
    injections: tuple[Injection, ...] = ()
    redirects: int
    trusted: bool
    description: str
    limits: Limits

    @property
    def methods(self) -> tuple[str, ...]:
        """Every method that some rule allows."""
        return tuple(m for m in METHODS if any(m in rule.methods for rule in self.rules))


_LIMITS = tuple(field.name for field in fields(Limits))


def settings(config: Config) -> Settings:
    """What `config` says.

    Raises:
        ConfigError: it cannot be what it says.
    """
    _known(config, _KEYS | set(_LIMITS), ())
    methods = _words(config, "methods", METHODS, READING, ())
    schemes = _words(config, "schemes", tuple(url.PORTS), ("https",), ())
    ports = _ports(config)
    tunnel = _switch(config, "tunnel", ())
    default = Rule(host="*", schemes=schemes, ports=ports, methods=methods, tunnel=tunnel)
    hosts = config.get("hosts", ())
    if not isinstance(hosts, Sequence) or isinstance(hosts, str):
        raise ConfigError("`hosts` is a list", path=("hosts",), hint="write `hosts: [docs.example.com]`")
    rules: list[Rule] = []
    injections: list[Injection] = []
    for place, item in enumerate(hosts):
        path = ("hosts", str(place))
        rule = _rule(item, default, path)
        found = tuple(_injections(item, rule, path)) if isinstance(item, Mapping) else ()
        if found:  # over TLS, to one port: what a binding says, the reach says too
            rule = replace(rule, schemes=frozenset({"https"}), ports=frozenset({found[0].port}), tunnel=False)
        rules.append(rule)
        injections += found
    _alone(rules, injections)
    if _switch(config, "any_public_host", ()):
        rules.append(default)
    if not rules:
        raise ConfigError("no host is declared", path=("hosts",), hint="list `hosts`, or say `any_public_host: true`")
    return Settings(
        rules=tuple(rules),
        injections=tuple(injections),
        redirects=_whole(config, "redirects", 0, 0, 10),
        trusted=_switch(config, "trusted", ()),
        description=_text(config, "description", (), default=""),
        limits=_limits(config),
    )


def _rule(item: object, default: Rule, path: tuple[str, ...]) -> Rule:
    if isinstance(item, str):
        item = {"host": item}
    if not isinstance(item, Mapping):
        raise ConfigError(
            "a host is a name or has keys", path=path, hint="write `{host: api.example.com, methods: [GET]}`"
        )
    _known(item, _HOST_KEYS, path)
    host, schemes, ports = _host(_text(item, "host", path), default, (*path, "host"))
    return Rule(
        host=host,
        schemes=schemes,
        ports=ports,
        methods=_words(item, "methods", METHODS, default.methods, path),
        paths=_paths(item, path),
        tunnel=_switch(item, "tunnel", path, default=default.tunnel),
    )


def _injections(item: Mapping[str, object], rule: Rule, path: tuple[str, ...]) -> Iterator[Injection]:
    """The secrets that requests to this host carry: `secret: secret://NAME`, or `headers: {Name: …secret://NAME}`."""
    if "secret" not in item and "headers" not in item:
        return
    port = next(iter(rule.ports)) if len(rule.ports) == 1 else url.PORTS["https"]
    if "https" not in rule.schemes or "*" in rule.host or port == url.PORTS["http"]:
        raise ConfigError(
            "a secret goes to one exact host, over https", path=path, hint="write `host: api.example.com`"
        )
    given = item.get("headers", {})
    if not isinstance(given, Mapping):
        raise ConfigError("`headers` are names with secrets", path=(*path, "headers"))
    methods = tuple(m for m in METHODS if m in rule.methods)
    if "secret" in item:
        whole = _HANDLE.fullmatch(_text(item, "secret", path))
        if whole is None or whole[1]:  # a literal would be in the manifest; say nothing of it
            raise ConfigError("`secret` is no handle", path=(*path, "secret"), hint="write `secret://NAME`")
        yield Injection(secret=whole[2], host=rule.host, port=port, methods=methods)
    for name, value in given.items():
        found = _HANDLE.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            raise ConfigError(
                f"`{name}` holds no handle", path=(*path, "headers", str(name)), hint="write `Bearer secret://NAME`"
            )
        yield Injection(
            secret=found[2], host=rule.host, port=port, methods=methods, header=str(name), prefix=found[1] or ""
        )


def _alone(rules: Sequence[Rule], injections: Iterable[Injection]) -> None:
    """No second rule admits a request to the host of a secret in another way."""
    for host in {i.host for i in injections}:
        if sum(rule.host != "*" and rule.names(host) for rule in rules) > 1:
            raise ConfigError(f"`{host}` gets a secret and is named twice", path=("hosts",), hint="name it once")


def _host(text: str, default: Rule, path: tuple[str, ...]) -> tuple[str, frozenset[str], frozenset[int]]:
    """`[scheme://]host[:port]`, where the host may begin with `*.`."""
    scheme, mark, rest = text.rpartition("://")
    if mark and scheme not in url.PORTS:
        raise ConfigError(f"`{text}` is not http or https", path=path)
    star = "*." if rest.startswith("*.") else ""
    try:
        url.check_characters(rest)
        host, port = url.authority(rest.removeprefix(star), default=0)
    except ScopeError as error:
        raise ConfigError(f"`{text}`: {error}", path=path, hint="write a host, without path") from error
    address = url.literal(host)
    if star and (address is not None or host.count(".") + 1 < _MIN_WILDCARD):
        raise ConfigError(f"`{text}` is wider than any owner", path=path, hint="write `*.example.org`")
    if address is None and (why := names.why_not(host)):
        raise ConfigError(f"{why}: it is never reached", path=path, hint="for services inside, write a function")
    return star + host, frozenset({scheme}) if mark else default.schemes, frozenset({port}) if port else default.ports


def _paths(item: Mapping[str, object], path: tuple[str, ...]) -> tuple[str, ...]:
    given = item.get("paths", ())
    place = (*path, "paths")
    if "paths" in item and (not isinstance(given, Sequence) or isinstance(given, str) or not given):
        raise ConfigError("`paths` is a list with at least one prefix", path=place, hint="write `paths: [/api/]`")
    found = []
    for prefix in given if isinstance(given, Sequence) else ():
        if not isinstance(prefix, str) or not prefix.startswith("/") or "?" in prefix or "#" in prefix:
            raise ConfigError(f"`{prefix}` is no path prefix", path=place, hint="write `/api/`")
        if url.clean_path(prefix) != prefix or ";" in prefix or "\\" in prefix:
            raise ConfigError(
                f"`{prefix}` is not in its plain spelling", path=place, hint=f"write `{url.clean_path(prefix)}`"
            )
        found.append(prefix)
    return tuple(found)


def _ports(config: Config) -> frozenset[int]:
    given = config.get("ports", (80, 443))
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise ConfigError("`ports` is a list of numbers", path=("ports",), hint="write `ports: [443]`")
    for port in given:
        if type(port) is not int or not 0 < port <= 0xFFFF:  # noqa: PLR2004 - the largest port
            raise ConfigError(f"`{port}` is no port", path=("ports",), hint="write numbers from 1 to 65535")
    return frozenset(given)


def _words(
    config: Mapping[str, object], key: str, known: Sequence[str], default: Iterable[str], path: tuple[str, ...]
) -> frozenset[str]:
    given = config.get(key, tuple(default))
    place = (*path, key)
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise ConfigError(
            f"`{key}` is a list with at least one word", path=place, hint=f"use some of {', '.join(known)}"
        )
    for word in given:
        if word not in known:
            raise ConfigError(f"`{word}` is not possible in `{key}`", path=place, hint=meant(str(word), known))
    return frozenset(given)


def _known(config: Mapping[str, object], keys: Iterable[str], path: tuple[str, ...]) -> None:
    for key in config:
        if key not in set(keys):
            raise ConfigError(f"`{key}` is no key of an http tool", path=(*path, str(key)), hint=meant(str(key), keys))


def _switch(config: Mapping[str, object], key: str, path: tuple[str, ...], *, default: bool = False) -> bool:
    value = config.get(key, default)
    if not isinstance(value, bool):
        raise ConfigError(f"`{key}` is true or false", path=(*path, key))
    return value


def _text(config: Mapping[str, object], key: str, path: tuple[str, ...], *, default: str | None = None) -> str:
    value = config.get(key, default)
    if not isinstance(value, str):
        raise ConfigError(f"`{key}` is a text", path=(*path, key))
    return value


def _limits(config: Config) -> Limits:
    usual = Limits()
    return Limits(
        seconds=_number(config, "seconds", usual.seconds, 0.1, 600),
        connect_seconds=_number(config, "connect_seconds", usual.connect_seconds, 0.1, 60),
        resolve_seconds=_number(config, "resolve_seconds", usual.resolve_seconds, 0.1, 60),
        max_bytes=_whole(config, "max_bytes", usual.max_bytes, 1, 100_000_000),
        max_request_bytes=_whole(config, "max_request_bytes", usual.max_request_bytes, 0, 100_000_000),
        max_headers=_whole(config, "max_headers", usual.max_headers, 1, 1000),
        connections=_whole(config, "connections", usual.connections, 1, 100),
    )


def _number(config: Config, key: str, default: float, low: float, high: float) -> float:
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"`{key}` is a number", path=(key,))
    if not low <= value <= high:
        raise ConfigError(f"`{key}` lies between {low} and {high}", path=(key,))
    return value


def _whole(config: Config, key: str, default: int, low: int, high: int) -> int:
    value = _number(config, key, default, low, high)
    if not isinstance(value, int):
        raise ConfigError(f"`{key}` is a whole number", path=(key,))
    return value


def operations(entry: str, config: Settings) -> dict[str, tuple[ToolSpec, tuple[str, ...]]]:
    """By name: the tool and the methods that it may use."""
    reading = tuple(m for m in config.methods if m in READING)
    groups = ([reading] if reading else []) + [(m,) for m in config.methods if m not in READING]
    found = {}
    for methods in groups:
        name = entry if len(groups) == 1 else f"{entry}_{methods[0].lower()}"
        found[name] = (_tool(name, methods, config), methods)
    return found


def _tool(name: str, methods: tuple[str, ...], config: Settings) -> ToolSpec:
    reading = methods[0] in READING
    arguments = [Argument(path="url", role=Role.URL), Argument(path="headers", role=Role.TEXT)]
    properties: dict[str, object] = {
        "url": {"type": "string", "description": "the whole URL, with its scheme"},
        "headers": {"type": "object", "additionalProperties": {"type": "string"}},
    }
    if len(methods) > 1:
        arguments.append(Argument(path="method", role=Role.OPTION))
        properties["method"] = {"type": "string", "enum": list(methods), "description": f"{methods[0]} unless given"}
    if not reading:
        arguments.append(Argument(path="body", role=Role.TEXT))
        properties["body"] = {"type": ["string", "object", "array"], "description": "text, or data sent as JSON"}
    hosts = sorted({rule.host for rule in config.rules if set(methods) & rule.methods} - {"*"})
    public = any(rule.host == "*" for rule in config.rules)
    where = ", ".join(hosts) + (" and " * bool(hosts) + "any public host" if public else "")
    does = "Reads a web page or API" if reading else f"Sends a {methods[0]} request"
    return ToolSpec(
        name=name,
        effect=Effect.FETCH if reading else Effect.EGRESS,
        description=config.description or f"{does} ({where}). Returns status, headers and body.",
        arguments=tuple(arguments),
        returns=Returns(own=("*",)) if config.trusted else Returns(),
        resource="Url",
        schema={"type": "object", "properties": properties, "required": ["url"], "additionalProperties": False},
    )
