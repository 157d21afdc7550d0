# ruff: noqa: E501, PLR2004 - lengths and ranges are what the formats of these things are
"""Finds credentials: marked by their issuer, of a known structure, or beside a name that says so.

Every finder starts where a trigger stands and looks a bounded way around it, so a text costs what its triggers cost.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from functools import lru_cache

from interlock.detect.redact.plausible import (
    DIGIT,
    MARK,
    TURN,
    UUID,
    Kind,
    bare,
    believed,
    classes,
    drawn,
    entropy,
    kind,
    placeholder,
    strong,
)
from interlock.detect.redact.rule import Issued, beside, compiled, issued

Span = tuple[int, int, str]  # [start, end), what

_EDGE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.+/-")
LONG = 256  # characters: a longer value that was judged is not looked into again


@lru_cache(maxsize=1)
def hints() -> dict[str, tuple[Issued, ...]]:
    """Hint → the rules that it calls for."""
    found: dict[str, tuple[Issued, ...]] = {}
    for rule in issued():
        for hint in rule.hints:
            found[hint] = (*found.get(hint, ()), rule)
    return found


def marked(text: str, rules: tuple[Issued, ...], at: int) -> Iterator[Span]:
    """Credentials whose issuer marked them, where one of their hints stands at `at`."""
    begins = edge(text, at)
    for rule in rules:
        if begins:
            matched = compiled(rule.shape).match(text, at)
            if matched and drawn(matched[0].lstrip("A")):
                yield at, matched.end(), f"secret/{rule.id}"
                continue
        pattern = compiled(rule.shape)
        for start in range(max(0, at - rule.back), at):
            if start and text[start - 1] in _EDGE and text[start - 1] not in "nrt/20ACD":
                continue  # what `edge` says of nearly every place, at once
            if edge(text, start) and (matched := pattern.match(text, start)) and matched.end() > at:
                if drawn(matched[0]):
                    yield *matched.span(), f"secret/{rule.id}"
                break


def edge(text: str, start: int) -> bool:
    r"""Whether a credential can begin at `start`: not within a word, but after an escape such as a `\n` of JSON."""
    if start == 0 or text[start - 1] not in _EDGE:
        return True
    if text.startswith("//", start - 2) and start > 1:
        return True
    if start > 1 and text[start - 2] == "\\" and text[start - 1] in "nrt":
        return True
    return start > 2 and text[start - 3] == "%" and text[start - 2 : start].upper() in {"3D", "20", "22", "2C", "3A"}


class Seen:
    """Up to where one pass over a text has judged long values, and names."""

    __slots__ = ("name", "until")

    def __init__(self) -> None:
        self.until = self.name = 0


# Structures

_SEP = r"(?:\\{1,4}[nrt]|[\s\"'+,>|\\])"
_BEGIN = re.compile(r"-----BEGIN (?:[A-Z0-9]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_BODY = re.compile(
    rf"(?:{_SEP}*+(?:Proc-Type|DEK-Info|Version|Comment|Hash|Charset|MessageID):[ ][^\n\\]{{1,100}}+)*+"
    rf"(?:{_SEP}*+[A-Za-z0-9+/=]{{16,}}+)++(?P<rest>{_SEP}*+(?:[A-Za-z0-9+/=]{{1,64}}+{_SEP}*+){{0,3}}?-----END [A-Z0-9 ]{{1,60}}+-----)?"
)
_END = re.compile(r"-----END (?:[A-Z0-9]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_TAIL = re.compile(r"(?:(?:[nr]\\{1,4}|[\s\"'+,])*+[A-Za-z0-9+/=]{1,200}+)++")
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{8,8000}+\.[A-Za-z0-9_-]{8,12000}+(?:\.[A-Za-z0-9_-]{1,4000}+){0,3}")
_USERINFO = re.compile(
    r"(?P<user>[^\s:/@'\"`<>?#\\]{0,120}):(?P<v>[^\s'\"`<>\\/]{1,256})@(?P<host>[A-Za-z0-9_.\[\]%{}$-]{1,255})"
)
_TOKEN_USER = re.compile(r"(?P<v>[A-Za-z0-9_-]{20,256})@[A-Za-z0-9.-]{1,255}")
_PLACE = re.compile(r"\.(?:invalid|test)$", re.IGNORECASE)


def private_key(text: str, at: int, _end: int, seen: Seen) -> Iterator[Span]:
    """A key in PEM from its first line on: whole, truncated, on one line, escaped."""
    begin = _BEGIN.match(text, at)
    if not begin:
        return
    body = _BODY.match(text, begin.end())
    if body and len(set(body[0][:400])) >= 16 and not placeholder(body[0][:200].replace("...", "")):
        seen.until = body.end()
        yield at, body.end(), "secret/private-key"


def private_key_end(text: str, at: int, _end: int, seen: Seen) -> Iterator[Span]:
    """A key in PEM of which only the end is there."""
    if at < seen.until:
        return
    end = _END.match(text, at)
    if not end:
        return
    window = text[max(0, at - 8000) : at][::-1]
    body = _TAIL.match(window)
    if body and body.end() >= 40 and re.search(r"[A-Za-z0-9+/]{40}", body[0]) and entropy(body[0][:2000]) >= 4:
        yield at - len(body[0].rstrip()), end.end(), "secret/private-key"


def json_web_token(text: str, at: int) -> Iterator[Span]:
    """A JWT, signed or not, or a JWE."""
    if not edge(text, at):
        return
    matched = _JWT.match(text, at)
    if (
        matched
        and '"' in _base64(matched[0].split(".", 1)[0])
        and "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c" not in matched[0]
    ):
        yield at, matched.end(), "secret/jwt"


def address(text: str, at: int) -> Iterator[Span]:
    """The password in an address; `at` is behind `://`."""
    matched = _USERINFO.match(text, at)
    if matched:
        value, user = matched["v"], matched["user"]
        if (
            value.casefold() not in {user.casefold(), "x-oauth-basic", "password", "pass"}
            and not _PLACE.search(matched["host"])
            and believed("password", value, quoted=True)
        ):
            yield *matched.span("v"), "secret/connection-string"
            if bare(user):
                yield *matched.span("user"), "secret/connection-string"
            return
        if value.casefold() == "x-oauth-basic" and bare(user):
            yield *matched.span("user"), "secret/connection-string"
    matched = _TOKEN_USER.match(text, at)
    if matched and bare(matched["v"]):
        yield *matched.span("v"), "secret/connection-string"


# Beside a name

_OPEN = r"(?P<q>\\{0,3}[\"'`])"
_ASSIGN = re.compile(
    r"(?P<rest>[\w.\-]{0,60}+)(?P<close>(?:\\{0,3}[\"'`]|\]|\)){0,3})"
    r"(?:"
    r"(?P<list>,?\s{0,80}(?:\{\s{0,80}(?:(?:type|description|sensitive|nullable)[ ]{0,12}=[^\n]{1,120}\n\s{0,40}){0,3})?(?:\\?[\"'])?(?:[Vv]alue|content|default|VALUE)(?:\\?[\"'])?[ ]{0,4}[:=][ ]{0,4})"
    r"|(?P<op>[ \t]{0,8}(?::=|=>|->|\?=|\|\|=|[:=|\uff1a\u662f\u4e3a\u306f](?!=)|(?<=[ ])(?:string|String|str|&str|text|char\*|\[\]byte)[ ]=)[ \t]{0,8}(?:\r?\n[ \t]{1,40}(?=[\"']))?)"
    r"|(?P<pair>,[ \t]{0,4}(?=\\{0,3}[\"'`]))"
    r"|(?P<call>\([ \t]{0,4}(?=[\"'`]))"
    r"|(?P<tag>>)(?=[^<>\s]|<!\[CDATA)"
    r"|(?P<word>(?:[ \t]{1,4}(?:for|of|to|on|in)(?:[ ][\w.'-]{1,20}){1,4}?)?[ \t]{1,4}(?:is|was|are|to|(?:(?:has|have)[ ]been[ ]|was[ ]|is[ ])?(?:changed|reset|set|updated|rotated)[ ]to|ist|lautet|es|est|\xe9|\xe8|\xe4r|er|jest|on|:=)[ \t]{0,2}:?[ \t]{1,4}(?:now[ \t]+)?)"
    r"|(?P<gap>[ \t]{1,4}(?:[05789-][ \t]{1,4}(?=\S{4}))?|,(?=[^\s,\"'`]))"
    r")"
    r"(?:(?:Final|str|string|String|&str|text|Optional\[str\]|str \| None|SecretStr)[ \t]{0,4}=[ \t]{0,4})?"
)
_QUOTED = re.compile(r"[rbufRBUF]{0,2}(?P<q>\\{0,3}[\"'`])(?P<v>(?:(?!(?P=q))[^\n]){1,4000})(?P=q)")
_QUOTED_FAST = re.compile(
    r"[rbufRBUF]{0,2}(?:\"(?P<d>[^\"\n\\]{0,4000}+)\"|'(?P<s>[^'\n\\]{0,4000}+)'|`(?P<b>[^`\n\\]{0,4000}+)`)"
)
_BARE = re.compile(
    r"(?:[^\s\"'`<>&;,|\\{}()]|\\(?![nrt\"'])|[,;](?=[^\s,;\"'\\])(?![\w. -]{1,40}+[=:])|&(?!\w{1,40}=|amp;)|"
    r"['](?=[\w!@#$%^*-])|[({](?=[^\s)}]*[)}])[^\s(){}]*[)}]){1,2000}+"
)
_TAG = re.compile(r"(?:<!\[CDATA\[)?(?P<v>[^<>\n]{1,400}?)(?:\]\]>)?(?=</)")
_SCHEME = re.compile(r"(?:bearer|token|apikey|api-key|key|ssws)[ \t]{1,4}", re.IGNORECASE)
_SPOKEN = frozenset({"key", "keys", "token", "code", "secret", "phrase"})
_SAID = re.compile(r"(?<!\w)([A-Za-z]{2,16}|2[Ff][Aa])[ -]$")
_HEAD = 64  # characters of a name in front of its trigger


def keyed(text: str, start: int, end: int, seen: Seen) -> Iterator[Span]:
    """A value beside a name that has the trigger `text[start:end]` in it."""
    if start < seen.until or start < seen.name:
        return
    matched = _ASSIGN.match(text, end)
    if not matched:
        return
    seen.name = matched.end("rest")
    front = _head(text, start)
    name = text[start - front : seen.name].rstrip(".")
    if name.lower() in _SPOKEN and (before := _SAID.search(text, max(0, start - front - 24), start - front)):
        name = f"{before[1]}_{name}"  # `license key`, `verification code`
    of = kind(name)
    if of:
        yield from _valued(text, matched, start - front, of, seen)


def _head(text: str, start: int) -> int:
    """How many characters in front of `start` belong to the same name."""
    at = start
    stop = max(0, start - _HEAD)
    while at > stop and ((char := text[at - 1]).isalnum() or char in "_-."):
        at -= 1
    if at and text[at - 1] == "\\" and at < start and text[at] in "nrt":
        at += 1
    return start - at


def _valued(text: str, matched: re.Match[str], name_start: int, of: Kind, seen: Seen) -> Iterator[Span]:
    what = _WHAT[of]
    at = matched.end()
    how = matched.lastgroup
    if how == "tag":
        if text[name_start - 1 : name_start] not in {"<", ":"}:
            return
        value = _TAG.match(text, at)
        if value and believed(of, value["v"], quoted=True):
            yield *value.span("v"), what
        return
    scheme = _SCHEME.match(text, at) if of == "token" else None
    if scheme:
        at = scheme.end()
    if how == "call" and text[name_start : name_start + 8].lower().startswith(_ASKS):
        return
    if how == "word" and text[name_start : matched.start("close")].lower() == "pass":
        return  # a verb
    if how == "gap":
        if text[at : at + 1] in {"{", "(", "<", "[", "%"}:
            return
        flag = text[name_start - 1 : name_start] == "-" or text[name_start : name_start + 1] == "-"
        if text[at : at + 1] in {'"', "'"} and not flag:
            quoted = _quoted(text, at)
            verb = text[name_start : name_start + 5].lower() == "pass "
            if quoted and not verb and believed(of, text[slice(*quoted)], quoted=_defined(text, name_start)):
                yield *quoted, what
            return
        if (
            flag
            or (of == "password" and _NETRC.search(text, max(0, name_start - 120), name_start))
            or (of == "password" and text[max(0, name_start - 8) : name_start].lower().endswith(("sshpass ", "\t")))
        ):
            yield from _flagged(text, at, of, what)
            return
        token = _BARE.match(text, at)
        if token:
            if token.end() - at > LONG:
                seen.until = token.end()
            value_text = token[0].rstrip(".:?)]}" if of == "password" else ".:!?)]}")
            if _NAME.match(value_text):
                return  # the name of another value
            named = (
                (of == "password" and (strong(value_text) or _directive(text, name_start, at, value_text)))
                or (of == "code" and believed(of, value_text, quoted=False) and not _YEAR.fullmatch(value_text))
                or (bare(value_text) and of in {"secret", "token", "password"})
            )
            if named and not _hash_like(text, name_start):
                yield at, at + len(value_text), what
        return
    quoted = _quoted(text, at)
    if quoted:
        first, last = quoted
        if last - first > LONG:
            seen.until = last
        if text[last : last + 2].lstrip("\\\"'`")[:1] in {"+", "%"} and "{" in text[first:last]:
            return
        value_text = text[first:last]
        inner = _SCHEME.match(value_text) if of in {"token", "secret"} else None
        if inner:
            first, value_text = first + inner.end(), value_text[inner.end() :]
        if how == "pair" and not DIGIT.search(value_text):
            return
        if believed(of, value_text.strip(), quoted=True):
            yield first, last, what
        return
    if how in {"pair", "call"}:
        return
    token = _BARE.match(text, at)
    if not token:
        return
    if token.end() - at > LONG:
        seen.until = token.end()
    value_text = token[0].rstrip(".,:;!?)]}'") if not token[0].endswith(("=", "!")) else token[0]
    follows = text[at + len(value_text) : at + len(value_text) + 1]
    if follows == ":" and value_text.isalpha():
        return  # the name of another value
    if follows in {"(", "["} or not value_text or (value_text[0] == "(" and token[0][-1] == ")"):
        return
    if of == "token" and _PARAMETER.match(text, at + len(value_text)):
        return  # the scheme of a header
    spaced = how == "word"
    if (
        spaced
        and of != "code"
        and not (DIGIT.search(value_text) or _odd(value_text) or len(TURN.findall(value_text)) > 2)
    ):
        return
    if believed(of, value_text, quoted=_environment(text, name_start, matched)):
        yield at, at + len(value_text), what


_PARAMETER = re.compile(r"[ \t]{1,4}[\w-]{1,40}=")
_YEAR = re.compile(r"(?:19|20)\d\d")
_ASKS = (
    "get",
    "fetch",
    "read",
    "load",
    "check",
    "verify",
    "find",
    "lookup",
    "is_",
    "has",
    "ask",
    "make",
    "hash",
    "delete",
)
_NETRC = re.compile(r"\b(?:login|machine|user|username)[ \t]+\S{1,80}\s+$")
_NAME = re.compile(r"[A-Za-z][\w.-]{0,40}[=:](?=[^=])")
_WHAT = {
    "password": "secret/password",
    "secret": "secret/key",
    "token": "secret/token",
    "key": "secret/key",
    "session": "secret/session",
    "code": "secret/code",
}


def _directive(text: str, name_start: int, at: int, value: str) -> bool:
    """`requirepass forest976`: a line of a configuration, or a name that is nothing but a password's."""
    line = not text[max(0, name_start - 1) : name_start].strip(" \t") and text[
        at + len(value) : at + len(value) + 1
    ] in {"", "\n", "\r"}
    least = 6 if line and text[max(0, name_start - 1) : name_start] in {"", "\n"} else 8
    return (
        least <= len(value) <= 64
        and (least == 6 or text[name_start : name_start + 5].lower() not in {"pass ", "pass\t"})
        and len(DIGIT.findall(value)) > 1
        and value.isalnum()
        and classes(value) > 1
        and believed("password", value, quoted=False)
    )


