"""Mandates only take away; the lexical planner against `corpora/words.toml`; the text planner fails closed."""

import json
import re
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.kernel.labels import Integrity
from interlock.kernel.spec import Effect, ToolSpec
from interlock.policy.infer import infer_spec
from interlock.policy.mandate import LexicalPlanner, Mandate, PlanError, TextPlanner

CORPUS = tomllib.loads((Path(__file__).parent.parent / "corpora" / "words.toml").read_text())


def spec(signature: str) -> ToolSpec:
    """`send_email(to, body)` as a tool that nobody described."""
    found = re.fullmatch(r"([^()]+)\((.*)\)", signature)
    assert found
    names = [n.strip() for n in found[2].split(",") if n.strip()]
    return infer_spec(found[1], "", {"type": "object", "properties": {n: {"type": "string"} for n in names}})


SETS = {name: [spec(s) for s in tools] for name, tools in (CORPUS["sets"] | CORPUS["more_sets"]).items()}
ALL = [t for tools in SETS.values() for t in tools]


CASES = [
    pytest.param(c, id=c["id"], marks=[pytest.mark.xfail(reason=c["wrong"])] if "wrong" in c else [])
    for c in CORPUS["case"]
]


@pytest.mark.parametrize("case", CASES)
def test_words_open_what_they_ask_for_and_nothing_else(case: dict[str, Any]) -> None:
    tools = SETS[case["tools"]]
    effects = {t.name for t in tools if t.effect is not Effect.READ}
    mandate = LexicalPlanner().plan(case["text"], tools)
    if case.get("open"):
        assert mandate.open
        return
    on = {t for t in effects if mandate.state(t, 0) != "off"}
    must = set(case["must"])
    assert must <= effects, "the corpus names a tool that is none"
    listed = set(case["must_not"])
    must_not = effects - must - set(case.get("may", ())) if "*" in listed else listed
    assert must <= on
    assert not on & must_not


BATCHES = [(f"{b['name']}-{n}", c) for b in CORPUS["batch"] for n, c in enumerate(b["cases"], 1)]


def on(case: dict[str, Any]) -> tuple[Mandate, set[str], set[str]]:
    """The mandate for a case, the effect tools it leaves on, and those among them that nobody asked for."""
    tools = SETS[case["tools"]]
    mandate = LexicalPlanner().plan(case["text"], tools)
    left = {t.name for t in tools if t.effect is not Effect.READ and mandate.state(t.name, 0) != "off"}
    free = mandate.open and ("open" in case or "OPEN" in case.get("may", ()))
    return mandate, left, set() if free else left - set(case.get("must", ())) - set(case.get("may", ()))


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(c, id=name, marks=[pytest.mark.xfail(reason=c["wrong"], strict=True)] if "wrong" in c else [])
        for name, c in BATCHES
    ],
)
def test_no_tool_is_missing(case: dict[str, Any]) -> None:
    mandate, left, more = on(case)
    if "open" in case:
        assert mandate.open
        return
    effects = {t.name for t in SETS[case["tools"]] if t.effect is not Effect.READ}
    assert set(case["must"]) <= effects, "the corpus names a tool that has no effect"
    assert set(case["must"]) <= left
    if not case["must"]:
        assert not more, "a question opens nothing"


def test_few_tools_are_too_many() -> None:
    counted = [len(on(case)[2]) for _, case in BATCHES]
    assert sum(counted) / len(counted) < 1  # on average, of about twelve
    assert counted.count(0) / len(counted) > 0.6


def test_the_corpus_is_as_large_as_it_claims() -> None:
    kinds = [c["kind"] for c in CORPUS["case"]]
    assert len(kinds) >= 150
    assert kinds.count("question") >= 30
    assert kinds.count("open") >= 20
    assert len({c["id"] for c in CORPUS["case"]}) == len(kinds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "Bob",
        "привет, отправь Бобу письмо",
        "請寄一封信給鮑伯",
        "Envíale a Bob un correo con el informe, por favor.",
    ],
)
def test_what_is_not_understood_narrows_nothing(text: str) -> None:
    assert LexicalPlanner().plan(text, SETS["office"]).open


def test_what_is_forbidden_in_words_stays_off() -> None:
    mandate = LexicalPlanner().plan("Reply to Dana's mail, but don't delete the email.", SETS["office"])
    assert mandate.state("reply_to_email", 0) == "on"
    assert mandate.state("delete_email", 0) == "off"


