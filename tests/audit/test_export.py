"""Exports: JSONL comes back as it was, OCSF has its fields, and no cell of a CSV is a formula."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.audit.chain import Verified, verify
from interlock.audit.errors import AuditError
from interlock.audit.export import event, jsonl, ocsf, read, rows
from interlock.stores.memory.audit import MemoryAudit
from tests.audit.test_chain import BODIES

SAID: dict[str, object] = {
    "decision": "permitted",
    "rules": ["effect", "no-press"],
    "agent": "support",
    "principal": "emma",
    "tool": "send_email",
    "effect": "egress",
    "arguments": {"to": "bob@example.com"},
    "resource": {"type": "tool", "id": "send_email"},
}


def filled(*bodies: dict[str, object], kind: str = "decision", run: str = "r1") -> MemoryAudit:
    audit = MemoryAudit(clock=lambda: 1.25)
    for body in bodies:
        audit.append(kind, run, body)
    return audit


@given(st.lists(BODIES, max_size=4))
def test_jsonl_comes_back_as_it_was(bodies: list[dict[str, object]]) -> None:
    audit = filled(*bodies)
    stream, base, records = read(jsonl(audit.records()))
    assert (stream, base.head.seq) == ("", 0)
    assert list(records) == list(audit.records())
    assert isinstance(verify(list(audit.records())), Verified)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "x",
        "[]",
        "{}",
        '{"format": "interlock audit 2", "stream": "", "base": null}',
        '{"format": "interlock audit 1"}',
    ],
)
def test_what_is_no_export_is_refused(line: str) -> None:
    with pytest.raises(AuditError, match="the first line"):
        read([line])


@pytest.mark.parametrize(
    "change",
    [{"seq": "x"}, {"at": None}, {"digest": 3}, {"more": 1}, {"run": None}, {"text": [1]}, {"erased": []}],
    ids=str,
)
def test_a_line_that_is_no_record_is_named_or_found(change: dict[str, object]) -> None:
    head, line = jsonl(filled(SAID).records())
    _, _, records = read([head, json.dumps(json.loads(line) | change)])
    try:
        assert not isinstance(verify(list(records)), Verified)
    except AuditError as error:
        assert "line 2" in str(error)  # noqa: PT017 - one of the two must happen


def test_a_decision_as_an_ocsf_event() -> None:
    (record,) = filled(SAID).records()
    found = event(record, version="1.2.3")
    assert (found["class_uid"], found["category_uid"], found["activity_id"], found["type_uid"]) == (6003, 6, 99, 600399)
    assert (found["time"], found["action_id"], found["disposition_id"], found["status_id"]) == (1250, 1, 1, 1)
    assert found["actor"] == {"user": {"uid": "emma", "type_id": 0}, "app_name": "interlock"}
    assert found["api"] == {"operation": "send_email", "service": {"name": "interlock"}}
    assert found["ai_agent"] == {"name": "support", "instance_uid": "r1"}
    assert found["resources"] == [{"type": "tool", "uid": "send_email"}]
    assert [a["policy"]["name"] for a in found["authorizations"]] == ["effect", "no-press"]  # type: ignore[attr-defined]
    assert found["unmapped"] == {"kind": "decision", "decision": "permitted", "arguments": {"to": "bob@example.com"}}
    assert found["attestation"]["value"] == record.digest  # type: ignore[index]
    required = {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"}
    assert required | {"actor", "api", "src_endpoint"} <= set(found)  # what API Activity of OCSF 1.9 requires


@pytest.mark.parametrize(("effect", "activity"), [("read", 2), ("write", 3), ("destroy", 4), ("egress", 99)])
def test_effects_are_activities(effect: str, activity: int) -> None:
    (record,) = filled(SAID | {"effect": effect}).records()
    assert event(record, version="1")["type_uid"] == 600300 + activity


@pytest.mark.parametrize(
    ("kind", "body", "status", "action"),
    [
        ("decision", {"decision": "forbidden"}, 2, 2),
        ("decision", {"decision": "needs-approval"}, 2, 2),
        ("answer", {"granted": False}, 2, 2),
        ("answer", {"granted": True}, 1, 1),
        ("outcome", {"outcome": "failed"}, 2, None),
        ("outcome", {"outcome": "returned"}, 1, None),
        ("start", {}, 1, None),
    ],
)
def test_what_was_refused_or_failed_says_so(
    kind: str, body: dict[str, object], status: int, action: int | None
) -> None:
    (record,) = filled(body, kind=kind).records()
    found = event(record, version="1")
    assert (found["status_id"], found.get("action_id")) == (status, action)


def test_an_erased_record_is_an_event_without_its_person() -> None:
    audit = filled(SAID)
    audit.erase("emma", by="olga")
    text = "".join(ocsf(audit.records(), version="1"))
    assert "emma" not in text
    assert "bob@example.com" not in text


FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+cmd|' /C calc'!A0",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "|calc",
    "%0A=1",
    "＝1+1",
    "\ufeff=1",
    "\u00a0=1",
    "+44 20 7946 0018",
]


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("where", ["run", "tool", "principal", "agent", "kind", "rules"])
def test_no_cell_is_a_formula(formula: str, where: str) -> None:
    body = SAID | ({where: [formula] if where == "rules" else formula} if where not in {"run", "kind"} else {})
    audit = filled(body, run=formula if where == "run" else "r1", kind=formula if where == "kind" else "decision")
    head, line = csv.reader(io.StringIO("".join(rows(audit.records())), newline=""))
    cells = dict(zip(head, line, strict=True))
    assert cells[where] == f"'{formula}"


@pytest.mark.parametrize("text", ["1", "-1", "emma", "a=b", "r-1", "", "x@y", "-0.5"])
def test_what_is_no_formula_stays(text: str) -> None:
    head, line = csv.reader(io.StringIO("".join(rows(filled(SAID | {"tool": text}).records())), newline=""))
    assert dict(zip(head, line, strict=True))["tool"] == text


def test_commas_quotes_and_lines_stay_in_their_cell() -> None:
    text = 'a,"b"\r\nc;d'
    head, line = csv.reader(io.StringIO("".join(rows(filled(SAID | {"tool": text}).records())), newline=""))
    assert dict(zip(head, line, strict=True))["tool"] == text
