"""Every object that git's history still holds, read through plumbing that runs nothing of the repository.

`rev-list` lists, `cat-file` prints: no diff, no text conversion, no pager, no signature check, no hook. Settings that
could start a program or open a connection are overridden, system and user settings are not read.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

from interlock.secrets.errors import ScanError

MAX_OBJECT = 2 * 1024 * 1024  # bytes; larger objects are data, not what somebody typed
MAX_TOTAL = 1024 * 1024 * 1024  # bytes of one history

_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.pager=cat",
    "core.attributesFile=/dev/null",
    "log.showSignature=false",
    "protocol.allow=never",  # a partial clone must not fetch what it lacks
    "gc.auto=0",
)
_ENVIRONMENT = {
    "PATH": os.defpath,
    "HOME": os.devnull,
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """A file as it once was, or the message of a commit or tag (no path)."""

    id: str
    path: str
    text: str


def objects(folder: str) -> Iterator[Object]:
    """Every readable blob, commit and tag that a reference or the reference log reaches, each once.

    Raises:
        ScanError: git is absent, or `folder` is in no repository that it reads.
    """
    total = 0
    with _git(folder, "cat-file", "--batch") as reader:
        for oid, path, size in _listed(folder):
            total += size
            if total > MAX_TOTAL:
                raise ScanError(f"the history holds more than {MAX_TOTAL} bytes; scan a clone with fewer references")
            data = _object(reader, oid)
            if b"\0" not in data[:8192]:
                yield Object(id=oid, path=path, text=data.decode(errors="replace"))


def _listed(folder: str) -> Iterator[tuple[str, str, int]]:
    """Id, path and size of what to read, newest first."""
    with _git(folder, "rev-list", "--objects", "--all", "--reflog", "--missing=allow-any") as lister:
        lines = (lister.stdout or _closed()).read().decode(errors="surrogateescape").splitlines()
        if lister.wait():
            raise ScanError(
                f"git cannot read the history of `{folder}`; name a folder in a repository that you own",
                hint="git refuses repositories of other users",
            )
    with _git(folder, "cat-file", "--batch-check=%(objecttype) %(objectsize)") as sizer:
        for line in lines:
            oid, _, path = line.partition(" ")
            kind, _, size = _ask(sizer, oid).partition(" ")
            if kind in {"blob", "commit", "tag"} and int(size) <= MAX_OBJECT:
                yield oid, path if kind == "blob" else "", int(size)


def _object(process: subprocess.Popen[bytes], oid: str) -> bytes:
    size = int(_ask(process, oid).rsplit(" ", 1)[1])
    data = (process.stdout or _closed()).read(size + 1)  # git adds a line end
    return data[:-1]


def _ask(process: subprocess.Popen[bytes], oid: str) -> str:
    (process.stdin or _closed()).write(f"{oid}\n".encode())
    (process.stdin or _closed()).flush()
    return (process.stdout or _closed()).readline().decode().rstrip("\n")


def _closed() -> NoReturn:
    raise ScanError("git ended before it had answered")


@contextmanager
def _git(folder: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    program = shutil.which("git", path=os.defpath) or shutil.which("git")
    if program is None:
        raise ScanError("there is no `git` to read the history with; install it")
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    process = subprocess.Popen(  # noqa: S603 - a fixed program, fixed words, no shell; object ids go through its input
        [program, "--no-pager", *settings, "-C", folder, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_ENVIRONMENT,
    )
    try:
        yield process
    finally:
        process.kill()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        process.wait()
