"""A Python callable as a tool: what the model is told of it, what it accepts, how its result becomes JSON.

The schema comes from type hints (read by pydantic, strictly: text is no number) or is given as JSON Schema (checked by
jsonschema-rs). Everything unclear is refused when the tool is made, not when it runs: parameters without a type,
`*args`, types without a JSON form, schemas that point elsewhere. Nothing is ever fetched, and no pattern can take
unbounded time. Checking adds nothing to the arguments: what was judged is what the function gets.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import Any
from uuid import UUID

from interlock.adapters.errors import ArgumentsError, ResultError, ToolError
from interlock.kernel.call import MAX_DEPTH, NAME, Frozen, Json, canonical, freeze, thaw
from interlock.kernel.errors import CallError

MAX_SCHEMA = 200_000  # bytes of canonical JSON; the providers take less
MAX_ERRORS = 3  # told of at once
MAX_TOLD = 200  # characters of each, and of the path to it: a model chooses the names of extra arguments
MAX_DESCRIPTION = 16_000  # characters; it is sent with every request
# Steps of a pattern with look-around, which cannot be matched in linear time. Past it the arguments are refused, also
# where the pattern stands under `not`. All other patterns are linear.
BACKTRACK_LIMIT = 100_000
PATTERN_SIZE = 1 << 20  # bytes of a compiled pattern
WIRE_NAME = re.compile(r"[A-Za-z0-9_-]+")
NOT_AT_THE_TOP = ("allOf", "anyOf", "oneOf", "not", "enum", "const", "if")  # the providers refuse these there

Parse = Callable[[dict[str, Json]], dict[str, Any]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A callable with its JSON Schema. Made by `from_function`, `from_schema` or `tool_of`; equal only to itself."""

    name: str
    description: str
    schema: Mapping[str, Frozen]  # JSON Schema of the arguments, an object
    asynchronous: bool
    function: Callable[..., Any] = dataclasses.field(repr=False)
    parse: Parse = dataclasses.field(repr=False)  # arguments to keyword arguments

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ToolError(
                f"`{self.name[:80]}` is no tool name; letters, digits and _ . : / - are allowed; give `name=`"
            )
        if len(self.description) > MAX_DESCRIPTION:
            raise ToolError(f"`{self.name}` is described in more than {MAX_DESCRIPTION} characters")

    @classmethod
    def from_function(cls, function: Callable[..., Any], *, name: str = "", description: str = "") -> Tool:
        """`function` as a tool; what is not given comes from its name, docstring and type hints.

        Raises:
            ToolError: the function cannot be a tool; the message names the parameter and the remedy.
        """
        name = name or getattr(function, "__name__", "")
        _callable(name, function)
        told, lines = _docstring(inspect.getdoc(function) or "" if inspect.isroutine(function) else "")
        schema, parse = _from_hints(name, function, lines)
        return cls(
            name=name,
            description=description or told,
            schema=schema,
            asynchronous=_asynchronous(function),
            function=function,
            parse=parse,
        )

    @classmethod
    def from_schema(
        cls, name: str, description: str, parameters: Mapping[str, object], call: Callable[..., Any]
    ) -> Tool:
        """A tool whose arguments are described by JSON Schema; `call` gets them as keyword arguments, as they are.

        Drafts 4 to 2020-12, by `$schema`; references within the schema only. Where it does not say
        `additionalProperties`, arguments that it does not name are refused.

        Raises:
            ToolError: the schema is none, or says what cannot be held to; `call` does not take its arguments.
        """
        _callable(name, call)
        schema = _closed(name, parameters)
        _takes(name, call, schema)
        return cls(
            name=name,
            description=description,
            schema=_frozen(schema),
            asynchronous=_asynchronous(call),
            function=call,
            parse=_from_schema(name, schema),
        )

    @property
    def parameters(self) -> dict[str, Any]:
        """The schema as a fresh dictionary."""
        return {key: thaw(value) for key, value in self.schema.items()}

    def check(self, arguments: Mapping[str, object]) -> None:
        """Return if the tool accepts `arguments`. Does not call it.

        Raises:
            ArgumentsError: it does not; the message names each argument, never a value.
        """
        self._parsed(arguments)

    def check_strict(self) -> None:
        """Return if the schema fits the providers' strict mode as it is: closed objects, nothing optional.

        Raises:
            ToolError: it does not. It is not rewritten: an argument with a default would become one without.
        """
        for where, schema in _objects(self.parameters, "the arguments"):
            properties = schema.get("properties") or {}
            if schema.get("additionalProperties") is not False:
                raise ToolError(f"`{self.name}` cannot be strict: {where} may have more properties than are named")
            if optional := sorted(set(properties) - set(schema.get("required") or ())):
                raise ToolError(f"`{self.name}` cannot be strict: `{optional[0]}` of {where} is optional")

    def call(self, arguments: Mapping[str, object]) -> Json:
        """Call the function and return its result as JSON.

        Raises:
            ArgumentsError: the tool does not accept `arguments`; it was not called.
            ResultError: it was called and its result has no JSON form.
            ToolError: it is asynchronous; await `acall`.
        """
        if self.asynchronous:
            raise ToolError(f"`{self.name}` is asynchronous; use the asynchronous call")
        result = self.function(**self._parsed(arguments))
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            raise ToolError(f"`{self.name}` returned an awaitable; declare it with `async def`")
        return jsonable(result, where=self.name)

    async def acall(self, arguments: Mapping[str, object]) -> Json:
        """The same for both kinds of functions; a synchronous one runs in a thread, so that it does not hold the loop.

        Raises:
            ArgumentsError: the tool does not accept `arguments`; it was not called.
            ResultError: it was called and its result has no JSON form.
        """
        import asyncio

        parsed = self._parsed(arguments)
        result = self.function(**parsed) if self.asynchronous else await asyncio.to_thread(self.function, **parsed)
        return jsonable(await result if inspect.isawaitable(result) else result, where=self.name)

    def _parsed(self, arguments: Mapping[str, object]) -> dict[str, Any]:
        try:
            plain = thaw(freeze(arguments))
        except CallError as error:
            raise ArgumentsError(str(error)) from None
        if not isinstance(plain, dict):
            raise ArgumentsError("`arguments` must be an object")
        return self.parse(plain)


