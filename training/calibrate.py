"""Weights and thresholds of the last logistic, per channel, from texts of sources that the network never saw."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from interlock.detect.injection.scan import Window
from interlock.detect.injection.signatures import CLASSES
from training.rows import Row

Judged = tuple[Row, Sequence[Window]]

FEATURES = 2 + len(CLASSES) + 3  # bias, look, classes, hidden, decoded, log2 of the number of windows
PRIOR = np.array([0.0, 1.0, *[0.8] * len(CLASSES), 0.5, 0.0, -0.25])
# Attacks in the data are shorter than harmless ones; length itself must not become evidence.
PULL = np.array([0.0, 1.0, *[1.0] * len(CLASSES), 30.0, 30.0, 300.0])  # how firmly the prior holds
MENTION = 3.0
MAX_PER_DOUBLING = 0.4  # a short attack must still be seen in a long document
UNTRUSTED = {"authored-email", "authored-toolout", "written-carrier", "written-ask", "enron"}


def channel(row: Row) -> str:
    """Where a text of this kind is met."""
    if row.source in UNTRUSTED or row.kind in {"indirect", "benign-doc", "benign-encoded", "benign-mention"}:
        return "untrusted"
    return "user"


def features(windows: Sequence[Window]) -> Any:
    """One row for each window."""
    many = math.log2(max(1, len(windows)))
    rows = [[1.0, w.look, *w.weights, float(w.hidden), float(w.decoded), many] for w in windows]
    return np.array(rows or [[1.0, -9.0, *[0.0] * (FEATURES - 2)]])


def fitted(judged: Sequence[Judged], *, network: bool) -> dict[str, dict[str, Any]]:
    """Weights of each channel; without `network` its look weighs nothing."""
    return {name: _channel(judged, name, network=network) for name in ("user", "untrusted")}


def _channel(judged: Sequence[Judged], name: str, *, network: bool) -> dict[str, Any]:
    # An attack typed by a user is one in a document too; harmless texts differ by channel.
    chosen = [
        (row, features(windows))
        for row, windows in judged
        if channel(row) == name or (name == "untrusted" and row.label) or (row.kind == "benign-mention" and not network)
    ]
    label = np.array([float(row.label) for row, _ in chosen])
    counts = Counter((row.source, row.label) for row, _ in chosen)
    heavy = np.array([counts[row.source, row.label] ** -0.5 for row, _ in chosen])
    for side in (0.0, 1.0):
        heavy[label == side] /= heavy[label == side].sum()
    weights = PRIOR.copy()
    prior = PRIOR.copy()
    pull = PULL * 2e-3
    if not network:
        weights[1] = prior[1] = 0.0
        pull[1] = 1e6
    free = np.array([False, *[True] * (FEATURES - 1)])
    for _ in range(8):
        x = np.stack([f[np.argmax(f @ weights)] for _, f in chosen])  # a text is its highest window
        for _ in range(40):
            p = 1.0 / (1.0 + np.exp(-x @ weights))
            slope = x.T @ ((p - label) * heavy) + pull * (weights - prior) * free
            bend = (x * (heavy * p * (1 - p))[:, None]).T @ x + np.diag(pull + 1e-6)
            weights = weights - np.linalg.solve(bend, slope)
            weights[1:-3] = np.maximum(weights[1:-3], 0.0)  # no signature speaks for a text
            weights[-1] = min(max(weights[-1], -MAX_PER_DOUBLING), 0.0)
    score = np.array([(f @ weights).max() for _, f in chosen])
    benign = label == 0
    return {
        "bias": round(float(weights[0]), 4),
        "look": round(float(weights[1]), 4),
        "classes": [round(float(w), 4) for w in weights[2:-3]],
        "hidden": round(float(weights[-3]), 4),
        "decoded": round(float(weights[-2]), 4),
        "per_doubling": round(float(-weights[-1]), 4),
        "mention": MENTION,
        "suspicious": _above(score[benign], heavy[benign], 0.01),
        "injection": _above(score[benign], heavy[benign], 0.001),
    }


def told(judged: Sequence[Judged], weights: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """For each channel, the share of unseen attacks and harmless texts from `suspicious` on, and by source."""
    for name, w in weights.items():
        line = np.array([w["bias"], w["look"], *w["classes"], w["hidden"], w["decoded"], -w["per_doubling"]])
        flags: dict[tuple[int, str], list[bool]] = {}
        for row, windows in judged:
            if channel(row) == name:
                score = 1.0 / (1.0 + math.exp(-float((features(windows) @ line).max())))
                flags.setdefault((row.label, row.source), []).append(score >= w["suspicious"])
        for label, word in ((1, "attacks found"), (0, "harmless flagged")):
            every = [flag for key, found in flags.items() if key[0] == label for flag in found]
            some = sorted((source, found) for (side, source), found in flags.items() if side == label)
            parts = ", ".join(f"{source} {100 * sum(found) / len(found):.0f}" for source, found in some)
            yield f"{name}, unseen sources, {word}: {100 * sum(every) / max(1, len(every)):.1f} % ({parts})"


def _above(scores: Any, heavy: Any, share: float) -> float:
    """The probability above which `share` of the benign texts lie, each source by the root of its size."""
    order = np.argsort(-scores)
    passed = np.cumsum(heavy[order]) / heavy.sum()
    place = min(int(np.searchsorted(passed, share)), len(order) - 1)
    return round(float(1.0 / (1.0 + math.exp(-scores[order][place] - 1e-3))), 5)


def toml(weights: Mapping[str, Mapping[str, Any]]) -> str:
    """The weights as the package keeps them."""
    lines = ["# Written by `python -m training`: how the signatures weigh when there is no network."]
    for name, told in weights.items():
        lines += ["", f"[{name}]", *(f"{key} = {value}" for key, value in told.items())]
    return "\n".join(lines) + "\n"
