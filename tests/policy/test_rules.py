import json
from typing import Any

import cedarpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.kernel.errors import RuleError
from interlock.kernel.spec import Effect, ToolSpec
from interlock.policy.rules import CONTEXT, Tools, cedar_args, cedar_schema, check, parse_rules, split, used_arguments
from interlock.policy.types import argument_paths
from tests.policy.strategies import schemas


def spec(properties: dict[str, Any], *required: str, name: str = "pay", effect: Effect = Effect.SPEND) -> ToolSpec:
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return ToolSpec(name=name, effect=effect, schema=schema)


def said(text: str, *specs: ToolSpec) -> list[str]:
    rules, problems = parse_rules(split(text, "r.cedar"))
    assert not problems
    return [f"{p.line}: {p.message}" for p in check(rules, Tools(specs={s.name: s for s in specs}))]


# files to rules


def test_rules_are_split_where_cedar_ends_them() -> None:
    text = '// first; not here\n@id("a;b")\npermit (principal, action, resource) // ";\nwhen { "x;\\";" == "y" };\n// end;\n'
    rules = list(split(text + '@id("c") forbid (principal, action, resource);', "r.cedar"))
    assert [r.line for r in rules] == [2, 6]


@given(st.lists(st.sampled_from([";", '"', "\\", "//", "\n", " ", "a", "@id", "(", "}", "/", "é"])).map("".join))
def test_splitting_loses_nothing_but_comments_and_space(text: str) -> None:
    left = text
    for rule in split(text, "r.cedar"):
        before, found, left = left.partition(rule.text)
        assert found
        assert not before.strip()
    assert not left.strip() or all(line.lstrip().startswith("//") for line in left.strip().splitlines())


PIECES = ["permit", "forbid", " (principal, action, resource)", "when { true }", ";", '@id("a")', '"', "//", "\n", "{"]


@given(st.lists(st.sampled_from(PIECES), max_size=10).map("".join))
def test_any_text_is_rules_or_problems(text: str) -> None:
    rules, problems = parse_rules(split(text, "r.cedar"))
    assert all(p.line >= 1 for p in problems)
    whole: dict[str, Any] = json.loads(cedarpy.policies_to_json_str("\n".join(r.text for r in rules)))
    assert len(whole["staticPolicies"]) == len(rules)


# the schema


def test_the_context_is_the_one_that_the_kernel_writes() -> None:
    from interlock.kernel.call import Call, Resource
    from interlock.kernel.decide import Facts, Request

    nothing: frozenset[str] = frozenset()
    facts = Facts(
        listed=True, unvouched=nothing, unpointed=nothing, receivers=nothing, unnamed=nothing, blind=False,
        external=False, confidential=False, sources=nothing, findings=nothing, mandate="on", blocked=nothing,
        arguments={"amount": {"__extn": {"fn": "decimal", "arg": "1.5"}}},
    )  # fmt: skip
    call = Call(tool="pay", arguments={}, agent="a", principal="emma", run="1")
    request = Request(call=call, resource=Resource("Tool", "pay"), facts=facts).cedar(approved=False)
    assert set(json.loads(str(request["context"]))) == set(CONTEXT)
    schema = cedar_schema([spec({"amount": {"type": "number"}}, "amount")])
    permit = "permit (principal, action, resource);"
    # With a schema, the engine refuses a request whose context has not exactly these fields and types.
    assert cedarpy.is_authorized(request, permit, [], schema).allowed
    wrong = spec({"amount": {"type": "integer"}}, "amount")
    assert not cedarpy.is_authorized(request, permit, [], cedar_schema([wrong])).allowed


@given(st.dictionaries(st.text(max_size=6), schemas, max_size=4))
def test_every_schema_of_arguments_gives_a_schema_that_cedar_reads(properties: dict[str, Any]) -> None:
    cedarpy.Schema.from_str(cedar_schema([spec(properties)]))


def test_a_schema_that_refers_to_itself_ends() -> None:
    node = {"anyOf": [{"$ref": "#/$defs/N"}] * 8 + [{"type": "array", "items": {"$ref": "#/$defs/N"}}]}
    loop = {"type": "object", "properties": {"a": {"$ref": "#/$defs/N"}}, "$defs": {"N": node}}
    assert "args: {}" in cedar_schema([ToolSpec(name="x", schema=loop)])
    assert argument_paths(loop).has("a.anything")


# values


def test_arguments_arrive_with_the_types_of_the_schema() -> None:
    properties = {
        "amount": {"type": "number"},
        "count": {"type": "integer"},
        "to": {"type": "array", "items": {"type": "string"}},
        "urgent": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
        "card": {"type": "object", "properties": {"holder": {"type": "string"}, "extra": {}}},
        "free": {},
    }
    arguments = {
        "amount": 12.5, "count": 3.0, "to": ["a", "b"], "urgent": None, "card": {"holder": "E", "extra": 1, "more": 2},
        "free": 1,
    }  # fmt: skip
    assert cedar_args(spec(properties), arguments, frozenset(properties)) == {
        "amount": {"__extn": {"fn": "decimal", "arg": "12.5000"}},
        "count": 3,
        "to": ["a", "b"],
        "card": {"holder": "E"},
    }
    assert cedar_args(spec(properties), arguments, frozenset({"count"})) == {"count": 3}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("number", 0.00001),
        ("number", 0.1 + 0.2),
        ("number", 922337203685477.6),
        ("number", 1e300),
        ("integer", 1.5),
        ("integer", 1e19),
        ("number", "12"),
        ("number", True),
        ("integer", True),
        ("string", 3),
        ("boolean", 1),
    ],
)
def test_a_value_that_cedar_cannot_carry_exactly_is_refused(kind: str, value: object) -> None:
    with pytest.raises(RuleError, match="the argument `a`"):
        cedar_args(spec({"a": {"type": kind}}, "a"), {"a": value}, frozenset({"a"}))


