"""An agent with one job: what is about it, and what the words cannot tell."""

import pytest

from interlock.detect.topics import Topics

SHOP = Topics(
    allowed={
        "orders": ("order", "delivery", "shipping", "parcel", "tracking"),
        "returns": ("return", "refund", "exchange"),
    },
    examples={
        "orders": ("Where is my parcel?", "When will the shoes that I bought arrive?"),
        "returns": ("The shoes do not fit, can I send them back?",),
    },
)


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("Where are my orders?", "orders"),
        ("I was refunded twice.", "returns"),
        ("Is shipping free?", "orders"),
        ("When will the boots that I bought arrive?", "orders"),
        ("The boots do not fit me, may I send them back?", "returns"),
        ("Hello! I bought boots. When does the delivery come?", "orders"),
    ],
)
def test_what_it_is_for_is_inside(text: str, topic: str) -> None:
    judged = SHOP.judge(text)
    assert (judged.inside, judged.topic) == (True, topic)


@pytest.mark.parametrize("text", ["Hello!", "Thank you very much.", "Yes, the second one.", "", "ok"])
def test_a_greeting_is_inside(text: str) -> None:
    assert SHOP.judge(text).inside


@pytest.mark.parametrize(
    "text",
    [
        "Write a poem about the autumn forest and its silent rivers.",
        "What medicine helps against strong headaches and fever?",
        "Solve the differential equation with constant coefficients.",
        "Where is my parcel? Then write a long essay about French history, its kings, wars, treaties, painters and poets.",
    ],
)
def test_something_else_is_outside(text: str) -> None:
    assert not SHOP.judge(text).inside


def test_the_ranges_outside_are_raw() -> None:
    raw = "Where is my parcel? Write\u200b a poem about silent autumn rivers."
    judged = SHOP.judge(raw)
    assert [raw[start:end].strip() for start, end in judged.outside] == [
        "Write\u200b a poem about silent autumn rivers."
    ]


@pytest.mark.xfail(reason="words are no meaning: stated in docs/sanitise.md", strict=True)
def test_a_topics_word_in_another_subject_is_outside() -> None:
    assert not SHOP.judge("In which order did the Roman emperors reign?").inside


@pytest.mark.parametrize(
    ("allowed", "examples", "says"),
    [({}, {}, "at least one topic"), ({"a": ()}, {}, "at least one word"), ({"a": ("b",)}, {"c": ("d",)}, "`c`")],
)
def test_topics_are_checked(
    allowed: dict[str, tuple[str, ...]], examples: dict[str, tuple[str, ...]], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        Topics(allowed=allowed, examples=examples)
