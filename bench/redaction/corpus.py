# ruff: noqa: E501 - tables are rows
"""Made-up rows with gold spans, and hard negatives without. Everything comes from a seed; no value is anybody's.

A template is text with `{kind}` in it. `{=kind}` is filled in but is no gold: a reader may leave it or take it.
"""

from __future__ import annotations

import base64
import random
import re
import string
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from interlock.detect.redact import checksum

Rng = random.Random
B62 = string.ascii_letters + string.digits
SETS = {
    "b62": B62,
    "hex": "0123456789abcdef",
    "dig": string.digits,
    "low": string.ascii_lowercase + string.digits,
    "up": string.ascii_uppercase + string.digits,
    "b32": string.ascii_uppercase + "234567",
    "url": B62 + "_-",
    "b64": B62 + "+/",
    "Hex": "0123456789ABCDEF",
}


def grown(rng: Rng, shape: str) -> str:
    """`shape` with every `{set:n}` drawn."""
    return re.sub(r"\{(\w+):(\d+)\}", lambda m: "".join(rng.choice(SETS[m[1]]) for _ in range(int(m[2]))), shape)


ISSUED = """
AKIA{b32:16}|ghp_{b62:36}|github_pat_{b62:22}_{b62:59}|glpat-{url:20}|sk-ant-api03-{url:93}AA|sk-proj-{url:74}T3BlbkFJ{url:74}
sk-{b62:20}T3BlbkFJ{b62:20}|AIza{url:35}|xoxb-{dig:12}-{dig:13}-{b62:24}|xapp-1-A{up:10}-{dig:13}-{hex:64}|sk_live_{b62:24}|rk_test_{b62:99}
SG.{url:22}.{url:43}|SK{hex:32}|npm_{b62:36}|pypi-AgEIcHlwaS5vcmc{url:70}|hf_{b62:34}|dop_v1_{hex:64}|shpat_{hex:32}|dapi{hex:32}
hvs.{url:95}|glsa_{b62:32}_{hex:8}|lin_api_{b62:40}|ntn_{dig:11}{b62:35}|figd_{url:40}|PMAK-{hex:24}-{hex:34}|dp.pt.{b62:43}|pul-{hex:40}
sntryu_{hex:64}|NRAK-{up:27}|r8_{b62:37}|gsk_{b62:52}|pplx-{b62:48}|xai-{b62:80}|fo1_{url:43}|rubygems_{hex:48}|dckr_pat_{url:27}
ATATT3{url:186}|EAACEdEose0cBA{b62:120}|GOCSPX-{url:28}|ya29.{url:80}|{hex:32}-us12|{dig:10}:AA{url:33}|{b62:14}.atlasv1.{url:64}
AGE-SECRET-KEY-1{b32:58}|lsv2_pt_{hex:32}_{hex:10}|tskey-auth-{b62:12}-{b62:32}|sq0csp-{url:43}|CCIPAT_{b62:22}_{hex:40}|napi_{low:64}
PRIVTOK|doo_v1_{hex:64}|xkeysib-{hex:64}-{b62:16}|tfp_{b62:40}|EZAK{b62:54}|nvapi-{url:64}|re_{b62:8}_{b62:24}|phx_{b62:43}|whsec_{b64:32}
""".replace("PRIVTOK|", "").split()
ISSUED = [shape for line in ISSUED for shape in line.split("|")]
FIRST = "Maria James Olga Pierre Chen Aisha Lukas Emma Noah Priya Diego Fatima Yuki Omar Ingrid Mateo Sofia Liam Hannah Tomasz".split()
LAST = "Lopez Smith Petrova Dubois Wei Khan Weber Johansson O'Brien Sharma Garcia Hassan Tanaka Haddad Larsen Rossi Novak Murphy Kowalski Jones".split()
HOSTS = "example.com example.org mail.example.net acme-corp.com northwind.io contoso.co.uk beispiel.de".split()
WORDS = (
    "apple river stone cloud maple tiger ocean candle forest marble copper falcon meadow silver winter thunder".split()
)


def _digits(rng: Rng, n: int) -> str:
    return "".join(rng.choice(string.digits) for _ in range(n))


