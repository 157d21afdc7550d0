"""What may be asked of whom: the manifest's hosts, methods and path prefixes, compared with a parsed target.

Rules that name a host decide alone about it; `any_public_host` speaks for hosts that no rule names. Within path
prefixes everything that a server might decode a second time is refused: there the prefix would mean nothing.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from interlock.tools.http import names
from interlock.tools.http.table import Judge
from interlock.tools.http.url import Target
from interlock.tools.kind import ScopeError

READING = ("GET", "HEAD")
METHODS = (*READING, "POST", "PUT", "PATCH", "DELETE", "OPTIONS")  # CONNECT and TRACE never
_TWICE = re.compile(r"%(?:2F|5C|25|3B|[01][0-9A-F]|7F)|;")  # slash, backslash, percent, `;`, controls


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One line of the manifest. `host` is a name, `*.name`, an address, or `*` for every public host."""

    host: str
    schemes: frozenset[str]
    ports: frozenset[int]
    methods: frozenset[str]
    paths: tuple[str, ...] = ()  # empty: all
    tunnel: bool = False  # CONNECT, which hides method and path

    def names(self, host: str) -> bool:
        """Whether this rule speaks of `host`."""
        if self.host.startswith("*."):
            return host.endswith(self.host[1:])
        return self.host in {"*", host}

    def why_not(self, method: str, target: Target) -> str:
        """Why this rule does not admit it; empty when it does."""
        if target.scheme not in self.schemes:
            return f"the scheme `{target.scheme}` is not declared for `{target.host}`"
        if target.port not in self.ports:
            return f"the port `{target.port}` is not declared for `{target.host}`"
        if method not in self.methods:
            return f"the method `{method[:20]}` is not declared for `{target.host}`"
        if self.paths:
            if _ambiguous(target.path):
                return "the path holds what a server may decode a second time, so no prefix speaks for it"
            if not any(target.path.startswith(p) if p.endswith("/") else _below(target.path, p) for p in self.paths):
                return f"the path lies under no prefix declared for `{target.host}`"
        return ""


def _below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix + "/")


def _ambiguous(path: str) -> bool:
    if _TWICE.search(path):
        return True
    try:
        text = unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        return True
    folded = unicodedata.normalize("NFKC", text)  # full-width dots and slashes
    return any(folded.count(c) != text.count(c) for c in "./\\%;")


@dataclass(frozen=True, slots=True)
class Reach:
    """Everything that one entry may ask for. An empty one reaches nothing."""

    rules: tuple[Rule, ...]
    judge: Judge

    def admit(self, method: str, target: Target) -> None:
        """Return if the manifest lets `method` be asked of `target`, whose name is still to be resolved.

        Raises:
            ScopeError: it does not.
        """
        self._admit(target, [rule.why_not(method, target) for rule in self._rules(target.host)])

    def admit_tunnel(self, target: Target) -> None:
        """Return if a tunnel to the target's host and port may be opened, in which nothing more is seen.

        Raises:
            ScopeError: it may not.
        """
        found = []
        for rule in self._rules(target.host):
            if rule.tunnel:
                found.append("" if target.port in rule.ports else f"the port `{target.port}` is not declared")
            else:
                found.append(f"`{target.host}` has no `tunnel: true`: in a tunnel methods and paths are not seen")
        self._admit(target, found)

    def _rules(self, host: str) -> list[Rule]:
        named = [rule for rule in self.rules if rule.host != "*" and rule.names(host)]
        return named or [rule for rule in self.rules if rule.host == "*"]

    def _admit(self, target: Target, reasons: list[str]) -> None:
        if not reasons:
            raise ScopeError(f"the host `{target.host}` is not declared", hint="add it to `hosts` of the tool's entry")
        if all(reasons):
            raise ScopeError(reasons[0], hint="the tool's entry in the manifest says what may be asked")
        address = target.address
        if why := names.why_not(target.host) if address is None else self.judge(address, target.port):
            raise ScopeError(f"the host is not public: {why}")
