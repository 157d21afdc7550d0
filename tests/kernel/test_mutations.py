"""The kernel's tests notice: every mutant of it is caught by the check that is named beside it.

A mutant is one replacement in one module, in a copy of the kernel that a process of its own imports. It is caught when
the check fails as an assertion; a mutant that crashes otherwise is a typing error in this table. A replacement that no
longer applies fails too: whoever changes the kernel says here what now corresponds.
"""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kernel.invariants import CHECKS

ROOT = Path(__file__).parents[2]
KERNEL = ROOT / "src" / "interlock" / "kernel"

# Asserts are caught, everything else is a broken mutant; and it must be the mutant that was imported.
RUN = """
import sys
tree, root, check = sys.argv[1:]
sys.path[:0] = [tree, root]
from tests.kernel.invariants import CHECKS
assert sys.modules["interlock.kernel.decide"].__file__.startswith(tree), "not the copy"
try:
    CHECKS[check]()
except AssertionError:
    print("caught")
else:
    print("survived")
"""


@dataclass(frozen=True, slots=True)
class Mutant:
    module: str
    check: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.module}:{self.check}: {' '.join(self.old.split())[:40]} -> {' '.join(self.new.split())[:40]}"


MUTANTS = [
    # labels: who gains when two are joined
    Mutant("labels", "labels", "min(self.integrity, other.integrity)", "max(self.integrity, other.integrity)"),
    Mutant("labels", "labels", "min(self.integrity, other.integrity)", "self.integrity"),
    Mutant("labels", "labels", "min(self.integrity, other.integrity)", "Integrity.EXTERNAL"),
    Mutant("labels", "labels", "self.readers.join(other.readers))", "self.readers)"),
    Mutant("labels", "labels", "self.names & other.names", "self.names | other.names"),
    Mutant("labels", "labels", "self.names & other.names", "self.names ^ other.names"),
    Mutant("labels", "labels", "if self.names is None:\n            return other", "if self.names is None:\n            return self"),
    Mutant("labels", "labels", "if other.names is None:\n            return self", "if other.names is None:\n            return other"),
    Mutant("labels", "labels", "self.integrity >= need.integrity", "self.integrity <= need.integrity"),
    Mutant("labels", "labels", "self.integrity >= need.integrity and", "self.integrity >= need.integrity or"),
    Mutant("labels", "labels", "self.integrity >= need.integrity and self", "self"),
    Mutant("labels", "labels", " and self.readers.covers(need.readers)", ""),
    Mutant("labels", "labels", "other.names <= self.names", "self.names <= other.names"),
    Mutant("labels", "labels", "other.names is not None and other.names <= self.names", "other.names is None or other.names <= self.names"),
    Mutant("labels", "labels", "self.names is None or name in self.names", "self.names is not None and name in self.names"),
    Mutant("labels", "labels", "isinstance(n, str) and n for", "isinstance(n, str) for"),
    Mutant("labels", "labels", "isinstance(n, str) and n for", "n for"),
    Mutant("labels", "labels", "EXTERNAL = 0  # anybody: the default\n    OWN = 1", "EXTERNAL = 1  # anybody: the default\n    OWN = 0"),
    Mutant("labels", "unknown", "UNKNOWN = Label(Integrity.EXTERNAL, NOBODY)", "UNKNOWN = Label(Integrity.OWN, NOBODY)"),
    Mutant("labels", "unknown", "UNKNOWN = Label(Integrity.EXTERNAL, NOBODY)", "UNKNOWN = Label(Integrity.EXTERNAL, EVERYONE)"),
    Mutant("labels", "unknown", "NOBODY = Readers(frozenset())", "NOBODY = Readers(None)"),
    Mutant("labels", "unknown", "if found else UNKNOWN", "if found else Label(Integrity.USER, EVERYONE)"),
    # call: what one digest stands for, and what is no call
    Mutant("call", "digest", "sort_keys=True", "sort_keys=False"),
    Mutant("call", "digest", "ensure_ascii=False", "ensure_ascii=True"),
    Mutant("call", "digest", 'separators=(",", ":")', 'separators=(", ", ": ")'),
    Mutant("call", "digest", '("tool", "agent", "principal", "run")}', '("tool", "agent", "principal")}'),
    Mutant("call", "digest", '("tool", "agent", "principal", "run")}', '("tool", "principal", "run")}'),
    Mutant("call", "digest", '("tool", "agent", "principal", "run")}', '("tool", "agent", "run")}'),
    Mutant("call", "digest", '("tool", "agent", "principal", "run")}', '("agent", "principal", "run")}'),
    Mutant("call", "digest", ' | {"arguments": thaw(self.arguments)}', ""),
    Mutant("call", "digest", "return float(value)", "return float(value) + 0.0"),
    Mutant("call", "digest", "return float(value)", "return int(value) if value.is_integer() else value"),
    Mutant("call", "digest", "case None | bool():\n            return value", "case None | bool():\n            return value and 1"),
    Mutant("call", "digest", "hexdigest()", "hexdigest()[:32]"),
    Mutant("call", "arguments_stay", "return MappingProxyType(pairs)", "return pairs"),
    Mutant("call", "arguments_stay", "return tuple(_freeze(item, where, depth - 1, left) for item in value)", "return [_freeze(item, where, depth - 1, left) for item in value]"),
    Mutant("call", "arguments_stay", '"arguments", freeze(self.arguments))', '"arguments", MappingProxyType(self.arguments))'),
    Mutant("call", "no_call", "if depth == 0:", "if depth == -60:"),
    Mutant("call", "no_call", "MAX_DEPTH = 32", "MAX_DEPTH = 320"),
    Mutant("call", "no_call", "if depth == 0:", "if depth == 1:"),
    Mutant("call", "no_call", 'f"{where}.{key[:80]}", depth - 1, left)', 'f"{where}.{key[:80]}", depth, left)'),
    Mutant("call", "no_call", "{key[:80]}", "{key}"),
    Mutant("call", "no_call", "tuple(_freeze(item, where, depth - 1, left)", "tuple(_freeze(item, where, depth - 1, [*left])"),
    Mutant("call", "no_call", "left[0] -= 1", "left[0] -= 0"),
    Mutant("call", "no_call", "if left[0] < 0:", "if left[0] < 1:"),
    Mutant("call", "no_call", "if abs(value) > MAX_INT:", "if value > MAX_INT:"),
    Mutant("call", "no_call", "if abs(value) > MAX_INT:", "if abs(value) >= MAX_INT:"),
    Mutant("call", "no_call", "if not math.isfinite(value):", "if math.isnan(value):"),
    Mutant("call", "no_call", "if not isinstance(key, str):", "if key is None:"),
    Mutant("call", "no_call", "pairs[_text(key, where)]", "pairs[key]"),
    Mutant("call", "no_call", "return _text(value, where)", "return value"),
    Mutant("call", "no_call", 'raise CallError(f"`{where}` is a {type(value).__name__}, which JSON cannot carry")', "return str(value)"),
    Mutant("call", "plain_values", "return str.__str__(value)", "return str(value)"),
    Mutant("call", "plain_values", "return int(value)", "return value"),
    Mutant("call", "names", "NAME.fullmatch(tool)", "NAME.match(tool)"),
    Mutant("call", "names", "{0,127}", "{0,128}"),
    Mutant("call", "names", "or not value or", "or"),
    Mutant("call", "names", "len(value) > 256", "len(value) > 257"),
    Mutant("call", "names", "_text(value, name)\n", "pass\n"),
    Mutant("call", "names", "if not isinstance(self.arguments, Mapping):", "if self.arguments is None:"),
    # decision: what passes for a permit
    Mutant("decision", "permit", "if type(permit) is not Permit:", "if not isinstance(permit, Permit):"),
    Mutant("decision", "permit", "if permit.digest != digest:", "if False:"),
    Mutant("decision", "permit", "hmac.compare_digest(permit.proof, proof)", "True"),
    Mutant("decision", "permit", "hmac.compare_digest(permit.proof, proof)", "proof.startswith(permit.proof)"),
    Mutant("decision", "permit", "hmac.compare_digest(permit.proof, proof)", "hmac.compare_digest(permit.proof[:32], proof)"),
    Mutant("decision", "permit", "fields != (str, bool, bytes) or ", "permit.proof is None or isinstance(permit.proof, str) or "),
    Mutant("decision", "permit", r"{digest}\0{nonce}\0{approved:d}", r"{digest}\0{nonce}"),
    Mutant("decision", "permit", r"{digest}\0{nonce}\0{approved:d}", r"{digest}\0{approved:d}"),
    Mutant("decision", "permit", r"{digest}\0{nonce}\0{approved:d}", r"{nonce}\0{approved:d}"),
    Mutant("decision", "permit", "hmac.digest(self.__key,", 'hmac.digest(b"",'),
    Mutant("decision", "permit", "if len(key) < 32:", "if len(key) < 31:"),
    Mutant("decision", "permit", "if not nonce:", "if nonce is None:"),
    Mutant("decision", "permit", 'return f"Permit({self.digest[:12]}…)"', 'return f"Permit({self.proof.hex()})"'),
    Mutant("decision", "permit", "nonce, approved))\n\n    def check", "nonce, False))\n\n    def check"),
    # decide: default deny, forbid wins, errors forbid
    Mutant("decide", "decide", "allowed=answer.allowed, rules=rules or", "allowed=not answer.allowed, rules=rules or"),
    Mutant("decide", "decide", "allowed=answer.allowed, rules=rules or", "allowed=True, rules=rules or"),
    Mutant("decide", "decide", "allowed=answer.allowed, rules=rules or", "allowed=answer.allowed or not rules, rules=rules or"),
    Mutant("decide", "decide", "if errors or answer.decision is cedarpy.Decision.NoDecision:", "if answer.decision is cedarpy.Decision.NoDecision:"),
    Mutant("decide", "decide", "if errors or answer.decision is", "if errors and answer.decision is"),
    Mutant("decide", "decide", "tuple(sorted(self._ids[r] for r in notes.reasons))", "tuple(self._ids[r] for r in notes.reasons)"),
    Mutant("decide", "decide", "tuple(sorted(self._ids[r] for r in notes.reasons))", "tuple(sorted(self._ids[r] for r in notes.reasons))[:1]"),
    Mutant("decide", "decide", "tuple(sorted(self._ids[r] for r in notes.reasons))", "tuple(sorted(notes.reasons))"),
    Mutant("decide", "decide", "rules=rules or (DEFAULT_DENY,), errors=()", "rules=rules, errors=()"),
    Mutant("decide", "decide", "sorted(ERROR + name for", "list(ERROR + name for"),
    Mutant("decide", "decide", "if key in failed)", "if any(key in e for e in errors))"),
    Mutant("decide", "decide", "if key in failed)", "if False)"),
    Mutant("decide", "decide", "if first.allowed:\n        permit", "if not first.allowed:\n        permit"),
    Mutant("decide", "decide", "if first.allowed:\n        permit", "if first.allowed or first.errors:\n        permit"),
    Mutant("decide", "decide", '    if first.errors:\n        return Forbidden(digest=digest, rules=first.rules, why="; ".join(first.errors))\n    second', "    second"),
    Mutant("decide", "decide", '    if first.errors:\n        return Forbidden(digest=digest, rules=first.rules, why="; ".join(first.errors))\n    answer', "    answer"),
    Mutant("decide", "decide", "second = rules.evaluate(request, approved=True)", "second = rules.evaluate(request, approved=False)"),
    Mutant("decide", "decide", "first = rules.evaluate(request, approved=False)\n    if first.allowed", "first = rules.evaluate(request, approved=True)\n    if first.allowed"),
    Mutant("decide", "decide", "if second.allowed:", "if second.allowed or second.errors:"),
    Mutant("decide", "decide", "if second.allowed:", "if not second.errors:"),
    Mutant("decide", "decide", "if second.allowed:", "if False:"),
    Mutant("decide", "decide", "return NeedsApproval(digest=digest, rules=first.rules)", "return NeedsApproval(digest=digest, rules=second.rules)"),
    Mutant("decide", "decide", "return Forbidden(digest=digest, rules=second.rules", "return Forbidden(digest=digest, rules=first.rules"),
    Mutant("decide", "decide", "permit = mint.permit(digest, nonce, approved=False)", "permit = mint.permit(digest, nonce, approved=True)"),
    Mutant("decide", "decide", "permit = mint.permit(digest, nonce, approved=True)", "permit = mint.permit(digest, nonce, approved=False)"),
    Mutant("decide", "decide", "permit = mint.permit(digest, nonce, approved=False)", 'permit = mint.permit(digest, "n", approved=False)'),
    Mutant("decide", "decide", "answer = rules.evaluate(request, approved=True)\n    if not answer.allowed:", "answer = rules.evaluate(request, approved=True)\n    if answer.errors:"),
    Mutant("decide", "decide", "answer = rules.evaluate(request, approved=True)\n    if not answer.allowed:", "answer = rules.evaluate(request, approved=True)\n    if False:"),
    Mutant("decide", "decide", '"approved": approved,', '"approved": True,'),
    Mutant("decide", "decide", '"approved": approved,', '"approved": False,'),
    Mutant("decide", "decide", '"agent": self.call.agent,', '"agent": self.call.principal,'),
    Mutant("decide", "decide", '{"type": "User", "id": self.call.principal}', '{"type": "User", "id": self.call.agent}'),
    Mutant("decide", "decide", '{"type": self.resource.type, "id": self.resource.id}', '{"type": self.resource.type, "id": ""}'),
    # decide: the facts reach the rules
    Mutant("decide", "context", '"args": dict(f.arguments)', '"args": {}'),
    Mutant("decide", "context", '"listed": f.listed', '"listed": True'),
    Mutant("decide", "context", '"unvouched": sorted(f.unvouched)', '"unvouched": []'),
    Mutant("decide", "context", '"unvouched": sorted(f.unvouched)', '"unvouched": sorted(f.unpointed)'),
    Mutant("decide", "context", '"unpointed": sorted(f.unpointed)', '"unpointed": sorted(f.unvouched)'),
    Mutant("decide", "context", '"receivers": sorted(f.receivers)', '"receivers": sorted(f.unnamed)'),
    Mutant("decide", "context", '"unnamed": sorted(f.unnamed)', '"unnamed": []'),
    Mutant("decide", "context", '"blind": f.blind', '"blind": False'),
    Mutant("decide", "context", '"external": f.external', '"external": f.confidential'),
    Mutant("decide", "context", '"confidential": f.confidential', '"confidential": False'),
    Mutant("decide", "context", '"sources": sorted(f.sources)', '"sources": []'),
    Mutant("decide", "context", '"findings": sorted(f.findings)', '"findings": []'),
    Mutant("decide", "context", '"mandate": f.mandate', '"mandate": "on"'),
    Mutant("decide", "context", '"blocked": sorted(f.blocked)', '"blocked": []'),
    Mutant("decide", "unbuildable", "except (TypeError, ValueError, RecursionError) as", "except RecursionError as"),
    Mutant("decide", "unbuildable", "except (TypeError, ValueError, RecursionError) as", "except ValueError as"),
    Mutant("decide", "unbuildable", "if errors or answer.decision is cedarpy.Decision.NoDecision:", "if False:"),
    Mutant("decide", "unbuildable", ' or (f"{ERROR}request",)', ""),
    # decide: obligations, loading, groups
    Mutant("decide", "obligations", "found = {o for r in rules for", "found = {o for r in rules[:1] for"),
    Mutant("decide", "obligations", "found = {o for r in rules for", "found = {o for r in self._obligations for"),
    Mutant("decide", "obligations", "tuple(sorted(found, key=lambda o: (o.name, o.argument)))", "tuple(sorted(found, key=lambda o: (o.argument, o.name)))"),
    Mutant("decide", "obligations", "rules=first.rules, obligations=rules.obligations(first.rules)", "rules=first.rules"),
    Mutant("decide", "obligations", "rules=answer.rules, obligations=rules.obligations(answer.rules)", "rules=answer.rules"),
    Mutant("decide", "obligations", "text.strip().partition", "text.partition"),
    Mutant("decide", "obligations", "    if not name:\n        raise", "    if name is None:\n        raise"),
    Mutant("decide", "obligations", 'if rule["effect"] != "permit":', "if False:"),
    Mutant("decide", "rules_load", 'if parsed["templates"]:', "if False:"),
    Mutant("decide", "rules_load", "if not name or name in self._ids.values():", "if not name:"),
    Mutant("decide", "rules_load", "if not name or name in self._ids.values():", "if name in self._ids.values():"),
    Mutant("decide", "rules_load", "if name == DEFAULT_DENY or", "if"),
    Mutant("decide", "rules_load", "if name == DEFAULT_DENY or name.startswith(ERROR):", "if name == DEFAULT_DENY:"),
    Mutant("decide", "groups", "for group in effect.groups if group != tool]", "for group in effect.groups[:1] if group != tool]"),
    Mutant("decide", "groups", "if effects[tool].value != tool:", "if False:"),
    Mutant("decide", "groups", "if request.call.tool in self._groups:", "if False:"),
    Mutant("decide", "groups", "self._groups = _GROUPS - effects.keys()", "self._groups = _GROUPS"),
    # spec: what was left out is the unsafe reading
    Mutant("spec", "groups", 'Effect.SPEND: ("spend", "egress", "effect")', 'Effect.SPEND: ("spend", "effect")'),
    Mutant("spec", "groups", 'Effect.FETCH: ("fetch", "egress", "effect")', 'Effect.FETCH: ("fetch", "read")'),
    Mutant("spec", "spec", "effect: Effect = Effect.EGRESS", "effect: Effect = Effect.READ"),
    Mutant("spec", "spec", "best or Argument(path=path, role=Role.UNKNOWN)", "best or Argument(path=path, role=Role.OPTION)"),
    Mutant("spec", "spec", "len(a.path) > len(best.path)", "len(a.path) < len(best.path)"),
    Mutant("spec", "spec", 'path.startswith(a.path + ".")', "path.startswith(a.path)"),
    Mutant("spec", "spec", "Role.CREDENTIAL: _USER_ONLY", "Role.CREDENTIAL: _VOUCHED"),
    Mutant("spec", "spec", "dict.fromkeys(Role, _VOUCHED)", "dict.fromkeys(Role, _ANY)"),
]  # fmt: skip


@pytest.mark.parametrize("check", CHECKS)
def test_the_kernel_passes(check: str) -> None:
    CHECKS[check]()


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_mutant_is_caught(mutant: Mutant, tmp_path: Path) -> None:
    copy = tmp_path / "interlock" / "kernel"
    shutil.copytree(KERNEL, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "interlock" / "__init__.py").touch()
    module = copy / f"{mutant.module}.py"
    text = module.read_text()
    assert text.count(mutant.old) == 1, "the replacement must apply exactly once"
    module.write_text(text.replace(mutant.old, mutant.new))
    ran = subprocess.run(
        [sys.executable, "-B", "-c", RUN, str(tmp_path), str(ROOT), mutant.check],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert ran.stdout == "caught\n", ran.stderr or ran.stdout


def test_every_module_and_every_check_has_mutants() -> None:
    assert {m.check for m in MUTANTS} == CHECKS.keys()
    assert {"labels", "call", "decision", "decide"} <= {m.module for m in MUTANTS}
    assert len(MUTANTS) == len({(m.module, m.old, m.new) for m in MUTANTS})
