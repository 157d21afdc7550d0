"""`adapters/functions.py`: functions and schemas become tools, or are refused when they are wrapped."""

import asyncio
import json
import socket
import time as clock
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.adapters.errors import ArgumentsError, ResultError, ToolError
from interlock.adapters.functions import Tool, jsonable, tool_of
from interlock.kernel.call import Json

# tools from type hints


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Line(pydantic.BaseModel):
    item: str
    count: int = 1


class Order(pydantic.BaseModel):
    lines: list[Line]
    note: str | None = None


SEEN: list[dict[str, object]] = []


def place_order(  # noqa: D417 - as people write them
    to: str,
    order: Order,
    day: date,
    *,
    colour: Colour = Colour.RED,
    kind: Literal["gift", "plain"] = "plain",
    amount: Annotated[Decimal, pydantic.Field(ge=0, description="In euros.")] = Decimal(1),
    limit: int = pydantic.Field(10, le=20),
    at: datetime | None = None,
    rush: bool = False,
) -> str:
    """Place an order
    with the shop.

    This paragraph is for programmers.

    Args:
        to: Who receives it,
            with the street.
        order (Order): What: the lines.
        amount: Overruled by the annotation.

    Returns:
        day: this is no argument.
    """  # noqa: D205 - as people write them
    SEEN.append(dict(locals()))
    return "placed"


def test_a_function_says_what_the_model_is_told() -> None:
    tool = Tool.from_function(place_order)
    told = {name: schema.get("description") for name, schema in tool.parameters["properties"].items()}
    assert (tool.name, tool.description) == ("place_order", "Place an order with the shop.")
    assert told["to"] == "Who receives it, with the street."
    assert told["order"] == "What: the lines."
    assert told["amount"] == "In euros."
    assert told["day"] is None
    assert tool.parameters["required"] == ["to", "order", "day"]
    assert tool.parameters["additionalProperties"] is False
    assert "title" not in tool.parameters["properties"]["to"]
    json.dumps(tool.parameters)


def test_the_function_gets_python_values_and_its_own_defaults() -> None:
    SEEN.clear()
    arguments = {"to": "Ann", "order": {"lines": [{"item": "pen"}]}, "day": "2026-02-03", "colour": "blue"}
    assert Tool.from_function(place_order).call(arguments) == "placed"
    (seen,) = SEEN
    assert seen == {
        "to": "Ann",
        "order": Order(lines=[Line(item="pen")]),
        "day": date(2026, 2, 3),
        "colour": Colour.BLUE,
        "kind": "plain",
        "amount": Decimal(1),
        "limit": 10,
        "at": None,
        "rush": False,
    }


