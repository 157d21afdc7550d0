"""Whatever a known value is written in, it is found and taken out; whatever only resembles it stays."""

import base64
import codecs
import html
import json
import random
import string
import sys
import urllib.parse
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from interlock.kernel.call import Json
from interlock.secrets.matcher import Matcher, SecretRedactor, placeholder
from tests.secrets.vaults import VALUE, cases

CASES = cases("secrets")
MARK = "[secret:KEY]"

LETTERS = string.ascii_letters + string.digits
values = st.text(st.sampled_from(LETTERS + "-_+/=!.~"), min_size=8, max_size=40) | st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Zs", "Zl", "Zp", "Mn", "Me", "Sk", "Cn", "Co"]),
    min_size=8,
    max_size=20,
)
around = st.text(st.sampled_from("abc XYZ\n{}:,<>"), max_size=12)

ENCODINGS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "base64": lambda v: base64.b64encode(v.encode()).decode(),
    "base64url": lambda v: base64.urlsafe_b64encode(v.encode()).decode().rstrip("="),
    "base64 of UTF-16": lambda v: base64.b64encode(v.encode("utf-16-le")).decode(),
    "hex": lambda v: v.encode().hex(),
    "HEX": lambda v: v.encode().hex().upper(),
    "hex with blanks": lambda v: v.encode().hex(" "),
    "percent": lambda v: urllib.parse.quote(v, safe=""),
    "percent, all": lambda v: "".join(f"%{b:02X}" for b in v.encode()),
    "percent, twice": lambda v: urllib.parse.quote(urllib.parse.quote(v, safe=""), safe=""),
    "JSON": lambda v: json.dumps(v)[1:-1],
    "JSON, all": lambda v: "".join(f"\\u{c:04x}" for c in _units(v)),
    "HTML": html.escape,
    "HTML, all": lambda v: "".join(f"&#{ord(c)};" for c in v),
    "HTML, hex": lambda v: "".join(f"&#x{ord(c):x};" for c in v),
    "reversed": lambda v: v[::-1],
    "rot13": lambda v: codecs.encode(v, "rot13"),
    "spaced": " ".join,
    "hyphenated": "-".join,
    "zero width": "\u200b".join,
    "quoted-printable": lambda v: "".join(f"={b:02X}" for b in v.encode()),
    "bytes": lambda v: ", ".join(map(str, v.encode())),
}


def _units(text: str) -> list[int]:
    wide = text.encode("utf-16-be")
    return [int.from_bytes(wide[i : i + 2], "big") for i in range(0, len(wide), 2)]


@pytest.mark.parametrize("case", CASES, ids=[c["id"] for c in CASES])
def test_the_table(case: dict[str, str]) -> None:
    matcher = Matcher({"KEY": case["value"]})
    scrubbed = matcher.scrub(case["text"])
    if case["expect"] == "found":
        assert matcher.found(case["text"]) == ("KEY",), case["why"]
        assert isinstance(scrubbed, str)
        assert MARK in scrubbed
        assert not matcher.found(scrubbed)
        assert case["value"] not in scrubbed
        assert len(scrubbed) <= len(case["text"]) + 4 * len(MARK)
    else:
        assert matcher.found(case["text"]) == (), case["why"]
        assert scrubbed == case["text"]


def test_the_table_is_large_and_its_ids_are_unique() -> None:
    ids = [c["id"] for c in CASES]
    assert len(set(ids)) == len(ids) >= 120


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS.keys())
@given(value=values, before=around, after=around)
def test_any_value_in_any_encoding_is_taken_out_whole(
    encode: Callable[[str], str], value: str, before: str, after: str
) -> None:
    matcher = Matcher({"KEY": value})
    assume(not matcher.warnings and not matcher.found(f"{before} {after}"))
    text = f"{before}<{encode(value)}>{after}"
    assert matcher.found(text) == ("KEY",)
    scrubbed = matcher.scrub_text(text)
    assert not matcher.found(scrubbed)
    if len(set(value)) > 5:  # a value that repeats itself may reach into what stands around it
        assert scrubbed.startswith(f"{before}<")
        assert scrubbed.endswith(f">{after}")
        left = scrubbed.removeprefix(f"{before}<").removesuffix(f">{after}").replace(MARK, "")
        assert len(left) <= 4, left  # a neighbour of UTF-16 or of an escape


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=30) | st.integers() | st.floats(), max_size=4))
def test_what_holds_no_secret_is_returned_as_it_is(value: dict[str, Json]) -> None:
    assert Matcher({"KEY": VALUE}).scrub(value) is value


