"""An answer against the shape that was asked for: strict JSON, then a JSON Schema or a Pydantic model.

Strict: one value and nothing around it, no key twice, no `NaN`, no number that a float cannot hold, bounded depth.
A fence of three backticks around the whole is the one thing that is taken off, because models cannot leave it.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import jsonschema_rs
from pydantic import BaseModel, ValidationError

MAX_DEPTH = 64
MAX_PROBLEMS = 20
_FENCE = re.compile(r"\s*```(?:json)?[ \t]*\n(.*)\n[ \t]*```\s*", re.DOTALL | re.IGNORECASE)


class AnswerError(ValueError):
    """An answer has another shape than the one asked for. `problems` name places, never values."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def strict_json(text: str) -> Any:  # noqa: ANN401 - any JSON value
    """The one JSON value that `text` is.

    Raises:
        AnswerError: it is none, or one that two parsers could take for two.
    """
    fenced = _FENCE.fullmatch(text)
    text = fenced[1] if fenced else text
    if _deep(text):
        raise AnswerError((f"the answer is nested deeper than {MAX_DEPTH} levels",))
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_constant, parse_float=_float, parse_int=_int)
    except AnswerError:
        raise
    except (ValueError, RecursionError) as error:
        place = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise AnswerError((f"the answer is not one JSON value and nothing else{place}",)) from None


def _deep(text: str) -> bool:
    """Brackets outside of strings are nested too deep; no parser has to recurse to say so."""
    depth = 0
    for found in re.finditer(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', text, re.DOTALL):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
        if depth > MAX_DEPTH:
            return True
    return False


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise AnswerError(("an object names a key twice",))
    return value


def _constant(name: str) -> float:
    raise AnswerError((f"`{name}` is no JSON number",))


def _float(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise AnswerError(("a number is too large",))
    return number


def _int(text: str) -> int:
    if len(text) > 400:  # noqa: PLR2004 - more digits than any float has
        raise AnswerError(("a number is too large",))
    return int(text)


@dataclass(frozen=True)
class Shape:
    """What an answer must be: a JSON Schema, or a Pydantic model."""

    of: type[BaseModel] | dict[str, Any]

    def __post_init__(self) -> None:
        if isinstance(self.of, dict):
            try:
                _ = self._validator  # made once, here
            except ValueError as error:
                raise ValueError(f"the schema of the answer is none: {getattr(error, 'message', error)}") from None

    @cached_property
    def _validator(self) -> Any:  # noqa: ANN401 - one class for each draft
        return jsonschema_rs.validator_for(cast("dict[str, Any]", self.of), mask="the value", retriever=_fetch_nothing)

    def read(self, text: str) -> Any:  # noqa: ANN401 - the model's instance, or any JSON value
        """The answer as a value.

        Raises:
            AnswerError: it has another shape.
        """
        value = strict_json(text)
        if isinstance(self.of, dict):
            found = [f"`{_path(error.instance_path)}`: {_kind(error)}" for error in self._validator.iter_errors(value)]
            if found:
                raise AnswerError(tuple(found[:MAX_PROBLEMS]))
            return value
        try:
            return self.of.model_validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            problems = error.errors(include_input=False, include_url=False, include_context=False)
            raise AnswerError(tuple(f"`{_path(p['loc'])}`: {p['msg']}" for p in problems[:MAX_PROBLEMS])) from None


def _fetch_nothing(address: str) -> Any:  # noqa: ANN401 - the port's type
    raise ValueError(f"the schema of an answer refers to `{address}`, which is not fetched; put it under `$defs`")


def _path(parts: Any) -> str:  # noqa: ANN401 - keys and places
    return "/" + "/".join(str(part)[:60] for part in parts)


def _kind(error: Any) -> str:  # noqa: ANN401 - jsonschema_rs.ValidationError
    return f"breaks `{'/'.join(str(part) for part in error.schema_path)}` of the schema"
