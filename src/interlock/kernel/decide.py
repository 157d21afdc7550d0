"""The decision: rules and facts in, one of three answers out. The last module to read, and the one that matters.

Rules are Cedar: what no rule permits is refused (K1), one `forbid` outweighs every `permit` (K2), order and repetition
mean nothing (K4). Cedar skips a rule that fails to evaluate; here it forbids (K3). A call that is forbidden as it
stands is evaluated a second time with `context.approved`: if that alone would permit it, the answer is
`NeedsApproval`. No other fact differs between the two, so an approval is exactly one bit of authority.

Everything is pure: the rules are parsed once into handles, the nonce for the permit is the caller's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import cedarpy

from interlock.kernel.call import Call, Resource
from interlock.kernel.decision import Decision, Forbidden, Mint, NeedsApproval, Obligation, Permitted
from interlock.kernel.errors import RuleError
from interlock.kernel.spec import Effect

MandateState: TypeAlias = Literal["none", "on", "off"]

DEFAULT_DENY = "default-deny"
ERROR = "error:"
_FAILED = re.compile(r"error while evaluating policy `(\w+)`")  # the rest of Cedar's message may quote anything
_GROUPS = frozenset(group for effect in Effect for group in effect.groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that a decision may depend on, beside who asks for what. Sets hold argument paths unless said otherwise.

    No field has a default: a fact that nobody established must not read as the safe one.
    """

    listed: bool  # the agent has this tool
    unvouched: frozenset[str]  # no source that the argument's role accepts stands behind the value
    unpointed: frozenset[str]  # the user's words do not point at this object
    receivers: frozenset[str]  # arguments that name who will receive something
    unnamed: frozenset[str]  # receivers that the user's words do not name and the data's readers do not cover
    blind: bool  # the call has no argument that anybody could vouch for
    external: bool  # the run has read something external
    confidential: bool  # the run has read something confidential
    sources: frozenset[str]  # tools and documents whose external content the run has read
    findings: frozenset[str]  # ids of detectors' findings
    mandate: MandateState  # no mandate, within it, outside it
    blocked: frozenset[str]  # reasons that no approval lifts: `secret`, `budget`, `breaker`, `scope`
    arguments: Mapping[str, object] = field(repr=False)  # in Cedar's JSON; empty where no rule looks at them


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """May `call`, which has this effect and would touch `resource`, be made under these facts?"""

    call: Call
    resource: Resource
    facts: Facts

    def cedar(self, *, approved: bool) -> dict[str, object]:
        """The request in cedarpy's form; `approved` is the only thing that ever differs between two of them."""
        f = self.facts
        context = {
            "agent": self.call.agent,
            "args": dict(f.arguments),
            "listed": f.listed,
            "unvouched": sorted(f.unvouched),
            "unpointed": sorted(f.unpointed),
            "receivers": sorted(f.receivers),
            "unnamed": sorted(f.unnamed),
            "blind": f.blind,
            "run": {"external": f.external, "confidential": f.confidential, "sources": sorted(f.sources)},
            "findings": sorted(f.findings),
            "mandate": f.mandate,
            "blocked": sorted(f.blocked),
            "approved": approved,
        }
        return {
            "principal": {"type": "User", "id": self.call.principal},
            "action": {"type": "Action", "id": self.call.tool},
            "resource": {"type": self.resource.type, "id": self.resource.id},
            "context": json.dumps(context, allow_nan=False),
        }


