"""Draws a text that a regular expression matches."""

import random
import re._constants as c  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from typing import Any

_WORDS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def drawn(rng: random.Random, pattern: str) -> str:
    return "".join(_piece(rng, op, arg) for op, arg in parser.parse(pattern))


def _piece(rng: random.Random, op: Any, arg: Any) -> str:
    if op is c.LITERAL:
        return chr(arg)
    if op is c.NOT_LITERAL or op is c.ANY:
        return rng.choice(_WORDS)
    if op is c.IN:
        chars = [char for char in (chr(i) for i in range(33, 127)) if any(_has(o, a, char) for o, a in arg)]
        return rng.choice(chars)
    if op is c.SUBPATTERN:
        return "".join(_piece(rng, o, a) for o, a in arg[3])
    if op is c.BRANCH:
        return "".join(_piece(rng, o, a) for o, a in rng.choice(arg[1]))
    if op in {c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT}:
        least, most, inner = arg
        n = rng.randint(least, min(most, least + 8))
        return "".join(_piece(rng, o, a) for _ in range(n) for o, a in inner)
    if op in {c.ASSERT, c.ASSERT_NOT, c.AT}:
        return "".join(_piece(rng, o, a) for o, a in arg[1]) if op is c.ASSERT else ""
    raise AssertionError(op)


def _has(op: Any, arg: Any, char: str) -> bool:
    if op is c.LITERAL:
        return chr(arg) == char
    if op is c.RANGE:
        return bool(arg[0] <= ord(char) <= arg[1])
    raise AssertionError(op)