def _defined(text: str, name_start: int) -> bool:
    """`#define NAME "value"`."""
    return (
        text.startswith(("#define ", "define "), max(0, name_start - 8))
        or text[max(0, name_start - 4) : name_start] == "ENV "
    )


def _odd(value: str) -> bool:
    return any(not c.isalnum() and c not in "_-.,'/" for c in value)


def _environment(text: str, name_start: int, matched: re.Match[str]) -> bool:
    """`NAME=value` with nothing between: a literal, whatever it looks like."""
    head = text[name_start : matched.start("close")]
    return matched["op"] == "=" and head.isupper()


def _hash_like(text: str, start: int) -> bool:
    before = text[max(0, start - 24) : start].lower()
    return any(word in before for word in ("sha", "commit", "digest", "hash", "etag", "revision", "public"))


def _flagged(text: str, at: int, of: Kind, what: str) -> Iterator[Span]:
    """The value behind a flag of a command."""
    quoted = _quoted(text, at)
    if quoted:
        first, last = quoted
        if believed(of, text[first:last], quoted=True):
            yield first, last, what
        return
    token = re.compile(r"[^\s\"'`|;&<>\\]{1,400}").match(text, at)
    if token and not token[0].startswith("-") and believed(of, token[0], quoted=False):
        yield at, token.end(), what


