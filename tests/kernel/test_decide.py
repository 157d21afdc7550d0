"""K1 to K5, K9 on any rules and facts; then the shipped rules: what each refuses, and what no fact can undo (K10)."""

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.kernel.decide import Facts, Request, Rules, decide, decide_approved
from interlock.kernel.decision import Forbidden, Mint, NeedsApproval, Obligation, Permitted
from interlock.kernel.errors import PermitError
from interlock.kernel.spec import Effect
from tests.kernel import invariants
from tests.kernel.invariants import KEY, facts_of, judged, refuses, request_of, rules_of, said
from tests.kernel.strategies import PATHS, TOOLS, facts, json_values, names, requests, rule_lines, unbuildable

ERRS = ["e: forbid when { context.nothing }", "e: permit when { context.nothing }"]


# any rules


@given(rule_lines(), requests())
def test_any_decision_is_what_its_two_evaluations_say(lines: list[str], request: Request) -> None:
    judged(request, rules_of(*lines, effects=TOOLS))


@given(requests())
def test_k1_without_rules_nothing_happens(request: Request) -> None:
    assert said(judged(request, rules_of(effects=TOOLS))) == ("Forbidden", ("default-deny",))


@given(rule_lines(), requests())
def test_k1_rules_that_only_forbid_permit_nothing(lines: list[str], request: Request) -> None:
    forbids = [line for line in lines if ": forbid" in line]
    assert isinstance(judged(request, rules_of(*forbids, effects=TOOLS)), Forbidden)


@given(rule_lines(), requests())
def test_k2_one_forbid_outweighs_everything(lines: list[str], request: Request) -> None:
    assert isinstance(judged(request, rules_of(*lines, "f: forbid ", effects=TOOLS)), Forbidden)


@given(rule_lines(), rule_lines(), requests())
def test_k2_more_forbids_never_permit_more(lines: list[str], more: list[str], request: Request) -> None:
    extra = [f"x{line}" for line in more if ": forbid" in line]
    before = judged(request, rules_of(*lines, effects=TOOLS))
    after = judged(request, rules_of(*lines, *extra, effects=TOOLS))
    assert authority(after) <= authority(before)


@given(rule_lines(), requests(), st.sampled_from(ERRS))
def test_k3_a_rule_that_errors_forbids(lines: list[str], request: Request, error: str) -> None:
    decision = judged(request, rules_of(*lines, error, effects=TOOLS))
    assert isinstance(decision, Forbidden)
    assert "error:e" in decision.rules
    assert decision.why


@given(rule_lines(), requests(), st.sampled_from(ERRS), st.sampled_from(["", "!"]))
def test_k3_a_rule_that_errors_in_one_of_the_two_evaluations_asks_nobody(
    lines: list[str], request: Request, error: str, when: str
) -> None:
    halfway = error.replace("{ ", f"{{ {when}context.approved && ")
    rules = rules_of(*lines, halfway, effects=TOOLS)
    decision = judged(request, rules)
    assert not isinstance(decision, NeedsApproval)
    if when:  # failed as it stands: neither as it stands, nor by approval
        assert isinstance(decision, Forbidden)
    assert isinstance(decide_approved(request, rules, Mint(KEY), "n"), Forbidden)


@given(rule_lines(), requests(), unbuildable)
def test_k3_a_request_that_cannot_be_built_is_forbidden(lines: list[str], request: Request, value: Any) -> None:
    broken = dataclasses.replace(request, facts=dataclasses.replace(request.facts, arguments={"x": value}))
    decision = judged(broken, rules_of(*lines, "p: permit ", effects=TOOLS))
    assert said(decision) == ("Forbidden", ("error:request",))


@given(st.dictionaries(st.sampled_from(["x", "__entity", "__extn", "__expr"]), json_values, max_size=2))
def test_k3_no_arguments_make_the_kernel_raise(arguments: dict[str, Any]) -> None:
    judged(request_of(facts_of(arguments=arguments)), rules_of("p: permit "))