@given(st.integers(0, 2), st.binary(max_size=9), st.binary(max_size=9))
def test_base64_at_any_offset(offset: int, before: bytes, after: bytes) -> None:
    text = base64.b64encode(b"\xff" * offset + before + VALUE.encode() + after).decode()
    matcher = Matcher({"KEY": VALUE})
    scrubbed = matcher.scrub_text(text)
    assert matcher.found(text) == ("KEY",)
    for start in range(4):  # no reader, whatever it skips, gets more than a character or two back
        pieces = scrubbed.replace(MARK, " ").split()
        whole = [piece[start:][: len(piece[start:]) // 4 * 4] for piece in pieces]
        decoded = b" ".join(base64.b64decode(piece) for piece in whole)
        assert VALUE[:3].encode() not in decoded
        assert VALUE[-3:].encode() not in decoded


def test_keys_numbers_and_what_is_spread_over_a_container() -> None:
    matcher = Matcher({"KEY": VALUE, "PIN": "90471362"})
    assert matcher.scrub({VALUE: 1, f"x{VALUE}": 2}) == {MARK: 1, f"x{MARK}": 2}
    assert matcher.scrub({"pin": 90471362, "n": 1}) == {"pin": "[secret:PIN]", "n": 1}
    assert matcher.scrub({"a": list(VALUE), "b": "kept"}) == {"a": [MARK], "b": "kept"}
    assert matcher.scrub({"data": list(VALUE.encode()), "b": [1]}) == {"data": [MARK], "b": [1]}
    assert matcher.scrub({"x": VALUE[:9], "y": VALUE[9:]}) == {"redacted": MARK}
    assert matcher.scrub([{VALUE[:9]: 1, VALUE[9:]: 2}, "kept"]) == [{"redacted": MARK}, "kept"]
    assert matcher.found({"to": "x", "body": [VALUE[:9], {"then": VALUE[9:]}]}) == ("KEY",)
    assert matcher.scrub([True, None, 1.5]) == [True, None, 1.5]


def test_two_keys_that_become_one_lose_no_value() -> None:
    scrubbed = Matcher({"KEY": VALUE}).scrub({VALUE: 1, VALUE[::-1]: 2})
    assert isinstance(scrubbed, dict)
    assert sorted(map(str, scrubbed.values())) == ["1", "2"]


def test_an_object_stays_an_object_for_the_audit_record() -> None:
    redact = SecretRedactor(Matcher({"KEY": VALUE}))
    assert isinstance(redact({"a": VALUE[:5], "b": VALUE[5:]}), dict)
    assert redact(f"Bearer {VALUE}") == f"Bearer {MARK}"


def test_overlapping_values_are_one_hole_with_the_longer_name() -> None:
    matcher = Matcher({"SHORT": VALUE[:10], "LONG": VALUE})
    assert matcher.scrub_text(f"<{VALUE}>") == "<[secret:LONG]>"
    assert matcher.scrub_text(f"<{VALUE[:10]}>") == "<[secret:SHORT]>"
    matcher = Matcher({"LEFT": "abcdefgh1", "RIGHT": "gh1ijklmn"})
    assert matcher.found("abcdefgh1ijklmn") == ("LEFT", "RIGHT")
    assert not matcher.found(matcher.scrub_text("abcdefgh1ijklmn"))


def test_what_comes_about_where_another_was_taken_out_goes_too() -> None:
    matcher = Matcher({"A": "abcabc", "B": "xyzxyz"})
    for text in ("abcabcabc", "xyzabcabcxyz", "abcabcabcabcabcabc", "a" * 50 + "bcabc"):
        assert not matcher.found(matcher.scrub_text(text)), text


def test_parts_of_addresses_and_keys_are_secrets_themselves() -> None:
    matcher = Matcher({"DSN": "postgres://app:s3cr%40t-pw9@db.example/shop"})
    assert matcher.found("password authentication failed: s3cr@t-pw9") == ("DSN",)
    assert matcher.found("s3cr%40t-pw9") == ("DSN",)
    assert matcher.found("connected to shop at db.example as app") == ()
    same = Matcher({"DSN": "postgres://postgres:postgres@db/postgres"})
    assert same.found("PostgreSQL is postgres") == ()
    lines = ["".join(random.Random(i).choices(LETTERS, k=64)) for i in range(6)]
    pem = "\n".join(["-----BEGIN PRIVATE KEY-----", *lines, "-----END PRIVATE KEY-----"])
    for value in (pem, json.dumps({"private_key": pem})):
        matcher = Matcher({"KEY": value})
        assert matcher.found(f"the fourth line is {lines[3]}") == ("KEY",)
        assert matcher.found("-----BEGIN PRIVATE KEY-----") == ()


def test_short_values_are_refused_with_a_warning_and_match_nothing() -> None:
    matcher = Matcher({"PIN": "12345", "KEY": VALUE})
    assert len(matcher.warnings) == 1
    assert "PIN" in matcher.warnings[0]
    assert "12345" not in matcher.warnings[0]
    assert matcher.found("12345 1 2 3 4 5 MTIzNDU=") == ()
    assert Matcher({"PIN": "123456"}).found("it is 123456.") == ("PIN",)
    assert Matcher({"PIN": "a\u200bb c d e"}).warnings  # five characters that can be seen


def test_a_value_that_the_placeholder_shows_is_refused() -> None:
    matcher = Matcher({"KEY": "secret", "secretive": VALUE})
    assert len(matcher.warnings) == 1
    assert matcher.scrub_text(f"secret {VALUE}") == "secret [secret:secretive]"


def test_no_secrets_no_findings() -> None:
    assert Matcher({}).found({"a": ["b", 1]}) == ()
    assert Matcher({}).scrub_text("abc") == "abc"


def test_nothing_shows_what_the_matcher_knows() -> None:
    matcher = Matcher({"KEY": VALUE})
    assert VALUE not in repr(matcher) + str(matcher) + repr(SecretRedactor(matcher))


def steps(matcher: Matcher, text: str) -> int:
    """Lines that run in the matcher's own code for one text."""
    count = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal count
        if not frame.f_code.co_filename.endswith(("matcher.py", "forms.py")):
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        matcher.scrub_text(text)
    finally:
        sys.settrace(before)
    return count


HOSTILE = {
    "one character": "a",
    "the value's own gram": VALUE[:10],
    "nearly the value": VALUE[:-1],
    "the value": VALUE + " ",
    "percent": "%41",
    "percent that is none": "%%%",
    "backslashes": "\\",
    "backslash x": "\\x41",
    "entities": "&amp;",
    "entities without end": "&#x26",
    "quoted-printable": "=41",
    "invisible": "\u200b",
    "accents": "e\u0301",
    "ligatures": "ﷺ",
}


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE.keys())
def test_time_is_linear_in_the_text(piece: str) -> None:
    matcher = Matcher({"KEY": VALUE, "RUN": "aaaaaaaaaaaaaaaaaaaa", "LONG": "ab" * 400})
    small = steps(matcher, piece * 400)
    large = steps(matcher, piece * 1600)
    assert large <= 4.4 * small + 200, (small, large)


@pytest.mark.parametrize("name", ["A", "OPENAI_API_KEY", "service-account.json"])
def test_the_placeholder_is_constant(name: str) -> None:
    assert placeholder(name) == f"[secret:{name}]"
    assert Matcher({name: VALUE}).scrub_text(VALUE) == Matcher({name: VALUE[::-1] + "x"}).scrub_text(VALUE[::-1] + "x")