def _until(_: Rng, make: Callable[[], str], good: Callable[[str], bool]) -> str:
    while not good(value := make()):
        pass
    return value


def card(rng: Rng) -> str:
    """With a valid check digit, of any of the usual issuers."""
    prefix, n = rng.choice(
        [
            ("4", 16),
            ("51", 16),
            ("55", 16),
            ("2221", 16),
            ("34", 15),
            ("37", 15),
            ("36", 14),
            ("305", 14),
            ("6011", 16),
            ("3530", 16),
        ]
    )
    digits = _until(rng, lambda: prefix + _digits(rng, n - len(prefix)), checksum.card)
    groups = {16: (4, 4, 4, 4), 15: (4, 6, 5), 14: (4, 6, 4)}[n]
    mark = rng.choice(["", " ", "-"])
    out, at = [], 0
    for size in groups:
        out.append(digits[at : at + size])
        at += size
    return mark.join(out)


def iban(rng: Rng) -> str:
    """Valid, compact or in groups."""
    country, bban = rng.choice(
        [
            ("DE", "{dig:18}"),
            ("GB", "NWBK{dig:14}"),
            ("FR", "{dig:10}{up:11}{dig:2}"),
            ("NL", "ABNA{dig:10}"),
            ("ES", "{dig:20}"),
            ("CH", "{dig:17}"),
            ("NO", "{dig:11}"),
            ("PL", "{dig:24}"),
            ("IT", "X{dig:22}"),
        ]
    )
    body = grown(rng, bban)
    check = 98 - int("".join(str(int(c, 36)) for c in body + country + "00")) % 97
    text = f"{country}{check:02}{body}"
    return " ".join(text[i : i + 4] for i in range(0, len(text), 4)) if rng.random() < 0.5 else text


def phone(rng: Rng) -> str:
    """In a format that says what it is."""
    a, b, c = rng.randint(201, 989), rng.randint(200, 999), _digits(rng, 4)
    return rng.choice(
        [
            f"+1 ({a}) {b}-{c}",
            f"({a}) {b}-{c}",
            f"{a}-{b}-{c}",
            f"+1{a}{b}{c}",
            f"+1-{a}-{b}-{c}",
            f"+44 20 7{_digits(rng, 3)} {c}",
            f"+49 30 {_digits(rng, 7)}",
            f"+33 6 {_digits(rng, 2)} {_digits(rng, 2)} {_digits(rng, 2)} {_digits(rng, 2)}",
            f"+91 9{_digits(rng, 4)} {_digits(rng, 5)}",
            f"+4915{_digits(rng, 9)}",
            f"06 {_digits(rng, 2)} {_digits(rng, 2)} {_digits(rng, 2)} {_digits(rng, 2)}",
            f"07{_digits(rng, 3)} {_digits(rng, 6)}",
        ]
    )


def _grouped(text: str, mark: str, *sizes: int) -> str:
    out, at = [], 0
    for size in sizes:
        out.append(text[at : at + size])
        at += size
    return mark.join(out)


