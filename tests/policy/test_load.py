import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from interlock.kernel.call import Call, Resource
from interlock.kernel.decide import Facts, Request, Rules, decide
from interlock.kernel.decision import Decision, Forbidden, Mint, NeedsApproval, Permitted
from interlock.kernel.labels import Integrity
from interlock.kernel.spec import Argument, Condition, Effect, Role, Show
from interlock.policy.errors import PolicyError
from interlock.policy.load import load_policy, policy_from
from interlock.policy.manifest import json_schema
from interlock.policy.policy import Policy
from interlock.policy.rules import cedar_args
from tests.policy.strategies import manifests

ROOT = Path(__file__).parent.parent.parent
CASES = tomllib.loads((ROOT / "tests/corpora/manifests.toml").read_text())["case"]
MINT = Mint(bytes(32))
MAIL = {"type": "object", "required": ["to"], "properties": {"to": {"type": "string"}, "body": {"type": "string"}}}
PAY = {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "number"}, "note": {}}}


def nothing(uri: str) -> Any:
    raise ValueError(uri)


def policy(tmp_path: Path, manifest: str, rules: str = "", **more: Any) -> Policy:
    (tmp_path / "interlock.yaml").write_text(manifest)
    (tmp_path / "rules.cedar").write_text(rules)
    return load_policy(tmp_path / "interlock.yaml", **more)


def problems(call: Any, *arguments: Any, **more: Any) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        call(*arguments, **more)
    return [f"{p.line}: {p.message}; {p.remedy}" for p in caught.value.problems]


def judged(policy: Policy, tool: str, arguments: Mapping[str, Any], **facts: Any) -> Decision:
    """The kernel's decision under the policy's rules; nothing speaks against the call but `facts`."""
    known: dict[str, Any] = dict.fromkeys(("unvouched", "unpointed", "receivers", "unnamed", "sources"), frozenset())
    known |= dict.fromkeys(("findings", "blocked"), frozenset())
    known |= {"listed": True, "blind": False, "external": False, "confidential": False, "mandate": "on"}
    known["arguments"] = cedar_args(policy.tools[tool], arguments, policy.args_used)
    call = Call(tool=tool, arguments=arguments, agent="support", principal="emma", run="1")
    request = Request(call=call, resource=Resource("Tool", tool), facts=Facts(**(known | facts)))
    return decide(request, Rules(policy.rules_text, policy.effects), MINT, "nonce")


# what must not load


def test_the_table_is_long_and_its_ids_are_unlike() -> None:
    assert len({case["id"] for case in CASES}) == len(CASES) >= 100


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_bad_manifest_is_refused_with_all_that_is_wrong(
    case: Mapping[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in case["files"].items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PolicyError) as caught:
        load_policy("interlock.yaml", obligations=["redact"])
    assert str(caught.value).split("\n") == case["expect"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "the file is no UTF-8 text: byte 1; save it as UTF-8"),
        (b"#" * (256 * 1024 + 1), "the file is larger than 256 KiB; split the rules over several files"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "interlock.yaml").write_bytes(content)
    assert problems(load_policy, tmp_path / "interlock.yaml") == [f"0: {message}"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"gone\.yaml: the file cannot be read: no such file or directory"):
        load_policy(tmp_path / "gone.yaml")


def test_a_mapping_has_the_same_problems_without_lines() -> None:
    found = problems(policy_from, {"version": 1, "agents": {"a": {"tools": ["x"]}}, "tools": {"y": {"efect": "read"}}})
    assert found == [
        "0: agent `a` lists the unknown tool `x`; describe it under `tools`, for example `x: {effect: egress}`",
        "0: unknown key `efect` in `tools.y`; did you mean `effect`?",
    ]
    assert problems(policy_from, {"version": object()}) == [
        "0: `manifest.version` is a object, which JSON cannot carry; "
    ]


BITS = st.sampled_from(
    ["version: 1\n", "agents:", " {}\n", "tools:", "\n  x:", " {effect: read}", " [a]", "\n  ", "&a ", "*a", "!!int ",
     "schema:", " {type: object}", "returns:", "when:", "- if: a == me\n", "rules: ['**']\n", "me: [1]\n", "? ", "<<:",
     "arguments: {a: text}\n", "\t", "---\n", "%YAML 1.9\n", "'", '"\\ud800"', "1e999", "-", ": ", "#", "|\n ", "\x85"]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(BITS, max_size=12).map("".join)))