def _quoted(text: str, at: int) -> tuple[int, int] | None:
    """Where the text between quotes that open at `at` stands."""
    fast = _QUOTED_FAST.match(text, at)
    if fast:
        return fast.span(fast.lastgroup or 0)
    slow = _QUOTED.match(text, at)
    return slow.span("v") if slow else None


# Headers

_BEARER = re.compile(r"[\"']?[ \t]{0,3}[:=]?[ \t]{0,4}[\"']?(?P<v>[A-Za-z0-9._~+/|:-]{8,4000}+=*)")
_BASIC = re.compile(r"[ \t]{1,4}(?P<v>[A-Za-z0-9+/]{8,400}+={0,2})(?![A-Za-z0-9+/=])")
_AUTHORIZATION = re.compile(
    r"(?P<close>\\{0,3}[\"'`]?)[ \t]{0,4}[:=,][ \t]{0,4}\\{0,3}[\"'`]?(?:(?P<scheme>[A-Za-z][\w-]{1,30})[ \t]{1,4})?(?P<v>[^\s\"'`,;\\<>]{8,4000}+)"
)
_COOKIE = re.compile(r"2?\\{0,3}[\"'`]?\]?[ \t]{0,4}[:=][ \t]{0,4}\\{0,3}[\"'`]?(?=[\w.!#$%&*+^|~-]{1,80}=)")
_PAIR = re.compile(r"[; \t]{0,4}(?P<k>[\w.!#$%&*+^|~-]{1,80}+)(?:=(?P<v>[^;\s\"'`\\,]*+))?(?=[;\s\"'`\\,]|$)")
_ATTRIBUTE = frozenset("path domain expires max-age samesite secure httponly priority partitioned version".split())
_HARMLESS = re.compile(r"theme|lang|locale|consent|^_g[aid]|^_fbp|^_hj|utm|timezone|^tz$|currency|cookie_?(?:notice|banner)|intercom-id|variant|experiment|^ab", re.IGNORECASE)  # fmt: skip
_SIGNED = re.compile(r"=[\"']?(?P<v>[A-Za-z0-9%+/_=~.-]{16,1200}+)")
_USERPASS = re.compile(r"[ =]?[\"']?(?P<user>[\w.@+-]{1,80}):(?P<v>[^\s\"'$]{4,200})")
_USER_PERCENT = re.compile(r"[ =]?[\"']?(?P<user>[\w.@+\\/-]{1,80})%(?P<v>[^\s\"'$]{4,200})")
_SHORT_P = re.compile(r"(?P<q>[\"']?)(?P<v>[^\s\"'$-][^\s\"']{3,100})(?P=q)")


