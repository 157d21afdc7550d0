"""Finds every known value in every usual encoding: `found` for arguments, `scrub` for all that is read or kept.

Exact matching, no guessing: what it finds is a secret. A needle that occurs holds one of its first `q` grams at a
multiple of `q` in the view (at most half the shortest needle): it is enough to cut the view there, as `re` does, and
to compare where a gram is known: one look-up per `q` characters, linear in the text, whatever the number of needles.
Not found: a value that was compressed, encrypted, cut into pieces or paraphrased (docs/secrets.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote

from interlock.kernel.call import Json
from interlock.secrets.forms import LOOSE, MIN_CHARACTERS, TIGHT, Form, View, forms, views

MAX_GRAM = 16  # characters; longer ones cost memory and pass over nothing more
MAX_ROUNDS = 3  # a value could come about where another was taken out
HEAD = 8  # characters of a needle by which its beginning is known
ESCAPED = 40  # characters; more than an escape has
OFTEN = 1024  # characters that may wait; more are looked at again only when a quarter has been added
PART = 24  # characters that are added to a text with escapes until it is looked at again

Span = tuple[int, int, str]

_DSN = re.compile(r"://[^/\s:@]{0,200}:([^/\s]+)@|\bpassword\s*=\s*'?([^'\s;]+)", re.IGNORECASE)
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]*-----(.*?)(?:-----END|\Z)", re.DOTALL)
_MARK = re.compile(r"[%\\&=]")
_PEM_LINE = 32  # characters; the last line of a key may be a few, which are no secret by themselves
_BASE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_")


def placeholder(name: str) -> str:
    """What stands in the place of a value."""
    return f"[secret:{name}]"


class _Heads:
    """How needles begin."""

    __slots__ = ("__heads", "__long", "__longest")

    def __init__(self, needles: Iterable[Form]) -> None:
        texts = {form.text for form in needles}
        self.__longest = max(map(len, texts), default=0)
        self.__heads = frozenset(text[:n] for text in texts for n in range(1, min(HEAD, len(text) - 1) + 1))
        self.__long: dict[str, list[str]] = {}
        for text in texts:
            self.__long.setdefault(text[:HEAD], []).append(text)

    def begun(self, text: str) -> int:
        """Where the first needle begins that `text` does not hold whole; its length if none does."""
        size, heads = len(text), self.__heads
        for place in range(size - self.__longest if size > self.__longest else 0, size):
            if text[place : place + HEAD] in heads and self.__begins(text, place, size - place):
                return place
        return size

    def __begins(self, text: str, place: int, left: int) -> bool:
        known = self.__long.get(text[place : place + HEAD], ())
        return left < HEAD or any(len(needle) > left and needle.startswith(text[place:]) for needle in known)


class _Index:
    """Needles of one kind of view."""

    __slots__ = ("__cut", "__grams", "__shortest", "heads", "q")

    def __init__(self, needles: Mapping[Form, str]) -> None:
        self.__shortest = min((len(form.text) for form in needles), default=1)
        self.q = min(MAX_GRAM, (self.__shortest + 1) // 2)
        self.__cut = re.compile(f"(?s:.{{{self.q}}})")
        self.__grams: dict[str, list[tuple[int, Form, str]]] = {}
        for form, name in needles.items():
            for offset in range(self.q):
                gram = form.text[offset : offset + self.q]
                self.__grams.setdefault(gram, []).append((offset, form, name))
        self.heads = _Heads(needles)

    def possible(self, text: str) -> bool:
        """Whether `text` may hold a needle; what has none of their grams holds none."""
        return len(text) >= self.__shortest and not self.__grams.keys().isdisjoint(self.__cut.findall(text))

    def find(self, text: str) -> Iterator[tuple[int, Form, str]]:
        """Where each needle starts in `text`, overlapping ones included."""
        if not self.possible(text):
            return
        grams = self.__cut.findall(text)
        for place, gram in enumerate(grams):
            for offset, form, name in self.__grams.get(gram, ()):
                start = place * self.q - offset
                if start >= 0 and text.startswith(form.text, start):
                    yield start, form, name


class Matcher:
    """Looks for the values of `secrets` (name → value). It holds them, prints none of them, and never raises."""

    __slots__ = ("__heads", "__loose", "__tight", "warnings")

    def __init__(self, secrets: Mapping[str, str]) -> None:
        tight: dict[Form, str] = {}
        loose: dict[Form, str] = {}
        warnings = []
        marks = [placeholder(name).translate(LOOSE) for name in secrets]
        for name, value in secrets.items():
            if len(value.translate(TIGHT)) < MIN_CHARACTERS:
                warnings.append(
                    f"`secret://{name}` has fewer than {MIN_CHARACTERS} characters: nothing looks for it in arguments "
                    "and results; use a longer value"
                )
                continue
            loosely = value.translate(LOOSE)
            if loosely and any(loosely in mark for mark in marks):  # what is put in its place would give it away
                warnings.append(f"the value of `secret://{name}` is a piece of a name: nothing looks for it; change it")
                continue
            for form in (form for text in (value, *_parts(value)) for form in forms(text)):
                (loose if form.loose else tight).setdefault(form, name)
        self.__tight, self.__loose = _Index(tight), _Index(loose)
        self.__heads = _Heads([*tight, *loose])
        self.warnings = tuple(warnings)

    def __repr__(self) -> str:
        return "Matcher(…)"

    def found(self, value: Json) -> tuple[str, ...]:
        """Names of the secrets whose values stand in `value`: in texts, keys or numbers, or spread over containers."""
        names = self.__names("\x1f".join(_leaves(value)))  # the views drop the separator
        return tuple(sorted(names | self.__names("\x1f".join(_keys(value)))))

    def scrub(self, value: Json) -> Json:
        """`value` with `[secret:NAME]` in the place of every known value; the very `value` if there is none."""
        return self.__scrub(value) if self.found(value) else value

    def scrub_text(self, text: str) -> str:
        """The same for a text, such as a log line."""
        for _ in range(MAX_ROUNDS):
            spans = _merged(self.__spans(text))
            if not spans:
                return text
            pieces, at = [], 0
            for start, end, name in spans:
                pieces += [text[at:start], placeholder(name)]
                at = end
            text = "".join((*pieces, text[at:]))
        left = self.__names(text)
        return " ".join(map(placeholder, sorted(left))) if left else text

    def spans(self, text: str) -> list[tuple[int, int, str]]:
        """Where known values stand in `text`, in whatever spelling: [start, end) and the secret's name; disjoint."""
        return _merged(self.__spans(text))

    def stream(self) -> SecretStream:
        """For a text that comes in pieces; how it was cut changes nothing."""
        return SecretStream(self)

    def calm(self, text: str) -> int:
        """What `settled` says of `text` if it holds no escape and no value, so that it may leave as it is; or -1.

        Folding goes character by character, so what no value stands in has none in any part of it either.
        """
        if not text or _MARK.search(text):
            return -1
        tight, loose = text.translate(TIGHT), text.translate(LOOSE)
        if self.__tight.possible(tight) or self.__loose.possible(loose):
            return -1
        edge = len(text)
        if tight == loose and text.isascii():  # one look is enough
            looks: tuple[tuple[str, _Heads, Mapping[int, str | None]], ...] = ((tight, self.__heads, TIGHT),)
        else:
            looks = ((tight, self.__tight.heads, TIGHT), (loose, self.__loose.heads, LOOSE))
        for folded, heads, table in looks:
            begun = heads.begun(folded)
            if begun < len(folded):
                edge = min(edge, _before(text, table, len(folded) - begun))
        return edge - (edge > 0 and text[edge - 1] in _BASE)  # see `settled`

    def settled(self, text: str) -> int:
        """How much of `text`, which goes on, can be judged: no value begins before that and ends after it."""
        if not text:
            return 0
        edge = len(text)
        escaped = [view for view in views(text) if view.before is not None]
        for view in (View(text), *escaped):
            # What an escape near the end will mean is not known yet: a value may begin there, or go on with it.
            mark = _MARK.search(view.text, max(0, len(view.text) - ESCAPED))
            size = len(view.text) if mark is None else mark.start()
            if mark is not None:
                edge = min(edge, view.spans()[0][size])
            for table, index in ((TIGHT, self.__tight), (LOOSE, self.__loose)):
                folded = view.text[:size].translate(table)
                begun = index.heads.begun(folded)
                if begun < len(folded):
                    edge = min(edge, _place(view, table, size, len(folded) - begun))
        spans = self.spans(text)
        tokens = [token for view in escaped for token in _tokens(view)]
        while True:
            before = edge
            if edge and text[edge - 1] in _BASE:  # of base64 it would hold some bits of what follows
                edge -= 1
            inside = [start for start, end, _ in spans if start < edge < end or (end == len(text) and start < edge)]
            inside += [start for start, end in tokens if start < edge < end]
            edge = min([edge, *inside])
            if not inside or edge == before:
                return edge

    def __scrub(self, value: Json) -> Json:
        """`value` without secrets. What is spread over a container takes the smallest one that holds it whole."""
        cleaned: Json
        match value:
            case str():
                return self.scrub_text(value)
            case bool() | None:
                return value
            case int() | float():
                names = self.found(value)
                return placeholder(names[0]) if names else value
            case list():
                cleaned = [self.__scrub(item) for item in value]
            case dict():
                cleaned = {}
                for key, item in value.items():
                    new = self.scrub_text(key)
                    while new in cleaned:
                        new += "'"
                    cleaned[new] = self.__scrub(item)
        left = self.found(cleaned)
        if not left:
            return cleaned
        marks = " ".join(map(placeholder, left))
        return [marks] if isinstance(value, list) else {"redacted": marks}

    def __names(self, text: str) -> set[str]:
        return {name for _, _, name in self.__hits(text)}

    def __hits(self, text: str) -> Iterator[tuple[View, tuple[int, Form], str]]:
        if not text:
            return
        for view in views(text):
            for table, index in ((TIGHT, self.__tight), (LOOSE, self.__loose)):
                folded = view.folded(table)
                for start, form, name in index.find(folded.text):
                    yield folded, (start, form), name

    def __spans(self, text: str) -> Iterator[Span]:
        last: View | None = None
        starts: list[int] = []
        ends: list[int] = []
        for view, (at, form), name in self.__hits(text):
            if view is not last:
                last, (starts, ends) = view, view.spans()
            start, end = starts[at], ends[at + len(form.text) - 1]
            if form.edge:  # a neighbour of base64 holds up to four bits of the value
                start -= start > 0 and text[start - 1] in _BASE
                end += end < len(text) and text[end] in _BASE
                while end < len(text) and text[end] == "=":
                    end += 1
            yield start, end, name