def test_any_text_loads_or_is_a_policy_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "interlock.yaml"
    try:
        path.write_bytes(text.encode(errors="surrogatepass"))
        load_policy(path)
    except PolicyError as error:
        assert error.problems  # noqa: PT017 - that it is raised is no failure


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("read"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["version", "agents", "tools", "x", "schema", "returns", "if", "$ref"]), inner
        )
    ),
    max_leaves=12,
)


@given(json_values, json_values, json_values)
def test_any_mapping_loads_or_is_a_policy_error(agents: Any, tool: Any, top: Any) -> None:
    manifest = {"version": 1, "agents": agents, "tools": {"x": tool}, "relax": top}
    try:
        policy_from(manifest)
    except PolicyError as error:
        assert error.problems  # noqa: PT017 - as above


@given(manifests(), st.data())
def test_one_wrong_value_is_a_problem_wherever_it_stands(manifest: dict[str, Any], data: st.DataObject) -> None:
    tool = data.draw(st.sampled_from(sorted(manifest["tools"])))
    where = data.draw(st.sampled_from(["effect", "kind", "arguments", "returns", "schema", "refers"]))
    manifest["tools"][tool][where] = 7
    assert any(where in p.message for p in _refused(manifest))


def _refused(manifest: dict[str, Any]) -> Any:
    with pytest.raises(PolicyError) as caught:
        policy_from(manifest)
    return caught.value.problems


# what loads


@given(manifests())
def test_a_valid_manifest_loads_with_the_shipped_rules(manifest: dict[str, Any]) -> None:
    loaded = policy_from(manifest)
    assert set(loaded.tools) == set(manifest["tools"])
    assert {n: str(e) for n, e in loaded.effects.items()} == {n: t["effect"] for n, t in manifest["tools"].items()}
    assert Rules(loaded.rules_text, loaded.effects).ids >= {"read", "effect", "unvouched", "unlisted-tool"}
    jsonschema_rs.validate(json.loads(json_schema()), manifest, retriever=nothing)


