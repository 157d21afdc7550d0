# ruff: noqa: E501, PLR2004 - lengths and ranges are what the formats of these things are
"""Finds personal data by structure: check digits, ranges, punctuation, the name that stands beside it.

A bare number is believed only with a check digit *and* a reason: a format that nothing else has, or a word in front.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv6Address

from interlock.detect.redact import checksum
from interlock.detect.redact.checksum import Check

Span = tuple[int, int, str]

# E-mail

_LOCAL = re.compile(r"[\w.!#$&'*+/=^`{|}~%-]{1,64}$")
_LOCAL_CHARS = frozenset(".!#$&*+^~_-%")
_DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(?P<tld>[^\W\d_]{2,24}|xn--[a-z0-9]{2,30})(?!\w|-\w)")
_SPOKEN = re.compile(
    r"(?P<at>[ ]{0,2}[(\[{<][ ]?(?:at|AT|@)[ ]?[)\]}>][ ]{0,2})(?P<d>[a-zA-Z0-9-]{1,63}(?:(?:[ ]{0,2}[(\[{<][ ]?(?:dot|DOT|\.)[ ]?[)\]}>][ ]{0,2}|\.)[a-zA-Z0-9-]{1,63}){1,4})"
)
_FILE = frozenset("png jpg jpeg gif svg webp ico css js ts jsx tsx mjs json map html htm py md txt yaml yml toml lock whl gz zip tgz mp4 woff woff2 pdf service socket timer target mount local internal".split())  # fmt: skip
_NOBODY = frozenset("git hg svn".split())


def email(text: str, at: int, end: int) -> Iterator[Span]:
    """An address around `@` or `%40`."""
    matched = _DOMAIN.match(text, end)
    if not matched or matched["tld"].lower() in _FILE:
        return
    start = at
    stop = max(0, at - 64)
    while start > stop and (
        (char := text[start - 1]).isalnum()
        or char in _LOCAL_CHARS
        or (char == "'" and text[start - 2 : start - 1].isalnum())
    ):
        start -= 1
    local = text[start:at]
    for mark in ("%22", "%20", "%3D", "%3d", "%3A", "%3a", "%2C", "%2c", "%3C", "%3c", "\\n"):
        if mark in local:
            start += local.rindex(mark) + len(mark)
            local = text[start:at]
    if local[:1] in {"n", "r", "t"} and start and text[start - 1] == "\\":
        start, local = start + 1, local[1:]
    trimmed = local.lstrip(".!#$&*+^~-%=")
    start, local = start + len(local) - len(trimmed), trimmed
    if not local or local[-1] in ".%$&#" or (local.isdigit() and len(local) < 3):
        return
    last = matched.end()
    if local.lower() in _NOBODY and text[last : last + 1] in {":", "/"}:
        return
    scheme = text.rfind("://", max(0, start - 130), start)
    if scheme >= 0 and not any(c in " /?\t\n\"'<>" for c in text[scheme + 3 : start]):
        return  # user and password of an address
    yield start, last, "pii/email"
    if text[start - 1 : start] + text[last : last + 1] in {"<>", "()"}:
        written = _WRITTEN.search(text, max(0, start - 70), start - 1)
        if written and person(written["v"], 2):
            yield *written.span("v"), "pii/name"


def spoken_email(text: str, at: int) -> Iterator[Span]:
    """`name (at) host (dot) org`; `at` is where the bracket opens."""
    start = at
    while start and text[start - 1] == " " and at - start < 2:
        start -= 1
    matched = _SPOKEN.match(text, start)
    local = _LOCAL.search(text, max(0, start - 64), start)
    if matched and local and matched["d"].replace(")", " ").replace("]", " ").split()[-1].split(".")[-1].isalpha():
        yield local.start(), matched.end(), "pii/email"


# Numbers

NUMBER = re.compile(  # the first character is a set of its own: `re` then skips to it at C speed
    r"(?a)[+(0-9](?:(?<=[+(])(?<!\w.)\d|(?<=\d)(?<![\w.+(]\d))(?:[ .()/\-\u00a0\u2010-\u2013]{0,3}\d)++"
)
_DATE = re.compile(
    r"(?:19|20)\d\d[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])(?:[ T]\d{0,2})?(?!\d)|\d{1,2}[/.]\d{1,2}[/.](?:19|20)\d\d(?: \d{1,2})?$"
)
_CARD = re.compile(
    r"(?<!\d)(?<!\d[ .-])(?:\d{4}([ -]?)\d{4}\1\d{4}\1\d{4}(?:\1\d{1,3})?|\d{4}([ -])\d{6}\2\d{4,5}|3\d{3}([ -])\d{4}\3\d{4}\3\d{2,3}|\d{13,19})(?!\d)"
)
_IPV4 = re.compile(r"(?a)(?:\d{1,3}\.){3}\d{1,3}")
_VERSION = re.compile(r"(?:\bversions?|\bver\.?|\bv|\brelease|\bbuild|\bfirmware|\boid|[=<>~^]=?|\bsection|\bchapter|\brev|§|#|\bupgrade\w*(?: \S+)? to|\bfrom|[A-Za-z]/|\brfc|-)[ :\"']{0,3}$", re.IGNORECASE)  # fmt: skip
_VERSION_LOW = re.compile(
    r"(?:ersions?|\bver\.?|\bv|elease|uild|irmware|[=<>~^]=|\boid|ection|§|[A-Za-z]/|[a-z]-)[ :\"']{0,3}$",
    re.IGNORECASE,
)
_PHONE_WORD = re.compile(
    r"(?:phone|\btel\b|\btel[.:]|telephone|telefon|mobile|\bmob\b|\bcell\b|\bcell:|cellular|\bfax|whatsapp|\bsms\b|\bcall(?:ed|ing|er)?\b|\btext\b me|\bring\b|\bdial|handy|m[oó]vil|tél|contact(?: number)?|msisdn|celular|t\xe9l\xe9fono|\u0442\u0435\u043b|\u96fb\u8a71|\u7535\u8bdd|\u624b\u673a|\uc804\ud654|number is|reach (?:me|us|him|her)|\bph[.:#])[\w \"'\\]{0,20}[^\w\n]{0,8}(?:at|on|is|me|us|number|no\.?)?[ :=\"'\\(+]{0,6}$",
    re.IGNORECASE,
)  # fmt: skip
_AREA = re.compile(r"\(?0\d{2,5}\)?[ ]?/[ ]?\d{3,9}(?:[ -]?\d{1,5})?")
_NANP = re.compile(r"(?:\+?1[-. ]{1,2})?(?:\([2-9]\d{2}\)[-. ]?[2-9]\d{2}[-. ]\d{4}|[2-9]\d{2}([-.])[2-9]\d{2}\1\d{4})(?![\d-])(?:(?: ?(?:x|ext\.?) ?\d{1,5}))?")  # fmt: skip
_NATIONAL = re.compile(
    r"0[1-9](?:([ .-])\d{2})(?:\1\d{2}){3}(?!\1?\d)|0\d{3,4}[ -]\d{3}[ -]?\d{3}(?!\d)|0\d{2}[ -]\d{4}[ -]\d{4}(?!\d)|\(0\d{2,4}\)[ -]?\d{3,4}[ -]?\d{3,5}(?!\d)|0\d{4}[ -]\d{6}(?!\d)|0[1-9]0?-\d{4}-\d{4}(?![\d-])|\([1-9]\d\)[ ]?9?\d{4}-\d{4}(?!\d)"
)
_INTERNATIONAL = re.compile(
    r"\+[1-9]\d{0,3}(?:[ .()/\-\u00a0\u2010-\u2013]{0,3}\d){6,14}(?!\d)(?: ?(?:x|ext\.?) ?\d{1,5})?"
)
_ZERO_ZERO = re.compile(r"00[1-9]\d{0,2}(?:[ .()/-]{1,2}\d{1,5}){2,6}(?!\d)")
_GROUPS = re.compile(r"\d+")
_MARK = re.compile(r"[^0-9]")
_APART = dict.fromkeys(map(ord, "+ .()/-\u00a0\u2010\u2011\u2012\u2013"))


def _w(words: str) -> re.Pattern[str]:
    """A word of context that stands close in front of a number."""
    return re.compile(rf"(?<![a-z])(?:{words})(?:[ _-]?(?:number|no|num|nr|code|id|is|card|#))*[^\w\n]{{0,8}}(?:(?:is|was|of|=|:|ist|est|es)[^\w\n]{{0,6}})?$", re.IGNORECASE)  # fmt: skip


_SSN = _w(r"ssn|social security|social|soc sec|itin|tin|taxpayer|tax(?:payer)? identification|ss")
# digits only, in front of which a word of context stands: length, word, check, name
_WORDED: tuple[tuple[int, re.Pattern[str], Check, str], ...] = (
    (9, _SSN, checksum.us_ssn, "us-ssn"),
    (10, _w(r"nhs|nhs[ _-]?number|national health(?: service)?"), checksum.uk_nhs, "uk-nhs"),
    (11, _w(r"steuer-?id(?:entifikationsnummer)?|steuer(?:liche)?[ _-]?(?:id|nummer|identifikationsnummer)|idnr|tax[ _-]?id|tin|german tax(?: id)?|steuer_?id"), checksum.de_tax, "de-tax"),
    (9, _w(r"bsn|burgerservicenummer|sofi(?:nummer)?|dutch(?: citizen)?(?: service)?|citizen service"), checksum.nl_bsn, "nl-bsn"),
    (11, _w(r"rijksregisternummer|registre national|national[ _-]?(?:register|registry|registration)|niss|insz|nrn|rrn"), checksum.be_rrn, "be-rrn"),
    (11, _w(r"pesel"), checksum.pl_pesel, "pl-pesel"),
    (10, _w(r"personnummer|personal identity|swedish(?: personal)?(?: identity)?|samordningsnummer|pnr|person(?:al)?[ _-]?(?:nr|number|id)"), checksum.se_pin, "se-personnummer"),
    (12, _w(r"personnummer|personal identity|swedish(?: personal)?(?: identity)?"), lambda d: checksum.se_pin(d[2:]), "se-personnummer"),
    (11, _w(r"f(?:ø|o)dselsnummer|fnr|f(?:ø|o)dselsnr|norwegian(?: national)?(?: identity)?|d-nummer|personnummer"), checksum.no_fnr, "no-fnr"),
    (10, _w(r"cpr|cpr-?nr|cpr-?nummer|danish(?: civil)?"), checksum.dk_cpr, "dk-cpr"),
    (11, _w(r"cpf|cadastro de pessoas?(?: f[ií]sicas?)?"), checksum.br_cpf, "br-cpf"),
    (14, _w(r"cnpj"), checksum.br_cnpj, "br-cnpj"),
    (12, _w(r"aadhaar|aadhar|uidai|uid|adhaar"), checksum.in_aadhaar, "in-aadhaar"),
    (9, _w(r"sin|social insurance|nas|num[eé]ro d'assurance sociale"), checksum.ca_sin, "ca-sin"),
    (9, _w(r"tfn|tax[ _-]?file"), checksum.au_tfn, "au-tfn"),
    (10, _w(r"medicare"), checksum.au_medicare, "au-medicare"),
    (11, _w(r"medicare"), lambda d: checksum.au_medicare(d[:10]), "au-medicare"),
    (13, _w(r"(?:south african |sa |rsa |za[ _-]?|national |identity |identity number )?(?:id(?:entity)?(?:[ _-]?(?:number|no|document))?)|id number|za[ _-]id"), checksum.za_id, "za-id"),
    (11, _w(r"t\.?c\.?(?: ?kimlik)?(?: ?no)?|tckn|kimlik(?: ?no)?|turkish(?: id)?"), checksum.tr_kimlik, "tr-kimlik"),
    (9, _w(r"nif|contribuinte|portuguese tax|n[uú]mero de contribuinte"), checksum.pt_nif, "pt-nif"),
    (10, _w(r"npi|national provider(?: identifier)?"), checksum.us_npi, "us-npi"),
    (9, _w(r"teudat zehut|israeli(?: id)?|tz"), checksum.il_id, "il-id"),
    (13, _w(r"ahv(?:-?nr)?|avs|ahv-?nummer|ahvn13"), checksum.ch_ahv, "ch-ahv"),
    (10, _w(r"svnr|sozialversicherungsnummer|sv-?nummer|svn"), checksum.at_svnr, "at-svnr"),
    (13, _w(r"rrn|resident registration|주민등록번호|jumin"), checksum.kr_rrn, "kr-rrn"),
    (9, _w(r"routing|aba|rtn|bank routing"), lambda d: (3 * sum(map(int, d[::3])) + 7 * sum(map(int, d[1::3])) + sum(map(int, d[2::3]))) % 10 == 0 and d != "000000000", "us-routing"),
)  # fmt: skip
_PART = re.compile(r"(?:^|\|)(\w*)")


def _hints(words: list[re.Pattern[str]]) -> re.Pattern[str]:
    """What one of the alternatives of one of `words` begins with: one look, where each of them takes its time."""
    inner = [word.pattern.removeprefix("(?<![a-z])(?:") for word in words]
    parts = {part for text in inner for part in _PART.findall(text[: text.index(")(?:[ _-]?(?:number|")])}
    return re.compile("|".join(sorted(parts)))


_LENGTHS = {n: [row[1:] for row in _WORDED if row[0] == n] for n, *_ in _WORDED}
_HINTS = {n: _hints([word for word, _, _ in rows]) for n, rows in _LENGTHS.items()}
# formats that nothing else has
_FORM: tuple[tuple[str, re.Pattern[str], Check, str], ...] = (
    ("- ", re.compile(r"\d{3}([- ])\d{2}\1\d{4}(?![\d-])"), checksum.us_ssn, "us-ssn"),
    (".", re.compile(r"\d{3}\.\d{3}\.\d{3}-\d{2}(?!\d)"), checksum.br_cpf, "br-cpf"),
    (".", re.compile(r"\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}(?!\d)"), checksum.br_cnpj, "br-cnpj"),
    (".", re.compile(r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}(?!\d)"), checksum.be_rrn, "be-rrn"),
    (".", re.compile(r"756\.\d{4}\.\d{4}\.\d{2}(?!\d)"), checksum.ch_ahv, "ch-ahv"),
    ("- ", re.compile(r"[2-9]\d{3}([ -])\d{4}\1\d{4}(?![ -]?\d)"), checksum.in_aadhaar, "in-aadhaar"),
    ("_ ", re.compile(r"[12] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}(?!\d)"), checksum.fr_nir, "fr-nir"),
    ("-", re.compile(r"\d{6}-[1-8]\d{6}(?!\d)"), checksum.kr_rrn, "kr-rrn"),
    ("-+", re.compile(r"(?:19|20)?\d{6}[-+]\d{4}(?![\d-])"), lambda d: checksum.se_pin(d[-10:]), "se-personnummer"),
    ("_", re.compile(r"[1-9]\d{5}(?:19|20)\d{10}(?!\d)"), checksum.cn_id, "cn-id"),
    (" ", re.compile(r"\d{3} \d{3} \d{4}(?![ ]?\d)"), checksum.uk_nhs, "uk-nhs"),
)  # fmt: skip
_FORMS = {
    mark: [row[1:] for row in _FORM if mark in row[0]] for mark in " .-+_"
}  # by what first parts the digits; `_`: nothing


def number(text: str, matched: re.Match[str]) -> Iterator[Span]:
    """What a run of digits and separators is."""
    start, end = matched.span()
    run = matched[0]
    if end - start < 7:
        return
    if _DATE.match(run) and end - start <= 13:
        return
    after = text[end : end + 1]
    if after and ((after.isalpha() and after not in "xXeE") or after == "_"):
        letters = text[end : end + 2]
        if not (letters[:1].isalpha() and not letters[1:].isalnum() and len(letters) == 2):
            return
    before = text[max(0, start - 60) : start]
    digits = run.translate(_APART)
    found = False
    for span in _numbers(text, start, end, run, digits, before):
        found = True
        yield span
    if found:
        return
    n = len(digits)
    line = before.rpartition("\n")[2].replace("_", " ")
    if n in _LENGTHS and _HINTS[n].search(lower := line.lower()):
        for word, check, name in _LENGTHS[n]:
            if check(digits) and word.search(lower):
                yield start, end, f"pii/{name}"
                return
    if 7 <= n <= 15 and _phone(text, end, run, digits, before):
        yield start + (run[0] == "(" and ")" not in run), end, "pii/phone"


def _numbers(text: str, start: int, end: int, run: str, digits: str, before: str) -> Iterator[Span]:
    if "." in run:
        for ip in _IPV4.finditer(text, start, end):
            yield from _ipv4(text, ip)
        if _IPV4.fullmatch(run):
            return
    n = len(digits)
    if n >= 13:
        for matched in _CARD.finditer(text, start, end):
            if text[matched.start() - 1 : matched.start()] in {"-", "/", "."}:
                continue
            for last in {matched.end(), min(matched.end(), matched.start() + 16 + 3 * len(matched[1] or ""))}:
                pan = text[matched.start() : last].translate(_APART)
                if 13 <= len(pan) <= 19 and checksum.card(pan):
                    yield matched.start(), last, "pii/card"
                    return
    if n >= 9:
        at = start
        first = _MARK.search(run)
        for form, check, name in _FORMS.get(first[0] if first else "_", ()):
            matched2 = form.match(text, at, end + 1)
            if matched2 and check("".join(c for c in matched2[0] if c.isalnum())):
                if name == "us-ssn" and " " in matched2[0] and not _SSN.search(before):
                    continue
                if name == "uk-nhs" and not re.search(r"nhs|patient|hospital", before, re.IGNORECASE):
                    continue
                if name == "se-personnummer" and text[at - 1 : at] in {"-", "/"}:
                    continue
                yield *matched2.span(), f"pii/{name}"
                return


def _ipv4(text: str, matched: re.Match[str]) -> Iterator[Span]:
    start, end = matched.span()
    parts = [int(part) for part in matched[0].split(".")]
    if max(parts) > 255 or any(len(part) > 1 and part[0] == "0" for part in matched[0].split(".")):
        return
    if (text[end : end + 1] in {"-", "_"} and text[end + 1 : end + 2].isalnum()) or (
        text[end : end + 1] == "." and text[end + 1 : end + 2].isdigit()
    ):
        return
    near = text[max(0, start - 12) : start]
    if near[-1:].isalnum() or (near[-1:] in {".", "-", "_"} and near[-2:-1].isalnum()) or _VERSION_LOW.search(near):
        return
    if parts[3] == 0 or parts[0] == 0 or parts[0] >= 224 or (parts[:3] == [1, 0, 0] and parts[3] == 0):
        return
    if max(parts) <= 31 and not _private(parts) and not _NETWORK.search(text[max(0, start - 24) : start]):
        return
    yield start, end, "pii/ip-private" if _private(parts) else "pii/ip"


_NETWORK = re.compile(r"ip|addr|host|client|src|dst|remote|peer|://|@|ssh|ping|dns|\[|from", re.IGNORECASE)


def _private(parts: list[int]) -> bool:
    a, b = parts[0], parts[1]
    return (
        a in {10, 127}
        or (a == 172 and 16 <= b <= 31)
        or (a == 192 and b == 168)
        or (a == 169 and b == 254)
        or (a == 100 and 64 <= b <= 127)
    )


_UNIX = re.compile(r"1[0-9]{9}(?:\d{3}){0,3}$")


_PHONE_HINT = re.compile(
    "phone|tel|mob|cell|fax|whatsapp|sms|call|text|ring|dial|handy|móvil|movil|tél|contact|msisdn|celular|t\xe9l|\u0442\u0435\u043b|\u96fb\u8a71|\u7535\u8bdd|\u624b\u673a|\uc804\ud654|number|reach|ph"
)


def _phone_word(before: str) -> bool:
    return _PHONE_HINT.search(before.lower()) is not None and _PHONE_WORD.search(before) is not None


def _phone(text: str, end: int, run: str, digits: str, before: str) -> bool:
    previous = before[-1:]
    if (previous in {"-", "/", "_", "#", "="} and not _phone_word(before)) or text[end : end + 1] in {"_", "%"}:
        return False
    if run[0] == "+":
        if run.count(".") == 1 and run.replace(".", "")[1:].isdigit():
            return False  # a number with decimals
        return bool(_INTERNATIONAL.fullmatch(run)) and len(set(run)) > 4 and len(digits) >= 8
    if _NANP.fullmatch(run) or _NATIONAL.fullmatch(run):
        return not _identified(before)
    if _ZERO_ZERO.fullmatch(run):
        return len(digits) >= 10
    if _phone_word(before) and not _IPV4.fullmatch(run) and not _identified(before):
        return len(digits) >= 7 and len(set(digits)) > 2 and ("/" not in run or _AREA.fullmatch(run) is not None)
    return False


_ID_WORDS = tuple(
    "order invoice ticket case ref reference tracking serial part sku isbn issn doi model id version batch lot account transaction "
    "confirmation receipt parcel shipment po pr issue job build commit".split()
)
_ID_ENDS = tuple("number no nr num code".split())


def _identified(before: str) -> bool:
    """Whether the word in front says that a number is the name of a thing: `order no. `."""
    tail = before[-40:].rstrip("\"'.:#= ").lower()
    if tail.endswith(_ID_WORDS):
        return True
    return tail.endswith(_ID_ENDS) and any(
        tail.endswith(end) and tail.removesuffix(end).rstrip(" _-").endswith(_ID_WORDS) for end in _ID_ENDS
    )


# Identities with letters: found by their triggers

LETTERED = re.compile(
    r"(?a)(?<![A-Za-z0-9_.\-/+=])(?:"
    r"(?P<nino>[ABCEGHJ-PRSTW-Z][ABCEGHJ-NPRSTW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D])"
    r"|(?P<dni>\d{8}-?[A-HJ-NP-TV-Z]|[XYZ]-?\d{7}-?[A-HJ-NP-TV-Z])"
    r"|(?P<fiscal>[A-Z]{6}\d{2}[ABCDEHLMPRST]\d{2}[A-Z]\d{3}[A-Z])"
    r"|(?P<hetu>\d{6}[-+A]\d{3}[0-9A-FHJ-NPR-Y])"
    r"|(?P<pan>[A-Z]{3}[PCHFATBLJG][A-Z]\d{4}[A-Z])"
    r"|(?P<cn>[1-9]\d{5}(?:19|20)\d{9}X)"
    r"|(?P<curp>[A-Z][AEIOUX][A-Z]{2}\d{6}[HM][A-Z]{5}[A-Z0-9]\d)"
    r"|(?P<nric>[STFGM]\d{7}[A-Z])"
    r"|(?P<nir>[12] ?\d{2} ?\d{2} ?2[AB] ?\d{3} ?\d{3} ?\d{2})"
    r")(?![A-Za-z0-9_\-/+=])"
)
_LETTERED: dict[str, tuple[Check, str]] = {
    "nino": (lambda t: t[:2] not in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}, "uk-nino"),
    "dni": (checksum.es_dni, "es-dni"),
    "fiscal": (checksum.it_fiscal, "it-fiscal-code"),
    "hetu": (lambda t: 1 <= int(t[:2]) <= 31 and 1 <= int(t[2:4]) <= 12 and checksum.fi_hetu(t), "fi-hetu"),
    "pan": (checksum.always, "in-pan"),
    "cn": (checksum.cn_id, "cn-id"),
    "curp": (checksum.mx_curp, "mx-curp"),
    "nric": (checksum.sg_nric, "sg-nric"),
    "nir": (checksum.fr_nir, "fr-nir"),
}


def lettered(matched: re.Match[str]) -> Iterator[Span]:
    """A national identity that has letters."""
    check, name = _LETTERED[matched.lastgroup or ""]
    kept = "".join(c for c in matched[0] if c.isalnum() or (matched.lastgroup == "hetu" and c in "+-"))
    if check(kept):
        yield *matched.span(), f"pii/{name}"


IBAN = re.compile(r"(?a)(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?=[ -]?[A-Za-z0-9]{4}[ -]?[A-Za-z0-9]{4})")


def iban(text: str, matched: re.Match[str]) -> Iterator[Span]:
    """An account from its country on."""
    country = matched[0][:2].upper()
    length = checksum.IBAN_LENGTH.get(country)
    if length is None:
        return
    kept: list[str] = []
    at = matched.start()
    limit = min(len(text), at + 2 * length)
    while at < limit and len(kept) < length:
        char = text[at]
        if char.isascii() and char.isalnum():
            kept.append(char)
        elif char not in " -\u00a0":
            return
        at += 1
    if not text[at : at + 1].isalnum() and len(kept) == length and checksum.iban("".join(kept).upper()):
        yield matched.start(), at, "pii/iban"


# Addresses of machines

COLONS = re.compile(
    r"(?a)(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,15}(?:(?<=:)\d{1,3}(?:\.\d{1,3}){3})?(?:%\w{1,16})?(?![\w:])"
)
DASHES = re.compile(r"(?a)(?<![\w-])[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5}(?![\w-])")
_MAC = re.compile(r"[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}")


def colons(matched: re.Match[str]) -> Iterator[Span]:
    """An IPv6 or a MAC address."""
    value = matched[0].rstrip(":") if not matched[0].endswith("::") else matched[0]
    start = matched.start()
    if _MAC.fullmatch(value):
        if len(set(value.replace(":", "").replace("-", "").lower())) > 1:
            yield start, start + len(value), "pii/mac"
        return
    if "::" not in value and value.count(":") != 7 and "." not in value:
        return
    if not any(map(str.isdigit, value)) or len(value) < 6:
        return
    try:
        ip = IPv6Address(value)
    except AddressValueError:
        return
    if ip.ipv4_mapped is not None and (ip.ipv4_mapped.is_private or ip.ipv4_mapped.is_unspecified):
        return
    private = (
        ip.is_loopback or ip.is_link_local or ip.is_unspecified or (int(ip) >> 121) == 0xFC >> 1 or ip.is_multicast
    )
    if not private and value.count(":") < 3 and not value.lower().startswith(("2", "3", "64:ff9b")):
        return
    yield start, start + len(value), "pii/ip-private" if private else "pii/ip"


# By the name beside it

_MONTH = r"(?:jan|feb|m[aä]r|apr|may|mai|jun|jul|aug|sep|o[ck]t|nov|de[cz])[a-zä]{0,7}\.?"
_BIRTH = re.compile(
    r"(?P<gap>[^\d\n;]{0,32}?)"
    r"(?P<v>(?:19|20)\d\d[-/.]?[01]\d[-/.]?[0-3]\d(?!\d)|\d{1,2}[-/. ]\d{1,2}[-/. ](?:19|20)?\d\d(?!\d)"
    rf"|\d{{1,2}}(?:st|nd|rd|th|\.)?[ -]{_MONTH},?[ -](?:19|20)\d\d|{_MONTH}[ ]\d{{1,2}}(?:st|nd|rd|th)?,?[ ](?:19|20)\d\d)",
    re.IGNORECASE,
)
_BIRTH_GAP = re.compile(
    r"[^a-z]*(?:(?:date|day|on|am|is|was|dob|of|birth|le|el|the|in|den|s|sdatum|at|value)[^a-z]*){0,4}", re.IGNORECASE
)
_CVV = re.compile(
    r"[ _-]?(?:2|code|number|no\.?|value)?[\"'`\\]{0,3}(?:[ \t]{0,3}(?:is|was|=|:|\()?[ \t:=]{0,3})[\"'`\\]{0,3}(?P<v>\d{3,4})(?![\d./-])",
    re.IGNORECASE,
)


def birth(text: str, end: int) -> Iterator[Span]:
    """A date of birth behind the word."""
    matched = _BIRTH.match(text, end, end + 80) if _GROUPS.search(text, end, end + 36) else None
    if matched and _BIRTH_GAP.fullmatch(matched["gap"]):
        yield *matched.span("v"), "pii/date-of-birth"


def cvv(text: str, end: int) -> Iterator[Span]:
    """A card's security code behind the word."""
    matched = _CVV.match(text, end)
    if matched:
        yield *matched.span("v"), "pii/cvv"


