"""Texts of our own making (CC0): attacks, what only sounds like them, and honest texts that carry a payload or none.

Everything comes from grammar.toml by a seeded draw. Real indirect attacks are scarce and benign texts with the same
words are scarcer, so the carriers and the harmless twins matter as much as the attacks.
"""

from __future__ import annotations

import base64
import json
import random
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from training.rows import Row

LICENSE = "CC0 (own)"
OPEN, CLOSE = "\u2039", "\u203a"  # around alternatives


@cache
def _grammar() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "grammar.toml").read_text("utf-8"))


def _split(text: str) -> list[str]:
    """`text` at its outermost bars; an escaped bar is a bar."""
    parts, depth, start, at = [], 0, 0, 0
    while at < len(text):
        c = text[at]
        if c == "\\" and text[at + 1 : at + 2] == "|":
            at += 2
            continue
        depth += (c == OPEN) - (c == CLOSE)
        if c == "|" and not depth:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    return [*parts, text[start:]]


@cache
def _choices(text: str) -> tuple[str, ...]:
    return tuple(_split(text))


class Writer:
    """Draws texts from the grammar."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)

    def symbol(self, name: str) -> str:
        """One text of the symbol `name`."""
        told = _grammar()[name]
        return self._filled(self._draw.choice(told if isinstance(told, list) else _choices(told)))

    def _filled(self, text: str) -> str:
        out: list[str] = []
        at = 0
        while at < len(text):
            c = text[at]
            if c == OPEN:
                depth, end = 1, at + 1
                while depth:
                    depth += (text[end] == OPEN) - (text[end] == CLOSE)
                    end += 1
                out.append(self._filled(self._draw.choice(_choices(text[at + 1 : end - 1]))))
                at = end
            elif c == "«":
                end = text.index("»", at)
                out.append(self.symbol(text[at + 1 : end]))
                at = end + 1
            elif c == "\\" and text[at + 1 : at + 2] in {"|", "n", "\\"}:
                out.append({"|": "|", "n": "\n", "\\": "\\"}[text[at + 1]])
                at += 2
            else:
                out.append(c)
                at += 1
        return "".join(out)

    def foreign(self, side: str) -> str:
        """One to three sentences of one language of `ml_attack` or `ml_benign`."""
        language = self._draw.choice(sorted(_grammar()[side]))
        lines = _choices(_grammar()[side][language])
        count = min(len(lines), self._draw.choice((1, 1, 2, 3)))
        return ". ".join(self._filled(line) for line in self._draw.sample(lines, count))

    def styled(self, text: str) -> str:
        """`text` as people type it."""
        match self._draw.randrange(12):
            case 0:
                return text.upper()
            case 1 | 2:
                return text.lower()
            case 3:
                return text.replace(". ", ".\n")
            case 4:
                return text.rstrip(".!?")
            case _:
                return text[:1].upper() + text[1:]

    def lines(self, symbol: str, low: int, high: int) -> list[str]:
        """Between `low` and `high` texts of `symbol`."""
        return [self.symbol(symbol) for _ in range(self._draw.randint(low, high))]

    def carried(self, load: str | None) -> tuple[str, tuple[int, int] | None]:
        """An honest text with `load` in it, and where; without a load, an honest text."""
        d = self._draw
        body = self.lines("bodyline", 1, d.choice((3, 6, 14)))
        mark = "\x00"
        if load is not None:
            body.insert(d.choice((0, len(body), len(body), d.randint(0, len(body)))), mark)
        shape = d.randrange(14)
        joined = d.choice((" ", "\n", "\n\n")).join(body)
        name, firm, topic = self.symbol("names"), self.symbol("firms"), self.symbol("topics")
        quoted = load
        match shape:
            case 0 | 1:
                sender = f"{name} <{name.split()[-1].lower()}@{self.symbol('domains')}>"
                text = f"From: {sender}\nTo: me@corp.example\nSubject: {topic}\n\nHi,\n{joined}\n\nBest,\n{name}"
            case 2:
                text = f"<html><body><h1>{firm}</h1><p>{'</p><p>'.join(body)}</p></body></html>"
            case 3:
                unseen = mark if load is not None else self.symbol("bodyline")
                text = f"<p>{'</p><p>'.join(b for b in body if b != mark)}</p>" + d.choice(
                    (
                        f"<!-- {unseen} -->",
                        f'<div style="display:none">{unseen}</div>',
                        f'<img alt="{unseen}" src="a.png">',
                        f'<span style="font-size:0">{unseen}</span>',
                    )
                )
            case 4 | 5:
                quoted = json.dumps(load)[1:-1] if load is not None else None
                rows = [{"id": d.randint(1, 9999), "author": self.symbol("names"), "text": b} for b in body]
                text = json.dumps({"status": "ok", "results": rows}, indent=d.choice((None, 2)), ensure_ascii=False)
                text = text.replace("\\u0000", mark)
            case 6:
                text = "\n".join(
                    f"[2025-0{d.randint(1, 9)}-1{d.randint(0, 9)} 1{d.randint(0, 9)}:{d.randint(10, 59)}] "
                    f"{d.choice(('INFO', 'WARN', 'DEBUG'))} {b}"
                    for b in body
                )
            case 7:
                sign = d.choice(("# ", "// ", "-- ", " * "))
                code = d.choice(
                    (
                        "def total(items):\n    return sum(items)",
                        "const a = load('x');",
                        "for (int i = 0; i < n; i++) {",
                        "SELECT name FROM users;",
                    )
                )
                text = "\n".join([code, *(sign + b for b in body), code])
            case 8:
                text = "\n".join(f"{'★' * d.randint(1, 5)} {self.symbol('names')}: {b}" for b in body)
            case 9:
                text = f"# {firm}\n\n## Usage\n\n" + "\n".join(f"- {b}" for b in body)
            case 10:
                head = f"Ticket {d.randint(100, 9999)}\nCustomer: {name}\nPriority: {d.choice(('low', 'high'))}"
                text = f"{head}\nDescription: {joined}"
            case 11:
                text = "\n".join(f"{i}. {b}" for i, b in enumerate(body, 1))
            case 12:
                head = f"name: get_{self.symbol('words').split()[0]}\ndescription: Returns {topic}."
                text = f"{head} {joined}\nparameters: {{id: string}}"
            case _:
                text = joined
        if load is None or mark not in text or quoted is None:
            return text.replace(mark, ""), None
        at = text.index(mark)
        return text[:at] + quoted + text[at + 1 :].replace(mark, ""), (at, at + len(quoted))


def written(seed: int, size: int) -> Iterator[Row]:
    """About `size` rows, each labelled, with spans where something is carried."""
    w = Writer(seed)
    draw = random.Random(seed + 1)

    def row(text: str, label: int, kind: str, source: str, span: tuple[int, int] | None = None) -> Row:
        return Row(text=text, label=label, kind=kind, source=source, license=LICENSE, span=span)

    for _ in range(size // 100):
        for _ in range(22):
            yield row(w.styled(w.symbol("attack_user")), 1, "direct", "written-direct")
        for _ in range(6):
            yield row(w.foreign("ml_attack"), 1, "direct", "written-ml")
        for _ in range(18):
            load = w.styled(w.symbol("load_command") if draw.random() < 0.88 else w.foreign("ml_attack"))
            text, span = w.carried(load)
            if span:
                yield row(text, 1, "indirect", "written-indirect", span)
        for _ in range(5):
            yield row(w.styled(w.symbol("load_command")), 1, "indirect", "written-bare")
        for _ in range(24):
            text = w.styled(w.symbol("benign_user"))
            yield row(text, 0, "benign-trigger", "written-trigger")
        for _ in range(6):
            yield row(w.foreign("ml_benign"), 0, "benign-trigger", "written-ml")
        for _ in range(14):
            yield row(w.carried(None)[0], 0, "benign", "written-carrier")
        for _ in range(3):
            yield row(" ".join(w.lines("askline", 1, 4)), 0, "benign", "written-ask")
        for _ in range(2):
            around = w.lines("plainline", 0, 4)
            around.insert(draw.randint(0, len(around)), w.symbol("benign_mention"))
            yield row(" ".join(around), 0, "benign-mention", "written-mention")
        blob = base64.b64encode(" ".join(w.lines("plainline", 1, 4)).encode()).decode()
        yield row(f"{w.symbol('plainline')} {blob} {w.symbol('plainline')}", 0, "benign-encoded", "written-encoded")
