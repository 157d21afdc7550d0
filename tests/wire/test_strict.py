"""The one reading of JSON: with orjson and without it, the same bytes are accepted and give the same values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.wire import strict
from interlock.wire.errors import NotJson
from interlock.wire.strict import MAX_DEPTH, dumps, loads, one_line, read_arguments

scalars = st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats() | st.text()
values = st.recursive(
    scalars, lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(), v, max_size=4), max_leaves=20
)
snippets = st.lists(
    st.sampled_from(
        '{ } [ ] , : "a" "b" "\\ud800" "\\u0061" 1 -0 1.0 1e5 1e999 NaN null true 9007199254740993 \u2028'.split()
    ),
    max_size=12,
).map(" ".join)


def outcome(raw: bytes, monkeypatch: pytest.MonkeyPatch, *, fast: bool) -> Any:
    with monkeypatch.context() as patch:
        if not fast:
            patch.setattr(strict, "orjson", None)
        try:
            return repr(loads(raw))
        except NotJson:
            return NotJson


@given(values, st.sampled_from([None, (",", ":")]), st.booleans())
def test_both_ways_agree_on_values(value: Any, separators: Any, ascii_only: bool) -> None:
    raw = json.dumps(value, separators=separators, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    with pytest.MonkeyPatch.context() as patch:
        assert outcome(raw, patch, fast=True) == outcome(raw, patch, fast=False)


@given(snippets)
def test_both_ways_agree_on_pieces(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        assert outcome(text.encode(), patch, fast=True) == outcome(text.encode(), patch, fast=False)


texts = st.sampled_from(['"a"', '"a "', '" a"', '"b"', '"a\\tb"', '"a\tb"', '" "', '""'])
blanks = st.sampled_from(["", " ", "\n", "\t ", "\r\n", "\x0b", "\u00a0"])
spaced = st.lists(st.tuples(texts, blanks, blanks, texts | st.sampled_from(["1", "1.0", "1E1", "[ ]"])), max_size=4)


@given(spaced, blanks)
def test_both_ways_agree_on_blanks_and_keys_that_come_twice(pairs: Any, outside: str) -> None:
    inside = ",".join(f"{before}{key}{after}:{value}" for key, before, after, value in pairs)
    with pytest.MonkeyPatch.context() as patch:
        raw = f"{outside}{{{inside}}}{outside}".encode()
        assert outcome(raw, patch, fast=True) == outcome(raw, patch, fast=False)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("pair", ["[]", ('{"a":', "}")])
def test_nesting_is_bounded_alike(fast: bool, pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for depth, fits in ((MAX_DEPTH - 1, True), (MAX_DEPTH, True), (MAX_DEPTH + 1, False), (100_000, False)):
        middle = "" if pair == "[]" else "{}"
        raw = (pair[0] * (depth - bool(middle)) + middle + pair[1] * (depth - bool(middle))).encode()
        assert (outcome(raw, monkeypatch, fast=fast) is not NotJson) == fits, depth


@given(values.filter(lambda v: "nan" not in repr(v) and "inf" not in repr(v)))
def test_what_is_written_is_one_line_to_everybody(value: Any) -> None:
    try:
        raw = dumps(value)
    except (TypeError, UnicodeEncodeError, ValueError):  # beyond 64 bits, lone surrogates: never read, never written
        return
    assert len(raw.decode().splitlines()) == 1
    assert json.loads(raw) == value


def test_separators_are_escaped_where_they_stand() -> None:
    assert one_line('"\u2028\u2029\x85"'.encode()) == b'"\\u2028\\u2029\\u0085"'


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("", {}),
        (" \n", {}),
        ('{"a": 1}', {"a": 1}),
        ({"a": [1]}, {"a": [1]}),
        ("[]", None),
        ("null", None),
        ('{"a": 1} x', None),
        ('{"a": 1, "a": 1}', None),
        ('{"a": NaN}', None),
        ('{"a": 1e400}', None),
        ('{"a": 9223372036854775808}', None),
        ('{"a": "\\ud800"}', None),
        ('{"a": ' * 40 + "1" + "}" * 40, None),
        ("{" + " " * 1_000_001, None),
        (None, None),
        (7, None),
    ],
    ids=lambda v: str(v)[:20],
)
def test_arguments_have_one_reading_or_none(text: Any, read: Any) -> None:
    arguments, problem = read_arguments(text)
    assert arguments == read
    assert bool(problem) == (read is None)
