"""Answers against the shape that was asked for: strict, with errors that name places and no values."""

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from interlock.detect.output.answer import AnswerError, Shape, strict_json
from interlock.detect.output.guard import OutputGuard

SCHEMA = {
    "type": "object",
    "properties": {"amount": {"type": "number", "maximum": 100}, "to": {"type": "string", "enum": ["anna", "ben"]}},
    "required": ["amount", "to"],
    "additionalProperties": False,
}


class Payment(BaseModel):
    model_config = ConfigDict(extra="forbid")
    amount: float
    to: str


GOOD = '{"amount": 12.5, "to": "anna"}'


@pytest.mark.parametrize("text", [GOOD, f"\n {GOOD}\n", f"```json\n{GOOD}\n```", f"```\n{GOOD}\n```\n"])
def test_a_good_answer_is_a_value(text: str) -> None:
    guard = OutputGuard(shape=Shape(SCHEMA))
    assert guard.check(text).value == {"amount": 12.5, "to": "anna"}
    assert OutputGuard(shape=Shape(Payment)).check(text).value == Payment(amount=12.5, to="anna")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Sure! " + GOOD,
        GOOD + " Done.",
        GOOD + GOOD,
        '{"amount": 1, "amount": 2, "to": "anna"}',
        '{"a": {"b": 1, "b": 2}}',
        '{"amount": NaN, "to": "anna"}',
        '{"amount": Infinity, "to": "anna"}',
        '{"amount": -Infinity, "to": "anna"}',
        '{"amount": 1e999, "to": "anna"}',
        '{"amount": ' + "9" * 5000 + ', "to": "anna"}',
        "{'amount': 1, 'to': 'anna'}",
        '{"amount": 1, "to": "anna",}',
        '{"amount": 1 /* x */, "to": "anna"}',
        '{"amount": 01, "to": "anna"}',
        '{"amount": 1, "to": "an\nna"}',
        "[" * 100_000,
        '{"a":' * 100_000,
        "[" * 70 + "]" * 70,
        "\ufeff" + GOOD,
    ],
)
def test_what_two_parsers_could_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(AnswerError):
        strict_json(text)
    checked = OutputGuard(shape=Shape(SCHEMA)).check(text)
    assert (checked.refused, checked.text, checked.value) == (True, "[answer withheld]", None)


@pytest.mark.parametrize("of", [SCHEMA, Payment])
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"amount": "hunter2", "to": "anna"}', "/amount"),
        ('{"to": "anna"}', "/"),
        ('{"amount": 1, "to": 7}', "/to"),
        ('{"amount": 1, "to": "anna", "extra": "hunter2"}', "/"),
        ("[]", "/"),
    ],
)
def test_a_problem_names_the_place_and_no_value(of: Any, text: str, place: str) -> None:
    checked = OutputGuard(shape=Shape(of)).check(text)
    assert checked.refused
    assert any(problem.startswith(f"`{place}") for problem in checked.problems), checked.problems
    assert "hunter2" not in "".join(checked.problems)
    assert [finding.id for finding in checked.findings] == ["answer/shape"]


def test_with_a_shape_nothing_is_shown_before_all_is_there() -> None:
    stream = OutputGuard(shape=Shape(SCHEMA)).stream()
    assert "".join(stream.feed(char) for char in GOOD) == ""
    assert stream.end() == GOOD
    assert stream.value == {"amount": 12.5, "to": "anna"}


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"$ref": "https://schemas.example/a.json"}])
def test_a_schema_is_checked_and_nothing_is_fetched(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="the schema of the answer is none"):
        Shape(schema)
