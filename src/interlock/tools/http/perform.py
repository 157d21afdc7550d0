"""Performs a permitted request, and says what a model reads of the answer: text, or that there is none."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from interlock.kernel.call import Call, Json
from interlock.kernel.decision import Permit
from interlock.tools.http.client import Answer, Client
from interlock.tools.http.headers import shown
from interlock.tools.http.scope import Scope

# By the names that pages use. `codecs` knows more: rot13, and some (utf-7) that say one thing and mean another.
_CHARSETS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "ascii",
    "ascii": "ascii",
    "iso-8859-1": "cp1252",  # as every browser reads it
    "latin1": "cp1252",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "shift_jis": "shift_jis",
    "euc-jp": "euc_jp",
    "iso-2022-jp": "iso2022_jp",
    "euc-kr": "euc_kr",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "big5": "big5",
    "koi8-r": "koi8_r",
    "koi8-u": "koi8_u",
}
_CHARSETS |= {f"iso-8859-{n}": f"iso8859_{n}" for n in (*range(2, 12), *range(13, 17))}  # there is no 12
_CHARSETS |= {f"windows-{n}": f"cp{n}" for n in (874, *range(1250, 1259))}
_TEXT = re.compile(
    r"text/.*|application/(.+\+)?(json|xml|yaml)|application/(javascript|ecmascript|x-javascript|x-yaml|toml|sql|graphql"
    r"|x-ndjson|ndjson|jsonl|x-www-form-urlencoded|x-sh|rtf)|image/svg\+xml|message/.*"
)
_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Performer:
    """One operation, ready to be called with a permit."""

    check: Callable[[Permit, Call], None]
    scope: Scope
    client: Client

    def __call__(self, permit: Permit, call: Call) -> Json:
        """Status, headers and text of the answer."""
        self.check(permit, call)
        return readable(self.client.fetch(self.scope.request(call)))


def readable(answer: Answer) -> dict[str, Json]:
    """What a model reads of `answer`."""
    kind = next((value for name, value in answer.headers if name == "content-type"), "")
    found: dict[str, Json] = {
        "status": answer.status,
        "url": answer.target.url,
        "headers": dict(shown(answer.headers)),
        "body": "",
    }
    text = decode(answer.body, kind)
    if text is None:
        media = kind.partition(";")[0].strip()[:100]
        digest = hashlib.sha256(answer.body).hexdigest()
        return found | {"binary": {"type": media, "bytes": len(answer.body), "sha256": digest}}
    return found | {"body": text}


def decode(body: bytes, content_type: str) -> str | None:
    """The text of `body`, or None if it is not text."""
    media = content_type.partition(";")[0].strip().lower()
    if media and not _TEXT.fullmatch(media):
        return None
    marked = _marked(body)
    named = _CHARSET.search(content_type)
    charset = marked or _CHARSETS.get(named[1].lower() if named else "", "")
    if b"\0" in body and not charset.startswith("utf-16"):
        return None
    if not charset:
        try:
            return body.decode("utf-8")
        except UnicodeDecodeError:
            if not media:
                return None  # nobody said that it is text
    return body.decode(charset or "utf-8", errors="replace").removeprefix("\ufeff")


def _marked(body: bytes) -> str:
    """What a byte order mark says: more than the header, for browsers too."""
    if body.startswith(b"\xef\xbb\xbf"):
        return "utf-8"
    return "utf-16" if body.startswith((b"\xff\xfe", b"\xfe\xff")) else ""
