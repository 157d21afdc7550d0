"""Finds what should be a handle, in files, notebooks and git's history. It changes nothing, and shows no value whole.

`scan` walks; `shapes` decides. Links are not followed, special files not opened, binary files and others' code
(`SKIPPED`) passed over. The history is read through git's plumbing with every setting switched off that could run a
program: a repository that is scanned is not trusted.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from interlock.secrets import history as git
from interlock.secrets.errors import ScanError
from interlock.secrets.shapes import Match, Medium, find

MAX_BYTES = 8 * 1024 * 1024  # of one file; what lies behind is not looked at, and reported
SKIPPED = frozenset(  # others' code, caches, and what version control keeps for itself
    ".git .hg .svn node_modules .venv venv site-packages __pycache__ .mypy_cache .ruff_cache .pytest_cache .hypothesis "
    ".tox .nox .terraform .idea".split()
)
_LOCKS = frozenset(
    "package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml bun.lock poetry.lock uv.lock pdm.lock pipfile.lock "
    "cargo.lock go.sum composer.lock gemfile.lock flake.lock packages.lock.json podfile.lock mix.lock deno.lock".split()
)
_CONFIG = tuple(
    ".env .envrc .yml .yaml .ini .cfg .conf .config .toml .properties .tf .tfvars .npmrc .pypirc .netrc .sh .bash .zsh "
    ".ps1 .service .credentials".split()
)
_CONFIG_PREFIXES = ("dockerfile", "containerfile", ".env")
_CONFIG_NAMES = frozenset({"credentials", "procfile"})
_TEMPLATES = (".example", ".sample", ".template", ".dist", ".tmpl", "-example", "_example")
_SHOWN = 4  # characters of a value; of a short one none
_SHORT = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A literal that should be a handle. `line` counts from 1; `commit` is empty for a file as it lies there."""

    path: str
    line: int
    rule: str
    preview: str  # masked
    name: str  # of the handle that could stand in its place
    commit: str = ""  # the object in git's history that holds it

    @property
    def remedy(self) -> str:
        """What to do."""
        handle = f"write `secret://{self.name}` and keep the value in the environment or a secret file"
        return f"revoke it, it stays in the history; {handle}" if self.commit else handle

    def __str__(self) -> str:
        at = f" (history, object {self.commit[:12]})" if self.commit else ""
        return f"{self.path}:{self.line}: {self.rule}: {self.preview}{at} → secret://{self.name}"


def scan(path: str | os.PathLike[str], *, history: bool = False) -> Iterator[Finding]:
    """Findings in the file or folder `path`, in order of path and line; then those that only the history still has.

    Raises:
        ScanError: `path` is not there, or with `history` is in no repository that git can read.
    """
    root = os.fspath(path)
    if not os.path.lexists(root):
        raise ScanError(f"`{root}` is not there; name a file or a folder")
    seen: set[bytes] = set()
    for file in _files(root):
        shown = os.path.relpath(file, root) if file != root else root
        for match, line in _in_file(file):
            seen.add(_mark(match))
            yield _finding(shown, line, match)
    if history:
        for blob in git.objects(root if Path(root).is_dir() else str(Path(root).parent)):
            for match, line in scan_text(blob.text, blob.path):
                if _mark(match) not in seen:
                    seen.add(_mark(match))
                    yield _finding(blob.path or "(message)", line, match, commit=blob.id)


def exit_code(findings: Iterable[Finding]) -> int:
    """What a command ends with: 1 if there is a finding, else 0."""
    return int(any(True for _ in findings))


def scan_text(text: str, path: str) -> Iterator[tuple[Match, int]]:
    """Matches in the content of a file called `path`, each with its line."""
    name = Path(path).name.lower()
    if name.endswith(".ipynb"):
        cells = _cells(text)
        if cells is not None:
            yield from _in_notebook(text, cells)
            return
    yield from ((match, text.count("\n", 0, match.start) + 1) for match in find(text, medium(path), file_name=name))


