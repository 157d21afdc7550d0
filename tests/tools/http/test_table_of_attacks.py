"""tests/corpora/http.toml against an open entry: judged by what was really dialled, by whichever way the call came."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from interlock.kernel.errors import InterlockError
from tests.tools.http.world import Scripted, call_of, opened, perform

FILE = Path(__file__).parents[2] / "corpora" / "http.toml"
CORPUS = tomllib.loads(FILE.read_text())


def run(case: dict[str, Any]) -> tuple[list[str], list[InterlockError]]:
    """What was dialled, and what refused it."""
    world = Scripted(answers=case.get("answers"), then=case.get("then"))
    config = CORPUS["config"][case.get("config", "public")]
    errors = []
    with opened(config, world) as http:
        method = case.get("method", "GET")
        for operation in http.operations:
            arguments = {"url": case["url"]}
            if "headers" in case:
                arguments["headers"] = case["headers"]
            if "method" in {a.path for a in operation.spec.arguments}:
                arguments["method"] = method
            elif not operation.spec.name.endswith(f"_{method.lower()}"):
                continue  # the model has no tool with this method
            try:
                operation.validate(arguments)
                operation.scope(call_of(operation, arguments))
            except InterlockError as error:
                errors.append(error)
            # The performer is asked in any case: the boundary does not rely on whoever called scope.
            try:
                perform(operation, arguments)
            except InterlockError as error:
                errors.append(error)
    return world.dialled, errors


@pytest.mark.parametrize("case", CORPUS["case"], ids=lambda case: case["id"])
def test_only_what_is_declared_and_public_is_dialled(case: dict[str, Any]) -> None:
    dialled, errors = run(case)
    if case["expect"] == "refuse":
        assert dialled == []
    else:
        assert dialled[: len(case["dials"])] == case["dials"], errors


def test_the_table_is_large_and_its_ids_are_unique() -> None:
    ids = [case["id"] for case in CORPUS["case"]]
    assert len(set(ids)) == len(ids)
    assert sum(case["expect"] == "refuse" for case in CORPUS["case"]) >= 300
    assert sum(case["expect"] == "dial" for case in CORPUS["case"]) >= 60