@given(st.integers(-922337203685477, 922337203685477), st.integers(0, 9999))
def test_a_number_is_compared_as_the_number_that_it_is(whole: int, part: int) -> None:
    text = f"{whole}.{part:04}"
    value = float(text)
    try:
        found = cedar_args(spec({"a": {"type": "number"}}), {"a": value}, frozenset({"a"}))
    except RuleError:
        return  # the float is not this decimal
    rule = f'permit (principal, action, resource) when {{ context.a == decimal("{text}") }};'
    request = {"principal": 'U::"u"', "action": 'Action::"a"', "resource": 'R::"r"', "context": json.dumps(found)}
    assert cedarpy.is_authorized(request, rule, []).allowed == (repr(value).rstrip("0") == text.rstrip("0"))


def test_an_argument_cannot_pose_as_an_entity_or_an_extension() -> None:
    evil = {"__extn": {"fn": "decimal", "arg": "0.0"}}
    tricks: list[dict[str, Any]] = [{"type": "object", "properties": {"__extn": {"type": "object"}}}, {}]
    for properties in ({"a": schema} for schema in tricks):
        assert "__extn" not in json.dumps(cedar_args(spec(properties), {"a": evil}, frozenset({"a"})))
    with pytest.raises(RuleError):
        cedar_args(spec({"a": {"type": "string"}}), {"a": evil}, frozenset({"a"}))


def test_the_arguments_that_rules_read_are_found() -> None:
    text = """
    @id("a") forbid (principal, action, resource) when { context.args has a && context.args["b c"] == "x" };
    @id("b") forbid (principal, action, resource) when { context.args.d.e.isEmpty() || context.unvouched.contains("f") };
    """
    rules, problems = parse_rules(split(text, "r.cedar"))
    assert not problems
    assert used_arguments(rules) == {"a", "b c", "d"}


# rules that can apply, and rules that cannot (more of these: corpora/manifests.toml)

SEND = spec({"to": {"type": "string"}}, "to", name="send", effect=Effect.EGRESS)
FIND = spec({"query": {"type": "string"}}, name="find", effect=Effect.READ)
POSSIBLE = [
    "context.approved && !context.blind",
    'context.mandate == "on" || context.mandate == "off"',
    'context.unvouched.contains("to") && !context.unvouched.isEmpty()',
    'action == Action::"send" && context.args.to == "x"',
    'action == Action::"find" && context.args has query && context.args.query like "a*"',
    "if context.approved then context.run.external else context.run.confidential",
    'resource == Tool::"send"',
    'action in Action::"egress"',
    'action in [Action::"find", Action::"read"]',
    'principal == User::"emma" && context.agent != "x"',
    "context.run.sources.containsAll(context.findings)",
    '["on", "none"].contains(context.mandate)',
    "1 < 2 && !(2 <= 1)",
    "[1, 2] == [2, 1]",
    'context.agent like "s*"',
]


@pytest.mark.parametrize("condition", POSSIBLE)
def test_a_rule_that_can_apply_is_not_called_impossible(condition: str) -> None:
    text = f'@id("a") forbid (principal, action, resource) when {{ {condition} }};'
    tools = Tools(specs={"send": SEND, "find": FIND}, agents=frozenset({"x"}))
    rules, _ = parse_rules(split(text, "r.cedar"))
    assert check(rules, tools) == []


FLAGS = ["context.approved", "context.blind", "context.listed", 'context.mandate == "on"', "context.run.external"]
conditions = st.recursive(
    st.sampled_from(FLAGS),
    lambda c: st.one_of(
        st.tuples(c, c).map(lambda p: f"({p[0]} && {p[1]})"),
        st.tuples(c, c).map(lambda p: f"({p[0]} || {p[1]})"),
        c.map(lambda x: f"!({x})"),
    ),
    max_leaves=6,
)


@given(conditions, conditions)
def test_impossible_is_what_no_facts_make_true(when: str, unless: str) -> None:
    """Against the engine itself, on every combination of the facts that these conditions read."""
    text = f'@id("a") permit (principal, action, resource) when {{ {when} }} unless {{ {unless} }};'
    possible = False
    for bits in range(32):
        flag = [bool(bits >> i & 1) for i in range(5)]
        context = {
            "approved": flag[0], "blind": flag[1], "listed": flag[2], "mandate": "on" if flag[3] else "off",
            "run": {"external": flag[4]},
        }  # fmt: skip
        request = {"principal": 'User::"u"', "action": 'Action::"find"', "resource": 'Tool::"find"', "context": context}
        possible = possible or cedarpy.is_authorized(request, text, []).allowed
    assert (said(text, FIND) == []) == possible