def test_words_in_quotes_open_nothing() -> None:
    mandate = LexicalPlanner().plan(
        'Send Bob an email with the subject "delete the old event and pay 30 euros"', SETS["office"]
    )
    assert mandate.state("send_email", 0) == "on"
    assert mandate.state("cancel_event", 0) == "off"


def test_the_description_speaks_for_a_tool_whose_name_says_nothing() -> None:
    tools = [
        infer_spec("acme_x1", "Delete a customer record.", {}),
        infer_spec("acme_x2", "Send an email to a customer.", {}),
    ]
    mandate = LexicalPlanner().plan("Email the customer that we are sorry.", tools)
    assert (mandate.state("acme_x2", 0), mandate.state("acme_x1", 0)) == ("on", "off")


def test_planning_two_kilobytes_over_a_hundred_tools_is_quick() -> None:
    words = (" ".join(c["text"] for c in CORPUS["case"] if c["kind"] == "request"))[:2048]
    assert len(words) == 2048
    tools = ALL[:100]
    assert len(tools) == 100
    planner = LexicalPlanner()
    planner.plan(words, tools)
    spent = []
    for _ in range(5):
        start = time.perf_counter()
        planner.plan(words, tools)
        spent.append(time.perf_counter() - start)
    assert min(spent) < 0.08  # seconds; measured 0.009 for these 45 wishes, the machine that runs this is not known


# mandates

NAMES = st.sampled_from(["a", "b", "c", "d"])
ORIGIN_KEYS = st.tuples(NAMES, st.sampled_from(["to", "id"]))
MANDATES = st.builds(
    Mandate,
    effects=st.dictionaries(NAMES, st.none() | st.integers(0, 3)),
    open=st.booleans(),
    origins=st.dictionaries(ORIGIN_KEYS, st.frozensets(st.sampled_from(Integrity))),
    by=st.sampled_from(["x", "y"]),
)


@given(MANDATES, MANDATES, NAMES, st.integers(0, 4))
def test_narrowing_never_gains(a: Mandate, b: Mandate, tool: str, used: int) -> None:
    both = a.narrow(b)
    assert (both.state(tool, used) == "off") == ("off" in {a.state(tool, used), b.state(tool, used)})
    for key, allowed in both.origins.items():
        assert allowed <= a.origins.get(key, allowed)
        assert allowed <= b.origins.get(key, allowed)
    assert a.origins.keys() | b.origins.keys() == both.origins.keys()


@given(MANDATES, MANDATES)
def test_narrowing_has_no_order(a: Mandate, b: Mandate) -> None:
    one, other = a.narrow(b), b.narrow(a)
    assert (dict(one.effects), one.open, dict(one.origins)) == (dict(other.effects), other.open, dict(other.origins))


@pytest.mark.parametrize("limit", [-1, True, 1.5, "2"])
def test_a_limit_is_a_whole_number(limit: Any) -> None:
    with pytest.raises(PlanError):
        Mandate(effects={"a": limit}, by="x")


def test_a_mandate_cannot_be_changed() -> None:
    given_effects: dict[str, int | None] = {"a": 1}
    mandate = Mandate(effects=given_effects, by="x")
    given_effects["b"] = None
    assert mandate.state("b", 0) == "off"
    with pytest.raises(TypeError):
        mandate.effects["b"] = None  # type: ignore[index]


# the text planner


def test_the_text_planner_takes_a_plan() -> None:
    seen: list[str] = []

    def port(prompt: str) -> str:
        seen.append(prompt)
        return json.dumps({"send_email": 2, "create_event": None})

    mandate = TextPlanner(port).plan("Mail Bob twice", SETS["office"])
    assert dict(mandate.effects) == {"send_email": 2, "create_event": None}
    assert not mandate.open
    assert mandate.state("send_email", 2) == "off"
    assert "Mail Bob twice" in seen[0]


@pytest.mark.parametrize(
    "answer",
    [
        "", "sure!", "[]", "null", '"send_email"', '{"send_email": "many"}', '{"send_email": -1}', '{"send_email": true}',
        '{"wire_money": 1}', '{"read_mail": 1}', '{"send_email": 1, "send_email": 9}', "```json\n{}\n```", "[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_plan_is_refused(answer: str) -> None:
    with pytest.raises(PlanError):
        TextPlanner(lambda _: answer).plan("Mail Bob", SETS["office"])


def test_a_model_that_fails_makes_no_mandate() -> None:
    def port(prompt: str) -> str:
        raise TimeoutError(prompt)

    with pytest.raises(PlanError):
        TextPlanner(port).plan("Mail Bob", SETS["office"])