def bearer(text: str, end: int) -> Iterator[Span]:
    """The token behind `Bearer`."""
    matched = _BEARER.match(text, end)
    if not matched or matched.start("v") == end:
        return
    value = matched["v"].rstrip(".:")
    digits = DIGIT.search(value)
    if (digits and len(value) >= 12 and drawn(value) and classes(value) > 1) or (
        len(value) >= 24
        and classes(value) > 1
        and drawn(value)
        and "." not in value
        and "/" not in value
        and "-" not in value.strip("-")
    ):
        yield matched.start("v"), matched.start("v") + len(value), "secret/bearer"


def basic(text: str, end: int) -> Iterator[Span]:
    """User and password behind `Basic`."""
    matched = _BASIC.match(text, end)
    if matched and ":" in _base64(matched["v"]):
        password = _base64(matched["v"]).partition(":")[2]
        if believed("password", password, quoted=True):
            yield *matched.span("v"), "secret/basic"


def authorization(text: str, end: int) -> Iterator[Span]:
    """What an `Authorization` header says behind its scheme."""
    matched = _AUTHORIZATION.match(text, end)
    if not matched:
        return
    value, scheme = matched["v"].rstrip(".):,;"), (matched["scheme"] or "").lower()
    if scheme in {"bearer", "basic", "digest", "aws4-hmac-sha256"} or MARK.match(value):
        return
    if scheme and scheme not in {
        "token",
        "apikey",
        "api-key",
        "key",
        "sso-key",
        "api-token",
        "klaviyo-api-key",
        "bot",
        "oauth",
        "splunk",
        "discord",
        "geniekey",
        "ssws",
        "dapi",
        "pat",
        "jwt",
        "hmac",
    }:
        return
    if believed("token", value, quoted=True) or UUID.fullmatch(value):
        yield matched.start("v"), matched.start("v") + len(value), "secret/token"