class Rules:
    """A parsed rule set with the tools it speaks of. Immutable; made once, asked often."""

    __slots__ = ("_actions", "_groups", "_ids", "_obligations", "_set")

    def __init__(self, text: str, effects: Mapping[str, Effect]) -> None:
        """Parse Cedar `text`; `effects` says in which action groups each tool is.

        Raises:
            RuleError: the text is no Cedar, an `@id` is missing, reserved or used twice, a template is left unlinked,
                or a tool bears the name of an action group that is not its effect.
        """
        try:
            parsed = json.loads(cedarpy.policies_to_json_str(text))
            self._set = cedarpy.PolicySet.from_str(text)
        except ValueError as error:
            raise RuleError(f"the rules do not parse: {error}") from None
        if parsed["templates"]:
            raise RuleError("rules with ?principal or ?resource slots permit nothing; write them out")
        self._ids: dict[str, str] = {}
        self._obligations: dict[str, tuple[Obligation, ...]] = {}
        for key, rule in parsed["staticPolicies"].items():
            notes = rule.get("annotations", {})
            name = notes.get("id")
            if not name or name in self._ids.values():
                raise RuleError(f"each rule needs an `@id` of its own; `{name or key}` has none or shares it")
            if name == DEFAULT_DENY or name.startswith(ERROR):
                raise RuleError(f"`{name}` is what a decision without a rule names; give the rule another `@id`")
            self._ids[key] = name
            if "obliges" in notes:
                if rule["effect"] != "permit":
                    raise RuleError(f"`{name}` forbids; only a permit can oblige")
                self._obligations[name] = tuple(_obligation(o) for o in (notes["obliges"] or "").split(","))
        self._groups = _GROUPS - effects.keys()
        self._actions = cedarpy.Entities.from_json_str(json.dumps(_hierarchy(effects)))

    @property
    def ids(self) -> frozenset[str]:
        """The `@id` of every rule."""
        return frozenset(self._ids.values())

    def evaluate(self, request: Request, *, approved: bool) -> Evaluation:
        """What Cedar says, and which rules made it say so (K5)."""
        if request.call.tool in self._groups:  # a rule on the group would take it for one of its tools
            return self._failure(f"`{request.call.tool}` is no tool but a group of actions")
        try:
            answer = cedarpy.is_authorized(request.cedar(approved=approved), self._set, self._actions)
        except (TypeError, ValueError, RecursionError) as error:  # what Cedar's JSON cannot carry
            return self._failure(f"the request cannot be built: {error}")
        notes = answer.diagnostics
        errors = tuple(str(e) for e in notes.errors)
        if errors or answer.decision is cedarpy.Decision.NoDecision:
            return self._failure(*errors or ("no decision",))
        rules = tuple(sorted(self._ids[r] for r in notes.reasons))
        return Evaluation(allowed=answer.allowed, rules=rules or (DEFAULT_DENY,), errors=())

    def obligations(self, rules: tuple[str, ...]) -> tuple[Obligation, ...]:
        """What the permitting `rules` oblige to, without repetition, in a fixed order."""
        found = {o for r in rules for o in self._obligations.get(r, ())}
        return tuple(sorted(found, key=lambda o: (o.name, o.argument)))

    def _failure(self, *errors: str) -> Evaluation:
        failed = {m[1] for e in errors if (m := _FAILED.match(e))}
        rules = sorted(ERROR + name for key, name in self._ids.items() if key in failed)
        return Evaluation(allowed=False, rules=tuple(rules) or (f"{ERROR}request",), errors=errors)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One pass of the rules: `rules` determined the answer, or failed."""

    allowed: bool
    rules: tuple[str, ...]
    errors: tuple[str, ...]


def decide(request: Request, rules: Rules, mint: Mint, nonce: str) -> Decision:
    """The decision on one call (K1 to K5, K9). `nonce` must be fresh; it makes the permit unlike any other."""
    digest = request.call.digest
    first = rules.evaluate(request, approved=False)
    if first.allowed:
        permit = mint.permit(digest, nonce, approved=False)
        return Permitted(permit=permit, rules=first.rules, obligations=rules.obligations(first.rules))
    if first.errors:
        return Forbidden(digest=digest, rules=first.rules, why="; ".join(first.errors))
    second = rules.evaluate(request, approved=True)
    if second.allowed:
        return NeedsApproval(digest=digest, rules=first.rules)
    return Forbidden(digest=digest, rules=second.rules, why="; ".join(second.errors))


def decide_approved(request: Request, rules: Rules, mint: Mint, nonce: str) -> Decision:
    """The decision on a call that a human has just approved: the same rules, the same facts, one bit more.

    An approval lifts what asks, never what fails: a rule that errors without the bit still forbids. The caller answers
    for the approval being for this digest, unexpired and unused.
    """
    digest = request.call.digest
    first = rules.evaluate(request, approved=False)
    if first.errors:
        return Forbidden(digest=digest, rules=first.rules, why="; ".join(first.errors))
    answer = rules.evaluate(request, approved=True)
    if not answer.allowed:
        return Forbidden(digest=digest, rules=answer.rules, why="; ".join(answer.errors))
    permit = mint.permit(digest, nonce, approved=True)
    return Permitted(permit=permit, rules=answer.rules, obligations=rules.obligations(answer.rules))


def _obligation(text: str) -> Obligation:
    name, _, argument = text.strip().partition(":")
    if not name:
        raise RuleError('`@obliges` names nothing; write for example `@obliges("redact:body")`')
    return Obligation(name, argument)


def _hierarchy(effects: Mapping[str, Effect]) -> list[dict[str, object]]:
    def uid(name: str) -> dict[str, str]:
        return {"type": "Action", "id": name}

    for tool in _GROUPS & effects.keys():
        if effects[tool].value != tool:  # every tool of the group would come under the rules for this tool's effect
            raise RuleError(f"`{tool}` is the name of a group of actions; only a tool with that effect may bear it")
    return [
        {"uid": uid(tool), "attrs": {}, "parents": [uid(group) for group in effect.groups if group != tool]}
        for tool, effect in sorted(effects.items())
    ]