class SecretStream:
    """Takes a text in pieces; gives back what cannot belong to a known value any more, without those that it holds."""

    __slots__ = ("__again", "__matcher", "__pending")

    def __init__(self, matcher: Matcher) -> None:
        self.__matcher = matcher
        self.__pending = ""
        self.__again = 0  # how long `pending` must be for another look

    def __repr__(self) -> str:
        return f"SecretStream({len(self.__pending)} characters held)"

    def feed(self, text: str) -> str:
        """What of the text so far may leave."""
        self.__pending += text
        if len(self.__pending) < self.__again:
            return ""
        edge = self.__matcher.calm(self.__pending)
        calm = edge >= 0
        if not calm:
            edge = self.__matcher.settled(self.__pending)
        ready, self.__pending = self.__pending[:edge], self.__pending[edge:]
        left = len(self.__pending)
        waits = left > OFTEN or (not calm and _MARK.search(self.__pending) is not None)
        self.__again = left + max(left // 4, PART) if waits else 0
        return ready if calm or not ready else self.__matcher.scrub_text(ready)

    def end(self) -> str:
        """The rest."""
        rest, self.__pending = self.__pending, ""
        return self.__matcher.scrub_text(rest)


class SecretRedactor:
    """`Ports.redact`: what the model reads, and what is kept, has passed here."""

    __slots__ = ("matcher",)

    def __init__(self, matcher: Matcher) -> None:
        self.matcher = matcher

    def __call__(self, value: Json) -> Json:
        """`value` without any known secret."""
        return self.matcher.scrub(value)

    def stream(self) -> SecretStream:
        """The same for a text that comes in pieces."""
        return self.matcher.stream()


def _place(view: View, table: Mapping[int, str | None], at: int, left: int) -> int:
    """Where in the original text the `left` characters that end at `at` of `view`, folded by `table`, begin."""
    at = _before(view.text[:at], table, left)
    return at if view.before is None else view.spans()[0][at]


def _before(text: str, table: Mapping[int, str | None], left: int) -> int:
    """Where the last `left` characters of `text`, folded by `table`, begin in it."""
    at = len(text)
    while left > 0:
        at -= 1
        left -= len(table[ord(text[at])] or "")
    return at


def _tokens(view: View) -> Iterator[tuple[int, int]]:
    """Where the escapes that `view` has undone stand in the original text."""
    if view.before is not None and view.tokens:
        starts, ends = view.before.spans()
        yield from ((starts[start], ends[end - 1]) for start, end, _ in view.tokens)


def _parts(value: str) -> Iterator[str]:
    """Pieces of a value that are secrets by themselves: a password in an address, the lines of a key."""
    for matched in _DSN.finditer(value):
        password = matched[1] or matched[2]
        for part in {password, unquote(password)}:
            # a password that is also the user's or the database's name is a word that results are full of
            if len(part.translate(TIGHT)) >= MIN_CHARACTERS and value.count(part) <= 1:
                yield part
    for matched in _PEM.finditer(value.replace("\\n", "\n")):
        yield from (line for line in matched[1].split("\n") if len(line.strip()) >= _PEM_LINE)


def _leaves(value: Json) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for item in value.values():
                yield from _leaves(item)
        case list():
            for item in value:
                yield from _leaves(item)
        case bool() | None:
            pass
        case int() | float():
            yield str(value)


def _keys(value: Json) -> Iterator[str]:
    match value:
        case dict():
            for key, item in value.items():
                yield key
                yield from _keys(item)
        case list():
            for item in value:
                yield from _keys(item)
        case _:
            pass


def _merged(spans: Iterable[Span]) -> list[Span]:
    """Disjoint spans in order; what overlaps becomes one, named after the longest of it."""
    merged: list[Span] = []
    longest = 0
    for start, end, name in sorted(set(spans), key=lambda span: (span[0], -span[1])):
        if merged and start < merged[-1][1]:
            before, until, kept = merged[-1]
            named = name if end - start > longest else kept
            merged[-1] = (before, max(until, end), named)
            longest = max(longest, end - start)
        else:
            merged.append((start, end, name))
            longest = end - start
    return merged
