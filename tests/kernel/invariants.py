"""What must hold of the kernel, as plain functions: properties ask them at random, mutation tests on fixed examples.

The first half says what holds for any values; `test_labels.py`, `test_call.py`, `test_decision.py` and
`test_decide.py` let hypothesis choose them. The second half, `CHECKS`, asks the same on a handful of values that were
chosen to tell the kernel from each of its mutants; `test_mutations.py` runs them, so nothing but the standard library
and the kernel is imported here.
"""

import dataclasses
import enum
import pickle
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import product
from types import MappingProxyType
from typing import TypeVar

from interlock.kernel.call import MAX_DEPTH, MAX_INT, MAX_NODES, Call, Resource, canonical, freeze, thaw
from interlock.kernel.decide import Evaluation, Facts, Request, Rules, decide, decide_approved
from interlock.kernel.decision import Decision, Forbidden, Mint, NeedsApproval, Obligation, Permit, Permitted
from interlock.kernel.errors import CallError, KernelError, LabelError, PermitError, RuleError, SpecError
from interlock.kernel.labels import EVERYONE, NOBODY, UNKNOWN, Integrity, Label, Readers, join_all
from interlock.kernel.spec import RECEIVERS, Argument, Condition, Effect, Role, ToolSpec

T = TypeVar("T")
KEY = b"k" * 32


def refuses(error: type[KernelError], act: Callable[[], object]) -> str:
    """`act` raises `error` itself, and nothing else; its message."""
    try:
        act()
    except error as refusal:
        return str(refusal)
    except Exception as other:
        raise AssertionError(f"refused with {other!r} instead of {error.__name__}") from other
    raise AssertionError(f"not refused, expected {error.__name__}")


def accepts(act: Callable[[], T]) -> T:
    """What `act` returns; that it does not raise is the claim."""
    try:
        return act()
    except KernelError as refusal:
        raise AssertionError(f"refused: {refusal}") from refusal


# labels


def k6_joining_is_the_meet(a: Label, b: Label, need: Label) -> None:
    """What is made from both may stand exactly where both may: it gains nothing, and loses nothing for no reason."""
    assert a.join(b).flows_to(need) == (a.flows_to(need) and b.flows_to(need))
    assert join_all([a, b]) == a.join(b)


def flowing_takes_both(a: Label, need: Label) -> None:
    """Integrity and readers are judged each for itself; one never makes up for the other."""
    believed = Label(need.integrity, a.readers).flows_to(need)
    readable = Label(a.integrity, need.readers).flows_to(need)
    assert believed == a.readers.covers(need.readers)
    assert readable == (a.integrity >= need.integrity)
    assert a.flows_to(need) == (believed and readable)


def k6_joining_is_orderless(a: Label, b: Label, c: Label) -> None:
    assert a.join(b) == b.join(a)
    assert a.join(b).join(c) == a.join(b.join(c)) == join_all([c, a, b])
    assert a.join(a) == a


def k6_readers_only_shrink(a: Readers, b: Readers, name: str) -> None:
    assert a.join(b).include(name) == (a.include(name) and b.include(name))
    assert a.covers(a.join(b))


def k6_covering_is_including(a: Readers, b: Readers, names: Iterable[str]) -> None:
    """`covers` says of all names at once what `include` says of each; a set of names never covers everyone."""
    if a.covers(b):
        assert all(a.include(n) for n in names if b.include(n))
        assert b != EVERYONE or a == EVERYONE
    else:
        assert a != EVERYONE
        assert b == EVERYONE or any(not a.include(n) for n in b.names or ())


def k7_unknown_stands_nowhere(need: Label) -> None:
    """Content without a label may stand only where anything may, in front of nobody."""
    assert UNKNOWN.flows_to(need) == (need == Label(Integrity.EXTERNAL, NOBODY))
    assert join_all([]) == UNKNOWN
    assert UNKNOWN.join(need) == UNKNOWN


# calls


def spelled(value: object) -> object:
    """`value` such that two of them are equal exactly if their JSON means the same, kinds of numbers apart."""
    match value:
        case Mapping():
            return frozenset((k, spelled(v)) for k, v in value.items())
        case list() | tuple():
            return ("list", tuple(spelled(v) for v in value))
        case _:
            return (type(value).__name__, repr(value))