def tool_of(value: object) -> Tool:
    """The tool that `value` is, or describes: a function, or `{"name", "description", "parameters", "call"}`.

    Raises:
        ToolError: it is neither.
    """
    match value:
        case Tool():
            return value
        case Mapping():
            keys = {"name", "description", "parameters", "call"}
            if set(value) - keys or keys - set(value) - {"description"}:
                raise ToolError("a tool given as a dictionary has the keys `name`, `description`, `parameters`, `call`")
            name, description = value["name"], value.get("description", "")
            if not isinstance(name, str) or not isinstance(description, str):
                raise ToolError("`name` and `description` of a tool are text")
            return Tool.from_schema(name, description, value["parameters"], value["call"])
        case _ if callable(value):
            return Tool.from_function(value)
        case _:
            raise ToolError(f"a {type(value).__name__} is no tool; pass a function or a dictionary")


def provider_names(tools: Iterable[Tool], longest: int) -> Iterator[Tool]:
    """`tools`, each of which has a name that a provider takes, and no other has it.

    Raises:
        ToolError: otherwise.
    """
    seen: set[str] = set()
    for tool in tools:
        if not WIRE_NAME.fullmatch(tool.name) or len(tool.name) > longest:
            raise ToolError(f"`{tool.name}` is no name for this provider: up to {longest} letters, digits, _ and -")
        if tool.name in seen:
            raise ToolError(f"two tools are named `{tool.name}`")
        seen.add(tool.name)
        yield tool


# what can be called


def _callable(name: str, function: object) -> None:
    what = f"`{name or 'tool'}`"
    if not callable(function) or inspect.isclass(function):
        raise ToolError(
            f"{what} is a {'class' if inspect.isclass(function) else type(function).__name__}; pass a function"
        )
    if isinstance(function, partial):
        raise ToolError(f"{what} is a partial, whose fixed values a model could replace; write a function around it")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ToolError(f"{what} is a generator; return a list")


