"""What a decision costs: labels, provenance and rules on transcripts of 1 KB to 1 MB, and the import of the package.

One decision is everything between a proposed call and its answer: binding each argument to its sources, the facts, and
Cedar under the shipped rules. Half of a transcript is external text, half own records. Times are of this process alone;
`p99` on a busy machine says more about the machine.
"""

from __future__ import annotations

import gc
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from interlock.kernel.call import Call, Resource
from interlock.kernel.decide import Facts, Request, Rules, decide
from interlock.kernel.decision import Decision, Mint, NeedsApproval, Permitted
from interlock.kernel.labels import Integrity
from interlock.kernel.spec import Argument, Effect, Returns, Role, ToolSpec
from interlock.provenance.bind import bind
from interlock.provenance.ledger import Ledger

SIZES = (1_000, 10_000, 100_000, 1_000_000)  # characters of transcript
ROUNDS = 2_000
WORDS = "the quarterly report says that costs for travel went up while sales in the north stayed flat".split()
TOOLS = {
    "mails": ToolSpec(
        name="mails", effect=Effect.READ, returns=Returns(object="mail", id=("id",), own=("id", "sender", "folder"))
    ),
    "send": ToolSpec(
        name="send",
        effect=Effect.EGRESS,
        arguments=(
            Argument(path="to", role=Role.RECIPIENT),
            Argument(path="subject", role=Role.TITLE),
            Argument(path="body", role=Role.TEXT),
            Argument(path="mail_id", role=Role.ID, kind="mail"),
        ),
    ),
}
RULES = Rules((files("interlock.policy") / "base.cedar").read_text(), {t.name: t.effect for t in TOOLS.values()})
MINT = Mint(b"k" * 32)
BODY = "Hello Bob, the costs for travel went up. See https://docs.example.com/report for the rest. Best, Anna"
GOOD: dict[str, Any] = {"to": "bob@corp.example", "subject": "Travel costs", "body": BODY, "mail_id": 1}
BAD = GOOD | {"to": "eve@else.example"}


def call(tool: str, arguments: Mapping[str, Any]) -> Call:
    """A call in the run that is timed."""
    return Call(tool=tool, arguments=arguments, agent="assistant", principal="anna", run="r1")


def result(n: int, size: int) -> Any:
    """Mails of `size` characters in all: each an own sender and folder, and an external body."""
    made: list[dict[str, Any]] = []
    while size > 0:
        i = n * 1_000 + len(made) + 2
        text = " ".join(WORDS[(i + k) % len(WORDS)] for k in range(40))
        folder = f"projects of {WORDS[i % len(WORDS)]} number {i} " + " ".join(
            WORDS[k % len(WORDS)] for k in range(i, i + 30)
        )
        mail = {"id": i, "sender": f"person{i}@corp.example", "folder": folder, "body": text}
        size -= sum(len(str(v)) for v in mail.values())
        made.append(mail)
    return made


def transcript(size: int) -> Ledger:
    """A run that has read `size` characters, in results of 2 KB."""
    ledger = Ledger(tools=TOOLS)
    ledger.said(
        "Mail bob@corp.example about travel costs, with https://docs.example.com/report, and answer mail 1.",
        Integrity.USER,
    )
    ledger.returned(call("mails", {}), [{"id": 1, "sender": "bob@corp.example", "folder": "inbox", "body": "hi there"}])
    for n in range(max(1, size // 2_000)):
        ledger.returned(call("mails", {}), result(n, min(size, 2_000)))
    return ledger


def decided(ledger: Ledger, arguments: Mapping[str, Any]) -> Decision:
    """What the monitor asks of kernel and provenance for one call."""
    made = call("send", arguments)
    found = bind(ledger, made, TOOLS["send"])
    facts = Facts(
        listed=True,
        unvouched=found.unvouched,
        unpointed=found.unpointed,
        receivers=found.receivers,
        unnamed=found.unnamed,
        blind=found.blind,
        external=ledger.external,
        confidential=ledger.confidential is not None,
        sources=frozenset(ledger.sources),
        findings=frozenset(),
        mandate="on",
        blocked=frozenset(),
        arguments={},
    )
    return decide(Request(call=made, resource=Resource("Tool", "send"), facts=facts), RULES, MINT, "n")


def timed(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    """(p50, p99) in microseconds."""
    for _ in range(50):
        work()
    gc.collect()
    gc.disable()
    taken = []
    for _ in range(rounds):
        start = time.perf_counter_ns()
        work()
        taken.append(time.perf_counter_ns() - start)
    gc.enable()
    taken.sort()
    return taken[len(taken) // 2] / 1_000, taken[len(taken) * 99 // 100] / 1_000


def growth(ledger: Ledger) -> float:
    """Microseconds of processor time to take in one more result of 2 KB, median of 50."""
    taken = []
    for n in range(50):
        more = result(5_000 + n, 2_000)
        start = time.process_time_ns()
        ledger.returned(call("mails", {}), more)
        taken.append(time.process_time_ns() - start)
    return sorted(taken)[25] / 1_000


def importing() -> float:
    """Milliseconds of processor time, user and system, that `import interlock` adds to an empty program; best of 7."""

    def once(program: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        root = Path(__file__).parents[2] / "src"
        subprocess.run([sys.executable, "-c", program], check=True, env=os.environ | {"PYTHONPATH": str(root)})
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1_000

    return min(once("import interlock") for _ in range(7)) - min(once("pass") for _ in range(7))


def main() -> None:
    """Print the tables."""
    print(
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} processors\n"
    )
    print("| transcript | permitted p50 / p99 µs | needs approval p50 / p99 µs | one more 2 KB result µs |")
    print("|---|---|---|---|")
    for size in SIZES:
        ledger = transcript(size)
        if not isinstance(decided(ledger, GOOD), Permitted) or not isinstance(decided(ledger, BAD), NeedsApproval):
            sys.exit("the decisions are not what they should be: nothing to time")
        good, bad = timed(lambda: decided(ledger, GOOD), ROUNDS), timed(lambda: decided(ledger, BAD), ROUNDS)  # noqa: B023
        told = " | ".join(f"{p50:.0f} / {p99:.0f}" for p50, p99 in (good, bad))
        print(f"| {size // 1_000} KB | {told} | {growth(ledger):.0f} |")
    print(f"\n`import interlock`: {importing():.0f} ms of processor time")


if __name__ == "__main__":
    main()
