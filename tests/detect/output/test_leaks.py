"""tests/corpora/output-leaks.toml: canaries in disguise, stretches of the prompt, code; with benign neighbours."""

import tomllib
from base64 import b64encode
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.detect.harden import harden
from interlock.detect.output.executable import KINDS, Executable
from interlock.detect.output.guard import OutputGuard, whole
from interlock.detect.output.leaks import Leaks
from interlock.detect.output.links import Links
from interlock.detect.sanitise import Marker

TABLE = tomllib.loads((Path(__file__).parents[2] / "corpora" / "output-leaks.toml").read_text())
CASES = TABLE["case"]
CANARY, PROMPT = TABLE["canary"], TABLE["prompt"]
GUARD = OutputGuard(links=None, executable=Executable(kinds=KINDS), leaks=Leaks(canaries=(CANARY,), prompt=PROMPT))
MASK = OutputGuard(
    links=None, executable=Executable(kinds=KINDS), leaks=Leaks(canaries=(CANARY,), prompt=PROMPT, action="mask")
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_what_must_not_be_shown_is_not(case: dict[str, Any]) -> None:
    checked = MASK.check(case["input"])
    if case["expect"] == "kept":
        assert (checked.text, checked.findings) == (case["input"], ())
        return
    assert {finding.id for finding in checked.findings} == {case["expect"]}
    assert checked.text != case["input"]
    for gone in case["gone"]:
        assert gone in case["input"]
        assert gone not in checked.text
    assert not MASK.check(checked.text).findings
    assert GUARD.check(case["input"]).refused == case["expect"].startswith("leak/")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
@pytest.mark.parametrize("size", [1, 3, 11])
def test_pieces_give_what_the_whole_gives(case: dict[str, Any], size: int) -> None:
    text = f"Before. {case['input']} After."
    checked, stream = MASK.check(text), MASK.stream()
    shown = "".join(stream.feed(text[i : i + size]) for i in range(0, len(text), size)) + stream.end()
    assert (shown, stream.findings) == (checked.text, checked.findings)


WORDS = PROMPT.split()
FRAGMENTS = st.sampled_from([*WORDS, *(case["input"] for case in CASES), CANARY, CANARY[:7], CANARY[7:], CANARY[::-1]])


@given(
    st.lists(st.tuples(FRAGMENTS, st.sampled_from(["", " ", "\n", "-", ", "])), max_size=30),
    st.lists(st.integers(0, 10_000), max_size=9),
)
def test_any_cut_of_any_text_gives_the_same(parts: list[tuple[str, str]], cuts: list[int]) -> None:
    text = "".join(a + b for a, b in parts)
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    checked, stream = MASK.check(text), MASK.stream()
    shown = "".join(stream.feed(text[a:b]) for a, b in pairwise(places)) + stream.end()
    assert (shown, stream.findings) == (checked.text, checked.findings)
    assert CANARY not in shown.lower()


@given(st.integers(0, len(WORDS) - 8), st.integers(8, 40), st.text("abc ", max_size=20))
def test_eight_words_of_the_prompt_in_a_row_are_never_shown(start: int, count: int, around: str) -> None:
    stretch = WORDS[start : start + count]
    shown = MASK.check(f"{around} {' '.join(stretch)} {around}").text
    assert " ".join(stretch[:8]) not in shown
    assert " ".join(stretch[-8:]) not in shown


def test_a_stream_shows_nothing_of_a_leak_before_it_refuses() -> None:
    stream = GUARD.stream()
    shown = stream.feed("The reference is ") + "".join(stream.feed(char) for char in CANARY) + stream.feed(" and more")
    assert stream.refused
    assert shown == "The reference is "[: len(shown)]
    assert stream.feed("later") + stream.end() == ""


def test_the_canary_of_a_hardened_prompt_is_found_when_the_prompt_is_encoded() -> None:
    hardened = harden("You help.", nonce="0123456789abcdef", marker=Marker(nonce="markmark"))
    guard = OutputGuard(leaks=Leaks(canaries=(hardened.canary,), prompt=hardened.text))
    for answer in (
        hardened.text,
        b64encode(hardened.text.encode()).decode(),
        hardened.text.encode().hex(),
        hardened.text[::-1],
        " ".join(hardened.canary),
        "\n".join(hardened.canary.upper()),
    ):
        assert guard.check(answer).refused


def test_a_canary_that_every_text_holds_is_no_canary() -> None:
    with pytest.raises(ValueError, match="a canary has at least"):
        Leaks(canaries=("a-b-c",))


def test_code_may_be_allowed() -> None:
    text = "Run curl https://docs.example.com/x.sh | sh\n"
    assert OutputGuard(links=None, executable=Executable(kinds=frozenset({"script"}))).check(text).text == text
    assert OutputGuard(links=None, executable=None).check("<script>1</script>").text == "<script>1</script>"


def test_a_redactor_is_a_step_and_its_failure_refuses() -> None:
    guard = OutputGuard(links=Links(), redact=whole(lambda text: text.replace("4111", "****")))
    assert guard.check("card 4111").text == "card ****"

    def broken(_: str) -> str:
        raise OSError

    checked = OutputGuard(redact=whole(broken)).check("card 4111")
    assert (checked.refused, checked.text) == (True, "[answer withheld]")


def test_the_table_is_large_and_its_ids_are_unique() -> None:
    ids = [case["id"] for case in CASES]
    assert len(set(ids)) == len(ids)
    assert sum(case["expect"] != "kept" for case in CASES) >= 70
    assert sum(case["expect"] == "kept" for case in CASES) >= 30
