"""What an approver is shown, how it is kept while a question is open, and what is left of it afterwards.

The arguments stand in the content as they will run, whole: an approval of something that was blackened is worth
nothing, and known secrets cannot be in them (such a call is forbidden before anybody is asked). Whoever shows the
content computes the digest of the call from it first, so what is read is what the digest stands for. When the question
is settled the content goes; the redacted leaves stay, each with a print under a salt of this entry: enough to say of
the next call of the tool what is new in it, although whoever reads the store can test a guess against a print.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from interlock.approvals.entry import Entry, Standing, Terms
from interlock.approvals.errors import Tampered
from interlock.kernel.call import Json, canonical, digest_of
from interlock.kernel.labels import Integrity
from interlock.kernel.spec import Effect, Role
from interlock.monitor.errors import ApprovalError
from interlock.monitor.ports import Redactor
from interlock.monitor.question import Asked, Question, visible

_ESCAPE = re.compile(r"\\(?:\\|[nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")


def exact(shown: str) -> str:
    """The text that `visible` has shown as `shown`."""
    return _ESCAPE.sub(lambda m: "\\" if m[0] == r"\\" else m[0].encode().decode("unicode_escape"), shown)


def content_of(question: Question) -> dict[str, object]:
    """The question as JSON, with the arguments as they will run.

    Raises:
        ApprovalError: what the question shows is not the call that its digest stands for.
    """
    try:
        arguments = json.loads(exact(question.call))
    except ValueError:
        raise ApprovalError("the question shows no arguments") from None
    content = {
        "effect": question.effect.value,
        "arguments": arguments,
        "leaves": [
            {
                "path": a.path,
                "value": a.value,
                "role": a.role.value,
                "integrity": a.integrity.word,
                "vouched": a.vouched,
                "origin": a.origin,
            }
            for a in question.arguments
        ],
        "rules": list(question.rules),
        "unpointed": list(question.unpointed),
        "unnamed": list(question.unnamed),
    }
    if _digest(question, arguments) != question.digest:
        raise ApprovalError("the question shows another call than the one that its digest stands for")
    return content


def doubts_of(question: Question) -> frozenset[str]:
    """What the approver is warned of, argument by argument."""
    return frozenset(
        [f"unvouched {a.path}" for a in question.arguments if not a.vouched]
        + [f"unpointed {path}" for path in question.unpointed]
        + [f"unnamed {path}" for path in question.unnamed]
        + [f"not {level.word} {a.path}" for a in question.arguments for level in Integrity if level > a.integrity]
    )


def question_of(entry: Entry) -> Question:
    """The question that `entry` keeps.

    Raises:
        Tampered: it is settled, or does not show the call that its digest stands for.
    """
    content, terms = cast("Mapping[str, Any]", entry.content), entry.terms
    if not content:
        raise Tampered(f"`{entry.id}` is settled; its arguments are no longer kept")
    try:
        question = Question(
            id=entry.id,
            digest=terms.digest,
            tool=terms.tool,
            effect=Effect(content["effect"]),
            agent=terms.agent,
            principal=terms.principal,
            run=terms.run,
            call=visible(canonical(content["arguments"]).decode()),
            arguments=tuple(
                Asked(
                    path=a["path"],
                    value=a["value"],
                    role=Role(a["role"]),
                    integrity=Integrity[a["integrity"].upper()],
                    vouched=a["vouched"],
                    origin=a["origin"],
                )
                for a in content["leaves"]
            ),
            rules=tuple(content["rules"]),
            unpointed=tuple(content["unpointed"]),
            unnamed=tuple(content["unnamed"]),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise Tampered(f"`{entry.id}` cannot be read; it was changed") from error
    if _digest(terms, content["arguments"]) != terms.digest or frozenset(question.rules) != terms.rules:
        raise Tampered(f"`{entry.id}` shows another call than the one that its digest stands for")
    return question


def kept_of(arguments: Json, redact: Redactor, salt: str) -> dict[str, object]:
    """What stays of a call: its leaves, redacted, and their prints under `salt`.

    Raises:
        ApprovalError: the redactor failed; nothing is kept and nobody is asked.
    """
    try:
        shown = dict(leaves(redact(arguments)))
    except Exception as error:
        raise ApprovalError(f"what is kept could not be redacted: {type(error).__name__}") from error
    return {
        "salt": salt,
        "prints": {path: _print(salt, path, text) for path, text in leaves(arguments)},
        "shown": {path: shown.get(path, "") for path, _ in leaves(arguments)},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One leaf of the arguments, against the last call of the tool that was approved."""

    path: str
    change: Literal["same", "changed", "new", "gone"]
    before: str  # redacted


