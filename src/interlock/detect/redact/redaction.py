"""Takes secrets and personal data out of texts and JSON, each type by its policy.

Types are `secret` and those of `PERSONAL`; a policy may also name a finding's whole id (`secret/github`). What no
policy names is masked; private addresses of machines stay. Redacting again changes nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from typing import Literal, Protocol, TypeAlias, get_args

from interlock.detect.finding import Finding, Severity
from interlock.detect.redact import find
from interlock.detect.redact.find import MARK, PERSONAL, Span
from interlock.detect.redact.personal import name_value
from interlock.detect.redact.plausible import believed, kind
from interlock.detect.redact.stream import Stream
from interlock.detect.redact.vault import Vault
from interlock.kernel.call import Json

Policy: TypeAlias = Literal["mask", "hash", "drop", "keep", "reversible"]

MAX_DEPTH = 64  # levels of nesting
MAX_NODES = 500_000  # values and keys of one JSON value
MAX_CHARACTERS = 32_000_000  # of all texts of one JSON value
MIN_KEY = 16  # characters of the key of hashes
HASH = 16  # hex digits that stand for a value
MIN_NUMBER = 2  # digits; shorter ones say nothing
MAX_FLAG = 64  # characters of a flag of a command
_PAIR = 2  # a header: its name and its value
_KEYS = 4096  # names whose look is remembered
_PAIRS = 4096  # values whose look under their name is remembered, if nothing was found: what a service says itself
_SHORT = 128  # characters of such a value with its name
_DEFAULTS: Mapping[str, Policy] = {"ip-private": "keep"}


class RedactionError(Exception):
    """A value cannot be redacted, so nothing of it may be kept or shown."""


class Known(Protocol):
    """Finds exact values, such as `interlock.secrets.matcher.Matcher`."""

    def spans(self, text: str) -> Iterable[tuple[int, int, str]]:
        """Where known values stand, [start, end), and their names."""
        ...


class Redaction:
    """Finds and takes out. Shares nothing between calls but its settings; safe in threads."""

    __slots__ = ("__key", "__known", "__names", "__policies", "__pure", "__still", "__vault")

    def __init__(
        self,
        *,
        policies: Mapping[str, Policy] | None = None,
        known: Known | None = None,
        key: bytes = b"",
        vault: Vault | None = None,
        pure: bool = False,
    ) -> None:
        policies = dict(policies or {})
        types = {"secret", "pii", *PERSONAL}
        for name, policy in policies.items():
            if name not in types and not name.startswith(("secret/", "pii/")):
                raise ValueError(f"`{name}` is no type of finding; there are {', '.join(sorted(types))}")
            if policy not in get_args(Policy):
                raise ValueError(f"`{policy}` is no policy for `{name}`; there are {', '.join(get_args(Policy))}")
        if "hash" in policies.values() and len(key) < MIN_KEY:
            raise ValueError(
                f"policy `hash` needs a key of at least {MIN_KEY} bytes: without one, values can be guessed"
            )
        if "reversible" in policies.values() and vault is None:
            raise ValueError("policy `reversible` needs a vault: pass one for each run")
        self.__policies, self.__known, self.__key, self.__vault, self.__pure = policies, known, key, vault, pure
        self.__names: set[str] = set()
        self.__still: set[tuple[str, str]] = set()

    def __repr__(self) -> str:
        return "Redaction(…)"

    def find(self, text: str) -> list[Finding]:
        """What a policy other than `keep` applies to, in order and disjoint."""
        return [_finding(span) for span in self.__spans(text)]

    def text(self, text: str) -> str:
        """`text` without what its policies take out."""
        return self.__replaced(text, self.__spans(text))

    def __call__(self, value: Json) -> Json:
        """`value` without what the policies take out; names of a mapping say what their values are.

        Raises:
            RedactionError: it is nested or large beyond what can be looked through.
        """
        return _Walk(self).value(value, "", 0)

    def stream(self) -> Stream:
        """For a text that comes in pieces; how it was cut changes nothing."""
        return Stream(self.__spans, self.__replaced)

    def beside(self, name: str, value: str) -> str:
        """`value`, which stands under `name` in a mapping."""
        if (name, value) in self.__still:
            return value
        cleaned = self.__beside(name, value)
        if cleaned == value and len(name) + len(value) <= _SHORT:
            if len(self.__still) >= _PAIRS:
                self.__still.clear()
            self.__still.add((name, value))
        return cleaned

    def __beside(self, name: str, value: str) -> str:
        if not name:
            return self.text(value)
        prefix = f'"{name[:200]}": "'
        at = len(prefix)
        found = [
            (max(start, at) - at, min(end - at, len(value)), what)
            for start, end, what in self.__spans(f'{prefix}{value}"')
            if end > at and start - at < len(value)
        ]
        of = kind(name)
        if of and believed(of, value.strip(), quoted=True):
            found = [(0, len(value), f"secret/{of}")]
        elif not found and name_value(name.replace("_", "").replace("-", "").lower(), value):
            found = [span for span in [(0, len(value), "pii/name")] if self.__policy(span[2]) != "keep"]
        return self.__replaced(value, found)

    def name(self, name: str) -> str:
        """`name` as the key of a mapping."""
        if name in self.__names:
            return name
        cleaned = self.text(name)
        if cleaned == name and len(self.__names) < _KEYS:
            self.__names.add(name)
        return cleaned

    def __spans(self, text: str) -> list[Span]:
        found = find.spans(text, pure=self.__pure)
        if self.__known is not None:
            found = find.disjoint(
                [*found, *((start, end, f"known/{name}") for start, end, name in self.__known.spans(text))]
            )
        if not found:
            return found
        if "[" in text:
            marks = [matched.span() for matched in MARK.finditer(text)]
            if marks:
                found = _outside(found, marks)
        return [span for span in found if self.__policy(span[2]) != "keep"]

    def __policy(self, what: str) -> Policy:
        family, _, name = what.partition("/")
        if family == "known":
            return "mask"
        label = PERSONAL_OF.get(name, name) if family == "pii" else "secret"
        for choice in (what, label, family):
            if choice in self.__policies:
                return self.__policies[choice]
        return _DEFAULTS.get(label, "mask")

    def __replaced(self, text: str, found: Iterable[Span]) -> str:
        pieces: list[str] = []
        at = 0
        for start, end, what in found:
            pieces += [text[at:start], self.__placeholder(what, text[start:end])]
            at = end
        return "".join((*pieces, text[at:])) if pieces else text

    def __placeholder(self, what: str, value: str) -> str:
        family, _, name = what.partition("/")
        label = PERSONAL_OF.get(name, name) if family == "pii" else "secret"
        match self.__policy(what):
            case "drop":
                return ""
            case "hash":
                digest = hmac.digest(self.__key, f"{label}\0{value}".encode("utf-8", "surrogatepass"), "sha256").hex()
                return f"[{label}:{digest[:HASH]}]"
            case "reversible":
                if self.__vault is None:
                    raise RedactionError("policy `reversible` needs a vault")
                return self.__vault.put(label, value)
            case _:
                return f"[{label}:{name}]" if label == "secret" else f"[{label}]"


PERSONAL_OF = {name: label for label, names in PERSONAL.items() for name in names}


class _Walk:
    """One walk over a JSON value; counts what it has seen."""

    __slots__ = ("characters", "nodes", "redaction")

    def __init__(self, redaction: Redaction) -> None:
        self.redaction, self.nodes, self.characters = redaction, 0, 0

    def value(self, value: Json, name: str, depth: int) -> Json:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise RedactionError(
                f"a value has more than {MAX_DEPTH} levels or {MAX_NODES} parts: it cannot be looked through"
            )
        match value:
            case str():
                self.characters += len(value)
                if self.characters > MAX_CHARACTERS:
                    raise RedactionError(
                        f"a value has more than {MAX_CHARACTERS} characters: it cannot be looked through"
                    )
                return self.redaction.beside(name, value)
            case bool() | None:
                return value
            case int() | float():
                written = str(value)
                cleaned = self.redaction.beside(name, written) if len(written) > MIN_NUMBER else written
                return value if cleaned == written else cleaned
            case list():
                return self.__list(value, name, depth)
            case dict():
                return self.__dict(value, name, depth)

    def __list(self, items: list[Json], name: str, depth: int) -> Json:
        new: list[Json] = []
        pair = len(items) == _PAIR and all(isinstance(item, str) for item in items)
        before = ""
        for i, item in enumerate(items):
            beside = before or name
            new.append(self.value(item, beside, depth + 1))
            flag = isinstance(item, str) and (item.startswith("-") or (pair and i == 0)) and len(item) <= MAX_FLAG
            before = item.lstrip("-") if isinstance(item, str) and flag else ""
        return new

    def __dict(self, items: dict[str, Json], name: str, depth: int) -> Json:
        new: dict[str, Json] = {}
        named = next((items[key] for key in ("name", "key", "Name", "Key") if isinstance(items.get(key), str)), "")
        for key, item in items.items():
            cleaned = self.redaction.name(key)
            while cleaned in new:
                cleaned += "'"
            beside = (
                str(named)
                if key in {"value", "Value"} and named
                else (name if key in {"value", "text"} and name else key)
            )
            new[cleaned] = self.value(item, beside, depth + 1)
        return new


def _outside(found: list[Span], marks: list[tuple[int, int]]) -> list[Span]:
    """What does not touch a placeholder."""
    kept: list[Span] = []
    i = 0
    for span in found:
        while i < len(marks) and marks[i][1] <= span[0]:
            i += 1
        if i == len(marks) or marks[i][0] >= span[1]:
            kept.append(span)
    return kept


_LOW = frozenset({"name", "ip", "ip-private", "mac", "date-of-birth"})


def _finding(span: Span) -> Finding:
    start, end, what = span
    family, _, name = what.partition("/")
    severity: Severity = "high" if family != "pii" else "low" if name in _LOW else "medium"
    if family == "known":
        return Finding(
            id="secret/known", span=(start, end), severity="high", confidence=1.0, why="the value of a known secret"
        )
    weak = name in {"name", "phone", "passport"}
    why = f"has the shape of {'a credential' if family == 'secret' else 'personal data'}: {name}"
    return Finding(id=what, span=(start, end), severity=severity, confidence=0.9 if weak else 0.98, why=why)
