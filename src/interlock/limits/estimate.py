"""How many tokens a request may take, before a provider has counted them. Rather too many; corrected from usage after.

Tokenizers of today take about four letters of English a token, three or fewer of other Latin text, one or two digits,
and about one character of Chinese or Japanese, which is three bytes. So: three letters or blanks a token, one byte a
token for everything else. Letters without sense (base64) can take more tokens than that; pictures are counted apart.
"""

from __future__ import annotations

from typing import Final

LETTERS: Final = bytes(range(ord("a"), ord("z") + 1)) + bytes(range(ord("A"), ord("Z") + 1)) + b" \t\r\n"
PICTURE: Final = 5_000  # tokens: more than the providers' largest tile counts
ANSWER: Final = 8_192  # tokens, where a request names no maximum


def prompt(text: bytes, *, pictures: int = 0) -> int:
    """Tokens of a request's `text` (without the bytes of its `pictures`), at most, as far as can be told."""
    others = len(text.translate(None, LETTERS))
    return -(-(len(text) - others) // 3) + others + pictures * PICTURE


def answer(maximum: int | None, *, choices: int = 1) -> int:
    """Tokens of the answer, for the `maximum` that the request names."""
    return max(0, ANSWER if maximum is None else maximum) * max(1, choices)
