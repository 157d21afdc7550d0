"""The one reading of JSON bytes.

Refused is what two readers could read differently: duplicate keys, NaN, integers beyond 64 bits, numbers that overflow,
lone surrogates, a byte order mark, anything but UTF-8, nesting deeper than 254. With orjson installed, bytes that it
writes back as they were, but for blanks, are proven to hold none of this: a key that came twice would be missing. That
blanks inside of texts are not compared either proves nothing less, because no token begins or ends at them.
Everything else is read by the standard library, with checks, so both ways accept the same bytes and give the same
values.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from interlock.kernel.call import MAX_INT, Json, freeze
from interlock.kernel.errors import CallError
from interlock.wire.errors import NotJson

try:
    import orjson
except ImportError:  # the extra `gateway` brings it
    orjson = None  # type: ignore[assignment]

MAX_DEPTH = 254  # levels: where orjson stops writing
MAX_ARGUMENTS = 1_000_000  # characters of JSON in one call
BLANKS = b" \t\r\n"  # of JSON; inside of texts only the first of them stands unescaped
# Line ends to some readers of streams, plain characters to JSON and to the rest: written as escapes.
SEPARATORS = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"\xc2\x85", b"\\u0085"))


def loads(raw: bytes) -> Any:  # noqa: ANN401 - JSON; its shape is what the caller finds out
    """The value in `raw`.

    Raises:
        NotJson: there is none, or more than one reading.
    """
    if orjson is not None:
        try:
            value = orjson.loads(raw)
            # Integers from 2**53 on are left to the other way: orjson reads more of them than the limit here.
            again = orjson.dumps(value, option=orjson.OPT_STRICT_INTEGER)
            if again == raw or again.translate(None, b" ") == raw.translate(None, BLANKS):
                return value
        except (ValueError, TypeError):
            pass
    return _carefully(raw)


def _carefully(raw: bytes) -> Any:  # noqa: ANN401
    try:
        value = json.loads(raw.decode(), object_pairs_hook=_once, parse_constant=_refused)
    except RecursionError:
        raise NotJson("the JSON is nested too deeply") from None
    except ValueError:  # also bytes that are no UTF-8, a byte order mark, a number with too many digits
        raise NotJson("the body is not valid JSON in UTF-8") from None
    _check(value)
    return value


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise NotJson("the JSON names the same key twice")
    return read


def _refused(constant: str) -> NoReturn:
    raise NotJson(f"the JSON holds {constant}, which is not JSON")


def _check(value: object) -> None:
    level: list[object] = [value]
    depth = 0
    while level:
        below: list[object] = []
        for item in level:
            match item:
                case str():
                    _encodable(item)
                case bool() | None:
                    pass
                case int() if abs(item) > MAX_INT:
                    raise NotJson("the JSON holds an integer beyond 64 bits")
                case float() if not math.isfinite(item):
                    raise NotJson("the JSON holds a number that overflows")
                case dict():
                    for key in item:
                        _encodable(key)
                    below += item.values()
                case list():
                    below += item
                case _:
                    pass
        depth += any(isinstance(item, dict | list) for item in level)
        if depth > MAX_DEPTH:
            raise NotJson("the JSON is nested too deeply")
        level = below


def _encodable(text: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise NotJson("the JSON holds a lone surrogate, which is no text") from None


def dumps(value: object) -> bytes:
    """`value` as compact JSON in one line, whoever counts the lines."""
    return one_line(spelt(value))


def spelt(value: object) -> bytes:
    """`value` as compact JSON, the same whenever it is asked for."""
    if orjson is not None:
        raw: bytes = orjson.dumps(value)
        return raw
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def one_line(raw: bytes) -> bytes:
    """JSON `raw` with the characters escaped that some readers take for line ends."""
    for character, escape in SEPARATORS:
        if character in raw:
            raw = raw.replace(character, escape)
    return raw


def read_arguments(text: object) -> tuple[dict[str, Json] | None, str]:
    """The arguments of a call in `text`, which is JSON or what was read from it; or None, and what is wrong with them.

    Blank text means no arguments, as some servers write it. The problem may be shown to the model: it quotes nothing.
    """
    if isinstance(text, str):
        if len(text) > MAX_ARGUMENTS:
            return None, f"`arguments` have more than {MAX_ARGUMENTS} characters"
        if not text.strip():
            return {}, ""
        try:
            value = loads(text.encode())
        except (NotJson, UnicodeEncodeError):
            return None, "`arguments` are not valid JSON, or JSON that can be read in two ways"
    else:
        value = text
    if not isinstance(value, Mapping):
        return None, "`arguments` must be a JSON object"
    try:
        freeze(value)
    except CallError:
        return None, "`arguments` are nested too deeply or hold a value that cannot be carried"
    return dict(value), ""


def read_input(text: object) -> tuple[dict[str, Json] | None, str]:
    """The arguments of a custom tool's call, whose input is any text: `{"input": text}`."""
    if not isinstance(text, str) or len(text) > MAX_ARGUMENTS:
        return None, f"`input` must be text of at most {MAX_ARGUMENTS} characters"
    return {"input": text}, ""
