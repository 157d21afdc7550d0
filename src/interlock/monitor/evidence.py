"""What the monitor's records say, as plain JSON: everything that `explain` needs, and nothing unredacted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from interlock.detect.finding import Finding
from interlock.kernel.call import Call, Json, thaw
from interlock.kernel.decide import Request
from interlock.kernel.decision import Decision, Forbidden, NeedsApproval, Permitted
from interlock.kernel.labels import Label
from interlock.kernel.spec import ToolSpec
from interlock.monitor.errors import MonitorError
from interlock.monitor.ports import Redactor
from interlock.policy.mandate import Mandate
from interlock.provenance.bind import Binding

WORDS = {Permitted: "permitted", NeedsApproval: "needs-approval", Forbidden: "forbidden"}
MAX_FINDINGS = 20  # kinds of findings that one record names


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A call as it would run, and what was established about it."""

    call: Call
    proposed: Call  # as the model wrote it: with handles, without defaults
    spec: ToolSpec
    binding: Binding
    request: Request


def decision(call: Call, answer: Decision, examined: Examined | None, redact: Redactor) -> dict[str, object]:
    """A decision on `call`. All that a model wrote passes `redact`; digests and names of rules do not need to.

    Raises:
        MonitorError: the redactor made something else of an object. What it raises itself is passed on.
    """
    words: dict[str, Json] = {"tool": call.tool, "arguments": thaw(call.arguments)}
    body: dict[str, object] = {
        "decision": WORDS[type(answer)],
        "rules": list(answer.rules),
        "agent": call.agent,
        "principal": call.principal,
        "digest": call.digest,
    }
    if examined is not None:
        words |= _values(examined)
        body["effect"] = examined.spec.effect.value
        words["facts"] = _facts(examined)  # arguments are named by paths, and a model writes keys
    if isinstance(answer, Forbidden):
        words["why"] = answer.why
    if isinstance(answer, Permitted):
        body["nonce"] = answer.permit.nonce  # the permit's proof stays out
        body["approved"] = answer.permit.approved
        body["obligations"] = [f"{o.name}:{o.argument}" if o.argument else o.name for o in answer.obligations]
    redacted = redact(words)
    if not isinstance(redacted, dict):
        raise MonitorError("the redactor must return an object for an object")
    for bound in cast("list[Any]", redacted.get("bound", [])):
        named = bound["value"]
        bound["value"] = next(iter(named.values()), None) if isinstance(named, dict) else named
    return body | redacted


def _values(examined: Examined) -> dict[str, Json]:
    resource = examined.request.resource
    return {
        "resource": {"type": resource.type, "id": resource.id},
        "bound": [
            {
                "path": b.path,
                "value": {b.path.rpartition(".")[2]: b.value},  # under its name, which tells a redactor what it is
                "role": b.role.value,
                "kind": b.kind,
                "vouched": b.vouched,
                "pointed": b.pointed,
                "integrity": b.integrity.word,
                "why": b.why,
            }
            for b in examined.binding.arguments
        ],
    }


def _facts(examined: Examined) -> Json:
    facts = examined.request.facts
    found: dict[str, object] = {
        "listed": facts.listed,
        "unvouched": sorted(facts.unvouched),
        "unpointed": sorted(facts.unpointed),
        "receivers": sorted(facts.receivers),
        "unnamed": sorted(facts.unnamed),
        "blind": facts.blind,
        "external": facts.external,
        "confidential": facts.confidential,
        "sources": sorted(facts.sources),
        "findings": sorted(facts.findings),
        "mandate": facts.mandate,
        "blocked": sorted(facts.blocked),
    }
    return cast("Json", found)


def findings(found: Sequence[Finding]) -> dict[str, object]:
    """What detectors found, worst first and without a word of the text; nothing if there is nothing."""
    worst: dict[str, Finding] = {}
    for f in found:
        if f.id not in worst or f.confidence > worst[f.id].confidence:
            worst[f.id] = f
    kept = sorted(worst.values(), key=lambda f: (-f.confidence, f.id))[:MAX_FINDINGS]
    said = [{"id": f.id, "severity": f.severity, "confidence": round(f.confidence, 3)} for f in kept]
    return {"findings": said} if said else {}


def mandate(given: Mandate, change: str) -> dict[str, object]:
    """What a mandate allows, and what was done with it."""
    origins = sorted((tool, path, sorted(i.word for i in who)) for (tool, path), who in given.origins.items())
    effects = dict(given.effects)
    return {"change": change, "by": given.by, "effects": effects, "open": given.open, "origins": origins}


def label(given: Label) -> dict[str, object]:
    """A label; readers are null for everyone."""
    readers = given.readers.names
    return {"integrity": given.integrity.word, "readers": None if readers is None else sorted(readers)}