def call_of(arguments: object = MappingProxyType({}), **names: str) -> Call:
    named = {"tool": "t", "agent": "a", "principal": "p", "run": "r"} | names
    return Call(arguments=arguments, **named)  # type: ignore[arg-type]  # what the kernel makes of anything is the test


def k9_digests_tell_values(a: Mapping[str, object], b: Mapping[str, object]) -> None:
    """Two calls have one digest exactly if they say the same."""
    assert (call_of(a).digest == call_of(b).digest) == (spelled(a) == spelled(b))


def k9_digests_tell_names(field: str, a: str, b: str) -> None:
    assert (call_of(**{field: a}).digest == call_of(**{field: b}).digest) == (a == b)


def arguments_stay(value: Mapping[str, object]) -> None:
    """What was decided on cannot be changed afterwards, neither through the call nor through what it was made from."""
    call = call_of(value)
    before = call.digest
    spoil(call.arguments)
    spoil(value)
    assert call_of(call.arguments).digest == call_of(thaw(freeze(call.arguments))).digest == before


def spoil(value: object) -> None:
    """Whatever Python allows to be changed in `value`, is changed."""
    for inner in value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ():
        spoil(inner)
    with suppress(TypeError, AttributeError):
        value["spoilt"] = 1  # type: ignore[index]
    with suppress(TypeError, AttributeError):
        value.append("spoilt")  # type: ignore[attr-defined]


def no_call(value: object) -> None:
    message = refuses(CallError, lambda: call_of({"x": value}))
    assert len(message) < MAX_DEPTH * 100, "a path grows with the keys: many values under a long one are an attack"


def nested(depth: int) -> object:
    value: object = 1
    for level in range(depth):
        value = [value] if level % 2 else {"k": value}
    return value


# permits


class Lookalike(Permit):
    """A permit in every field, minted by nobody."""


def k9_only_what_was_minted_passes(mint: Mint, other: Mint, digest: str, nonce: str, *, approved: bool) -> None:
    """A permit passes for its own digest, under its own mint, as it was minted, and in no other way."""
    permit = mint.permit(digest, nonce, approved=approved)
    accepts(lambda: mint.check(permit, digest))
    assert (permit.digest, permit.nonce, permit.approved) == (digest, nonce, approved)
    accepts(lambda: mint.check(pickle.loads(pickle.dumps(permit)), digest))  # noqa: S301 - a copy is the permit (M2)
    elsewhere = other.permit(digest, nonce, approved=approved)
    fields = {f.name: getattr(permit, f.name) for f in dataclasses.fields(permit)}
    forged = [
        elsewhere,
        pickle.loads(pickle.dumps(elsewhere)),  # noqa: S301 - our own bytes
        Lookalike(**fields),
        Permit(digest=digest, nonce=nonce, approved=approved, proof=b""),
        Permit(digest=digest, nonce=nonce, approved=approved, proof=bytes(32)),
        dataclasses.replace(permit, nonce=nonce + "'"),
        dataclasses.replace(permit, nonce=""),
        dataclasses.replace(permit, nonce="\ud800"),
        dataclasses.replace(permit, nonce=None),  # type: ignore[arg-type]
        dataclasses.replace(permit, approved=not approved),
        dataclasses.replace(permit, approved=int(approved)),  # type: ignore[arg-type]
        dataclasses.replace(permit, approved="yes"),  # type: ignore[arg-type]
        dataclasses.replace(permit, proof=permit.proof[:-1]),
        dataclasses.replace(permit, proof=permit.proof + b"\0"),
        dataclasses.replace(permit, proof=None),  # type: ignore[arg-type]
        dataclasses.replace(permit, proof=permit.proof.hex()),  # type: ignore[arg-type]
        fields,
        None,
        True,
    ]
    for forgery in forged:
        refuses(PermitError, lambda f=forgery: mint.check(f, digest))  # type: ignore[misc]
    another = digest[:-1] + ("0" if digest[-1] != "0" else "1")
    refuses(PermitError, lambda: mint.check(permit, another))
    refuses(PermitError, lambda: mint.check(dataclasses.replace(permit, digest=another), another))
    refuses(PermitError, lambda: mint.check(dataclasses.replace(permit, digest=another), digest))
    assert permit.proof.hex() not in repr(permit)


