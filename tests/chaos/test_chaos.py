"""A short run of chaos on each store, and that its count would have found what it looks for.

The long run: `python -m tests.chaos --kills 1000`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

from tests.chaos.check import check
from tests.chaos.harness import Chaos
from tests.chaos.node import BUDGET
from tests.chaos.server import postgres

KILLS = 15


def test_killed_at_random_instants_on_one_file_nothing_is_lost_and_nothing_happens_twice(tmp_path: Path) -> None:
    chaos = Chaos(str(tmp_path / "state.db"), tmp_path, KILLS, seed=20)
    found = chaos.run()
    assert found.wrong == [], str(found)
    assert found.effects > 20
    assert found.approved > 0
    assert found.exhausted > 0
    count_can_find_it(tmp_path, chaos)


def test_killed_at_random_instants_on_postgresql_and_the_server_too(tmp_path: Path) -> None:
    with postgres() as server:
        found = Chaos(server.dsn, tmp_path, KILLS, seed=21, restart=server.cut, restart_every=8).run()
    assert found.wrong == [], str(found)
    assert found.effects > 20
    assert found.approved > 0


def count_can_find_it(folder: Path, chaos: Chaos) -> None:
    """Spoil what the run has left, in each way in turn: the count must say so."""
    where = chaos.where
    granted = {
        json.loads(line)["digest"] for file in folder.glob("effects-*") for line in file.read_text().splitlines()
    }
    assert check(where, folder, granted=granted).wrong == []
    effects = [f for f in folder.glob("effects-*") if f.read_text()]
    lines = [line for file in effects for line in file.read_text().splitlines()]
    plain = next(json.loads(line) for line in lines if '"plain"' in line)
    job = next(json.loads(line) for line in lines if '"jobs"' in line)
    spoilt: dict[str, list[dict[str, object]]] = {
        "used 2 times": [plain],
        "let 2 calls through": [job | {"nonce": "x"}],
        "has no decision on record": [plain | {"nonce": "x"}],
        "nobody approved": [job | {"digest": "x"}],
        "without an approval": [job | {"approved": False}],
        f"of {BUDGET}": [plain | {"nonce": str(n)} for n in range(BUDGET + 1)],
    }
    for expected, added in spoilt.items():
        extra = folder / "effects-9-9"
        extra.write_text("".join(json.dumps(line) + "\n" for line in added))
        assert any(expected in wrong for wrong in check(where, folder, granted=granted).wrong), expected
        extra.unlink()
    (folder / "acks-9-9").write_text('["node-0", 1000000, "x"]\n')
    assert "is lost" in check(where, folder, granted=granted).wrong[0]
    (folder / "acks-9-9").unlink()
    assert check(where, folder, granted=granted, stored=["none"]).wrong == ["the answer to none is lost"]
    vandalise(where, lambda db: db.execute("DELETE FROM audit WHERE stream = 'node-1' AND seq = 3"))
    assert any("does not verify" in wrong for wrong in check(where, folder, granted=granted).wrong)


def vandalise(where: str, change: Callable[[sqlite3.Connection], object]) -> None:
    db = sqlite3.connect(where)
    for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        db.execute(f"DROP TRIGGER {name}")
    change(db)
    db.commit()
    db.close()