def cookie(text: str, _start: int, end: int, seen: Seen) -> Iterator[Span]:
    """The values of a `Cookie` or `Set-Cookie` header that are drawn."""
    if end < seen.until:
        return
    matched = _COOKIE.match(text, end)
    if not matched:
        return
    at = matched.end()
    for _ in range(60):
        pair = _PAIR.match(text, at)
        if not pair:
            return
        name, value = pair["k"], pair["v"] or ""
        if name.lower() not in _ATTRIBUTE and not _HARMLESS.search(name) and _cookie_value(name, value):
            yield *pair.span("v"), "secret/cookie"
        at = seen.until = pair.end()
        if text[at : at + 1] != ";":
            return


def _cookie_value(name: str, value: str) -> bool:
    if MARK.match(value) or placeholder(value) or value.isdigit():
        return False
    known = kind(name) in {"session", "token", "secret", "password"} or re.search(
        r"sess|auth|token|csrf|xsrf|sid|remember|login", name, re.IGNORECASE
    )
    return (len(value) >= 8 and classes(value) > 1 if known else len(value) >= 20 and classes(value) > 1) and entropy(
        value
    ) >= 2.5


def signature(text: str, start: int, end: int) -> Iterator[Span]:
    """The signature in an address that grants access: SAS, presigned."""
    matched = _SIGNED.match(text, end)
    if not matched or not drawn(matched["v"]):
        return
    before = text[max(0, start - 1) : start]
    if text[start:end].lower() == "sig":
        if before in {"?", "&", ";"} and len(matched["v"]) >= 20:
            yield *matched.span("v"), "secret/signed-url"
    elif text.startswith("oauth_", start - 6) or (
        before in {"?", "&", "-", ";", " ", ","}
        and (before != " " or "Credential=" in text[max(0, start - 240) : start])
    ):
        yield *matched.span("v"), "secret/signed-url"


