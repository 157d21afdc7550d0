"""What an entry of `kind: shell` may say, and the one tool that it yields.

Off by default twice: there is no tool without an entry, and no entry without a list of commands or `any_command: true`.
The list is a gate on what the model may ask for; what a command may *do* is bounded by the sandbox alone, since many
programs start others. The workspace is read-only unless `write: true`, and only then has the tool an effect.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from interlock.kernel.call import Json
from interlock.kernel.spec import Argument, Effect, Role, ToolSpec
from interlock.tools.kind import Config, ConfigError, ScopeError
from interlock.tools.shell.job import Limits, Tier

SEARCH = ("/usr/local/bin", "/usr/bin", "/bin")
MAX_LIMITS: Mapping[str, int] = {  # beyond these a limit limits nothing
    "seconds": 3600,
    "cpu": 3600,
    "memory": 64 << 30,
    "processes": 4096,
    "descriptors": 4096,
    "file_bytes": 16 << 30,
    "disk_bytes": 256 << 30,
    "tmp_bytes": 16 << 30,
    "output_bytes": 16 << 20,
    "input_bytes": 16 << 20,
}
LONGEST_WORD = (128 << 10) - 1  # bytes; the kernel's own limit on one argument of a program
COMMON = (
    " There is no network; nothing but the workspace and the system's programs can be read; the environment is empty."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """An entry of the manifest, checked."""

    workspace: str  # a folder that exists
    write: bool = False
    commands: tuple[str, ...] = ()  # empty: any
    any_command: bool = False
    shell: bool = False  # a script for /bin/sh in place of a list of words
    read: tuple[str, ...] = ()  # folders and files, visible beside the workspace
    path: tuple[str, ...] = SEARCH  # where commands are looked for
    env: Mapping[str, str] = field(default_factory=dict)
    user: int | Literal["auto"] = "auto"
    min_isolation: Tier = "L"
    description: str = ""
    limits: Limits = field(default_factory=Limits)


def settings(config: Config) -> Settings:
    """`config`, checked.

    Raises:
        ConfigError: an unknown key, or a value that cannot be meant.
    """
    _known(config, {"kind", *(f.name for f in fields(Settings))}, ())
    workspace = config.get("workspace")
    if not isinstance(workspace, str) or not workspace or "\0" in workspace:
        raise ConfigError("`workspace` must name a folder", path=("workspace",))
    flags = {name: config.get(name, False) for name in ("write", "any_command", "shell")}
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise ConfigError(f"`{name}` must be true or false", path=(name,))
    commands = _texts(config, "commands")
    if wrong := next((c for c in commands if "/" in c), None):
        raise ConfigError(f"`{wrong}` must be a plain name; where it is looked for is `path`", path=("commands",))
    if bool(commands) == bool(flags["any_command"]):
        raise ConfigError(
            "an entry says either `commands` or `any_command: true`",
            path=("commands",),
            hint="list the programs the agent needs: `commands: [grep, sort]`",
        )
    if flags["shell"] and commands:
        raise ConfigError("a script can name any command; `shell: true` needs `any_command: true`", path=("shell",))
    user = config.get("user", "auto")
    if user != "auto" and (isinstance(user, bool) or not isinstance(user, int) or not 0 < user < 1 << 31):
        raise ConfigError("`user` must be `auto` or the number of a user other than root", path=("user",))
    least = config.get("min_isolation", "L")
    if least not in {"B", "L"}:
        raise ConfigError("`min_isolation` must be B (namespaces) or L (Landlock)", path=("min_isolation",))
    description = config.get("description", "")
    if not isinstance(description, str):
        raise ConfigError("`description` must be a text", path=("description",))
    return Settings(
        workspace=workspace,
        write=bool(flags["write"]),
        commands=commands,
        any_command=bool(flags["any_command"]),
        shell=bool(flags["shell"]),
        read=_texts(config, "read"),
        path=_texts(config, "path") or SEARCH,
        env=_env(config.get("env", {})),
        user="auto" if user == "auto" else int(str(user)),
        min_isolation="B" if least == "B" else "L",
        description=description,
        limits=_limits(config.get("limits", {})),
    )


def _texts(config: Config, name: str) -> tuple[str, ...]:
    value = config.get(name, [])
    if not isinstance(value, list | tuple) or not all(isinstance(v, str) and v and "\0" not in v for v in value):
        raise ConfigError(f"`{name}` must be a list of texts", path=(name,))
    return tuple(dict.fromkeys(value))


def _env(value: object) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise ConfigError("`env` must be a mapping from a name to a text", path=("env",))
    for name, text in value.items():
        if not isinstance(name, str) or not name or {"=", "\0"} & set(name):
            raise ConfigError(f"`{name}` is no name of a variable", path=("env",))
        if not isinstance(text, str) or "\0" in text:
            raise ConfigError(f"`{name}` must be a text", path=("env", name))
        if text.startswith("secret://"):
            raise ConfigError(
                "a secret in a sandbox is the sandbox's",
                path=("env", name),
                hint="give the agent a tool that uses the secret for it",
            )
    return dict(value)


def _limits(config: object) -> Limits:
    if not isinstance(config, Mapping):
        raise ConfigError("`limits` must be a mapping from a limit to a number", path=("limits",))
    _known(config, set(MAX_LIMITS), ("limits",))
    for name, value in config.items():
        right = (int, float) if name == "seconds" else int
        if isinstance(value, bool) or not isinstance(value, right) or not 0 < value <= MAX_LIMITS[name]:
            what = "number" if name == "seconds" else "whole number"
            raise ConfigError(
                f"`{name}` must be a {what} above 0 and at most {MAX_LIMITS[name]}", path=("limits", name)
            )
    return Limits(**config)


def _known(config: Mapping[str, object], names: set[str], path: tuple[str, ...]) -> None:
    for key in config:
        if key not in names:
            near = difflib.get_close_matches(str(key), names, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(sorted(names))}"
            raise ConfigError(f"`{key}` is no key of `kind: shell`", path=(*path, str(key)), hint=hint)


def tool(entry: str, chosen: Settings) -> ToolSpec:
    """The tool of an entry."""
    asked = "script" if chosen.shell else "argv"
    what = "Run a script of /bin/sh in a sandbox." if chosen.shell else "Run a command in a sandbox; no shell reads it."
    if chosen.commands:
        what += f" Commands: {', '.join(chosen.commands)}."
    kind = {"type": "string"} if chosen.shell else {"type": "array", "items": {"type": "string"}, "minItems": 1}
    return ToolSpec(
        name=entry,
        effect=Effect.WRITE if chosen.write else Effect.READ,
        resource="Command",
        description=chosen.description or what + COMMON,
        arguments=(
            Argument(path=asked, role=Role.COMMAND),
            Argument(path="stdin", role=Role.TEXT),
            Argument(path="cwd", role=Role.PATH),
        ),
        schema={
            "type": "object",
            "properties": {
                asked: kind,
                "stdin": {"type": "string", "description": "standard input"},
                "cwd": {"type": "string", "description": "folder inside the workspace"},
            },
            "required": [asked],
            "additionalProperties": False,
        },
    )


def validate(chosen: Settings, arguments: Mapping[str, Json]) -> Mapping[str, Json]:
    """`arguments`, which have the right names and types.

    Raises:
        ScopeError: they do not.
    """
    asked = "script" if chosen.shell else "argv"
    if extra := sorted(arguments.keys() - {asked, "stdin", "cwd"}):
        raise ScopeError(f"`{extra[0][:80]}` is no argument of this tool; it has `{asked}`, `stdin` and `cwd`")
    value = arguments.get(asked)
    if chosen.shell and not isinstance(value, str):
        raise ScopeError("`script` must be a text")
    words = [value] if isinstance(value, str) and chosen.shell else value
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        raise ScopeError("`argv` must be a list of texts, the command first")
    rest = [arguments.get(name, "") for name in ("stdin", "cwd")]
    if not all(isinstance(text, str) for text in rest):
        raise ScopeError("`stdin` and `cwd` must be texts")
    return arguments
