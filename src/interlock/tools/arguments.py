"""Arguments of a scoped tool against its schema, before anything else looks at them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn

import jsonschema_rs

from interlock.kernel.call import Json
from interlock.kernel.errors import CallError
from interlock.kernel.spec import ToolSpec

MAX_TOLD = 200  # characters of what is wrong


def validator(spec: ToolSpec) -> Callable[[dict[str, Json]], Mapping[str, Json]]:
    """What checks a call's arguments: it returns them as they are.

    Raises, when called:
        CallError: they do not fit; the message names the argument and never its value.
    """
    against = jsonschema_rs.validator_for(dict(spec.schema), mask="the value", retriever=_fetch_nothing)

    def validate(arguments: dict[str, Json]) -> Mapping[str, Json]:
        for error in against.iter_errors(arguments):
            where = ".".join(map(str, error.instance_path)) or "arguments"
            raise CallError(f"`{where[:80]}` of `{spec.name}`: {error.message[:MAX_TOLD]}")
        return dict(arguments)

    return validate


def _fetch_nothing(uri: str) -> NoReturn:
    raise CallError(f"`{uri[:80]}` lies outside the schema, and nothing is fetched")