_PASSPORT = re.compile(
    r"[ _-]?(?:number|no\.?|nr\.?|num|#|id)?[\"'`\\]{0,3}[ \t]{0,3}(?:is|was|=|:|#)?[ \t:=#]{0,3}[\"'`\\]{0,3}(?P<v>[A-Z]{0,2}\d{6,9}[A-Z]?|[CFGHJKLMNPRTVWXYZ][CFGHJKLMNPRTVWXYZ0-9]{8})(?![\w-])",
    re.IGNORECASE,
)


def passport(text: str, end: int) -> Iterator[Span]:
    """The number behind `passport` or `driver's licence`."""
    matched = _PASSPORT.match(text, end)
    if matched and sum(map(str.isdigit, matched["v"])) >= 5:
        yield *matched.span("v"), "pii/passport"


# Names

_NAME_WORD = r"[^\W\d_](?:[^\W\d_]|['\u2019.-](?=[^\W\d_])){0,24}"
_UPPER_NAME = re.compile(
    rf"(?=[^\W\d_a-z])(?:{_NAME_WORD}\.?)(?:[ ](?:(?:van|von|de|der|den|del|da|dos|di|la|le|bin|al|el|ter|zu|y|e)[ ])*(?=[^\W\d_a-z]){_NAME_WORD}\.?){{0,3}}"
)
_WRITTEN = re.compile(rf"(?:^|(?<=[\s\"':,;(>]))(?P<v>{_UPPER_NAME.pattern})[\"']?[ ]$")
_NAME_KEY = re.compile(
    r"(?P<rest>[\w-]{0,20})\\?[\"']?[ \t]{0,3}[:=][ \t]{0,3}\\?(?P<q>[\"'])(?P<v>(?:(?!(?P=q))[^\n\\\d@:/<>{}()_=]){2,60})\\?(?P=q)"
)
_NAME_LINE = re.compile(r"[ \t]{0,3}:[ \t]{1,3}(?P<v>.{2,60})")
_NAME_KEYS = frozenset(
    "firstname lastname fullname surname givenname familyname middlename maidenname forename cardholder cardholdername "
    "accountholder accountholdername holder holdername customername contactname patientname patient employeename "
    "beneficiary beneficiaryname recipientname displayname legalname nachname vorname nombre apellido apellidos prenom "
    "borrowername guestname passengername studentname ownername nameoncard billingname shippingname clientname personname "
    "sendername authorname realname username_full tenantname applicantname insuredname membername payeename nameofholder".split()
)
_NOT_NAME = frozenset(
    "inc ltd llc gmbh corp company server service system test team group user admin client product project plan pro plus "
    "basic premium standard free default widget app application api data base database cloud store shop bank hotel school "
    "university department office support sales new old my the a an and or of for in to with error warning info debug "
    "json xml html csv pdf monthly annual yearly daily weekly report order invoice item list table file folder page main "
    "name first last full blue red green black white large small medium unknown none null true false string number "
    "news great breaking pipeline all everyone everybody folks sir madam both python java developer engineer forward big "
    "united north south east west street road avenue city state country time date visa mastercard american express "
    "getting started hello world notifications settings production staging development open source web mobile desktop "
    "hiring manager colleague colleagues friend friends member members subscriber applicant candidate partner partners owner reader "
    "parent parents student students guest director editor recruiter neighbour neighbor valued head officer "
    "key value title description home dashboard chat gpt claude sonnet opus haiku model agent assistant tool function here glad sorry sure fine not just going trying happy afraid looking back done ready good well excited wondering curious also still so very really too only getting having working using writing building running".split()
)


