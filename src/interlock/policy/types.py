"""What rules can know of an argument: the Cedar type that its JSON Schema promises, and values in that type.

A string is a String, an integer a Long, a number a decimal, a list a Set, an object with declared properties a record.
What may be of several types, or of a type that nobody wrote down, has no type here, and the reason is kept: a rule
that reads it must fail to load, not quietly never match. A value is converted exactly or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias, assert_never

from interlock.kernel.call import MAX_INT
from interlock.kernel.errors import RuleError

MAX_DEPTH = 12  # levels of a schema that are followed; a schema that refers to itself ends here
_MAX_PATHS = 2000
_DECIMAL_DIGITS = 4

Schema: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Scalar:
    """`String`, `Long`, `decimal` or `Bool`."""

    cedar: str


@dataclass(frozen=True, slots=True)
class Many:
    """A list. Cedar sees a set: neither order nor repetition."""

    item: Type


@dataclass(frozen=True, slots=True)
class Fields:
    """An object with declared properties; `optional` ones may be missing (or null)."""

    types: Mapping[str, Type]
    optional: frozenset[str]


@dataclass(frozen=True, slots=True)
class Untyped:
    """Rules cannot read it, because of `reason`."""

    reason: str


Type: TypeAlias = Scalar | Many | Fields | Untyped

STRING, LONG, DECIMAL, BOOL = Scalar("String"), Scalar("Long"), Scalar("decimal"), Scalar("Bool")
_SCALARS = {"string": STRING, "integer": LONG, "number": DECIMAL, "boolean": BOOL}


def arguments_type(schema: Schema) -> Fields:
    """The type of `context.args` for a tool whose arguments have this JSON Schema."""
    found, _ = _type(schema, _Root(schema), MAX_DEPTH)
    return found if isinstance(found, Fields) else Fields({}, frozenset())


def cedar_type(kind: Type) -> str:
    """`kind` as Cedar schemas write it. Untyped parts of a record are left out."""
    match kind:
        case Scalar(cedar=name):
            return name
        case Many(item=item):
            return f"Set<{cedar_type(item)}>"
        case Fields(types=types, optional=optional):
            inner = (
                f'"{name}"{"?" if name in optional else ""}: {cedar_type(t)}'
                for name, t in types.items()
                if not isinstance(t, Untyped)
            )
            return "{" + ", ".join(inner) + "}"
        case Untyped():
            raise RuleError(f"there is no Cedar type: {kind.reason}")
        case _:
            assert_never(kind)


def find(kind: Type, path: Sequence[str]) -> Type | None:
    """The type at `path` inside `kind`; None where there is nothing."""
    for step in path:
        if isinstance(kind, Untyped):
            return kind
        if not isinstance(kind, Fields) or step not in kind.types:
            return None
        kind = kind.types[step]
    return kind


def cedar_value(kind: Type, value: object, path: str) -> object:
    """`value` in Cedar's JSON, exactly.

    Raises:
        RuleError: `value` is not of this type, or is a number that Cedar cannot carry.
    """
    match kind:
        case Scalar(cedar="String") if isinstance(value, str):
            return value
        case Scalar(cedar="Bool") if isinstance(value, bool):
            return value
        case Scalar(cedar="Long") if isinstance(value, (int, float)) and not isinstance(value, bool):
            return _long(value, path)
        case Scalar(cedar="decimal") if isinstance(value, (int, float)) and not isinstance(value, bool):
            return _decimal(value, path)
        case Many(item=item) if isinstance(value, (list, tuple)):
            return [cedar_value(item, v, path) for v in value]
        case Fields(types=types, optional=optional) if isinstance(value, Mapping):
            record = {}
            for name, inner in types.items():
                if isinstance(inner, Untyped) or (name in optional and value.get(name) is None):
                    continue
                if name not in value:
                    raise RuleError(f"the argument `{path}.{name}` is missing, and a rule reads `{path}`")
                record[name] = cedar_value(inner, value[name], f"{path}.{name}")
            return record
        case Untyped(reason=reason):
            raise RuleError(f"no rule can read the argument `{path}`: {reason}")
        case _:
            raise RuleError(f"the argument `{path}` is not of the type {cedar_type(kind)} that a rule reads")


def _long(value: float, path: str) -> int:
    if value != value // 1 or abs(value) > MAX_INT:
        raise RuleError(f"the argument `{path}` is not a whole number within 64 bits, and a rule reads it")
    return int(value)


def _decimal(value: float, path: str) -> object:
    number = Decimal(repr(value))  # the shortest text that is this float: what the caller wrote
    scaled = number.scaleb(_DECIMAL_DIGITS)
    if not scaled.is_finite() or scaled != scaled.to_integral_value() or abs(scaled) > MAX_INT:
        raise RuleError(f"the argument `{path}` has more than four decimals or is too large for a rule to read")
    return {"__extn": {"fn": "decimal", "arg": f"{number:.{_DECIMAL_DIGITS}f}"}}


_NULL = Untyped("it is always null")


@dataclass(slots=True)
class _Root:
    schema: Schema
    left: int = _MAX_PATHS  # parts that are still looked at: references may branch


def _type(schema: object, root: _Root, depth: int) -> tuple[Type, bool]:
    """The type, and whether null is possible too."""
    root.left -= 1
    if depth == 0 or root.left < 0:
        return Untyped("its schema nests too deep, or refers to itself"), False
    schema = resolve(schema, root.schema)
    if not isinstance(schema, Mapping) or not schema:
        return Untyped("its schema does not say what it is"), False
    for word in ("anyOf", "oneOf"):
        if isinstance(branches := schema.get(word), list):
            return _one_of([_type(b, root, depth - 1) for b in branches])
    match schema.get("allOf"):
        case [inner]:
            return _type(inner, root, depth - 1)
        case [*_]:
            return Untyped("its schema joins several with `allOf`"), False
        case _:
            pass
    names = schema.get("type")
    if names is None:
        return _listed(schema)
    if isinstance(names, list):
        return _one_of([_type({**schema, "type": name}, root, depth - 1) for name in names])
    if names == "null":
        return _NULL, True
    if isinstance(names, str) and names in _SCALARS:
        return _SCALARS[names], False
    if names == "array":
        return _array(schema, root, depth), False
    return (_object(schema, root, depth), False) if names == "object" else (Untyped("its type is unknown"), False)


def _one_of(branches: list[tuple[Type, bool]]) -> tuple[Type, bool]:
    nullable = any(null for _, null in branches)
    kinds: list[Type] = []
    for kind, _ in branches:
        if kind != _NULL and kind not in kinds:
            kinds.append(kind)
    return (kinds[0] if len(kinds) == 1 else Untyped("it may be of several types")), nullable


def _listed(schema: Schema) -> tuple[Type, bool]:
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if not isinstance(values, list):
        return Untyped("its schema does not say what it is"), False
    real = [v for v in values if v is not None]
    nullable = len(real) < len(values)
    if real and all(isinstance(v, str) for v in real):
        return STRING, nullable
    if real and all(isinstance(v, int) and not isinstance(v, bool) for v in real):
        return LONG, nullable
    return Untyped("it may be of several types"), nullable


def _array(schema: Schema, root: _Root, depth: int) -> Type:
    if "prefixItems" in schema or "items" not in schema:
        return Untyped("its schema does not say what the items are")
    item, nullable = _type(schema["items"], root, depth - 1)
    if nullable:
        return Untyped("its items may be null")
    return item if isinstance(item, Untyped) else Many(item)


def _object(schema: Schema, root: _Root, depth: int) -> Type:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return Untyped("its schema declares no properties")
    required = schema.get("required")
    needed = {r for r in required if isinstance(r, str)} if isinstance(required, list) else set()
    types: dict[str, Type] = {}
    optional = set()
    for name, inner in properties.items():
        kind, nullable = _type(inner, root, depth - 1)
        # Cedar's JSON gives `__entity` and `__extn` a meaning of their own; quotes would need escapes.
        writable = isinstance(name, str) and name.isprintable() and not set(name) & set('"\\') and name[:2] != "__"
        types[name] = kind if writable else Untyped("its name cannot be written in rules")
        if nullable or name not in needed:
            optional.add(name)
    return Fields(types, frozenset(optional))


def resolve(schema: object, root: Schema) -> object:
    """`schema`, with its `$ref` into `root` followed; an unknown or foreign one leads to nothing."""
    for _ in range(MAX_DEPTH):
        if not isinstance(schema, Mapping) or "$ref" not in schema:
            return schema
        target: object = root
        reference = schema["$ref"]
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        for step in reference[1:].split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            target = target.get(key) if isinstance(target, Mapping) else None
        schema = target
    return None


@dataclass(frozen=True, slots=True)
class Paths:
    """The argument paths that a schema knows: `known` ones, and `open` ones with anything beneath them."""

    known: frozenset[str]
    open: frozenset[str]

    def has(self, path: str) -> bool:
        """A call may have an argument at `path`."""
        steps = path.split(".")
        return path in self.known or any(".".join(steps[:i]) in self.open for i in range(len(steps)))


def argument_paths(schema: Schema) -> Paths:
    """All argument paths of a schema, dotted; lists have no step of their own."""
    known: set[str] = set()
    loose: set[str] = set()
    for count, (path, is_open) in enumerate(_walk(schema, schema, "", MAX_DEPTH)):
        if count >= _MAX_PATHS:
            loose.add("")  # too many to list: none is called unknown
            break
        if path:
            known.add(path)
        if is_open:
            loose.add(path)
    return Paths(frozenset(known), frozenset(loose))


def _walk(schema: object, root: Schema, path: str, depth: int) -> Iterator[tuple[str, bool]]:
    if depth == 0:
        yield path, True
        return
    schema = resolve(schema, root)
    if not isinstance(schema, Mapping):
        yield path, True
        return
    branches = [b for w in ("anyOf", "oneOf", "allOf") if isinstance(schema.get(w), list) for b in _list(schema[w])]
    properties = schema.get("properties")
    typed = schema.get("type")
    inner = isinstance(properties, Mapping) or bool(branches) or "items" in schema
    extra = schema.get("additionalProperties")
    holds_objects = typed is None or typed == "object" or (isinstance(typed, list) and "object" in typed)
    listed = "enum" in schema or "const" in schema
    yield path, (holds_objects and not inner and extra is not False and not listed) or isinstance(extra, Mapping)
    if isinstance(properties, Mapping):
        for name, value in properties.items():
            yield from _walk(value, root, f"{path}.{name}" if path else str(name), depth - 1)
    if "items" in schema:
        yield from _walk(schema["items"], root, path, depth - 1)
    for branch in branches:
        yield from _walk(branch, root, path, depth - 1)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
