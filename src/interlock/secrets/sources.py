"""Where values come from. First found wins, in this order, and an error names every place that was looked at.

1. environment `NAME`   2. file that environment `NAME_FILE` names   3. `/etc/secrets/NAME`   4. `/run/secrets/NAME`
5. `.env`, if the operator says that this is a development machine.

A place that is there but wrong (unreadable, binary, too large, no regular file) is an error, never a reason to go on to
the next: the value in use would be another one than the operator sees. An empty value counts as absent. Warnings are
returned, not printed. Links are followed, because Kubernetes mounts secrets through them.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from interlock.secrets.errors import SecretError, SecretMissing
from interlock.secrets.handles import SCHEME, Secret

MAX_BYTES = 64 * 1024  # a certificate chain fits; whatever is larger is a file that was named by mistake
DIRECTORIES = ("/etc/secrets", "/run/secrets")

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff]")  # tab and line ends stay: PEM and JSON have them
_ASSIGNMENT = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*
        (?: "((?:[^"\\]|\\.)*)" | '([^']*)' | ([^\n]*?) ) [ \t]* (?:(?<=[ \t"'])\#[^\n]*)? \r?$""",
    re.MULTILINE | re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A secret, the place it came from, and what the operator should change there."""

    secret: Secret
    place: str
    warnings: tuple[str, ...] = ()


class _Raw:
    """Bytes on their way into a `Secret`: no frame between shows them."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def flaw(self) -> str:
        """Why this can be no secret; empty if it can."""
        if len(self.data) > MAX_BYTES:
            return f"is larger than {MAX_BYTES} bytes"
        try:
            text = self.data.decode()
        except UnicodeDecodeError:
            return "is not UTF-8 text"
        if text.startswith("\ufeff"):
            return "starts with a byte order mark; save it as UTF-8 without one"
        return "holds a NUL or another control character" if _CONTROL.search(text) else ""

    def text(self) -> str:
        """The value: an editor's newline at the end is not part of it."""
        return self.data.decode().removesuffix("\n").removesuffix("\r")


class Source(Protocol):
    """Where a vault gets its secrets from."""

    def load(self, name: str, *, owner: object) -> Loaded:
        """See `Sources.load`."""
        ...


@dataclass(frozen=True, slots=True)
class Given:
    """The application's own: `resolve` turns `secret://NAME` into the value, or raises."""

    resolve: Callable[[str], object]

    def load(self, name: str, *, owner: object) -> Loaded:
        """The secret `name`, which only `owner` can grant.

        Raises:
            SecretMissing: the application does not know it. What it raised is dropped: it may hold a value.
        """
        value: object = ""
        why = ""
        try:
            value = self.resolve(SCHEME + name)
        except Exception as error:  # noqa: BLE001 - the application's function
            why = type(error).__name__
        if not isinstance(value, str) or not value:
            told = f"the application does not know `secret://{name}`" + (f" ({why})" if why else "")
            raise SecretMissing(told, places=("application",))
        return Loaded(secret=Secret(name, value, owner=owner), place="application")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The places of one process. `environ` is given, so that nothing here depends on a global."""

    environ: Mapping[str, str]
    directories: tuple[str, ...] = DIRECTORIES
    dotenv: str | None = None  # path of a `.env`; development only, every value from it is warned about

    def __repr__(self) -> str:
        return f"Sources({', '.join((*self.directories, *([self.dotenv] if self.dotenv else [])))})"

    def load(self, name: str, *, owner: object) -> Loaded:
        """The secret `name`, which only `owner` can grant.

        Raises:
            SecretMissing: no source has it.
            SecretError: a source has it, but not as a secret should be.
        """
        places = [f"environment `{name}`"]
        if name in self.environ:
            raw = _Raw(self.environ[name].encode(errors="surrogateescape"))
            if raw.data:
                return self._sealed(name, raw, places[-1], (), owner)
            places[-1] += " (empty)"
        pointer = f"{name}_FILE"
        places.append(f"environment `{pointer}`")
        if path := self.environ.get(pointer, ""):
            places[-1] += f" (`{path}`)"
            raw, warnings = self._file(name, path)
            return self._sealed(name, raw, places[-1], warnings, owner)
        for directory in self.directories:
            path = f"{directory}/{name}"
            places.append(f"`{path}`")
            if os.path.lexists(path):
                raw, warnings = self._file(name, path)
                if raw.text():
                    return self._sealed(name, raw, places[-1], warnings, owner)
                places[-1] += " (empty)"
        if self.dotenv is not None:
            places.append(f"`{self.dotenv}`")
            if os.path.lexists(self.dotenv):
                raw, warnings = self._file(name, self.dotenv)
                raw = _assigned(raw, name)
                if raw.data:
                    warned = f"`secret://{name}` comes from `{self.dotenv}`, which is for development only"
                    return self._sealed(name, raw, places[-1], (warned, *warnings), owner)
        raise SecretMissing(
            f"`secret://{name}` is nowhere; looked at {', '.join(places)}",
            places=tuple(places),
            hint=f"set `{name}`, or `{name}_FILE` to a file that holds it, or mount it at `{DIRECTORIES[0]}/{name}`",
        )

    @staticmethod
    def _sealed(name: str, raw: _Raw, place: str, warnings: tuple[str, ...], owner: object) -> Loaded:
        flaw = raw.flaw()
        if flaw:
            raise SecretError(f"`secret://{name}` from {place} {flaw}")
        if not raw.text():
            raise SecretError(f"`secret://{name}` from {place} is empty")
        return Loaded(secret=Secret(name, raw.text(), owner=owner), place=place, warnings=warnings)

    @staticmethod
    def _file(name: str, path: str) -> tuple[_Raw, tuple[str, ...]]:
        failed = ""
        try:
            # O_NONBLOCK: a fifo in the place of a file must not hold up the start
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except (OSError, ValueError) as error:
            failed = getattr(error, "strerror", None) or "it is no path"
            descriptor = -1
        if failed:
            raise SecretError(f"`secret://{name}` cannot be read from `{path!a}`: {failed.lower()}")
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise SecretError(f"`secret://{name}` cannot be read from `{path!a}`: it is no regular file")
            raw = _Raw(b"")
            while len(raw.data) <= MAX_BYTES and (more := os.read(descriptor, MAX_BYTES + 1)):
                raw.data += more
                del more
        finally:
            os.close(descriptor)
        warnings = []
        if status.st_mode & stat.S_IROTH:
            warnings.append(f"`{path}` is readable by everybody on this machine; `chmod o-rwx` it")
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            warnings.append(f"`{path}` can be changed by others; `chmod go-w` it")
        return raw, tuple(warnings)


def _assigned(raw: _Raw, name: str) -> _Raw:
    """What a `.env` assigns to `name`; the last assignment counts. Nothing is expanded."""
    if raw.flaw():
        return raw
    for matched in reversed(list(_ASSIGNMENT.finditer(raw.data.decode()))):
        if matched[1] == name:
            double, single, plain = matched.group(2, 3, 4)
            if double is not None:
                double = re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), double, flags=re.DOTALL)
            value = next((v for v in (double, single, plain) if v is not None), "")
            return _Raw(value.strip().encode() if double is None and single is None else value.encode())
    return _Raw(b"")
