"""The self-test of a root: real traps in a folder of our own, tried with the resolver that serves it.

A canary lies outside a small root; a link, a chain of links, `..`, a magic link of /proc, a hard link and a pipe try to
reach it or to make us wait. A claim that does not hold says so; it is never assumed.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path as Folder

from interlock.tools.files import system
from interlock.tools.files.resolve import Resolver, choose
from interlock.tools.files.root import Root
from interlock.tools.files.scope import Path, parse
from interlock.tools.kind import ConfigError, Layer, Proof, ScopeError, ToolFailed

_HARD = "a file with one name that somebody put here is read: it lies in the root"
_LINK = "a process that may write to the root can still put content there"


def prove(resolver: Resolver, *, openat2: system.Openat2, walks: Callable[[], bool]) -> tuple[Proof, ...]:
    """One proof for each way out, and one for the resolver itself."""
    with tempfile.TemporaryDirectory(prefix="interlock-proof-") as home:
        canary = secrets.token_hex(16)
        outside, inside = Folder(home, "outside"), Folder(home, "root")
        outside.mkdir()
        inside.mkdir()
        (outside / "canary").write_text(canary)
        (inside / "open").write_text("open")
        (inside / "link").symlink_to(outside / "canary")
        (inside / "folder-link").symlink_to("../outside")
        (inside / "magic").symlink_to("/proc/self/root" + str(outside / "canary"))
        (outside / "twin").write_text(canary)  # of its own: a second name alone would have the links refused
        os.link(outside / "twin", inside / "hard")
        os.mkfifo(inside / "pipe")
        root = Root(os.open(inside, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), resolver, follow=False)
        kernel: Layer = "kernel" if resolver.name == "openat2" else "gate"
        try:
            return (
                _resolver(resolver, openat2, walks),
                _reads(root, "open", "open"),
                _refuses(root, kernel, "a link is not followed", "link", canary, _LINK),
                _refuses(root, kernel, "a link to a folder is not followed", "folder-link/canary", canary, _LINK),
                _refuses(root, kernel, "`..` does not leave the root", "../outside/canary", canary),
                _refuses(root, kernel, "a magic link of /proc is not followed", "magic", canary),
                _refuses(root, "gate", "a file with a second name is not read", "hard", canary, _HARD),
                _refuses(root, "gate", "a pipe is not opened", "pipe", canary),
                _writes(root, kernel, outside),
            )
        finally:
            root.close()


def _resolver(resolver: Resolver, openat2: system.Openat2, walks: Callable[[], bool]) -> Proof:
    with tempfile.TemporaryDirectory(prefix="interlock-proof-") as home:
        fd = os.open(home, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            now = choose(fd, openat2=openat2, walks=walks).name
        except ConfigError:
            now = "none"
        finally:
            os.close(fd)
    residual = "" if resolver.name == "openat2" else "mounts within one file system are told apart by /proc only"
    return Proof(
        layer="kernel" if resolver.name == "openat2" else "gate",
        claim="paths are resolved without a moment between check and use",
        held=now == resolver.name,
        evidence=f"resolver {resolver.name}, tried again: {now}",
        residual=residual,
    )


def _attempt(root: Root, text: str) -> tuple[str, str]:
    """(content, refusal) of reading `text`; as the resolver sees it, the gate's own look at `..` left out."""
    steps = tuple(text.split("/"))
    try:
        with root.file(Path(steps=steps, parts=steps, folder=False)) as (fd, _):
            return os.read(fd, 64).decode(errors="replace"), ""
    except (OSError, ToolFailed) as error:
        return "", _reason(error)


def _reason(error: OSError | ToolFailed) -> str:
    return error.strerror or "refused" if isinstance(error, OSError) else str(error)


def _reads(root: Root, text: str, content: str) -> Proof:
    got, refusal = _attempt(root, text)
    evidence = f"refused ({refusal})" if refusal else "read"
    return Proof(layer="gate", claim="a plain file is read", held=got == content, evidence=evidence)


def _refuses(root: Root, layer: Layer, claim: str, text: str, canary: str, residual: str = "") -> Proof:
    got, refusal = _attempt(root, text)
    held = bool(refusal) and canary not in got
    if ".." in text:
        try:
            parse(text, depth=32)
            held = False
        except ScopeError:
            pass
    evidence = f"`{text}` refused ({refusal})" if refusal else f"`{text}` was opened"
    return Proof(layer=layer, claim=claim, held=held, evidence=evidence, residual=residual)


def _writes(root: Root, layer: Layer, outside: Folder) -> Proof:
    try:
        with root.new(Path.of(("folder-link", "planted")), replace=True) as fd:
            os.write(fd, b"planted")
        refusal = ""
    except (OSError, ToolFailed) as error:
        refusal = _reason(error)
    planted = (outside / "planted").exists()
    evidence = f"refused ({refusal})" if refusal else "written"
    return Proof(layer=layer, claim="nothing is written through a link", held=not planted, evidence=evidence)