GOOD: dict[str, Json] = {"to": "Ann", "order": {"lines": []}, "day": "2026-02-03"}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"to": 5}, "`to`"),
        ({"to": None}, "`to`"),
        ({"to": ["Ann"]}, "`to`"),
        ({"day": "tomorrow"}, "`day`"),
        ({"day": 20260203}, "`day`"),
        ({"at": 1767225600}, "`at`"),
        ({"order": "pens"}, "`order`"),
        ({"order": {"lines": [{"item": "pen", "count": "2"}]}}, "`order.lines.0.count`"),
        ({"order": {"lines": [{"item": "pen", "count": True}]}}, "`order.lines.0.count`"),
        ({"order": {"lines": [{"item": "pen", "count": 1.5}]}}, "`order.lines.0.count`"),
        ({"colour": "green"}, "`colour`"),
        ({"kind": "secret"}, "`kind`"),
        ({"amount": -1}, "`amount`"),
        ({"limit": 21}, "`limit`"),
        ({"rush": "yes"}, "`rush`"),
        ({"rush": 1}, "`rush`"),
        ({"extra": 1}, "`extra`"),
        ({"p0": "Bob"}, "`p0`"),
        ({"self": "x"}, "`self`"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_by_name(wrong: dict[str, Json], named: str) -> None:
    SEEN.clear()
    tool = Tool.from_function(place_order)
    tool.check(GOOD)
    with pytest.raises(ArgumentsError, match="does not accept these arguments") as refused:
        tool.call(GOOD | wrong)
    assert named in str(refused.value)
    assert SEEN == []


def test_a_missing_argument_is_refused_by_name() -> None:
    with pytest.raises(ArgumentsError, match="`day`: field required"):
        Tool.from_function(place_order).check({k: v for k, v in GOOD.items() if k != "day"})


def test_a_refusal_holds_no_long_text_of_the_models() -> None:
    with pytest.raises(ArgumentsError) as refused:
        Tool.from_function(place_order).check(GOOD | {"x" * 10_000: "y" * 10_000, "to": 7})
    assert len(str(refused.value)) < 1_000


def odd(schema: str, copy: int, model_config: int, _private: int = 3, model_dump: int = 4) -> dict[str, object]:
    return {"schema": schema, "copy": copy, "model_config": model_config, "_private": _private, "dump": model_dump}


def test_a_parameter_may_have_any_python_name() -> None:
    tool = Tool.from_function(odd)
    assert list(tool.parameters["properties"]) == ["schema", "copy", "model_config", "_private", "model_dump"]
    assert tool.call({"schema": "s", "copy": 1, "model_config": 2, "_private": 9}) == {
        "schema": "s",
        "copy": 1,
        "model_config": 2,
        "_private": 9,
        "dump": 4,
    }


def test_a_default_that_json_cannot_carry_stays_the_functions_own() -> None:
    nothing = object()

    def look(where: str = nothing) -> bool:  # type: ignore[assignment]
        return where is nothing

    assert Tool.from_function(look).call({}) is True
    assert Tool.from_function(look).call({"where": "here"}) is False


def test_a_default_in_the_annotation_reaches_the_function() -> None:
    def add(by: Annotated[int, pydantic.Field(default=3)]) -> int:
        return by

    assert Tool.from_function(add).call({}) == 3


def test_a_function_without_parameters_accepts_none() -> None:
    def now() -> str:
        return "now"

    tool = Tool.from_function(now)
    assert tool.parameters == {"type": "object", "properties": {}, "additionalProperties": False}
    assert tool.call({}) == "now"
    with pytest.raises(ArgumentsError, match="`when`"):
        tool.check({"when": 1})


class Shop:
    def price(self, item: str) -> int:
        return len(item)

    def __call__(self, item: str) -> int:
        return -len(item)

    async def order(self, item: str) -> str:
        return item


def test_methods_and_callable_objects_are_tools() -> None:
    assert Tool.from_function(Shop().price).call({"item": "pen"}) == 3
    assert Tool.from_function(Shop(), name="shop").call({"item": "pen"}) == -3
    assert asyncio.run(Tool.from_function(Shop().order).acall({"item": "pen"})) == "pen"


class Opaque:
    pass


def unannotated(a, b: int) -> None: ...  # noqa: ANN001
def starred(*names: str) -> None: ...
def keywords(**names: str) -> None: ...
def positional(a: int, /) -> None: ...
def unresolved(a: "NoSuchType") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def opaque(fine: int, thing: Opaque) -> None: ...
def unschemable(call: Callable[[int], int]) -> None: ...
def generator(a: int) -> Iterator[int]:
    yield a


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (unannotated, "`a` of `unannotated` has no type hint; write one, as in `a: str`"),
        (starred, r"`\*names`.*name each parameter"),
        (keywords, r"`\*\*names`.*name each parameter"),
        (positional, "`a` of `positional` is positional-only.*remove the `/`"),
        (unresolved, "`NoSuchType`|NoSuchType"),
        (opaque, "without a JSON form for `thing`"),
        (unschemable, "without a JSON form for `call`"),
        (generator, "is a generator; return a list"),
        (partial(Shop().price, item="pen"), "is a partial"),
        (lambda: 1, "`<lambda>` is no tool name"),
        (Shop, "is a class"),
        (len, "positional-only|does not tell|no type hint"),
        (7, "is a int; pass a function"),
    ],
)
def test_what_cannot_be_a_tool_is_refused_when_wrapped(function: Any, says: str) -> None:
    with pytest.raises(ToolError, match=says):
        Tool.from_function(function)


