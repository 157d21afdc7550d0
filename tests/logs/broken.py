"""Redactors that fail."""

from typing import Any


class Broken:
    """Raises, and says what it was given."""

    def text(self, text: str) -> str:
        raise ValueError(text)

    def __call__(self, value: Any) -> Any:
        raise ValueError(value)
