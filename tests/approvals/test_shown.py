"""What an approver reads is what will run."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.approvals.errors import Tampered
from interlock.approvals.shown import exact, question_of
from interlock.monitor.approvals import render
from interlock.monitor.question import visible
from tests.approvals.stage import Stage

TRICK = "Hi\u202e\u200b\n\t\\n\x1b[2J аna\u00a0\\u0041"


@given(st.text())
@settings(max_examples=300)
def test_what_was_made_visible_is_found_again(text: str) -> None:
    assert exact(visible(text)) == text


def test_invisible_characters_are_shown_and_look_alikes_spelt(stage: Stage) -> None:
    stage.call(body=TRICK, to="еve@evil.example")  # a Cyrillic e
    shown: Any = stage.desk.open("ana")[0]
    text = str(shown)
    assert not {"\u202e", "\u200b", "\x1b", "\u00a0"} & set(text)
    to = next(a for a in shown["arguments"] if a["path"] == "to")
    assert to["spelt"] == "'\\u0435ve@evil.example'"
    assert "\\u202e" in shown["call"]
    assert shown["rules"] == ["unvouched"]
    assert (to["vouched"], to["integrity"]) == (False, "external")
    assert to["origin"]
    assert shown["digest"] == stage.told[0].terms.digest
    assert shown["expires"] == 1000.0 + 3600.0


def test_the_question_is_rendered_as_at_a_terminal(stage: Stage) -> None:
    stage.call(body=TRICK)
    text = render(question_of(stage.book.pending()[0]))
    assert "eve@evil.example" in text
    assert "\u202e" not in text


@pytest.mark.parametrize(
    "change",
    [
        {"arguments": {"to": "bob@example.com", "body": "hello"}},
        {"rules": ["another"]},
        {"effect": "harmless"},
        {"leaves": [{}]},
        {"leaves": None},
    ],
    ids=str,
)
def test_content_that_does_not_fit_its_digest_is_shown_to_nobody(stage: Stage, change: dict[str, Any]) -> None:
    stage.call()
    entry = stage.book.pending()[0]
    question_of(entry)
    with pytest.raises(Tampered):
        question_of(dataclasses.replace(entry, content={**entry.content, **change}))