@given(rule_lines(), requests(), st.randoms(use_true_random=False))
def test_k4_order_and_repetition_mean_nothing(lines: list[str], request: Request, order: random.Random) -> None:
    again = [line.replace(":", "-again:", 1) for line in lines]
    before = judged(request, rules_of(*lines, effects=TOOLS))
    shuffled = order.sample(lines + again, 2 * len(lines))
    after = judged(request, rules_of(*shuffled, effects=TOOLS))
    assert type(after) is type(before)
    assert {name.removesuffix("-again") for name in after.rules} == set(before.rules)
    assert judged(request, rules_of(*order.sample(lines, len(lines)), effects=TOOLS)).rules == before.rules


@given(rule_lines(), requests())
def test_k5_the_rules_that_are_named_suffice(lines: list[str], request: Request) -> None:
    """Without the rules that a decision does not name, the same is permitted, and for the same rules."""
    decision = judged(request, rules_of(*lines, "p: permit ", effects=TOOLS))
    named = [line for line in [*lines, "p: permit "] if line.split(":")[0] in decision.rules]
    if isinstance(decision, Permitted):
        assert said(judged(request, rules_of(*named, effects=TOOLS))) == said(decision)


@given(rule_lines(), requests())
def test_needs_approval_is_exactly_one_bit(lines: list[str], request: Request) -> None:
    """Asked exactly if every forbid in the way is lifted by `context.approved`, and some permit then holds."""
    rules = rules_of(*lines, effects=TOOLS)
    decision = judged(request, rules)
    lifted = decide_approved(request, rules, Mint(KEY), "n")
    assert isinstance(decision, NeedsApproval) == (
        isinstance(lifted, Permitted) and not rules.evaluate(request, approved=False).allowed
    )


@given(requests(), requests())
def test_k9_the_permit_is_for_this_call_only(request: Request, other: Request) -> None:
    mint = Mint(KEY)
    decision = decide(request, rules_of("p: permit ", effects=TOOLS), mint, "n")
    assert isinstance(decision, Permitted)
    mint.check(decision.permit, request.call.digest)
    if request.call.digest != other.call.digest:
        refuses(PermitError, lambda: mint.check(decision.permit, other.call.digest))


@given(st.lists(st.frozensets(st.sampled_from(["a", "b:x", "b:y", "c:x:y"]), min_size=1), max_size=4))
def test_obligations_are_those_of_all_permitting_rules(due: list[frozenset[str]]) -> None:
    text = '@id("p") permit (principal, action, resource);'
    for n, each in enumerate(due):
        text += f'@id("p{n}") @obliges("{", ".join(each)}") permit (principal, action, resource);'
        text += f'@id("q{n}") @obliges("never") permit (principal, action, resource) when {{ false }};'
    decision = judged(request_of(), Rules(text, {}))
    assert isinstance(decision, Permitted)
    assert {f"{o.name}:{o.argument}".rstrip(":") for o in decision.obligations} == set().union(*due)
    assert len(set(decision.obligations)) == len(decision.obligations)
    assert Obligation("never") not in decision.obligations


# the shipped rules

BASE = (Path(__file__).parents[2] / "src" / "interlock" / "policy" / "base.cedar").read_text()
SHIPPED = Rules(BASE, TOOLS)
EFFECTS = [f"tool-{effect}" for effect in Effect if effect is not Effect.READ]
EGRESSES = ["tool-egress", "tool-fetch", "tool-spend"]
TO = frozenset({"to"})


def authority(decision: object) -> int:
    """How much a decision lets happen: nothing, if a human says so, at once."""
    match decision:
        case Permitted():
            return 2
        case NeedsApproval():
            return 1
        case _:
            return 0


