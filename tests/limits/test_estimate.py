"""Estimates lie above what tokenizers count, for text of every kind."""

from base64 import b64encode

import pytest

from interlock.limits.estimate import ANSWER, ENCODED, PICTURE, answer, prompt


@pytest.mark.parametrize(
    ("text", "counted"),  # about what tokenizers of today make of it; the estimate must not lie below
    [
        ("The quick brown fox jumps over the lazy dog. " * 20, 200),
        ('{"id": 12345, "name": "Anna", "total": 99.50}' * 20, 460),
        ("Die Rechnung über 1.200 Euro ist noch nicht bezahlt. " * 20, 280),
        ("今日は天気がいいですね。" * 20, 180),
        ("0123456789" * 20, 80),
    ],
)
def test_estimates_are_rather_too_high(text: str, counted: int) -> None:
    assert counted <= prompt(text.encode()) <= len(text.encode())


def test_pictures_and_answers() -> None:
    code = b64encode(b"\x00\xfe\x07" * 4_000)
    assert prompt(b'{"url": "' + code + b'"}') == PICTURE + prompt(b'{"url": ""}')
    assert prompt(code + b" " + code.replace(b"/", b"_")) == 2 * PICTURE + 1
    assert prompt(b"x" * (ENCODED - 1)) < PICTURE <= prompt(b"x" * ENCODED)
    assert (answer(None), answer(10), answer(10, choices=3), answer(0)) == (ANSWER, 10, 30, 0)