def identity(rng: Rng) -> tuple[str, str]:
    """A national identity with its name, which stands in front."""

    def some(n: int, good: Callable[[str], bool], before: str = "", after: str = "") -> str:
        return _until(rng, lambda: before + _digits(rng, n) + after, good)

    date = f"{rng.randint(50, 99):02}{rng.randint(1, 12):02}{rng.randint(1, 28):02}"
    other_way = date[4:] + date[2:4] + date[:2]
    name = rng.choice(
        "SSN,NHS number,NINO,Steuer-ID,NIR,DNI,BSN,PESEL,personnummer,henkilötunnus,CPF,Aadhaar,PAN,SIN,TFN,ID number,身份证,NRIC,T.C. Kimlik No,fødselsnummer,NPI".split(
            ","
        )
    )
    d = _digits(rng, 10)
    match name:
        case "SSN":
            value = _grouped(
                _until(rng, lambda: f"{rng.randint(1, 899):03}{_digits(rng, 6)}", checksum.us_ssn), "-", 3, 2, 4
            )
        case "NHS number":
            value = _grouped(some(10, checksum.uk_nhs), " ", 3, 3, 4)
        case "NINO":
            value = (
                f"{rng.choice('ABCEGHJLM')}{rng.choice('ABCEGHJKLM')} {d[:2]} {d[2:4]} {d[4:6]} {rng.choice('ABCD')}"
            )
        case "Steuer-ID":
            value = some(11, checksum.de_tax)
        case "NIR":
            value = some(8, checksum.fr_nir, f"{rng.choice('12')}{date[:4]}75")
        case "DNI":
            value = d[:8] + "TRWAGMYFPDXBNJZSQVHLCKE"[int(d[:8]) % 23]
        case "BSN":
            value = some(9, checksum.nl_bsn)
        case "PESEL":
            value = some(5, checksum.pl_pesel, date)
        case "personnummer":
            value = _grouped(some(4, checksum.se_pin, date), "-", 6, 4)
        case "henkilötunnus":
            value = f"{other_way}-{d[:3]}" + "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(other_way + d[:3]) % 31]
        case "CPF":
            whole = some(11, checksum.br_cpf)
            value = f"{_grouped(whole, '.', 3, 3, 3)}-{whole[9:]}"
        case "Aadhaar":
            value = _grouped(some(12, checksum.in_aadhaar), " ", 4, 4, 4)
        case "PAN":
            value = f"{rng.choice('ABCXYZ')}{rng.choice('ABCXYZ')}CP{rng.choice('KLMN')}{d[:4]}{rng.choice('ABCDEF')}"
        case "SIN":
            value = _grouped(some(9, checksum.ca_sin), " ", 3, 3, 3)
        case "TFN":
            value = some(9, checksum.au_tfn)
        case "ID number":
            value = _until(rng, lambda: f"{date}{_digits(rng, 4)}0{_digits(rng, 2)}", checksum.za_id)
        case "身份证":
            value = some(4, checksum.cn_id, f"11010119{date}")
        case "NRIC":
            value = _until(rng, lambda: f"S{_digits(rng, 7)}{rng.choice('ABCDEFGHIZJ')}", checksum.sg_nric)
        case "T.C. Kimlik No":
            value = some(11, checksum.tr_kimlik)
        case "fødselsnummer":
            value = some(5, checksum.no_fnr, other_way)
        case _:
            value = some(9, checksum.us_npi, "1")
    return name, value


def password(rng: Rng) -> str:
    """What people and managers of passwords make."""
    word = rng.choice(WORDS)
    return rng.choice(
        [
            f"{word.title()}{_digits(rng, rng.randint(2, 4))}!",
            f"{word}{_digits(rng, 3)}",
            grown(rng, "{b62:12}"),
            f"{word[:3]}@{_digits(rng, 2)}#{word.title()}",
            "".join(rng.choice(B62 + "!@#$%^*") for _ in range(14)) + "9",
            f"{rng.choice(WORDS)}-{rng.choice(WORDS)}-{word}-{_digits(rng, 2)}",
            grown(rng, "{b62:20}"),
        ]
    )


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _jwt(rng: Rng) -> str:
    return ".".join(
        [
            _encoded('{"alg":"HS256","typ":"JWT"}'),
            _encoded(f'{{"sub":"{_digits(rng, 8)}","iat":17{_digits(rng, 8)}}}'),
            grown(rng, "{url:43}"),
        ]
    )


def _pem(rng: Rng, how: str) -> str:
    kind = rng.choice(["RSA ", "EC ", "OPENSSH ", ""])
    lines = [grown(rng, "{b64:64}") for _ in range(rng.randint(3, 12))] + [grown(rng, "{b64:22}") + "=="]
    head, tail = f"-----BEGIN {kind}PRIVATE KEY-----", f"-----END {kind}PRIVATE KEY-----"
    if how == "cut":
        return "\n".join([head, *lines[:-1]])
    mark = {"lines": "\n", "escaped": "\\n", "one": " "}[how]
    return mark.join([head, *lines, tail])


def name(rng: Rng) -> str:
    """Two words."""
    return f"{rng.choice(FIRST)} {rng.choice(LAST)}"


