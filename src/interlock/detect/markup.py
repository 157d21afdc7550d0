"""HTML as a browser takes it apart, without building a tree: tags, comments, and what a reader does not see of it.

Linear: a tag that is broken off by `<` is none (as in CommonMark), so no character is looked at more than a fixed
number of times. Style sheets are read for plain selectors only; what scripts do is not seen.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape

from interlock.detect.offsets import Offsets, Rewriting

MAX_ATTRIBUTES = 256  # of one tag; what has more is read up to there
MAX_DEPTH = 256  # open elements that are remembered
_FAINT = 0.06  # opacity that nobody sees
_NEAR = 30  # sum of the differences of two colours that nobody tells apart
_AWAY = 400  # pixels that a thing stands off the screen

ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});?")
_OPEN = re.compile(r"<(?:(/?)([A-Za-z][^\s/><]*+)|!--|[!?])")
_ATTRIBUTE = re.compile(
    r"""[\s/]*+([^\s/><][^\s/><=]*+)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s><"'][^\s><]*+)))?+"""
)
_TAG_END = re.compile(r"[\s/]*+>")
_COMMENT_END = re.compile(r"-->|--!>")
_VOID = frozenset("area base br col embed hr img input link meta param source track wbr frame".split())
_RAW = frozenset("script style textarea title xmp iframe noembed noframes".split())
_UNREAD = frozenset("script style template iframe noembed noframes head".split())
_SAME_CLOSES = frozenset("p li tr td th option dt dd".split())
_BLOCK = frozenset(
    "address article aside blockquote body br center dd div dl dt fieldset figure footer form h1 h2 h3 h4 h5 h6 head "
    "header hr html li main nav ol option p pre section table td th title tr ul".split()
)
_DECLARATION = re.compile(r"([a-z-]{1,40})\s{0,8}:\s{0,8}([^;{}]{0,400})")
_RULE = re.compile(r"(?<![^{}])([^{}]++)\{([^{}]*+)\}")
_SELECTOR = re.compile(r"([a-z][a-z0-9]*)?([.#][\w-]+)?")
_NUMBER = re.compile(r"(-?\d{0,6}\.?\d{1,6})\s*(px|pt|em|rem|%|vw|vh|in|cm|)")
_RGB = re.compile(r"rgba?\(\s*(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})(?:[\s,/]+([\d.]{1,6})%?)?\s*\)")
_HEX = re.compile(r"#([0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})(?![0-9a-f])")
_COLOURS = {
    "white": (255, 255, 255), "snow": (255, 250, 250), "ivory": (255, 255, 240), "ghostwhite": (248, 248, 255),
    "whitesmoke": (245, 245, 245), "black": (0, 0, 0), "red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255),
    "yellow": (255, 255, 0), "gray": (128, 128, 128), "grey": (128, 128, 128), "silver": (192, 192, 192),
    "navy": (0, 0, 128),
}  # fmt: skip
_WHITE = (255, 255, 255)
_TEXTS = frozenset("alt title aria-label aria-description placeholder summary content data-prompt data-content".split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One attribute: its name in lower case, its value with entities decoded, and where the value stands."""

    name: str
    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A tag. `inner` is the end of the raw text that belongs to it (a script's), or its own end."""

    name: str
    start: int
    end: int
    closing: bool
    attributes: tuple[Attribute, ...]
    inner: int

    def get(self, name: str) -> str:
        """The value of an attribute, empty if it is not there."""
        return next((a.value for a in self.attributes if a.name == name), "")

    def has(self, name: str) -> bool:
        """The attribute is there, with or without a value."""
        return any(a.name == name for a in self.attributes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """A comment, a declaration or a processing instruction; `text` is what stands inside."""

    text: str
    start: int
    end: int


def tokens(text: str) -> Iterator[Tag | Comment]:
    """The tags and comments of `text`, in order."""
    at, end = 0, len(text)
    comments = True  # a comment may still close
    while (opened := _OPEN.search(text, at)) is not None:
        start = opened.start()
        if opened[2] is None:
            if opened[0] == "<!--":
                inside = opened.end()
                if text.startswith((">", "->"), inside):  # `<!-->` is a whole comment
                    at = text.index(">", inside) + 1
                    yield Comment(text="", start=start, end=at)
                    continue
                closed = _COMMENT_END.search(text, inside) if comments else None
                comments = closed is not None
                stop, at = (closed.start(), closed.end()) if closed else (end, end)
                yield Comment(text=text[inside:stop], start=start, end=at)
                continue
            close = text.find(">", opened.end())
            stop, at = (close, close + 1) if close >= 0 else (end, end)
            yield Comment(text=text[opened.end() : stop], start=start, end=at)
            continue
        attributes, at = _attributes(text, opened.end())
        closed = _TAG_END.match(text, at)
        if closed is None:
            at = opened.end()  # no tag
            continue
        name, at = opened[2].lower(), closed.end()
        inner = at
        if name in _RAW and not opened[1]:
            inner = _raw_end(text, name, at)
        yield Tag(name=name, start=start, end=at, closing=bool(opened[1]), attributes=attributes, inner=inner)
        at = inner


def _attributes(text: str, at: int) -> tuple[tuple[Attribute, ...], int]:
    found: list[Attribute] = []
    for _ in range(MAX_ATTRIBUTES):
        attribute = _ATTRIBUTE.match(text, at)
        if attribute is None:
            break
        at = attribute.end()
        group = next((g for g in (2, 3, 4) if attribute[g] is not None), 0)
        value, (start, end) = (unescape(attribute[group]), attribute.span(group)) if group else ("", (at, at))
        found.append(Attribute(name=attribute[1].lower(), value=value, start=start, end=end))
    return tuple(found), at


def _raw_end(text: str, name: str, at: int) -> int:
    closing = re.compile(f"</{name}(?=[\\s/>])", re.IGNORECASE).search(text, at)
    return closing.start() if closing else len(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """`text`: what a reader sees. `hidden`: raw ranges of what he does not. `notes`: texts of attributes."""

    text: str
    offsets: Offsets
    tags: int
    comments: tuple[tuple[int, int], ...]
    hidden: tuple[tuple[int, int], ...]
    notes: tuple[Attribute, ...]


@dataclass(slots=True)
class _Open:
    name: str
    hidden: bool
    ground: tuple[int, int, int] | None  # the colour behind, None if a style sheet may set it


def page(text: str, under: Offsets | None = None) -> Page:
    """What a browser shows of `text`, and what it keeps from the reader."""
    made = Rewriting(text)
    comments: list[tuple[int, int]] = []
    hidden: list[tuple[int, int]] = []
    notes: list[Attribute] = []
    rules: dict[str, dict[str, str]] = {}
    stack: list[_Open] = []
    names: Counter[str] = Counter()
    depth = tags = at = 0  # depth: how many of the open elements hide what is in them

    def show(start: int, end: int) -> None:
        if start < end:
            if depth:
                hidden.append((start, end))
            else:
                _unescaped(made, text, start, end)

    def leave() -> None:
        nonlocal depth
        left = stack.pop()
        names[left.name] -= 1
        depth -= left.hidden

    for token in tokens(text):
        show(at, token.start)
        at = token.end
        if isinstance(token, Comment):
            comments.append((token.start, token.end))
            continue
        tags += 1
        if token.name in _BLOCK and not depth:
            made.put("\n", token.start, token.end)
        if token.closing:
            while names[token.name]:
                last = stack[-1].name == token.name
                leave()
                if last:
                    break
            continue
        notes += [a for a in token.attributes if a.name in _TEXTS and " " in a.value.strip()]
        if token.name == "style":
            rules |= _sheet(text[token.end : token.inner])
        if token.inner > token.end:
            if token.name not in _UNREAD:
                show(token.end, token.inner)
            at = token.inner
        if token.name in _VOID or token.inner > token.end or len(stack) >= MAX_DEPTH:
            continue
        if stack and token.name in _SAME_CLOSES and stack[-1].name == token.name:
            leave()
        ground = stack[-1].ground if stack else _WHITE
        style = _style(token, rules)
        seen, ground = _seen(token, style, ground)
        stack.append(_Open(token.name, not seen, ground))
        names[token.name] += 1
        depth += not seen
    show(at, len(text))
    new, offsets = made.done(under)
    return Page(
        text=new, offsets=offsets, tags=tags, comments=tuple(comments), hidden=tuple(hidden), notes=tuple(notes)
    )


def _unescaped(made: Rewriting, text: str, start: int, end: int) -> None:
    at = start
    for entity in ENTITY.finditer(text, start, end):
        made.keep(at, entity.start())
        made.put(unescape(entity[0]), *entity.span())
        at = entity.end()
    made.keep(at, end)


def _sheet(text: str) -> dict[str, dict[str, str]]:
    rules: dict[str, dict[str, str]] = {}
    for rule in _RULE.finditer(re.sub(r"/\*[^*]*+(?:\*(?!/)[^*]*+)*+\*/", "", text)):
        if text[: rule.start()].endswith("{"):
            continue  # for some media only
        for selector in rule[1][:400].split(","):
            if (name := selector.strip().lower()) and _SELECTOR.fullmatch(name):
                rules.setdefault(name, {}).update(declarations(rule[2]))
    return rules


def declarations(style: str) -> dict[str, str]:
    """The declarations of a style, in lower case; the last of a name wins."""
    return {d[1]: d[2].replace("!important", "").strip() for d in _DECLARATION.finditer(style.lower())}


def _style(tag: Tag, rules: dict[str, dict[str, str]]) -> dict[str, str]:
    style: dict[str, str] = {}
    if rules:
        marks = ["", *("." + c for c in tag.get("class").lower().split()[:16]), "#" + tag.get("id").lower()]
        for mark in marks:
            style |= rules.get(mark, {}) if mark else {}
            style |= rules.get(tag.name + mark, {})
    return style | declarations(tag.get("style"))


def _seen(
    tag: Tag, style: dict[str, str], ground: tuple[int, int, int] | None
) -> tuple[bool, tuple[int, int, int] | None]:
    """Does a reader see what stands in the element, and the colour behind it."""
    back = style.get("background-color") or style.get("background") or tag.get("bgcolor").lower()
    if back and "transparent" not in back and "none" not in back:
        ground = _colour(back)  # None: a picture, a gradient
    elif tag.has("class") and not back:
        ground = None  # whatever a style sheet says
    if tag.has("hidden") or tag.get("aria-hidden").lower() == "true" or tag.name in _UNREAD:
        return False, ground
    fore = style.get("color") or tag.get("color").lower()
    if fore == "transparent":
        return False, ground
    if fore and ground and (ink := _colour(fore)) and sum(abs(a - b) for a, b in zip(ink, ground, strict=True)) < _NEAR:
        return False, ground
    return not _vanishes(style), ground


def _vanishes(style: dict[str, str]) -> bool:
    get = style.get
    if get("display") == "none" or get("visibility") in {"hidden", "collapse"} or get("mso-hide") == "all":
        return True
    if get("content-visibility") == "hidden" or "scale(0" in get("transform", "").replace(" ", ""):
        return True
    if (opacity := _pixels(get("opacity"))) is not None and opacity < (
        _FAINT * 100 if "%" in get("opacity", "") else _FAINT
    ):
        return True
    size = get("font-size") or (get("font", "").split("/")[0].rpartition(" ")[2] if get("font") else None)
    if (tall := _pixels(size)) is not None and tall <= (0.1 if size and "em" in size else 1):
        return True
    if get("overflow") in {"hidden", "clip"} or get("position") in {"absolute", "fixed"}:
        sizes = (_pixels(get(name)) for name in ("max-height", "height", "width", "max-width"))
        if get("overflow") and any(size is not None and size <= 1 for size in sizes):
            return True
    if "rect(0" in get("clip", "").replace(" ", "") or re.match(r"inset\(\s*(?:100|[5-9]\d)", get("clip-path", "")):
        return True
    if get("position") in {"absolute", "fixed", "relative"}:
        for name in ("left", "top", "right", "bottom"):
            if (place := _pixels(get(name))) is not None and place <= -_AWAY:
                return True
    far = (_pixels(get(name)) for name in ("text-indent", "margin-left", "margin-top"))
    return any(place is not None and place <= -_AWAY for place in far)


def _pixels(value: str | None) -> float | None:
    """A length, roughly in pixels."""
    found = _NUMBER.match(value) if value else None
    if found is None:
        return None
    number = float(found[1])
    return (
        number * 16
        if found[2] in {"em", "rem"} and abs(number) > 1
        else number * 8
        if found[2] in {"vw", "vh"}
        else number
    )


def _colour(value: str) -> tuple[int, int, int] | None:
    if rgb := _RGB.search(value):
        return int(rgb[1]), int(rgb[2]), int(rgb[3])
    if found := _HEX.search(value):
        code = found[1] if len(found[1]) > 4 else "".join(c * 2 for c in found[1])  # noqa: PLR2004 - #rgb, #rgba
        return int(code[0:2], 16), int(code[2:4], 16), int(code[4:6], 16)
    return next((_COLOURS[word] for word in re.findall(r"[a-z]+", value) if word in _COLOURS), None)