_COMMAND = {  # flag → commands whose password it takes; no edge in front, so that `re` skips to their first letters
    "u": re.compile(r"curl|wget|http|xh "),
    "a": re.compile(r"redis-cli|http|xh "),
    "p": re.compile(r" login|twine upload|mongo|cqlsh|arangosh|mysql|mariadb|sshpass|7za? |rar "),
    "w": re.compile(r"ldap(?:search|add|modify|delete|whoami|compare|modrdn)"),
    "P": re.compile(r"sqlcmd|bcp |osql|isql|tsql|unzip|zip |ipmitool"),
    "U": re.compile(r"smbclient|rpcclient|smbmap|net |wmic"),
}
_SPACED = ("sshpass", "login", "twine", "mongo", "cqlsh", "arangosh")  # others glue `-p` to its value


def short_flag(text: str, start: int, end: int) -> Iterator[Span]:
    """`curl -u user:password`, `mysql -pPASSWORD`, `sshpass -p`, `redis-cli -a`, `ldapsearch -w`, `smbclient -U user%password`."""
    begin = max(0, start - 240)
    begin = max(begin, *(text.rfind(mark, begin, start) for mark in "\n|;"))
    flag = text[end - 1]
    found = _COMMAND[flag].search(text, begin, start + 1)
    if not found:
        return
    if flag in "uU" or (flag == "a" and found[0] != "redis-cli"):
        matched = (_USER_PERCENT if flag == "U" else _USERPASS).match(text, end)
        if matched and believed("password", matched["v"], quoted=True):
            yield *matched.span("v"), "secret/password"
        return
    glued = flag == "p" and not any(text.find(word, begin, start) >= 0 for word in _SPACED)
    matched = _SHORT_P.match(text, end + (text[end : end + 1] == " " and not glued))
    if not matched or placeholder(matched["v"]) or matched["v"].startswith(("-", "=", "ort")):
        return
    if flag in "pa" or believed("password", matched["v"], quoted=True):
        yield *matched.span("v"), "secret/password"


def user_flag(text: str, _start: int, end: int) -> Iterator[Span]:
    """`--user name:password`."""
    matched = _USERPASS.match(text, end)
    if matched and believed("password", matched["v"], quoted=True):
        yield *matched.span("v"), "secret/password"


# Without a name beside it, but in a known place