# decisions

GOOD = MappingProxyType(
    {
        "listed": True,
        "unvouched": frozenset(),
        "unpointed": frozenset(),
        "receivers": frozenset(),
        "unnamed": frozenset(),
        "blind": False,
        "external": False,
        "confidential": False,
        "sources": frozenset(),
        "findings": frozenset(),
        "mandate": "none",
        "blocked": frozenset(),
        "arguments": MappingProxyType({}),
    }
)


def facts_of(**differing: object) -> Facts:
    """Facts to which no shipped rule objects, but for `differing`."""
    return Facts(**{**GOOD, **differing})  # type: ignore[arg-type]


def request_of(facts: Facts | None = None, *, tool: str = "t", resource: Resource | None = None) -> Request:
    return Request(call=call_of(tool=tool), resource=resource or Resource("Tool", "t"), facts=facts or facts_of())


def rules_of(*lines: str, effects: Mapping[str, Effect] = MappingProxyType({"t": Effect.WRITE})) -> Rules:
    """Rules from `name: permit when …`; the scope is everything, and `@` before the name adds an annotation."""
    text = []
    for line in lines:
        name, _, rule = line.partition(": ")
        effect, _, condition = rule.partition(" ")
        text.append(f'@id("{name}") {effect} (principal, action, resource) {condition};')
    return Rules("\n".join(text), effects)


def said(decision: Decision) -> tuple[str, tuple[str, ...]]:
    """Kind and rules, all that one kernel must have in common with another."""
    return type(decision).__name__, decision.rules


def judged(request: Request, rules: Rules) -> Decision:
    """The decision, once everything that holds for any decision was seen to hold for it."""
    mint = Mint(KEY)
    decision = decide(request, rules, mint, "n1")
    approved = decide_approved(request, rules, mint, "n2")
    plain, lifted = (rules.evaluate(request, approved=a) for a in (False, True))
    k1_k5_an_evaluation_is_explained(plain, rules)
    k1_k5_an_evaluation_is_explained(lifted, rules)
    match decision:
        case Permitted():
            assert plain.allowed
            mint.check(decision.permit, request.call.digest)
            assert (decision.permit.nonce, decision.permit.approved) == ("n1", False)
            assert decision.rules == plain.rules
            assert decision.obligations == rules.obligations(plain.rules)
        case NeedsApproval():  # forbidden as it stands, permitted with one bit more, and nothing failed on the way
            assert not plain.allowed and not plain.errors and lifted.allowed  # noqa: PT018 - one sentence
            assert decision.rules == plain.rules
            assert decision.digest == request.call.digest
        case Forbidden():
            assert plain.errors or not (plain.allowed or lifted.allowed)
            assert decision.rules == (plain if plain.errors else lifted).rules
            assert bool(decision.why) == any(r.startswith("error:") for r in decision.rules)
            assert decision.digest == request.call.digest
    match approved:
        case Permitted():
            assert lifted.allowed and not plain.errors  # noqa: PT018 - one sentence
            mint.check(approved.permit, request.call.digest)
            assert (approved.permit.nonce, approved.permit.approved) == ("n2", True)
            assert approved.rules == lifted.rules
            assert approved.obligations == rules.obligations(lifted.rules)
        case _:
            assert isinstance(approved, Forbidden)
            assert approved.digest == request.call.digest
            assert plain.errors or not lifted.allowed
            assert bool(approved.why) == any(r.startswith("error:") for r in approved.rules)
    return decision


def k1_k5_an_evaluation_is_explained(answer: Evaluation, rules: Rules) -> None:
    """It names rules that exist, sorted and once each; nothing is permitted by default, or in spite of an error."""
    assert answer.rules == tuple(sorted(set(answer.rules)))
    if answer.errors:
        assert not answer.allowed
        assert {r.removeprefix("error:") for r in answer.rules} <= rules.ids | {"request"}
        assert all(r.startswith("error:") for r in answer.rules)
    elif answer.rules == ("default-deny",):
        assert not answer.allowed
    else:
        assert answer.rules
        assert set(answer.rules) <= rules.ids


