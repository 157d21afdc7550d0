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
from urllib.parse import unquote

from interlock.provenance.text import STOP, ascii_lower, clean, folded, hidden, quoted, tokens, words

_LOCAL = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})+"
_ADDRESS = rf"{_LOCAL}@{_DOMAIN}"
_MAILBOX = re.compile(rf"(?:[^<>@,;\"]*<\s*({_ADDRESS})\s*>|({_ADDRESS}))")
_SAID_ADDRESS = re.compile(rf"(?<![\w@.+-])[A-Za-z0-9_][A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{0,63}}@{_DOMAIN}(?![\w@-])")
# What a mail program makes an address of: any letters on both sides.
_ANY_ADDRESS = re.compile(r"(?<![^\s<>()\[\],;:\"@\\])[^\s<>()\[\],;:\"@\\]{1,64}@(?:[\w-]{1,63}\.)+[\w-]{2,63}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
_NOT_LINK = r"\s<>\"'`|\\^{}"
_LINK = re.compile(
    rf"(?:\b[a-z][a-z0-9+.-]{{1,20}}://|\bwww\.|(?<![:\w\]])//(?=[\w\[])|\b(?:https?|wss?|ftp):[\\/]*(?=[\w\[]))[^{_NOT_LINK}]+",
    re.IGNORECASE,
)
_BARE = re.compile(
    r"(?<![\w-])(?<!\w\.)(?:[\w-]{1,63}\.)+([^\W\d_]{2,24}|xn--[\w-]+)(?::\d+)?(?:[/?#][^\s<>\"'`]*)?(?![\w@-])"
)
_ACTIVE = re.compile(
    r"\b(?:(?:javascript|vbscript)\s*:|data:[\w/+.-]*[;,]|file:/|mailto:|(?:tel|sms):\+?\(?\d)[^\s<>\"'`]{0,200}"
    r"|(?<!\\)\\\\[\w.-]+\\[\w$]",  # a share of Windows: opening it hands over a login
    re.IGNORECASE,
)
_NUMERIC_HOST = re.compile(
    r"(?<![\w.])(?:\d{1,3}(?:\.\d{1,3}){3}|0x[0-9a-f]{8}|\[[0-9a-f:.]{2,45}\])(?::\d+)?/[^\s]*", re.IGNORECASE
)
# Where marked-up text sends its reader; browsers pass over white space in it and read a backslash as a slash.
_TARGET = re.compile(
    r"(?:\b(?:href|src|action|formaction|data|poster|background)\s*=\s*[\"']?|\]\(\s*)([^\"'<>)]{1,500})", re.IGNORECASE
)
_IBAN = re.compile(
    r"(?<![A-Z0-9])[A-Z]{2}\d{2}"
    r"(?:[A-Z0-9]{10,30}|[ -]?[A-Z0-9]{4}(?:[ -]?(?=[A-Z]{0,3}\d)[A-Z0-9]{1,4}+){2,7}+)(?![A-Z0-9])",
    re.IGNORECASE,
)
_IBAN_GROUPS = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?:[ -][A-Z0-9]{1,4}){2,8}(?![A-Za-z0-9])", re.IGNORECASE)
_DIGIT_GROUPS = re.compile(r"(?<![\w.-])\d{2,}(?:[ -]\d{2,}){1,7}(?![\w-])")
_BASE58 = "1-9A-HJ-NP-Za-km-z"
_WALLET = re.compile(
    rf"(?<![A-Za-z0-9])(?:0x[0-9a-fA-F]{{40}}|(?:bc|tb|ltc|addr)1[a-z0-9]{{25,110}}|[13DLMTr][{_BASE58}]{{25,34}}|4[{_BASE58}]{{94}})"
    r"(?![A-Za-z0-9])"
)
_ACCOUNT = re.compile(r"[A-Z0-9]{4,34}")
_DATE = re.compile(r"\d{4}([-/.])\d\d?\1\d\d?|\d\d?([-/.])\d\d?\2\d{4}")
_NEXT_SENTENCE = re.compile(r"\.(?=[A-Z][a-z])")
_PUNCTUATION = ".,;:!?*'\"`’”»)]}>…"
_NUMBER = re.compile(r"(?<![\w.:/-])[-+]?\d+(?:[,' ]\d{3})*(?:\.\d+)?(?![\w:/-])")
_PLAIN_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
_HINTS = re.compile(r"[:/\\]|www\.", re.IGNORECASE)  # without one of these there is no link
_DIGIT = re.compile(r"\d")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_NO_HOST = re.compile(r"[^\w.:\[\]-]")
_DOTS = str.maketrans(dict.fromkeys((0x3002, 0xFF61, 0xFF0E), "."))  # what a browser takes for the dot in a host name