_ORACLE = re.compile(r"[ ]?(?P<user>[\w.$#-]{1,40})/(?P<v>[^\s\"'`<>]{1,128})@(?=[/\w(])")
_LOGIN = re.compile(
    r"(?:\s?=\s?)?\(\s{0,4}(?:[^\s\"'(),]{1,60}\s{0,2},\s{0,4})?[\"'][^\"'\n]{1,80}[\"']\s{0,2},\s{0,4}(?P<q>[\"'])(?P<v>[^\"'\n]{4,120})(?P=q)\s{0,4}[,)]"
)
_TOKEN_LOGIN = re.compile(r"\(\s{0,4}[\"'](?P<v>[^\"'\s]{20,200})[\"']\s{0,2}\)")
_PIPED = re.compile(
    r"\b(?:echo|printf|print)[ ]{1,3}(?:-[ne][ ])?(?:[\"']?%s\S{0,3}[ ])?(?P<q>[\"']?)(?:(?P<user>[\w.-]{1,40}):)?(?P<v>[^\s\"'|$<>]{4,128})(?P=q)[ ]{0,3}$"
)
_IDENTIFIED = re.compile(
    r"(?:[ ]WITH[ ]\S{1,40})?[ ](?:BY|AS)[ ](?:PASSWORD[ ])?(?P<q>[\"'])(?P<v>[^\"'\n]{4,128})(?P=q)", re.IGNORECASE
)
_PUTTY = re.compile(r"[ ]\d{1,3}\s{1,2}(?P<v>(?:[A-Za-z0-9+/=]{1,64}\s{1,2})*[A-Za-z0-9+/=]{16,64})")
_SEED = re.compile(
    r"(?:seed|recovery|backup|secret|wallet|mnemonic|phrase)?(?:[ _-](?:phrase|words))?[\"']?[ ]?(?:is|are|:|=)\s{1,3}[\"']?(?P<v>(?:[a-z]{3,8}[ ,]{1,2}){11,23}[a-z]{3,8})(?![a-z])"
)
_SEED_OF = re.compile(r"(?:seed|recovery|backup|secret|wallet|mnemonic)[ _-]$", re.IGNORECASE)
PASS_FILE = re.compile(
    r"(?:(?<=\s)|^)[\w.*-]{1,80}:(?:\d{4,5}|\*):[\w.*-]{1,60}:[\w.*@-]{1,60}:(?P<v>[^\s:]{4,120})(?=\s|$)", re.MULTILINE
)
USER_PASSWORD = re.compile(r"[a-z][\w.@+-]{1,63}:(?P<v>[^\s:]{6,120})")


def oracle(text: str, _start: int, end: int, seen: Seen) -> Iterator[Span]:
    """`user/password@host` behind `sqlplus` or `jdbc:oracle:thin:`."""
    matched = _ORACLE.match(text, end) if end >= seen.until else None
    if matched:
        seen.until = matched.end()
    if matched and believed("password", matched["v"], quoted=True):
        yield *matched.span("v"), "secret/connection-string"


def login(text: str, end: int) -> Iterator[Span]:
    """The second of two literals: `auth=("bob", "…")`, `login("bob", "…")`."""
    matched = _TOKEN_LOGIN.match(text, end)
    if matched and bare(matched["v"]):
        yield *matched.span("v"), "secret/token"
        return
    matched = _LOGIN.match(text, end)
    if matched and DIGIT.search(matched["v"]) and believed("password", matched["v"], quoted=True):
        yield *matched.span("v"), "secret/password"


def piped(text: str, start: int, _end: int) -> Iterator[Span]:
    """`echo PASSWORD | sudo -S`."""
    bar = text.rfind("|", max(0, start - 120), start + 1)
    matched = _PIPED.search(text, max(0, bar - 200), bar) if bar > 0 else None
    if matched and believed("password", matched["v"], quoted=True):
        yield *matched.span("v"), "secret/password"


def identified(text: str, end: int) -> Iterator[Span]:
    """`CREATE USER … IDENTIFIED BY 'PASSWORD'`."""
    matched = _IDENTIFIED.match(text, end)
    if matched and believed("password", matched["v"], quoted=True):
        yield *matched.span("v"), "secret/password"


def putty(text: str, end: int) -> Iterator[Span]:
    """The private lines of a key of PuTTY."""
    matched = _PUTTY.match(text, end)
    if matched:
        yield *matched.span("v"), "secret/private-key"


def seed(text: str, start: int, end: int) -> Iterator[Span]:
    """Twelve to twenty-four words that are a key."""
    if text[start:end].lower() == "mnemonic" or _SEED_OF.search(text, max(0, start - 12), start):
        matched = _SEED.match(text, end)
        if matched and len(set(matched["v"].split())) > 5:
            yield *matched.span("v"), "secret/seed-phrase"


