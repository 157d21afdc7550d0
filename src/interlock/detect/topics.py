"""Whether a text is about what an agent is for, by words and by likeness to examples. No model, no chance.

Two signs, either is enough: a content word of the text is (after cutting endings) one of a topic's words, or the text's
hashed word pieces are like an example's. It does not see meaning: a text about something else that uses a topic's words
is inside; one about the topic in other words, or in a language without examples, is outside. It keeps an honest
user on the subject and is no defence against a clever one.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from zlib import crc32

from interlock.detect.normalise import normalise

MAX_READ = 20_000  # characters that are judged; a longer text is judged by its beginning
_BINS = 1 << 16
_WORD = re.compile(r"[^\W\d_]{2,40}")
_SENTENCE = re.compile(r"[^.!?\n]+[.!?\n]*")
_ENDINGS = ("ations", "ation", "ments", "ment", "ings", "ing", "ies", "ied", "ers", "ed", "er", "es", "ly", "s")
_SMALL = frozenset(
    "a about all am an and any are as at be been but by can could dear did do does for from get give go had has have "
    "he hello help her hi him his how i if in into is it its just know let like me more my need no not now of on one "
    "or our out please say she should so some tell thank thanks that the their them then there these they this to up "
    "us want was we were what when where which who why will with would yes you your".split()
)
_SHORT = 2  # content words that say nothing about a subject: a greeting, a `yes, the second one`


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """`inside`: about an allowed topic. `topic`: the nearest, or empty. `outside`: raw ranges of other sentences."""

    inside: bool
    topic: str
    score: float  # likeness to the nearest example, 0 to 1; 1 if a topic's word stands there
    outside: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """`allowed`: the words of each topic. `examples`: texts about it. `like`: how like an example a sentence must be.

    A text is inside if at least one sentence is and at most `share` of its content words stand in others.
    """

    allowed: Mapping[str, tuple[str, ...]]
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    like: float = 0.3
    share: float = 0.5
    _stems: dict[str, str] = field(init=False, repr=False, compare=False)
    _vectors: tuple[tuple[str, dict[int, float]], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.allowed or not any(self.allowed.values()):
            raise ValueError("topics need at least one topic with at least one word")
        if unknown := set(self.examples) - set(self.allowed):
            raise ValueError(f"there are examples for `{min(unknown)}`, which is no topic")
        stems = {_stem(part): topic for topic, words in self.allowed.items() for word in words for part in _words(word)}
        object.__setattr__(self, "_stems", stems)
        vectors = tuple((topic, _vector(text)) for topic, texts in self.examples.items() for text in texts)
        object.__setattr__(self, "_vectors", vectors)

    def judge(self, text: str) -> Judgement:
        """What `text` is about. A text of few words, such as a greeting, is inside."""
        seen = normalise(text[:MAX_READ])
        best, topic, inside, other = 0.0, "", 0, 0
        outside: list[tuple[int, int]] = []
        for sentence in _SENTENCE.finditer(seen.text):
            words = [word for word in _words(sentence[0]) if word not in _SMALL]
            score, near = self._score(sentence[0], words)
            if score > best:
                best, topic = score, near
            if score >= self.like:
                inside += len(words)
            elif len(words) > _SHORT:
                other += len(words)
                outside.append(seen.offsets.span(*sentence.span()))
        on_topic = other == 0 or (inside > 0 and other <= self.share * (inside + other))
        return Judgement(inside=on_topic, topic=topic, score=best, outside=tuple(outside))

    def _score(self, text: str, words: list[str]) -> tuple[float, str]:
        for word in words:
            if (stem := _stem(word)) in self._stems:
                return 1.0, self._stems[stem]
        vector = _vector(text)
        scores = [(_likeness(vector, example), topic) for topic, example in self._vectors]
        return max(scores, default=(0.0, ""))


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:  # noqa: PLR2004 - what is left still names something
            return word[: -len(ending)] + ("y" if ending in {"ies", "ied"} else "")
    return word


def _vector(text: str) -> dict[int, float]:
    """Words, pairs of words and pieces of words, hashed; of length one."""
    counts: Counter[int] = Counter()
    words = [_stem(word) for word in _words(text) if word not in _SMALL]
    for word in words:
        counts[_bin(word)] += 3
        padded = f"^{word}$"
        for size in (3, 4):
            counts.update(_bin(padded[i : i + size]) for i in range(len(padded) - size + 1))
    counts.update(_bin(f"{a} {b}") for a, b in pairwise(words))
    length = math.sqrt(sum(n * n for n in counts.values()))
    return {place: n / length for place, n in counts.items()} if length else {}


def _bin(feature: str) -> int:
    return crc32(feature.encode()) % _BINS


def _likeness(a: dict[int, float], b: dict[int, float]) -> float:
    small, large = (a, b) if len(a) < len(b) else (b, a)
    return sum(n * large.get(place, 0.0) for place, n in small.items())
