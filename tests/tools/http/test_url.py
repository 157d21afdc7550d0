"""The parser: one spelling for what all read alike, a refusal for what two could read in two ways."""

import time
import urllib.parse
from contextlib import suppress
from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.tools.http import url
from interlock.tools.http.url import UrlError


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("HTTPS://EXAMPLE.com", "https://example.com/"),
        ("https://example.com:443/", "https://example.com/"),
        ("https://example.com:80/", "https://example.com:80/"),
        ("https://example.com./a", "https://example.com/a"),
        ("https://example.com/%7euser/%61%2f", "https://example.com/~user/a%2F"),
        ("https://example.com/a/./b/../c/..", "https://example.com/a/"),
        ("https://example.com/../../a", "https://example.com/a"),
        ("https://example.com/a/%2E%2e/b", "https://example.com/b"),
        ("https://example.com/100%?100%&ü", "https://example.com/100%25?100%&%C3%BC"),
        ("https://example.com?", "https://example.com/?"),
        ("https://example.com/?#x", "https://example.com/?"),
        ("https://[2606:4700:0:0::1]:443/", "https://[2606:4700::1]/"),
        ("https://[::ffff:8.8.8.8]/", "https://[::ffff:808:808]/"),
        ("https://BÜCHER.example/", "https://xn--bcher-kva.example/"),
    ],
)
def test_there_is_one_spelling(text: str, same: str) -> None:
    assert url.parse(text).url == same
    assert url.parse(same).url == same


@given(st.text(alphabet=st.sampled_from("abc./:@?#[]%\\0123456789xX-_~;&=+ \t\nüе。．１ｅ"), max_size=40))
def test_what_is_accepted_is_a_fixed_point_that_other_parsers_read_alike(tail: str) -> None:
    try:
        target = url.parse("http://" + tail)
    except UrlError:
        return
    assert url.parse(target.url) == target
    other = urllib.parse.urlsplit(target.url)
    assert other.hostname == target.host
    assert (other.port or 80) == target.port
    assert other.username is None
    assert other.path == target.path
    assert target.url.isascii()
    assert "/../" not in target.path + "/"


@given(st.binary(min_size=4, max_size=4).map(lambda b: ip_address(int.from_bytes(b))), st.integers(0, 7))
def test_an_ipv4_address_is_accepted_in_its_plain_spelling_only(address: IPv4Address, form: int) -> None:
    parts = str(address).split(".")
    number = int(address)
    spelled = [
        str(address),
        str(number),
        hex(number),
        ".".join(f"0{int(p):o}" for p in parts),
        ".".join(f"{int(p):03}" for p in parts),
        f"{parts[0]}.{number & 0xFFFFFF}",
        str(address) + ".",
        ".".join(hex(int(p)) for p in parts),
    ][form]
    if spelled == str(address):
        assert url.parse(f"http://{spelled}/").address == address
    else:
        with pytest.raises(UrlError):
            url.parse(f"http://{spelled}/")


@given(st.text(min_size=1, max_size=20))
def test_a_host_is_never_repaired(text: str) -> None:
    try:
        name = url.name(text)
    except UrlError:
        return
    if text.isascii():
        assert name == text.lower().removesuffix(".")
    else:
        assert any(label.startswith("xn--") for label in name.split("."))


def test_one_unseen_character_anywhere_refuses() -> None:
    text = "http://example.com:80/path?query#fragment"
    for unseen in "\0\t\n\r \x7f\x85\u00a0\u00ad\u200b\u200d\u2028\u202e\u3000\ufeff\ue000":
        for place in range(len(text) + 1):
            with pytest.raises(UrlError):
                url.parse(text[:place] + unseen + text[place:])


def test_the_parser_is_quick_on_hostile_text() -> None:
    for text in (
        "http://" + "." * 8000,
        "http://a/" + "../" * 2700,
        "http://a/" + "%2e" * 2700,
        "http://[" + ":" * 8000,
    ):
        begin = time.process_time()
        for _ in range(10):
            with suppress(UrlError):
                url.parse(text)
        assert time.process_time() - begin < 2
