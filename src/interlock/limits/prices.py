"""What models cost, in millionths of a US dollar for a million tokens: from `prices.json`, and from a manifest.

A model is found by its exact name, or by its name with a date or `-latest` behind it (`gpt-5-2025-08-07`). Any other
name has no price: a relative may cost ten times as much. Where cost is limited, a model without a price is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from importlib.resources import files
from typing import Final, Self

from interlock.limits.errors import TermsError

MILLION: Final = 1_000_000
_DATED = re.compile(r"(?P<name>.+?)[-@](?:20[0-9]{2}-[0-9]{2}-[0-9]{2}|20[0-9]{6}|latest)")
_KEYS: Final = frozenset({"input", "output", "cached", "written", "above"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one answer, as the provider counted them. No token is in two of these."""

    input: int  # read anew
    output: int  # reasoning included
    cached: int = 0  # read from the provider's cache
    written: int = 0  # read and written into it

    def __post_init__(self) -> None:
        if min(self.input, self.output, self.cached, self.written) < 0:
            raise ValueError("a usage of less than 0 tokens cannot be meant")

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.input + self.output + self.cached + self.written


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Millionths of a US dollar for a million tokens."""

    input: int
    output: int
    cached: int
    written: int
    above: int = 0  # prompts of more tokens than this cost `long` in all; 0: none do
    long: Price | None = None

    def of(self, usage: Usage) -> int:
        """Millionths of a US dollar, rounded up."""
        if self.long is not None and usage.input + usage.cached + usage.written > self.above:
            return self.long.of(usage)
        exact = (
            usage.input * self.input
            + usage.output * self.output
            + usage.cached * self.cached
            + usage.written * self.written
        )
        return -(-exact // MILLION)


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices by the name of the model."""

    models: Mapping[str, Price]

    @classmethod
    def shipped(cls) -> Self:
        """The prices that come with this version; `prices.json` says of when they are, and from where."""
        text = files("interlock.limits").joinpath("prices.json").read_text(encoding="utf-8")
        return cls({name: price(name, entry) for name, entry in json.loads(text)["models"].items()})

    def overridden(self, entries: Mapping[str, Mapping[str, object]]) -> Prices:
        """These prices, with those of a manifest before them.

        Raises:
            TermsError: an entry is no price.
        """
        return Prices({**self.models, **{name: price(name, entry) for name, entry in entries.items()}})

    def find(self, model: str) -> Price | None:
        """The price of `model`; None if it is not known."""
        found = self.models.get(model)
        if found is None and (dated := _DATED.fullmatch(model)):
            found = self.models.get(dated["name"])
        return found


def price(name: str, entry: Mapping[str, object]) -> Price:
    """The price that an entry in US dollars for a million tokens means: `{input: 2.5, output: 15, cached: 0.25}`.

    What is read from the cache costs as much as `input` unless the entry says less, what is written into it twice as
    much. `above: {tokens: 272000, input: 5, …}` holds for the whole of longer prompts.

    Raises:
        TermsError: it is none.
    """
    if unknown := sorted(set(entry) - _KEYS):
        raise TermsError(f"the price of `{name}` has no `{unknown[0]}`; it has {', '.join(sorted(_KEYS))}")
    above = entry.get("above")
    if above is None:
        return _price(name, entry)
    if not isinstance(above, Mapping) or not isinstance(tokens := above.get("tokens"), int) or tokens <= 0:
        raise TermsError(f"`above` of the price of `{name}` needs `tokens`, a number above 0")
    base = _price(name, entry)
    long = _price(name, {k: v for k, v in above.items() if k != "tokens"})
    return Price(
        input=base.input, output=base.output, cached=base.cached, written=base.written, above=tokens, long=long
    )


def _price(name: str, entry: Mapping[str, object]) -> Price:
    def micro(key: str, otherwise: int | None = None) -> int:
        value = entry.get(key)
        if value is None and otherwise is not None:
            return otherwise
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise TermsError(f"the price of `{name}` needs `{key}`, US dollars for a million tokens")
        try:
            amount = Decimal(str(value)) * MILLION
        except InvalidOperation:
            raise TermsError(f"`{key}` of the price of `{name}` is no number") from None
        if not amount.is_finite() or not 0 <= amount < 10**12 or amount != amount.to_integral_value():
            raise TermsError(f"`{key}` of the price of `{name}` is no price")
        return int(amount)

    read = micro("input")
    return Price(input=read, output=micro("output"), cached=micro("cached", read), written=micro("written", 2 * read))
