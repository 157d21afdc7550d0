"""A text in pieces: however it is cut, what leaves is the whole text without its secrets."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from urllib.parse import quote

import pytest

from interlock.secrets.matcher import Matcher

SECRETS = {"A": "sk-provider-0123456789abcdefghijklmnop", "B": "pa/ss+wd\\x&yz%1", "C": "hunter2"}
SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "spaced": " ".join,
    "dashed": "-".join,
    "reversed": lambda v: v[::-1],
    "hex": lambda v: v.encode().hex(":"),
    "base64": lambda v: base64.b64encode(b"x" + v.encode() + b"yy").decode(),
    "percent": lambda v: quote(v, safe=""),
    "percent twice": lambda v: quote("".join(f"%{b:02X}" for b in v.encode()), safe=""),
    "entities": lambda v: "".join(f"&#{ord(c)};" for c in v),
    "unicode escapes": lambda v: "".join(f"\\u{ord(c):04x}" for c in v),
    "quoted-printable": lambda v: "".join(f"={b:02X}" for b in v.encode()),
}
AROUND = [
    "hello",
    "s",
    "sk-",
    "sk-provider",
    "100%",
    "a=b",
    "\\n",
    "\\\\",
    "&amp;",
    "%25",
    "hunt",
    "cafe\u0301",
    "\n\n",
    "=\n",
]


def passed(matcher: Matcher, text: str, cuts: Callable[[], int]) -> str:
    stream, out, at = matcher.stream(), "", 0
    while at < len(text):
        size = cuts()
        out += stream.feed(text[at : at + size])
        at += size
    return out + stream.end()


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", SECRETS)
def test_no_secret_leaves_in_pieces(name: str, spelling: str) -> None:
    matcher, draw = Matcher(SECRETS), random.Random(f"{name}{spelling}")
    for _ in range(3):
        before, after = (" ".join(draw.choices(AROUND, k=draw.randrange(5))) for _ in range(2))
        text = f"{before} {SPELLINGS[spelling](SECRETS[name])} {after}"
        whole = matcher.scrub_text(text)
        assert passed(matcher, text, lambda: 1) == whole
        assert passed(matcher, text, lambda: draw.choice([1, 2, 3, 5, 8, 30])) == whole
        assert f"[secret:{name}]" in whole


def test_only_what_may_begin_a_secret_waits() -> None:
    stream = Matcher(SECRETS).stream()
    shown = "".join(stream.feed(word) for word in ["Nothing ", "is ", "here ", "to hunt. ", "And "])
    assert shown.startswith("Nothing is here to h")


def test_a_text_that_never_ends_to_look_like_a_beginning_is_given_back_whole() -> None:
    stream = Matcher(SECRETS).stream()
    text = "hunt" + " " * 20_000
    assert "".join(stream.feed(text[i : i + 50]) for i in range(0, len(text), 50)) + stream.end() == text


def test_the_short_way_says_what_the_long_one_says() -> None:
    matcher, draw = Matcher(SECRETS), random.Random("short")
    pieces = [
        *AROUND,
        *SECRETS.values(),
        *(spell(value)[:9] for spell in SPELLINGS.values() for value in SECRETS.values()),
        "\u00df\ufb01",  # of one character folding makes two
        "\u0301",
        "\u200b",
        "\u2603 x",
        "a" * 400,
    ]
    short = 0
    for _ in range(3000):
        text = draw.choice(["", " "]).join(draw.choices(pieces, k=draw.randrange(1, 5)))[: draw.randrange(1, 600)]
        edge = matcher.calm(text)
        if edge >= 0:
            short += 1
            assert edge == matcher.settled(text)
            assert matcher.scrub_text(text[:edge]) == text[:edge]
    assert short > 300
