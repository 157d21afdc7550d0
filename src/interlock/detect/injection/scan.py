"""How much of a text reads like an injected instruction, and where: signatures and, with the extra, a small network.

Evidence, never prevention: a request without any marks reads like a colleague's, and passes. The text is normalised;
what hid in it is read as views of its own. Every token is in some window, whatever the length; a window's score is a
logistic of what the network and the signatures say of it, a text's score is its highest window, less what chance gives
to many windows. Weights and thresholds come from training, per channel: `user` is what a user typed, `untrusted` is
anything else. On an error the caller treats the text as `suspicious`: `failed()` is that answer.
"""

from __future__ import annotations

import math
import re
import tomllib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

from interlock.detect.finding import Finding, Severity
from interlock.detect.injection.signatures import CLASSES, Hit, hits
from interlock.detect.injection.tokens import END, LINE, PLAIN, STRIDE, WINDOW, Tokens, tokens
from interlock.detect.normalise import Normalised, View, normalise
from interlock.detect.offsets import Rewriting

if TYPE_CHECKING:
    from interlock.detect.injection.classifier import Classifier, Reading

Channel: TypeAlias = Literal["user", "untrusted"]
Band: TypeAlias = Literal["clear", "suspicious", "injection"]

MAX_FINDINGS = 32
MAX_TEXT = 4_000_000  # characters: more is refused unread, and so suspicious
_WORDS_PER_LINE = 5  # fewer on average: the lines are read as one, too
_TELLING, _STRANGE, _MORE = 0.15, 0.12, 1.5  # shares of known words: enough, too few, how many times more
_LEET = re.compile(r"(?=[\w@$!|+]{0,31}[0134578@$!|+])(?=[\w@$!|+]{0,31}[A-Za-z])[\w@$!|+]{2,32}")
_LETTERS: Final = str.maketrans("0134578@$!|+", "oieastbasiit")
_AZ: Final = "abcdefghijklmnopqrstuvwxyz"
_ROT13: Final = str.maketrans(_AZ + _AZ.upper(), _AZ[13:] + _AZ[:13] + (_AZ[13:] + _AZ[:13]).upper())
_WORD = 3  # letters
_NO_SPACES = "\u0e00"  # scripts from here on have words of one letter
_READABLE = 0.25  # of a window's tokens
_JOIN = 16  # tokens between two runs that are one finding
_AROUND = 700  # characters before and after a quotation that say whether it is one

_TALK = re.compile(
    r"\b(?:prompt.injections?|jailbreak(?:s|ing)?|attack(?:s|ers?)?|payloads?|red.team\w{0,3}|detectors?|OWASP"
    r"|exploits?|vulnerabilit\w{1,3}"
    r"|researchers?|(?:the|this|our) (?:paper|article|study|test)|defen[cs]es?|mitigations?|classifiers?"
    r"|phrases such as|for example|e\.g\.|assert|scan\(|malicious|guardrails?)",
    re.IGNORECASE,
)
_OPEN: Final = "\"'“‘«`「„"
_CLOSE: Final = "\"'”’»`」“"


