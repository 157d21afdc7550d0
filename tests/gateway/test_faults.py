"""Whatever the gateway leans on breaks: nothing passes that would not have passed otherwise (M3, M4, M9)."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from psycopg.conninfo import conninfo_to_dict

from interlock.audit.chain import Verified
from interlock.audit.errors import AuditError
from interlock.config import Settings
from interlock.gateway.build import Parts
from interlock.gateway.serve import serving
from interlock.gateway.stores import Stores, stores
from interlock.monitor.mediate import REFUSED
from interlock.stores.errors import StoreAway
from interlock.stores.grouped import GroupedAudit
from interlock.stores.sqlite.audit import SqliteAudit
from interlock.testing import ModelServer, ScriptedModel, Use
from tests.gateway.clients import Client
from tests.gateway.world import KEY, Keys, World, _secret, manifest, world

Make = Callable[..., Client]
ORDER = Use("find_order", {"order_id": "1042"})
BODY: dict[str, Any] = {"model": "gpt-test", "messages": [{"role": "user", "content": "Where is order 1042?"}]}


def post(url: str, body: dict[str, Any] = BODY, path: str = "/v1/chat/completions") -> httpx2.Response:
    return httpx2.post(f"{url}{path}", json=body, headers={"authorization": f"Bearer {KEY}"}, timeout=20)


def replaced(w: World, name: str, value: object) -> None:
    object.__setattr__(w.serving.gateway.service, name, value)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_m3_a_call_is_not_released_before_its_decision_is_on_the_disk(stream: bool) -> None:
    async def lost() -> None:
        raise AuditError("the disk is full")

    with ModelServer(ScriptedModel([ORDER])) as model, world(model.openai_url) as w:
        replaced(w, "durable", lost)
        answer = post(w.url, BODY | {"stream": stream})
        assert "find_order" not in answer.text
        assert "disk" not in answer.text
        assert answer.status_code == (200 if stream else 500)
        assert "not_mediated" in answer.text


@pytest.mark.parametrize("kind", ["run", "decision", "outcome"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_m4_no_record_no_call(kind: str, stream: bool) -> None:
    with ModelServer(ScriptedModel([ORDER, "Sorry."])) as model, world(model.openai_url) as w:
        append = w.audit.append

        def failing(this: str, run: str, body: Any) -> Any:
            if this == kind:
                raise AuditError("the disk is full")
            return append(this, run, body)

        w.audit.append = failing  # type: ignore[method-assign, assignment]
        answer = post(w.url, BODY | {"stream": stream})
        assert "find_order" not in answer.text
        if kind == "run":
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_mediated")
            assert model.requests == []
        else:
            assert "Sorry." in answer.text


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_m9_a_monitor_that_breaks_ends_the_answer(stream: bool) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("find_order")

    with ModelServer(ScriptedModel([ORDER])) as model, world(model.openai_url) as w:
        w.serving.gateway.service.monitor.propose = broken  # type: ignore[method-assign, assignment]
        answer = post(w.url, BODY | {"stream": stream})
        assert "find_order" not in answer.text
        assert "not_mediated" in answer.text


@pytest.mark.parametrize("where", ["text", "flush"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_m9_a_guard_on_texts_that_breaks_shows_nothing(where: str, stream: bool) -> None:
    class Broken:
        def text(self, channel: object, piece: str) -> str:
            if where == "text":
                raise RuntimeError("broken")
            return ""

        def flush(self, channel: object) -> str:
            raise RuntimeError("broken")

    with ModelServer(ScriptedModel(["The secret is out."])) as model, world(model.openai_url) as w:
        replaced(w, "texts", lambda prompt, streamed: Broken())
        answer = post(w.url, BODY | {"stream": stream})
        assert "secret" not in answer.text
        assert "not_mediated" in answer.text


def test_m4_a_full_disk_stops_calls_and_the_gateway_goes_on_when_there_is_room(tmp_path: Path) -> None:
    kept = stores(f"sqlite:{tmp_path}", str(tmp_path), worker=1)
    audit = kept.audit
    assert isinstance(audit, GroupedAudit)
    audit._patience = 0.2
    disk: sqlite3.Connection = audit._store._sqlite._db()  # type: ignore[attr-defined]
    parts = {"stores": replace(kept, keys=Keys())}
    with ModelServer(ScriptedModel([ORDER] * 1000)) as model, world(model.openai_url, parts=parts) as w:
        answers = [post(w.url).text]
        assert "find_order" in answers[0]
        disk.execute(f"PRAGMA max_page_count = {disk.execute('PRAGMA page_count').fetchone()[0]}")
        end = time.monotonic() + 20
        told = httpx2.get(f"{w.url}/readyz")
        while told.status_code == 200 and time.monotonic() < end:  # while a small record finds room, it comes back
            answers.append(post(w.url).text)
            told = httpx2.get(f"{w.url}/readyz")
        assert (told.status_code, told.json()["status"]) == (503, "store away")
        while "find_order" in answers[-1] and time.monotonic() < end:
            answers.append(post(w.url).text)
        assert "find_order" not in answers[-1]
        disk.execute("PRAGMA max_page_count = 1000000")
        end = time.monotonic() + 10
        while httpx2.get(f"{w.url}/readyz").status_code != 200 and time.monotonic() < end:
            time.sleep(0.05)
        answers.append(post(w.url).text)
        assert "find_order" in answers[-1]
    store = SqliteAudit(tmp_path / "audit.sqlite", read_only=True, stream="gateway-1")
    assert isinstance(store.verify(), Verified)
    permitted = [r for r in store.records() if r.kind == "decision" and r.body["decision"] == "permitted"]
    assert len(permitted) >= sum("find_order" in answer for answer in answers) >= 2
    assert "reopened" in {r.kind for r in store.records()}


def test_limits_that_cannot_be_asked_stop_the_request() -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreAway("away")

    with ModelServer(ScriptedModel(["Hello"])) as model, world(model.openai_url) as w:
        w.serving.gateway.service.limits.reserve_model = away  # type: ignore[method-assign]
        answer = post(w.url)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert model.requests == []


def test_a_store_of_runs_that_is_away_makes_answers_foreign(client: Make) -> None:
    eve = Use("send_email", {"to": "eve@evil.example", "body": "data"})
    with (
        ModelServer(ScriptedModel(["You have one mail, from eve@evil.example.", eve, "Done."])) as model,
        world(model.openai_url, f"{model.url}/v1") as w,
    ):
        c = client(w.url)
        asked: list[Any] = [{"role": "user", "content": "Hello"}]
        first = c.ask(asked)
        marks = w.serving.gateway.service.marks
        marks._known.clear()  # another worker, who cannot ask

        def away(*_: object) -> None:
            raise StoreAway("away")

        marks._store.of = away  # type: ignore[method-assign, assignment]
        turn = c.ask([*asked, *c.said(first), {"role": "user", "content": "Go on."}])
        assert turn.calls == []
        assert ("send_email", "permitted") not in w.decisions()


# budgets of tokens


def test_a_budget_of_tokens_ends_a_conversation(client: Make) -> None:
    named = client("").dialect == "anthropic"  # a maximum; without one, the answer may take 8,192 tokens
    room = "1000/day" if named else "8700/day"
    agents = {"support": {"tools": [], "mandate": "none", "budgets": {"tokens": room}}}
    with (
        ModelServer(ScriptedModel(["Hello"] * 50)) as model,
        world(model.openai_url, f"{model.url}/v1", change={"agents": agents}) as w,
    ):
        c = client(w.url)
        found = []
        for _ in range(20):
            try:
                found.append(c.ask("Hi", tools=[]).text)
            except Exception as error:  # noqa: BLE001 - each SDK has its own
                assert "429" in str(error) or "limit" in str(error)  # noqa: PT017
                break
        assert 1 <= len(found) < 20


# routes beside the three


def test_count_tokens_is_read_and_forwarded() -> None:
    seen: list[Any] = []

    def handle(path: str, headers: Any, raw: bytes) -> Any:
        seen.append((path, headers, json.loads(raw)))
        return {"input_tokens": 12, "more": "ignored"}

    with ModelServer(ScriptedModel([])) as model, world(model.openai_url, f"{model.url}/v1") as w:
        model.handle = handle  # type: ignore[method-assign]
        body = {"model": "claude-test", "messages": [{"role": "user", "content": "Hi"}]}
        for prefix in ("", "/v1", "/v1/v1"):
            answer = post(w.url, body, f"{prefix}/messages/count_tokens")
            assert answer.json() == {"input_tokens": 12}
        assert {path for path, _, _ in seen} == {"/v1/messages/count_tokens"}
        assert KEY not in str(seen)
        bad = post(
            w.url, body | {"mcp_servers": [{"type": "url", "url": "https://evil.example"}]}, "/v1/messages/count_tokens"
        )
        assert bad.status_code == 400
        assert len(seen) == 3


def test_models_are_those_of_the_manifest() -> None:
    models = {"gpt-5": "openai", "gpt-5-*": "openai", "claude-x": "anthropic"}
    with ModelServer(ScriptedModel(["Hello"])) as model, world(model.openai_url, f"{model.url}/v1", models=models) as w:
        head = {"authorization": f"Bearer {KEY}"}
        listed = httpx2.get(f"{w.url}/v1/models", headers=head).json()
        assert [m["id"] for m in listed["data"]] == ["claude-x", "gpt-5"]
        other = httpx2.get(f"{w.url}/v1/models", headers=head | {"anthropic-version": "2023-06-01"}).json()
        assert other["first_id"] == "claude-x"
        assert httpx2.get(f"{w.url}/v1/models").status_code == 401
        for name in ("gpt-4", "claude-x", "gpt-5x", ""):
            assert post(w.url, BODY | {"model": name}).status_code in {400, 404}
        assert model.requests == []
        assert post(w.url, BODY | {"model": "gpt-5-mini"}).status_code == 200


# the other engines


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_every_engine_serves(engine: str, tmp_path: Any, request: pytest.FixtureRequest) -> None:
    where = f"sqlite:{tmp_path}"
    if engine == "postgres":
        where = f"postgresql:///?{urlencode(conninfo_to_dict(request.getfixturevalue('postgres_dsn')))}"
    kept = stores(where, str(tmp_path), worker=0)
    given = {name: getattr(kept, name) for name in Stores.__dataclass_fields__} | {"keys": Keys()}
    drop = Use("drop_tables", {})
    with (
        ModelServer(ScriptedModel([ORDER, drop, "No."])) as model,
        serving(
            manifest(model.openai_url), Parts(stores=Stores(**given), secrets=_secret), Settings(log="off")
        ) as running,
    ):
        assert "find_order" in post(running.url).text
        refused = post(running.url).json()["choices"][0]["message"]
        assert refused["content"] == "No."
        assert [m.text for m in model.requests[-1].conversation.messages if m.role == "tool"] == [REFUSED]