_FIRST_OF_TWO = re.compile(
    r"(?<!\w)(?:full|first|last|family|given|middle|maiden|patient|customer|contact|client|guest|holder)[ ]$",
    re.IGNORECASE,
)


def name_key(text: str, start: int, end: int) -> Iterator[Span]:
    """A person's name behind a key that says so."""
    head = 0
    while head < 24 and start - head and ((char := text[start - head - 1]).isalnum() or char in "_-"):
        head += 1
    if text[start - head - 1 : start - head] == " " and (
        word := _FIRST_OF_TWO.search(text, max(0, start - head - 12), start - head)
    ):
        head += len(word[0])  # `full name`
    matched = _NAME_KEY.match(text, end)
    key = (
        (text[start - head : end] + (matched["rest"] if matched else ""))
        .replace("_", "")
        .replace("-", "")
        .replace(" ", "")
        .lower()
    )
    if matched:
        if name_value(key, matched["v"]):
            yield *matched.span("v"), "pii/name"
        return
    if (
        key == "name"
        and text[max(0, start - head - 12) : start - head].strip(" \t\r\n-*>|#") != ""
        and text[start - head - 1 : start - head] not in {"\n", ""}
    ):
        return
    line = _NAME_LINE.match(text, end)
    if line and (key in _NAME_KEYS or (key == "name" and text[start : start + 1] == "N")):
        found = _UPPER_NAME.match(text, line.start("v"))
        if (
            found
            and text[found.end() : found.end() + 1] in {"", "\n", "\r", ",", ";", "|", "<"}
            and person(found[0], 1 if key in _NAME_KEYS else 2)
        ):
            yield *found.span(), "pii/name"


def name_value(key: str, value: str) -> bool:
    """Whether `value` under `key` (lower case, letters only) is a person's name."""
    if key in _NAME_KEYS:
        return person(value, 1)
    return key == "name" and person(value, 2)


def person(value: str, least: int) -> bool:
    """Capitalised words, at least so many, none of them a thing's."""
    value = value.strip()
    if not _UPPER_NAME.fullmatch(value):
        return False
    words = value.split()
    return (
        least <= len(words) <= 5
        and not any(w.lower().strip(".") in _NOT_NAME for w in words)
        and not (value.isupper() and len(words) == 1)
    )


_SAID = re.compile(r"(?:[ ]|\u00a0)(?=[^\W\d_a-z])")


def said_name(text: str, end: int, least: int) -> Iterator[Span]:
    """A name behind `I'm`, `my name is`, `Mrs.`."""
    if not text[end : end + 1].isspace():
        return
    found = _UPPER_NAME.match(text, end + 1)
    if found:
        value = found[0].rstrip(".")
        if person(value, least) and not value.isupper():
            yield found.start(), found.start() + len(value), "pii/name"