# synchronous and asynchronous


async def later(n: int) -> int:
    await asyncio.sleep(0)
    return n + 1


def sooner(n: int) -> int:
    return n + 1


def disguised(n: int) -> Any:
    return later(n)


def test_both_kinds_of_functions_are_awaited() -> None:
    assert [Tool.from_function(f).asynchronous for f in (later, sooner, disguised)] == [True, False, False]
    for function in (later, sooner, disguised):
        assert asyncio.run(Tool.from_function(function).acall({"n": 1})) == 2


def test_an_asynchronous_function_is_not_called_synchronously() -> None:
    assert Tool.from_function(sooner).call({"n": 1}) == 2
    for function in (later, disguised):
        with pytest.raises(ToolError, match="async"):
            Tool.from_function(function).call({"n": 1})


def test_what_the_function_raises_is_its_own() -> None:
    def broken() -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        Tool.from_function(broken).call({})
    with pytest.raises(LookupError, match="mine"):
        asyncio.run(Tool.from_function(broken).acall({}))


# tools from JSON Schema

ZOD = {  # what zod-to-json-schema writes for a named schema
    "$ref": "#/definitions/Mail",
    "definitions": {
        "Mail": {
            "type": "object",
            "properties": {
                "to": {"type": "string", "format": "email"},
                "cc": {"type": "array", "items": {"$ref": "#/definitions/Mail/properties/to"}},
                "day": {"type": "string", "format": "date"},
                "kind": {"type": "string", "enum": ["a", "b"]},
                "code": {"type": "string", "pattern": r"^(?!\.)[a-z.]+$"},
            },
            "required": ["to"],
            "additionalProperties": False,
        }
    },
    "$schema": "http://json-schema.org/draft-07/schema#",
}
DRAFT_2020 = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {"to": {"$ref": "#/$defs/address"}, "day": {"type": "string", "format": "date"}},
    "required": ["to"],
    "$defs": {"address": {"type": "string", "format": "email"}},
}


def echo(**given: Any) -> dict[str, Any]:
    return given


@pytest.mark.parametrize("schema", [ZOD, DRAFT_2020], ids=["draft-07", "2020-12"])
def test_a_schema_decides_what_is_accepted(schema: dict[str, Any]) -> None:
    tool = Tool.from_schema("mail", "Send a mail.", schema, echo)
    assert tool.call({"to": "ann@example.com", "day": "2026-02-03"}) == {"to": "ann@example.com", "day": "2026-02-03"}
    assert tool.parameters["type"] == "object"
    for wrong, named in [
        ({"to": 5}, "`to`"),
        ({"to": "nobody"}, "`to`"),
        ({}, '"to" is a required property'),
        ({"to": "ann@example.com", "day": "x"}, "`day`"),
        ({"to": "ann@example.com", "extra": 1}, "'extra' was unexpected"),
    ]:
        with pytest.raises(ArgumentsError) as refused:
            tool.check(wrong)  # type: ignore[arg-type]
        assert named in str(refused.value)
        assert "nobody" not in str(refused.value)


