"""What an answer must not repeat: a canary in any simple disguise, and longer stretches of the system prompt.

Both are automata over the text with a bounded memory, so that pieces give what the whole gives: the canary over its
letters and digits (spaces, case and punctuation say nothing), the prompt over its words.
"""

from __future__ import annotations

import re
from base64 import b32encode, b64encode
from dataclasses import dataclass
from urllib.parse import quote

from interlock.detect.finding import Finding
from interlock.detect.output.links import Action
from interlock.detect.vocabulary import rotated

REMOVED = "[removed]"
SHINGLE = 8  # words in a row that two texts do not share by chance
MIN_CANARY = 8  # letters and digits
MAX_WORD = 64  # characters; a longer word is several
MAX_GAP = 200  # characters between two letters, or two words, that belong together
MAX_LEAK = 4096  # characters after which a stretch of the prompt is cut off, and another one begins
_KEPT = re.compile(r"[^\W_]")
_WORD = re.compile(rf"[^\W_]{{1,{MAX_WORD}}}")


def disguises(canary: str) -> frozenset[str]:
    """The letters and digits, in lower case, that `canary` leaves in an answer in each disguise."""
    octets = canary.encode()
    forms = {canary, rotated(canary), octets.hex(), b32encode(octets).decode(), quote(canary, safe="")}
    for turned in (octets, octets[::-1]):
        for shift in range(3):  # base64 looks different at each place modulo three; the edges depend on neighbours
            coded = b64encode(b"\0" * shift + turned).decode().rstrip("=")
            start = (0, 2, 3)[shift]
            forms.add(coded[start : len(coded) - (0 if (len(turned) + shift) % 3 == 0 else 1)])
    forms |= {form[::-1] for form in forms}
    return frozenset(_squashed(form) for form in forms)


def _squashed(text: str) -> str:
    return "".join(_KEPT.findall(text)).lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaks:
    """`canaries` are drawn values (`harden` makes them); `prompt` is the system prompt."""

    canaries: tuple[str, ...] = ()
    prompt: str = ""
    action: Action = "refuse"

    def __post_init__(self) -> None:
        if any(len(_squashed(canary)) < MIN_CANARY for canary in self.canaries):
            raise ValueError(f"a canary has at least {MIN_CANARY} letters and digits, or it is found everywhere")


class CanaryStream:
    """Takes an answer in pieces; gives back what cannot belong to a canary any more."""

    def __init__(self, leaks: Leaks) -> None:
        self._leaks = leaks
        self._forms = frozenset(form for canary in leaks.canaries for form in disguises(canary))
        self._heads = frozenset(form[:n] for form in self._forms for n in range(1, len(form) + 1))
        self._longest = max((len(form) for form in self._forms), default=0)
        self._raw = ""  # not yet given back
        self._at = 0  # raw characters before `_raw`
        self._tail = ""  # letters and digits of `_raw` that may begin a form
        self._places: list[int] = []  # where they stand in `_raw`
        self._out: list[str] = []
        self.findings: list[Finding] = []
        self.refused = False

    def feed(self, text: str) -> str:
        """What of the text so far is safe to show."""
        if not self._forms:
            return text
        start = len(self._raw)
        self._raw += text
        read = 0
        for found in _KEPT.finditer(self._raw, start):
            if self._places and found.start() - self._places[-1] > MAX_GAP:
                self._tail, self._places = "", []
            self._tail += found[0].lower()
            self._places += [found.start()] * (len(self._tail) - len(self._places))
            self._narrow()
            if self._tail in self._forms:
                first, last = self._places[0], found.end()
                self._found(read, first, last)
                read = last
                self._tail, self._places = "", []
        if self._places and len(self._raw) - self._places[-1] > MAX_GAP:
            self._tail, self._places = "", []
        keep = self._places[0] if self._places else len(self._raw)
        self._out.append(self._raw[read:keep])
        self._raw, self._at = self._raw[keep:], self._at + keep
        self._places = [place - keep for place in self._places]
        out, self._out = "".join(self._out), []
        return "" if self.refused else out

    def end(self) -> str:
        """The rest."""
        rest, self._raw, self._tail, self._places = self._raw, "", "", []
        self._at += len(rest)
        return "" if self.refused else rest

    def _narrow(self) -> None:
        """Drop from the front until what is left begins a form."""
        cut = 0
        while cut < len(self._tail) and self._tail[cut:] not in self._heads:
            cut += 1
        if cut:
            self._tail, self._places = self._tail[cut:], self._places[cut:]

    def _found(self, read: int, first: int, last: int) -> None:
        self._out += [self._raw[read:first], REMOVED]
        self.refused |= self._leaks.action == "refuse"
        self.findings.append(
            Finding(
                id="leak/canary",
                span=(self._at + first, self._at + last),
                severity="high",
                confidence=1.0,
                why="the answer repeats the canary of the system prompt",
            )
        )


