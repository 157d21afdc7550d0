"""`timeout:` of a function: a call that takes longer has failed, in loops of both kinds, and says nothing else."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from threading import Event

import pytest

from interlock import Interlock, MemoryAudit, Observed, PolicyError


def manifest(timeout: object) -> dict[str, object]:
    tool = {"effect": "read"} | ({} if timeout is None else {"timeout": timeout})
    return {"version": 1, "agents": {"a": {"tools": ["wait", "later"]}}, "tools": {"wait": tool, "later": tool}}


def made(timeout: object, release: Event) -> Interlock:
    def wait(seconds: float) -> str:
        """Waits."""
        release.wait(seconds)
        return "done"

    async def later(seconds: float) -> str:
        """Waits without holding anybody."""
        await asyncio.sleep(seconds)
        return "done"

    return Interlock(manifest(timeout), tools=[wait, later], audit=MemoryAudit())


def test_a_call_that_takes_longer_has_failed() -> None:
    release = Event()
    lock = made(0.05, release)
    run = lock.run(agent="a", principal="p", user="wait")
    began = time.monotonic()
    seen = run.call("wait", {"seconds": 30.0})
    assert time.monotonic() - began < 10  # it was not waited for; no statement about speed
    release.set()
    assert seen.failed
    assert seen.performed
    assert "no answer within 0.05 s" in str(seen.content)


def test_one_in_time_returns_and_one_that_raises_raises() -> None:
    lock = made(20, Event())
    run = lock.run(agent="a", principal="p", user="wait")
    assert run.call("wait", {"seconds": 0.0}).content == "done"

    def broken() -> str:
        """Breaks."""
        raise RuntimeError("as it is")

    plain = {
        "version": 1,
        "agents": {"a": {"tools": ["broken"]}},
        "tools": {"broken": {"effect": "read", "timeout": 5}},
    }
    seen = (
        Interlock(plain, tools=[broken], audit=MemoryAudit()).run(agent="a", principal="p", user="x").call("broken", {})
    )
    assert seen.failed
    assert "as it is" in str(seen.content)


@pytest.mark.parametrize("tool", ["wait", "later"])
def test_the_same_in_an_asynchronous_loop(tool: str) -> None:
    release = Event()
    run = made(0.05, release).run(agent="a", principal="p", user="wait")

    async def ask() -> Observed:
        seen = await run.acall(tool, {"seconds": 3.0})
        release.set()
        return seen

    seen = asyncio.run(ask())
    assert seen.failed
    assert "no answer within" in str(seen.content)


def test_no_timeout_waits(tmp_path: Path) -> None:
    run = made(None, Event()).run(agent="a", principal="p", user="wait")
    assert run.call("wait", {"seconds": 0.2}).content == "done"


@pytest.mark.parametrize("wrong", [0, -1, "5", True])
def test_what_is_no_time_does_not_load(wrong: object) -> None:
    with pytest.raises(PolicyError, match="timeout"):
        made(wrong, Event())
