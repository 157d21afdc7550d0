"""The examples in docs/rules.md load, and every key and field that exists is explained there."""

import re
from pathlib import Path

from interlock.policy.load import load_policy
from interlock.policy.manifest import AgentPart, Manifest, ReturnsPart, ToolPart
from interlock.policy.rules import CONTEXT, parse_rules, split

DOCS = Path(__file__).parent.parent.parent / "docs" / "rules.md"
TEXT = DOCS.read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def test_the_examples_load_together(tmp_path: Path) -> None:
    manifest = "\n".join(blocks("yaml"))  # the later ones add sections to the first
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "all.cedar").write_text("\n".join(blocks("cedar")))
    (tmp_path / "interlock.yaml").write_text(manifest)
    policy = load_policy(tmp_path / "interlock.yaml")
    assert len(re.findall(r"^@id", policy.rules_text, re.MULTILINE)) == 9 + len(
        re.findall("@id", "".join(blocks("cedar")))
    )
    assert policy.args_used == {"amount", "due", "to"}


def test_every_key_is_explained() -> None:
    tables = re.findall(r"^\| (`.*?) \|", TEXT, re.MULTILINE)
    explained = {word for cell in tables for word in re.findall(r"[a-z]+", cell)}
    for part in (Manifest, AgentPart, ToolPart, ReturnsPart):
        names = {field.alias or name for name, field in part.model_fields.items()}
        assert names <= explained | {"agents", "tools"}
    assert set(CONTEXT) <= explained | {"run"}


def test_every_shipped_rule_is_explained() -> None:
    base = Path(DOCS.parent.parent / "src/interlock/policy/base.cedar").read_text()
    rules, problems = parse_rules(split(base, "base.cedar", shipped=True))
    assert not problems
    for rule in rules:
        assert f"`{rule.id}`" in TEXT
