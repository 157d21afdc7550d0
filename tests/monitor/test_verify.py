"""A tool that claims what did not happen is found out, by what stands in the file."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from interlock.kernel.call import Call, Json, thaw
from interlock.kernel.decision import Permit
from interlock.monitor.mediate import UNVERIFIED
from interlock.monitor.ports import Tool
from interlock.policy.load import policy_from
from tests.monitor.world import BOB, MANIFEST, TO_BOB, World

RULED: Json = {"send": {"tool": "read_mail", "expect": {"items.*.to": "$arguments.to", "items.*.id": "$result.id"}}}


def world(tmp_path: Path, *, lies: bool = False, reads: bool = True) -> World:
    made: World
    outbox = tmp_path / "outbox"

    def send(permit: Permit, call: Call) -> Json:
        made.monitor.check(permit, call)
        if not lies:
            outbox.write_text(str(thaw(call.arguments["to"])))
        return {"id": "m1"}

    def read(permit: Permit, call: Call) -> Json:
        if not reads:
            raise OSError("away")
        return {"items": [{"id": "m1", "to": outbox.read_text()}] if outbox.exists() else []}

    made = World(
        outbox,
        policy=policy_from({**MANIFEST, "verify": RULED}),
        tools={"send": Tool(perform=send), "read_mail": Tool(perform=read)},
    )
    return made


def verdicts(made: World) -> list[object]:
    return [r.body["verdict"] for r in made.audit.inner.records() if r.kind == "verified"]


def test_what_happened_is_verified(tmp_path: Path) -> None:
    made = world(tmp_path)
    seen = made.monitor.call(made.open(poisoned=False), TO_BOB)
    assert seen.verified == "verified"
    assert seen.content == {"id": "m1"}
    assert made.sent == [BOB]
    assert verdicts(made) == ["verified"]


def test_what_did_not_happen_is_reported_to_whoever_called(tmp_path: Path) -> None:
    made = world(tmp_path, lies=True)
    seen = made.monitor.call(made.open(poisoned=False), TO_BOB)
    assert made.sent == []
    assert (seen.verified, seen.failed, seen.content) == ("failed", True, UNVERIFIED)
    assert verdicts(made) == ["failed"]


def test_what_cannot_be_read_back_is_unknown(tmp_path: Path) -> None:
    made = world(tmp_path, reads=False)
    seen = made.monitor.call(made.open(poisoned=False), TO_BOB)
    assert seen.verified == "unknown"
    assert not seen.failed
    assert verdicts(made) == ["unknown"]


def test_the_same_for_asynchronous_callers(tmp_path: Path) -> None:
    made = world(tmp_path, lies=True)
    seen = asyncio.run(made.monitor.acall(made.open(poisoned=False), TO_BOB))
    assert seen.verified == "failed"


def test_the_verdict_is_joined_to_its_decision(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.monitor.call(made.open(poisoned=False), TO_BOB)
    records = list(made.audit.inner.records())
    (verified,) = [r for r in records if r.kind == "verified"]
    decision = next(r for r in records if r.seq == verified.body["decision"])
    assert (decision.kind, decision.body["tool"]) == ("decision", "send")


@pytest.mark.parametrize("lies", [True, False])
def test_reading_back_is_itself_decided_and_on_record(tmp_path: Path, lies: bool) -> None:
    made = world(tmp_path, lies=lies)
    made.monitor.call(made.open(poisoned=False), TO_BOB)
    tools = [r.body["tool"] for r in made.audit.inner.records() if r.kind == "decision"]
    assert tools == ["send", "read_mail"]