# Domains that programs turn into links without a scheme. Country codes are two letters; of the others the common ones.
# Endings that are more often a file's than a domain's need a path behind them to count.
_GENERIC = frozenset(
    "com net org info biz edu gov mil int app dev xyz online site website tech store shop club top live "
    "link click cloud digital email news blog page pages space world today life agency group team support services "
    "finance money bank pay company network systems solutions software studio design media marketing social chat "
    "vip win loan work zone pro name mobi asia museum travel jobs cat tel post arpa test example local internal onion "
    "icu cyou buzz monster quest rest fun bond sbs lol zip mov "
    # Cyrillic, Chinese, Japanese, Korean, Indian, Thai and Arabic country codes.
    "рф укр бел срб мон қаз 中国 中國 香港 台湾 台灣 公司 网络 网址 在线 中文网 みんな コム 닷컴 닷넷 한국 भारत ไทย "  # noqa: RUF001
    "السعودية امارات مصر ایران".split()
)
_COUNTRIES = frozenset(
    "ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by bz ca cc cd "
    "cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr ga gd ge "
    "gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp ke kg kh "
    "ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw "
    "mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb "
    "sc sd se sg sh si sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug uk "
    "us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw".split()
)
_FILE_ENDINGS = frozenset("md py sh rs pl so ps ml mk cc hs ts js zip mov cab bz gz id pm cs vb pa sc sql".split())
_SHORT_IBAN, _SHORT_ACCOUNT = 15, 8  # characters; digits


def address(value: str) -> tuple[str, ...] | None:
    """The addresses in an argument: `a@x.org`, `Ann <a@x.org>` or a list of them; None if it is anything else."""
    if not clean(value):
        return None
    parts = [p.strip() for p in re.split(r"[,;]", value)]
    found = [_MAILBOX.fullmatch(p) for p in parts]
    if not parts or not all(found):
        return None
    return tuple(ascii_lower(next(g for g in m.groups() if g)) for m in found if m)


def account(value: str) -> tuple[str, ...] | None:
    """A bank account: letters and digits without separators, upper case; a wallet as it is (its case matters)."""
    raw = value.strip(" ")
    if not clean(raw):
        return None
    if _WALLET.fullmatch(raw):
        return (_wallet(raw),)
    bare = re.sub(r"[ -]", "", raw).upper()
    if not bare.isascii() or not _ACCOUNT.fullmatch(bare) or sum(c.isdigit() for c in bare) <= 3:  # noqa: PLR2004
        return None
    named = not re.match(r"[A-Z]{2}\d\d", bare) and any(len(w) > 2 and w.isalpha() for w in raw.split())  # noqa: PLR2004
    return None if named else (bare,)  # "checking 1234" is a name


def _wallet(value: str) -> str:
    return value.lower() if value.startswith("0x") else value  # hex has no case; base 58 has


def url(value: str) -> tuple[str, ...] | None:
    """Host and everything behind it. http and https are one; any other scheme is part of the spelling."""
    raw = value.strip(" ")
    if not raw or not clean(raw) or any(c in raw for c in ' \\<>"`') or raw.startswith("//"):
        return None
    scheme = ""
    m = _SCHEME.fullmatch(raw)
    if m and m[2].startswith("//"):
        scheme, raw = m[1].lower(), m[2][2:]
    elif m and not re.match(r"\d{1,5}(?:[/?#]|$)", m[2]):
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
    if not name or not clean(raw) or _NO_HOST.search(raw) or (number and not (port and number.isdigit())):
        return None
    name = ascii_lower(name).removesuffix(".")
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
    return (f"{float(bare):.10g}",) if bare.isascii() and _PLAIN_NUMBER.fullmatch(bare) else None


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


def found(text: str) -> Found:
    """Every value that `text` names, in every reading a person could mean."""
    spaced = _NEXT_SENTENCE.sub(". ", text)  # "…www.example.com.Please write": a sentence starts right after the dot
    both = (text, spaced) if spaced != text else (text,)
    raw = set().union(*map(tokens, both)) | quoted(text)
    addresses = {ascii_lower(m[0]) for t in both for m in _SAID_ADDRESS.finditer(t)} if "@" in text else set()
    links: set[str] = set()
    for t in both:
        links |= {m[0] for m in _LINK.finditer(t)}
        rest = _SAID_ADDRESS.sub(" ", _LINK.sub(" ", t))
        links |= {m[0] for m in _BARE.finditer(rest)}
    links |= {link.rstrip(_PUNCTUATION) for link in links}
    urls = {u[0] for link in links if (u := url(link))}
    return Found(
        addresses=frozenset(addresses),
        accounts=frozenset(_said_accounts(text, raw)) if _DIGIT.search(text) else frozenset(),
        urls=frozenset(urls),
        hosts=frozenset(re.split(r"[/?#]", u, maxsplit=1)[0] for u in urls),
        paths=frozenset(p[0] for t in raw if (p := path(t))),
        tokens=frozenset(raw),
        numbers=frozenset(n[0] for m in _NUMBER.finditer(text) if (n := number(m[0]))),
    )


