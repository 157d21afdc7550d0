"""The training data: rows of JSON lines, filtered by licence, as tokens."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from interlock.detect.injection.classifier import inputs
from interlock.detect.injection.tokens import tokens
from training.network import LENGTHS, Piece

# Weights of a model that learned from these may be held to carry their terms; a build without them has none to carry.
COPYLEFT = re.compile(r"SA|GPL|man-page|mixed")
NOISY = {
    "s-labs": 0.97,
    "neuralchemy": 0.95,
    "neuralchemy-hackaprompt": 0.95,
    "satml-ctf": 0.92,
}  # how far labels are believed
LONG = LENGTHS[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One labelled text."""

    text: str
    label: int
    kind: str
    source: str
    license: str
    span: tuple[int, int] | None
    split: str = "train"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """A row as the network sees it."""

    row: Row
    rows: Any
    grams: Any
    inside: tuple[int, int] | None  # the span, in tokens


def load(path: Path) -> list[Row]:
    """Every row of a gzipped file; prints the file's digest."""
    raw = path.read_bytes()
    print(f"{path.name}: sha256 {hashlib.sha256(raw).hexdigest()}")
    made = []
    for line in gzip.decompress(raw).splitlines():
        told = json.loads(line)
        span = told.get("span")
        made.append(
            Row(
                text=told["text"],
                label=told["label"],
                kind=told["kind"],
                source=told["source"],
                license=told["license"],
                span=(span[0], span[1]) if span else None,
                split=told.get("split", "train"),
            )
        )
    return made


def coded(rows: Iterable[Row]) -> list[Coded]:
    """The rows that hold a token."""
    made = []
    for row in rows:
        seen = tokens(row.text)
        if not seen.codes:
            continue
        inside = None
        if row.span:
            first = next((i for i, end in enumerate(seen.ends) if end > row.span[0]), 0)
            last = next((i for i, start in enumerate(seen.starts) if start >= row.span[1]), len(seen.codes))
            inside = (first, max(last, first + 1))
        made.append(Coded(row=row, rows=inputs(seen)[0], grams=inputs(seen)[1], inside=inside))
    return made


class Sampler:
    """Pieces for one epoch: each row once, long ones by a stretch drawn anew."""

    def __init__(self, rows: Sequence[Coded]) -> None:
        self._rows = rows
        counts = Counter((c.row.source, c.row.label) for c in rows)
        mean = {
            label: np.mean([n**-0.4 for (_, x), n in counts.items() for _ in range(n) if x == label])
            for label in (0, 1)
        }
        self._weights = {key: n**-0.4 / mean[key[1]] for key, n in counts.items()}
        share = sum(c.row.label for c in rows) / len(rows)
        self._sides = {0: 0.5 / (1 - share), 1: 0.5 / share}

    def __call__(self, draw: np.random.Generator, share: float) -> list[Piece]:
        """`share` of the rows, drawn anew."""
        chosen = draw.random(len(self._rows)) < share
        return [self._piece(c, draw) for c, taken in zip(self._rows, chosen, strict=True) if taken]

    def _piece(self, c: Coded, draw: np.random.Generator) -> Piece:
        size, label = len(c.rows), c.row.label
        first, last = 0, size
        if size > LONG:
            wanted = int(draw.integers(LONG // 2, LONG + 1))
            first = int(draw.integers(0, size - wanted + 1))
            if c.inside and draw.random() < 0.75:  # mostly a stretch that holds the span, or its beginning
                a, b = c.inside
                low, high = max(0, min(a, b - wanted)), min(max(a, b - wanted), size - wanted)
                first = int(draw.integers(low, max(low, high) + 1))
            elif label and not c.inside and draw.random() < 0.6:
                first = 0  # a long attack says what it wants at its beginning
            last = first + wanted
        marked, target = None, float(label)
        if c.inside:
            marked = np.zeros(last - first, np.float32)
            a, b = max(c.inside[0], first) - first, min(c.inside[1], last) - first
            if b > a:
                marked[a:b] = 1.0
            if b - a < min(8, c.inside[1] - c.inside[0]):
                target = 0.0
        elif not label:
            marked = np.zeros(last - first, np.float32)
        believed = NOISY.get(c.row.source, 0.99)
        target = believed * target + (1 - believed) * 0.5 if target else (1 - believed) * 0.3
        weight = self._weights[(c.row.source, label)] * self._sides[label]
        return Piece(rows=c.rows[first:last], grams=c.grams[first:last], label=target, marked=marked, weight=weight)
