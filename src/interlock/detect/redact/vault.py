"""Values that were taken out of a run and can be put back, in the application's hands only."""

from __future__ import annotations

import re
import threading

MAX_VALUES = 100_000

_PLACE = re.compile(r"\[[a-z][a-z0-9-]{1,30}:r\d{1,7}\]")


class Vault:
    """Remembers what stood where a `reversible` placeholder stands. One for each run; prints none of its values."""

    __slots__ = ("__lock", "__places", "__values")

    def __init__(self) -> None:
        self.__places: dict[tuple[str, str], str] = {}
        self.__values: dict[str, str] = {}
        self.__lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Vault({len(self.__values)} values)"

    def put(self, label: str, value: str) -> str:
        """The placeholder for `value`: the same one whenever it comes again.

        Raises:
            OverflowError: the run has more values than a vault holds.
        """
        with self.__lock:
            place = self.__places.get((label, value))
            if place is None:
                if len(self.__values) >= MAX_VALUES:
                    raise OverflowError(f"a vault holds {MAX_VALUES} values; use one for each run")
                place = f"[{label}:r{len(self.__values) + 1}]"
                self.__places[label, value] = place
                self.__values[place] = value
            return place

    def restore(self, text: str) -> str:
        """`text` with its values back. A placeholder that this run did not make stays."""
        return _PLACE.sub(lambda matched: self.__values.get(matched[0], matched[0]), text)
