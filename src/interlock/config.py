"""What a service is told by its environment: one frozen object, read once.

What may be done stands in the manifest; here stands where things are and how much of them there may be. A key that
begins with `INTERLOCK_` and is none of these is an error: a bound that was misspelt would not bind. Secrets are named,
never given, by `secret://NAME`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from interlock.kernel.errors import InterlockError
from interlock.policy.errors import meant

PREFIX = "INTERLOCK_"
MEBIBYTE = 1 << 20


class SettingsError(InterlockError):
    """The environment says something that cannot be."""


def _key(name: str, default: object, told: str, *, least: float = 0, most: float = math.inf) -> Any:  # noqa: ANN401 - a field of any type
    return field(default=default, metadata={"key": name, "told": told, "least": least, "most": most})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, with its default. Times are seconds, sizes bytes, and counts hold for one worker."""

    host: str = _key("INTERLOCK_HOST", "127.0.0.1", "address to listen on; `0.0.0.0` in a container")
    port: int = _key("PORT", 8080, "port to listen on; 0 takes a free one", most=65535)
    workers: int = _key("INTERLOCK_WORKERS", 1, "processes that share the port", least=1, most=64)
    manifest: str = _key("INTERLOCK_MANIFEST", "interlock.yaml", "path of the manifest")
    store: str = _key(
        "INTERLOCK_STORE",
        "",
        "where state is kept: `sqlite:FOLDER`, `memory:`, `postgresql://…`, or a handle of one of these "
        "(`secret://DATABASE_URL`); left out: `.interlock/` beside the manifest",
    )
    operator_token: str = _key(
        "INTERLOCK_OPERATOR_TOKEN",
        "",
        "handle of the token that opens `/metrics` and the details of `/readyz`; left out: "
        "they are open if the gateway listens on this machine only, else closed",
    )
    log: str = _key("INTERLOCK_LOG", "json", "`json`: one object a line on stderr; `text`: for people; `off`")

    max_connections: int = _key("INTERLOCK_MAX_CONNECTIONS", 2048, "open connections", least=1)
    max_requests: int = _key("INTERLOCK_MAX_REQUESTS", 1024, "requests at work; more get 503", least=1)
    max_requests_per_key: int = _key("INTERLOCK_MAX_REQUESTS_PER_KEY", 512, "of one key; more get 429", least=1)
    max_header: int = _key("INTERLOCK_MAX_HEADER", 32 * 1024, "bytes of a request's line and headers", least=1024)
    max_body: int = _key("INTERLOCK_MAX_BODY", 32 * MEBIBYTE, "bytes of a request's body", least=1)
    max_bodies: int = _key("INTERLOCK_MAX_BODIES", 256 * MEBIBYTE, "bytes of all bodies at once; more get 503", least=1)
    max_answer: int = _key("INTERLOCK_MAX_ANSWER", 64 * MEBIBYTE, "bytes of a provider's answer", least=1)
    max_folded: int = _key(
        "INTERLOCK_MAX_FOLDED",
        16 * MEBIBYTE,
        "bytes of conversations that stay in memory as they were read, roughly; others are read anew",
        least=MEBIBYTE,
    )

    header_timeout: float = _key("INTERLOCK_HEADER_TIMEOUT", 10.0, "until a request's headers are there", least=0.1)
    body_timeout: float = _key("INTERLOCK_BODY_TIMEOUT", 60.0, "until its body is there", least=0.1)
    idle_timeout: float = _key("INTERLOCK_IDLE_TIMEOUT", 75.0, "between requests of a connection", least=1)
    write_timeout: float = _key("INTERLOCK_WRITE_TIMEOUT", 60.0, "that a client may leave an answer unread", least=0.1)
    connect_timeout: float = _key("INTERLOCK_CONNECT_TIMEOUT", 10.0, "until a provider is connected", least=0.1)
    answer_timeout: float = _key(
        "INTERLOCK_ANSWER_TIMEOUT", 600.0, "until a provider's answer begins; then between two pieces of it", least=0.1
    )
    approval_wait: float = _key("INTERLOCK_APPROVAL_WAIT", 60.0, "that a plain request waits for a human", least=0)
    approval_wait_streamed: float = _key(
        "INTERLOCK_APPROVAL_WAIT_STREAMED", 600.0, "that a streamed request waits for a human", least=0
    )
    heartbeat: float = _key("INTERLOCK_HEARTBEAT", 5.0, "between signs of life in a stream that waits", least=0.01)
    grace: float = _key("INTERLOCK_GRACE", 280.0, "that answers under way have to end after SIGTERM", least=0)

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """What `environ` says.

        Raises:
            SettingsError: a key that nobody knows, or a value that cannot be; the message names the key.
        """
        keys = {key: (name, default) for name, key, default, _ in _fields()}
        for key in environ:
            if key.startswith(PREFIX) and key not in keys:
                raise SettingsError(f"`{key}` is no setting", hint=meant(key, keys, otherwise=_KNOWN))
        given: dict[str, Any] = {
            name: _value(key, environ[key], default) for key, (name, default) in keys.items() if environ.get(key)
        }
        return cls(**given)

    def __post_init__(self) -> None:
        for f in fields(self):
            key, value = f.metadata["key"], getattr(self, f.name)
            low, high = f.metadata["least"], f.metadata["most"]
            if isinstance(value, int | float) and not low <= value <= high:
                bound = f"from {low:g} to {high:g}" if high < math.inf else f"{low:g} or more"
                raise SettingsError(f"`{key}` is {value:g}; it must be {bound}")
        if self.workers > 1 and self.store.startswith("memory"):
            raise SettingsError("`INTERLOCK_STORE` is memory, which each of several workers would have for itself")
        if self.log not in {"json", "text", "off"}:
            raise SettingsError("`INTERLOCK_LOG` must be `json`, `text` or `off`")


_KNOWN = "`interlock serve --settings` lists them all"


def _fields() -> Iterator[tuple[str, str, object, str]]:
    for f in fields(Settings):
        yield f.name, f.metadata["key"], f.default if f.default is not MISSING else "", f.metadata["told"]


def described() -> list[tuple[str, object, str]]:
    """Every key with its default and what it sets."""
    return [(key, default, told) for _, key, default, told in _fields()]


def _value(key: str, text: str, default: object) -> object:
    match default:
        case int() if text.strip().isascii() and text.strip().isdecimal():
            return int(text)
        case float():
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if math.isfinite(value):
                return value
        case str():
            return text
        case _:
            pass
    raise SettingsError(
        f"`{key}` must be a {'whole number' if isinstance(default, int) else 'number'}, not `{text[:40]!a}`"
    )
