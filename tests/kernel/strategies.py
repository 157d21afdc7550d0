"""What hypothesis draws for the kernel: labels, JSON, calls, facts, rule sets with and without errors."""

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from interlock.kernel.call import MAX_INT, Call, Resource
from interlock.kernel.decide import Facts, Request
from interlock.kernel.labels import EVERYONE, Integrity, Label, Readers
from interlock.kernel.spec import Effect

NAMES = ["ann", "bob", "cyd"]
PATHS = ["to", "body", "items.id"]
TOOLS: Mapping[str, Effect] = {f"tool-{effect}": effect for effect in Effect}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
names = st.sampled_from(NAMES)
readers = st.just(EVERYONE) | st.frozensets(names).map(Readers)
labels = st.builds(Label, st.sampled_from(Integrity), readers)
effects = st.sampled_from(Effect)

# Few values, so that equal ones and near misses are common.
near_misses = st.sampled_from(
    [0, 1, -1, 0.0, -0.0, 1.0, True, False, None, "", "1", "é", "e\u0301", "None", 10**16, 1e16]
)
scalars = near_misses | texts | st.integers(-MAX_INT, MAX_INT) | st.floats(allow_nan=False, allow_infinity=False)
json_values: SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts | st.sampled_from(["a", "b"]), inner, max_size=3),
    max_leaves=8,
)
arguments = st.dictionaries(st.sampled_from(["a", "b"]) | texts, json_values, max_size=3)

not_json = st.one_of(
    st.sampled_from([float("nan"), float("inf"), float("-inf"), b"x", {1}, object(), "\ud800", "a\udfffb"]),
    st.integers(min_value=MAX_INT + 1),
    st.integers(max_value=-MAX_INT - 1),
    st.dictionaries(st.integers() | st.none() | st.just("\udc00"), st.just(1), min_size=1, max_size=1),
)


@st.composite
def hidden(draw: st.DrawFn, inner: SearchStrategy[Any]) -> Any:
    """A drawn value somewhere inside JSON that is fine."""
    value = draw(inner)
    for wrap in draw(st.lists(st.sampled_from(["list", "pair", "object"]), max_size=4)):
        match wrap:
            case "list":
                value = [value]
            case "pair":
                value = (draw(scalars), value)
            case _:
                value = {"a": draw(scalars), draw(texts): value}
    return value


paths = st.frozensets(st.sampled_from(PATHS), max_size=2)
cedar_values: SearchStrategy[Any] = st.recursive(
    st.sampled_from([0, 1, True, False, "x", 'say "hi"\n\\', "é"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["x", "a b"]), inner, max_size=2),
    max_leaves=4,
)
cedar_arguments = st.dictionaries(st.sampled_from(["x", "y", "a b"]), cedar_values, max_size=3)
# What makes a request that Cedar cannot be asked.
unbuildable = st.sampled_from([None, 1.5, float("nan"), 2**63, "\ud800", [[None]], {"x": 0.5}])


@st.composite
def facts(draw: st.DrawFn, *, args: SearchStrategy[Any] = cedar_arguments) -> Facts:
    """Any facts at all, likely to be harmless in most fields so that single ones decide."""
    rare = st.sampled_from([False, False, True])
    return Facts(
        listed=not draw(rare),
        unvouched=draw(paths) if draw(rare) else frozenset(),
        unpointed=draw(paths) if draw(rare) else frozenset(),
        receivers=draw(paths),
        unnamed=draw(paths) if draw(rare) else frozenset(),
        blind=draw(rare),
        external=draw(st.booleans()),
        confidential=draw(rare),
        sources=draw(st.frozensets(names, max_size=2)),
        findings=draw(st.frozensets(st.sampled_from(["secret.key", "injection"]), max_size=1)),
        mandate=draw(st.sampled_from(["none", "on", "off"])),
        blocked=draw(
            st.sampled_from([frozenset(), frozenset(), frozenset({"secret"}), frozenset({"budget", "scope"})])
        ),
        arguments=draw(args),
    )


@st.composite
def requests(
    draw: st.DrawFn, *, of: SearchStrategy[Facts] | None = None, tools: Sequence[str] = (*TOOLS, "stranger")
) -> Request:
    call = Call(
        tool=draw(st.sampled_from(tools)),
        arguments={},
        agent=draw(names),
        principal=draw(names),
        run="r",
    )
    resource = Resource(*draw(st.sampled_from([("Tool", "t"), ("File", "/a b"), ("Table", 'q"uote')])))
    return Request(call=call, resource=resource, facts=draw(facts() if of is None else of))


# Bodies for rules whose meaning does not matter, only what the kernel makes of it.
CONDITIONS = [
    "true",
    "false",
    "context.approved",
    "!context.approved",
    "context.listed",
    "context.run.external",
    "!context.unvouched.isEmpty()",
    'context.mandate == "off"',
    "context.nothing",
    "context.approved && context.nothing",
    "!context.approved && context.nothing",
    "context.args.x == 1",
    'principal == User::"ann"',
    'action in Action::"egress"',
    'action in Action::"read"',
]


@st.composite
def rule_lines(draw: st.DrawFn, *, max_size: int = 5) -> list[str]:
    """Lines for `invariants.rules_of`, each rule with a name of its own."""
    bodies = draw(
        st.lists(st.tuples(st.sampled_from(["permit", "forbid"]), st.sampled_from(CONDITIONS)), max_size=max_size)
    )
    return [f"r{n}: {effect} when {{ {condition} }}" for n, (effect, condition) in enumerate(bodies)]
