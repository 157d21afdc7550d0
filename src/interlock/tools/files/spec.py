"""An entry `kind: files` as settings, and the tools it yields. Pure: nothing is opened.

    docs: {kind: files, root: ./docs}
    out:  {kind: files, root: ./out, mode: write, operations: [list, read, write, mkdir], limits: {file_bytes: 65536}}

Read-only unless `mode: write`. What others may have written is external: content, and names of a listing. `trusted:
true` makes both own, and is refused for an entry that writes: what the agent wrote must not come back trusted.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import TypeAlias

from interlock.kernel.spec import Argument, Effect, Returns, Role, ToolSpec
from interlock.tools.kind import Config, ConfigError

READS = ("list", "read", "search", "glob")
WRITES = ("write", "append", "mkdir", "move")
LISTED = ("extract", "delete")  # served only where `operations` names them
OPERATIONS = (*READS, *WRITES, *LISTED)
_KEYS = ("kind", "root", "mode", "operations", "follow_links", "trusted", "protect", "unprotect", "limits")
_Schema: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Every bound of a root."""

    read_bytes: int = 262_144  # in one result
    list_entries: int = 1_000  # in one result
    walk_entries: int = 50_000  # that a glob or search looks at
    search_bytes: int = 33_554_432  # that a search looks at
    search_matches: int = 200  # in one result
    search_seconds: float = 5.0  # for a glob or search
    regexp_seconds: float = 2.0  # for a regular expression on all of it
    file_bytes: int = 10_485_760  # of a file that is written
    root_bytes: int = 1_073_741_824  # in the root, when something is written
    root_files: int = 100_000  # files and folders in the root, when something is written
    depth: int = 32  # steps of a path
    archive_bytes: int = 104_857_600  # of an archive, and of what is taken out of it
    archive_members: int = 1_000
    archive_ratio: int = 100  # bytes taken out for each byte of the archive


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """An entry, checked."""

    root: str
    operations: tuple[str, ...]
    follow: bool = False
    trusted: bool = False
    protect: tuple[str, ...] = ()
    unprotect: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def of(cls, config: Config) -> Settings:
        """What the manifest says.

        Raises:
            ConfigError: an unknown key, a wrong value, or an entry that could not be safe.
        """
        _known(config, _KEYS, ())
        root = config.get("root")
        if not isinstance(root, str) or not root.strip() or "\0" in root:
            raise ConfigError("`root` must name a folder", path=("root",), hint="root: ./docs")
        if root.startswith("/") and not root.strip("/."):
            raise ConfigError("`root` is the whole file system; name a folder in it", path=("root",))
        mode = _choice(config, "mode", ("read", "write"))
        operations = _operations(config, mode)
        follow = _choice(config, "follow_links", ("never", "inside")) == "inside"
        trusted = config.get("trusted", False)
        if not isinstance(trusted, bool):
            raise ConfigError("`trusted` must be true or false", path=("trusted",))
        if trusted and mode == "write":
            raise ConfigError(
                "`trusted` and `mode: write` exclude each other: what the agent wrote would come back as trusted",
                path=("trusted",),
                hint="use two entries with two folders, or leave `trusted` out",
            )
        return cls(
            root=root,
            operations=operations,
            follow=follow,
            trusted=trusted,
            protect=_names(config, "protect"),
            unprotect=_names(config, "unprotect"),
            limits=_limits(config.get("limits", {})),
        )


def _known(given: Iterable[object], known: tuple[str, ...], path: tuple[str, ...]) -> None:
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            meant = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(known)}"
            raise ConfigError(f"`{key}` is no key of a files entry; {meant}", path=(*path, str(key)))


def _choice(config: Config, key: str, choices: tuple[str, ...]) -> str:
    value = config.get(key, choices[0])
    if value not in choices:
        near = difflib.get_close_matches(str(value), choices, n=1)
        meant = f"did you mean `{near[0]}`?" if near else f"use {' or '.join(choices)}"
        raise ConfigError(f"`{value}` is no value of `{key}`; {meant}", path=(key,))
    return str(value)


