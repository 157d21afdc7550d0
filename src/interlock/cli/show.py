"""Plain text and JSON for a screen. Whatever comes from outside goes through `seen`: no value draws on a terminal."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from enum import IntEnum

from interlock.audit.record import Head, Record
from interlock.cli.console import told
from interlock.monitor.question import visible

LONG = 600  # characters of one value
_COLOURS = {"good": "32", "bad": "31", "open": "33"}


def seen(value: object, longest: int = LONG) -> str:
    """`value` in one line without secrets, every character of which can be seen; what is left out is counted."""
    text = told(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    cut = f" … and {len(text) - longest} more characters" if len(text) > longest else ""
    return visible(text[:longest]) + cut


def coloured(text: str, mood: str) -> str:
    """`text` in the colour of `mood` (good, bad, open) if somebody is looking at a terminal that has colours."""
    plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM", "dumb") == "dumb"
    return text if plain else f"\x1b[{_COLOURS[mood]}m{text}\x1b[0m"


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """`rows` as aligned lines; the last column is as wide as it likes."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    for row in rows:
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)), row[-1]]).rstrip()


def listed(names: Iterable[str], *, otherwise: str = "none") -> str:
    """Names in one line."""
    return ", ".join(names) or otherwise


def at(seconds: float) -> str:
    """A moment of a record, in UTC."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g} s"


def to_json(value: object, *, indent: int | None = 2) -> str:
    """`value` as JSON in ASCII, so that it is the same on every terminal and in every pipe."""
    return json.dumps(plain(value), indent=indent)


def plain(value: object) -> object:
    """Dataclasses, mappings, sets and words of enumerations as JSON values; what is None or empty stays."""
    match value:
        case IntEnum():
            return value.name.lower()
        case Record():
            names = ("stream", "seq", "at", "kind", "run", "body", "previous", "digest")
            return {name: plain(getattr(value, name)) for name in names}
        case Head():
            return value._asdict()
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(k): plain(v) for k, v in value.items()}
        case AbstractSet():
            return sorted((plain(v) for v in value), key=str)
        case list() | tuple():
            return [plain(v) for v in value]
        case _ if dataclasses.is_dataclass(value):
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        case _:
            return str(value)
