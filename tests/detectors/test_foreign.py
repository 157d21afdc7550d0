"""Detectors of others: what they say becomes findings, and what they fail to say becomes one too."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import openai
import pytest

from interlock.detect.finding import Finding
from interlock.detectors.foreign import Detector, Guarded, guardrails_validator, http_classifier, openai_moderation

FOUND = (Finding(id="x", span=(0, 2), severity="low", confidence=0.5, why="seen"),)


class Server(HTTPServer):
    answer: bytes = b"{}"
    status: int = 200
    asked: list[dict[str, Any]]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        self.server.asked.append({"path": self.path, "body": json.loads(raw), "key": self.headers.get("x-key")})
        self.send_response(self.server.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(("127.0.0.1", 0), Handler)
    made.asked = []
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def ids(found: tuple[Finding, ...]) -> list[str]:
    return [f.id for f in found]


def test_an_answer_passes_unchanged() -> None:
    assert Guarded(name="a", detector=lambda _: FOUND, seconds=5)("text") == FOUND


def test_a_detector_that_raises_is_closed_and_open_only_if_told() -> None:
    def broken(_: str) -> tuple[Finding, ...]:
        raise RuntimeError("boom")

    assert ids(Guarded(name="a", detector=broken, seconds=5)("text")) == ["detector/failed"]
    assert Guarded(name="a", detector=broken, seconds=5, on_error="open")("text") == ()


@pytest.mark.parametrize(
    "answer",
    [None, ["no tuple"], ("no finding",), (Finding(id="x", span=(0, 99), severity="low", confidence=1, why="far"),)],
)
def test_an_answer_that_is_none_is_closed(answer: Any) -> None:
    assert ids(Guarded(name="a", detector=lambda _: answer, seconds=5)("text")) == ["detector/failed"]


def test_a_late_detector_is_closed_in_time_and_keeps_its_place_until_it_ends() -> None:
    held = threading.Event()

    def slow(_: str) -> tuple[Finding, ...]:
        held.wait(30)
        return FOUND

    guarded = Guarded(name="a", detector=slow, seconds=0.1, at_once=1)
    begun = time.monotonic()
    assert ids(guarded("text")) == ["detector/failed"]
    assert "busy" in guarded("text")[0].why, "no second thread is started behind one that hangs"
    assert time.monotonic() - begun < 10
    held.set()
    deadline = time.monotonic() + 10
    while guarded("text") != FOUND and time.monotonic() < deadline:
        time.sleep(0.01)
    assert guarded("text") == FOUND


def classifier(server: Server, threshold: float = 0.5) -> Detector:
    return http_classifier(
        f"http://127.0.0.1:{server.server_port}/score?v=1",
        read=lambda answer: answer["scores"][0],
        threshold=threshold,
        headers={"x-key": "k"},
    )


def test_an_http_classifier_is_asked_and_its_score_compared(server: Server) -> None:
    server.answer = b'{"scores": [0.8]}'
    (found,) = classifier(server)("some text")
    assert (found.id, found.span, found.confidence) == ("http/classifier", (0, 9), 0.8)
    assert server.asked == [{"path": "/score?v=1", "body": {"text": "some text"}, "key": "k"}]
    assert classifier(server, threshold=0.9)("some text") == ()


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (500, b'{"scores": [0]}'),
        (200, b"no json"),
        (200, b"{}"),
        (200, b'{"scores": [7]}'),
        (200, b'{"scores": ["x"]}'),
        (302, b""),
    ],
)
def test_an_http_classifier_without_a_score_is_closed(server: Server, status: int, answer: bytes) -> None:
    server.status, server.answer = status, answer
    assert ids(Guarded(name="a", detector=classifier(server), seconds=5)("text")) == ["detector/failed"]


def test_an_http_classifier_that_is_away_is_closed() -> None:
    gone = http_classifier("http://127.0.0.1:9/", read=float, threshold=0.5, seconds=1)
    assert ids(Guarded(name="a", detector=gone, seconds=5)("text")) == ["detector/failed"]


def test_openai_moderation_by_the_real_sdk(server: Server) -> None:
    client = openai.OpenAI(api_key="k", base_url=f"http://127.0.0.1:{server.server_port}/v1", max_retries=0)
    names = list(openai.types.moderation.CategoryScores.model_fields)
    fields = openai.types.moderation.CategoryScores.model_fields
    scores = {fields[n].alias or n: 0.01 for n in names} | {"violence": 0.93}
    kinds = {key: ["text"] for key in scores}
    result = {
        "flagged": True,
        "categories": {key: key == "violence" for key in scores},
        "category_scores": scores,
        "category_applied_input_types": kinds,
    }
    server.answer = json.dumps({"id": "m", "model": "omni-moderation-latest", "results": [result]}).encode()
    (found,) = openai_moderation(client)("a threat")
    assert (found.id, found.confidence) == ("moderation/violence", 0.93)
    assert server.asked[0]["path"] == "/v1/moderations"
    server.status = 500
    assert ids(Guarded(name="a", detector=openai_moderation(client), seconds=10)("text")) == ["detector/failed"]
    client.close()


def test_a_guardrails_validator_by_its_shape() -> None:
    class Result:
        error_spans = None

        def __init__(self, outcome: str) -> None:
            self.outcome = outcome

    class Validator:
        def validate(self, text: str, metadata: dict[str, Any]) -> Result:
            assert metadata == {}
            return Result({"good": "pass", "bad": "fail"}.get(text, "maybe"))

    detector = guardrails_validator(Validator(), name="tone")
    assert detector("good") == ()
    assert ids(detector("bad")) == ["guardrails/tone"]
    assert ids(Guarded(name="a", detector=detector, seconds=5)("odd")) == ["detector/failed"]
