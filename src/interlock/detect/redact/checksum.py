# ruff: noqa: PLR2004 - lengths and ranges are what the formats of these things are
"""Check digits of numbers that are issued: cards, accounts, identities. Each takes the bare characters."""

from __future__ import annotations

from collections.abc import Callable


def luhn(digits: str) -> bool:
    """ISO/IEC 7812."""
    total = 0
    for place, char in enumerate(reversed(digits)):
        n = int(char)
        if place % 2:
            n = n * 2 - 9 * (n > 4)
        total += n
    return total % 10 == 0


def card(digits: str) -> bool:
    """A payment card: an issuer's range, its length, Luhn; more than two different digits."""
    n = len(digits)
    two, three, four, six = int(digits[:2]), int(digits[:3]), int(digits[:4]), int(digits[:6])
    known = (
        (digits[0] == "4" and n in {13, 16, 19})
        or ((51 <= two <= 55 or 2221 <= four <= 2720) and n == 16)
        or (two in {34, 37} and n == 15)
        or ((300 <= three <= 305 or three == 309 or two in {36, 38, 39}) and n in {14, 16, 19})
        or ((four == 6011 or 644 <= three <= 649 or two == 65) and 16 <= n <= 19)
        or (3528 <= four <= 3589 and 16 <= n <= 19)
        or (two == 62 and 16 <= n <= 19)
        or (2200 <= four <= 2204 and 16 <= n <= 19)
        or (two in {60, 81, 82} and n == 16)
        or (
            (four in {5018, 5020, 5038, 5893, 6304, 6759, 6761, 6762, 6763} or 560000 <= six <= 589999)
            and n in {16, 18, 19}
        )
    )
    return known and len(set(digits)) > 2 and luhn(digits)


IBAN_LENGTH = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30,
    "NL": 18, "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31,
    "SE": 24, "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22,
    "VG": 24, "XK": 20,
}  # fmt: skip


def iban(text: str) -> bool:
    """ISO 13616, upper case, without blanks."""
    if IBAN_LENGTH.get(text[:2]) != len(text):
        return False
    return int("".join(str(int(char, 36)) for char in text[4:] + text[:4])) % 97 == 1


def _weighted(digits: str, weights: tuple[int, ...]) -> int:
    return sum(int(d) * w for d, w in zip(digits, weights, strict=False))


def us_ssn(d: str) -> bool:
    """Areas, groups and serials that are issued; not the numbers of advertisements."""
    return (
        d[:3] not in {"000", "666"}
        and d[3:5] != "00"
        and d[5:] != "0000"
        and d not in {"078051120", "219099999", "123456789"}
        and len(set(d)) > 2
        and (d[0] != "9" or d[3] in "5678" or d[3:5] in {"90", "91", "92", "94", "95", "96", "97", "98", "99"})
    )


def uk_nhs(d: str) -> bool:
    """Modulus 11."""
    check = 11 - _weighted(d[:9], (10, 9, 8, 7, 6, 5, 4, 3, 2)) % 11
    return len(set(d)) > 1 and (0 if check == 11 else check) == int(d[9])


def de_tax(d: str) -> bool:
    """Steuer-ID: ISO 7064, one digit repeats among the first ten."""
    if d[0] == "0" or len(set(d[:10])) not in {8, 9}:
        return False
    product = 10
    for char in d[:10]:
        total = (int(char) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(d[10])


def fr_nir(text: str) -> bool:
    """Fifteen characters, Corsica's departments included."""
    body = text[:13].replace("2A", "19").replace("2B", "18")
    return text[0] in "12" and body.isdigit() and 97 - int(body) % 97 == int(text[13:])


def es_dni(text: str) -> bool:
    """DNI, and NIE with its leading letter."""
    number = str("XYZ".find(text[0])) + text[1:8] if text[0] in "XYZ" else text[:8]
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == text[8]


_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)


def it_fiscal(text: str) -> bool:
    """Codice fiscale."""
    total = 0
    for place, char in enumerate(text[:15]):
        n = int(char) if char.isdigit() else ord(char) - 65
        total += n if place % 2 else _ODD[n]
    return chr(65 + total % 26) == text[15]