def test_a_pattern_with_look_ahead_is_held_to() -> None:
    tool = Tool.from_schema("mail", "", ZOD, echo)
    tool.check({"to": "ann@example.com", "code": "a.b"})
    with pytest.raises(ArgumentsError, match="`code`"):
        tool.check({"to": "ann@example.com", "code": ".a"})


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ("text", "not a JSON Schema"),
        ({}, "must have `type: object`"),
        ({"type": "string"}, "must have `type: object`"),
        ({"type": "object", "oneOf": [{}]}, "`oneOf` at its top"),
        ({"type": "object", "properties": {"a": {"type": "strnig"}}}, "is refused"),
        ({"type": "object", "properties": {"a": {"pattern": "("}}}, "is refused"),
        (
            {"type": "object", "properties": {"a": {"pattern": "(a{1000}{1000}{1000}){1000}"}}},
            "properties.a.pattern.*regex",
        ),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}}, "is refused"),
        ({"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}}, "is refused.*nothing is fetched"),
        ({"type": "object", "$schema": "http://127.0.0.1:9/meta"}, "is refused"),
        ({"$ref": "http://127.0.0.1:9/x"}, "references stay within the schema"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "references stay within the schema"),
        (nested(40), "nested deeper"),
        ({"type": "object", "description": "x" * 300_000}, "more than 200000 bytes"),
        ({"type": "object", "properties": {"a": {"const": float("nan")}}}, "not a finite number"),
    ],
)
def test_a_schema_that_cannot_be_held_to_is_refused_when_wrapped(schema: Any, says: str) -> None:
    with pytest.raises(ToolError, match=says):
        Tool.from_schema("mail", "", schema, echo)


@pytest.mark.parametrize(
    ("call", "schema", "says"),
    [
        (lambda a: a, {"properties": {"a": {}, "b": {}}, "required": ["a"]}, "has no parameter `b`"),
        (lambda a: a, {"properties": {"a": {}}}, "needs the parameter `a`"),
        (lambda a, /: a, {"properties": {"a": {}}, "required": ["a"]}, "has no parameter `a`"),
        (lambda a=1: a, {"properties": {"a": {}}, "additionalProperties": True}, r"take them with `\*\*`"),
        (lambda a=1: a, {"properties": {"a": {}}, "patternProperties": {"^x": {}}}, r"take them with `\*\*`"),
    ],
)
def test_a_schema_and_its_function_must_agree(call: Any, schema: dict[str, Any], says: str) -> None:
    with pytest.raises(ToolError, match=says):
        Tool.from_schema("t", "", {"type": "object"} | schema, call)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        sock.settimeout(0.2)
        yield sock


@pytest.mark.parametrize(
    "refer",
    [
        lambda url: {"type": "object", "properties": {"a": {"$ref": url}}},
        lambda url: {"type": "object", "properties": {"a": {"$ref": f"{url}#/definitions/a"}}},
        lambda url: {"type": "object", "properties": {"a": {"$dynamicRef": url}}},
        lambda url: {"type": "object", "$id": url, "properties": {"a": {"$ref": "other"}}},
        lambda url: {"type": "object", "$schema": url},
        lambda url: {"$ref": url},
        lambda url: {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", "properties": {"b": {"$ref": url}}}}},
    ],
)
def test_no_reference_is_ever_fetched(refer: Callable[[str], dict[str, Any]], listener: socket.socket) -> None:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/schema"
    with pytest.raises(ToolError):
        Tool.from_schema("t", "", refer(url), echo)
    with pytest.raises(TimeoutError):
        listener.accept()


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": r"(.*)(.*)(.*)(.*)(.*)\1\2\3\4\5x(?=y)"},
        {"not": {"pattern": r"(.*)(.*)(.*)(.*)(.*)\1\2\3\4\5x(?=y)"}},
        {"if": {"pattern": r"(.*)(.*)(.*)(.*)(.*)\1\2\3\4\5x(?=y)"}, "then": False},
    ],
)
def test_a_pattern_that_runs_away_refuses_soon(schema: dict[str, Any]) -> None:
    tool = Tool.from_schema("t", "", {"type": "object", "properties": {"a": schema}}, echo)
    start = clock.process_time()
    with pytest.raises(ArgumentsError):
        tool.check({"a": "a" * 100_000})
    assert clock.process_time() - start < 3  # measured: 0.01 s; with 10,000 times the limit, 20 s


