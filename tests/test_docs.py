"""What the docs say exists: guarantees and their tests, links, make targets, the README's manifest and code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from interlock.policy.load import load_policy

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "SECURITY.md", *ROOT.glob("docs/**/*.md")])
NUMBERS = [f"{letter}{n}" for letter in "KM" for n in range(1, 11)]
README = (ROOT / "README.md").read_text()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", NUMBERS)
def test_every_guarantee_is_explained_and_cites_tests_that_exist(number: str) -> None:
    text = (ROOT / "docs" / "guarantees.md").read_text()
    row = re.search(rf"^\| {number} \|.*$", text, re.MULTILINE)
    assert row, f"{number} is not in the table"
    assert re.search(rf"^\*\*{number}, ", text, re.MULTILINE), f"{number} is not explained"
    cited = re.findall(r"`(tests/[\w/]+\.py)`", row[0])
    assert cited or "not yet" in row[0]
    sources = [(ROOT / path).read_text().lower() for path in cited]
    assert not cited or any(re.search(rf"\b(test_)?{number.lower()}(_|\b)", s) for s in sources), f"none names {number}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#\s]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_make_has_every_target_that_the_pages_name() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        for name in re.findall(r"`make ([\w-]+)", page.read_text()):
            assert name in targets, f"{page.name} names `make {name}`"
    assert {"demo", "test", "check", "setup", "bench"} <= targets


def test_the_first_screen_shows_the_two_commands() -> None:
    first = "\n".join(README.splitlines()[:24])
    assert "make demo" in first
    assert "make test" in first


def test_the_readme_manifest_loads(tmp_path: Path) -> None:
    manifest = "".join(blocks("yaml"))  # the later block adds a section to the first
    path = tmp_path / "interlock.yaml"
    path.write_text(manifest)
    policy = load_policy(path)
    assert set(policy.agents["support"].tools) == {"find_order", "read_mail", "send_mail"}


def test_the_readme_code_is_python_and_uses_what_exists() -> None:
    import interlock

    for code in blocks("python"):
        tree = ast.parse(code)
        imported = {a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
        assert imported <= set(interlock.__all__)
        methods = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        assert {m for m in methods if m.startswith("openai_")} <= set(dir(interlock.Run))


def test_the_number_of_shipped_rules_is_the_one_told() -> None:
    rules = (ROOT / "src/interlock/policy/base.cedar").read_text().count("@id(")
    assert rules == 9
    assert "Nine shipped ones" in README


def test_no_number_is_left_to_fill_in() -> None:
    assert not re.search(r"\bBENCH\b|\bTODO\b|\bTBD\b", README)
