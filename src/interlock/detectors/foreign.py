"""Detectors of others behind one shape: text in, findings out, within a time, and closed when they fail.

A foreign detector is evidence like our own. One that raises, or is late, gives a finding of its own
(`detector/failed`), so that a rule can refuse; `on_error="open"` gives none, for a detector that only adds to others.
A late answer is thrown away; its thread is not waited for, and keeps its place until it ends.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from queue import Empty, SimpleQueue
from threading import BoundedSemaphore, Thread
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from interlock.detect.finding import Finding, Severity

Detector: TypeAlias = Callable[[str], tuple[Finding, ...]]

MAX_ANSWER = 1 << 20  # bytes of an HTTP classifier's answer
OK = 200


class DetectorError(Exception):
    """A foreign detector gave no answer that can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """`detector`, given `seconds` for each text; at most `at_once` texts are with it."""

    name: str
    detector: Detector
    seconds: float
    on_error: Literal["closed", "open"] = "closed"
    at_once: int = 4
    _free: BoundedSemaphore = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not (self.name and self.seconds > 0 and self.at_once > 0):
            raise ValueError(
                f"`{self.name}` needs a name, a time and a place: {self.seconds} s, {self.at_once} at once"
            )
        object.__setattr__(self, "_free", BoundedSemaphore(self.at_once))

    def __call__(self, text: str) -> tuple[Finding, ...]:
        """What the detector finds; its failure is a finding, unless it may fail open."""
        if not self._free.acquire(blocking=False):
            return self._failed(text, "is busy with earlier texts")
        answers: SimpleQueue[Any] = SimpleQueue()

        def work() -> None:
            try:
                answers.put(self.detector(text))
            except Exception as error:  # noqa: BLE001 - whatever a foreign detector raises, the text is not clear
                answers.put(error)
            finally:
                self._free.release()

        Thread(target=work, name=f"detector-{self.name}", daemon=True).start()  # nobody waits for it at exit either
        try:
            found = answers.get(timeout=self.seconds)
        except Empty:
            return self._failed(text, "did not answer in time")
        if isinstance(found, Exception):
            return self._failed(text, "failed")
        if not (isinstance(found, tuple) and all(isinstance(f, Finding) and f.span[1] <= len(text) for f in found)):
            return self._failed(text, "answered with what is no finding of this text")
        return found

    def _failed(self, text: str, what: str) -> tuple[Finding, ...]:
        if self.on_error == "open":
            return ()
        why = f"the detector {what}; the text counts as suspicious"
        return (Finding(id="detector/failed", span=(0, len(text)), severity="high", confidence=1.0, why=why),)


def http_classifier(
    url: str,
    *,
    read: Callable[[Any], float],
    threshold: float,
    name: str = "http",
    headers: Mapping[str, str] | None = None,
    seconds: float = 5.0,
) -> Detector:
    """A classifier that takes `{"text": …}` by POST; `read` takes the score, 0 to 1, from its JSON answer."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"`{url}` is no address of a classifier; it begins with https:// or http://")
    host, port, target = parts.hostname, parts.port, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def detect(text: str) -> tuple[Finding, ...]:
        opened = (HTTPSConnection if parts.scheme == "https" else HTTPConnection)(host, port, timeout=seconds)
        try:
            body = json.dumps({"text": text}).encode()
            opened.request("POST", target, body, {"content-type": "application/json", **(headers or {})})
            answer = opened.getresponse()
            raw = answer.read(MAX_ANSWER + 1)
            if answer.status != OK or len(raw) > MAX_ANSWER:
                raise DetectorError(f"`{name}` answered {answer.status} with {len(raw)} bytes")
            score = float(read(json.loads(raw)))
        except (OSError, HTTPException, ValueError, KeyError, TypeError, IndexError) as error:
            raise DetectorError(f"`{name}` gave no score: {type(error).__name__}") from error
        finally:
            opened.close()
        return _whole(text, f"{name}/classifier", score, threshold)

    return detect


def openai_moderation(client: Any, *, model: str = "omni-moderation-latest", threshold: float = 0.5) -> Detector:  # noqa: ANN401 - an `openai.OpenAI`
    """OpenAI's moderation: a finding for each category whose score reaches `threshold`."""

    def detect(text: str) -> tuple[Finding, ...]:
        (result,) = client.moderations.create(model=model, input=text).results
        scores = result.category_scores.model_dump(by_alias=True)
        if not scores:
            raise DetectorError("the moderation answered without scores")
        return tuple(
            finding
            for category, score in sorted(scores.items())
            for finding in _whole(text, f"moderation/{category}", float(score), threshold)
        )

    return detect


def guardrails_validator(validator: Any, *, name: str, metadata: Mapping[str, Any] | None = None) -> Detector:  # noqa: ANN401 - a `guardrails.Validator`
    """A validator of Guardrails AI: a finding, with its spans if it tells any, where it fails."""

    def detect(text: str) -> tuple[Finding, ...]:
        result = validator.validate(text, dict(metadata or {}))
        if result.outcome == "pass":
            return ()
        if result.outcome != "fail":
            raise DetectorError(f"`{name}` answered `{result.outcome}`")
        spans = [(s.start, s.end) for s in getattr(result, "error_spans", None) or ()] or [(0, len(text))]
        return tuple(
            Finding(
                id=f"guardrails/{name}", span=span, severity="medium", confidence=1.0, why="the validator failed it"
            )
            for span in spans
        )

    return detect


def _whole(text: str, name: str, score: float, threshold: float) -> tuple[Finding, ...]:
    if not 0.0 <= score <= 1.0:
        raise DetectorError(f"`{name}` has the score {score}; it lies between 0 and 1")
    if score < threshold:
        return ()
    severity: Severity = "high" if score > (1 + threshold) / 2 else "medium"
    why = "a classifier's score reaches the threshold"
    return (Finding(id=name, span=(0, len(text)), severity=severity, confidence=score, why=why),)
