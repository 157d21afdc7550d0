"""`make conformance [ARGS=part-of-a-cell's-name]`: the matrix as a table, for the docs. Status 1 if a cell fails."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.conformance.cells import Cell, cells
from tests.conformance.conftest import benched

COLUMNS = [f"{d} {s}" for d in ("chat", "responses", "anthropic") for s in ("plain", "stream")]

SLOW = 3.0  # seconds from which a cell is named


def main() -> int:
    """Run every cell, print the table, then what failed."""
    chosen = "".join(sys.argv[1:2])
    failed: list[str] = []
    marks: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    with TemporaryDirectory() as folder, contextmanager(benched)(Path(folder), chosen) as bench:
        found = [cell for cell in cells() if chosen in cell.id]
        for cell in found:
            start = time.monotonic()
            marks[cell.group, cell.row.removesuffix(" in small pieces")][cell.column].append(_mark(cell, bench, failed))
            if (took := time.monotonic() - start) > SLOW:
                print(f"{took:.1f} s: {cell.id}", file=sys.stderr, flush=True)
    print(f"{bench.subject.name}: {len(found)} cells, {len(failed)} failed")
    print("\n| where | what | " + " | ".join(COLUMNS) + " |\n" + "|---" * (len(COLUMNS) + 2) + "|")
    for (group, row), columns in marks.items():
        print(f"| {group} | {row} | " + " | ".join("".join(columns[c]) or "·" for c in COLUMNS) + " |")
    print("\n✓ held, ✗ failed, – not run; one mark a client or cut. `·`: there is no such cell.")
    for line in failed:
        print(line)
    return 1 if failed else 0


def _mark(cell: Cell, bench: object, failed: list[str]) -> str:
    try:
        cell.check(cell, bench)  # type: ignore[arg-type]
    except pytest.skip.Exception:
        return "–"
    except Exception as error:  # noqa: BLE001 - whatever breaks, the cell failed
        failed.append(f"FAILED {cell.id}: {type(error).__name__}: {str(error)[:300]}")
        return "✗"
    return "✓"


if __name__ == "__main__":
    sys.exit(main())