def _operations(config: Config, mode: str) -> tuple[str, ...]:
    listed = config.get("operations")
    if listed is None:
        return READS if mode == "read" else (*READS, *WRITES)
    names = _names(config, "operations")
    if not names:
        raise ConfigError("`operations` is empty; leave it out for the operations of the mode", path=("operations",))
    for name in names:
        if name not in OPERATIONS:
            near = difflib.get_close_matches(name, OPERATIONS, n=1)
            meant = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(OPERATIONS)}"
            raise ConfigError(f"`{name}` is no operation on files; {meant}", path=("operations", name))
        if mode == "read" and name not in READS:
            raise ConfigError(
                f"`{name}` changes files, and this entry only reads", path=("operations", name), hint="mode: write"
            )
    return tuple(name for name in OPERATIONS if name in names)


def _names(config: Config, key: str) -> tuple[str, ...]:
    value = config.get(key, ())
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) and item.strip("/") for item in value):
        raise ConfigError(f"`{key}` must be a list of names", path=(key,))
    return tuple(value)


def _limits(given: object) -> Limits:
    if not isinstance(given, Mapping):
        raise ConfigError("`limits` must be a mapping of names to numbers", path=("limits",))
    _known(given, tuple(f.name for f in fields(Limits)), ("limits",))
    for name, value in given.items():
        number = float if name.endswith("_seconds") else int
        right = isinstance(value, int | number) and not isinstance(value, bool) and math.isfinite(value) and value > 0
        if not right:
            what = "a number of seconds" if number is float else "a whole number"
            raise ConfigError(f"`{name}` must be {what} above 0", path=("limits", str(name)))
    return Limits(**given)


def tools(entry: str, settings: Settings) -> tuple[ToolSpec, ...]:
    """One spec for each operation, in the order of `OPERATIONS`."""
    one = len(settings.operations) == 1
    return tuple(_MAKERS[name](entry if one else f"{entry}_{name}", entry, settings) for name in settings.operations)


def _spec(
    name: str,
    effect: Effect,
    description: str,
    arguments: Mapping[str, tuple[Role, _Schema]],
    *,
    required: tuple[str, ...],
    returns: Returns,
) -> ToolSpec:
    return ToolSpec(
        name=name,
        effect=effect,
        description=description,
        arguments=tuple(Argument(path=path, role=role) for path, (role, _) in arguments.items()),
        returns=returns,
        resource="File",
        schema={
            "type": "object",
            "properties": {path: schema for path, (_, schema) in arguments.items()},
            "required": list(required),
            "additionalProperties": False,
        },
    )


def _path(description: str) -> tuple[Role, _Schema]:
    return Role.PATH, {"type": "string", "minLength": 1, "maxLength": 4095, "description": description}


def _option(schema: _Schema) -> tuple[Role, _Schema]:
    return Role.OPTION, schema


def _returns(settings: Settings, *own: str, records: str = "") -> Returns:
    """A file is known by its path. What is listed as own nobody but the system can set."""
    names = ("name",) if records else ()
    return Returns(object="file", records=records, id=("path",), names=names, own=("*",) if settings.trusted else own)


def _list(name: str, entry: str, settings: Settings) -> ToolSpec:
    return _spec(
        name,
        Effect.READ,
        f"Lists one folder of `{entry}`: path, name, type, size, time of change. `.` is the folder itself.",
        {"path": _path("Folder, relative, for example `.` or `a/b`.")},
        required=(),
        returns=_returns(settings, "type", "size", "modified", records="entries"),
    )


def _read(name: str, entry: str, settings: Settings) -> ToolSpec:
    most = settings.limits.read_bytes
    return _spec(
        name,
        Effect.READ,
        f"Reads a file of `{entry}`, at most {most} bytes at a time; what is no UTF-8 comes as base64.",
        {
            "path": _path("File, relative, for example `a/b.txt`."),
            "offset": _option({"type": "integer", "minimum": 0, "description": "First byte to read."}),
            "limit": _option({"type": "integer", "minimum": 1, "description": "How many bytes."}),
        },
        required=("path",),
        returns=_returns(settings, "size", "next_offset", "truncated", "encoding"),
    )


