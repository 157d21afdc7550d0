"""What a reader's program would ask for if it displayed a text: as Markdown, as HTML, as a terminal's or plain text.

Independent of the guard: a real Markdown renderer, the standard library's HTML parser, and addresses read as browsers do.
"""

import re
from html.parser import HTMLParser
from urllib.parse import unquote

from markdown_it import MarkdownIt

BASE = "app.example"  # where the text is displayed
_LISTS = {"srcset", "imagesrcset", "ping"}
_PLAIN_URL = re.compile(r"(?i)\b(?:https?|ftp)://[^\s<>\"'`\[\]]+|(?<![\w@./-])www\.[^\s<>\"'`\[\]]+")
_CSS = re.compile(r"(?i)(?:url\(|src\(|image-set\(|@import(?!\s*url))\s*[\"']?\s*([^\"')\s;]+)")
_OSC = re.compile("\x1b\\]8;[^;]*;([^\x07\x1b]*)")


def host(reference: str) -> str:
    """The host that a browser would ask; empty for the page's own, `!scheme` for what is no web address."""
    text = re.sub(r"[\t\n\r]", "", reference).strip("".join(map(chr, range(33))))
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", text)
    if scheme:
        name = scheme[1].lower()
        if name not in {"http", "https", "ftp", "ws", "wss"}:
            return f"!{name}"
        text = "//" + text[scheme.end() :].lstrip("/\\")
    if not re.match(r"[/\\]{2}", text):
        return ""
    authority = re.split(r"[/\\?#]", text.lstrip("/\\"), maxsplit=1)[0].rpartition("@")[2]
    return unquote(authority).partition(":")[0].lower().rstrip(".")


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if not value:
                continue
            if name == "style":
                self.handle_data(value)
            elif name == "srcdoc":
                self.found += html(value)
            elif name in _LISTS:
                self.found += [part for part in re.split(r"[\s,]+", value) if part]
            elif name == "content":
                if refresh := re.match(r"(?i)\s*[\d.]*\s*[;,]\s*(?:url\s*=\s*)?[\"']?(.*)", value, re.DOTALL):
                    self.found.append(refresh[1])
            elif name in _URLS:
                self.found.append(value)

    handle_startendtag = handle_starttag

    def handle_data(self, data: str) -> None:
        plain = re.sub(r"\\([0-9A-Fa-f]{1,6})\s?", lambda m: chr(int(m[1], 16)), data)
        self.found += _CSS.findall(plain)
        self.found += _plain(data)  # a renderer that makes links of addresses


_URLS = set(
    "src href xlink:href action formaction background poster data cite codebase longdesc dynsrc lowsrc to from values manifest".split()
)


def _plain(text: str) -> list[str]:
    return [url.rstrip(").,;:!?") for url in _PLAIN_URL.findall(text)]


def html(text: str) -> list[str]:
    page = _Page()
    page.feed(text)
    page.close()
    return page.found


def asked(text: str) -> set[str]:
    """All hosts (and `!schemes`) that displaying `text`, in any of the ways, names."""
    found = html(text) + _OSC.findall(text) + _plain(text)
    for settings in ("commonmark", "js-default"):
        for raw in (True, False):
            found += html(MarkdownIt(settings, {"html": raw}).render(text))
    return {
        host(part if ":" in part or part.startswith(("/", "\\")) or not part.startswith("www.") else f"https://{part}")
        for part in found
    } - {""}
