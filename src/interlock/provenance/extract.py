"""Typed values out of text that the model must not read: a number, a choice, a date, an address, an account, a link.

`checked` is the guard: whatever read the text (a quarantined model without tools, or `read` below, which needs none),
only values of a grammar too narrow for a sentence come out. They stay external: a link out of a mail is still the
sender's. `read` finds a value by its name (`rating: 4.2`), or by being the only one of its kind; it never chooses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import cast

from interlock.kernel.call import Json
from interlock.provenance import dates, kinds
from interlock.provenance.errors import ProvenanceError

MAX_FIELDS = 16  # of an object
MAX_ITEMS = 50  # of a list
MAX_CHOICES = 64
MAX_CHOICE = 64  # characters
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:[,' ]\d{3})*(?:\.\d+)?(?![\w])")
_TRUE, _FALSE = frozenset({"yes", "true", "on"}), frozenset({"no", "false", "off"})
_TYPES = {"boolean": (bool,), "integer": (int,), "number": (int, float)}
Schema = Mapping[str, object]


def _email(value: str) -> str | None:
    spelt = kinds.address(value)
    return spelt[0] if spelt and len(spelt) == 1 else None


def _uri(value: str) -> str | None:
    return value if " " not in value and kinds.url(value) else None


def _iban(value: str) -> str | None:
    spelt = kinds.account(value)
    return spelt[0] if spelt else None


def _date(value: str) -> str | None:
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        return None


def _moment(value: str) -> str | None:
    return value if re.fullmatch(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d)?", value) else None


_FORMATS: Mapping[str, Callable[[str], str | None]] = {
    "email": _email,
    "uri": _uri,
    "iban": _iban,
    "date": _date,
    "date-time": _moment,
}


def check_schema(schema: Schema, *, nested: bool = False) -> None:
    """Return if `schema` asks for typed values only.

    Raises:
        ProvenanceError: it would let text out.
    """
    kind = schema.get("type")
    choices = schema.get("enum")
    if isinstance(choices, list):
        if not 0 < len(choices) <= MAX_CHOICES or any(isinstance(c, str) and len(c) > MAX_CHOICE for c in choices):
            raise ProvenanceError(f"`enum` takes 1 to {MAX_CHOICES} choices of at most {MAX_CHOICE} characters")
        if not all(isinstance(c, str | int | float | bool) for c in choices):
            raise ProvenanceError("`enum` takes texts, numbers and truth values")
    elif kind == "object" and not nested:
        fields = schema.get("properties")
        if not isinstance(fields, Mapping) or not 0 < len(fields) <= MAX_FIELDS:
            raise ProvenanceError(f"an object takes 1 to {MAX_FIELDS} `properties`")
        for inner in fields.values():
            check_schema(_schema(inner), nested=True)
    elif kind == "array" and not nested:
        check_schema(_schema(schema.get("items")), nested=True)
    elif kind not in {"number", "integer", "boolean"} and not (kind == "string" and schema.get("format") in _FORMATS):
        formats = ", ".join(_FORMATS)
        raise ProvenanceError(f"only numbers, booleans, `enum` and texts with a `format` ({formats}) can be extracted")


def checked(value: object, schema: Schema) -> Json:
    """`value`, canonical, if it is what `schema` asks for; None stands for "not there".

    Raises:
        ProvenanceError: it is something else.
    """
    check_schema(schema)
    match schema.get("type"):
        case "object" if isinstance(value, Mapping):
            fields = cast("Mapping[str, Schema]", schema["properties"])
            if unknown := set(value) - set(fields):
                raise ProvenanceError(f"the reader returned `{str(min(unknown))[:40]}`, which was not asked for")
            return {name: _scalar(value.get(name), inner) for name, inner in fields.items()}
        case "array" if isinstance(value, list) and len(value) <= MAX_ITEMS:
            return [_scalar(v, _schema(schema.get("items"))) for v in value]
        case _:
            return _scalar(value, schema)


def _scalar(value: object, schema: Schema) -> Json:
    if value is None:
        return None
    choices = schema.get("enum")
    if isinstance(choices, list):
        if any(c == value and type(c) is type(value) for c in choices):
            return cast("Json", value)
    elif isinstance(value, bool) or not isinstance(value, str):
        if type(value) in _TYPES.get(str(schema.get("type")), ()):
            return cast("Json", value)
    elif schema.get("type") == "string":
        spelt = _FORMATS[str(schema.get("format"))](value)
        if spelt is not None:
            return spelt
    raise ProvenanceError("the reader returned something that the schema does not allow")


def read(text: str, schema: Schema) -> Json:
    """What `text` says for `schema`, by rule and without a model; None for what is missing or not unique.

    Raises:
        ProvenanceError: the schema would let text out.
    """
    check_schema(schema)
    if schema.get("type") == "object":
        fields = cast("Mapping[str, Schema]", schema["properties"])
        alone = len(fields) == 1
        return checked({name: _field(text, name, inner, alone=alone) for name, inner in fields.items()}, schema)
    if schema.get("type") == "array":
        return checked(_all(text, _schema(schema.get("items")))[:MAX_ITEMS], schema)
    return checked(_only(text, schema), schema)


def _field(text: str, name: str, schema: Schema, *, alone: bool) -> Json:
    """The value behind `name:`; without such a line, the only value of its kind in the whole text."""
    label = re.sub(r"[_\W]+", r"[ _-]*", name)
    named = [m[1] for m in re.finditer(rf"(?im)(?:^|[\s,;(]){label}\s*(?:[:=]|is|of)\s*([^\n]{{1,200}})", text)]
    if len(named) == 1:
        found = _all(named[0], schema)
        return found[0] if found else None
    return _only(text, schema) if alone and not named else None


def _only(text: str, schema: Schema) -> Json:
    found = list(dict.fromkeys(map(str, _all(text, schema))))
    return _all(text, schema)[0] if len(found) == 1 else None


def _all(text: str, schema: Schema) -> list[Json]:
    """Every value of the schema's kind in `text`, in order as far as the kind has one."""
    choices = schema.get("enum")
    if isinstance(choices, list):
        low = text.casefold()
        return [c for c in choices if re.search(rf"(?<!\w){re.escape(str(c).casefold())}(?!\w)", low)]
    match schema.get("type"):
        case "number" | "integer" as kind:
            plain = [re.sub(r"[,' ]", "", m[0]) for m in _NUMBER.finditer(text)]
            return [int(n) if "." not in n else float(n) for n in plain if kind == "number" or "." not in n]
        case "boolean":
            words = {w.casefold() for w in re.findall(r"\w+", text)}
            return [truth for truth, said in ((True, _TRUE), (False, _FALSE)) if words & said]
        case _:
            return _formatted(text, str(schema.get("format")))


def _formatted(text: str, wanted: str) -> list[Json]:
    match wanted:
        case "email":
            return [*sorted(kinds.found(text).addresses)]
        case "uri":
            return [v for k, v in sorted(kinds.actionable(text)) if k == "url"]
        case "iban":
            return [v for k, v in sorted(kinds.actionable(text)) if k == "account"]
        case "date":
            days = sorted(d for d in dates.when(text).days if d.year is not None)
            return [date(d.year or 0, d.month, d.day).isoformat() for d in days]
        case _:
            return [m[0] for m in re.finditer(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?", text)]


def _schema(value: object) -> Schema:
    if not isinstance(value, Mapping):
        raise ProvenanceError("a schema is an object")
    return value