def medium(path: str) -> Medium:
    """What kind of text a file of this name holds. A template is read as code: its passwords are examples."""
    name = Path(path).name.lower()
    if name in _LOCKS or name.endswith((".min.js", ".map", ".svg")):
        return Medium.LOCK
    if name.endswith(_TEMPLATES) or any(mark in name for mark in (".example.", ".sample.", ".template.")):
        return Medium.CODE
    if name.endswith(_CONFIG) or name.startswith(_CONFIG_PREFIXES) or name in _CONFIG_NAMES:
        return Medium.CONFIG
    return Medium.CODE


def _finding(path: str, line: int, match: Match, *, commit: str = "") -> Finding:
    return Finding(path=path, line=line, rule=match.rule, preview=masked(match.value), name=match.name, commit=commit)


def masked(value: str) -> str:
    """A value that may be shown: how it begins, if it is long, and its length."""
    first = value.split("\n", 1)[0]
    head = "-----BEGIN" if value.startswith("-----BEGIN") else first[:_SHOWN] if len(value) >= _SHORT else ""
    return f"{head.encode('unicode_escape').decode()}… ({len(value)} characters)"


def _mark(match: Match) -> bytes:
    return hashlib.sha256(f"{match.rule}\0{match.value}".encode(errors="surrogatepass")).digest()


def _files(root: str) -> Iterator[str]:
    """Regular files under `root`, sorted; no link is followed."""
    if not stat.S_ISDIR(os.lstat(root).st_mode):
        if stat.S_ISREG(os.lstat(root).st_mode):
            yield root
        return
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        for name in sorted(names):
            file = str(Path(folder, name))
            if stat.S_ISREG(os.lstat(file).st_mode):
                yield file


def _in_file(file: str) -> Iterator[tuple[Match, int]]:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        yield _unread(error.strerror or "unreadable"), 1
        return
    with os.fdopen(descriptor, "rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    text = readable(data[:MAX_BYTES])
    if text is None:
        return
    yield from scan_text(text, file)
    if len(data) > MAX_BYTES:
        yield _unread(f"more than {MAX_BYTES} bytes"), text.count("\n") + 1


def _unread(why: str) -> Match:
    """Silence would read as a clean bill."""
    return Match(rule="not-scanned", start=0, end=0, value=why, name="")


def readable(data: bytes) -> str | None:
    """`data` as text; None for what is none."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    return None if b"\0" in data[:8192] else data.decode(errors="replace")


def _cells(text: str) -> list[str] | None:
    """Sources and textual outputs of a notebook; None if it is none."""
    try:
        notebook = json.loads(text)
    except ValueError:
        return None
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        return None
    return [words for cell in notebook["cells"] for words in _words(cell)]


def _words(node: object) -> Iterator[str]:
    """Texts of a notebook's part; pictures are left out."""
    match node:
        case str():
            yield node
        case list() if node and all(isinstance(item, str) for item in node):
            yield "".join(node)
        case list():
            for item in node:
                yield from _words(item)
        case dict():
            for key, item in node.items():
                if not str(key).startswith(("image/", "video/", "audio/")):
                    yield from _words(item)
        case _:
            pass


def _in_notebook(text: str, cells: list[str]) -> Iterator[tuple[Match, int]]:
    """Matches in the cells, at the lines of the file: each value's first piece is looked up as JSON spells it."""
    place: dict[str, int] = {}
    for cell in cells:
        for match in find(cell, Medium.CODE):
            first = match.value.split("\n", 1)[0]
            spelled = next((s for s in (json.dumps(first)[1:-1], first) if s in text), "")
            at = text.find(spelled, place.get(spelled, 0))
            at = text.find(spelled) if at < 0 else at
            place[spelled] = at + 1
            yield match, text.count("\n", 0, at) + 1
