"""A call: what the model asks for, frozen, with one digest. Read after `labels`.

The digest is SHA-256 over the canonical JSON (sorted keys, no spaces, UTF-8) of tool, arguments, agent, principal and
run. Permits and approvals are bound to it, so whatever is performed is exactly what was decided. Everything that two
parties could read in two ways is refused here: NaN, lone surrogates, keys that are not text, bottomless nesting.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TypeAlias

from interlock.kernel.errors import CallError

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Frozen: TypeAlias = "bool | int | float | str | tuple[Frozen, ...] | Mapping[str, Frozen] | None"

MAX_DEPTH = 32  # levels of nesting in arguments; deeper input is an attack on parsers, not a call
MAX_NODES = 100_000  # values in one call
MAX_INT = 2**63 - 1  # what every JSON reader, Cedar's Long and SQL agree on
_SPELLING = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:/-]{0,127}")


def freeze(value: object, *, where: str = "arguments") -> Frozen:
    """A read-only deep copy of JSON-like `value`.

    Raises:
        CallError: a value that is not JSON, too deep, too large, or that two readers could read differently.
    """
    return _freeze(value, where, MAX_DEPTH, [MAX_NODES])


def _freeze(value: object, where: str, depth: int, left: list[int]) -> Frozen:
    left[0] -= 1
    if left[0] < 0:
        raise CallError(f"`{where}` holds more than {MAX_NODES} values")
    if depth == 0:
        raise CallError(f"`{where}` is nested deeper than {MAX_DEPTH} levels")
    match value:
        case None | bool():
            return value
        case int():
            if abs(value) > MAX_INT:
                raise CallError(f"`{where}` is an integer beyond 64 bits; pass it as text")
            return int(value)
        case float():
            if not math.isfinite(value):
                raise CallError(f"`{where}` is not a finite number")
            return float(value)
        case str():
            return _text(value, where)
        case Mapping():
            pairs = {}
            for key, item in value.items():
                if not isinstance(key, str):
                    raise CallError(f"`{where}` has a key that is not text")
                pairs[_text(key, where)] = _freeze(item, f"{where}.{key[:80]}", depth - 1, left)
            return MappingProxyType(pairs)
        case list() | tuple():
            return tuple(_freeze(item, where, depth - 1, left) for item in value)
        case _:
            raise CallError(f"`{where}` is a {type(value).__name__}, which JSON cannot carry")


def _text(value: str, where: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise CallError(f"`{where}` holds a lone surrogate, which is no text") from None
    return str.__str__(value)  # an enum's own `__str__` would say `Color.RED`


def thaw(value: Frozen) -> Json:
    """A mutable copy of a frozen value."""
    if isinstance(value, Mapping):
        return {k: thaw(v) for k, v in value.items()}
    if isinstance(value, tuple):
        return [thaw(v) for v in value]
    return value


def canonical(value: object) -> bytes:
    """The one spelling of a JSON-like value: sorted keys, no spaces, UTF-8."""
    return _SPELLING.encode(value).encode()


def digest_of(value: object) -> str:
    """SHA-256 of the canonical JSON, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


@dataclass(frozen=True, kw_only=True)  # no slots: the digest is cached on the instance
class Call:
    """One tool call that the model proposes: `arguments` are deep-frozen, names are plain."""

    tool: str
    arguments: Mapping[str, Frozen]
    agent: str  # through whom
    principal: str  # for whom
    run: str  # in which conversation

    def __post_init__(self) -> None:
        tool: object = self.tool
        if not isinstance(tool, str) or not NAME.fullmatch(tool):
            raise CallError(f"`{str(tool)[:80]!a}` is no tool name; letters, digits and _ . : / - are allowed")
        for name in ("agent", "principal", "run"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value or len(value) > 256:  # noqa: PLR2004 - characters
                raise CallError(f"`{name}` must be a text of 1 to 256 characters")
            _text(value, name)
        if not isinstance(self.arguments, Mapping):
            raise CallError("`arguments` must be an object")
        object.__setattr__(self, "arguments", freeze(self.arguments))

    @cached_property
    def digest(self) -> str:
        """64 hex digits that stand for exactly this call."""
        body = {name: getattr(self, name) for name in ("tool", "agent", "principal", "run")}
        return digest_of(body | {"arguments": thaw(self.arguments)})


@dataclass(frozen=True, slots=True)
class Resource:
    """The canonical thing a call would touch, as scope found it: a table, a file, a host, or the tool itself."""

    type: str
    id: str
