# ruff: noqa: E501, PLR2004 - lengths and ranges are what the formats of these things are
"""One pass over a text: triggers, the finders they call, what encodings hide, and at most one finding for each place."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from itertools import pairwise

from interlock.detect.redact import decode, personal, secret
from interlock.detect.redact.rule import beside
from interlock.detect.redact.trigger import Engine, Trigger, engine

Span = tuple[int, int, str]  # [start, end), what
Finder = Callable[[str, int, int], Iterator[Span]]  # those of `_REMEMBER` take what the pass has seen, too
_REMEMBER: frozenset[Callable[..., Iterator[Span]]] = frozenset(
    {secret.keyed, secret.cookie, secret.oracle, secret.private_key, secret.private_key_end}
)

_NAMED = "pass pwd psw secret token key credential jwt senha kennwort contrase wachtwoord parola otp pin session sess sid auth clave code pw psk losenord l\xf6senord heslo salasana kodeord adgangskode sifre jelsz".split()  # fmt: skip


def _starts(find: Callable[[str, int], Iterator[Span]]) -> Finder:
    return lambda text, start, _end: find(text, start)


def _ends(find: Callable[[str, int], Iterator[Span]]) -> Finder:
    return lambda text, _start, end: find(text, end)


def _word(find: Callable[[str, int], Iterator[Span]]) -> Finder:
    """A finder that wants a whole word in front."""

    def found(text: str, start: int, end: int) -> Iterator[Span]:
        if not start or not text[start - 1].isalnum():
            yield from find(text, end)

    return found


def _introduction(text: str, start: int, end: int, least: int) -> Iterator[Span]:
    if not start or not text[start - 1].isalnum():
        yield from personal.said_name(text, end, least)


@lru_cache(maxsize=1)
def _table() -> tuple[tuple[Trigger, Callable[..., Iterator[Span]]], ...]:
    exact: list[tuple[str, Callable[..., Iterator[Span]]]] = [
        (hint, _starts(partial(lambda rules, text, at: secret.marked(text, rules, at), rules)))
        for hint, rules in secret.hints().items()
    ]
    exact += [
        ("-----BEGIN", secret.private_key),
        ("-----END", secret.private_key_end),
        ("eyJ", _starts(secret.json_web_token)),
        ("://", _ends(secret.address)),
        ("@", personal.email),
        ("%40", personal.email),
        (" -u", secret.short_flag),
        (" -p", secret.short_flag),
        (" -a", secret.short_flag),
        (" -w", secret.short_flag),
        (" -P", secret.short_flag),
        (" -U", secret.short_flag),
        ("-user", secret.user_flag),
        ("oracle:thin:", secret.oracle),
        ("sqlplus ", secret.oracle),
        ("Private-Lines:", _ends(secret.putty)),
        *((word, _ends(secret.login)) for word in ("auth", "Auth", "login", "Login", "getConnection")),
        *((title, partial(_introduction, least=1)) for title in ("Mr.", "Mrs.", "Ms.", "Mr", "Mrs", "Ms")),
    ]
    caseless: list[tuple[str, Callable[..., Iterator[Span]]]] = [(word, secret.keyed) for word in _NAMED]
    caseless += [
        ("bearer", _word(secret.bearer)),
        ("basic", _word(secret.basic)),
        ("authorization", _ends(secret.authorization)),
        ("cookie", secret.cookie),
        ("identified", _ends(secret.identified)),
        *((words, secret.piped) for words in ("sudo -S", "--password-stdin", "passwd --stdin", "chpasswd")),
        ("phrase", secret.seed),
        ("mnemonic", secret.seed),
        ("signature", secret.signature),
        ("sig", secret.signature),
        *(
            ("(at)", _starts(personal.spoken_email)),
            ("[at]", _starts(personal.spoken_email)),
            ("( at )", _starts(personal.spoken_email)),
            ("[ at ]", _starts(personal.spoken_email)),
            ("{at}", _starts(personal.spoken_email)),
            ("<at>", _starts(personal.spoken_email)),
        ),
        *(
            (word, _ends(personal.birth))
            for word in (
                "birth",
                "dob",
                "geboren",
                "geburtsdatum",
                "naissance",
                "nacimiento",
                "nascimento",
                "nascita",
                "geboorte",
                "urodz",
                "geb.",
                "d.o.b",
                "n\xe9 le",
                "n\xe9e le",
            )
        ),
        ("born", _word(personal.birth)),
        *(
            (word, _word(personal.cvv))
            for word in ("cvv", "cvc", "cvn", "cv2", "security code", "security_code", "securitycode")
        ),
        *(
            (word, _ends(personal.passport))
            for word in (
                "passport",
                "driver's license",
                "driver license",
                "driving licence",
                "drivers_license",
                "driver_license",
                "driverslicense",
                "license number",
                "licence number",
            )
        ),
        *(
            (word, personal.name_key)
            for word in ("name", "holder", "patient", "beneficiary", "apellido", "nombre", "vorname")
        ),
        *((words, partial(_introduction, least=1)) for words in ("my name is", "my name's")),
        *(
            (words, partial(_introduction, least=2))
            for words in (
                "i'm",
                "i am",
                "signed by",
                "on behalf of",
                "cardholder",
                "customer",
                "patient",
                "regards,",
                "sincerely,",
                "dear",
                "dr.",
            )
        ),
        *((service, secret.service) for service in beside()),
    ]
    merged: dict[tuple[str, bool], Callable[..., Iterator[Span]]] = {}
    for is_caseless, rows in ((False, exact), (True, caseless)):
        for text, finder in rows:
            known = merged.get((text, is_caseless))
            merged[text, is_caseless] = partial(_both, known, finder) if known else finder
    return tuple((Trigger(text=text, caseless=is_caseless), finder) for (text, is_caseless), finder in merged.items())


def _both(first: Finder, second: Finder, text: str, start: int, end: int) -> Iterator[Span]:
    yield from first(text, start, end)
    yield from second(text, start, end)


def _numbers(text: str, start: int, end: int) -> Iterator[Span]:
    for matched in personal.NUMBER.finditer(text, start, end):
        yield from personal.number(text, matched)


def _lettered(text: str, start: int, end: int) -> Iterator[Span]:
    for matched in personal.LETTERED.finditer(text, start, end):
        yield from personal.lettered(matched)


def _ibans(text: str, start: int, end: int) -> Iterator[Span]:
    for matched in personal.IBAN.finditer(text, start, end):
        yield from personal.iban(text, matched)


def _machines(text: str, start: int, end: int) -> Iterator[Span]:
    for matched in personal.COLONS.finditer(text, start, end):
        yield from personal.colons(matched)
    for matched in personal.DASHES.finditer(text, start, end):
        yield from personal.colons(matched)


def _pass_files(text: str, start: int, end: int) -> Iterator[Span]:
    for matched in secret.PASS_FILE.finditer(text, start, end):
        yield from secret.pass_file(matched)


def _lines(text: str, places: list[int] | None) -> Iterator[tuple[int, int]]:
    """The lines in which `places` stand, all of them for None; neighbours as one."""
    if places is None:
        yield 0, len(text)
        return
    first = last = -1
    for place in places:
        if place <= last:
            continue
        start = text.rfind("\n", 0, place - 1) + 1
        end = text.find("\n", place - 1)
        end = len(text) if end < 0 else end
        if start > last + 1:
            if last >= 0:
                yield first, last
            first = start
        elif first < 0:
            first = start
        last = end
    if last >= 0:
        yield first, last


_SEPARATED = r"(?:[ .()/\-\xa0?]{0,3}[0-9])"
_SCANS: Mapping[str, tuple[tuple[str, ...], Callable[[str, int, int], Iterator[Span]]]] = {
    "numbers": ((rf"(?:^|[^0-9A-Za-z_])[0-9]{_SEPARATED}{{6}}", r"(?:^|[^0-9A-Za-z_.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}"), _numbers),
    "pass-file": ((r":(?:[0-9]{4,5}|\*):[A-Za-z0-9_.*-]{1,60}:[A-Za-z0-9_.*@-]{1,60}:",), _pass_files),
    "lettered": (
        (
            "[A-Z]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]", "[0-9]{7}-?[A-Z]", "[A-Z]{6}[0-9]{2}[A-Z]",
            "[0-9]{6}[-+A][0-9]{3}", "[A-Z]{5}[0-9]{4}[A-Z]", "[A-Z]{4}[0-9]{6}[HM]", "[0-9]{2} ?2[AB] ?[0-9]{3}",
        ),
        _lettered,
    ),
    "ibans": (("(?:^|[^A-Za-z0-9])[A-Za-z]{2}[0-9]{2}[ -]?[A-Za-z0-9]{4}[ -]?[A-Za-z0-9]{4}",), _ibans),
    "machines": (("[0-9A-Fa-f]::", "::[0-9A-Fa-f]", "(?:[0-9A-Fa-f]{1,4}:){5}", "(?:[0-9A-Fa-f]{2}-){5}"), _machines),
}  # fmt: skip
_GATES = {**{gate: shapes for gate, (shapes, _) in _SCANS.items()}, "escapes": decode.ESCAPES, "words": decode.WORDS}

_IDENTITIES = (
    "us-ssn uk-nhs uk-nino de-tax fr-nir es-dni it-fiscal-code nl-bsn be-rrn pl-pesel se-personnummer fi-hetu no-fnr dk-cpr "
    "br-cpf br-cnpj in-aadhaar in-pan ca-sin au-tfn au-medicare za-id cn-id kr-rrn sg-nric tr-kimlik pt-nif us-npi il-id "
    "ch-ahv at-svnr mx-curp passport"
).split()
PERSONAL: Mapping[str, tuple[str, ...]] = {  # type → what is found
    **{
        name: (name,)
        for name in ("email", "phone", "card", "cvv", "iban", "date-of-birth", "ip", "ip-private", "mac", "name")
    },
    "account": ("us-routing",),
    "national-id": tuple(_IDENTITIES),
}
MARK = re.compile(rf"\[(?:secret|withheld|{'|'.join(PERSONAL)})(?::[^\]\s]{{1,120}})?\]")

_BETWEEN = "\n\0\n"  # nothing goes on across it
_RANK = ("known/", "secret/private-key", "secret/jwt", "secret/")


@lru_cache(maxsize=2)
def _engine(*, pure: bool) -> Engine:
    return engine([trigger for trigger, _ in _table()], _GATES, pure=pure)


@lru_cache(maxsize=1)
def _finders() -> tuple[tuple[int, Callable[..., Iterator[Span]], bool], ...]:
    return tuple((len(trigger.text), finder, finder in _REMEMBER) for trigger, finder in _table())


def spans(text: str, *, pure: bool = False) -> list[Span]:
    """What stands in `text`: disjoint, in order."""
    found, gates = _scan(text, pure=pure)
    if "escapes" in gates or not text.isascii():
        found += _escaped(text, pure=pure)
    if not text.isascii():
        found += secret.foreign(text)
    if "words" in gates:
        found += _encoded(text, gates["words"], pure=pure)
    return disjoint(found)


def _scan(text: str, *, pure: bool) -> tuple[list[Span], Mapping[str, list[int] | None]]:
    hits, gates = _engine(pure=pure)(text)
    found: list[Span] = []
    finders = _finders()
    seen = secret.Seen()
    for end, number in hits:
        length, finder, remember = finders[number]
        found += finder(text, end - length, end, seen) if remember else finder(text, end - length, end)
    for gate, (_, scan) in _SCANS.items():
        if gate in gates:
            for start, end in _lines(text, gates[gate]):
                found += scan(text, start, end)
    return found, gates


def _escaped(text: str, *, pure: bool) -> Iterator[Span]:
    """What stands in lines with escapes once those are undone."""
    for first, last in _lines(text, decode.escapes(text)):
        view = decode.undone(text[first:last])
        if view is None:
            continue
        for start, end, what in _scan(view.text, pure=pure)[0]:
            a, b = view.span(start, end)
            yield first + a, first + b, what


def _encoded(text: str, places: list[int] | None, *, pure: bool) -> Iterator[Span]:
    """Words of base64 and hex that encode something: the whole word. All of them are looked through at once."""
    words = [word for first, last in _lines(text, places) for word in decode.words(text, first, last)]
    starts: list[int] = []
    size = 0
    for start, end, decoded in words:
        if secret.user_password(decoded):
            yield start, end, "secret/basic"
        starts.append(size)
        size += len(decoded) + len(_BETWEEN)
    for at, _, what in _scan(_BETWEEN.join(decoded for _, _, decoded in words), pure=pure)[0] if words else ():
        if what not in {"pii/name", "pii/ip-private"}:
            start, end, _ = words[bisect_right(starts, at) - 1]
            yield start, end, what


def _rank(what: str) -> int:
    for place, prefix in enumerate(_RANK):
        if what.startswith(prefix):
            return place
    return len(_RANK) + (what == "pii/name")


def disjoint(found: list[Span]) -> list[Span]:
    """One span for each place: secrets before personal data, and what overlaps within a family becomes one."""
    if len(found) < 2:
        return found
    found = sorted(set(found))
    if all([a[1] <= b[0] for a, b in pairwise(found)]):  # noqa: C419 - a generator costs more than it saves
        return found
    kept: list[Span] = []
    for span in sorted(found, key=lambda span: (span[0], -span[1], _rank(span[2]), span[2])):
        if not kept or span[0] >= kept[-1][1]:
            kept.append(span)
            continue
        last = kept[-1]
        new, old = _rank(span[2]), _rank(last[2])
        if (new < len(_RANK)) == (old < len(_RANK)):
            kept[-1] = (last[0], max(last[1], span[1]), span[2] if new < old else last[2])
        elif new < old:
            kept[-1] = span
    return kept
