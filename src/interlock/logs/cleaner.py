"""Any Python value as what may leave: first plain (texts, numbers, lists, mappings), then redacted.

Objects become what `str` says of them: whatever writes a record later cannot look into them any more. What cannot be
redacted does not leave; the caller puts the line of `drop` in its place.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from threading import Lock
from typing import Any, Protocol
from uuid import UUID

from interlock.kernel.call import Json

WITHHELD = "[withheld]"
MAX_DEPTH = 32  # levels of nesting; what lies deeper is withheld
MAX_PARTS = 100_000  # values of one record; shared ones count each time
_NAMES = 4096  # names of loggers, threads and files that are known to be clean
# Nobody can look into these: they stay what they are if their text stays what it is.
_OPAQUE = frozenset({date, datetime, time, timedelta, Decimal, UUID, PurePosixPath})
_PLAIN = frozenset({str, int, float, bool, type(None)})


class CleanError(Exception):
    """A value cannot be looked through, so it must not leave."""


class Redacts(Protocol):
    """Takes out what must not leave, such as `interlock.detect.redact.Redaction`. Safe in threads."""

    def text(self, text: str, /) -> str:
        """`text` without it."""
        ...

    def __call__(self, value: Json, /) -> Json:
        """`value` without it; a mapping keeps the order and the number of its items."""
        ...


class Cleaner:
    """Makes values fit to leave, and counts what had to be dropped. Whatever it cannot do raises."""

    __slots__ = ("__clean", "__dropped", "__lock", "redaction")

    def __init__(self, redaction: Redacts) -> None:
        self.redaction = redaction
        self.__clean: set[str] = set()
        self.__dropped, self.__lock = 0, Lock()

    @property
    def dropped(self) -> int:
        """How much was dropped so far."""
        return self.__dropped

    def drop(self, what: str) -> str:
        """Count one; the constant line that stands in its place. `what` is a word of ours."""
        with self.__lock:
            self.__dropped += 1
            return f"{what} was dropped: it could not be redacted ({self.__dropped} so far)"

    def text(self, value: object) -> str:
        """What `value` says, redacted."""
        return self.redaction.text(shown(value))

    def name(self, name: str) -> str:
        """The same for a text that comes again and again."""
        if name in self.__clean:
            return name
        cleaned = self.text(name)
        if cleaned == name and type(name) is str and len(self.__clean) < _NAMES:
            self.__clean.add(name)
        return cleaned

    def mapping(self, items: Mapping[Any, object]) -> dict[str, object]:
        """`items`, redacted: names say what their values are, and are redacted themselves."""
        taken = plain(items)
        originals = list(items.values())
        cleaned = self.redaction(taken)
        if not isinstance(taken, dict) or not isinstance(cleaned, dict):
            raise CleanError("the redactor returned no mapping for a mapping")
        return {
            name: original if type(original) in _OPAQUE and new == before else new
            for (name, new), before, original in zip(cleaned.items(), taken.values(), originals, strict=True)
        }

    def trace(self, error: BaseException) -> str:
        """The traceback of `error`, its causes, contexts, notes and members, redacted; no local variables."""
        return self.text("".join(traceback.format_exception(error)).rstrip("\n"))


def shown(value: object) -> str:
    """What `value` says of itself, as an exact `str`; what it says by raising is said by us."""
    if type(value) is str:
        return value
    try:
        if isinstance(value, bytes | bytearray | memoryview):
            # Without NULs: a text in UTF-16 reads like any other.
            return bytes(value).replace(b"\0", b"").decode("utf-8", "backslashreplace")
        if isinstance(value, BaseException):
            return "".join(traceback.format_exception_only(value)).rstrip("\n")
        if isinstance(value, date | time):
            return value.isoformat()  # as JSON has it
        return str.__str__(str(value))
    except Exception:  # noqa: BLE001 - it is the value's code that ran
        return f"[unprintable {type(value).__name__}]"


def plain(value: object) -> Json:
    """`value` in texts, numbers, lists and mappings; what holds itself, or lies too deep, is withheld.

    Raises:
        CleanError: it has too many parts.
    """
    return _Parts().plain(value)


class _Parts:
    """Counts the parts of a value: small ones can refer to each other often."""

    __slots__ = ("left", "open")

    def __init__(self) -> None:
        self.left, self.open = MAX_PARTS, set[int]()

    def plain(self, value: object) -> Json:
        self.left -= 1
        if self.left < 0:
            raise CleanError(f"a record has more than {MAX_PARTS} parts")
        if type(value) in _PLAIN:
            return value  # type: ignore[return-value] # exactly one of them
        if not isinstance(value, Mapping | list | tuple | AbstractSet | deque):
            return shown(value)
        if id(value) in self.open or len(self.open) >= MAX_DEPTH:
            return WITHHELD
        self.open.add(id(value))
        try:
            if isinstance(value, Mapping):
                items: dict[str, Json] = {}
                for key, item in value.items():
                    name = shown(key)
                    while name in items:
                        name += "'"
                    items[name] = self.plain(item)
                return items
            return [self.plain(item) for item in value]
        finally:
            self.open.discard(id(value))
