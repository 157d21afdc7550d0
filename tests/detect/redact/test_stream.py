"""How a text was cut changes nothing, nothing leaves too early, and an error lets nothing out."""

import random
import statistics
from itertools import pairwise
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.redaction import corpus, templates_first, templates_fourth, templates_second, templates_third
from interlock.detect.redact import Redaction, Stream
from interlock.detect.redact.stream import CAP, WITHHELD
from tests.detect.redact.test_redaction import PIECES

REDACT = Redaction()


def _streamed(chunks: list[str]) -> str:
    stream = REDACT.stream()
    return "".join([*(stream.feed(chunk) for chunk in chunks), stream.end()])


def _cut(text: str, cuts: list[int]) -> list[str]:
    places = sorted({0, len(text), *(c % (len(text) + 1) for c in cuts)})
    return [text[a:b] for a, b in pairwise(places)]


@settings(max_examples=150, deadline=None)
@given(PIECES, st.lists(st.integers(0, 5000), max_size=12))
def test_output_does_not_depend_on_how_the_text_was_cut(text: str, cuts: list[int]) -> None:
    whole = _streamed([text])
    assert _streamed(_cut(text, cuts)) == whole
    assert _streamed(list(text)) == whole


@pytest.mark.parametrize(
    "templates",
    [templates_first, templates_second, templates_third, templates_fourth],
    ids=["first", "second", "third", "fourth"],
)
def test_nothing_leaks_that_the_whole_text_would_not(templates: ModuleType) -> None:
    rng = random.Random(2)
    held = []
    for row in corpus.rows(13, templates.POSITIVE, [], each=2)[0]:
        text = f"Words come first, as they do. {row.text} and more words follow."
        batch = REDACT.text(text)
        stream, out, at = REDACT.stream(), "", 0
        while at < len(text):
            size = rng.randint(1, 8)
            out += stream.feed(text[at : at + size])
            held.append(stream.held)
            at += size
        out += stream.end()
        for start, end, _ in row.gold:
            for i in range(start, max(start + 1, end - 7)):
                piece = row.text[i : min(end, i + 8)]
                assert piece not in out or piece in batch, (out, batch)
    assert statistics.median(held) <= 32


def test_a_key_that_does_not_end_is_withheld_after_the_cap() -> None:
    rng = random.Random(1)
    body = "\n".join(corpus.grown(rng, "{b64:64}") for _ in range(400))
    out = _streamed([f"here\n-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\nbye for now"])
    assert WITHHELD in out
    assert not any(line in out for line in body.split("\n"))
    assert out.endswith("bye for now")
    assert len(body) > 2 * CAP


def _broken(*_: object) -> list[tuple[int, int, str]]:
    raise MemoryError


@pytest.mark.parametrize("where", ["spans", "replaced"])
def test_an_error_lets_nothing_out(where: str) -> None:
    """Fault injection: the finder, then the writer, fails."""
    found = (lambda text: [(0, 1, "pii/email")]) if where == "replaced" else _broken
    stream = Stream(found, _broken if where == "replaced" else (lambda text, spans: text))  # type: ignore[arg-type]
    out = (
        stream.feed("the password is hunter2 and there are some more words here ")
        + stream.feed("secret ")
        + stream.end()
    )
    assert out == WITHHELD
