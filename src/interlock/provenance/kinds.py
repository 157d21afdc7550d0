"""Typed comparison: the one spelling of each kind of value, on both sides.

The side of the argument is strict: `spelling` gives the canonical forms that *all* must be vouched for, or None when
the value is not what its role says, and then nothing vouches for it. The side of the source is generous: `found` gives
every value of a kind that a text of the user or the operator names, because reading such a text in two ways helps no
attacker. `actionable` reads arguments again: whatever a mail client, browser or banking form would act on inside free
text, looked for in every disguise that such a program undoes.
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from interlock.provenance.text import STOP, clean, folded, quoted, tokens, words

_LOCAL = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+"
_DOMAIN = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+"
_ADDRESS = re.compile(rf"{_LOCAL}@{_DOMAIN}")
_MAILBOX = re.compile(rf"(?:[^<>@,;\"]*<\s*({_ADDRESS.pattern})\s*>|({_ADDRESS.pattern}))")
_IN_TEXT = re.compile(rf"(?<![\w@])(?:[A-Za-z0-9_][A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]*)@{_DOMAIN}(?![\w@-])")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
_LINK = re.compile(r"(?:\b[a-z][a-z0-9+.-]{1,20}://|\bwww\.|(?<![:\w])//(?=[\w\[]))[^\s<>\"'`|\\^{}]+", re.IGNORECASE)
_BARE = re.compile(r"(?<![\w@/.-])(?:[\w-]+\.)+([A-Za-z]{2,24}|xn--[\w-]+)(?::\d+)?(?:[/?#][^\s<>\"'`]*)?(?![\w@-])")
_ACTIVE = re.compile(
    r"\b(javascript|data|vbscript|file|mailto|tel|sms|blob|ftp|ssh|intent)\s*:\s*[^\s<>\"'`]{1,200}", re.IGNORECASE
)
_NUMERIC_HOST = re.compile(
    r"(?<![\w.])(?:\d{1,3}(?:\.\d{1,3}){3}|0x[0-9a-f]{8}|\[[0-9a-f:.]+\])(?::\d+)?/[^\s]*", re.IGNORECASE
)
_IBAN = re.compile(
    r"(?<![A-Z0-9])[A-Z]{2}\d{2}[ -]?[A-Z0-9]{4}(?:[ -]?(?=[A-Z]{0,3}\d)[A-Z0-9]{1,4}){2,7}(?![A-Z0-9])", re.IGNORECASE
)
_IBAN_GROUPS = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?:[ -][A-Z0-9]{1,4}){2,8}(?![A-Za-z0-9])")
_WALLET = re.compile(
    r"(?<![A-Za-z0-9])(?:0x[0-9a-fA-F]{40}|bc1[a-z0-9]{25,60}|[13][1-9A-HJ-NP-Za-km-z]{25,34}|T[1-9A-HJ-NP-Za-km-z]{33})(?![A-Za-z0-9])"
)
_ACCOUNT = re.compile(r"[A-Z0-9]{4,34}")
_NEXT_SENTENCE = re.compile(r"\.(?=[A-Z][a-z])")
_PUNCTUATION = ".,;:!?*'\"`’”»)]}>…"
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:[,' ]\d{3})*(?:\.\d+)?(?!\w)")

# Domains that programs turn into links without a scheme. Country codes are two letters; of the others the common ones.
# Endings that are more often a file's than a domain's need a path behind them to count.
_GENERIC = frozenset(
    "com net org info biz edu gov mil int io ai app dev co me tv xyz online site website tech store shop club top live "
    "link click cloud digital email news blog page pages space world today life agency group team support services "
    "finance money bank pay company network systems solutions software studio design media marketing social chat "
    "vip win loan work zone pro name mobi asia museum travel jobs cat tel post arpa test example local internal onion "
    "icu cyou buzz monster quest rest fun bond sbs lol zip mov".split()
)
_FILE_ENDINGS = frozenset(
    "md py sh rs pl so ps ml mk cc hs ts js zip mov cab bz gz ai id ms st pm in do la as vi ad cs vb pa sc sql".split()
)


def address(value: str) -> tuple[str, ...] | None:
    """The addresses in an argument such as `a@x.org`, `Ann <a@x.org>` or a list of them; None if it is anything else."""
    if not clean(value):
        return None
    parts = [p.strip() for p in re.split(r"[,;]", value)]
    found = [_MAILBOX.fullmatch(p) for p in parts]
    if not parts or not all(found):
        return None
    return tuple(_ascii_lower(next(g for g in m.groups() if g)) for m in found if m)


def account(value: str) -> tuple[str, ...] | None:
    """A bank account: letters and digits without separators, upper case; a wallet as it is (its case matters)."""
    if not clean(value):
        return None
    if _WALLET.fullmatch(value.strip()):
        return (value.strip(),)
    bare = re.sub(r"[ -]", "", value).upper()
    return (bare,) if value.isascii() and _ACCOUNT.fullmatch(bare) and sum(c.isdigit() for c in bare) > 3 else None  # noqa: PLR2004


def url(value: str) -> tuple[str, ...] | None:
    """Host and everything behind it. http and https are one; any other scheme is part of the spelling."""
    raw = value.strip(" ")
    if not raw or not clean(raw) or any(c in raw for c in ' \\<>"`') or raw.startswith("//"):
        return None
    scheme = ""
    m = _SCHEME.fullmatch(raw)
    if m and m[2].startswith("//"):
        scheme, raw = m[1].lower(), m[2][2:]
    elif m and not re.match(r"\d{1,5}(?:/|$)", m[2]):
        return None  # `javascript:…`, `data:…`: no place at all
    cut = next((i for i, c in enumerate(raw) if c in "/?#"), len(raw))
    place, rest = host(raw[:cut], port=True), raw[cut:]
    if place is None:
        return None
    rest = rest.rstrip("/") if not set(rest) & set("?#") else rest
    return ((f"{scheme}://" if scheme not in {"", "http", "https"} else "") + place[0] + rest,)


def host(value: str, *, port: bool = False) -> tuple[str, ...] | None:
    """A host name, lower case, without its final dot and without the web's own ports; no user info."""
    raw = value.strip(" ")
    name, _, number = raw.partition(":") if not raw.startswith("[") else (raw, "", "")
    if not name or not clean(raw) or set(raw) & set("@/\\?#% ") or (number and not (port and number.isdigit())):
        return None
    name = _ascii_lower(name).removesuffix(".")
    return (name if number in {"", "80", "443"} else f"{name}:{number}",)