@given(manifests())
def test_a_manifest_means_the_same_as_yaml_and_as_data(
    tmp_path_factory: pytest.TempPathFactory, manifest: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("yaml") / "interlock.yaml"
    path.write_text(yaml.safe_dump(manifest, sort_keys=False))
    one, two = load_policy(path), policy_from(manifest)
    assert (one.tools, one.agents, one.digest) == (two.tools, two.agents, two.digest)


FULL = """
version: 1
me: [emma@example.com]
labels: LABELS
agents: {support: {tools: [find, send], mandate: required, show: mark}}
tools:
  find: {effect: read, returns: {object: order, id: [id], own: [id], presumed: [sender],
         when: [{if: "sender == me", own: [body]}, {if: "writers <= me", own: [body]}],
         sharing: {owner: owner, members: shared, write: [rw]}, show: {body: handle}, confidential: true}}
  send:
    effect: egress
    arguments: {to: recipient, order: "id:order", at: {role: time, from: [own, user]}}
    refers: order
"""


def test_each_key_arrives_in_the_specs(tmp_path: Path) -> None:
    loaded = policy(tmp_path, FULL.replace("LABELS", "conservative"))
    find, send = loaded.tools["find"], loaded.tools["send"]
    assert send.effect is Effect.EGRESS
    assert send.refers == "order"
    assert send.arguments[:2] == (
        Argument(path="to", role=Role.RECIPIENT),
        Argument(path="order", role=Role.ID, kind="order"),
    )
    assert send.argument("at").origins == {Integrity.USER, Integrity.OWN}
    assert find.returns.own == ("id",)
    assert find.returns.when == (
        Condition(field="sender", operator="==", fields=("body",)),
        Condition(field="writers", operator="<=", fields=("body",)),
    )
    assert find.returns.sharing is not None
    assert find.returns.sharing.write == {"rw"}
    assert find.returns.show == {"body": Show.HANDLE}
    assert find.returns.confidential
    agent = loaded.agent("support")
    assert agent.tools == {"find", "send"}
    assert (agent.mandate, agent.show) == ("required", Show.MARK)
    assert loaded.me == ("emma@example.com",)


def test_presumed_fields_are_own_under_tight_labels_only(tmp_path: Path) -> None:
    assert "sender" not in policy(tmp_path, FULL.replace("LABELS", "conservative")).tools["find"].returns.own
    assert "sender" in policy(tmp_path, FULL.replace("LABELS", "tight")).tools["find"].returns.own


def test_words_that_other_yaml_readers_take_for_truth_values_stay_words(tmp_path: Path) -> None:
    assert policy(tmp_path, "version: 1\nme: [no, on, 2024-01-01, '1']\nagents: {}\ntools: {}\n").me == (
        "no", "on", "2024-01-01", "1",
    )  # fmt: skip


def test_an_anchor_stands_for_what_it_names(tmp_path: Path) -> None:
    manifest = "version: 1\nagents: {}\ntools:\n  a: {effect: read, returns: &r {own: [id]}}\n  b: {returns: *r}\n"
    loaded = policy(tmp_path, manifest)
    assert loaded.tools["b"].returns.own == loaded.tools["a"].returns.own == ("id",)


def test_what_nobody_said_is_the_safe_reading_and_shown_as_inferred() -> None:
    loaded = policy_from({"version": 1, "agents": {}, "tools": {"zorble": {}}}, schemas={"zorble": MAIL})
    assert loaded.tools["zorble"].effect is Effect.EGRESS
    assert "zorble.effect" in loaded.inferred
    assert "tool zorble: egress (inferred)" in loaded.describe()
    assert loaded.tools["zorble"].argument("blub").role is Role.UNKNOWN


def test_what_the_manifest_says_of_an_argument_covers_all_beneath_it() -> None:
    inner = {"type": "object", "properties": {"file_id": {"type": "string"}, "url": {"type": "string"}}}
    schema = {"type": "object", "properties": {"attachments": {"type": "array", "items": inner}}}
    tool = {"effect": "egress", "arguments": {"attachments": "command"}, "schema": schema}
    spec = policy_from({"version": 1, "agents": {}, "tools": {"x": tool}}).tools["x"]
    assert spec.argument("attachments.url").role is Role.COMMAND


def test_the_digest_moves_with_manifest_and_rules(tmp_path: Path) -> None:
    manifest = "version: 1\nrules: ['*.cedar']\nagents: {}\ntools: {x: {effect: read}}\n"
    rule = '@id("a") forbid (principal == User::"eve", action, resource);'
    digests = {
        policy(tmp_path, manifest, rule).digest,
        policy(tmp_path, manifest, rule.replace("eve", "mallory")).digest,
        policy(tmp_path, manifest.replace("read", "write"), rule).digest,
    }
    assert len(digests) == 3
    assert policy(tmp_path, "# a comment\n" + manifest, rule).digest in digests


# rules


RULES = """
version: 1
rules: [rules.cedar]
agents: {support: {tools: [pay, find]}}
tools:
  find: {effect: read}
  pay: {effect: spend, arguments: {amount: amount}}
"""
LIMIT = """
@id("limit")
forbid (principal, action == Action::"pay", resource)
when { context.args.amount.greaterThan(decimal("100.0")) }
unless { context.approved };
"""


@pytest.mark.parametrize(("amount", "expected"), [(100, Permitted), (100.0001, NeedsApproval), (5000, NeedsApproval)])
def test_a_rule_reads_the_value_that_the_call_has(amount: float, expected: type, tmp_path: Path) -> None:
    loaded = policy(tmp_path, RULES, LIMIT, schemas={"pay": PAY})
    assert loaded.args_used == {"amount"}
    assert isinstance(judged(loaded, "pay", {"amount": amount, "note": 1}), expected)


def test_a_rule_about_an_argument_forbids_while_nobody_described_the_tool(tmp_path: Path) -> None:
    loaded = policy(tmp_path, RULES, LIMIT)
    assert loaded.pending == {"pay", "find"}
    assert judged(loaded, "pay", {"amount": 1}).rules == ("error:limit",)


def test_functions_bring_schemas_and_are_checked_against_the_manifest_and_the_rules(tmp_path: Path) -> None:
    loaded = policy(tmp_path, RULES, LIMIT)
    assert loaded.with_schemas({"pay": PAY}).pending == {"find"}
    renamed = {"type": "object", "properties": {"amounts": {"type": "number"}}}
    assert problems(loaded.with_schemas, {"pay": renamed}) == [
        "7: `pay` has no argument `amount`; did you mean `amounts`?",
        "4: `pay` has no argument `amount`; did you mean `amounts`?",
    ]
    as_text = {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "string"}}}
    assert problems(loaded.with_schemas, {"pay": as_text})[0].startswith(
        "2: wrong type: expected decimal but saw String"
    )


