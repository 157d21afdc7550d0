"""What credentials look like where somebody wrote one down. Pure: text in, matches out.

Three families: credentials whose issuer gave them a shape of their own (`PROVIDERS`, from the issuers' public
documentation), structures (keys in PEM, addresses and headers with a password), and literals that stand beside a name
such as `api_key`. The third asks more of the literal in code, where most strings are no secrets, than in configuration,
where a literal password is one whatever it looks like. Placeholders and hashes are none.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from interlock.detect.redact.rule import issued


class Medium(Enum):
    """Where the text stands; decides how much a literal must look like a secret."""

    CODE = "code"
    CONFIG = "configuration"
    LOCK = "lock file"  # hashes everywhere: only what an issuer marked


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A credential in a text. `name` is what its handle could be called."""

    rule: str
    start: int
    end: int
    value: str
    name: str

    def __repr__(self) -> str:
        return f"Match({self.rule}, {self.start}, {self.end})"


@dataclass(frozen=True, slots=True)
class _Provider:
    rule: str
    name: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]


def _providers() -> Iterator[_Provider]:
    """Issued credentials: the rules of the redactor's file that name a handle."""
    for rule in issued():
        if rule.name:
            yield _Provider(rule.id, rule.name, rule.hints, re.compile(rf"(?:{rule.shape})(?![A-Za-z0-9_-])"))


PROVIDERS = tuple(_providers())
RULES = (
    *(provider.rule for provider in PROVIDERS),
    *"private-key jwt connection-string azure-storage basic-auth bearer-token aws-secret-key".split(),
    *"kubernetes-secret netrc named-literal".split(),
)

# Structures

