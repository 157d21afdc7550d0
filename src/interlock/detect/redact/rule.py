"""The rule file: shapes of credentials, compiled when a text first gives a reason to.

`hints` are exact texts; the engine looks for all of them at once, and only where one stands is a shape tried.
"""

from __future__ import annotations

import pkgutil
import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A credential that its issuer marked. `name` is what its handle could be called; may be empty."""

    id: str
    back: int  # characters in front of a hint in which it may begin
    name: str
    hints: tuple[str, ...]
    shape: str


@lru_cache(maxsize=1)
def _file() -> dict[str, list[dict[str, object]]]:
    data = pkgutil.get_data(__package__, "rules.toml")
    if data is None:
        raise RuntimeError("`rules.toml` is missing from the package: install Interlock again")
    return tomllib.loads(data.decode())


@lru_cache(maxsize=1)
def issued() -> tuple[Issued, ...]:
    """Every shape of a marked credential, the more special ones first."""
    return tuple(
        Issued(
            id=str(row["id"]),
            back=int(str(row.get("back", 0))),
            name=str(row.get("name", "")),
            hints=tuple(row["hints"]) if isinstance(row["hints"], list) else (),
            shape=str(row["shape"]),
        )
        for row in _file()["issued"]
    )


@lru_cache(maxsize=1)
def beside() -> dict[str, str]:
    """Service → shape of its credentials, which carry no mark."""
    return {str(row["service"]): str(row["shape"]) for row in _file()["beside"]}


@lru_cache(maxsize=512)
def compiled(shape: str) -> re.Pattern[str]:
    """`shape` with its right edge."""
    return re.compile(rf"(?:{shape})(?![A-Za-z0-9_-])")