def test_a_schema_in_the_manifest_may_not_name_what_the_function_lacks() -> None:
    manifest = {"version": 1, "agents": {}, "tools": {"send": {"effect": "egress", "schema": MAIL}}}
    loaded = policy_from(manifest)
    assert loaded.with_schemas({"send": MAIL}).tools["send"].schema == MAIL
    only_to = {"type": "object", "properties": {"to": {"type": "string"}}}
    assert problems(loaded.with_schemas, {"send": only_to}) == [
        "0: the function `send` has no argument `body`; use one of `to`"
    ]


def test_a_function_that_the_manifest_does_not_list_is_nobodys() -> None:
    manifest = {"version": 1, "agents": {"support": {"tools": ["find"]}}, "tools": {"find": {"effect": "read"}}}
    loaded = policy_from(manifest).with_schemas({"find": MAIL, "wipe": MAIL})
    assert set(loaded.tools) == {"find"}
    request = Request(
        call=Call(tool="wipe", arguments={}, agent="support", principal="emma", run="1"),
        resource=Resource("Tool", "wipe"),
        facts=Facts(
            listed=True, unvouched=frozenset(), unpointed=frozenset(), receivers=frozenset(), unnamed=frozenset(),
            blind=False, external=False, confidential=False, sources=frozenset(), findings=frozenset(),
            mandate="on", blocked=frozenset(), arguments={},
        ),
    )  # fmt: skip
    decision = decide(request, Rules(loaded.rules_text, loaded.effects), MINT, "nonce")
    assert isinstance(decision, Forbidden)
    assert decision.rules == ("default-deny",)


SHIPPED = sorted(Rules(policy_from({"version": 1, "agents": {}, "tools": {}}).rules_text, {}).ids)


@pytest.mark.parametrize("name", SHIPPED)
def test_relax_removes_that_rule_and_no_other(name: str) -> None:
    manifest = {"version": 1, "agents": {}, "tools": {"send": {"effect": "egress"}}}
    loaded = policy_from(manifest | {"relax": [name]})
    assert loaded.relaxed == (name,)
    assert Rules(loaded.rules_text, loaded.effects).ids == set(SHIPPED) - {name}


def test_a_relaxed_rule_no_longer_objects() -> None:
    manifest = {"version": 1, "agents": {}, "tools": {"send": {"effect": "egress"}}}
    assert isinstance(judged(policy_from(manifest), "send", {}, blind=True, external=True), NeedsApproval)
    relaxed = policy_from(manifest | {"relax": ["blind-effect"]})
    assert isinstance(judged(relaxed, "send", {}, blind=True, external=True), Permitted)
    assert isinstance(judged(relaxed, "send", {}, unvouched=frozenset({"to"})), NeedsApproval)


@pytest.mark.parametrize("effect", [e.value for e in Effect])
def test_a_tool_may_have_the_name_of_its_effect(effect: str) -> None:
    loaded = policy_from({"version": 1, "agents": {}, "tools": {effect: {"effect": effect}, "x": {"effect": "read"}}})
    facts = {"unvouched": frozenset({"a"})}
    expected = Permitted if effect == "read" else NeedsApproval
    assert isinstance(judged(loaded, effect, {}, **facts), expected)
    assert isinstance(judged(loaded, "x", {}, **facts), Permitted)


def test_rules_come_from_every_file_that_matches_once(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.cedar").write_text('@id("b") forbid (principal == User::"b", action, resource);')
    manifest = "version: 1\nrules: ['*.cedar', '**/*.cedar']\nagents: {}\ntools: {x: {effect: read}}\n"
    loaded = policy(tmp_path, manifest, '@id("a") forbid (principal == User::"a", action, resource);')
    assert Rules(loaded.rules_text, loaded.effects).ids == {*SHIPPED, "a", "b"}


# what is published


def test_the_published_json_schema_is_the_manifests() -> None:
    published = ROOT / "src/interlock/policy/interlock.schema.json"
    assert published.read_text() == json_schema(), "python -m interlock.policy.manifest > interlock.schema.json"
