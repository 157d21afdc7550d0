"""What injected instructions look like: the rules of signatures.toml, found in linear time.

A rule of concepts runs over the codes of the tokens, one character each, so that it speaks every language of the
lexicon; a rule of text runs over the text, and only if one of its literals occurs. Every repeat is bounded.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final

from interlock.detect.injection.tokens import AT, CODES, END, LINK, NUMBER, Tokens, lexicon

CLASSES: Final = ("override", "role", "addressee", "secrecy", "exfiltration", "persona", "tool", "hidden", "claim")
MAX_HITS = 200  # of one rule: more of the same prove nothing more


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One rule. `over_codes`: its patterns run over the concepts."""

    id: str
    kind: str
    weight: float
    over_codes: bool
    literals: tuple[str, ...]  # one of them must occur; for concepts: sets of codes, one of each
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """`signature` was found in [start, end) of the text that was searched."""

    signature: Signature
    start: int
    end: int


@lru_cache(maxsize=1)
def signatures() -> tuple[Signature, ...]:
    """The rules of this package."""
    told = tomllib.loads((files("interlock.detect.injection") / "signatures.toml").read_text("utf-8"))["rule"]
    made = []
    for rule in told:
        if rule["class"] not in CLASSES:
            raise ValueError(f"`{rule['id']}` has class `{rule['class']}`; there are {', '.join(CLASSES)}")
        common = {"id": rule["id"], "kind": rule["class"], "weight": float(rule["weight"])}
        if "text" in rule:
            made.append(
                Signature(
                    **common,
                    over_codes=False,
                    literals=tuple(rule["literals"]),
                    pattern=re.compile(rule["text"], re.ASCII),
                )
            )
        made += [
            Signature(**common, over_codes=True, literals=tuple(_sets(row)), pattern=_compiled(row))
            for row in rule.get("concepts", ())
        ]
    return tuple(made)


@lru_cache(maxsize=1)
def _literals() -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for s in signatures() if not s.over_codes for word in s.literals))


def _sets(row: str) -> Iterator[str]:
    codes = dict(zip(lexicon().names, CODES, strict=False)) | {"link": LINK, "at": AT, "number": NUMBER}
    for word in row.split():
        if not word.startswith("~"):
            yield "".join(codes[name] for name in word.split("|"))


def _compiled(row: str) -> re.Pattern[str]:
    sets = _sets(row)
    gap = f"[^{re.escape(END)}]"  # a line break is no border to a model
    return re.compile(
        "".join(f"{gap}{{0,{word[1:]}}}?" if word[0] == "~" else f"[{next(sets)}]" for word in row.split())
    )


def hits(text: str, tokens: Tokens) -> list[Hit]:
    """What the rules find in `text`, which `tokens` were made of."""
    low = text.lower()
    if len(low) != len(text):  # a few letters grow: the places would be wrong
        low = "".join(c if len(c.lower()) != 1 else c.lower() for c in text)
    there = set(tokens.codes)
    literals = {literal for literal in _literals() if literal in low}
    found: list[Hit] = []
    for signature in signatures():
        if signature.over_codes:
            if any(there.isdisjoint(needed) for needed in signature.literals):
                continue
            for count, match in enumerate(signature.pattern.finditer(tokens.codes)):
                if count == MAX_HITS:
                    break
                first, last = match.start(), match.end() - 1
                found.append(Hit(signature=signature, start=tokens.starts[first], end=tokens.ends[last]))
        elif not literals.isdisjoint(signature.literals):
            for count, match in enumerate(signature.pattern.finditer(low)):
                if count == MAX_HITS:
                    break
                found.append(Hit(signature=signature, start=match.start(), end=match.end()))
    return found