class InjectionError(ValueError):
    """A text cannot be scanned: it is as suspicious as one that was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What was found. `score`, per channel: the chance of an attack where half of the texts are attacks."""

    score: float
    band: Band
    findings: tuple[Finding, ...]
    reasons: tuple[str, ...]  # signatures, `model`, and views in which something was found
    scanned_chars: int
    mention: bool = False  # it talks about attacks and quotes one


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Evidence of tokens [first, last) of one view: `weights` of the signatures by class, `look` of the network."""

    first: int
    last: int
    look: float
    weights: tuple[float, ...]
    hidden: bool
    decoded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """One view, read."""

    kind: str
    tokens: Tokens
    hits: list[Hit]
    reading: Reading | None
    windows: tuple[Window, ...]
    view: View | Normalised


@dataclass(frozen=True, slots=True)
class Weights:
    """The logistic of one channel."""

    bias: float
    look: float
    classes: tuple[float, ...]
    hidden: float
    decoded: float
    per_doubling: float  # taken off for each doubling of the number of windows
    mention: float  # taken off a quoted attack in a text about attacks
    suspicious: float  # scores from here on
    injection: float

    def of(self, window: Window) -> float:
        """The logit of `window`."""
        said = sum(w * x for w, x in zip(self.classes, window.weights, strict=True))
        return self.bias + self.look * window.look + said + self.hidden * window.hidden + self.decoded * window.decoded


def _weights(told: Mapping[str, Any]) -> Weights:
    return Weights(**{**told, "classes": tuple(told["classes"])})


@lru_cache(maxsize=1)
def _alone() -> dict[str, Weights]:
    """Weights of the signatures without the network."""
    told = tomllib.loads((files("interlock.detect.injection") / "signatures-only.toml").read_text("utf-8"))
    return {channel: _weights(told[channel]) for channel in get_args(Channel)}


class Injection:
    """The detector; may be shared by threads. `model` None: signatures only."""

    def __init__(self, model: bytes | None) -> None:
        self._classifier: Classifier | None = None
        self._weights = _alone()
        if model is not None:
            from interlock.detect.injection.classifier import Classifier  # noqa: PLC0415 - needs the extra

            self._classifier = Classifier(model)
            told = self._classifier.calibration
            self._weights = {channel: _weights(told[channel]) for channel in get_args(Channel)}

    @property
    def parts(self) -> str:
        """What is at work, for start-up."""
        if self._classifier:
            return "injection: signatures and classifier"
        return "injection: signatures only; the classifier needs `pip install interlock[detect]`"

    def scan(self, text: str, channel: Channel, seen: Normalised | None = None) -> Scan:
        """What `text` holds; `seen` is its normal form, if that is known already.

        Raises:
            InjectionError: the text is longer than `MAX_TEXT`.
        """
        if channel not in self._weights:
            raise InjectionError(f"`{channel}` is no channel; there are {', '.join(get_args(Channel))}")
        if len(text) > MAX_TEXT:
            raise InjectionError(f"a text of {len(text)} characters is too long to scan; {MAX_TEXT} are allowed")
        seen = seen or normalise(text)
        if seen.raw != text:
            raise InjectionError("`seen` is not the normal form of this text")
        return _judged(text, self._weights[channel], self._views(seen))

    def evidence(self, text: str) -> list[Window]:
        """Every window of every view: what calibration learns from."""
        return [window for r in self._views(normalise(text)) for window in r.windows]

    def _views(self, seen: Normalised) -> list[_Read]:
        read = [self._read(seen.text, "text", seen, hidden=False)]
        if seen.text.count("\n") * _WORDS_PER_LINE > len(read[0].tokens.codes):  # a sentence may be broken into lines
            read.append(self._read(seen.text.replace("\n", " "), "lines", seen, hidden=False))
        turned = _turned(seen, read[0].tokens)
        return read + [self._read(view.text, view.kind, view, hidden=view.hidden) for view in (*seen.views, *turned)]

    def _read(self, text: str, kind: str, view: View | Normalised, *, hidden: bool) -> _Read:
        seen = tokens(text)
        found = hits(text, seen)
        reading = self._classifier.read(seen) if self._classifier else None
        decoded = kind not in {"text", "html/text"} and not hidden
        return _Read(
            kind=kind,
            tokens=seen,
            hits=found,
            reading=reading,
            windows=tuple(_windows(text, seen, found, reading, hidden=hidden, decoded=decoded)),
            view=view,
        )


def _turned(seen: Normalised, plain: Tokens) -> Iterator[View]:
    """The text in rot13, backwards, or with letters for digits, where that holds far more words of the lexicon."""
    text, there, known = seen.text, {view.kind for view in seen.views}, _known(plain)
    if "leet" not in there:
        made = _LEET.sub(lambda m: m[0].translate(_LETTERS), text)
        if made != text and _known(tokens(made)) > max(_TELLING, _MORE * known):
            yield View(text=made, kind="leet", offsets=seen.offsets)
    if known > _STRANGE:
        return
    backwards = Rewriting(text)
    backwards.put(text[::-1], 0, len(text), step=-1)
    for view in (
        View(text=text.translate(_ROT13), kind="rot13", offsets=seen.offsets),
        View(text=text[::-1], kind="reversed", offsets=backwards.done(seen.offsets)[1]),
    ):
        if view.kind not in there and _known(tokens(view.text)) > max(_TELLING, _MORE * known):
            yield view


def _known(seen: Tokens) -> float:
    """The share of tokens that have a concept."""
    return 1.0 - sum(map(seen.codes.count, PLAIN)) / max(1, len(seen.codes))


def failed() -> Scan:
    """What a caller takes when `scan` raised: suspicious, and nothing is known."""
    return Scan(score=1.0, band="suspicious", findings=(), reasons=("error",), scanned_chars=0)


def _windows(
    text: str, seen: Tokens, found: Sequence[Hit], reading: Reading | None, *, hidden: bool, decoded: bool
) -> Iterator[Window]:
    size = len(seen.codes)
    count = max(1, -(-(size - WINDOW) // STRIDE) + 1) if size else 0
    weights: dict[int, list[float]] = {}
    for hit in found:
        first = max(0, bisect_right(seen.starts, hit.start) - 1)
        place = CLASSES.index(hit.signature.kind)
        for window in range(max(0, -(-(first - WINDOW + 1) // STRIDE)), min(count - 1, first // STRIDE) + 1):
            row = weights.setdefault(window, [0.0] * len(CLASSES))
            row[place] = max(row[place], hit.signature.weight)
    nothing = (0.0,) * len(CLASSES)
    looks = reading.windows.tolist() if reading else [0.0] * count
    words = [
        (b - a >= _WORD and text[a].isalpha()) or text[a] >= _NO_SPACES
        for a, b in zip(seen.starts, seen.ends, strict=True)
    ]
    for n in range(count):
        first, last = n * STRIDE, min(size, n * STRIDE + WINDOW)
        # What holds no words is not read by a model as it stands, and the network knows nothing of it.
        noise = sum(words[first:last]) < _READABLE * (last - first)
        yield Window(
            first=first,
            last=last,
            look=min(looks[n], 0.0) if noise else looks[n],
            weights=tuple(weights[n]) if n in weights else nothing,
            hidden=hidden,
            decoded=decoded,
        )


def _judged(raw: str, weights: Weights, read: Sequence[_Read]) -> Scan:
    if not any(r.windows for r in read):
        return Scan(score=0.0, band="clear", findings=(), reasons=(), scanned_chars=len(raw))
    off = [weights.per_doubling * math.log2(max(1, len(r.windows))) for r in read]  # each view is read by itself
    scored = sorted(
        ((weights.of(w) - off[n], n, w) for n, r in enumerate(read) for w in r.windows), key=lambda s: -s[0]
    )
    best = scored[0][0]
    floor = _logit(weights.suspicious)
    spans: list[tuple[int, int, str, float]] = []
    reasons: list[str] = []
    high: dict[int, list[tuple[Window, float]]] = {}
    for logit, n, window in scored:
        if logit >= floor:
            high.setdefault(n, []).append((window, _sigmoid(logit)))
            reasons += ["model"] if window.look > 0 else []
            reasons += [read[n].kind] if read[n].kind != "text" else []
    for n, windows in high.items():
        for first, last, sure in _stretches(windows):
            found = _within(read[n], first, last)
            reasons += [hit.signature.id for hit in found]
            spans += [
                (*read[n].view.offsets.span(a, b), kind, sure) for a, b, kind in _places(read[n], first, last, found)
            ]
    joined = _joined(spans)
    mention = bool(joined) and _about(raw, joined)
    if mention:
        best = min(best - weights.mention, floor - 0.01)  # never a reason to act by itself
    score = _sigmoid(best)
    band: Band = "injection" if score >= weights.injection else "suspicious" if score >= weights.suspicious else "clear"
    severity: Severity = {"injection": "high", "suspicious": "medium", "clear": "low"}[band]  # type: ignore[assignment] # of Severity
    return Scan(
        score=score,
        band=band,
        findings=tuple(
            Finding(
                id="injection/mention" if mention else f"injection/{kind}",
                span=(start, end),
                severity="low" if mention else severity,
                confidence=min(score, sure) if mention else sure,
                why="quotes an attack in a text about attacks" if mention else _WHY[kind],
            )
            for start, end, kind, sure in joined[:MAX_FINDINGS]
        ),
        reasons=tuple(dict.fromkeys(reasons)),
        scanned_chars=len(raw),
        mention=mention,
    )


_WHY: Final = {
    "override": "asks to drop earlier instructions",
    "role": "pretends to be another part of the conversation",
    "addressee": "speaks to the machine that reads it",
    "secrecy": "wants the user not to know",
    "exfiltration": "asks for secrets or sends data away",
    "persona": "asks for a self without rules",
    "tool": "makes a tool's text give orders",
    "hidden": "instructions where no reader looks",
    "claim": "claims an authority",
    "instruction": "reads like an instruction to the machine",
}


def _stretches(windows: Sequence[tuple[Window, float]]) -> Iterator[tuple[int, int, float]]:
    """(first, last, highest score) of windows that touch."""
    first, last, sure = -1, -1, 0.0
    for window, score in sorted(windows, key=lambda w: w[0].first):
        if window.first > last:
            if last > first:
                yield first, last, sure
            first, sure = window.first, 0.0
        last, sure = window.last, max(sure, score)
    if last > first:
        yield first, last, sure


_KINDS: Final = tuple(_WHY)  # of two, the first names what is found


def _within(read: _Read, first: int, last: int) -> list[Hit]:
    start, end = read.tokens.starts[first], read.tokens.ends[last - 1]
    return [hit for hit in read.hits if start <= hit.start < end]


def _places(read: _Read, first: int, last: int, found: Sequence[Hit]) -> Iterator[tuple[int, int, str]]:
    """Where in tokens [first, last): the sentences of signatures, and of tokens that look like instructions."""
    starts, ends = read.tokens.starts, read.tokens.ends
    for hit in found:
        low = max(0, bisect_right(starts, hit.start) - 1)
        a, b = _sentence(read.tokens, low, max(low, bisect_left(starts, hit.end) - 1))
        yield starts[a], ends[b], hit.signature.kind
    if read.reading is None:
        return
    smooth = read.reading.smooth[first:last]
    runs: list[list[int]] = []
    for at in (smooth > 0).nonzero()[0].tolist():
        if runs and at - runs[-1][1] <= _JOIN:
            runs[-1][1] = at
        else:
            runs.append([at, at])
    if not runs and not found:
        top = int(smooth.argmax())
        runs.append([top, top])
    for low, high in runs:
        a, b = _sentence(read.tokens, first + low, first + high)
        yield starts[a], ends[b], "instruction"


def _sentence(seen: Tokens, first: int, last: int) -> tuple[int, int]:
    """[first, last] grown to the borders of its sentences, at most `WINDOW` tokens each way."""
    stop = END + LINE
    low, high = max(0, first - WINDOW), min(len(seen.codes) - 1, last + WINDOW)
    while first > low and seen.codes[first - 1] not in stop:
        first -= 1
    while last < high and seen.codes[last] not in stop:
        last += 1
    return first, last


def _joined(spans: Sequence[tuple[int, int, str, float]]) -> list[tuple[int, int, str, float]]:
    """Spans that touch become one; its kind is a signature's, if it has one."""
    made: list[tuple[int, int, str, float]] = []
    for start, end, kind, sure in sorted(spans):
        if made and start <= made[-1][1] + 2:
            before = made[-1]
            named = min(before[2], kind, key=_KINDS.index)
            made[-1] = (before[0], max(end, before[1]), named, max(sure, before[3]))
        else:
            made.append((start, end, kind, sure))
    return made