def path(value: str) -> tuple[str, ...] | None:
    """A POSIX path without empty and `.` steps; None if it climbs (`..`) or hides something."""
    raw = value.strip(" ")
    steps = raw.split("/")
    if not raw or not clean(raw) or "\\" in raw or ".." in steps:
        return None
    kept = [s for s in steps if s not in {"", "."}]
    return (("/" if raw.startswith("/") else "") + "/".join(kept),)


def name(value: str) -> tuple[str, ...] | None:
    """A name: its words, if there is one that names something."""
    if not clean(value):
        return None
    found = [w for w in words(value) if w not in STOP]
    return (folded(value),) if found else None


def number(value: str) -> tuple[str, ...] | None:
    """A number in plain decimal notation."""
    bare = re.sub(r"(?<=\d)[,' ](?=\d{3}\b)", "", value.strip(" $€£¥"))
    try:
        return (f"{float(bare):.10g}",) if bare.isascii() else None
    except ValueError:
        return None


def credential(value: str) -> tuple[str, ...] | None:
    """A secret as it is, letter by letter."""
    return (value,) if value and clean(value) else None


@dataclass(frozen=True, slots=True)
class Found:
    """The values of each kind that a text of a trusted author names."""

    addresses: frozenset[str]
    accounts: frozenset[str]
    urls: frozenset[str]
    hosts: frozenset[str]
    paths: frozenset[str]
    tokens: frozenset[str]  # as written: credentials, long ids
    numbers: frozenset[str]


