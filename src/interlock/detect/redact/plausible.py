# ruff: noqa: E501, PLR2004 - lengths and ranges are what the formats of these things are
"""What a value beside a name must look like to be a secret, and what names say that one follows.

Most strings beside `password` or `token` are no secrets: code that fetches one, placeholders, words, ids, hashes.
A wrong yes costs a reader of logs a word; a wrong no costs a secret: passwords need little to be believed, tokens more.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import lru_cache
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["password", "secret", "token", "key", "session", "code", ""]

# A text in a text is found at C speed, an alternation is not: each of these lists is gone through for every value.
_HOLDERS = (
    "example sample dummy placeholder replace redacted fake masked xxxx 0123456789 abcdefgh deadbeef lorem".split()
)
_MARKED_HOLDERS = [*"*** ... … ••• secret:// ${ $( {{ %( insert- insert_ your- your_".split(), "your "]
_HOLDER = re.compile(
    r"change[-_ ]?(?:me|this|it)|not[-_]?(?:a[-_]?)?(?:real|secret|so)|<[a-z _-]+>|(?<![\w$])%s(?![\w@])"
)
_WHOLE = re.compile(r"<.*>$|%\w+%$|\[[^\]]*\]|\{.*\}$|\$[A-Za-z_]\w*$")
MARK = re.compile(r"\[[a-z][a-z0-9-]{1,30}(?::[A-Za-z0-9_.:-]{1,80})?\]")  # what we put in the place of a value
_WORDS = sorted(
    (
        "your my the some this that is a an for to of in here test testing tester tests testuser demo default dev "
        "develop development local localhost prod production staging user username admin root guest pass password "
        "passwort passwd passphrase pwd secret secrets token tokens api key keys access auth client private public "
        "credential credentials value values string name id todo tbd none null nil true false undefined unset "
        "empty optional required invalid valid wrong bad good correct incorrect new old foo bar baz qux spam eggs "
        "postgres postgresql mysql mongo mongodb redis rabbitmq minio github gitlab openai anthropic bearer basic "
        "challenge very strong long random safe hidden session csrf jwt app application service server db database enter confirm "
        "forgot forgotten reset change changed missing expired failed rotated removed unknown field prompt input text "
        "abc xyz base64 hex sha256 sha512 aes128 aes256 argon2 pbkdf2 utf8 oauth2 sha1 md5 hs256 rs256 bytes str int bool type function return self encoded yes no not "
        "set unset on off was has must should be only with and or from by at as it its than then when if any all "
    ).split(),
    key=len,
    reverse=True,  # the longest first: the repetition below never goes back
)
_WEAK = re.compile(rf"(?:[-_./:= ,!?]|(?:{'|'.join(_WORDS)})(?![a-z])|\d{{1,4}}(?![A-Za-z0-9]))++", re.IGNORECASE)
_NO_WORDS = re.compile(r"\d[A-Za-z]|[^A-Za-z0-9_./:= ,!?-]")  # nothing `_WEAK` matches has it, and it is found sooner
# What fetches a value from somewhere: how it begins, what is in it. The second is one set of first characters to `re`.
_CODE = re.compile(
    r"\$|@\w|!\w|&\w|\*\w|~/|#|/[\w.-]*+(?:/[\w.*-]*+)*+$|\./|\.\./|https?:|file:|arn:|vault:|op:|env:|ssm:|secretsmanager:|projects/|ref\+|"
    r"0x[0-9a-f]{1,8}$|[A-Za-z_][\w-]*+(?:\.[A-Za-z_]\w*+)++$|[A-Za-z_][\w.]*+\[|process\.env|os\.|"
    r"[A-Z][A-Z0-9]*+(?:_[A-Z0-9]++)++$|[a-z]++(?:_(?:[a-z]++|\d{1,4}(?![a-z])))++$"
)
_CODE_IN = re.compile(r"\(|\)$|\[\w*\]|::|->|=>|\\[nrt]")
_FETCHED = re.compile(  # a password may begin with any sign, so only what is plainly code
    r"\$[A-Za-z_]\w*$|[*&!@%][A-Za-z_]+%?$|(?:~|\.{0,2})/[\w.-]*+(?:/[\w.*-]*+)*+$|[a-z]++://|(?:arn|vault|op|env|ssm|file|ref\+\w+):|projects/|"
    r"[\w.]++(?:\(|\)+$)|[\w.]*+\[|[A-Za-z_]\w*+(?:\.[A-Za-z_]\w*+)++$|"
    r"[A-Z][A-Z0-9]*+(?:_[A-Z0-9]++)++$|[a-z]++(?:_[a-z]++)++$|#[0-9a-fA-F]{3,8}$"
)
_FETCHED_IN = re.compile(r"\$[{(]|\(\)(?<=\w\(\))|::|->|=>|\\[nrt]")
_WORDY = re.compile(
    r"[A-Za-z]++(?:\d{0,2}[-_.:/+ ][A-Za-z]{2,}+)*+[-_]?\d{0,3}[!?.]?$"
)  # `my-secret-token`, `SessionToken2`
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_TIME = re.compile(r"^\d{4}-\d\d-\d\d(?:[T ].*)?$|^\d{1,2}:\d\d")
_NUMBER = re.compile(r"^[-+]?\d+(?:[.,]\d+)*(?:ms|s|m|h|d|kb|mb|gb|%)?$", re.IGNORECASE)
TURN = re.compile(r"[a-z](?=[A-Z])")
_ODD = re.compile(r"[^\w.,-]")
DIGIT = re.compile(r"\d")
CRAMPED = re.compile(r"(.)\1{5,}")  # typed, not drawn

MIN_SIGNS = 6  # different characters: 32 random hex digits have about 14
MAX_TYPED = 64  # characters; in a longer value a run is a piece of what it encodes
MIN_TOKEN = 8
MIN_BARE = 20  # characters of a value that only stands behind a word


_LOGS = tuple(n * math.log2(n) if n else 0.0 for n in range(128))


def entropy(text: str) -> float:
    """Shannon entropy of the characters of `text`, in bits per character."""
    if not text:
        return 0.0
    n = len(text)
    total = sum([_LOGS[c] if c < len(_LOGS) else c * math.log2(c) for c in Counter(text).values()])
    return math.log2(n) - total / n


def placeholder(value: str) -> bool:
    """Whether `value` stands for something that is to be put in."""
    lower = value.lower()
    for holder in _HOLDERS:
        if holder in lower:
            return True
    if not value.isalnum():
        for holder in _MARKED_HOLDERS:
            if holder in lower:
                return True
        if _WHOLE.match(value):
            return True
    return _HOLDER.search(lower) is not None


def drawn(value: str) -> bool:
    """Whether `value` could have been drawn at random: no placeholder, no run of one character."""
    return _mixed(value) and not placeholder(value)


def _mixed(value: str) -> bool:
    return len(set(value)) >= MIN_SIGNS and (len(value) > MAX_TYPED or not CRAMPED.search(value))


def _named(value: str) -> bool:
    return value[0].isupper() and 2 * sum(map(len, _CAPITALS.findall(value))) > len(value)


_CAPITALS = re.compile(r"[A-Z](?=[a-z]{0,3}[aeiou])[a-z]{3,}")  # `PKCS7PrivateKeyTypes` is the name of a type


def wordy(value: str) -> bool:
    """Whether `value` reads as words: `my-secret-token`, but not `NVtZzIBLuHdwkljHnAvy`."""
    if not _WORDY.match(value):
        return value.isalnum() and _named(value)
    return (
        len(value) < MIN_BARE
        or not value.rstrip("0123456789").isalpha()
        or len(TURN.findall(value)) < len(value) // 6
        or 10 * sum(map(len, _CAPITALS.findall(value))) > 8 * len(value)
    )


def classes(value: str) -> int:
    """How many of lower case, upper case and digits `value` has."""
    return (value.upper() != value) + (value.lower() != value) + (DIGIT.search(value) is not None)


_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PASSWORD = frozenset(
    "password passwd passphrase passwort pass pwd passcode userpassword dbpassword pgpassword contrasena contraseña "
    "senha kennwort wachtwoord parola motdepasse sshpass rootpw adminpw pw psw passw mypass userpass dbpass "
    "bindpw clave passe kodeord adgangskode passord salasana heslo sifre losenord jelszo requirepass masterauth psk wpapsk".split()
)
_SECRET = frozenset(
    "secret secrets credential credentials apikey apitoken accesskey secretkey authtoken accesstoken privatekey "
    "clientsecret appsecret apisecret authkey signingkey encryptionkey masterkey webhooksecret refreshtoken "
    "idtoken accountkey sharedaccesskey subscriptionkey licensekey licencekey sharedkey hmackey deploykey usertoken "
    "bottoken servicekey apppassword secretkeybase pepper seedphrase".split()
)
_TOKEN = frozenset("token jwt bearer auth authorization".split())
_SESSION = frozenset(
    "session sessionid sid sess sessid phpsessid jsessionid connectsid sessiontoken sessionkey sessioncookie "
    "csrftoken xsrftoken aspsessionid".split()
)
_CODE_KEY = frozenset("otp pin totp mfa passcode tan smscode".split())
_CODES = frozenset(
    "verification otp mfa fa auth authentication authorization sms 2fa login security time onetime access passcode signin activation "
    "confirmation backup recovery".split()
)
_KEY_OF = frozenset(
    "api access secret private auth account encryption master service signing license licence app application shared "
    "storage admin subscription webhook ssh deploy hmac aes rsa crypt cipher fernet jwt session server ingest write "
    "integration project publishable live prod production personal user developer dev rest maps security root vault "
    "decryption ingestion instrumentation host function x consumer sdk merchant partner".split()
)
_ABOUT = frozenset(  # the last word of a name that is about a secret, not one
    "file path dir url uri endpoint host hostname name names id ids type types kind len length size count max min limit "
    "budget field fields header prefix suffix format pattern regex re env var variable expires expiry expiration ttl age "
    "at hash sha sha1 sha256 sha512 md5 digest checksum hint label policy rotation version ref from provider store "
    "manager scope scopes class cls param params algorithm alg usage used uses public status state valid required "
    "enabled disabled created updated rotated index number num position start end callback handler func fn error message "
    "msg text prompt placeholder strength reset changed change attempts retries location arn fingerprint thumbprint "
    "date time timestamp count_tokens bytes bits".split()
)
_NEVER = frozenset(
    "primary foreign cache sort partition idempotency object row shard dedup deduplication routing range lookup group "
    "public pub translation next page continuation previous prev sync resume cursor delta start stop pad bos eos unk sep "
    "mask special max min num prompt completion input output total cached reasoning tokenizer tokenized monkey keyboard "
    "keyword keywords hash bucket s3 map dict index parent unique composite natural surrogate storage_key socket "
    "bypass compass surpass trespass encompass underpass overpass any each every arrow enter shift press unexpected "
    "registry_key hot search stop first last n i tree menu config_key".split()
)


@lru_cache(maxsize=4096)
def kind(key: str) -> Kind:
    """What stands beside the name `key`, by its words."""
    words = [w for w in re.split(r"[^a-z0-9ñ]+", _CAMEL.sub("_", key).lower()) if w]
    if not words:
        return ""
    joined = "".join(words)
    last, before = words[-1], words[:-1]
    if joined in _SESSION or last in {"sessionid", "phpsessid", "jsessionid", "sessid", "sid"}:
        return "session"
    if last == "id" and "session" in words:
        return "session"
    while (
        words
        and (
            words[-1].isdigit()
            or words[-1]
            in {"value", "val", "string", "str", "b64", "base64", "current", "old", "new", "raw", "plain", "plaintext"}
        )
        and len(words) > 1
    ):
        words.pop()
    last, before = words[-1], words[:-1]
    if last in _ABOUT or _NEVER.intersection(words):
        return ""
    stem = re.sub(r"\d+$", "", last)
    if (
        joined in _PASSWORD
        or stem in _PASSWORD
        or (stem.endswith(("password", "passwd", "passphrase", "passwort", "pass", "passord")) and len(stem) < 24)
    ):
        return "password"
    if joined in _SECRET or stem in _SECRET or any("".join(words[i:]) in _SECRET for i in range(len(words))):
        return "secret"
    if stem == "key":
        return "secret" if before and (_KEY_OF.intersection(before) or before[-1].endswith("api")) else "key"
    if stem in _TOKEN:
        return "token"
    if stem in _SESSION:
        return "session"
    if joined in _CODE_KEY or stem in _CODE_KEY or (stem == "code" and _CODES.intersection(before)):
        return "code"
    if stem.endswith(("secret", "token", "apikey")) and len(stem) <= 24:
        return "secret"
    return ""


def believed(of: Kind, value: str, *, quoted: bool) -> bool:
    """Whether `value`, beside a name of kind `of`, is a secret."""
    match of:
        case "password":
            return _password(value, quoted=quoted)
        case "code":
            return value.isdigit() and 4 <= len(value) <= 10
        case "":
            return False
        case _:
            pass
    n = classes(value)
    if len(value) < MIN_TOKEN or n < 2 or " " in value:
        return False
    if (
        _NUMBER.match(value)
        or _TIME.match(value)
        or wordy(value)
        or not _written(value)
        or _fetched(value)
        or not _mixed(value)
    ):
        return False
    if of == "secret":
        return True
    if UUID.fullmatch(value):
        return of == "session"
    if of == "key":
        return n == 3 and len(value) >= MIN_BARE
    return len(value) >= 12 or (of == "token" and DIGIT.search(value) is not None)


def _fetched(value: str) -> bool:
    return bool(_CODE.match(value) or _CODE_IN.search(value))


def _written(value: str) -> bool:
    """No mark of ours, no placeholder, not made of everyday words."""
    return (
        bool(value)
        and not MARK.match(value)
        and not placeholder(value)
        and (_NO_WORDS.search(value) is not None or not _WEAK.fullmatch(value))
    )


def _password(value: str, *, quoted: bool) -> bool:
    if (
        not 4 <= len(value) <= 200
        or not _written(value)
        or _FETCHED.match(value)
        or _FETCHED_IN.search(value)
        or _TIME.match(value)
    ):
        return False
    if _NUMBER.match(value):
        return len(value) >= 4 and value.isdigit()
    if " " in value:  # a passphrase of at least four words; not a sentence
        words = value.split(" ")
        return quoted and 4 <= len(words) <= 8 and value == value.lower() and all(w.isalnum() for w in words)
    if DIGIT.search(value) or _ODD.search(value):
        return True
    if "-" in value or "_" in value or "." in value:
        return value.count("-") >= 2
    return (quoted and len(value) >= 6) or (classes(value) > 1 and len(value) >= 8 and not _named(value))


def strong(value: str) -> bool:
    """Whether a value that merely follows a password's name is one: of three kinds of signs, or words and a number."""
    return (
        8 <= len(value) <= 64
        and DIGIT.search(value) is not None
        and (classes(value) + (_ODD.search(value) is not None) > 2 or _PHRASE.match(value) is not None)
        and _password(value, quoted=False)
        and not UUID.fullmatch(value)
    )


_PHRASE = re.compile(r"[a-z]{3,}(?:[-_.][a-z]{3,}){2,}[-_.]?\d{1,4}$")


def bare(value: str) -> bool:
    """Whether a value that merely follows a word (`secret 5f2a…`) is one: long, drawn, of letters and digits."""
    return (
        len(value) >= MIN_BARE
        and classes(value) > 1
        and DIGIT.search(value) is not None
        and drawn(value)
        and not UUID.fullmatch(value)
        and not _fetched(value)
        and not wordy(value)
    )
