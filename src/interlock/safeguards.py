"""From a manifest's sections to what the monitor asks: limits, redaction, inspection, and the checks of answers.

`assemble` plugs these in. Each can be replaced by whoever assembles; what a manifest leaves out is here, in one place:
loops are watched, records are redacted, what others wrote is looked at, known secrets are taken out of what is read.
"""

from __future__ import annotations

import secrets as randomness
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interlock.detect.output.address import Addresses
from interlock.detect.output.executable import Executable
from interlock.detect.output.guard import OutputGuard
from interlock.detect.output.leaks import Leaks
from interlock.detect.output.links import Links
from interlock.detect.redact import Known, Redaction
from interlock.detectors.inspection import Inspection, inspection
from interlock.limits.guard import Limits
from interlock.limits.ledger import Ledger
from interlock.limits.rate import Rates
from interlock.limits.terms import Terms
from interlock.policy.part_detect import AnswersPart, DetectPart
from interlock.policy.policy import Policy
from interlock.secrets.matcher import Matcher, SecretRedactor

if TYPE_CHECKING:
    from interlock.limits.loop import Settings as _Settings  # noqa: F401 - what `Terms` holds

Reveal = Callable[[str], str]


def terms(policy: Policy) -> Terms:
    """The limits that the manifest states.

    Raises:
        TermsError: one of them cannot be meant.
    """
    tools: dict[str, dict[str, Any]] = {}
    for name, spec in policy.tools.items():
        part = policy.tool_limits.get(name)
        said = {} if part is None else {"rate": part.rate, "breaker": _plain(part.breaker)}
        tools[name] = said | {"timeout": spec.timeout, "effect": spec.effect.value}
    manifest = policy.manifest
    return Terms.parse(
        agents={
            name: agent.model_dump(include={"budgets", "rates", "loops", "depth"}, exclude_none=True)
            for name, agent in manifest.agents.items()
        },
        tools=tools,
        tenants={name: tenant.model_dump(exclude_none=True) for name, tenant in manifest.tenants.items()},
        prices={name: price.model_dump(exclude_none=True) for name, price in manifest.prices.items()},
    )


def limits(
    policy: Policy,
    ledger: Ledger,
    *,
    run_ledger: Ledger | None = None,
    rates: Rates | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Limits:
    """The guard under the manifest's limits; budgets that outlive a run are kept in `ledger`.

    Raises:
        TermsError: a limit cannot be meant.
    """
    return Limits(terms(policy), ledger, clock=clock, run_ledger=run_ledger, rates=rates)


def lasting(policy: Policy) -> bool:
    """Some budget outlives its run, so that it needs a ledger that outlives the process."""
    found = terms(policy)
    budgets = [b for agent in found.agents.values() for b in agent.budgets]
    budgets += [b for tenant in found.tenants.values() for b in tenant.budgets]
    return any(b.scope.value != "run" for b in budgets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Redactions:
    """What takes secrets and personal data out of what is read, what is kept, and what is answered."""

    reads: Redaction | None  # None: known secrets alone, which the secrets' own redactor takes out
    records: Redaction
    answers: Redaction | SecretRedactor | None  # None: there is nothing to look for


def redactions(policy: Policy, *, known: Matcher | None, reveal: Reveal) -> Redactions:
    """As the manifest's sections `redact` and `answers` say.

    Raises:
        ValueError: a type or a policy that there is not, or `hash` without a key.
    """
    part = policy.manifest.redact
    answers = policy.manifest.answers
    key = reveal(part.key).encode() if part.key else b""

    def made(policies: Mapping[str, Any]) -> Redaction:
        return Redaction(policies=policies, known=known, key=key)

    in_answers: Redaction | SecretRedactor | None
    if answers is None:
        in_answers = None if known is None else SecretRedactor(known)
    else:
        in_answers = made({"pii": "keep"} if answers.redact is None else answers.redact)
    return Redactions(
        reads=None if part.reads is None else made(part.reads),
        records=made(part.records),
        answers=in_answers,
    )


def inspected(policy: Policy) -> Inspection | None:
    """The inspector that the manifest wants; None if it wants none."""
    said = policy.manifest.detect
    detect = None if said is False else said or DetectPart()
    topics = {name: agent.topics for name, agent in policy.manifest.agents.items() if agent.topics is not None}
    return inspection(detect, topics, key=randomness.token_bytes(32))


def answers(
    policy: Policy,
    redact: Redaction | SecretRedactor | None,
    *,
    known: Known | None = None,
    prompt: str = "",
    canaries: tuple[str, ...] = (),
) -> OutputGuard:
    """What checks the answers of an agent; `prompt` is its system prompt, which must not come back."""
    part = policy.manifest.answers
    stream = None if redact is None else redact.stream
    if part is None:
        return OutputGuard(links=None, executable=None, redact=stream)
    return OutputGuard(
        links=None if part.links is False else _links(part, known),
        leaks=None if part.leaks == "keep" else Leaks(canaries=canaries, prompt=prompt, action=part.leaks),
        executable=None if part.code == "keep" else Executable(action=part.code),
        redact=stream,
    )


def _links(part: AnswersPart, known: Known | None) -> Links:
    addresses = Addresses(
        hosts=frozenset(part.links or ()),
        mail=frozenset(part.mail),
        plain_links=part.plain_links,
        known=None if known is None else lambda text: any(True for _ in known.spans(text)),
    )
    return Links(addresses=addresses, action=part.others, loaded=part.others)


def _plain(part: Any) -> Any:  # noqa: ANN401 - a word, or a part of the manifest
    return part if part is None or isinstance(part, str) else part.model_dump(exclude_none=True)
