"""References in an answer that some renderer would load or turn into a link, in any syntax.

Nothing is parsed as one language: an answer may be shown as any of them, and two renderers differ. Every place where a
reference may stand is looked at, whatever surrounds it, in the text as it is and with entities and escapes undone.
A text is taken in stretches: words, held together where a reference or an attribute's value is still open. What a
stretch becomes depends on nothing that follows it, so pieces give what the whole gives.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from typing import Literal, TypeAlias

from interlock.detect.finding import Finding
from interlock.detect.markup import ENTITY
from interlock.detect.offsets import Offsets, Rewriting, identity
from interlock.detect.output.address import Addresses, Verdict

Action: TypeAlias = Literal["drop", "mask", "refuse"]

REMOVED = "[link removed]"
MAX_HELD = 4096  # characters that an open reference is waited for
_PASSES = 4  # a stretch that still names something after these goes as a whole
_OPENS = 64  # brackets that are remembered

_STRICT = frozenset(
    "src href srcset imagesrcset xlink:href poster formaction ping codebase longdesc dynsrc "
    "lowsrc attributionsrc".split()
)
_LOOSE = frozenset(  # words that stand before `=` in other languages too: only what is plainly an address counts
    "action background cite data content values from to by archive profile icon value code classid usemap "
    "manifest".split()
)
_WITHIN = frozenset("style srcdoc filter mask".split())  # whose text is looked through as any other
_LISTS = frozenset("srcset imagesrcset ping archive values".split())
_NAMES = "|".join(sorted(_STRICT | _LOOSE | _WITHIN, key=lambda name: (-len(name), name)))
_ATTRIBUTE = re.compile(
    rf"(?i)(?<![\w:-])({_NAMES})\s*+=\s*+(?:\"([^\"]*+)(?:\"|\Z)|'([^']*+)(?:'|\Z)|([^\s>\"'][^\s>]*+))"
)
_CLICKED = frozenset("href xlink:href formaction action cite ping".split())
_ANCHOR = re.compile(r"(?i)<(?:a|area|form|button|input|blockquote|q|ins|del)[\s/][^<>]*\Z")
_DESTINATION = re.compile(
    r"\]\(\s*+(?:<([^<>\n]*+)>?|((?:[^\s()\\]|\\[^\s]|\\|\((?:[^\s()\\]|\\[^\s]){0,200}\))*+))(\s*+\))?"
)
_DEFINITION = re.compile(r"\]:\s*+(?:<([^<>\n]*+)>?|(\S++))")
_AUTOLINK = re.compile(r"<([A-Za-z][A-Za-z0-9+.-]{1,31}:[^\s<>]*+)>")
_URL = re.compile(r"(?i)(?<![A-Za-z0-9+.-])([A-Za-z0-9+.-]*+):[/\\](?:[/\\]*+\[[^\s\]]*+\])?[^\s<>\"'`\[\]]*+")
_FUNCTION = re.compile(r"(?i)(?:\burl\(|\bsrc\(|@import|image-set\()\s*+[\"']?\s*+([^\s\"')<>;]++)")
_RELATIVE = re.compile(r"(?:(?<=[\"'(=,\s])|\A)[/\\]{2,}[^\s<>\"'`()]++")
_HOSTED = re.compile(r"[/\\]{2,}(?:[^/\\\s\[]*[.@:%\u3002\uff0e\uff61]|\[[0-9A-Fa-f:]|\d+(?:[/\\?#]|\Z))")
_WWW = re.compile(r"(?i)(?<![\w@./-])www\.[^\s./<>\"'`\[\]]++\.[^\s<>\"'`\[\]]++")
_BARE = re.compile(r"(?i)(?<![\w@./:\\-])((?:[a-z0-9_-]{1,63}\.){1,8}([a-z]{2,24}))(?::\d{1,5})?[/?#][^\s<>\"'`\[\]]*+")
_TERMINAL = re.compile("(?:\x1b\\]|\x9d)8;[^;\x07\x1b\x9c]*+;([^\x07\x1b\x9c]*+)(?:\x07|\x1b\\\\|\x9c|\\Z)")
_REFRESH = re.compile(r"(?i)\s*[\d.]*\s*[;,]\s*(?:url\s*=\s*)?[\"']?\s*")
_BRACKET = re.compile(r"(!?\[)|\](\()?")
_ADDRESS = re.compile(r"\s*(?:[A-Za-z][A-Za-z0-9+.-]*:|[/\\]{2})")
_TELLING = re.compile(
    r"(?i)\s*(?:(?:https?|ftp|wss?|file|blob|data|javascript|vbscript|mailto|tel|sms):|[a-z][a-z0-9+.-]*:[/\\]{2}|[/\\]{2})"
)
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])|\\u([0-9A-Fa-f]{4})")
_STYLE_ESCAPE = re.compile(r"\\([0-9A-Fa-f]{1,6})\s?")
_WEB = frozenset("http https ftp ws wss".split())
_TAIL = ".,;:!?)]}*_~|"  # ends a sentence, not a reference
_BLANKS = "".join(map(chr, range(33)))
_TLDS = frozenset(
    "com net org info biz io dev app xyz online site top club shop store tech cloud page link live click icu fun space "
    "website pro example test ai co me tv gg ly to cc ws la so us uk de fr nl eu ru cn jp in it es pl se no fi dk be "
    "ch at cz br au ca kr tw hk sg nz za ir ua tr id vn th my ph mx ar cl pe ro hu gr pt ie is ee lt lv bg hr sk si su "
    "tk ml ga cf gq pw lol cam work monster buzz host press".split()
)
# Words without any sign of a reference, with the white space behind them.
_PLAIN = re.compile(r"(?:\s*+[^\s:/\\&%<>\[\]()@=.\x1b\x9d#?]++[.,]?(?=\s))++\s++")
_WORD = re.compile(r"\s*+\S*+\s")
# What a stretch must not end with: something that may go on behind white space.
_OPEN = re.compile(
    rf"(?i)(?:(?<![\w:-])(?:{_NAMES})\s*+(?:=\s*+(?:\"[^\"]*+|'[^']*+)?)?"
    r"|\]\(\s*+(?:<[^<>\n]*+)?|\]:\s*+(?:<[^<>\n]*+)?|<(?:a|area|form|button)\s[^<>]*+"
    r"|(?:\burl\(|\bsrc\(|@import|image-set\()\s*+(?:\"[^\"]*+|'[^']*+)?"
    "|(?:\x1b\\]|\x9d)8;[^\x07\x1b\x9c]*+"
    r"|\\[0-9a-f]{1,6}\s)\Z"
)
_WHY: dict[Verdict, str] = {
    "unlisted": "the reference leads to a host that is not listed",
    "scheme": "the reference has a scheme that is not listed",
    "data": "the reference to a listed host is long or random enough to carry data",
    "known": "the reference holds a value that must not leave",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hit:
    start: int
    end: int
    new: str  # what stands there then, when the URL is dropped
    verdict: Verdict
    loaded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """The places an answer may name, and what happens to others: `drop` keeps the text, `mask` says so, `refuse`."""

    addresses: Addresses = field(default_factory=Addresses)
    action: Action = "drop"
    loaded: Action = "drop"  # of what a renderer fetches without a click


class LinkStream:
    """Takes an answer in pieces; gives back what is safe to show."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._held = ""  # complete words whose last one leaves something open
        self._rest = ""  # not yet followed by white space
        self._at = 0  # raw characters before `_held`
        self._pictures: list[bool] = []
        self.findings: list[Finding] = []
        self.refused = False

    def feed(self, text: str) -> str:
        """What of the text so far, after what was given back already, is safe to show."""
        text, at, out = self._rest + text, 0, []
        while at < len(text):
            if not self._held and (plain := _PLAIN.match(text, at)) and not _OPEN.search(plain[0]):
                out.append(plain[0])
                self._at += len(plain[0])
                at = plain.end()
            elif word := _WORD.match(text, at, at + MAX_HELD):
                out.append(self._take(word[0]))
                at = word.end()
            elif len(text) - at >= MAX_HELD:  # a word without end
                out.append(self._take(text[at : at + MAX_HELD], last=True))
                at += MAX_HELD
            else:
                break
        self._rest = text[at:]
        return "" if self.refused else "".join(out)

    def end(self) -> str:
        """The rest."""
        rest, self._rest = self._rest, ""
        out = self._take(rest, last=True)
        return "" if self.refused else out

    def _take(self, word: str, *, last: bool = False) -> str:
        self._held += word
        if not last and len(self._held) < MAX_HELD and _OPEN.search(self._held):
            return ""
        held, self._held = self._held, ""
        out = self._clean(held)
        self._at += len(held)
        return out

    def _clean(self, text: str) -> str:
        raw: Offsets | None = None
        for turn in range(_PASSES):
            open_brackets = self._pictures if not turn else list(self._pictures)
            hits = _apart(sorted(self._hits(text, pictures=open_brackets), key=lambda hit: (hit.start, -hit.end)))
            if not hits:
                return text
            made = Rewriting(text)
            at = 0
            for hit in hits:
                span = (hit.start, hit.end) if raw is None else raw.span(hit.start, hit.end)
                made.keep(at, hit.start)
                made.put(self._act(hit, (span[0] + self._at, span[1] + self._at)), hit.start, hit.end)
                at = hit.end
            made.keep(at, len(text))
            text, raw = made.done(raw)
        return f" {REMOVED} " if self._hits(text, pictures=[]) else text

    def _act(self, hit: _Hit, span: tuple[int, int]) -> str:
        action = self._links.loaded if hit.loaded else self._links.action
        name = "known-value" if hit.verdict == "known" else "image" if hit.loaded else "link"
        self.findings.append(
            Finding(
                id=f"exfiltration/{name}",
                span=span,
                severity="high" if hit.loaded or hit.verdict == "known" else "medium",
                confidence=0.9,
                why=_WHY[hit.verdict],
            )
        )
        self.refused |= action == "refuse"
        in_text = hit.new in {"", REMOVED}
        return REMOVED if action != "drop" and in_text else hit.new

    def _hits(self, text: str, *, pictures: list[bool]) -> list[_Hit]:
        hits = list(self._found(text, identity(len(text)), pictures))
        for view, offsets in _views(text):
            hits += self._found(view, offsets, [])
        return hits

    def _judge(
        self, offsets: Offsets, span: tuple[int, int], new: str, reference: str, *, loaded: bool
    ) -> Iterator[_Hit]:
        """One hit, if `reference` is not to be named, as it stands or with entities and escapes undone."""
        judge = self._links.addresses.judge
        verdicts = {judge(form, loaded=loaded) for form in (reference, unescape(_unescaped(reference)))}
        if bad := verdicts - {"listed", "relative", "plain"}:
            start, end = offsets.span(*span)
            yield _Hit(start=start, end=end, new=new, verdict=min(bad), loaded=loaded)

    def _found(self, text: str, offsets: Offsets, pictures: list[bool]) -> Iterator[_Hit]:
        for osc in _TERMINAL.finditer(text):
            if osc[1]:
                yield from self._judge(offsets, osc.span(), "", osc[1], loaded=False)
        yield from self._markdown(text, offsets, pictures)
        yield from self._attributes(text, offsets)
        for found in _FUNCTION.finditer(text):
            if _ADDRESS.match(found[1]):
                yield from self._judge(offsets, found.span(1), "", found[1], loaded=True)
        for found in _RELATIVE.finditer(text):
            if _HOSTED.match(found[0]):
                yield from self._judge(offsets, found.span(), "", found[0].rstrip(_TAIL), loaded=True)
        for found in _WWW.finditer(text):
            yield from self._judge(offsets, found.span(), REMOVED, "https://" + found[0].rstrip(_TAIL), loaded=False)
        for found in _BARE.finditer(text):
            if found[2].lower() in _TLDS and len(found[0]) > len(found[1]) + 1:
                url = "https://" + found[0].rstrip(_TAIL)
                yield from self._judge(offsets, found.span(), REMOVED, url, loaded=False)
        yield from self._addresses(text, offsets)

    def _addresses(self, text: str, offsets: Offsets) -> Iterator[_Hit]:
        at = 0
        while (found := _URL.search(text, at)) is not None:
            at = found.end(1) + 2  # a listed address may hold another one
            scheme = found[1].lower()
            if scheme in _WEB or scheme.endswith(("http", "https")):  # some readers find the end of a longer word
                url = found[0].rstrip(_TAIL)
                span = (found.start(), found.start() + len(url))
                yield from self._judge(offsets, span, REMOVED, url, loaded=False)

    def _markdown(self, text: str, offsets: Offsets, pictures: list[bool]) -> Iterator[_Hit]:
        loading = _loading(text, pictures)
        for found in _DESTINATION.finditer(text):
            group = 1 if found[1] is not None else 2
            if not (reference := found[group]).strip():
                continue
            whole = found[3] is not None
            span = (found.start() + 1, found.end()) if whole else _angled(found, group)
            loaded = loading.get(found.start(), True)
            yield from self._judge(offsets, span, "" if whole else "<>", reference, loaded=loaded)
        for found in _DEFINITION.finditer(text):
            group = 1 if found[1] is not None else 2
            reference = found[group]
            if _TELLING.match(reference) or _TELLING.match(unescape(_unescaped(reference))):
                yield from self._judge(offsets, _angled(found, group), "<>", reference, loaded=True)
        for found in _AUTOLINK.finditer(text):
            yield from self._judge(offsets, found.span(), REMOVED, found[1], loaded=False)

    def _attributes(self, text: str, offsets: Offsets) -> Iterator[_Hit]:
        at = 0
        while found := _ATTRIBUTE.search(text, at):
            group = next(g for g in (2, 3, 4) if found[g] is not None)
            at = found.start(group)  # an attribute may stand in what only looked like a value
            name, value = found[1].lower(), unescape(found[group][:MAX_HELD])
            if name in _WITHIN:
                continue
            if name in _LISTS:
                references = [part for part in re.split(r"[\s,;]+", value) if part]
            elif name == "content":
                references = [value[opening.end() :]] if (opening := _REFRESH.match(value)) else []
            else:
                references = [value]
            loaded = name not in _CLICKED or not _ANCHOR.search(text, max(0, found.start() - 400), found.start())
            new = "''" if group == 4 else ""  # noqa: PLR2004 - the one without quotes
            for reference in references:
                plain = re.sub(r"[\t\n\r]", "", reference).strip(_BLANKS)
                if name in _STRICT or _TELLING.match(plain):
                    yield from self._judge(offsets, found.span(group), new, reference, loaded=loaded)