_PEM = re.compile(
    r"-----BEGIN (?:[A-Z0-9]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    r"(?P<body>(?:\\[nr]|[\s\"'+,A-Za-z0-9/=:.;()#>|]|-(?!----)){64,20000}?)-----END"
)
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{10,4000}\.eyJ[A-Za-z0-9_-]{10,8000}\.(?P<v>[A-Za-z0-9_-]{20,1000})")
_ADDRESS = re.compile(
    r"://(?P<user>[^\s:/@'\"`<>?#]{0,80}):(?P<v>[^\s@/'\"`<>]{3,200})@(?P<host>[^\s'\"`<>/:?]{1,255})"
)
_LONG = re.compile(r"[^\s\"'`<>,;()]{20,}")
_STORAGE = re.compile(r"(?:AccountKey|SharedAccessKey)=(?P<v>[A-Za-z0-9+/]{40,90}={1,2})")
_BASIC = re.compile(r"Basic[ ]+(?P<v>[A-Za-z0-9+/]{12,400}={0,2})(?![A-Za-z0-9+/=])")
_BEARER = re.compile(r"Bearer[ ]+(?P<v>[A-Za-z0-9._~+/-]{20,2000}=*)")
_AWS = re.compile(
    r"(?i:aws|secret)[A-Za-z0-9_.-]{0,30}[\"']?\s{0,3}(?:=>|[:=])\s{0,3}[\"']?(?P<v>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])"
)
_KUBERNETES = re.compile(r"^kind:[ ]*[\"']?Secret\b", re.MULTILINE)
_DATUM = re.compile(
    r"^[ ]{2,}(?P<k>[A-Za-z0-9._-]{1,100}):[ ]*[\"']?(?P<v>[A-Za-z0-9+/]{8,8000}={0,2})[\"']?[ ]*$", re.MULTILINE
)
_NETRC = re.compile(r"\bpassword[ \t]+(?P<v>\S{4,200})")
_CURL = re.compile(r"curl\b[^\n]{0,300}?[ ](?:-u|--user)[ =]?[\"']?(?P<user>[\w.@-]{1,80}):(?P<v>[^\s\"'$]{6,200})")

# Literals beside a name

_WORD = (
    r"api[_-]?key|apikey|access[_-]?key|account[_-]?key|auth[_-]?key|client[_-]?secret|encryption[_-]?key|master[_-]?key|"
    r"private[_-]?key|secret[_-]?key|service[_-]?key|signing[_-]?key|licen[sc]e[_-]?key|credential|passphrase|"
    r"passwo?r?d|passwd|pwd|secret|token|jwt"
)
_MARKS = ("key", "secret", "token", "pass", "pwd", "credential", "jwt")  # one is in every name that `_WORD` knows
_ASSIGNED = re.compile(  # from the operator on: `re` skips to it at C speed; the name is looked at only then
    r"[:=](?:(?<=:)=|(?<==)>)?(?!=)[ \t]{0,8}(?=[rbuf]?(?P<q>\\?[\"'`])(?P<v>[^\"'`\s\\]{6,400}+)(?P=q)"
    r"|(?P<bare>[^\s\"'`#,;<>{}()\[\]$&|*][^\s\"'`<>]{5,400}+)(?=\s|$))"
)
_DEFAULT = re.compile(
    r"(?:getenv|environ\.get)\(\s{0,4}[\"'](?P<k>\w{3,100})[\"'],\s{0,4}[\"'](?P<v>[^\"'\s\\]{6,400})[\"']"
)
_NAME_BEFORE = re.compile(  # ends at the operator; a type may stand between
    r"(?P<k>[A-Za-z_][A-Za-z0-9_.-]{0,99})\\?[\"']?\]?[ \t]{0,8}(?::[ ]?(?:Final|str|string|String|&str)[ ]?)?$"
)
_VALUE = re.compile(r"alue[\"']?[ ]{0,8}:[ ]{0,8}[\"']?(?P<v>[^\s\"'<>{}$]{6,400})")
_KEY_BEFORE = re.compile(  # render.yaml, Kubernetes, ECS: `- key: NAME` and on the next line `value: …`
    r"(?:key|name)[\"']?[ ]*:[ ]*[\"']?(?P<k>[A-Za-z0-9_.-]{3,100})[\"']?[ ]*,?\s{1,80}[\"']?v$", re.IGNORECASE
)
_BEFORE = 140  # characters before an operator in which the name stands
_SECRET_NAME = re.compile(_WORD, re.IGNORECASE)
_NOT_SECRET_NAME = re.compile(  # the name says that this is about a secret, not one
    r"(?:_|-|\.|\b)(?:file|path|dir|url|uri|endpoint|host|name|names|id|ids|type|kind|len|length|size|count|max|min|limit|"
    r"budget|field|header|prefix|suffix|format|pattern|regex|re|env|var|variable|expires?|expiry|ttl|age|at|hash|sha\d*|md5|"
    r"digest|checksum|hint|label|policy|rotation|version|ref|from|provider|store|manager|scopes?|class|cls|param|algorithm|"
    r"alg|tokenizer|public)$|tokeniz|tokens$|public|csrf|placeholder|example|"
    r"(?:page|continuation|next|previous|sync|resume|cursor|delta|start|end|stop|pad|bos|eos|unk|sep|mask|special)[_-]?token",
    re.IGNORECASE,
)
_CAMEL_TAIL = re.compile(r"(?<=[a-z])(?:Id|Url|Uri|File|Path|Name|Type|Header|Field|Hash|Length|Count)s?$")

# What is no secret

_PLACEHOLDER = re.compile(
    r"example|sample|dummy|placeholder|change[-_ ]?(?:me|this|it)|replace|redacted|insert[-_]|fake|"
    r"not[-_]?(?:a[-_]?)?(?:real|secret|so)|xxxx|\*\*\*|\.\.\.|…|0123456789|123456789|abcdefgh|qwertyui|deadbeef|lorem|"
    r"secret://|<[a-z _-]+>|\$\{|\$\(|\{\{|%\(|%s|\[[a-z_]+\]",
    re.IGNORECASE,
)
_WORDS = sorted(
    (
        "your my the some this that is a an for to of in here test testing tester tests testuser demo default dev "
        "develop development local localhost prod production staging user username admin root guest pass password "
        "passwort passwd passphrase pwd secret secrets token tokens api key keys access auth client private public "
        "credential credentials value values string name id todo tbd none null nil true false undefined unset "
        "empty optional required invalid valid wrong bad good correct new old foo bar baz qux spam eggs postgres "
        "postgresql mysql mongo mongodb redis rabbitmq minio github gitlab openai anthropic bearer basic super "
        "very strong long random safe hidden session csrf jwt app application service server db database hunter "
        "letmein qwerty abc xyz base64 hex sha256 sha1 md5 hs256 rs256 "
    ).split(),
    key=len,
    reverse=True,  # the longest first: the repetition below never goes back
)
_WEAK = re.compile(  # a literal of only such words names a value, it is none
    rf"(?:[-_./:= ]|{'|'.join(_WORDS)}|\d{{1,4}}(?![A-Za-z0-9]))++", re.IGNORECASE
)
_REFERENCE = re.compile(  # code and templates that fetch a value from somewhere
    r"^(?:\$|%|@|!|&|\*|~|\{|<|#|/|\./|\.\./|https?:|file:|arn:|vault:|op:|env:|ssm:|projects/|ref\+)|\(|\)|\[|\]|"
    r"^[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)+$|^process\.env|^os\.|::|->|=>|\\[nrt]|^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$"
)
_WORDY = re.compile(r"^[A-Za-z]+(?:[-_.:/+ ][A-Za-z]+)*[-_]?\d{0,4}[!?.]?$")  # `my-secret-token`, `SessionToken2`
_UUID = re.compile(r"^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$", re.IGNORECASE)

MIN_CODE_BITS = 3.3  # Shannon entropy per character: twelve random letters and digits have about 3.4
MIN_CODE_CHARACTERS = 12
MIN_TOKEN_BITS = 2.5  # 32 random hex digits have about 3.6, a run of one has 0
MIN_CONFIG_CHARACTERS = 6
CRAMPED = 5  # the same character so often in a row was typed, not drawn


def entropy(text: str) -> float:
    """Shannon entropy of the characters of `text`, in bits per character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values()) if text else 0.0


def drawn(value: str) -> bool:
    """Whether `value` could have been drawn at random: no placeholder, no run of one character."""
    return (
        not _PLACEHOLDER.search(value)
        and not re.search(rf"(.)\1{{{CRAMPED - 1},}}", value)
        and entropy(value) >= MIN_TOKEN_BITS
    )


def literal(value: str, medium: Medium, *, password: bool) -> bool:
    """Whether a literal beside a secret's name is a secret, in this medium."""
    if _PLACEHOLDER.search(value) or _REFERENCE.search(value) or _WEAK.fullmatch(value):
        return False
    classes = sum(bool(re.search(kind, value)) for kind in ("[a-z]", "[A-Z]", "[0-9]", "[^A-Za-z0-9]"))
    if medium is Medium.CONFIG:
        if password:
            return len(value) >= MIN_CONFIG_CHARACTERS
        return len(value) >= 8 and (classes > 1 and not _WORDY.match(value)) and entropy(value) >= MIN_TOKEN_BITS  # noqa: PLR2004
    return (
        len(value) >= MIN_CODE_CHARACTERS
        and bool(re.search("[0-9]", value))
        and bool(re.search("[A-Za-z]", value))
        and not _WORDY.match(value)
        and not _UUID.match(value)
        and entropy(value) >= min(MIN_CODE_BITS, math.log2(len(value)) - 0.6)
        and drawn(value)
    )


def find(text: str, medium: Medium, *, file_name: str = "") -> Iterator[Match]:
    """Credentials in `text`, in order of their start; each place is reported once, by the rule that knows most."""
    starts: list[int] = []
    found: list[Match] = []  # in the order of `starts`, disjoint
    for match in _all(text, medium, file_name):
        i = bisect_right(starts, match.start)
        if (i == 0 or found[i - 1].end <= match.start) and (i == len(found) or match.end <= found[i].start):
            starts.insert(i, match.start)
            found.insert(i, match)
    yield from found


def _all(text: str, medium: Medium, file_name: str) -> Iterator[Match]:
    if "PRIVATE KEY" in text:
        yield from _keys(text)
    yield from _issued(text)
    for matched in _ADDRESS.finditer(text):
        scheme = text[matched.start() - 1 : matched.start()]
        if scheme.isalnum() and _password(matched["v"], matched["user"], matched["host"]):
            yield _match("connection-string", matched, "DATABASE_URL")
    if medium is Medium.LOCK:
        return
    yield from _structures(text, file_name)
    yield from _literals(text, medium)


def _issued(text: str) -> Iterator[Match]:
    """What issuers marked. It has no white space and is long, so only the long words are looked through."""
    words: list[str] = []
    offsets: list[int] = []  # in the joined words …
    places: list[int] = []  # … and in the text
    at = 0
    for matched in _LONG.finditer(text):
        words.append(matched[0])
        offsets.append(at)
        places.append(matched.start())
        at += len(matched[0]) + 1
    joined = "\n".join(words)
    for provider in PROVIDERS:
        if any(hint in joined for hint in provider.hints):
            for matched in provider.pattern.finditer(joined):
                if _edge(joined, matched.start()) and drawn(matched[0]):
                    start = _place(matched.start(), offsets, places)
                    yield Match(
                        rule=provider.rule,
                        start=start,
                        end=start + len(matched[0]),
                        value=matched[0],
                        name=provider.name,
                    )
    if "eyJ" in joined:
        for matched in _JWT.finditer(joined):
            if _edge(joined, matched.start()) and _token(matched[0]):
                start = _place(matched.start(), offsets, places)
                yield Match(rule="jwt", start=start, end=start + len(matched[0]), value=matched[0], name="TOKEN")


def _place(offset: int, offsets: list[int], places: list[int]) -> int:
    i = bisect_right(offsets, offset) - 1
    return places[i] + offset - offsets[i]


def _edge(text: str, start: int) -> bool:
    r"""Whether a credential can begin at `start`: not within a word, but after an escape such as a `\n` of JSON."""
    before = text[max(0, start - 2) : start]
    return not before or before in {"\\n", "\\r", "\\t"} or not re.match(r"[A-Za-z0-9_.+/-]", before[-1])


def _keys(text: str) -> Iterator[Match]:
    for matched in _PEM.finditer(text):
        body = re.sub(r"\\[nr]|[^A-Za-z0-9+/]", "", matched["body"])
        if len(body) >= 64 and entropy(body) >= MIN_CODE_BITS and not _PLACEHOLDER.search(matched["body"]):  # noqa: PLR2004 - one line
            yield _match("private-key", matched, "PRIVATE_KEY", group=0)


def _structures(text: str, file_name: str) -> Iterator[Match]:
    if "AccountKey=" in text or "SharedAccessKey=" in text:
        yield from (_match("azure-storage", m, "AZURE_STORAGE_KEY") for m in _STORAGE.finditer(text) if drawn(m["v"]))
    if "Basic " in text:
        for matched in _BASIC.finditer(text):
            user, _, password = _base64(matched["v"]).partition(":")
            if password and _password(password, user, ""):
                yield _match("basic-auth", matched, "BASIC_AUTH")
    if "Bearer " in text:
        yield from (
            _match("bearer-token", m, "TOKEN")
            for m in _BEARER.finditer(text)
            if literal(m["v"], Medium.CODE, password=False)
        )
    if "curl" in text:
        yield from (
            _match("basic-auth", m, "PASSWORD") for m in _CURL.finditer(text) if _password(m["v"], m["user"], "")
        )
    for matched in _AWS.finditer(text) if "aws" in text or "AWS" in text else ():
        value = matched["v"]
        if drawn(value) and entropy(value) >= 4 and not re.fullmatch("[0-9a-f]+|[A-Z0-9]+", value):  # noqa: PLR2004 - 40 drawn have 4.6
            yield _match("aws-secret-key", matched, "AWS_SECRET_ACCESS_KEY")
    if _KUBERNETES.search(text):
        for matched in _DATUM.finditer(text):
            value = _base64(matched["v"])
            if value and literal(value, Medium.CONFIG, password=bool(_SECRET_NAME.search(matched["k"]))):
                yield _match("kubernetes-secret", matched, _handle(matched["k"]))
    if file_name in {".netrc", "_netrc"}:
        yield from (
            _match("netrc", m, "PASSWORD")
            for m in _NETRC.finditer(text)
            if literal(m["v"], Medium.CONFIG, password=True)
        )


def _literals(text: str, medium: Medium) -> Iterator[Match]:
    for matched in _ASSIGNED.finditer(text):
        group = "bare" if matched["v"] is None else "v"
        if group == "bare" and medium is not Medium.CONFIG:
            continue
        before = text[max(0, matched.start() - _BEFORE) : matched.start()]
        if before[-1:] in {"=", "!", "<", ">"} or not any(mark in before.lower() for mark in _MARKS):
            continue
        named = _NAME_BEFORE.search(before)
        value = matched[group].rstrip("},;])") if group == "bare" else matched[group]  # `{a: b, c: d}` of YAML
        if named and _named_so(named["k"], value, medium):
            start = matched.start(group)
            yield Match(
                rule="named-literal", start=start, end=start + len(value), value=value, name=_handle(named["k"])
            )
    if "env" in text:
        for matched in _DEFAULT.finditer(text):
            if _named_so(matched["k"], matched["v"], medium):
                yield _match("named-literal", matched, _handle(matched["k"]))
    for matched in _VALUE.finditer(text):
        named = _KEY_BEFORE.search(text, max(0, matched.start() - 2 * _BEFORE), matched.start())
        if named and _named_so(named["k"], matched["v"], Medium.CONFIG):
            yield _match("named-literal", matched, _handle(named["k"]))


def _named_so(key: str, value: str, medium: Medium) -> bool:
    """Whether the name says that the literal beside it is a secret, and the literal looks like one."""
    return bool(_SECRET_NAME.search(key)) and _secret_name(key) and literal(value, medium, password=_is_password(key))


def _secret_name(key: str) -> bool:
    return not _NOT_SECRET_NAME.search(key) and not _CAMEL_TAIL.search(key)


def _is_password(key: str) -> bool:
    return bool(re.search(r"pass|pwd", key, re.IGNORECASE))


def _match(rule: str, matched: re.Match[str], name: str, *, group: str | int = "v") -> Match:
    start, end = matched.span(group)
    return Match(rule=rule, start=start, end=end, value=matched.string[start:end], name=name)


def _handle(key: str) -> str:
    """`NAME` of the handle that a variable or key would have."""
    name = re.sub(r"[^A-Z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).upper()).strip("_")
    return name if name and not name[0].isdigit() else f"SECRET_{name}"


def _password(value: str, user: str, host: str) -> bool:
    """Whether a password in an address is one: no template, no word, not the user's own name."""
    return (
        value.casefold() not in {user.casefold(), "x-oauth-basic"}
        and not host.casefold().endswith((".example", "example.com", "example.org", "example.net", ".invalid", ".test"))
        and len(value) >= MIN_CONFIG_CHARACTERS
        and literal(value, Medium.CONFIG, password=True)
        and not re.fullmatch(r"[0-9]{1,5}", value)
    )


def _token(value: str) -> bool:
    """Whether the three parts of a JWT are an issued one's: JSON in front, no example of a manual."""
    head = _base64(value.split(".", 1)[0])
    return (
        '"alg"' in head
        and "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c" not in value
        and drawn(value.rsplit(".", 1)[1])
    )


def _base64(text: str) -> str:
    """What `text` encodes, if that is text; empty if not."""
    try:
        decoded = base64.b64decode(
            text.rstrip("=").replace("-", "+").replace("_", "/") + "=" * (-len(text.rstrip("=")) % 4)
        ).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return decoded if decoded.strip().isprintable() else ""
