"""Two kernels, one answer: the plain one in this folder agrees with Interlock's on any rules and requests."""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from interlock.kernel import decide as kernel
from interlock.kernel.decide import Request, Rules
from interlock.kernel.decision import Decision, Mint, Permitted
from interlock.kernel.spec import Effect
from tests.kernel.invariants import KEY, facts_of, judged, request_of
from tests.kernel.strategies import NAMES, PATHS, TOOLS, cedar_arguments, facts, requests, unbuildable
from tests.reference import kernel as reference
from tests.reference.kernel import Binary, Context, Expr, Get, Has, If, IsEmpty, Literal, Not, Rule, Strings

BASE = Path(__file__).parents[2] / "src" / "interlock" / "policy" / "base.cedar"
EXAMPLES = 4 * settings().max_examples  # 400 in the gate

RUN, ARGS = Get(Context(), "run"), Get(Context(), "args")
BOOLS: list[Expr] = [Get(Context(), n) for n in ("listed", "blind", "approved")]
BOOLS += [Get(RUN, n) for n in ("external", "confidential")]
SETS: list[Expr] = [
    Get(Context(), n) for n in ("unvouched", "unpointed", "receivers", "unnamed", "findings", "blocked")
]
SETS += [Get(RUN, "sources")]
LOOSE: list[Expr] = [Get(ARGS, n) for n in ("x", "y", "a b")]  # absent, or of any type: what can err
LOOSE += [Get(Get(ARGS, "x"), "x"), Get(Context(), "nothing"), Get(RUN, "nothing"), ARGS, RUN, Context()]
LOOSE += [Literal(0), Literal(1), Literal(-1), Literal(True), Literal("x"), Literal('say "hi"\n\\'), Strings(())]

loose: st.SearchStrategy[Expr] = st.sampled_from(LOOSE + BOOLS + SETS)
words = st.sampled_from([*PATHS, *NAMES, "secret", "injection", "x"])
atoms: st.SearchStrategy[Expr] = st.one_of(
    st.sampled_from([*BOOLS, Get(Context(), "approved"), Literal(True), Literal(False)]),
    st.builds(IsEmpty, st.sampled_from(SETS)),
    st.builds(Binary, st.just("contains"), st.sampled_from(SETS), words.map(Literal)),
    st.builds(
        Binary, st.just("=="), st.just(Get(Context(), "mandate")), st.sampled_from(["on", "off", "none"]).map(Literal)
    ),
    st.builds(Binary, st.just("=="), st.sampled_from(SETS), st.lists(words, max_size=2).map(tuple).map(Strings)),
    st.builds(Has, st.sampled_from([ARGS, RUN, Context(), Get(ARGS, "x")]), st.sampled_from(["x", "a b", "blocked"])),
    st.builds(Binary, st.sampled_from(["==", "!=", "<", "<=", "contains"]), loose, loose),
    st.sampled_from(BOOLS),
    loose,
)
conditions: st.SearchStrategy[Expr] = st.recursive(
    atoms,
    lambda inner: (
        st.builds(Binary, st.sampled_from(["&&", "||"]), inner, inner)
        | st.builds(Not, inner)
        | st.builds(If, inner, inner, inner)
    ),
    max_leaves=5,
)
GROUP_NAMES = ["effect", *Effect]


APPROVED = Get(Context(), "approved")


@st.composite
def scopes(draw: st.DrawFn) -> dict[str, Any]:
    """Mostly everything, so that rules meet; else one tool, or some groups."""
    some: dict[str, Any] = draw(
        st.sampled_from([{}, {}, {}])
        | st.sampled_from([*TOOLS, "stranger"]).map(lambda t: {"tool": t})
        | st.lists(st.sampled_from(GROUP_NAMES), min_size=1, max_size=2).map(lambda g: {"groups": tuple(g)})
    )
    if draw(st.integers(0, 4)) == 0:
        some |= {"user": draw(st.sampled_from(NAMES))}
    if draw(st.integers(0, 4)) == 0:
        some |= {"resource": draw(st.sampled_from([("Tool", ""), ("File", ""), ("Table", 'q"uote')]))}
    return some


@st.composite
def rule_sets(draw: st.DrawFn) -> list[Rule]:
    rules = [Rule(id="all", permits=True, **draw(scopes()))] if draw(st.booleans()) else []
    for n in range(draw(st.integers(0, 4))):
        permits = draw(st.booleans())
        rule = Rule(
            id=f"r{draw(st.integers(0, 9))}-{n}",
            permits=permits,
            when=tuple(draw(st.lists(conditions, max_size=1 if permits else 2))),
            unless=tuple(draw(st.lists(st.just(APPROVED) | conditions, max_size=1))),
            obliges=tuple(draw(st.lists(st.sampled_from(["notify", "redact"]), max_size=2))) if permits else (),
            **draw(scopes()),
        )
        rules.insert(draw(st.integers(0, len(rules))), rule)
    return rules


arguments = cedar_arguments | st.builds(lambda a, v: a | {"x": v}, cedar_arguments, unbuildable)
any_request = requests(of=st.one_of(facts(), facts(), facts(), facts(args=arguments)))


