"""Records for others: JSONL that the offline verifier reads, OCSF events, CSV for a spreadsheet.

Only JSONL is evidence. Its first line says of which stream it is and where the records begin; each other line is one
record. OCSF is API Activity (6003) of version 1.9 with the profiles `ai_operation`, `record_integrity` and
`security_control`; what has no place there is in `unmapped`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from interlock.audit.base import Base
from interlock.audit.canonical import encode
from interlock.audit.errors import AuditError
from interlock.audit.record import Record

FORMAT = "interlock audit 1"
_TEXTS = ("stream", "kind", "run", "commitment", "previous", "digest", "salt")
_OCSF = "1.9.0"
_ACTIVITY = {"read": (2, "Read"), "write": (3, "Update"), "destroy": (4, "Delete")}
_ALLOWED, _DENIED = 1, 2
_SUCCESS, _FAILURE, _OTHER = 1, 2, 99
CSV_COLUMNS = "stream seq at kind run agent principal tool decision outcome rules digest".split()


def jsonl(records: Iterable[Record], *, stream: str = "", base: Base | None = None) -> Iterator[str]:
    """One JSON object a line."""
    begin = json.loads(base.text) if base is not None and base.head.seq else None
    yield json.dumps({"format": FORMAT, "stream": stream, "base": begin}) + "\n"
    for r in records:
        row = {**dict(zip(Record._fields, r, strict=True)), "text": _parsed(r.text), "personal": _parsed(r.personal)}
        yield json.dumps(row, ensure_ascii=False) + "\n"


def read(lines: Iterable[str]) -> tuple[str, Base, Iterator[Record]]:
    """Stream, beginning and records of what `jsonl` wrote.

    Raises:
        AuditError: it is no export; later also, when a line is no record.
    """
    rest = iter(lines)
    try:
        first = json.loads(next(rest, ""))
        ours = first["format"] == FORMAT
        base = Base.parse(json.dumps(first["base"])) if first["base"] else Base()
        stream = str(first["stream"])
    except (TypeError, ValueError, KeyError, RecursionError):
        ours, stream, base = False, "", Base()
    if not ours:
        raise AuditError(f"the first line of an export says `{FORMAT}`; this one does not")
    return stream, base, (_record(n, line) for n, line in enumerate(rest, 2))


def ocsf(records: Iterable[Record], *, version: str) -> Iterator[str]:
    """One OCSF event a line; `version` is the product's."""
    return (json.dumps(event(r, version=version), ensure_ascii=False) + "\n" for r in records)


def event(record: Record, *, version: str) -> dict[str, object]:
    """`record` as an OCSF event."""
    body = dict(record.body)
    activity, name = _ACTIVITY.get(str(body.get("effect")), (_OTHER, record.kind))
    denied = body.get("decision") in {"forbidden", "needs-approval"} or body.get("granted") is False
    failed = denied or body.get("outcome") in {"failed", "dropped"}
    judged = record.kind in {"decision", "answer"}
    found: dict[str, object] = {
        "category_uid": 6,
        "class_uid": 6003,
        "activity_id": activity,
        "activity_name": name,
        "type_uid": 600300 + activity,
        "severity_id": 2 if denied else 1,
        "time": int(record.at * 1000),
        "status_id": _FAILURE if failed else _SUCCESS,
        "metadata": {
            "version": _OCSF,
            "uid": record.digest,
            "sequence": record.seq,
            "log_name": record.stream or "audit",
            "profiles": ["ai_operation", "record_integrity", "security_control"],
            "product": {"name": "Interlock", "vendor_name": "Interlock", "version": version},
            "correlation_uid": record.run,
        },
        "actor": {"user": {"uid": str(body.get("principal", "")), "type_id": 0}, "app_name": "interlock"},
        "api": {"operation": str(body.get("tool", record.kind)), "service": {"name": "interlock"}},
        "src_endpoint": {"name": "interlock"},
        "attestation": {
            "algorithm": "SHA-256",
            "value": record.digest,
            "previous": record.previous,
            "canonicalization": FORMAT,
        },
    }
    if agent := body.get("agent"):
        found["ai_agent"] = {"name": str(agent), "instance_uid": record.run}
    if judged:
        found["action_id"] = _DENIED if denied else _ALLOWED
        found["disposition_id"] = 2 if denied else 1
    if isinstance(rules := body.get("rules"), list):
        decision = "denied" if denied else "allowed"
        found["authorizations"] = [{"decision": decision, "policy": {"name": str(rule)}} for rule in rules]
    if isinstance(resource := body.get("resource"), Mapping):
        found["resources"] = [{"type": str(resource.get("type")), "uid": str(resource.get("id"))}]
    used = {"effect", "principal", "agent", "rules", "resource"} | ({"tool"} if "tool" in body else set())
    rest = {k: v for k, v in body.items() if k not in used}
    return found | {"unmapped": {"kind": record.kind, **rest}}


def rows(records: Iterable[Record]) -> Iterator[str]:
    """CSV, a line at a time. A cell that a spreadsheet would read as a formula gets an apostrophe."""
    names: list[object] = [*CSV_COLUMNS]
    for values in chain([names], map(_cells, records)):
        out = io.StringIO()
        csv.writer(out, lineterminator="\r\n").writerow([_inert(str(v)) for v in values])
        yield out.getvalue()


def _cells(r: Record) -> list[object]:
    body = dict(r.body)
    rules = body.get("rules")
    said = (body.get(k, "") for k in ("agent", "principal", "tool", "decision", "outcome"))
    names = " ".join(map(str, rules)) if isinstance(rules, list) else ""
    return [r.stream, r.seq, repr(r.at), r.kind, r.run, *said, names, r.digest]


def _inert(cell: str) -> str:
    # Also behind blanks and control characters, which spreadsheets pass over, and in full width, which some fold.
    bare = cell.lstrip(" \t\r\n\v\f\0\u00a0\u200b\ufeff")
    risky = bare[:1] in set("=+-@|%\uff1d\uff0b\uff0d\uff20") or cell[:1] in set("\t\r\n\0")
    return f"'{cell}" if risky and bare and not _number(bare) else cell


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii()


def _parsed(text: str) -> object:
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return text  # broken; the verifier says so


def _record(number: int, line: str) -> Record:
    wrong = AuditError(f"line {number} of the export is no record")
    try:
        row: dict[str, Any] = json.loads(line)
        whole = set(row) == set(Record._fields) and all(isinstance(row[name], str) for name in _TEXTS)
        row |= {"seq": int(row["seq"]), "at": float(row["at"]), "erased": int(row["erased"])}
        row |= {"text": _spelled(row["text"]), "personal": _spelled(row["personal"])}
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError):
        raise wrong from None
    if not whole:
        raise wrong
    return Record(**row)


def _spelled(value: object) -> str:
    if value is None:
        return ""
    return encode(value) if isinstance(value, dict) else str(value)
