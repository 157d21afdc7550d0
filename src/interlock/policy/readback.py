"""Outcome contracts: what to read back after a call, and what must then stand there.

A contract is the manifest's, so the call that reads back is made of templates and of nothing that a model says of its
success: `$arguments.<path>` is taken from the call as it ran, `$result.<path>` from what the tool returned, `$$` stands
for a dollar sign; everything else is meant as it is written. In what is read back, `*` in a path is any element.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from interlock.kernel.call import Json

Verdict: TypeAlias = Literal["verified", "failed", "unknown"]


class TemplateError(ValueError):
    """A template names what is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readback:
    """Call `tool` with `arguments`; then `expect` says which path holds what. Both hold templates."""

    tool: str
    arguments: Mapping[str, Json]
    expect: Mapping[str, Json]

    def call(self, arguments: Json, result: Json) -> dict[str, Json]:
        """The arguments of the call that reads back.

        Raises:
            TemplateError: neither the call nor its result holds what a template names.
        """
        return {name: filled(template, arguments, result) for name, template in self.arguments.items()}

    def judge(self, found: Json, arguments: Json, result: Json) -> Verdict:
        """Whether what was `found` is what the call claims to have done."""
        try:
            wanted = {path: filled(template, arguments, result) for path, template in self.expect.items()}
        except TemplateError:
            return "unknown"
        held = all(any(same(value, want) for value in at(found, path)) for path, want in wanted.items())
        return "verified" if held else "failed"


def filled(template: Json, arguments: Json, result: Json) -> Json:
    """`template` with what it names in the place of the names.

    Raises:
        TemplateError: what it names is not there, or is more than one value.
    """
    match template:
        case str() if template.startswith("$$"):
            return template[1:]
        case str() if template.startswith("$"):
            name, _, path = template[1:].partition(".")
            if name not in {"arguments", "result"}:
                raise TemplateError(f"`{template}` is no template")
            values = list(at(arguments if name == "arguments" else result, path))
            if len(values) != 1:
                raise TemplateError(f"`{template}` is {'more than one value' if values else 'not there'}")
            return values[0]
        case list():
            return [filled(t, arguments, result) for t in template]
        case dict():
            return {k: filled(t, arguments, result) for k, t in template.items()}
        case _:
            return template


def names(template: Json) -> Iterator[str]:
    """Every text in `template` that begins with a single dollar sign."""
    match template:
        case str():
            if template.startswith("$") and not template.startswith("$$"):
                yield template
        case list():
            for inner in template:
                yield from names(inner)
        case dict():
            for inner in template.values():
                yield from names(inner)
        case _:
            pass


def at(value: Json, path: str) -> Iterator[Json]:
    """What stands at `path`: names and positions joined by dots, `*` for every element; the empty path is all."""
    if not path:
        yield value
        return
    step, _, rest = path.partition(".")
    match value:
        case dict():
            inner = list(value.values()) if step == "*" else [value[step]] if step in value else []
        case list():
            inner = value if step == "*" else [value[int(step)]] if step.isdecimal() and int(step) < len(value) else []
        case _:
            inner = []
    for one in inner:
        yield from at(one, rest)


def same(one: Json, other: Json) -> bool:
    """Equal as JSON: 1 is 1.0, and `true` is not 1."""
    match one, other:
        case (bool(), _) | (_, bool()):
            return one is other
        case dict(), dict():
            return one.keys() == other.keys() and all(same(v, other[k]) for k, v in one.items())
        case list(), list():
            return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
        case _:
            return one == other
