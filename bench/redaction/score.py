"""Recall, leaks and precision of spans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bench.redaction.corpus import SECRETS, Row

Find = Callable[[str], Iterable[tuple[int, int]]]
COVERED = 0.9  # of a gold span's characters


@dataclass(slots=True)
class Score:
    """What one tool did with the rows."""

    found: Counter[str] = field(default_factory=Counter)
    gold: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    size: Counter[str] = field(default_factory=Counter)
    right: int = 0
    predicted: int = 0
    false_bytes: int = 0
    negative_bytes: int = 0
    negatives_hit: int = 0
    negatives: int = 0
    misses: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def recall(self, *, secrets: bool) -> float:
        """Share of gold spans found."""
        kinds = [k for k in self.gold if (k in SECRETS) == secrets and k not in NAMES]
        return sum(self.found[k] for k in kinds) / max(1, sum(self.gold[k] for k in kinds))

    def leak(self, *, secrets: bool) -> float:
        """Share of gold characters left."""
        kinds = [k for k in self.gold if (k in SECRETS) == secrets and k not in NAMES]
        return sum(self.left[k] for k in kinds) / max(1, sum(self.size[k] for k in kinds))

    @property
    def names(self) -> float:
        """Share of names found."""
        return sum(self.found[k] for k in NAMES) / max(1, sum(self.gold[k] for k in NAMES))

    @property
    def precision(self) -> float:
        """Share of predictions that touch gold."""
        return self.right / max(1, self.predicted)

    @property
    def false_bytes_per_mb(self) -> float:
        """Bytes predicted per megabyte of negatives."""
        return self.false_bytes / max(1, self.negative_bytes) * 1e6


NAMES = frozenset({"name", "first", "last"})


def score(find: Find, positive: list[Row], negative: list[Row]) -> Score:
    """`find` on all rows."""
    result = Score()
    for row in positive:
        spans = sorted(find(row.text))
        marks = bytearray(len(row.text))
        for start, end in spans:
            marks[start:end] = b"\1" * (end - start)
        for start, end, kind in row.gold:
            covered = sum(marks[start:end])
            result.gold[kind] += 1
            result.size[kind] += end - start
            result.left[kind] += end - start - covered
            if covered >= COVERED * (end - start):
                result.found[kind] += 1
            else:
                result.misses.append(f"{kind}: {row.text[max(0, start - 40) : end + 20]!r}")
        for start, end in spans:
            if any(start < b and a < end for a, b, _ in row.gold):
                result.right += 1
                result.predicted += 1
            elif not any(start < b and a < end for a, b in row.either):
                result.predicted += 1
                result.wrong.append(f"{row.text[start:end]!r} in {row.text[:120]!r}")
    for row in negative:
        spans = list(find(row.text))
        result.negatives += 1
        result.negative_bytes += len(row.text.encode())
        result.negatives_hit += bool(spans)
        result.predicted += len(spans)
        result.false_bytes += sum(len(row.text[start:end].encode()) for start, end in spans)
        result.wrong += [f"NEG {row.text[start:end]!r} in {row.text[:120]!r}" for start, end in spans]
    return result
