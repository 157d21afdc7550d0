"""What the wire formats cost: CPU time per event of a stream, per request, and the delay of a held call."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from interlock.testing.model import Reply, Use
from interlock.testing.wire import ANTHROPIC as ANTHROPIC_WIRE
from interlock.testing.wire import CHAT as CHAT_WIRE
from interlock.testing.wire import RESPONSES as RESPONSES_WIRE
from interlock.testing.wire import Wire
from interlock.wire.anthropic import ANTHROPIC
from interlock.wire.events import Allowed
from interlock.wire.format import Format
from interlock.wire.openai_chat import CHAT
from interlock.wire.openai_responses import RESPONSES
from interlock.wire.steps import Channel, Emit, Judge, Machine

ROUNDS = 200
WORDS = "The quick brown fox looks it up and answers. " * 40
FORMATS: tuple[tuple[Format, Wire], ...] = (
    (CHAT, CHAT_WIRE),
    (RESPONSES, RESPONSES_WIRE),
    (ANTHROPIC, ANTHROPIC_WIRE),
)


class Through:
    """A guard that looks and lets pass."""

    def text(self, channel: Channel, piece: str) -> str:
        """The piece."""
        del channel
        return piece

    def flush(self, channel: Channel) -> str:
        """Nothing."""
        del channel
        return ""


def compact(raw: str) -> list[bytes]:
    """The events as the providers write them, one chunk each."""
    chunks = []
    for block in raw.split("\n\n")[:-1]:
        *head, data = block.split("\n")
        if data != "data: [DONE]":
            data = "data: " + json.dumps(json.loads(data[6:]), separators=(",", ":"), ensure_ascii=False)
        chunks.append("\n".join([*head, data, "", ""]).encode())
    return chunks


def request(size: int, fmt: Format) -> dict[str, Any]:
    """A conversation of about `size` bytes."""
    turn = {"role": "user", "content": WORDS[:900]}
    other = {"role": "assistant", "content": WORDS[:900]}
    turns = [turn, other] * max(1, size // 1900) + [turn]
    name = "input" if fmt is RESPONSES else "messages"
    return {"model": "m", "stream": True, "max_tokens": 100, name: turns} | (
        {"stream_options": {"include_usage": True}} if fmt is CHAT else {}
    )


def timed(run: Callable[[], object], rounds: int = ROUNDS) -> float:
    """CPU time of one run in µs: the best of five."""
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        for _ in range(rounds):
            run()
        best = min(best, (time.process_time() - start) / rounds)
    return best * 1e6


def drive(machine: Machine, chunks: list[bytes]) -> int:
    """Feed all; permit all. Bytes that came out."""
    size = 0
    for chunk in chunks:
        for step in machine.feed(chunk):
            match step:
                case Emit(data):
                    size += len(data)
                case Judge() as judge:
                    size += sum(len(s.data) for s in machine.permit(judge) if isinstance(s, Emit))
                case _:
                    raise SystemExit(f"the bench's stream was not read: {step}")
    machine.end()
    return size


def main() -> int:
    """Print the table."""
    allowed = Allowed()
    print("| format | text event | of it guarded | spaced JSON | call event | 2 KB request | 50 KB request |")
    print("|---|---|---|---|---|---|---|")
    for fmt, wire in FORMATS:
        small, large = (json.dumps(request(s, fmt), separators=(",", ":")).encode() for s in (1900, 50_000))
        view = fmt.read(small, allowed)
        asked = json.loads(small)
        text = list(wire.stream(asked, Reply(WORDS), 1))
        long = Use("send", {"body": WORDS})
        plain, calls = compact("".join(text)), compact("".join(wire.stream(asked, Reply("", (long,)), 1)))
        spaced = [event.encode() for event in text]
        rows = [
            timed(lambda: drive(fmt.stream(view, allowed), plain), 20) / len(plain),  # noqa: B023 - run at once
            timed(lambda: drive(fmt.stream(view, allowed, Through()), plain), 20) / len(plain),  # noqa: B023
            timed(lambda: drive(fmt.stream(view, allowed), spaced), 20) / len(spaced),  # noqa: B023
            timed(lambda: drive(fmt.stream(view, allowed), calls), 20) / len(calls),  # noqa: B023
            timed(lambda: fmt.read(small, allowed)),  # noqa: B023
            timed(lambda: fmt.read(large, allowed)),  # noqa: B023
        ]
        print(f"| {fmt.name} | " + " | ".join(f"{row:.1f} µs" for row in rows) + " |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