BASE_TABLE: list[tuple[list[str], dict[str, Any], str, tuple[str, ...]]] = [
    (["tool-read"], {}, "Permitted", ("read",)),
    (EFFECTS, {}, "Permitted", ("effect",)),
    (["stranger"], {}, "Forbidden", ("default-deny",)),
    # unlisted-tool, blocked, off-mandate: no approval
    ([*TOOLS, "stranger"], {"listed": False}, "Forbidden", ("unlisted-tool",)),
    ([*TOOLS, "stranger"], {"blocked": frozenset({"secret"})}, "Forbidden", ("blocked",)),
    ([*TOOLS], {"blocked": frozenset({"budget", "scope"}), "listed": False}, "Forbidden", ("blocked", "unlisted-tool")),
    (EFFECTS, {"mandate": "off"}, "Forbidden", ("off-mandate",)),
    (EFFECTS, {"mandate": "off", "unvouched": TO}, "Forbidden", ("off-mandate",)),  # not asked: asking is no defence
    (EFFECTS, {"mandate": "on"}, "Permitted", ("effect",)),
    (["tool-read"], {"mandate": "off"}, "Permitted", ("read",)),
    # unvouched, unpointed: an approval
    (EFFECTS, {"unvouched": TO}, "NeedsApproval", ("unvouched",)),
    (EFFECTS, {"unvouched": TO, "unpointed": TO}, "NeedsApproval", ("unpointed", "unvouched")),
    (EFFECTS, {"unpointed": TO}, "NeedsApproval", ("unpointed",)),
    (["tool-read"], {"unvouched": TO, "unpointed": TO}, "Permitted", ("read",)),
    (EFFECTS, {"unvouched": TO, "blocked": frozenset({"secret"})}, "Forbidden", ("blocked",)),
    (EFFECTS, {"unvouched": TO, "listed": False}, "Forbidden", ("unlisted-tool",)),
    # blind-effect: only once anything external was read
    (EFFECTS, {"blind": True, "external": True}, "NeedsApproval", ("blind-effect",)),
    (EFFECTS, {"blind": True}, "Permitted", ("effect",)),
    (EFFECTS, {"external": True}, "Permitted", ("effect",)),
    (["tool-read"], {"blind": True, "external": True}, "Permitted", ("read",)),
    # confidential-egress: an unnamed receiver, or any receiver once anything external was read
    (
        EGRESSES,
        {"confidential": True, "receivers": TO, "unnamed": TO},
        "NeedsApproval",
        ("confidential-egress",),
    ),
    (EGRESSES, {"confidential": True, "receivers": TO, "external": True}, "NeedsApproval", ("confidential-egress",)),
    (EGRESSES, {"confidential": True, "receivers": TO}, "Permitted", ("effect",)),
    (EGRESSES, {"receivers": TO, "unnamed": TO, "external": True}, "Permitted", ("effect",)),
    (EGRESSES, {"confidential": True, "external": True}, "Permitted", ("effect",)),  # nothing leaves towards anybody
    (
        ["tool-write", "tool-destroy", "tool-read"],
        {"confidential": True, "receivers": TO, "unnamed": TO, "external": True},
        "Permitted",
        (),
    ),
    # what no shipped rule looks at
    (EFFECTS, {"findings": frozenset({"injection"}), "sources": frozenset({"mail"})}, "Permitted", ("effect",)),
]


@pytest.mark.parametrize(("tools", "differing", "kind", "rules"), BASE_TABLE)
def test_each_shipped_rule_says_what_it_says(
    tools: list[str], differing: dict[str, Any], kind: str, rules: tuple[str, ...]
) -> None:
    for tool in tools:
        decision = judged(request_of(facts_of(**differing), tool=tool), SHIPPED)
        assert type(decision).__name__ == kind
        assert decision.rules == (rules or decision.rules)


def test_the_table_has_every_shipped_rule() -> None:
    assert {name for *_, rules in BASE_TABLE for name in rules} == SHIPPED.ids | {"default-deny"}


def effects_with(**differing: Any) -> st.SearchStrategy[Request]:
    """Requests for effects, whatever else is so."""
    return requests(of=facts().map(lambda f: dataclasses.replace(f, **differing)), tools=EFFECTS)


some = st.frozensets(st.sampled_from(PATHS), min_size=1)


@given(st.data(), some, st.sampled_from(["unvouched", "unpointed"]))
def test_no_effect_on_an_unvouched_or_unpointed_argument_without_approval(
    data: st.DataObject, paths: frozenset[str], fact: str
) -> None:
    assert not isinstance(judged(data.draw(effects_with(**{fact: paths})), SHIPPED), Permitted)