def email(rng: Rng) -> str:
    """In the usual shapes."""
    first, last = rng.choice(FIRST).lower(), rng.choice(LAST).lower().replace("'", "")
    return (
        rng.choice([f"{first}.{last}", f"{first[0]}{last}", f"{first}_{last}{_digits(rng, 2)}", f"{first}+news"])
        + "@"
        + rng.choice(HOSTS)
    )


KINDS: dict[str, Callable[[Rng], str]] = {
    "issued": lambda rng: grown(rng, rng.choice(ISSUED)),
    "b62_32": lambda rng: grown(rng, "{b62:32}"),
    "b64_40": lambda rng: grown(rng, "{b64:38}x7"),
    "hex32": lambda rng: grown(rng, "{hex:32}"),
    "hex40": lambda rng: grown(rng, "{hex:40}"),
    "hex64": lambda rng: grown(rng, "{hex:64}"),
    "uuid": lambda rng: grown(rng, "{hex:8}-{hex:4}-4{hex:3}-a{hex:3}-{hex:12}"),
    "opaque": lambda rng: grown(rng, rng.choice(["{b62:24}", "{url:36}", "{hex:48}", "{b62:64}"])) + "7",
    "password": password,
    "urlpassword": lambda rng: quote(password(rng), safe="!"),
    "jwt": _jwt,
    "pem": lambda rng: _pem(rng, "lines"),
    "pem_cut": lambda rng: _pem(rng, "cut"),
    "pem_one": lambda rng: _pem(rng, "one"),
    "pem_escaped": lambda rng: _pem(rng, "escaped"),
    "card": card,
    "iban": iban,
    "phone": phone,
    "phone10": lambda rng: f"{rng.randint(201, 989)}{rng.randint(200, 999)}{_digits(rng, 4)}",
    "email": email,
    "name": name,
    "first": lambda rng: rng.choice(FIRST),
    "ip": lambda rng: (
        f"{rng.choice([8, 23, 51, 81, 142, 185, 203])}.{rng.randint(1, 254)}.{rng.randint(1, 254)}.{rng.randint(1, 254)}"
    ),
    "ip6": lambda rng: rng.choice(
        [
            f"2001:db8:{grown(rng, '{hex:4}')}::{grown(rng, '{hex:3}')}",
            f"2a02:{grown(rng, '{hex:3}')}:{grown(rng, '{hex:4}')}:1:{grown(rng, '{hex:4}:{hex:4}:{hex:4}:{hex:4}')}",
        ]
    ),
    "mac": lambda rng: rng.choice([":", "-"]).join(grown(rng, "{Hex:2}") for _ in range(6)),
    "cvv": lambda rng: _digits(rng, 3),
    "dob": lambda rng: rng.choice(["19{:02}-{:02}-{:02}", "{2:02}/{1:02}/19{0:02}", "{2} March 19{0:02}"]).format(
        rng.randint(40, 99), rng.randint(1, 12), rng.randint(1, 28)
    ),
    "basic": lambda rng: base64.b64encode(f"{rng.choice(WORDS)}:{password(rng)}".encode()).decode(),
    "b64pw": lambda rng: base64.b64encode(f"password={password(rng)}".encode()).decode(),
    "sig": lambda rng: quote(grown(rng, "{b64:43}="), safe=""),
    "last": lambda rng: rng.choice(LAST),
    "hook": lambda rng: grown(rng, "T{up:10}/B{up:10}/{b62:24}"),
    "email40": lambda rng: email(rng).replace("@", "%40"),
    "email_at": lambda rng: email(rng).replace("@", rng.choice([" (at) ", "(at)", " [at] "])).replace("+news", ""),
    "b64key": lambda rng: grown(rng, "{b64:86}"),
    "b64_86": lambda rng: grown(rng, "{b64:86}"),
    "b64png": lambda rng: base64.b64encode(b"\x89PNG\r\n\x1a\n" + rng.randbytes(90)).decode(),
    "hex16": lambda rng: grown(rng, "{hex:16}"),
    "b62_24": lambda rng: grown(rng, "{b62:24}"),
    "b62_29": lambda rng: grown(rng, "{b62:29}"),
    "b62_43": lambda rng: grown(rng, "{b62:43}"),
    "b62_60": lambda rng: grown(rng, "{b62:60}"),
    "b62_40": lambda rng: grown(rng, "{b62:40}"),
    "b64_43": lambda rng: grown(rng, "{b64:43}"),
    "b64_22": lambda rng: grown(rng, "{b64:22}"),
    "pgp": lambda rng: "\n".join([grown(rng, "{b64:64}") for _ in range(5)] + ["=" + grown(rng, "{b64:4}")]),
    "d6": lambda rng: _digits(rng, 6),
    "word": lambda rng: rng.choice(WORDS),
    "n": lambda rng: str(rng.randint(1, 99999)),
    "d8": lambda rng: _digits(rng, 8),
    "d10": lambda rng: str(rng.randint(1, 9)) + _digits(rng, 9),
    "d16": lambda rng: _until(rng, lambda: "4" + _digits(rng, 15), lambda x: not checksum.luhn(x)),
    "time": lambda rng: (
        f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}.{_digits(rng, 3)}Z"
    ),
    "v": lambda rng: f"{rng.randint(0, 20)}.{rng.randint(0, 30)}.{rng.randint(0, 9)}",
    "aws_id": lambda rng: grown(rng, "AKIA{b32:16}"),
    "b64word": lambda rng: base64.b64encode(password(rng).encode()).decode(),
    "docker_auth": lambda rng: base64.b64encode(
        f'{{"auths":{{"r.example.com":{{"auth":"{base64.b64encode(f"ci:{password(rng)}".encode()).decode()}"}}}}}}'.encode()
    ).decode(),
    "basic_raw": lambda rng: base64.b64encode(f"{rng.choice(WORDS)}:{password(rng)}".encode()).decode(),
    "b64env": lambda rng: base64.b64encode(f"API_KEY={grown(rng, '{b62:32}')}".encode()).decode(),
    "hexpw": lambda rng: f"password={password(rng)}".encode().hex(),
    "mnemonic": lambda rng: " ".join(rng.choice(WORDS) for _ in range(12)),
    "pem_indent": lambda rng: _pem(rng, "lines").replace("\n", "\n  "),
    "pem_tail": lambda rng: _pem(rng, "lines").partition("\n")[2],
    "telegram": lambda rng: grown(rng, "{dig:10}:AA{url:33}"),
    "phone_de": lambda rng: rng.choice(
        [f"030 {_digits(rng, 8)}", f"0171-{_digits(rng, 7)}", f"089/{_digits(rng, 6)}", f"+49 (0)30 {_digits(rng, 6)}"]
    ),
    "phone_fr": lambda rng: rng.choice(["01 {} {} {} {}", "+33 1 {} {} {} {}", "06.{}.{}.{}.{}"]).format(
        *(_digits(rng, 2) for _ in range(4))
    ),
    "phone_es": lambda rng: rng.choice(
        [f"6{_digits(rng, 8)}", f"+34 6{_digits(rng, 2)} {_digits(rng, 3)} {_digits(rng, 3)}"]
    ),
    "phone_it": lambda rng: rng.choice([f"+39 06 {_digits(rng, 8)}", f"333 {_digits(rng, 7)}"]),
    "phone_in": lambda rng: rng.choice([f"+91-9{_digits(rng, 9)}", f"9{_digits(rng, 4)} {_digits(rng, 5)}"]),
    "phone_uk": lambda rng: rng.choice(
        [
            f"020 7{_digits(rng, 3)} {_digits(rng, 4)}",
            f"07{_digits(rng, 9)}",
            f"+44 7{_digits(rng, 3)} {_digits(rng, 6)}",
        ]
    ),
    "phone_jp": lambda rng: rng.choice(
        [f"03-{_digits(rng, 4)}-{_digits(rng, 4)}", f"090-{_digits(rng, 4)}-{_digits(rng, 4)}"]
    ),
    "phone_br": lambda rng: rng.choice(
        [f"(11) 9{_digits(rng, 4)}-{_digits(rng, 4)}", f"+55 11 9{_digits(rng, 4)}-{_digits(rng, 4)}"]
    ),
    "ssn": lambda rng: _grouped(
        _until(rng, lambda: f"{rng.randint(1, 899):03}{_digits(rng, 6)}", checksum.us_ssn), "-", 3, 2, 4
    ),
    "ssn9": lambda rng: _until(rng, lambda: f"{rng.randint(100, 899)}{_digits(rng, 6)}", checksum.us_ssn),
    "passport": lambda rng: rng.choice(
        [f"C{_digits(rng, 8)}", _digits(rng, 9), grown(rng, "{up:1}").replace("0", "X") + _digits(rng, 7)]
    ),
    "licence": lambda rng: rng.choice("ABDF") + _digits(rng, 7),
    "d4": lambda rng: _digits(rng, 4),
    "d12": lambda rng: _digits(rng, 12),
    "d15": lambda rng: _digits(rng, 15),
    "hex7": lambda rng: grown(rng, "{hex:7}"),
    "hex8": lambda rng: grown(rng, "{hex:8}"),
    "hex24": lambda rng: grown(rng, "{hex:24}"),
    "b62_8": lambda rng: grown(rng, "{b62:8}"),
    "b62_20": lambda rng: grown(rng, "{b62:20}"),
    "b62_27": lambda rng: grown(rng, "{b62:27}"),
    "b62_35": lambda rng: grown(rng, "{b62:35}"),
    "b62_36": lambda rng: grown(rng, "{b62:36}"),
    "b62_50": lambda rng: grown(rng, "{b62:50}"),
    "b62_64": lambda rng: grown(rng, "{b62:64}"),
    "Hex32": lambda rng: grown(rng, "{Hex:32}"),
    "b62_44": lambda rng: grown(rng, "{b62:44}"),
    "b64_60": lambda rng: grown(rng, "{b64:60}"),
    "b64_64": lambda rng: grown(rng, "{b64:64}"),
}
FILLER = frozenset(
    "word n d8 d10 d16 time v uuid hex32 hex40 hex64 b62_32 opaque b64key b64_86 b64png hex16 b62_24 b62_29 b62_43 b62_60 b62_40 b64_43 b64_22 d6 d4 d12 d15 hex7 hex8 hex24 b62_8 b62_20 b62_27 b62_35 b62_36 b62_44 b62_50 b62_64 Hex32 b64_60 b64_64".split()
)  # gold only if asked for: `{!hex40}`
SECRETS = frozenset(
    "issued b62_32 b64_40 hex32 hex40 hex64 opaque password urlpassword jwt pem pem_cut pem_one pem_escaped basic b64pw sig b64key hook d6 pgp uuid aws_id b64word docker_auth basic_raw b64env hexpw mnemonic pem_indent pem_tail telegram d4 b62_20 b62_24 b62_27 b62_40 b62_60 b62_36 b62_50 b62_64 Hex32 b64_43 b64_64".split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A text, what is to be found in it, and what may be."""

    text: str
    gold: tuple[tuple[int, int, str], ...]
    either: tuple[tuple[int, int], ...] = ()


_FIELD = re.compile(r"\{([!=]?)(\w+)\}")


def row(rng: Rng, template: str) -> Row:
    """One filled template."""
    pieces: list[str] = []
    gold: list[tuple[int, int, str]] = []
    either: list[tuple[int, int]] = []
    at = size = 0
    for field in _FIELD.finditer(template):
        before = template[at : field.start()]
        kind = field[2]
        if kind != "identity" and kind not in KINDS:
            continue  # braces of the text
        if kind == "identity":
            label, value = identity(rng)
            before += f"{label}: "
        else:
            value = KINDS[kind](rng)
        pieces += [before, value]
        start = size + len(before)
        size = start + len(value)
        if field[1] == "=":
            either.append((start, size))
        elif field[1] == "!" or kind not in FILLER:
            gold.append((start, size, kind))
        at = field.end()
    return Row(text="".join((*pieces, template[at:])), gold=tuple(gold), either=tuple(either))


def rows(seed: int, positive: list[str], negative: list[str], *, each: int) -> tuple[list[Row], list[Row]]:
    """Every template `each` times."""
    rng = random.Random(seed)
    return [row(rng, t) for t in positive for _ in range(each)], [row(rng, t) for t in negative for _ in range(each)]
