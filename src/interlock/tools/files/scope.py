"""A path of the model as steps below the root. Pure; nothing is decoded, expanded or normalised.

`%2e%2e`, `~`, `$HOME`, full-width dots and `C:` are names like any other. Refused is what the kernel would refuse or
cannot even be asked: absolute paths, NUL, `..` above the root, names and paths that are too long or too deep. The
kernel gets the steps as the model wrote them (`missing/../a` stays missing); the resource is what they come to where
there are no links.
"""

from __future__ import annotations

from dataclasses import dataclass

from interlock.tools.kind import ScopeError

MAX_NAME = 255  # bytes, Linux NAME_MAX
MAX_PATH = 4095  # bytes without the final NUL, Linux PATH_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """Steps below a root. `parts` is where they lead as long as none is a link; `folder` says it must be a folder."""

    steps: tuple[str, ...]
    parts: tuple[str, ...]
    folder: bool

    @classmethod
    def of(cls, parts: tuple[str, ...]) -> Path:
        """The path to `parts`, which hold no `..`."""
        return cls(steps=parts, parts=parts, folder=not parts)

    @property
    def name(self) -> str:
        """The last step: a single name.

        Raises:
            ScopeError: there is none, or it is `..`, so that no entry of a folder is named.
        """
        if not self.steps or self.steps[-1] == "..":
            raise ScopeError("`path` names no entry of a folder; end it with a name")
        return self.steps[-1]

    def __str__(self) -> str:
        return "/".join(self.parts) or "."


def parse(text: str, *, depth: int) -> Path:
    """The steps that `text` names, at most `depth` of them.

    Raises:
        ScopeError: `text` leaves the root or cannot be the path of a file.
    """
    if not text:
        raise ScopeError("`path` is empty; `.` is the root")
    if "\0" in text:
        raise ScopeError("`path` holds a NUL, which no name can")
    if text.startswith("/"):
        raise ScopeError("`path` is absolute; name it from the root on", hint="the root itself is `.`")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ScopeError("`path` holds a lone surrogate, which is no text") from None
    if size > MAX_PATH:
        raise ScopeError(f"`path` is longer than {MAX_PATH} bytes")
    steps: list[str] = []
    parts: list[str] = []
    pieces = text.split("/")
    for piece in pieces:
        if piece in {"", "."}:
            continue
        if size > MAX_NAME and len(piece.encode()) > MAX_NAME:
            raise ScopeError(f"a name in `path` is longer than {MAX_NAME} bytes")
        steps.append(piece)
        if piece != "..":
            parts.append(piece)
        elif parts:
            parts.pop()
        else:
            raise ScopeError("`path` leaves the root by `..`")
    if len(steps) > depth:
        raise ScopeError(f"`path` is deeper than {depth} folders", hint="`limits: {depth: …}` allows more")
    return Path(steps=tuple(steps), parts=tuple(parts), folder=pieces[-1] in {"", ".", ".."})