def _said_accounts(text: str, raw: set[str]) -> set[str]:
    accounts = {a[0] for t in raw if _DIGIT.search(t) and not _DATE.fullmatch(t) and (a := account(t))}
    for m in _IBAN_GROUPS.finditer(text):
        groups = re.split(r"[ -]", m[0].upper())
        known = ["".join(groups[:n]) for n in range(2, len(groups) + 1)]
        accounts |= {k for k in known if len(k) >= _SHORT_IBAN}
    for m in _DIGIT_GROUPS.finditer(text):
        if not _DATE.fullmatch(m[0]):
            accounts.add(re.sub(r"[ -]", "", m[0]))
    return accounts


def actionable(text: str) -> set[tuple[str, str]]:
    """(kind, value) of every link, address and account that a program could act on in `text`, however it is spelt."""
    seen: set[tuple[str, str]] = set()
    for reading in _readings(text):
        rest = reading
        for pattern in (_LINK, _ACTIVE, _NUMERIC_HOST) if _HINTS.search(rest) else ():
            if found := [m[0] for m in pattern.finditer(rest)]:
                seen.update(("url", _link(raw)) for raw in found)
                rest = pattern.sub(" ", rest)
        if "@" in rest:
            seen.update(("address", ascii_lower(_trimmed(m[0]))) for m in _ANY_ADDRESS.finditer(rest))
            rest = _ANY_ADDRESS.sub(" ", rest)
        if "." in rest:
            seen.update(("url", _link(m[0])) for m in _BARE.finditer(rest) if _is_domain(m, rest))
        if _DIGIT.search(rest):
            seen.update(("account", a) for m in _IBAN.finditer(rest) if (a := _iban(m[0])))
            seen.update(("account", _wallet(m[0])) for m in _WALLET.finditer(rest) if _DIGIT.search(m[0]))
    return seen


def _readings(text: str) -> set[str]:
    """`text` as the programs behind it may read it: entities, percent signs, widths and hidden characters undone."""
    seen = {text}
    for _ in range(2):  # entities within percent signs, or the other way round
        for reading in tuple(seen):
            if "&" in reading:
                seen.add(html.unescape(reading))
            if "%" in reading:
                seen.add(unquote(reading))
    for reading in tuple(seen):
        if reading.isascii() and not _CONTROL.search(reading):
            continue
        wide = unicodedata.normalize("NFKC", reading.translate(_DOTS))
        unseen = [ord(c) for c in set(wide) if hidden(c) and not c.isspace()]
        seen |= {wide, wide.translate(dict.fromkeys(unseen, "")), wide.translate(dict.fromkeys(unseen, " "))}
    for reading in tuple(seen):
        if "=" not in reading and "](" not in reading:
            continue
        targets = [re.sub(r"[\s\x00-\x1f]+", "", m[1]).replace("\\", "/") for m in _TARGET.finditer(reading)]
        if targets:
            seen.add(" ".join(targets))
    return seen


def _link(raw: str) -> str:
    bare = raw.rstrip(_PUNCTUATION)
    bare = bare.removeprefix("//") if bare.startswith("//") else bare
    spelt = url(bare)
    return spelt[0] if spelt else bare


def _trimmed(raw: str) -> str:
    """An address without the marks that prose puts before it."""
    return raw.lstrip("'`*_~‘“«" if raw[0] != "_" else "'`*~‘“«")


def _is_domain(m: re.Match[str], text: str) -> bool:
    whole, ending = m[0], m[1].lower()
    if whole.startswith(("e.g", "i.e")):
        return False
    if ending in _FILE_ENDINGS or (m.start() and text[m.start() - 1] == "/"):  # `src/setup.app` is a file
        return any(c in whole for c in "/?#:") or ending in {"com", "net", "org"}
    return ending in _COUNTRIES or ending in _GENERIC or ending.startswith("xn--")


def _iban(raw: str) -> str | None:
    """The account in what looks like one: up to where its check digits agree, else all of it."""
    bare = re.sub(r"[ -]", "", raw).upper()
    if sum(c.isdigit() for c in bare) < _SHORT_ACCOUNT or len(bare) < _SHORT_IBAN - 1:
        return None
    ends = {len(re.sub(r"[ -]", "", raw[: m.start()])) for m in re.finditer(r"[ -]|$", raw)}
    return next((bare[:n] for n in sorted(ends) if n >= _SHORT_IBAN and _checks(bare[:n])), bare)


def _checks(iban: str) -> bool:
    """ISO 7064, mod 97-10."""
    return int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97 == 1