def _asynchronous(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _signature(name: str, function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        raise ToolError(f"`{name}` does not tell its parameters; write a function around it") from None


def _takes(name: str, call: Callable[..., Any], schema: Mapping[str, Any]) -> None:
    """`call` can be given every argument that `schema` allows, and needs none that it may lack."""
    parameters = _signature(name, call)
    kinds = inspect.Parameter
    anything = any(p.kind is kinds.VAR_KEYWORD for p in parameters.values())
    named = {n: p for n, p in parameters.items() if p.kind in {kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY}}
    if (missing := sorted(set(schema.get("properties") or {}) - set(named))) and not anything:
        raise ToolError(f"`{name}` has no parameter `{missing[0]}`, which its schema names")
    needed = {n for n, p in named.items() if p.default is p.empty}
    needed |= {n for n, p in parameters.items() if p.kind is kinds.POSITIONAL_ONLY}
    if unfilled := sorted(needed - set(schema.get("required") or ())):
        raise ToolError(f"`{name}` needs the parameter `{unfilled[0]}`, which its schema does not require")
    if not anything and (schema["additionalProperties"] is not False or "patternProperties" in schema):
        raise ToolError(f"the schema of `{name}` allows arguments that it does not name; take them with `**`")


# type hints


def _from_hints(
    name: str, function: Callable[..., Any], lines: Mapping[str, str]
) -> tuple[Mapping[str, Frozen], Parse]:
    import pydantic
    from pydantic.fields import FieldInfo
    from pydantic.json_schema import GenerateJsonSchema

    class Untitled(GenerateJsonSchema):
        """Without a title for each field, which only repeats its name, and quiet about defaults JSON cannot carry."""

        ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - pydantic declares it so

        def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
            return False

    hints = _hints(name, function)
    fields: dict[str, Any] = {}
    passed: dict[str, str] = {}  # the model's field, by parameter; parameters may have names that a model cannot take
    own: set[str] = set()  # fields whose default Python fills in
    for parameter in _signature(name, function).values():
        hint = _hint(name, parameter, hints)
        extra: dict[str, Any] = {"alias": parameter.name}
        if line := lines.get(parameter.name):
            described = [m for m in getattr(hint, "__metadata__", ()) if isinstance(m, FieldInfo) and m.description]
            extra |= {} if described else {"description": line}
        key = f"p{len(fields)}"
        if isinstance(parameter.default, FieldInfo):
            hint = typing.Annotated[hint, parameter.default]
        elif parameter.default is not parameter.empty:
            extra["default"] = parameter.default
            own.add(key)
        fields[key] = (hint, pydantic.Field(**extra))
        passed[parameter.name] = key
    try:
        model = pydantic.create_model("Arguments", __config__=pydantic.ConfigDict(extra="forbid"), **fields)
        schema = model.model_json_schema(schema_generator=Untitled)
    except Exception as error:  # whatever a type's own hooks raise
        raise ToolError(f"`{name}` has {_guilty(fields, passed)}: {_first_line(error)}") from error
    schema.pop("title", None)
    schema.setdefault("properties", {})

    def parse(arguments: dict[str, Json]) -> dict[str, Any]:
        try:
            # As JSON, and strictly: a date may be written as text, because JSON has no other way, a number may not.
            read = model.model_validate_json(canonical(arguments), strict=True)
        except pydantic.ValidationError as error:
            found = error.errors(include_url=False, include_input=False, include_context=False)
            raise ArgumentsError(_refusal(name, ((e["loc"], e["msg"]) for e in found))) from None
        filled = read.model_fields_set
        return {name: getattr(read, key) for name, key in passed.items() if key in filled or key not in own}

    return _frozen(schema), parse


def _hints(name: str, function: Callable[..., Any]) -> Mapping[str, Any]:
    target = function if inspect.isroutine(function) else type(function).__call__
    try:
        return typing.get_type_hints(target, include_extras=True)
    except (NameError, TypeError, SyntaxError) as error:
        raise ToolError(
            f"a type hint of `{name}` cannot be resolved: {_first_line(error)}; its names must exist in the module"
        ) from error


def _hint(name: str, parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Any:
    match parameter.kind:
        case inspect.Parameter.VAR_POSITIONAL | inspect.Parameter.VAR_KEYWORD:
            stars = "*" if parameter.kind is inspect.Parameter.VAR_POSITIONAL else "**"
            raise ToolError(f"`{name}` takes `{stars}{parameter.name}`, which has no schema; name each parameter")
        case inspect.Parameter.POSITIONAL_ONLY:
            raise ToolError(f"`{parameter.name}` of `{name}` is positional-only, but tools get names; remove the `/`")
        case _ if parameter.name not in hints:
            raise ToolError(
                f"`{parameter.name}` of `{name}` has no type hint; write one, as in `{parameter.name}: str`"
            )
        case _:
            return hints[parameter.name]


def _guilty(fields: Mapping[str, Any], passed: Mapping[str, str]) -> str:
    """Which parameter has the type that pydantic cannot describe."""
    import pydantic

    for parameter, key in passed.items():
        try:
            pydantic.TypeAdapter(fields[key][0]).json_schema()
        except Exception:  # noqa: BLE001 - as where it is called
            return f"a type without a JSON form for `{parameter}`"
    return "parameters without a JSON form"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _refusal(name: str, errors: Iterable[tuple[Sequence[object], str]]) -> str:
    """One line for the arguments' first few errors, each with the argument it is about."""
    told = list(errors)
    lines = [
        f"`{'.'.join(str(step) for step in path)[:MAX_TOLD] or 'arguments'}`: {text[:1].lower() + text[1:MAX_TOLD]}"
        for path, text in told[:MAX_ERRORS]
    ]
    more = f"; and {len(told) - MAX_ERRORS} more" if len(told) > MAX_ERRORS else ""
    return f"`{name}` does not accept these arguments: {'; '.join(lines)}{more}"


# docstrings

_SECTION = re.compile(r"(Args|Arguments|Parameters):\s*")
_ARGUMENT = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)")


def _docstring(text: str) -> tuple[str, dict[str, str]]:
    """The first paragraph as one line, and what Google style says of each argument."""
    first = " ".join(text.partition("\n\n")[0].split())
    arguments: dict[str, str] = {}
    lines = iter(text.splitlines())
    if not any(_SECTION.fullmatch(line) for line in lines):
        return first, arguments
    indent, current = 0, ""
    for line in lines:  # of the section
        depth = len(line) - len(line.lstrip())
        if not line.strip():
            continue
        if depth == 0:
            break
        indent = indent or depth
        if depth == indent and (found := _ARGUMENT.fullmatch(line.strip())):
            current = found[1]
            arguments[current] = found[2]
        elif current:
            arguments[current] = f"{arguments[current]} {line.strip()}".strip()
    return first, arguments


# JSON Schema


def _closed(name: str, parameters: object) -> dict[str, Any]:
    """`parameters` as an object schema that says what it allows, a reference at its top replaced by what it names."""
    if not isinstance(parameters, Mapping):
        raise ToolError(f"the parameters of `{name}` are a {type(parameters).__name__}, not a JSON Schema")
    schema = {key: thaw(value) for key, value in _frozen(parameters).items()}
    if len(canonical(schema)) > MAX_SCHEMA:
        raise ToolError(f"the schema of `{name}` has more than {MAX_SCHEMA} bytes")
    if isinstance(reference := schema.get("$ref"), str):  # as schema generators write it when the schema has a name
        place, _, entry = reference.removeprefix("#/").partition("/")
        held = schema.get(place)
        target = held.get(entry) if place in {"definitions", "$defs"} and isinstance(held, dict) else None
        if not isinstance(target, dict) or "$ref" in target:
            raise ToolError(f"the schema of `{name}` refers to `{reference[:80]}`; references stay within the schema")
        del schema["$ref"]
        schema = target | schema
    if schema.get("type") != "object":
        raise ToolError(f"the schema of `{name}` must have `type: object`: arguments have names")
    if wrong := next((key for key in NOT_AT_THE_TOP if key in schema), ""):
        raise ToolError(
            f"the schema of `{name}` has `{wrong}` at its top, which providers refuse; put it in a property"
        )
    return {"properties": {}, "additionalProperties": False} | schema


def _from_schema(name: str, schema: dict[str, Any]) -> Parse:
    import jsonschema_rs

    try:
        validator = jsonschema_rs.validator_for(
            schema,
            validate_formats=True,
            retriever=_fetch_nothing,
            pattern_options=jsonschema_rs.FancyRegexOptions(
                backtrack_limit=BACKTRACK_LIMIT, size_limit=PATTERN_SIZE, dfa_size_limit=PATTERN_SIZE
            ),
            mask="the value",  # an error tells what was expected, not what was given
        )
    except jsonschema_rs.ValidationError as error:
        where = ".".join(str(step) for step in error.instance_path)
        raise ToolError(f"the schema of `{name}` is refused: {where and f'`{where}`: '}{_first_line(error)}") from None
    except (jsonschema_rs.ReferencingError, ValueError) as error:
        raise ToolError(f"the schema of `{name}` is refused: {_first_line(error)}") from None

    def parse(arguments: dict[str, Json]) -> dict[str, Any]:
        errors = [(error.instance_path, error.message) for error in validator.iter_errors(arguments)]
        if errors:
            raise ArgumentsError(_refusal(name, errors))
        return dict(arguments)

    return parse


def _fetch_nothing(uri: str) -> typing.NoReturn:
    """Instead of jsonschema-rs's own retrieval, which would read files and fetch from networks."""
    raise ToolError(f"`{uri[:80]}` lies outside the schema, and nothing is fetched")


def _objects(schema: object, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of an object within `schema`, and where it stands."""
    match schema:
        case dict():
            if schema.get("type") == "object" or "properties" in schema:
                yield where, schema
            for group in ("properties", "$defs", "definitions"):
                for name, inner in (schema.get(group) or {}).items():
                    yield from _objects(inner, f"`{name}`")
            for key in ("items", "anyOf", "allOf", "oneOf", "prefixItems", "additionalProperties"):
                yield from _objects(schema.get(key), where)
        case list():
            for inner in schema:
                yield from _objects(inner, where)
        case _:
            pass


def _frozen(schema: Mapping[str, object]) -> Mapping[str, Frozen]:
    try:
        frozen = freeze(schema, where="schema")
    except CallError as error:
        raise ToolError(str(error)) from None
    if not isinstance(frozen, Mapping):
        raise ToolError("a schema is an object")
    return frozen


# results


def jsonable(value: object, *, where: str = "result") -> Json:
    """`value` as JSON: models, dataclasses and named tuples as objects, dates in ISO 8601, decimals as text.

    Raises:
        ResultError: some of it has no JSON form; the message says where.
    """
    try:
        return thaw(freeze(_plain(value, where, MAX_DEPTH), where=where))
    except CallError as error:
        raise ResultError(str(error)) from None


def _plain(value: object, where: str, depth: int) -> object:
    if depth == 0:
        raise ResultError(f"`{where[:120]}` is nested deeper than {MAX_DEPTH} levels, or holds itself")
    match value:
        case Enum():
            return _plain(value.value, where, depth - 1)
        case None | bool() | int() | float() | str():
            return value
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal() if value.is_finite():
            return str(value)
        case UUID():
            return str(value)
        case Mapping():
            return _pairs(value.items(), where, depth)
        case tuple() if hasattr(value, "_asdict"):
            return _pairs(value._asdict().items(), where, depth)
        case list() | tuple():
            return [_plain(item, f"{where}.{place}", depth - 1) for place, item in enumerate(value)]
        case set() | frozenset():  # in one order, whatever the process's hash seed
            return sorted((_plain(item, where, depth - 1) for item in value), key=_sortable)
        case _:
            return _object(value, where, depth)


def _object(value: object, where: str, depth: int) -> object:
    if hasattr(type(value), "__pydantic_serializer__"):
        return _plain(_dumped(value, where), where, depth - 1)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _pairs(((f.name, getattr(value, f.name)) for f in dataclasses.fields(value)), where, depth)
    remedy = "return JSON values, dataclasses or pydantic models"
    if isinstance(value, bytes | bytearray | memoryview):
        remedy = "decode it, or encode it as text"
    raise ResultError(f"`{where}` is a {type(value).__name__}, which has no JSON form; {remedy}")


def _pairs(items: Iterable[tuple[object, object]], where: str, depth: int) -> dict[str, object]:
    pairs: dict[str, object] = {}
    for key, item in items:
        name = _plain(key, where, depth - 1)
        if isinstance(name, bool | None) or not isinstance(name, str | int):
            raise ResultError(f"`{where}` has a key that is a {type(key).__name__}; use text")
        if str(name) in pairs:
            raise ResultError(f"`{where}` has two keys that are `{name}` in JSON")
        pairs[str(name)] = _plain(item, f"{where}.{name}", depth - 1)
    return pairs


def _dumped(value: Any, where: str) -> object:
    from pydantic_core import PydanticSerializationError

    try:
        return type(value).__pydantic_serializer__.to_python(value, mode="json")
    except (PydanticSerializationError, ValueError) as error:
        raise ResultError(f"`{where}` cannot be written as JSON: {_first_line(error)}") from error


def _sortable(value: object) -> bytes:
    try:
        return canonical(value)
    except (ValueError, TypeError):
        raise ResultError("a set holds something that has no JSON form") from None