# fixed examples: each is here because it tells some mutant from the kernel

LABELS = [Label(i, r) for i in Integrity for r in (NOBODY, Readers.of("a"), Readers.of("a", "b"), EVERYONE)]
VALUES: list[object] = [1, 1.0, True, "1", 0, False, -0.0, 0.0, None, "", "é", "e\u0301", [], {}, [[]], [1, 2], [2, 1]]
VALUES += [{"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": {"b": 1}}, {"a": {"b": 1.0}}, {"A": 1}, "None", "[]", 10**15, 1e15]


def check_labels() -> None:
    for a, b, c in product(LABELS, repeat=3):
        k6_joining_is_the_meet(a, b, c)
        k6_joining_is_orderless(a, b, c)
    for a, b in product(LABELS, repeat=2):
        flowing_takes_both(a, b)
        k6_readers_only_shrink(a.readers, b.readers, "a")
        k6_readers_only_shrink(a.readers, b.readers, "z")
        k6_covering_is_including(a.readers, b.readers, ["a", "b", "z"])
    assert [i.word for i in sorted(Integrity)] == ["external", "own", "user"]
    for bad in ("", None, 3):
        refuses(LabelError, lambda b=bad: Readers(frozenset({b})))  # type: ignore[misc]


def check_unknown() -> None:
    for need in LABELS:
        k7_unknown_stands_nowhere(need)


def check_digest() -> None:
    for a, b in product(VALUES, repeat=2):
        k9_digests_tell_values({"x": a}, {"x": b})
    k9_digests_tell_values({"a": 1, "b": 2}, {"b": 2, "a": 1})
    for name in ("tool", "agent", "principal", "run"):
        k9_digests_tell_names(name, "x", "y")
        k9_digests_tell_names(name, "x", "x")
    assert call_of(agent="x", principal="y").digest != call_of(agent="y", principal="x").digest
    assert canonical({"b": [1, None], "a": "é"}) == '{"a":"é","b":[1,null]}'.encode()  # also where records are re-read
    assert len(call_of().digest) == 64


def check_arguments_stay() -> None:
    arguments_stay({"x": ["flat"]})
    inner: dict[str, object] = {"deep": [{"deeper": ["x"]}], "flat": 1}
    arguments_stay({"x": inner, "y": [inner]})


