"""Counters, gauges and histograms in Prometheus's text format. Labels have few values, all of them ours.

A label is never taken from a request (a model's name, a run, a user): whoever sends requests must not be able to grow
the registry. Each worker has its own; `process` tells them apart.
"""

from __future__ import annotations

import bisect
import os
from collections.abc import Iterator

LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)  # s
OVERHEAD = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1)  # s


class Counter:
    """Only grows; one number for each combination of labels."""

    kind = "counter"

    def __init__(self, name: str, told: str, labels: tuple[str, ...] = ()) -> None:
        self.name, self.told, self._labels = name, told, labels
        self._values: dict[tuple[str, ...], float] = {} if labels else {(): 0}

    def add(self, *labels: str, by: float = 1) -> None:
        """One more, or `by`."""
        self._values[labels] = self._values.get(labels, 0) + by

    def value(self, *labels: str) -> float:
        """The number now."""
        return self._values.get(labels, 0)

    def lines(self, common: str) -> Iterator[str]:
        """The samples."""
        for values, number in sorted(self._values.items()):
            yield f"{self.name}{_labels(self._labels, values, common)} {number:g}"


class Gauge(Counter):
    """Goes up and down."""

    kind = "gauge"

    def set(self, number: float, *labels: str) -> None:
        """From now on `number`."""
        self._values[labels] = number


class Histogram:
    """How often a duration (s) lay under each bound."""

    kind = "histogram"

    def __init__(self, name: str, told: str, bounds: tuple[float, ...], labels: tuple[str, ...] = ()) -> None:
        self.name, self.told, self._bounds, self._labels = name, told, bounds, labels
        self._values: dict[tuple[str, ...], tuple[list[int], list[float]]] = {}

    def observe(self, seconds: float, *labels: str) -> None:
        """One more duration."""
        counts, total = self._values.setdefault(labels, ([0] * (len(self._bounds) + 1), [0.0]))
        counts[bisect.bisect_left(self._bounds, seconds)] += 1
        total[0] += seconds

    def lines(self, common: str) -> Iterator[str]:
        """The samples."""
        names = (*self._labels, "le")
        for values, (counts, total) in sorted(self._values.items()):
            seen = 0
            for bound, count in zip((*self._bounds, None), counts, strict=True):
                seen += count
                le = "+Inf" if bound is None else f"{bound:g}"
                yield f"{self.name}_bucket{_labels(names, (*values, le), common)} {seen}"
            yield f"{self.name}_sum{_labels(self._labels, values, common)} {total[0]:.6f}"
            yield f"{self.name}_count{_labels(self._labels, values, common)} {seen}"


class Metrics:
    """All that a worker counts."""

    def __init__(self) -> None:
        self.requests = Counter("interlock_requests_total", "Requests by route and status.", ("route", "status"))
        self.refusals = Counter(
            "interlock_refused_requests_total", "Requests that never reached a provider.", ("code",)
        )
        self.calls = Counter("interlock_calls_total", "Tool calls that models asked for.", ("decision",))
        self.upstream = Counter("interlock_upstream_total", "Answers of providers.", ("upstream", "outcome"))
        self.tokens = Counter("interlock_tokens_total", "Tokens that providers reported.", ("upstream", "kind"))
        self.aborted = Counter("interlock_aborted_total", "Answers that did not end.", ("why",))
        self.active = Gauge("interlock_active_requests", "Requests at work.")
        self.connections = Gauge("interlock_connections", "Open connections.")
        self.waiting = Gauge("interlock_waiting_approvals", "Requests that wait for a human.")
        self.duration = Histogram("interlock_request_seconds", "Whole requests.", LATENCY, ("route",))
        self.prepare = Histogram(
            "interlock_prepare_seconds", "From the last byte of a request to its forwarding.", OVERHEAD
        )
        self.held = Histogram(
            "interlock_decide_seconds", "From a whole call to its decision, without humans.", OVERHEAD
        )

    def text(self) -> str:
        """The page at `/metrics`."""
        common = f'process="{os.getpid()}"'
        lines = []
        for metric in vars(self).values():
            lines += [
                f"# HELP {metric.name} {metric.told}",
                f"# TYPE {metric.name} {metric.kind}",
                *metric.lines(common),
            ]
        return "\n".join(lines) + "\n"


def _labels(names: tuple[str, ...], values: tuple[str, ...], common: str) -> str:
    pairs = [f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)]
    return "{" + ",".join([*pairs, common]) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