def nl_bsn(d: str) -> bool:
    """Elfproef."""
    return len(set(d)) > 2 and _weighted(d, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def be_rrn(d: str) -> bool:
    """Rijksregisternummer, of either century."""
    body, check = int(d[:9]), int(d[9:])
    return check in {97 - body % 97, 97 - (2_000_000_000 + body) % 97}


def pl_pesel(d: str) -> bool:
    """Ten weights, and a date."""
    month = int(d[2:4]) % 20
    if not (1 <= month <= 12 and 1 <= int(d[4:6]) <= 31):
        return False
    return (10 - _weighted(d[:10], (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10) % 10 == int(d[10])


def se_pin(d: str) -> bool:
    """Personnummer, ten digits: a date and Luhn."""
    return 1 <= int(d[2:4]) <= 12 and (1 <= int(d[4:6]) <= 31 or 61 <= int(d[4:6]) <= 91) and luhn(d)


def fi_hetu(text: str) -> bool:
    """`ddmmyy`, a mark of the century, three digits, a check character."""
    return "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(text[:6] + text[7:10]) % 31] == text[10]


def no_fnr(d: str) -> bool:
    """Fødselsnummer: two check digits."""
    first = (11 - _weighted(d[:9], (3, 7, 6, 1, 8, 9, 4, 5, 2)) % 11) % 11
    second = (11 - _weighted(d[:10], (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11) % 11
    return first == int(d[9]) and second == int(d[10])


def dk_cpr(d: str) -> bool:
    """A date; the check digit is no longer kept."""
    return 1 <= int(d[:2]) <= 31 and 1 <= int(d[2:4]) <= 12


def br_cpf(d: str) -> bool:
    """Two check digits."""
    if len(set(d)) == 1:
        return False
    first = _weighted(d[:9], tuple(range(10, 1, -1))) * 10 % 11 % 10
    second = _weighted(d[:10], tuple(range(11, 1, -1))) * 10 % 11 % 10
    return first == int(d[9]) and second == int(d[10])


def br_cnpj(d: str) -> bool:
    """Two check digits."""

    def check(body: str) -> int:
        weights = tuple(2 + i % 8 for i in range(len(body)))[::-1]
        rest = _weighted(body, weights) % 11
        return 0 if rest < 2 else 11 - rest

    return len(set(d)) > 1 and check(d[:12]) == int(d[12]) and check(d[:13]) == int(d[13])


_D = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_P = ("0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258")


def in_aadhaar(d: str) -> bool:
    """Verhoeff; the first digit is no 0 or 1."""
    c = 0
    for place, char in enumerate(reversed(d)):
        c = int(_D[c][int(_P[place % 8][int(char)])])
    return c == 0 and d[0] not in "01" and len(set(d)) > 2


def cn_id(text: str) -> bool:
    """Eighteen characters: region, date, serial, check character."""
    if not (1900 <= int(text[6:10]) <= 2100 and 1 <= int(text[10:12]) <= 12 and 1 <= int(text[12:14]) <= 31):
        return False
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return "10X98765432"[_weighted(text[:17], weights) % 11] == text[17]


def kr_rrn(d: str) -> bool:
    """A date and the old check digit, or any number since October 2020."""
    return 1 <= int(d[2:4]) <= 12 and 1 <= int(d[4:6]) <= 31 and d[6] in "12345678"


def za_id(d: str) -> bool:
    """A date, citizenship, Luhn."""
    return 1 <= int(d[2:4]) <= 12 and 1 <= int(d[4:6]) <= 31 and d[10] in "012" and luhn(d)


def au_tfn(d: str) -> bool:
    """Nine weights."""
    return len(set(d)) > 2 and _weighted(d, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0


def au_medicare(d: str) -> bool:
    """Eight weights, then the issue."""
    return d[0] in "23456" and _weighted(d[:8], (1, 3, 7, 9, 1, 3, 7, 9)) % 10 == int(d[8])


def ca_sin(d: str) -> bool:
    """Luhn; no number begins with 0 or 8."""
    return d[0] not in "08" and len(set(d)) > 2 and luhn(d)


def sg_nric(text: str) -> bool:
    """Seven weights and a letter."""
    total = _weighted(text[1:8], (2, 7, 6, 5, 4, 3, 2)) + {"T": 4, "G": 4, "M": 3}.get(text[0], 0)
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "F": "XWUTRQPNMLK", "G": "XWUTRQPNMLK", "M": "KLJNPQRTUWX"}
    rest = total % 11
    return letters[text[0]][10 - rest if text[0] == "M" else rest] == text[8]


def tr_kimlik(d: str) -> bool:
    """Two check digits."""
    odd, even = sum(map(int, d[0:9:2])), sum(map(int, d[1:8:2]))
    return d[0] != "0" and (odd * 7 - even) % 10 == int(d[9]) and sum(map(int, d[:10])) % 10 == int(d[10])


def pt_nif(d: str) -> bool:
    """Modulus 11."""
    check = 11 - _weighted(d[:8], (9, 8, 7, 6, 5, 4, 3, 2)) % 11
    return (0 if check > 9 else check) == int(d[8])


def us_npi(d: str) -> bool:
    """Luhn, behind 80840."""
    return d[0] in "12" and luhn("80840" + d)


def il_id(d: str) -> bool:
    """Nine digits, Luhn's from the left."""
    return len(set(d)) > 2 and luhn(d)


def ch_ahv(d: str) -> bool:
    """756, EAN-13."""
    return d.startswith("756") and (10 - _weighted(d[:12], (1, 3) * 6) % 10) % 10 == int(d[12])


def at_svnr(d: str) -> bool:
    """Ten digits, the check digit is the fourth."""
    return _weighted(d, (3, 7, 9, 0, 5, 8, 4, 2, 1, 6)) % 11 == int(d[3])


def mx_curp(text: str) -> bool:
    """Eighteen characters."""
    alphabet = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"
    total = sum(alphabet.index(char) * (18 - place) for place, char in enumerate(text[:17]))
    return (10 - total % 10) % 10 == int(text[17])


def always(_: str) -> bool:
    """For shapes that say it all."""
    return True


Check = Callable[[str], bool]
