"""What an entry of `kind: compute` may say, and the one tool that it yields.

The tool's effect is `read`: the interpreter has no files, network, clock of ours or environment. Whatever its code does
to the world it does through the tools under `tools:`, each of which is a call of its own, with its own permit.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from interlock.kernel.call import NAME, Json
from interlock.kernel.spec import Argument, Effect, Role, ToolSpec
from interlock.tools.kind import Config, ConfigError, ScopeError

MIB = 1 << 20
MAX_LIMITS: Mapping[str, int] = {  # beyond these a limit limits nothing
    "seconds": 60,
    "deadline": 600,
    "memory": 1 << 30,
    "result_bytes": 16 * MIB,
    "printed_bytes": 16 * MIB,
    "input_bytes": 16 * MIB,
    "recursion": 1000,
    "calls": 1000,
}
DESCRIPTION = (
    "Run Python to shape data: filter, join, count, sort, parse. The value of the last expression is the result and "
    "must be JSON. No files, no network, no packages; `inputs` become variables."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one call may use."""

    seconds: float = 2.0  # of the interpreter's own work
    deadline: float = 30.0  # seconds in all, calls of other tools included
    memory: int = 64 * MIB  # bytes of the interpreter's heap
    result_bytes: int = 200_000  # of JSON
    printed_bytes: int = 20_000
    input_bytes: int = 1 * MIB  # code and inputs together, as JSON
    recursion: int = 200  # levels of calls
    calls: int = 20  # of other tools


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """An entry of the manifest, checked."""

    tools: tuple[str, ...] = ()  # that the code may call, by name
    parallel: int = 2  # calls at the same time; each has a worker of its own
    description: str = DESCRIPTION
    limits: Limits = field(default_factory=Limits)


def settings(config: Config) -> Settings:
    """`config`, checked.

    Raises:
        ConfigError: an unknown key, or a value that cannot be meant.
    """
    _known(config, {"kind", *(f.name for f in fields(Settings))}, ())
    tools = config.get("tools", [])
    if not isinstance(tools, list | tuple) or not all(isinstance(t, str) and NAME.fullmatch(t) for t in tools):
        raise ConfigError("`tools` must be a list of names of tools", path=("tools",))
    if wrong := next((t for t in tools if not t.isidentifier()), None):
        raise ConfigError(f"`{wrong}` cannot be called from Python; its name must be an identifier", path=("tools",))
    description = config.get("description", DESCRIPTION)
    if not isinstance(description, str) or not description:
        raise ConfigError("`description` must be a text", path=("description",))
    return Settings(
        tools=tuple(dict.fromkeys(tools)),
        parallel=int(_number(config.get("parallel", 2), ("parallel",), top=64, whole=True)),
        description=description,
        limits=_limits(config.get("limits", {})),
    )


def _limits(config: object) -> Limits:
    if not isinstance(config, Mapping):
        raise ConfigError("`limits` must be a mapping from a limit to a number", path=("limits",))
    _known(config, set(MAX_LIMITS), ("limits",))
    whole = {f.name for f in fields(Limits) if f.type == "int"}
    given = {k: _number(v, ("limits", k), top=MAX_LIMITS[k], whole=k in whole) for k, v in config.items()}
    return Limits(**given)  # type: ignore[arg-type]  # whole numbers are ints, see `_number`


def _number(value: object, path: tuple[str, ...], *, top: int, whole: bool) -> float | int:
    right = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, right) or not 0 < value <= top:
        raise ConfigError(f"`{path[-1]}` must be a{' whole' * whole} number above 0 and at most {top}", path=path)
    return value


def _known(config: Mapping[str, object], names: set[str], path: tuple[str, ...]) -> None:
    for key in config:
        if key not in names:
            near = difflib.get_close_matches(str(key), names, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(sorted(names))}"
            raise ConfigError(f"`{key}` is no key of `kind: compute`", path=(*path, str(key)), hint=hint)


def tool(entry: str, chosen: Settings) -> ToolSpec:
    """The tool of an entry."""
    text = chosen.description
    if chosen.tools:
        text += f" It may call, arguments by name: {', '.join(chosen.tools)}."
    return ToolSpec(
        name=entry,
        effect=Effect.READ,
        resource="Compute",
        description=text,
        arguments=(Argument(path="code", role=Role.TEXT), Argument(path="inputs", role=Role.TEXT)),
        schema={
            "type": "object",
            "properties": {
                "code": {"type": "string", "description": "Python; its last expression is the result"},
                "inputs": {"type": "object", "description": "variables that the code finds, by name"},
            },
            "required": ["code"],
            "additionalProperties": False,
        },
    )


def validate(arguments: Mapping[str, Json]) -> Mapping[str, Json]:
    """`arguments`, which have the right names and types.

    Raises:
        ScopeError: they do not.
    """
    if extra := sorted(arguments.keys() - {"code", "inputs"}):
        raise ScopeError(f"`{extra[0][:80]}` is no argument of this tool; it has `code` and `inputs`")
    if not isinstance(arguments.get("code"), str):
        raise ScopeError("`code` must be a text of Python")
    inputs = arguments.get("inputs", {})
    if not isinstance(inputs, dict) or not all(name.isidentifier() for name in inputs):
        raise ScopeError("`inputs` must be an object whose keys are names of variables")
    return arguments
