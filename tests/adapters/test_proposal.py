"""`adapters/proposal.py`: what a model wrote as arguments has one reading, or is refused."""

import json
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.adapters.errors import WireError
from interlock.adapters.proposal import Answer, Proposal, Unreadable, answered, each_once, propose
from interlock.kernel.call import Json

text = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner) | st.dictionaries(text, inner),
    max_leaves=20,
)


@given(st.dictionaries(text, json_values), st.booleans())
def test_any_json_object_is_read_as_it_was_written(arguments: dict[str, Json], plain: bool) -> None:
    expected = Proposal(id="c1", name="t", arguments=arguments)
    assert propose("c1", "t", json.dumps(arguments, ensure_ascii=plain)) == expected
    assert propose("c1", "t", arguments) == expected


@given(st.text() | st.binary().map(lambda b: b.decode("latin-1")))
def test_any_text_gives_a_proposal_or_a_problem(arguments: str) -> None:
    match propose("c1", "t", arguments):
        case Proposal(arguments=read):
            assert read == (json.loads(arguments) if arguments.strip() else {})
        case Unreadable(problem=problem):
            assert problem


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("{", "not valid JSON"),
        ("{'a': 1}", "not valid JSON"),
        ('{"a": 1} {"a": 2}', "not valid JSON"),
        ('{"a": 1,}', "not valid JSON"),
        ('\ufeff{"a": 1}', "not valid JSON"),
        ('{"a": 01}', "not valid JSON"),
        ('{"a": "\x00"}', "not valid JSON"),
        ("[]", "must be a JSON object"),
        ('"text"', "must be a JSON object"),
        ("null", "must be a JSON object"),
        ("7", "must be a JSON object"),
        (None, "must be a JSON object"),
        (["a"], "must be a JSON object"),
        (b"{}", "must be a JSON object"),
        ('{"to": "ann", "to": "eve"}', "the same key twice"),
        ('{"to": "ann", "t\\u006f": "eve"}', "the same key twice"),
        ('{"a": [{"b": 1, "b": 1}]}', "the same key twice"),
        ('{"a": NaN}', "NaN, which is not JSON"),
        ('{"a": -Infinity}', "-Infinity, which is not JSON"),
        ('{"a": 1e999}', "not a finite number"),
        ('{"a": 9223372036854775808}', "beyond 64 bits"),
        ('{"a": ' + "9" * 5000 + "}", "not valid JSON"),
        ('{"a": "\\ud800"}', "lone surrogate"),
        ('{"\\ud800": 1}', "lone surrogate"),
        ('{"a":' + "[" * 40 + "]" * 40 + "}", "nested deeper"),
        ('{"a":' + "[" * 200_000 + "]" * 200_000 + "}", "nested"),
        ('{"a": "' + "x" * 1_000_000 + '"}', "more than 1000000 characters"),
        ({"a": "x" * 1_000_000}, "more than 1000000 characters"),
        ({"a": 1, 2: 3}, "a key that is not text"),
        ({"a": {1, 2}}, "is a set"),
        ('{"' + "k" * 9000 + '": 1e999}', "`arguments.kkk"),
    ],
)
def test_what_two_readers_could_read_differently_is_a_problem(arguments: object, problem: str) -> None:
    match propose("c1", "t", arguments):
        case Unreadable(id="c1", name="t", problem=said):
            assert problem in said
            assert len(said) <= 300
        case other:
            pytest.fail(f"{other} was taken")


@pytest.mark.parametrize("name", [None, 7, "", "a b", "a\n", "ä", "1a", "x" * 200, "tool; drop"])
def test_a_name_that_is_none_is_a_problem_and_not_repeated(name: object) -> None:
    assert propose("c1", name, "{}") == Unreadable(id="c1", name="", problem="the tool's name is not a plain name")


@pytest.mark.parametrize("call_id", [None, "", 7, "x" * 300])
def test_a_call_that_cannot_be_answered_is_refused(call_id: object) -> None:
    with pytest.raises(WireError, match="has no id"):
        propose(call_id, "t", "{}")


@pytest.mark.parametrize("blank", ["", " ", "\n"])
def test_blank_arguments_are_none(blank: str) -> None:
    assert propose("c1", "t", blank) == Proposal(id="c1", name="t", arguments={})


def test_a_proposal_is_a_private_copy() -> None:
    given_ = OrderedDict(a=[1])
    proposal = propose("c1", "t", given_)
    given_["a"].append(2)
    assert proposal == Proposal(id="c1", name="t", arguments={"a": [1]})


def test_every_call_has_exactly_one_answer() -> None:
    calls = [propose("c1", "t", "{}"), propose("c2", "t", "{")]
    assert answered(calls, [Answer(1), Answer(2)]) == [(calls[0], Answer(1)), (calls[1], Answer(2))]
    for wrong in ([], [Answer(1)], [Answer(1)] * 3):
        with pytest.raises(WireError, match="exactly one"):
            answered(calls, wrong)
    with pytest.raises(WireError, match="share an id"):
        each_once([calls[0], calls[0]])


@given(json_values)
def test_an_answer_is_text_or_json(content: Json) -> None:
    written = Answer(content).text
    assert written == content if isinstance(content, str) else json.loads(written) == content