def answer(decision: Decision) -> reference.Answer:
    """What both kernels must have in common: kind, rules, obligations."""
    due = tuple(o.name for o in decision.obligations) if isinstance(decision, Permitted) else ()
    return reference.Answer(type(decision).__name__, decision.rules, due)


def agree(rules: list[Rule], request: Request, effects: Mapping[str, Effect] = TOOLS) -> Decision:
    loaded = Rules(reference.text_of(rules), effects)
    decision = judged(request, loaded)
    assert answer(decision) == reference.decide(rules, request, effects)
    approved = kernel.decide_approved(request, loaded, Mint(KEY), "n")
    assert answer(approved) == reference.decide_approved(rules, request, effects)
    return decision


def one(condition: Expr) -> list[Rule]:
    return [Rule(id="p", permits=True), Rule(id="e", permits=False, when=(condition,))]


@settings(max_examples=EXAMPLES)
@given(rule_sets(), any_request)
@example(one(Binary("&&", Literal(False), Literal(1))), request_of())
@example(one(Binary("&&", Literal(True), Literal(1))), request_of())
@example(one(Binary("||", Literal(True), Literal(1))), request_of())
@example(one(Binary("==", Literal(True), Literal(1))), request_of())
@example(one(Binary("==", Get(ARGS, "x"), Strings(("a", "b")))), request_of(facts_of(arguments={"x": ["b", "a", "a"]})))
@example(one(Not(Not(Not(Not(Not(Not(Literal(True)))))))), request_of())
@example(one(Has(Literal("x"), "x")), request_of())
@example(one(Binary("<", Literal(True), Literal(1))), request_of())
@example(one(Literal("x")), request_of())
def test_both_kernels_answer_the_same(rules: list[Rule], request: Request) -> None:
    agree(rules, request)


@settings(max_examples=EXAMPLES)
@given(conditions, any_request)
def test_both_kernels_evaluate_conditions_the_same(condition: Expr, request: Request) -> None:
    """One rule with one condition at a time: nothing else can hide a difference."""
    agree(one(condition), request)
    agree([Rule(id="p", permits=True, when=(condition,))], request)


def test_the_comparison_sees_every_kind_of_answer() -> None:
    """A generator that only ever drew refusals would compare nothing: each kind has its share."""
    seen: Counter[str] = Counter()

    @settings(max_examples=300, derandomize=True, database=None)
    @given(rule_sets(), any_request)
    def look(rules: list[Rule], request: Request) -> None:
        found = reference.decide(rules, request, TOOLS)
        seen[found.kind] += 1
        seen["error"] += any(r.startswith("error:r") for r in found.rules)
        seen["unbuildable"] += "error:request" in found.rules
        seen["default-deny"] += found.rules == ("default-deny",)
        seen["several"] += len(found.rules) > 1

    look()
    for kind in ("Permitted", "NeedsApproval", "Forbidden", "error", "unbuildable", "default-deny", "several"):
        assert seen[kind] >= 5, seen


# the shipped rules, written a second time


def no_approval(*when: Expr) -> tuple[Expr, ...]:
    return (*when, Not(Get(Context(), "approved")))


def filled(name: str) -> Expr:
    return Not(IsEmpty(Get(Context(), name)))


CONFIDED = Binary("||", Get(RUN, "external"), filled("unnamed"))
SHIPPED = [
    Rule(id="read", permits=True, groups=("read",)),
    Rule(id="effect", permits=True, groups=("effect",)),
    Rule(id="unlisted-tool", permits=False, when=(Not(Get(Context(), "listed")),)),
    Rule(id="blocked", permits=False, when=(filled("blocked"),)),
    Rule(id="off-mandate", permits=False, groups=("effect",), when=(Binary("==", Get(Context(), "mandate"), Literal("off")),)),
    Rule(id="unvouched", permits=False, groups=("effect",), when=no_approval(filled("unvouched"))),
    Rule(id="unpointed", permits=False, groups=("effect",), when=no_approval(filled("unpointed"))),
    Rule(id="blind-effect", permits=False, groups=("effect",), when=no_approval(Get(Context(), "blind"), Get(RUN, "external"))),
    Rule(id="confidential-egress", permits=False, groups=("egress",), when=no_approval(Get(RUN, "confidential"), filled("receivers"), CONFIDED)),
]  # fmt: skip


@settings(max_examples=EXAMPLES)
@given(requests())
def test_the_shipped_rules_are_what_their_comments_say(request: Request) -> None:
    assert answer(judged(request, Rules(BASE.read_text(), TOOLS))) == reference.decide(SHIPPED, request, TOOLS)


@pytest.mark.parametrize("effect", list(Effect))
def test_both_kernels_know_the_same_groups(effect: Effect) -> None:
    for group in GROUP_NAMES:
        agree([Rule(id="p", permits=True, groups=(str(group),))], request_of(tool="t"), {"t": effect})


def test_a_difference_would_be_seen() -> None:
    """The comparison itself is tested: other rules than those that were rendered do not agree."""
    rules = [Rule(id="p", permits=True), Rule(id="f", permits=False, when=(Get(Context(), "blind"),))]
    request = request_of(facts_of(blind=True))
    agree(rules, request)
    lenient = [rules[0], dataclasses.replace(rules[1], when=(Literal(False),))]
    assert answer(judged(request, Rules(reference.text_of(rules), {}))) != reference.decide(lenient, request, {})