def test_a_plain_pattern_is_linear() -> None:
    schema = {"type": "object", "properties": {"a": {"pattern": "^(a+)+$"}}}
    tool = Tool.from_schema("t", "", schema, echo)
    tool.check({"a": "a" * 1_000_000})
    with pytest.raises(ArgumentsError):
        tool.check({"a": "a" * 1_000_000 + "b"})


# any description of a tool


def test_a_tool_is_a_function_or_a_dictionary() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    described = {"name": "plus", "description": "Add.", "parameters": schema, "call": sooner}
    assert tool_of(sooner).call({"n": 1}) == 2
    assert tool_of(described).call({"n": 1}) == 2
    assert tool_of(tool := Tool.from_function(sooner)) is tool
    for wrong in [7, "plus", {"name": "plus"}, described | {"strict": True}, described | {"name": 7}]:
        with pytest.raises(ToolError):
            tool_of(wrong)


# results


@dataclass
class Point:
    x: int
    when: date


@pydantic.dataclasses.dataclass
class Checked:
    amount: Decimal


class Pair(NamedTuple):
    left: str
    right: bytes | str = "r"


class Level(IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        ("text", "text"),
        (1.5, 1.5),
        (Colour.BLUE, "blue"),
        (Level.HIGH, 3),
        (Decimal("1.10"), "1.10"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (date(2026, 2, 3), "2026-02-03"),
        (datetime(2026, 2, 3, 4, 5, tzinfo=UTC), "2026-02-03T04:05:00+00:00"),
        ((1, 2), [1, 2]),
        ({"b", "a"}, ["a", "b"]),
        (Point(1, date(2026, 2, 3)), {"x": 1, "when": "2026-02-03"}),
        (Checked(Decimal("1.10")), {"amount": "1.10"}),
        (Pair("l"), {"left": "l", "right": "r"}),
        (Order(lines=[Line(item="pen")]), {"lines": [{"item": "pen", "count": 1}], "note": None}),
        ({1: [Point(2, date(2026, 2, 3))]}, {"1": [{"x": 2, "when": "2026-02-03"}]}),
        ({Colour.RED: 1}, {"red": 1}),
    ],
)
def test_a_result_becomes_json(value: object, expected: Json) -> None:
    assert jsonable(value) == expected
    assert type(jsonable(value)) is type(expected)


CYCLE: list[object] = []
CYCLE.append(CYCLE)


class Nan(pydantic.BaseModel):
    value: float = float("nan")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"raw", "`result` is a bytes.*encode it as text"),
        ({"a": [b"raw"]}, "`result.a.0` is a bytes"),
        (Pair("l", b"r"), "`result.right` is a bytes"),
        (Opaque(), "`result` is a Opaque"),
        (Point, "`result` is a type"),
        (iter([1]), "has no JSON form"),
        (float("nan"), "not a finite number"),
        (Nan(), "`result.value` is not a finite number"),
        (Decimal("NaN"), "is a Decimal"),
        (2**64, "beyond 64 bits"),
        ({None: 1}, "a key that is a NoneType"),
        ({1: "a", "1": "b"}, "two keys that are `1`"),
        ("\ud800", "lone surrogate"),
        (CYCLE, "nested deeper than"),
        ([0] * 200_000, "more than 100000 values"),
    ],
)
def test_what_has_no_json_form_is_refused_where_it_stands(value: object, says: str) -> None:
    with pytest.raises(ResultError, match=says):
        jsonable(value)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@given(json_values)
def test_json_is_its_own_json_form(value: Json) -> None:
    assert jsonable(value) == value


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), json_values))
def test_a_function_gets_what_was_judged(arguments: Mapping[str, Json]) -> None:
    tool = Tool.from_schema("t", "", {"type": "object", "additionalProperties": True}, echo)
    assert tool.call(arguments) == arguments
