"""The HTTP side without HTTP: who may see and answer what, and how often."""

from __future__ import annotations

import json
from typing import Any

import pytest

from interlock.approvals.api import MAX_BODY, ApprovalsApi
from interlock.approvals.approvers import Need
from tests.approvals.stage import Stage

HEADERS = {"authorization": "Bearer ila_x", "content-type": "application/json; charset=utf-8"}


def ask(
    stage: Stage, method: str, path: str, body: object = None, *, by: str | None = "ana", **headers: str
) -> tuple[int, dict[str, Any]]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ApprovalsApi(stage.desk)(method, path, HEADERS | headers, raw, by)


def yes(stage: Stage) -> dict[str, object]:
    return {"granted": True, "digest": stage.told[-1].terms.digest}


@pytest.fixture
def path(stage: Stage) -> str:
    stage.call()
    return f"/approvals/{stage.told[0].id}"


def test_read_answer_and_go_on(stage: Stage, path: str) -> None:
    status, listed = ask(stage, "GET", "/approvals")
    assert (status, [a["id"] for a in listed["approvals"]]) == (200, [stage.told[0].id])
    status, shown = ask(stage, "GET", path)
    assert (status, shown["standing"], shown["tool"]) == (200, "pending", "send")
    status, after = ask(stage, "POST", f"{path}/answer", yes(stage) | {"comment": "as agreed\u202e"})
    assert (status, after["standing"]) == (200, "granted")
    assert after["answers"][0]["comment"] == "as agreed\\u202e"
    assert after["answers"][0]["via"] == "api"
    assert ask(stage, "GET", "/approvals")[1] == {"approvals": []}
    assert stage.call().performed


def test_the_same_answer_again_gets_the_same_reply(stage: Stage, path: str) -> None:
    first = ask(stage, "POST", f"{path}/answer", yes(stage))
    assert ask(stage, "POST", f"{path}/answer", yes(stage)) == first
    stage.call()
    status, after = ask(stage, "POST", f"{path}/answer", yes(stage))  # a retry that comes late
    assert (status, after["standing"]) == (200, "used")
    assert ask(stage, "POST", f"{path}/answer", yes(stage) | {"granted": False})[0] == 409
    assert len(stage.sent) == 1


@pytest.mark.parametrize(
    ("headers", "by"),
    [
        ({"authorization": ""}, "ana"),
        ({"authorization": "Basic YW5h"}, "ana"),
        ({"authorization": "Bearer "}, "ana"),
        ({"authorization": "", "cookie": "session=1"}, "ana"),
        ({}, None),
    ],
    ids=str,
)
def test_nobody_is_let_in_without_a_token(stage: Stage, path: str, headers: dict[str, str], by: str | None) -> None:
    for method, where in (("GET", "/approvals"), ("GET", path), ("POST", f"{path}/answer")):
        assert ask(stage, method, where, yes(stage), by=by, **headers)[0] == 401
    assert stage.book.get(stage.told[0].id)[1] == "pending"


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_form_of_another_site_answers_nothing(stage: Stage, path: str, kind: str) -> None:
    assert ask(stage, "POST", f"{path}/answer", yes(stage), **{"content-type": kind})[0] == 415
    assert stage.book.get(stage.told[0].id)[1] == "pending"


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        b"",
        b"{",
        b"[" * 10_000,
        {"granted": 1, "digest": "DIGEST"},
        {"granted": "true", "digest": "DIGEST"},
        {"granted": True},
        {"granted": True, "digest": 7},
        {"granted": True, "digest": "DIGEST", "by": "ben"},
        {"granted": True, "digest": "DIGEST", "comment": None},
        b'{"granted": false, "digest": "DIGEST", "granted": true}',
        b"\xff",
    ],
    ids=repr,
)
def test_what_is_no_answer_answers_nothing(stage: Stage, path: str, body: object) -> None:
    digest = stage.told[0].terms.digest
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert ask(stage, "POST", f"{path}/answer", raw.replace(b"DIGEST", digest.encode()))[0] == 400
    assert stage.book.get(stage.told[0].id)[1] == "pending"


def test_half_a_character_in_a_comment_is_kept_as_an_escape(stage: Stage, path: str) -> None:
    status, after = ask(stage, "POST", f"{path}/answer", yes(stage) | {"comment": "ok \ud800"})
    assert (status, after["answers"][0]["comment"]) == (200, "ok \\\\ud800")


def test_what_is_too_long_is_not_read(stage: Stage, path: str) -> None:
    assert ask(stage, "POST", f"{path}/answer", yes(stage) | {"comment": "x" * MAX_BODY})[0] == 413


def test_another_digest_answers_nothing(stage: Stage, path: str) -> None:
    for digest in ("0" * 64, "", "é", "\ud800"):
        assert ask(stage, "POST", f"{path}/answer", {"granted": True, "digest": digest})[0] == 403
    assert stage.book.get(stage.told[0].id)[1] == "pending"


@pytest.mark.parametrize("where", ["/approvals/none", "/approvals/%00", "/approvals/\0", "/approvals/../x", "/", "/x"])
def test_what_is_not_there(stage: Stage, path: str, where: str) -> None:
    assert ask(stage, "GET", where)[0] == 404


def test_other_methods(stage: Stage, path: str) -> None:
    for method, where in (
        ("POST", "/approvals"),
        ("DELETE", path),
        ("GET", f"{path}/answer"),
        ("PUT", f"{path}/answer"),
    ):
        assert ask(stage, method, where)[0] == 405


def test_somebody_else_s_questions_are_not_there(stage: Stage) -> None:
    stage.need = Need(may=frozenset({"ana"}))
    stage.restart()
    stage.call()
    path = f"/approvals/{stage.told[-1].id}"
    assert ask(stage, "GET", "/approvals", by="ben")[1] == {"approvals": []}
    assert ask(stage, "GET", path, by="ben")[0] == 404
    assert ask(stage, "POST", f"{path}/answer", yes(stage), by="ben")[0] == 404
    assert ask(stage, "GET", path, by="ana")[0] == 200


def test_for_oneself(stage: Stage, path: str) -> None:
    assert ask(stage, "POST", f"{path}/answer", yes(stage), by="emma")[0] == 403
    assert ask(stage, "GET", "/approvals", by="emma")[1] == {"approvals": []}


def test_expired_and_tampered(stage: Stage, path: str) -> None:
    stage.now.seconds += 3600
    assert ask(stage, "POST", f"{path}/answer", yes(stage))[0] == 409
    stage.book._seal = type(stage.book._seal)(b"another")
    assert ask(stage, "GET", path)[0] == 409


def test_m9_a_store_that_is_away_says_so(stage: Stage, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from interlock.stores.errors import StoreAway

    def away(*_: object) -> None:
        raise StoreAway("`/secret/path` is gone")

    monkeypatch.setattr(stage.book, "get", away)
    status, told = ask(stage, "GET", path)
    assert status == 503
    assert "secret" not in str(told)