class PromptStream:
    """Takes an answer in pieces; gives back what cannot belong to a stretch of the prompt any more."""

    def __init__(self, leaks: Leaks) -> None:
        self._leaks = leaks
        words = [word[0].lower() for word in _WORD.finditer(leaks.prompt)]
        # Every run of up to eight words of the prompt; runs shorter than that may still grow.
        self._runs = frozenset(
            tuple(words[i : i + n]) for n in range(1, SHINGLE + 1) for i in range(len(words) - n + 1)
        )
        self._raw = ""
        self._at = 0
        self._read = 0  # characters of `_raw` whose words were looked at
        self._run: list[tuple[str, int, int]] = []  # the last words that stand in the prompt in this order
        self._leak: tuple[int, int] | None = None  # in `_raw`
        self._leak_end = 0  # of the last one that is complete
        self._done = False
        self.findings: list[Finding] = []
        self.refused = False

    def feed(self, text: str) -> str:
        """What of the text so far is safe to show."""
        if len(self._runs) == 0:
            return text
        self._raw += text
        out: list[str] = []
        gone, edge = 0, len(self._raw)
        for found in _WORD.finditer(self._raw, self._read):
            if found.end() == len(self._raw) and len(found[0]) < MAX_WORD and not self._done:
                edge = found.start()  # the word may go on
                break
            self._read = found.end()
            if self._run and found.start() - self._run[-1][2] > MAX_GAP:
                self._run = []
            self._run.append((found[0].lower(), *found.span()))
            while self._run and tuple(word for word, _, _ in self._run) not in self._runs:
                del self._run[0]
            if self._leak and len(self._run) < SHINGLE:
                out.append(self._close(gone))
                gone = self._leak_end
            if len(self._run) == SHINGLE:
                self._leak = (self._leak[0] if self._leak else self._run[0][1], found.end())
                del self._run[0]
                if found.end() - self._leak[0] > MAX_LEAK:
                    out.append(self._close(gone))
                    gone = self._leak_end
        if self._run and len(self._raw) - self._run[-1][2] > MAX_GAP + MAX_WORD:
            self._run = []  # what follows is too far away
        if self._leak:
            keep = self._leak[0]
        elif self._run:
            keep = self._run[0][1]
        else:
            keep = edge
        keep = max(keep, gone)
        out.append(self._raw[gone:keep])
        self._shift(keep)
        return "" if self.refused else "".join(out)

    def end(self) -> str:
        """The rest."""
        self._done = True
        out = [self.feed("")]
        if self._leak:
            out.append(self._close(0))
            self._raw = self._raw[self._leak_end :]
        rest, self._raw = self._raw, ""
        return "" if self.refused else "".join([*out, rest])

    def _close(self, gone: int) -> str:
        """What stands before the leak that is complete now, and what stands in its place."""
        first, last = self._leak or (0, 0)
        self._leak, self._leak_end = None, last
        self._run = [word for word in self._run if word[1] >= last]
        self.refused |= self._leaks.action == "refuse"
        self.findings.append(
            Finding(
                id="leak/system-prompt",
                span=(self._at + first, self._at + last),
                severity="high",
                confidence=0.9,
                why=f"{SHINGLE} words in a row stand in the system prompt",
            )
        )
        return self._raw[gone:first] + REMOVED

    def _shift(self, keep: int) -> None:
        self._raw, self._at, self._read = self._raw[keep:], self._at + keep, max(0, self._read - keep)
        self._run = [(word, start - keep, end - keep) for word, start, end in self._run]
        if self._leak:
            self._leak = (self._leak[0] - keep, self._leak[1] - keep)