def _search(name: str, entry: str, settings: Settings) -> ToolSpec:
    return _spec(
        name,
        Effect.READ,
        f"Finds lines with a text, or a regular expression, in the files of `{entry}`.",
        {
            "query": (Role.TEXT, {"type": "string", "minLength": 1, "maxLength": 1000}),
            "path": _path("Folder or file to search, `.` for all."),
            "files": _option({"type": "string", "description": "Only files like this, for example `**/*.md`."}),
            "regexp": _option({"type": "boolean", "description": "`query` is a regular expression."}),
            "ignore_case": _option({"type": "boolean"}),
        },
        required=("query",),
        returns=_returns(settings, "line", "column", records="matches"),
    )


def _glob(name: str, entry: str, settings: Settings) -> ToolSpec:
    return _spec(
        name,
        Effect.READ,
        f"Finds files and folders of `{entry}` by name: `*` and `?` within a name, `**` across folders.",
        {
            "pattern": _option({"type": "string", "minLength": 1, "maxLength": 1000, "description": "As `**/*.md`."}),
            "path": _path("Folder to start from."),
        },
        required=("pattern",),
        returns=_returns(settings, "type", records="entries"),
    )


def _content(settings: Settings) -> tuple[Role, _Schema]:
    return Role.TEXT, {"type": "string", "maxLength": settings.limits.file_bytes}


def _write(name: str, entry: str, settings: Settings) -> ToolSpec:
    return _spec(
        name,
        Effect.WRITE,
        f"Writes a whole text file in `{entry}`. Its folder must be there.",
        {
            "path": _path("File, relative."),
            "content": _content(settings),
            "overwrite": _option({"type": "boolean", "description": "Replace a file that is there; true if left out."}),
        },
        required=("path", "content"),
        returns=_returns(settings, "size", "created"),
    )


def _append(name: str, entry: str, settings: Settings) -> ToolSpec:
    return _spec(
        name,
        Effect.WRITE,
        f"Adds text to the end of a file in `{entry}`; makes the file if it is not there.",
        {"path": _path("File, relative."), "content": _content(settings)},
        required=("path", "content"),
        returns=_returns(settings, "size", "created"),
    )


def _mkdir(name: str, entry: str, settings: Settings) -> ToolSpec:
    return _spec(
        name,
        Effect.WRITE,
        f"Makes a folder in `{entry}`, and the folders it stands in.",
        {"path": _path("Folder, relative.")},
        required=("path",),
        returns=_returns(settings, "created"),
    )


def _move(name: str, entry: str, settings: Settings) -> ToolSpec:
    return _spec(
        name,
        Effect.WRITE,
        f"Renames or moves a file or folder within `{entry}`; never replaces anything.",
        {"path": _path("What is moved."), "to": _path("Its new path, name included; must be free.")},
        required=("path", "to"),
        returns=_returns(settings),
    )


def _extract(name: str, entry: str, settings: Settings) -> ToolSpec:
    return _spec(
        name,
        Effect.WRITE,
        f"Takes files and folders out of a zip or tar archive in `{entry}`, all or none; never replaces anything.",
        {"path": _path("The archive."), "to": _path("Folder for what it holds; made if it is not there.")},
        required=("path", "to"),
        returns=_returns(settings, "size", "files"),
    )


def _delete(name: str, entry: str, settings: Settings) -> ToolSpec:
    return _spec(
        name,
        Effect.DESTROY,
        f"Deletes a file or an empty folder of `{entry}`, for good.",
        {
            "path": _path("What is deleted."),
            "recursive": _option({"type": "boolean", "description": "A folder with all that is in it."}),
        },
        required=("path",),
        returns=_returns(settings),
    )


_MAKERS: Mapping[str, Callable[[str, str, Settings], ToolSpec]] = {
    "list": _list,
    "read": _read,
    "search": _search,
    "glob": _glob,
    "write": _write,
    "append": _append,
    "mkdir": _mkdir,
    "move": _move,
    "extract": _extract,
    "delete": _delete,
}