@lru_cache(maxsize=1024)
def found(text: str) -> Found:
    """Every value that `text` names, in every reading a person could mean."""
    spaced = _NEXT_SENTENCE.sub(". ", text)  # "…www.example.com.Please write": a sentence starts right after the dot
    both = (text, spaced) if spaced != text else (text,)
    raw = set().union(*map(tokens, both)) | quoted(text)
    addresses = {_ascii_lower(m[0]) for t in both for m in _IN_TEXT.finditer(t)}
    links = {m[0] for t in both for m in _LINK.finditer(t)} | {m[0] for t in both for m in _BARE.finditer(t)}
    links |= {link.rstrip(_PUNCTUATION) for link in links}
    urls = {u[0] for link in links if (u := url(link))}
    accounts = {a[0] for t in raw if (a := account(t))}
    for m in _IBAN_GROUPS.finditer(text):
        groups = re.split(r"[ -]", m[0])
        accounts |= {"".join(groups[:n]).upper() for n in range(2, len(groups) + 1)}
    return Found(
        addresses=frozenset(addresses),
        accounts=frozenset(accounts),
        urls=frozenset(urls),
        hosts=frozenset(re.split(r"[/?#]", u, maxsplit=1)[0] for u in urls),
        paths=frozenset(p[0] for t in raw if (p := path(t))),
        tokens=frozenset(raw),
        numbers=frozenset(n[0] for m in _NUMBER.finditer(text) if (n := number(m[0]))),
    )


def actionable(text: str) -> set[tuple[str, str]]:
    """(kind, value) of every link, address and account that a program could act on in `text`, however it is spelt."""
    seen: set[tuple[str, str]] = set()
    for reading in _readings(text):
        for m in _IN_TEXT.finditer(reading):
            seen.add(("address", _ascii_lower(m[0])))
        masked = _IN_TEXT.sub(" ", reading)
        for m in _LINK.finditer(masked):
            seen.add(("url", _link(m[0])))
        for m in (*_ACTIVE.finditer(masked), *_NUMERIC_HOST.finditer(masked)):
            seen.add(("url", _link(m[0])))
        rest = _LINK.sub(" ", masked)
        for m in _BARE.finditer(rest):
            if _is_domain(m[0], m[1].lower()):
                seen.add(("url", _link(m[0])))
        for m in _IBAN.finditer(rest):
            bare = re.sub(r"[ -]", "", m[0]).upper()
            if sum(c.isdigit() for c in bare) >= 8 and len(bare) >= 14:  # noqa: PLR2004 - the shortest IBANs; words never are
                seen.add(("account", bare))
        for m in _WALLET.finditer(rest):
            seen.add(("account", m[0]))
    return seen


def _readings(text: str) -> set[str]:
    """`text` as the programs behind it may read it: entities, percent signs, widths and hidden characters undone."""
    seen = {text}
    if not text.isascii():
        folded_text = unicodedata.normalize("NFKC", text)
        visible = "".join(c for c in folded_text if unicodedata.category(c) != "Cf")
        spaced = "".join(c if unicodedata.category(c) != "Cf" else " " for c in folded_text)
        seen |= {folded_text, visible, spaced}
    for reading in tuple(seen):
        if "&" in reading:
            seen.add(html.unescape(reading))
        if "%" in reading:
            seen.add(unquote(reading))
    return seen


def _link(raw: str) -> str:
    bare = raw.rstrip(_PUNCTUATION)
    bare = bare.removeprefix("//") if bare.startswith("//") else bare
    spelt = url(bare)
    return spelt[0] if spelt else bare


def _is_domain(whole: str, ending: str) -> bool:
    if whole.startswith(("e.g", "i.e")):
        return False
    if ending in _FILE_ENDINGS:
        return any(c in whole for c in "/?#")
    return len(ending) == 2 or ending in _GENERIC or ending.startswith("xn--")  # noqa: PLR2004 - country codes


def _ascii_lower(value: str) -> str:
    return value.lower() if value.isascii() else "".join(c.lower() if c.isascii() else c for c in value)
