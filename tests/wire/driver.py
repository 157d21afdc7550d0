"""Drives a machine as a gateway would, and reads what a client got."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from interlock.testing import wire as scripted
from interlock.testing.model import Reply
from interlock.wire.events import Allowed, ToolCall
from interlock.wire.format import Format
from interlock.wire.steps import AllRefused, Emit, Failed, Judge, Machine, Step, Texts

REFUSAL = "That was not permitted."
Verdict = Callable[[ToolCall], bool]


@dataclass
class Seen:
    """What came of an answer."""

    out: bytes = b""
    calls: list[ToolCall] = field(default_factory=list)
    asked_again: list[bytes] = field(default_factory=list)
    problem: str = ""
    usage: object = None

    @property
    def data(self) -> list[dict[str, Any]]:
        """The client's events."""
        return [json.loads(d) for d in frames(self.out) if d != "[DONE]"]


def frames(raw: bytes) -> list[str]:
    return [
        "\n".join(line[5:].strip() for line in block.split("\n") if line.startswith("data:"))
        for block in raw.decode().split("\n\n")
        if "data:" in block
    ]


def yes(call: ToolCall) -> bool:
    return True


def no(call: ToolCall) -> bool:
    return False


def drive(
    machine: Machine,
    chunks: Iterable[bytes],
    verdict: Verdict = yes,
    *,
    late: bool = False,
    sent: bytes = b"",
    again: Iterable[Iterable[bytes]] = (),
) -> Seen:
    """Run `machine` over `chunks`. `late`: verdicts come when all has been read; `again`: answers to continuations."""
    seen = Seen()
    answers = iter(again)
    waiting: list[Judge] = []

    def take(steps: list[Step]) -> list[AllRefused]:
        over = []
        for step in steps:
            match step:
                case Emit(data):
                    seen.out += data
                case Judge(call) as judge:
                    seen.calls.append(call)
                    if late:
                        waiting.append(judge)
                    else:
                        over += take(decide(judge))
                case AllRefused():
                    over.append(step)
                case Failed(problem):
                    seen.problem = problem
        return over

    def decide(judge: Judge) -> list[Step]:
        if judge.call.arguments is not None and verdict(judge.call):
            return machine.permit(judge)
        return machine.refuse(judge, REFUSAL)

    while True:
        over = []
        for chunk in chunks:
            over += take(machine.feed(chunk))
        over += take(machine.end())
        while waiting:
            over += take(decide(waiting.pop()))  # the last first
        if not over:
            break
        if (more := next(answers, None)) is None:
            take(machine.close())
            break
        seen.asked_again.append(machine.continuation(sent, REFUSAL))
        machine, chunks = machine.follow(), more
    seen.usage = machine.usage
    assert machine.finished
    return seen


def request(fmt: Format, **more: object) -> bytes:
    """A request as small as one can be."""
    body: dict[str, Any] = {"model": "m", "stream": True}
    if fmt.name == "openai-responses":
        body["input"] = "hello"
    else:
        body["messages"] = [{"role": "user", "content": "hello"}]
    if fmt.name == "openai-chat":
        body["stream_options"] = {"include_usage": True}
    if fmt.name == "anthropic":
        body["max_tokens"] = 100
    return json.dumps(body | more).encode()


def scripted_wire(fmt: Format) -> scripted.Wire:
    return {w.name: w for w in (scripted.CHAT, scripted.RESPONSES, scripted.ANTHROPIC)}[fmt.name]


def stream_of(fmt: Format, reply: Reply, number: int = 1) -> bytes:
    """What a provider would stream."""
    return "".join(scripted_wire(fmt).stream(json.loads(request(fmt)), reply, number)).encode()


def body_of(fmt: Format, reply: Reply, number: int = 1) -> bytes:
    return json.dumps(scripted_wire(fmt).body(json.loads(request(fmt)), reply, number)).encode()


def opened(fmt: Format, *, texts: Texts | None = None, allowed: Allowed | None = None, **more: object) -> Machine:
    allowed = allowed or Allowed()
    view = fmt.read(request(fmt, **more), allowed)
    assert not view.problems
    return (fmt.body if more.get("stream") is False else fmt.stream)(view, allowed, texts)
