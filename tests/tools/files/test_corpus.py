"""Every call of `corpora/files.toml`, by both resolvers, judged by the world."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from interlock.kernel.errors import InterlockError
from tests.tools.files.world import CANARY, KINDS, World, opened, snapshot

CASES = tomllib.loads((Path(__file__).parents[2] / "corpora" / "files.toml").read_text())["case"]


class Worlds:
    """Worlds to try a case in; one that a case left as it was serves the next."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self.kept: World | None = None
        self.before: tuple[object, object] = ({}, {})

    def fresh(self) -> World:
        world, self.kept = self.kept, None
        if world is None:
            world = World.make(self._factory.mktemp("world"))
            self.before = snapshot(world.home, without=world.root), snapshot(world.root)
        return world


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Worlds:
    return Worlds(tmp_path_factory)


def test_the_table_is_large_and_names_each_case_once() -> None:
    assert len({case["id"] for case in CASES}) == len(CASES) >= 200
    assert sum(case["expect"] == "ok" for case in CASES) >= 100


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_a_call_of_the_table(case: dict[str, Any], kind: str, worlds: Worlds) -> None:
    world = worlds.fresh()
    arguments = {k: world.filled(v) if isinstance(v, str) else v for k, v in case["args"].items()}
    outside, inside = worlds.before
    with opened(world.root, KINDS[kind], follow_links="inside" if case.get("follow") else "never") as tool:
        try:
            said = json.dumps(tool.call(case["op"], **arguments))
            passed = True
        except InterlockError as error:
            said = f"{error} {error.hint}"
            passed = False
    assert passed == (case["expect"] == "ok"), f"{said}: {case['why']}"
    assert snapshot(world.home, without=world.root) == outside
    assert CANARY not in said
    assert str(world.home) not in said
    changed = snapshot(world.root) != inside
    assert changed == (passed and case["op"] in {"write", "append", "mkdir", "move", "delete", "extract"})
    if not changed:
        worlds.kept = world  # as good as new