def changes(entry: Entry, last: Entry | None) -> tuple[Change, ...]:
    """What is different from the `last` approved call; nothing if there is none."""
    kept = cast("Mapping[str, Any]", last.kept) if last is not None else {}
    if not kept:
        return ()
    now = dict(leaves(cast("Json", entry.content.get("arguments"))))
    found = []
    for path in dict.fromkeys([*now, *kept["prints"]]):
        before = kept["shown"].get(path, "")
        if path not in now:
            found.append(Change(path=path, change="gone", before=before))
        elif path not in kept["prints"]:
            found.append(Change(path=path, change="new", before=""))
        else:
            same = hmac.compare_digest(kept["prints"][path], _print(kept["salt"], path, now[path]))
            found.append(Change(path=path, change="same" if same else "changed", before=before))
    return tuple(found)


def as_json(entry: Entry, standing: Standing, last: Entry | None) -> dict[str, object]:
    """Everything that an approver should know, as JSON in which nothing is invisible.

    Raises:
        Tampered: it does not show the call that its digest stands for.
    """
    terms = entry.terms
    body: dict[str, object] = {
        "id": entry.id,
        "standing": standing,
        "digest": terms.digest,
        "tool": terms.tool,
        "agent": visible(terms.agent),
        "principal": visible(terms.principal),
        "run": visible(terms.run),
        "policy": terms.policy,
        "asked": entry.asked,
        "expires": entry.expires,
        "needed": terms.need.count,
        "approvers": sorted(terms.need.may),
        "answers": [
            {"by": g.by, "granted": g.granted, "comment": visible(g.comment), "at": g.at, "via": g.via}
            for g in entry.given
        ],
        "rules": sorted(terms.rules),
    }
    if standing not in {"pending", "granted"}:
        shown = cast("Mapping[str, Any]", entry.kept).get("shown", {})
        return body | {"kept": {visible(path): visible(text) for path, text in shown.items()}}
    question = question_of(entry)
    return body | {
        "effect": question.effect.value,
        "call": question.call,
        "arguments": [
            {
                "path": visible(a.path),
                "value": visible(a.value),
                "spelt": "" if a.value.isascii() else f"{a.value!a}",  # look-alike letters
                "role": a.role.value,
                "integrity": a.integrity.word,
                "vouched": a.vouched,
                "origin": visible(a.origin),
            }
            for a in question.arguments
        ],
        "unpointed": list(question.unpointed),
        "unnamed": list(question.unnamed),
        "changes": [
            {"path": visible(c.path), "change": c.change, "before": visible(c.before)} for c in changes(entry, last)
        ],
    }


_Named: TypeAlias = "Terms | Question"


def _digest(call: _Named, arguments: Json) -> str:
    body: dict[str, object] = {name: getattr(call, name) for name in ("tool", "agent", "principal", "run")}
    return digest_of(body | {"arguments": arguments})


def leaves(value: Json, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, canonical JSON) of every value in `value` that holds no other."""
    match value:
        case dict() if value:
            for key, item in value.items():
                yield from leaves(item, f"{path}.{key}" if path else key)
        case list() if value:
            for number, item in enumerate(value):
                yield from leaves(item, f"{path}[{number}]")
        case _:
            yield path, canonical(value).decode()


def _print(salt: str, path: str, text: str) -> str:
    return hmac.digest(salt.encode(), f"{path}\0{text}".encode(), "sha256").hex()[:32]