def _about(raw: str, spans: Sequence[tuple[int, int, str, float]]) -> bool:
    """Every span stands in quotation marks or code, in a text that talks about attacks outside of them."""
    for start, end, _, _ in spans:
        before, after = raw[max(0, start - _AROUND) : start], raw[end : end + _AROUND]
        within = raw[start:end]
        quoted = re.search(r"[\"“‘«`「„](?=\S)[^\n]{12,}?\S[\"”’»`」]", within) or re.search(
            r"'\S[^\n]{12,}\S'", within
        )
        around = (quoted and within[: quoted.start()] + within[quoted.end() :]) or ""
        inside = (
            (before.rstrip()[-1:] in _OPEN and after.lstrip()[:1] in _CLOSE)
            or "```" in before[-200:]
            or before.rstrip(" ")[-2:] == "\n>"
        )
        if not (quoted or inside) or not _TALK.search(before + " " + around + " " + after):
            return False
    return True


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-40.0, min(40.0, x))))


def _logit(p: float) -> float:
    p = max(1e-9, min(1 - 1e-9, p))
    return math.log(p / (1 - p))


def load() -> Injection:
    """The detector that the package ships; without the extra, its signatures only."""
    there = all(find_spec(name) for name in ("numpy", "onnxruntime"))
    return Injection((files("interlock.detect.injection") / "model.onnx").read_bytes() if there else None)
