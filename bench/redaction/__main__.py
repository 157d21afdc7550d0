# ruff: noqa: E501 - templates and tables are rows
"""Quality, speed, hostile texts and streams of the redactor; peers beside it: `python -m bench.redaction [--peers PYTHON]`."""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import sysconfig
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

from bench.redaction import (
    corpus,
    peers,
    templates_fifth,
    templates_first,
    templates_fourth,
    templates_second,
    templates_third,
)
from bench.redaction.corpus import Row
from bench.redaction.score import Score, score
from interlock.detect.redact import Redaction, find

EACH = 6
SETS = {  # what each showed at first sight: docs/redaction.md
    "first": templates_first,
    "second": templates_second,
    "third": templates_third,
    "fourth": templates_fourth,
    "fifth": templates_fifth,
}
REDACT = Redaction()
HOSTILE = Path(__file__).parents[2] / "tests/corpora/redaction-hostile.toml"


def _ours(text: str) -> list[tuple[int, int]]:
    return [f.span for f in REDACT.find(text)]


def _line(name: str, s: Score) -> str:
    return (
        f"| {name} | {s.recall(secrets=True):.3f} | {s.leak(secrets=True):.1%} | {s.recall(secrets=False):.3f} | {s.leak(secrets=False):.1%} "
        f"| {s.names:.2f} | {s.precision:.3f} | {s.false_bytes_per_mb:,.0f} | {s.negatives_hit / s.negatives:.1%} |"
    )


def quality(python: str, *, misses: bool) -> None:
    """The table of tools."""
    for title, templates in SETS.items():
        positive, negative = corpus.rows(7, templates.POSITIVE, templates.NEGATIVE, each=EACH)
        gold = sum(len(row.gold) for row in positive)
        print(f"\nTemplates: {title}; {len(positive)} rows with {gold} spans, {len(negative)} hard negatives\n")
        print(
            "| tool | secrets recall | bytes left | PII recall | bytes left | names | precision | false bytes/MB | negatives hit |"
        )
        print("|---|---|---|---|---|---|---|---|---|")
        ours = score(_ours, positive, negative)
        print(_line("Interlock", ours))
        if misses:
            print("\n".join([*ours.misses, *ours.wrong]), file=sys.stderr)
        if importlib.util.find_spec("langsmith"):
            print(_line("LangSmith's rules", score(peers.langsmith(), positive, negative)))
        else:
            print("| LangSmith's rules: not installed |")
        for name, found in _peers(python, [*positive, *negative]).items():
            spans = {row.text: at for row, at in zip([*positive, *negative], found, strict=True)}
            print(_line(name, score(lambda text, spans=spans: spans[text], positive, negative)))  # type: ignore[misc]


def _peers(python: str, rows: list[Row]) -> dict[str, list[list[tuple[int, int]]]]:
    if not python:
        return {}
    done = subprocess.run(
        [python, str(Path(__file__).with_name("peers.py"))],
        input=json.dumps([row.text for row in rows]), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {name: [[(a, b) for a, b in row] for row in found] for name, found in json.loads(done.stdout).items()}


def _best(run: Callable[[], object], rounds: int) -> float:
    best = 1e9
    for _ in range(rounds):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best


def speed() -> None:
    """Processor time, best of several runs: other programs share the machine."""
    positive, negative = corpus.rows(9, templates_first.POSITIVE, templates_first.NEGATIVE, each=3)
    texts = [
        f"{row.text}\n{filler.text}\nWords follow, as they do in a message of a person or of a tool, and they say little."
        for row, filler in zip(positive, negative * 2, strict=False)
    ]
    messages = sum(len(text.encode()) for text in texts)
    document = "\n".join(text for text in texts)
    prose = (
        "The committee met in the morning and agreed on most of what had been proposed; the rest was left for later, when more would be known.\n"
        * 8000
    )[:1_000_000]
    root = Path(sysconfig.get_paths()["stdlib"])
    code = [p.read_text(encoding="utf-8", errors="replace") for p in sorted(root.glob("*.py"))]
    size = sum(map(len, code))
    singles = [_best(lambda text=text: find.spans(text), 5) for text in texts]  # type: ignore[misc]
    print(f"\nengine: {'Vectorscan' if importlib.util.find_spec('hyperscan') else 'pure'}")
    print(
        f"messages, each by itself: {messages / sum(singles) / 1e6:.1f} MB/s, median {statistics.median(singles) * 1e6:.0f} us, 99th centile {statistics.quantiles(singles, n=100)[98] * 1e6:.0f} us"
    )
    for name, run, amount in (
        ("dense document", lambda: find.spans(document), len(document.encode())),
        ("clean prose", lambda: find.spans(prose), len(prose)),
        ("source code", lambda: [find.spans(text) for text in code], size),
        ("source code, pure", lambda: [find.spans(text, pure=True) for text in code[:40]], sum(map(len, code[:40]))),
    ):
        print(f"{name}: {amount / _best(run, 7) / 1e6:.1f} MB/s")
    found = [what for text in code for _, _, what in find.spans(text)]
    print(
        f"secrets found per MB of source code: {sum(w.startswith('secret/') for w in found) / size * 1e6:.2f} in {size / 1e6:.1f} MB"
    )
    start = subprocess.run(
        [sys.executable, "-c", "import time; t=time.perf_counter(); from interlock.detect.redact import Redaction; Redaction().text('password: hunter2'); print(time.perf_counter()-t)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    print(f"import and first call: {float(start.stdout):.2f} s")


def hostile() -> None:
    """The worst of 100 KB each."""
    times = []
    for case in tomllib.loads(HOSTILE.read_text())["case"]:
        unit = case["input"]
        text = (unit * (100_000 // len(unit) + 1))[:100_000]
        times.append((_best(lambda text=text: find.spans(text), 5) * 1e3, case["id"]))  # type: ignore[misc]
    times.sort(reverse=True)
    print(
        f"\n{len(times)} hostile texts of 100 KB, milliseconds: "
        + ", ".join(f"{name} {ms:.0f}" for ms, name in times[:6])
        + ", … all others less"
    )


def stream() -> None:
    """Pieces of eight characters against the whole."""
    held, leaks, spans = [], 0, 0
    for templates in SETS.values():
        for row in corpus.rows(13, templates.POSITIVE, [], each=2)[0]:
            text = f"Words come first, as they do. {row.text} and more words follow."
            batch, machine, out = REDACT.text(text), REDACT.stream(), ""
            for at in range(0, len(text), 5):
                out += machine.feed(text[at : at + 5])
                held.append(machine.held)
            out += machine.end()
            for a, b, _ in row.gold:
                spans += 1
                pieces = [row.text[i : min(b, i + 8)] for i in range(a, max(a + 1, b - 7))]
                leaks += any(piece in out and piece not in batch for piece in pieces)
    print(
        f"\nstream: {leaks} of {spans} spans leak that the whole text does not, held back: median {statistics.median(held):.0f}, most {max(held)} characters"
    )


def main() -> int:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--peers", metavar="PYTHON", default="", help="of an environment with detect-secrets and presidio-analyzer"
    )
    parser.add_argument("--misses", action="store_true", help="print what was missed, and what was wrong")
    arguments = parser.parse_args()
    quality(arguments.peers, misses=arguments.misses)
    if not arguments.peers:
        print("\npeers in other environments are left out: name one with --peers PYTHON")
    speed()
    hostile()
    stream()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
