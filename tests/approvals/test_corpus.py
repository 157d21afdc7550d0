"""The attack table, step by step in a world of its own; judged by what left."""

from __future__ import annotations

import sqlite3
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from interlock.approvals.approvers import Need
from interlock.approvals.entry import Seal
from interlock.monitor.errors import ApprovalError
from tests.approvals.stage import KEY, Stage

CASES = tomllib.loads((Path(__file__).parent.parent / "corpora" / "approvals.toml").read_text())["case"]


def need(given: dict[str, Any]) -> Need:
    return Need(may=frozenset(given.get("may", ())), count=given.get("count", 1), own=given.get("own", False))


def step(stage: Stage, words: str) -> None:
    verb, _, rest = words.partition(" ")
    match verb:
        case "call":
            match rest.split(" ", 1):
                case ["other"]:
                    stage.call(body="hullo")
                case ["for", name]:
                    stage.call(principal=name)
                case [run]:
                    stage.call(run=run or "r1")
                case _:
                    raise AssertionError(words)
        case "yes" | "no":
            name, blind, _ = rest.partition(" blind")
            with suppress(ApprovalError, IndexError):
                stage.answer(name, granted=verb == "yes", blind=bool(blind))
        case "later":
            stage.now.seconds += float(rest)
        case "back":
            stage.now.seconds -= float(rest)
        case "policy":
            stage.policy = "second"
            stage.restart()
        case "need":
            stage.need = need({"count": int(rest)} if rest.isdecimal() else {"may": [rest]})
            stage.restart()
        case "forge":
            forge(stage, rest)
        case "restart":
            stage.restart()
        case _:
            raise AssertionError(words)


def forge(stage: Stage, what: str) -> None:
    def change(entry: dict[str, Any]) -> None:
        match what.removeprefix("sealed "):
            case "yes":
                entry["given"] = [["ana", True, "", 1000.0, "cli"]]
            case "arguments":
                entry["content"]["arguments"]["to"] = "bob@example.com"
                entry["content"]["leaves"][0]["value"] = "bob@example.com"
            case "need":
                entry["need"] = [[], 1, True]
            case "expiry":
                entry["expires"] += 3600
            case "unused":
                entry["used"] = None
            case _:
                raise AssertionError(what)

    if what == "standing":
        db = sqlite3.connect(stage.file)
        db.execute("UPDATE approvals SET standing = 'granted'")
        db.commit()
        db.close()
    else:
        stage.forge(change, KEY if "sealed" in what else Seal())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_what_leaves_was_approved(tmp_path: Path, case: dict[str, Any]) -> None:
    stage = Stage(tmp_path, need=need(case.get("need", {})), principal=case.get("principal", "emma"))
    for words in case["steps"]:
        step(stage, words)
    assert len(stage.sent) == case["sent"], case["why"]
    if not case["sent"]:  # and the way to it is open: what refuses here is not something else
        (tmp_path / "fresh").mkdir()
        fresh = Stage(tmp_path / "fresh")
        fresh.call()
        fresh.answer("ana", granted=True)
        fresh.call()
        assert len(fresh.sent) == 1


def test_ids_are_unique() -> None:
    assert len({case["id"] for case in CASES}) == len(CASES)
