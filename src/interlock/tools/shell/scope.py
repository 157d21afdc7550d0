"""Call → resource: which command, asked from where. Pure; what the command then does is the sandbox's business."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from interlock.kernel.call import Call, Resource, thaw
from interlock.tools.kind import ScopeError
from interlock.tools.shell.spec import LONGEST_WORD, Settings, validate


@dataclass(frozen=True, slots=True)
class Request:
    """A call, read."""

    argv: list[str]
    stdin: str
    cwd: str  # relative to the workspace, without steps up


def read(chosen: Settings, call: Call) -> Request:
    """What `call` asks for.

    Raises:
        ScopeError: a command that is not listed, a folder outside, more than the limits.
    """
    arguments = {name: thaw(value) for name, value in call.arguments.items()}
    validate(chosen, arguments)
    given = arguments["script" if chosen.shell else "argv"]
    argv = (
        ["sh", "-c", given]
        if isinstance(given, str)
        else [str(word) for word in given]
        if isinstance(given, list)
        else []
    )
    stdin = str(arguments.get("stdin", ""))
    if any("\0" in word for word in argv) or not argv[0]:
        raise ScopeError("`argv` holds an empty command or a NUL, which no program can be given")
    sizes = [len(word.encode()) for word in (*argv, stdin)]
    if max(sizes[:-1]) > LONGEST_WORD:
        raise ScopeError(f"one argument has more than {LONGEST_WORD} bytes; pass it as `stdin`")
    if sum(sizes) > chosen.limits.input_bytes:
        raise ScopeError(
            f"arguments and input have {sum(sizes)} bytes; `input_bytes` allows {chosen.limits.input_bytes}"
        )
    if chosen.commands and argv[0] not in chosen.commands:
        raise ScopeError(f"`{argv[0][:80]}` is not listed under `commands`", hint="list it, if the agent needs it")
    return Request(argv, stdin, _inside(str(arguments.get("cwd", ""))))


def _inside(cwd: str) -> str:
    """`cwd`, which stays in the workspace; lexically, links are settled by `perform`."""
    plain = posixpath.normpath(cwd or ".")
    if "\0" in cwd or posixpath.isabs(plain) or plain == ".." or plain.startswith("../"):
        raise ScopeError("`cwd` must be a folder inside the workspace, relative to it")
    return plain


def resource(entry: str, chosen: Settings, call: Call) -> Resource:
    """The command, by the name it was asked for.

    Raises:
        ScopeError: see `read`.
    """
    return Resource("Command", f"{entry}:{posixpath.basename(read(chosen, call).argv[0])}")
