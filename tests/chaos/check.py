"""Counts afterwards, from the files and the store alone, whether anything was lost or happened twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interlock.approvals.errors import NoSuchApproval
from interlock.audit.chain import Verified
from interlock.limits.budget import Line, Window, subject
from tests.chaos.node import BUDGET
from tests.chaos.places import Stores, opened


@dataclass
class Findings:
    """What was counted, and what is wrong."""

    kills: int = 0
    effects: int = 0
    approved: int = 0
    answers: int = 0
    acknowledged: int = 0
    records: int = 0
    permitted: int = 0
    streams: int = 0
    exhausted: int = 0  # principals whose budget was used up
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        counts = ", ".join(f"{name} {value}" for name, value in vars(self).items() if name != "wrong")
        return "\n".join([counts, *(f"WRONG: {w}" for w in self.wrong[:20])]) + (
            "" if self.wrong else "\nnothing is wrong"
        )


def check(where: str, folder: Path, *, granted: set[str], stored: Iterable[str] = ()) -> Findings:
    """Everything that must hold of the store at `where` and of what was written to `folder`.

    `granted` are the digests that the approver has said yes to, once each; `stored` the ids of answers that were kept.
    """
    found = Findings()
    effects = [json.loads(line) for file in folder.glob("effects-*") for line in file.read_text().splitlines()]
    acks = [tuple(json.loads(line)) for file in folder.glob("acks-*") for line in file.read_text().splitlines()]
    stores = opened(where, stream="", clock=lambda: 0.0, patience=30)
    records = _records(where, stores, found)
    found.effects, found.acknowledged, found.records = len(effects), len(acks), len(records)

    for stream, seq, digest in acks:
        if records.get((stream, seq), (None, None))[0] != digest:
            found.wrong.append(f"the acknowledged record {seq} of {stream} is lost")
    permitted = Counter(
        (body.get("nonce"), body.get("digest"))
        for _, (kind, body) in records.values()
        if kind == "decision" and body.get("decision") == "permitted"
    )
    found.permitted = len(permitted)
    found.wrong += [f"the permit {nonce} was given {n} times" for (nonce, _), n in permitted.items() if n > 1]
    for effect in effects:
        if not permitted[effect["nonce"], effect["digest"]]:
            found.wrong.append(f"the effect {effect['nonce']} has no decision on record")
    found.wrong += [
        f"the permit {n} was used {c} times" for n, c in Counter(e["nonce"] for e in effects).items() if c > 1
    ]
    for ref in stored:
        found.answers += 1
        try:
            kept = bool(stores.approvals.get(ref)[0].given)
        except NoSuchApproval:
            kept = False
        if not kept:
            found.wrong.append(f"the answer to {ref} is lost")
    _approvals([e for e in effects if e["agent"] == "jobs"], granted, found)
    _budgets(Counter(e["principal"] for e in effects if e["agent"] == "plain"), stores, found)
    return found


def _records(where: str, stores: Stores, found: Findings) -> dict[tuple[str, int], tuple[str, tuple[str, Any]]]:
    """(stream, seq) → digest, kind and body of every record, each chain verified."""
    kept = {}
    for stream in stores.audit.streams():
        audit = opened(where, stream=stream, clock=lambda: 0.0, patience=30).audit
        if not isinstance(verdict := audit.verify(), Verified):
            found.wrong.append(f"the chain {stream} does not verify: {verdict}")
        for record in audit.records():
            kept[stream, record.seq] = (record.digest, (record.kind, dict(record.body)))
        found.streams += 1
    return kept


def _approvals(effects: list[dict[str, Any]], granted: set[str], found: Findings) -> None:
    found.approved = len(effects)
    for digest, times in Counter(e["digest"] for e in effects).items():
        if times > 1:
            found.wrong.append(f"one approval of {digest[:12]} let {times} calls through")
        if digest not in granted:
            found.wrong.append(f"nobody approved {digest[:12]}")
    found.wrong += [f"{e['digest'][:12]} ran without an approval" for e in effects if not e["approved"]]


def _budgets(effects: Counter[str], stores: Stores, found: Findings) -> None:
    for principal, times in effects.items():
        line = Line(f"principal:{subject('plain', principal)}|calls/total", 1, BUDGET, Window.TOTAL)
        (used,) = stores.budgets.used([line])
        found.exhausted += used >= BUDGET
        if times > BUDGET or used > BUDGET:
            found.wrong.append(f"{principal} has made {times} calls and used {used} of {BUDGET}")
        if used < times:
            found.wrong.append(f"{principal} has made {times} calls of which {used} are counted")