@given(requests(), st.sampled_from([{"listed": False}, {"blocked": frozenset({"breaker"})}]))
def test_nothing_at_all_when_blocked_or_unlisted(request: Request, differing: dict[str, Any]) -> None:
    request = dataclasses.replace(request, facts=dataclasses.replace(request.facts, **differing))
    assert isinstance(judged(request, SHIPPED), Forbidden)
    assert isinstance(decide_approved(request, SHIPPED, Mint(KEY), "n"), Forbidden)


@given(st.data())
def test_no_effect_off_mandate_however_often_approved(data: st.DataObject) -> None:
    request = data.draw(effects_with(mandate="off"))
    assert isinstance(judged(request, SHIPPED), Forbidden)
    assert isinstance(decide_approved(request, SHIPPED, Mint(KEY), "n"), Forbidden)


def more(field: str) -> Callable[[Facts, st.DrawFn], Facts]:
    def worsen(f: Facts, draw: st.DrawFn) -> Facts:
        return dataclasses.replace(f, **{field: getattr(f, field) | draw(some)})

    return worsen


def to(field: str, value: object) -> Callable[[Facts, st.DrawFn], Facts]:
    changed: dict[str, Any] = {field: value}
    return lambda f, _: dataclasses.replace(f, **changed)


WORSE = [
    *(more(field) for field in ("unvouched", "unpointed", "receivers", "unnamed", "sources", "findings", "blocked")),
    *(to(field, True) for field in ("blind", "external", "confidential")),
    to("listed", False),
    to("mandate", "off"),
]


@st.composite
def worsened(draw: st.DrawFn) -> tuple[Request, Request]:
    """A request, and one in which some facts are worse."""
    request = draw(requests())
    worse = request.facts
    for step in draw(st.lists(st.sampled_from(WORSE), min_size=1, max_size=4)):
        worse = step(worse, draw)
    return request, dataclasses.replace(request, facts=worse)


def test_every_fact_can_be_made_worse() -> None:
    """A new fact is given its worse direction here, or the property below would not look at it."""
    changed = set()
    for step in WORSE:
        before = facts_of()
        after = step(before, lambda strategy: TO)  # type: ignore[arg-type]  # draws what it is told to
        changed |= {f.name for f in dataclasses.fields(Facts) if getattr(before, f.name) != getattr(after, f.name)}
    assert changed == {f.name for f in dataclasses.fields(Facts)} - {"arguments"}


@given(worsened())
def test_k10_worse_facts_never_gain_authority(pair: tuple[Request, Request]) -> None:
    before, after = (authority(judged(request, SHIPPED)) for request in pair)
    assert after <= before


@given(requests(of=facts(args=st.just({}))), st.booleans(), st.frozensets(names), st.frozensets(names))
def test_k10_untrusted_text_alone_decides_nothing_about_a_vouched_call(
    request: Request, external: bool, sources: frozenset[str], findings: frozenset[str]
) -> None:
    """Two runs that differ only in what was read from outside: the kernel's half is that these facts do not matter."""
    same = dataclasses.replace(
        request.facts, unvouched=frozenset(), unpointed=frozenset(), blind=False, confidential=False
    )
    other = dataclasses.replace(same, external=external, sources=sources, findings=findings)
    decisions = [judged(dataclasses.replace(request, facts=f), SHIPPED) for f in (same, other)]
    assert said(decisions[0]) == said(decisions[1])


def test_the_same_request_always_gets_the_same_decision() -> None:
    request = request_of(facts_of(unvouched=TO), tool="tool-egress")
    again = Rules(BASE, dict(reversed([*TOOLS.items()])))
    assert judged(request, SHIPPED) == judged(request, again)


def test_the_fixed_examples_hold_with_the_shipped_rules_added() -> None:
    """A user's rules stand beside the shipped ones: what these forbid, no permit of a user's brings back."""
    everything = Rules(BASE + '@id("mine") permit (principal, action, resource);', TOOLS)
    for tools, differing, kind, _ in BASE_TABLE:
        for tool in tools:
            if tool == "stranger" and not differing:
                continue  # the user's own rule permits what no shipped one did
            assert said(judged(request_of(facts_of(**differing), tool=tool), everything))[0] == kind
    invariants.check_decide()