def check_no_call() -> None:
    for value in (float("nan"), float("inf"), -float("inf"), MAX_INT + 1, -MAX_INT - 1, "\ud800", b"x", {1}, object()):
        no_call(value)
        no_call([value])
        no_call({"k": [value]})
    for key in (1, None, "\udfff", ("a",)):
        no_call({key: 1})
    no_call([0] * MAX_NODES)
    no_call([[0] * 10] * (MAX_NODES // 10))
    accepts(lambda: call_of({"x": nested(MAX_DEPTH - 2)}))
    no_call(nested(MAX_DEPTH - 1))
    no_call(nested(64))  # whatever the limit is called
    no_call({"k" * 1_000_000: b"x"})
    loop: list[object] = []
    loop.append(loop)
    no_call(loop)
    accepts(lambda: call_of({"x": MAX_INT, "y": -MAX_INT}))
    accepts(lambda: call_of({"x": [0] * (MAX_NODES - 2)}))


class _Colour(str, enum.Enum):  # noqa: UP042 - the kind whose own text is `_Colour.RED`
    RED = "red"


def check_plain_values() -> None:
    """Whatever subclass comes in, plain JSON stands in the call, and means what it meant."""
    frozen = freeze({_Colour.RED: _Colour.RED, "i": Integrity.OWN, "t": ("a",), "n": None, "b": True, "f": 1.5})
    assert thaw(frozen) == {"red": "red", "i": 1, "t": ["a"], "n": None, "b": True, "f": 1.5}
    assert [type(v) for v in frozen.values()] == [str, int, tuple, type(None), bool, float]  # type: ignore[union-attr]
    assert {type(k) for k in frozen} == {str}  # type: ignore[union-attr]


def check_names() -> None:
    for tool in ("", "a b", "1a", "a\n", "é", "a" * 129, "-a", None, 1):
        refuses(CallError, lambda t=tool: call_of(tool=t))  # type: ignore[misc]
    for tool in ("a" * 128, "mcp/files:read.v1-x", "_a"):
        accepts(lambda t=tool: call_of(tool=t))  # type: ignore[misc]
    for name, bad in product(("agent", "principal", "run"), ("", "x" * 257, None, 1, "\ud800")):
        refuses(CallError, lambda n=name, b=bad: call_of(**{n: b}))  # type: ignore[misc]
    accepts(lambda: call_of(agent="x" * 256))
    odds: list[object] = [[], "x", None, 1]
    for odd in odds:
        refuses(CallError, lambda o=odd: call_of(o))  # type: ignore[misc]


def check_permit() -> None:
    mint, other = Mint(KEY), Mint(b"o" * 32)
    for approved in (False, True):
        k9_only_what_was_minted_passes(mint, other, call_of().digest, "n", approved=approved)
    for key in (b"", b"k" * 31):
        refuses(PermitError, lambda k=key: Mint(k))  # type: ignore[misc]
    refuses(PermitError, lambda: mint.permit(call_of().digest, "", approved=False))


TABLE: list[tuple[list[str], str, tuple[str, ...]]] = [
    # K1: no rule, and only rules that do not apply
    ([], "Forbidden", ("default-deny",)),
    (["p: permit when { false }"], "Forbidden", ("default-deny",)),
    (["f: forbid when { false }"], "Forbidden", ("default-deny",)),
    (["p: permit "], "Permitted", ("p",)),
    # K2: one forbid outweighs every permit
    (["p: permit ", "q: permit ", "f: forbid "], "Forbidden", ("f",)),
    (["f: forbid "], "Forbidden", ("f",)),
    # K3: an error forbids, whoever errs and whatever else holds
    (["p: permit ", "e: forbid when { context.nothing }"], "Forbidden", ("error:e",)),
    (["p: permit ", "e: permit when { context.nothing }"], "Forbidden", ("error:e",)),
    (["p: permit ", "e: forbid when { context.nothing }", "f: forbid "], "Forbidden", ("error:e",)),
    (["e: permit when { context.agent < 1 }", "d: permit when { context.nothing }"], "Forbidden", ("error:d", "error:e")),
    (["p: permit ", "e: forbid when { context.policy0 }"], "Forbidden", ("error:e",)),  # `policy0` is Cedar's name for p
    # K3 in the second pass: the error shows only once approved
    (
        ["p: permit ", "f: forbid unless { context.approved }", "e: forbid when { context.approved && context.nothing }"],
        "Forbidden",
        ("error:e",),
    ),
    (["e: permit when { context.approved && context.nothing }"], "Forbidden", ("error:e",)),
    # K3 in the first pass only: an approval lifts what asks, never what fails
    (["p: permit ", "e: forbid when { !context.approved && context.nothing }"], "Forbidden", ("error:e",)),
    # approval: asks exactly if that bit alone would do
    (["p: permit ", "f: forbid unless { context.approved }"], "NeedsApproval", ("f",)),
    (["p: permit when { context.approved }"], "NeedsApproval", ("default-deny",)),
    (["p: permit ", "f: forbid unless { context.approved }", "g: forbid "], "Forbidden", ("g",)),
    (["f: forbid unless { context.approved }"], "Forbidden", ("default-deny",)),
    (["p: permit ", "f: forbid when { context.approved }"], "Permitted", ("p",)),
    # K5: all that determined the answer, sorted
    (["q: permit ", "p: permit ", "n: permit when { false }"], "Permitted", ("p", "q")),
    (["g: forbid ", "p: permit ", "f: forbid ", "n: forbid when { false }"], "Forbidden", ("f", "g")),
    ([f"p{n:02}: permit " for n in reversed(range(12))], "Permitted", tuple(f"p{n:02}" for n in range(12))),
    # the context says what is so
    (['p: permit when { context.listed && !context.blind && context.mandate == "none" }'], "Permitted", ("p",)),
    (['p: permit when { principal == User::"p" && context.agent == "a" }'], "Permitted", ("p",)),
    (['p: permit when { resource == Tool::"t" && action == Action::"t" }'], "Permitted", ("p",)),
    (['p: permit when { action in Action::"write" && action in Action::"effect" }'], "Permitted", ("p",)),
    (['p: permit when { action in Action::"egress" || action in Action::"read" }'], "Forbidden", ("default-deny",)),
]  # fmt: skip


def check_decide() -> None:
    for lines, kind, names in TABLE:
        for order in (lines, lines[::-1]):  # K4
            assert said(judged(request_of(), rules_of(*order))) == (kind, names), lines


def check_context() -> None:
    """Each fact is in the context under its name, and none is in the place of another."""
    sets = ("unvouched", "unpointed", "receivers", "unnamed", "findings", "blocked")
    conditions = {name: f'context.{name} == ["y", "x"]' for name in sets} | {
        "sources": 'context.run.sources == ["x", "y"]',
        "external": "context.run.external",
        "confidential": "context.run.confidential",
        "blind": "context.blind",
        "listed": "!context.listed",
        "mandate": 'context.mandate == "off"',
        "arguments": "context.args has x && context.args.x == 3",
    }
    other: dict[str, object] = dict.fromkeys((*sets, "sources"), frozenset({"x", "y"}))
    other |= {"external": True, "confidential": True, "blind": True, "listed": False}
    other |= {"mandate": "off", "arguments": {"x": 3}}
    for name, condition in conditions.items():
        rules = rules_of(f"p: permit when {{ {condition} }}")
        assert isinstance(judged(request_of(), rules), Forbidden), name
        assert isinstance(judged(request_of(facts_of(**{name: other[name]})), rules), Permitted), name
        rest = {k: v for k, v in other.items() if k != name}
        assert isinstance(judged(request_of(facts_of(**rest)), rules), Forbidden), name


_NO_JSON: list[object] = [None, 1.5, float("nan"), 2**63, object(), "\ud800"]
_NO_JSON += [{"__entity": {"type": "no type", "id": "x"}}, {"__extn": {"fn": "ip", "arg": "no address"}}]
UNBUILDABLE = [request_of(facts_of(arguments={"x": value})) for value in _NO_JSON]
UNBUILDABLE += [request_of(resource=Resource(*parts)) for parts in (("no type", "x"), ("", "x"), ("T", "\ud800"))]


def check_unbuildable() -> None:
    """K3: what cannot even be asked is forbidden, and says so; no approval helps, no exception escapes."""
    rules = rules_of("p: permit ")
    for request in UNBUILDABLE:
        try:
            decision = judged(request, rules)
        except (TypeError, ValueError) as error:
            raise AssertionError(f"{request!r}: {error!r}") from error
        assert said(decision) == ("Forbidden", ("error:request",)), request
        assert isinstance(decision, Forbidden)
        assert decision.why


def check_obligations() -> None:
    text = """
      @id("b") @obliges("redact:body, notify") permit (principal, action, resource);
      @id("a") @obliges("notify,charge:x:y") permit (principal, action, resource);
      @id("c") @obliges("never") permit (principal, action, resource) when { context.approved };
      @id("d") permit (principal, action, resource);
      @id("f") forbid (principal, action, resource) when { context.listed } unless { context.approved };
    """
    rules = Rules(text, {"t": Effect.WRITE})
    due = (Obligation("charge", "x:y"), Obligation("notify"), Obligation("redact", "body"))
    plain = judged(request_of(facts_of(listed=False)), rules)
    assert isinstance(plain, Permitted)
    assert plain.obligations == due
    approved = decide_approved(request_of(), rules, Mint(KEY), "n")
    assert isinstance(approved, Permitted)
    assert approved.obligations == (due[0], Obligation("never"), *due[1:])
    for notes in ('@obliges("")', "@obliges", '@obliges("a,,b")', '@obliges(":x")', '@obliges("a,")'):
        refuses(RuleError, lambda n=notes: Rules(f'@id("p") {n} permit (principal, action, resource);', {}))  # type: ignore[misc]
    refuses(RuleError, lambda: Rules('@id("f") @obliges("a") forbid (principal, action, resource);', {}))


def check_rules_load() -> None:
    scope = "(principal, action, resource)"
    for text in (
        f"permit {scope};",
        f'@id("") permit {scope};',
        f"@id permit {scope};",
        f'@id("a") permit {scope}; @id("a") forbid {scope};',
        f'@id("default-deny") permit {scope};',
        f'@id("error:request") permit {scope};',
        '@id("a") permit (principal == ?principal, action, resource);',
        '@id("a") permit (principal, action, resource in ?resource);',
        f'@id("a") allow {scope};',
        f'@id("a") permit {scope}',
    ):
        refuses(RuleError, lambda t=text: Rules(t, {}))  # type: ignore[misc]
    assert rules_of("p: permit ", "f: forbid ").ids == {"p", "f"}


def check_groups() -> None:
    """A tool is in the groups of its effect and in no other, whatever it is called."""
    groups = {
        Effect.READ: {"read"},
        Effect.FETCH: {"fetch", "egress", "effect"},
        Effect.WRITE: {"write", "effect"},
        Effect.EGRESS: {"egress", "effect"},
        Effect.SPEND: {"spend", "egress", "effect"},
        Effect.DESTROY: {"destroy", "effect"},
    }
    every = {"effect", *(e.value for e in Effect)}
    effects = {f"{e.value}-it": e for e in Effect}
    namesakes = {e.value: e for e in Effect}  # a tool may be called `fetch` if it is one
    for known in (effects, effects | namesakes):
        for group in every:
            rules = Rules(f'@id("p") permit (principal, action in Action::"{group}", resource);', known)
            for tool, effect in known.items():
                permitted = isinstance(judged(request_of(tool=tool), rules), Permitted)
                assert permitted == (group in groups[effect]), (tool, group)
            if group not in known:  # nor does a tool that nobody listed get in by its name
                assert said(judged(request_of(tool=group), rules)) == ("Forbidden", ("error:request",)), group
    for tool, other in product(every, Effect):
        if tool != other.value:  # else each tool of the group would come under the rules for the other effect
            refuses(RuleError, lambda t=tool, o=other: Rules("", {t: o}))  # type: ignore[misc]
    assert isinstance(
        judged(request_of(tool="stranger"), rules_of("p: permit ")), Permitted
    )  # in no group, yet an action


def check_spec() -> None:
    for path in ("", ".", "a.", ".a", "a..b"):
        refuses(SpecError, lambda p=path: Argument(path=p, role=Role.TEXT))  # type: ignore[misc]
    refuses(SpecError, lambda: Argument(path="a", role=Role.ID))
    refuses(SpecError, lambda: Argument(path="a", role=Role.TEXT, kind="order"))
    for operator, field, fields in (("=", "a", ("b",)), ("==", "", ("b",)), ("in", "a", ())):
        refuses(SpecError, lambda o=operator, f=field, x=fields: Condition(field=f, operator=o, fields=x))  # type: ignore[misc]
    refuses(SpecError, lambda: ToolSpec(name="t", arguments=(Argument(path="a", role=Role.TEXT),) * 2))
    spec = ToolSpec(
        name="t",
        arguments=(
            Argument(path="a", role=Role.TEXT),
            Argument(path="a.b", role=Role.RECIPIENT),
            Argument(path="c", role=Role.AMOUNT, origins=frozenset({Integrity.USER})),
        ),
    )
    roles = {"a": Role.TEXT, "a.x": Role.TEXT, "a.b": Role.RECIPIENT, "a.b.c": Role.RECIPIENT, "a.bc": Role.TEXT}
    assert {p: spec.argument(p).role for p in roles} == roles
    assert spec.argument("ab").role is spec.argument("x").role is Role.UNKNOWN
    assert spec.argument("x").origins == {Integrity.USER, Integrity.OWN}  # nobody said: must be vouched
    assert spec.argument("c").origins == {Integrity.USER}
    assert spec.effect is Effect.EGRESS
    assert Role.RECIPIENT in RECEIVERS
    for role in (Role.CREDENTIAL, Role.COMMAND, Role.TIME):
        assert Argument(path="a", role=role).origins == {Integrity.USER}


CHECKS: dict[str, Callable[[], None]] = {
    name.removeprefix("check_"): function for name, function in globals().copy().items() if name.startswith("check_")
}