def _angled(found: re.Match[str], group: int) -> tuple[int, int]:
    """The range of a destination, with its angle brackets."""
    start, end = found.span(group)
    if group == 1:
        return start - 1, end + (found.string[end : end + 1] == ">")
    return start, end


def _loading(text: str, pictures: list[bool]) -> dict[int, bool]:
    """By the place of a `](`: whether it may close a picture. `pictures`: the open brackets, kept up to date."""
    loading: dict[int, bool] = {}
    for found in _BRACKET.finditer(text):
        if found[1]:
            pictures.append(found[1] == "![")
            if len(pictures) > _OPENS:
                del pictures[0]
        else:
            loading[found.start()] = pictures.pop() if pictures else True
    return loading


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda m: m[1] or chr(int(m[2], 16)), text)


def _views(text: str) -> Iterator[tuple[str, Offsets]]:
    """`text` with entities and escapes undone, as often as a renderer might, and with a style sheet's undone."""
    offsets: Offsets | None = None
    new = text
    for _ in range(2):
        if "&" not in new and "\\" not in new:
            break
        made = Rewriting(new)
        at = 0
        for found in _CODED.finditer(new):
            made.keep(at, found.start())
            made.put(unescape(_unescaped(found[0])), *found.span())
            at = found.end()
        if not at:
            break
        made.keep(at, len(new))
        new, offsets = made.done(offsets)
        yield new, offsets
    if "\\" in text and _STYLE_ESCAPE.search(text):
        made = Rewriting(text)
        at = 0
        for found in _STYLE_ESCAPE.finditer(text):
            made.keep(at, found.start())
            made.put(chr(min(int(found[1], 16), 0x10FFFF)), *found.span())
            at = found.end()
        made.keep(at, len(text))
        yield made.done()


_CODED = re.compile(f"{ENTITY.pattern}|{_ESCAPED.pattern}")


def _apart(hits: list[_Hit]) -> list[_Hit]:
    """Of hits that overlap the first, and among those the longest."""
    kept: list[_Hit] = []
    for hit in hits:
        if not kept or hit.start >= kept[-1].end:
            kept.append(hit)
    return kept
