"""One pass that undoes what hides text, with a map back to every raw character.

`text` is what a reader makes of the raw text, letter by letter: no unseen characters, plain letters for styled ones and
for look-alikes inside a word. What cannot be undone without guessing becomes a `View` beside it: payloads of unseen
characters, a page as a browser shows it, what the page hides, comments, decoded stretches, letters put together,
digits read as letters, rot13, backwards. Nothing here judges: a view is more text for a detector, a finding says that
something was hidden. What a language, an emoji or a mail program needs is no finding, or one of severity `info`.

Linear in time, output at most six times the input, at most 48 views and 256 findings.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import pairwise

from interlock.detect.encoded import Budget, decoded
from interlock.detect.finding import Finding, Severity
from interlock.detect.invisible import Undone, undo
from interlock.detect.lookalikes import lookalikes
from interlock.detect.markup import page
from interlock.detect.offsets import Offsets, Rewriting, rewrite
from interlock.detect.vocabulary import in_reverse, in_rot13, plain, rotated, split, triggers

MAX_VIEWS = 48
MAX_FINDINGS = 256
_PER_KIND = 32  # findings of one kind
_DEPTH = 2  # layers of encoding
_TELLING = 2  # different trigger words that make an encoded text worth a look

_TAG = re.compile(r"<[A-Za-z!/?]")
_WORD = re.compile(r"[^\W\d_]+")
_WIDE = re.compile(r"[^\W\d_]*[^\x00-\x7f\W\d_][^\W\d_]*")
_SPACED = re.compile(r"(?<![^\W_])[^\W_](?:[ .\-_*·|,/\n\t]{1,3}[^\W_](?![^\W_])){5,}+")
_LEET = re.compile(
    r"(?<![\w@$!|])(?=[\w@$!|+]{0,30}[0134578@$!|])(?=[\w@$!|+]{0,30}[A-Za-z])[\w@$!|+]{3,32}(?![\w@$|])"
)
_DIGITS = str.maketrans("0134578@$!|+", "oieastbasiit")
_REFERENCE = re.compile(
    r"^[ ]{0,3}\[([^\]\n]{0,200})\]:[ \t]{0,4}(?:<[^>\n]{0,500}>|\S{0,500})"
    r"[ \t]{1,8}[\"'(]([^\n]{1,2000})[\"')][ \t]{0,8}$",
    re.MULTILINE,
)
_TITLE = re.compile(r"\]\([^()\s]{0,500}[ \t]{1,8}[\"'(]([^\n\"]{8,1000})[\"')]\)")
_IMAGE = re.compile(r"!\[([^\]\[\n]{24,1000})\]")
_PROSE = 4  # words that make a comment a text
_STROKES = str.maketrans("øØđĐłŁħĦŧŦıßæœðƀɓƙƭƴȼɨʉ", "oOdDlLhHtTisaodbbktyciu")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The text, or a part of it, read in another way: `kind` is `tags`, `base64`, `html/comment`, `leet` and so on."""

    text: str
    kind: str
    offsets: Offsets

    @property
    def hidden(self) -> bool:
        """A reader of the raw text does not see this."""
        return (
            self.kind.partition("/")[0] in {"tags", "selectors", "zero-width", "html", "markdown"}
            and self.kind != "html/text"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalised:
    """What a text says. `unseen`: raw ranges that a reader does not see, in order, apart."""

    raw: str
    text: str
    offsets: Offsets
    views: tuple[View, ...]
    findings: tuple[Finding, ...]
    unseen: tuple[tuple[int, int], ...]


def normalise(raw: str) -> Normalised:
    """Reads `raw` as a reader, a browser and an obliging model would."""
    return _Reading(raw).run()


class _Reading:
    def __init__(self, raw: str) -> None:
        self._raw = raw
        self._views: list[View] = []
        self._findings: list[Finding] = []
        self._counts: dict[str, int] = {}
        self._unseen: list[tuple[int, int]] = []
        self._budget = Budget(len(raw))

    def run(self) -> Normalised:
        undone = undo(self._raw)
        self._characters(undone)
        text, offsets = self._words(undone.text, undone.offsets)
        self._markup(text, offsets)
        self._markdown(text, offsets)
        self._decode(text, offsets)
        self._turned(text, offsets)
        return Normalised(
            raw=self._raw,
            text=text,
            offsets=offsets,
            views=tuple(self._views),
            findings=tuple(sorted(self._findings, key=lambda f: f.span)),
            unseen=tuple(_joined(self._unseen)),
        )

    def _view(self, kind: str, text: str, offsets: Offsets) -> bool:
        if not text.strip() or len(self._views) >= MAX_VIEWS:
            return False
        self._views.append(View(text=text, kind=kind, offsets=offsets))
        return True

    def _find(self, name: str, span: tuple[int, int], severity: Severity, confidence: float, why: str) -> None:
        count = self._counts.get(name, 0)
        if count < _PER_KIND and len(self._findings) < MAX_FINDINGS:
            self._counts[name] = count + 1
            self._findings.append(Finding(id=name, span=span, severity=severity, confidence=confidence, why=why))

    # --- characters

    def _characters(self, undone: Undone) -> None:
        for kind, ranges in undone.ranges.items():
            if kind in _UNSEEN:
                self._unseen += ranges
            size = sum(end - start for start, end in ranges)
            severity, confidence, why = _weigh(kind, size, len(ranges), self._raw)
            if why:
                for span in ranges[:_PER_KIND]:
                    self._find(f"hidden-text/{kind}", span, severity, confidence, why)
        for kind, text, start, end in undone.payloads:
            if len(text.strip()) > 1 and sum(c.isprintable() for c in text) >= 0.8 * len(text):
                made = Rewriting(self._raw)
                exact = len(text) == end - start  # one tag is one letter
                made.put(text, start, end, step=int(exact))
                if self._view(kind, *made.done()) and kind != "tags":
                    self._find(f"hidden-text/{kind}", (start, end), "high", 0.95, "unseen characters spell a text")
        for start, end in undone.mirrored:
            made = Rewriting(self._raw)
            made.keep(0, start)
            made.put(self._raw[start:end][::-1], start, end, step=-1)
            made.keep(end, min(len(self._raw), end + 200))
            self._view("bidi", *made.done())

    # --- look-alikes, word by word

    def _words(self, text: str, offsets: Offsets) -> tuple[str, Offsets]:
        if text.isascii():
            return text, offsets
        table = lookalikes()
        edits: list[tuple[int, int, str]] = []
        mixed: list[tuple[int, int]] = []
        whole: list[tuple[int, int, str]] = []
        others = 0
        for found in _WIDE.finditer(text):
            word = found[0]
            plain_letters = sum(c.isascii() for c in word)
            if plain_letters == len(word) or not all(c.isascii() or c in table for c in word):
                others += plain_letters < len(word) and ord(word[0]) > 0x24F  # noqa: PLR2004 - beyond Latin
                continue
            new = "".join(table.get(c, c) for c in word)
            if plain_letters:
                edits.append((*found.span(), new))
                if len(word) > 3:  # noqa: PLR2004 - shorter ones are units and formulas
                    mixed.append(found.span())
            else:
                whole.append((*found.span(), new))
        # A word of look-alikes only is one if nothing else in the text is in such a script.
        if whole and not others and sum(len(new) for *_, new in whole) > 3:  # noqa: PLR2004
            edits = sorted(edits + whole)
            mixed += [(start, end) for start, end, new in whole if len(new) > 3 and triggers(new)]  # noqa: PLR2004
        if not edits:
            return text, offsets
        for start, end in mixed:
            severity: Severity = "info" if others > len(mixed) else "medium" if len(mixed) > 1 else "low"
            self._find(
                "hidden-text/homoglyph", offsets.span(start, end), severity, 0.8, "a word mixes scripts that look alike"
            )
        made = Rewriting(text)
        at = 0
        for start, end, new in edits:
            made.keep(at, start)
            made.put(new, start, end, step=1)
            at = end
        made.keep(at, len(text))
        return made.done(offsets)

    # --- pages

    def _markup(self, text: str, offsets: Offsets) -> None:
        if _TAG.search(text) is None:
            return
        seen = page(text, offsets)
        if seen.tags:
            self._view("html/text", seen.text, seen.offsets)
        hidden = Rewriting(text)
        for start, end in seen.hidden:
            hidden.put("\n", start, start)
            hidden.keep(start, end)
            raw = offsets.span(start, end)
            self._unseen.append(raw)
            if _WORD.search(text, start, end):
                telling = triggers(text[start:end])
                self._find(
                    "hidden-text/css",
                    raw,
                    "medium" if telling >= _TELLING else "low" if telling else "info",
                    0.9,
                    "the page hides this text",
                )
        self._view("html/hidden", *hidden.done(offsets))
        comments = Rewriting(text)
        for start, end in seen.comments:
            comments.keep(start, end)
            raw = offsets.span(start, end)
            self._unseen.append(raw)
            telling = triggers(text[start:end])
            if sum(1 for _ in _WORD.finditer(text, start, end)) >= _PROSE or telling:
                self._find(
                    "hidden-text/comment",
                    raw,
                    "medium" if telling >= _TELLING else "low" if telling else "info",
                    0.9,
                    "a comment holds a text",
                )
        self._view("html/comment", *comments.done(offsets))
        notes = Rewriting(text)
        for note in seen.notes:
            notes.put("\n", note.start, note.start)
            notes.put(note.value, note.start, note.end, step=int(len(note.value) == note.end - note.start))
        self._view("html/attribute", *notes.done(offsets))

    def _markdown(self, text: str, offsets: Offsets) -> None:
        if "](" not in text and "]:" not in text and "![" not in text:
            return
        made = Rewriting(text)
        for pattern in (_REFERENCE, _TITLE, _IMAGE):
            for found in pattern.finditer(text):
                start, end = found.span(pattern.groups)
                made.put("\n", start, start)
                made.keep(start, end)
                raw = offsets.span(start, end)
                if pattern is _REFERENCE and (found[1] in {"//", "#", "comment", ""} or triggers(found[2])):
                    self._unseen.append(offsets.span(*found.span()))
                    self._find(
                        "hidden-text/markdown",
                        raw,
                        "medium" if triggers(found[2]) >= _TELLING else "low",
                        0.8,
                        "a link definition holds a text",
                    )
                elif triggers(text[start:end]) >= _TELLING:
                    self._find(
                        "hidden-text/markdown",
                        raw,
                        "low",
                        0.6,
                        "a title or an image holds a text",
                    )
        self._view("markdown", *made.done(offsets))

    # --- encodings

    def _decode(self, text: str, offsets: Offsets) -> None:
        layer: list[tuple[str, Offsets]] = [(text, offsets)]
        layer += [
            (view.text, view.offsets)
            for view in self._views
            if view.kind in {"tags", "selectors", "html/hidden", "html/comment"}
        ]
        for _ in range(_DEPTH):
            found = [new for part in layer for new in decoded(*part, self._budget)]
            layer = []
            for kind, new, under in found:
                inner = undo(new)
                clear = inner.text
                mapped = Offsets(inner.offsets.size, inner.offsets.pieces, under)
                if kind == "entities" and (_TAG.search(clear)):
                    clear = re.sub(r"<[^<>]{0,400}>", lambda m: " " * len(m[0]), clear)
                self._view(kind, clear, mapped)
                layer.append((clear, mapped))
                telling = triggers(clear)
                if kind in {"rot13", "escapes"} and not telling:
                    continue
                self._find(
                    f"encoded/{kind}",
                    under.span(0, len(new)),
                    "medium" if telling >= _TELLING else "info",
                    0.9,
                    "decodes to a text",
                )

    # --- letters put together, turned round

    def _turned(self, text: str, offsets: Offsets) -> None:
        self._spaced(text, offsets)
        lower = text.lower()
        if in_rot13(lower):
            made = Rewriting(text)
            made.put(rotated(text), 0, len(text), step=1)
            self._say("rot13", *made.done(offsets))
        if in_reverse(lower):
            made = Rewriting(text)
            made.put(text[::-1], 0, len(text), step=-1)
            self._say("reversed", *made.done(offsets))
        self._leet(text, offsets)
        if not text.isascii():
            self._unaccented(text, lower, offsets)

    def _say(self, kind: str, text: str, offsets: Offsets) -> None:
        self._view(kind, text, offsets)
        self._find(f"encoded/{kind}", offsets.span(0, len(text)), "medium", 0.8, "letters were turned round")

    def _spaced(self, text: str, offsets: Offsets) -> None:
        made = Rewriting(text)
        for found in _SPACED.finditer(text):
            places = [at for at in range(found.start(), found.end()) if text[at].isalnum()]
            gaps = {b - a for a, b in pairwise(places)}
            wide = max(gaps) if len(gaps) > 1 else 0  # wider between words than between letters
            runs = [[places[0]]]
            for before, place in pairwise(places):
                if place - before == wide:
                    runs.append([])
                runs[-1].append(place)
            letters = ["".join(text[at] for at in run).lower() for run in runs]
            words = letters if wide else split(letters[0])
            made.put("\n", found.start(), found.start())
            at = 0
            for word in words:
                for place in places[at : at + len(word)]:
                    made.put(text[place], place, place + 1, step=1)
                at += len(word)
                made.put(" ", places[at - 1] + 1, places[at - 1] + 1)
            if triggers(" ".join(words)):
                self._find(
                    "encoded/spacing", offsets.span(*found.span()), "medium", 0.8, "letters stand apart and make words"
                )
        self._view("spacing", *made.done(offsets))

    def _leet(self, text: str, offsets: Offsets) -> None:
        made = Rewriting(text)
        at = gained = 0
        for found in _LEET.finditer(text):
            word = found[0]
            new = word.translate(_DIGITS)
            other = word.replace("1", "l").replace("!", "l").translate(_DIGITS)
            if plain(other.lower()) and not plain(new.lower()):
                new = other
            gained += plain(new.lower()) and not plain(word.lower())
            made.keep(at, found.start())
            made.put(new, *found.span(), step=1)
            at = found.end()
        if not gained:
            return
        made.keep(at, len(text))
        self._say("leet", *made.done(offsets))

    def _unaccented(self, text: str, lower: str, offsets: Offsets) -> None:
        edits = []
        for found in _WIDE.finditer(text):
            word = found[0]
            new = "".join(unicodedata.normalize("NFD", c)[0] for c in word).translate(_STROKES)
            if new != word and len(new) == len(word):
                edits.append((*found.span(), new))
        if not any(plain(new.lower()) for *_, new in edits):
            return
        new_text, under = rewrite(text, edits, offsets)
        gained = triggers(new_text) - triggers(lower)
        if gained >= _TELLING:
            self._say("accents", new_text, under)
        elif gained > 0:  # French runs and executes things, too
            self._view("accents", new_text, under)


_UNSEEN = frozenset("tags selectors zero-width bidi ansi".split())


def _weigh(kind: str, size: int, count: int, raw: str) -> tuple[Severity, float, str]:
    """How much it says that this kind was undone `count` times; no words: nothing."""
    match kind:
        case "tags":
            return "high", 0.95, "tag characters carry a text that nobody sees"
        case "selectors":
            return ("medium" if size > 3 else "info"), 0.7, "variation selectors stand where they vary nothing"  # noqa: PLR2004
        case "zero-width":
            return ("medium" if count > 2 else "info"), 0.7, "unseen characters stand inside words"  # noqa: PLR2004
        case "bidi":
            return "medium", 0.8, "an override turns the order of characters round"
        case "ansi":
            return "medium", 0.8, "a terminal would conceal this"
        case "marks":
            return ("low" if size > 5 else "info"), 0.6, "marks stand on letters that have none"  # noqa: PLR2004
        case "styled" if size >= 8:  # noqa: PLR2004
            east = re.search("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]", raw) is not None
            return ("info" if east else "low"), 0.5, "letters of a styled alphabet make words"
        case _:
            return "info", 0.0, ""


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        elif start < end:
            joined.append((start, end))
    return joined