def pass_file(matched: re.Match[str]) -> Iterator[Span]:
    """The password of a line of `.pgpass`."""
    if believed("password", matched["v"], quoted=True):
        yield *matched.span("v"), "secret/password"


def user_password(decoded: str) -> bool:
    """Whether a word encoded `user:password`, and not a thing and its number."""
    matched = USER_PASSWORD.fullmatch(decoded)
    return (
        matched is not None
        and (DIGIT.search(matched["v"]) is not None or len(TURN.findall(matched["v"])) > 2)
        and not matched["v"].isdigit()
        and (believed("password", matched["v"], quoted=True) and not UUID.fullmatch(matched["v"]))
    )


# What a password is called where letters are not Latin: looked for in texts that are not ASCII

FOREIGN = (
    "\u043f\u0430\u0440\u043e\u043b\u044c", "\u041f\u0430\u0440\u043e\u043b\u044c", "\u5bc6\u7801", "\u5bc6\u78bc", "\u53e3\u4ee4", "\u30d1\u30b9\u30ef\u30fc\u30c9",
    "\ube44\ubc00\ubc88\ud638", "\u0643\u0644\u0645\u0629 \u0627\u0644\u0645\u0631\u0648\u0631", "\u05e1\u05d9\u05e1\u05de\u05d4", "has\u0142o", "Has\u0142o", "\u015fifre", "\u015eifre",
    "\u03ba\u03c9\u03b4\u03b9\u03ba\u03cc\u03c2", "\u039a\u03c9\u03b4\u03b9\u03ba\u03cc\u03c2", "m\u1eadt kh\u1ea9u", "M\u1eadt kh\u1ea9u", "\u0930\u093e\u0938\u0935\u0930\u094d\u0921",
)  # fmt: skip


def foreign(text: str) -> Iterator[Span]:
    """A password beside its name in another script."""
    seen = Seen()
    for word in FOREIGN:
        at = text.find(word)
        while at >= 0:
            end = at + len(word)
            matched = _ASSIGN.match(text, end)
            if matched and matched.lastgroup in {"op", "word"} and end >= seen.until:
                yield from _valued(text, matched, at, "password", seen)
            at = text.find(word, end)


# Beside the name of a service

SHORT = 4  # letters of a service's name that words begin with, too
_SERVICE_GAP = re.compile(
    r"(?P<gap>[\w. \t/()-]{0,30}?)(?P<mark>[\"'`\]]{0,3}[ \t]{0,4}(?:=>|:=|->|[=:|,]|\bis\b|[ \t])[ \t]{0,4}[\"'`]{0,2})"
    r"(?P<v>[A-Za-z0-9][A-Za-z0-9_+/=.:~-]{13,300}+)(?=[\s\"'`;,)\]}<&]|\.(?:\s|$)|\\|$)"
)
_SAYS = re.compile(r"key|token|secret|auth|credential|cred|pass|api|pat\b|sid|access|account", re.IGNORECASE)
_SAYS_NOT = re.compile(r"sha|hash|commit|digest|checksum|etag|version|revision|public|trace|request|build|deploy(?:ment)? id|tool.?call|cache|image", re.IGNORECASE)  # fmt: skip


def service(text: str, start: int, end: int) -> Iterator[Span]:
    """A credential without a mark beside the name of its service."""
    shape = beside().get(text[start:end].lower())
    if shape is None or (start and text[start - 1].isalnum() and text[start - 1].islower() and text[start].islower()):
        return
    if end - start <= SHORT and text[end : end + 1].islower() and text[end - 1].islower():
        return  # the beginning of a word: `example`
    at = end
    for _ in range(2):
        matched = _SERVICE_GAP.match(text, at)
        if not matched:
            return
        value = matched["v"].rstrip(".:")
        gap = text[end : matched.start("v")]
        if compiled(shape).fullmatch(value) and drawn(value.replace("A" * 10, "")) and DIGIT.search(value):
            said = _SAYS.search(gap) or _SAYS.search(text[max(0, start - 20) : start])
            if said and not _SAYS_NOT.search(gap) and not placeholder(gap):
                yield matched.start("v"), matched.start("v") + len(value), "secret/service-key"
            return
        at = matched.start("v")
        if not _SAYS.search(value):
            return


def _base64(text: str) -> str:
    """What `text` encodes, if that is text; empty if not."""
    body = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        decoded = base64.b64decode(body + "=" * (-len(body) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return decoded if decoded.strip().isprintable() else ""
