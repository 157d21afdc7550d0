"""The index and the scan agree on who vouches."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.kernel.spec import Effect, ToolSpec
from tests.provenance.runs import World, reader, role_argument
from tests.reference.bind import vouched

STOP = {"all", "of", "them", "please"}
VALUES = {
    "recipient": ["bob@corp.example", "ann.b@x.co", "carl+1@mail.example.org", "Anna Bell", "Robert"],
    "url": ["https://docs.example.com/a/b?x=1", "http://shop.example.com", "www.example.org/x", "docs.example.com/a"],
    "account": ["DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819", "12345678", "1234-5678", "savings"],
    "entity": ["Riverside View", "Oslo Inn", "Robert", "Inn"],
    "id": ["1042", "13", "A-77", "X12345"],
}
FILLER = [
    "please",
    "order",
    "orders",
    "file",
    "id",
    "and",
    "of",
    "pay",
    "book",
    "number",
    "#",
    "2024-05-15",
    "the",
    "hotel",
]
ENDS = ["", ".", ",", "!", ":", ")"]


def mutations(value: str) -> st.SearchStrategy[str]:
    def change(how: tuple[str, int, str]) -> str:
        kind, at, char = how
        at %= len(value)
        match kind:
            case "cut":
                return value[:at] or value
            case "tail":
                return value[at:] or value
            case "swap":
                return value[:at] + char + value[at + 1 :]
            case "insert":
                return value[:at] + char + value[at:]
            case "upper":
                return value.upper()
            case _:
                return value

    hows = st.sampled_from(["same", "same", "same", "cut", "tail", "swap", "insert", "upper"])
    return st.tuples(hows, st.integers(0, 40), st.sampled_from("aZ09@x" if "@" in value else "aZ09x")).map(change)


@st.composite
def questions(draw: Any) -> tuple[str, str, list[str]]:
    role = draw(st.sampled_from(sorted(VALUES)))
    said = [v for values in VALUES.values() for v in values]
    # What is left of an address without its @ is a name with dots at its ends: no spelling that the scan knows.
    value = draw(st.sampled_from(VALUES[role]).flatmap(mutations).filter(lambda v: v.strip(".@") == v))
    word = (st.just(value) | st.sampled_from(said).flatmap(mutations) | st.sampled_from(FILLER)).flatmap(
        lambda w: st.sampled_from(ENDS).map(lambda end: w + end)
    )
    texts = draw(st.lists(st.lists(word, min_size=1, max_size=8).map(" ".join), min_size=1, max_size=3))
    return role, value, texts


@settings(max_examples=600)
@given(questions())
def test_index_and_scan_agree(question: tuple[str, str, list[str]]) -> None:
    role, value, texts = question
    act = ToolSpec(name="act", effect=Effect.WRITE, arguments=(role_argument("x", role, "order"),))
    files = ToolSpec(name="files", effect=Effect.READ, arguments=(role_argument("x", "id", "file"),))
    run = World(act, files, reader())
    for text in texts:
        run.user(text)
    run.ledger.read("others", "mail")
    found = run.bind("act", x=value).arguments
    if found:
        assert found[0].vouched == vouched(role, value, texts, "order"), (role, value, texts, found[0].why)
