"""How many tokens a request may take, before a provider has counted them. Rather too many; corrected from usage after.

Tokenizers of today take about four letters of English a token, three or fewer of other Latin text, one or two digits,
and about one character of Chinese or Japanese, which is three bytes. So: three letters or blanks a token, one byte a
token for everything else. Letters without sense (base64) can take more tokens than that; pictures are counted apart.
"""

from __future__ import annotations

import re
from typing import Final

LETTERS: Final = bytes(range(ord("a"), ord("z") + 1)) + bytes(range(ord("A"), ord("Z") + 1)) + b" \t\r\n"
PICTURE: Final = 5_000  # tokens: more than the providers' largest tile counts
ENCODED: Final = 2_048  # bytes in a row that are a picture, or a sound, and not words
ANSWER: Final = 8_192  # tokens, where a request names no maximum


_CODE: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-"  # base64 of both kinds
_MARKED: Final = bytes(120 if byte in _CODE else 32 for byte in range(256))
_PICTURE: Final = re.compile(rb"[A-Za-z0-9+/=_-]{2048,}")


def prompt(body: bytes) -> int:
    """Tokens of a request's `body`, at most, as far as can be told."""
    pictures = 0
    if b"x" * ENCODED in body.translate(_MARKED):  # a look for a run costs a twentieth of a look for each
        body, pictures = _PICTURE.subn(b"", body)
    others = len(body.translate(None, LETTERS))
    return -(-(len(body) - others) // 3) + others + pictures * PICTURE


def answer(maximum: int | None, *, choices: int = 1) -> int:
    """Tokens of the answer, for the `maximum` that the request names."""
    return max(0, ANSWER if maximum is None else maximum) * max(1, choices)
