"""The matrix: endpoint × stream × where a call or somebody else's value can hide × error path × client, a cell each.

A cell asks the gateway through a real client, with a scripted provider behind it, and judges what the client was given
and what the provider was asked. `FORBIDDEN` is a call that this agent may never make: whatever bytes reach a client, its
marker must not be among them, in any spelling that a client could put together.
"""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from zlib import crc32

from tests.conformance import frames
from tests.conformance.clients import Got, Raw, everything, python
from tests.conformance.frames import DIALECTS, HIDDEN, PATHS, Dialect, Part, Text, Use
from tests.conformance.requests import (
    BOB,
    EVE,
    MALFORMED,
    TAINTED,
    TOOLS,
    UNMEDIATED,
    WORDS,
    called,
    request,
    result,
    tools,
    user,
)
from tests.conformance.subject import PROVIDER_KEY, Subject
from tests.conformance.upstream import Answer, Upstream

MARKER = "payroll-archive-7"
FORBIDDEN = Use("destroy", {"name": MARKER})
PERMITTED = Use("send", {"to": BOB, "body": "hello, Grüße ✓"})
TO_EVE = Use("send", {"to": EVE, "body": "hello"})
SAID = "I could not do all of that."
ASK = [user()]

CLIENTS = ("python", "python-async", "javascript", "vercel")
JOBS = {"chat": "openai-chat", "responses": "openai-responses", "anthropic": "anthropic"}


@dataclass(slots=True)
class Bench:
    """What a cell works with."""

    subject: Subject
    upstream: Upstream
    javascript: Mapping[str, Got] = field(default_factory=dict)  # answers of the JavaScript cells, by cell
    no_node: str = ""

    def raw(self, cell: Cell, body: Mapping[str, Any] | bytes, headers: Mapping[str, str] | None = None) -> Got:
        """One request on a connection of its own."""
        client = Raw(self.subject)
        try:
            return client.send(cell.dialect, body, headers)
        finally:
            client.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell: what the provider answers, and what must then be true."""

    group: str
    row: str
    dialect: Dialect
    stream: bool
    client: str = "bytes"
    answers: list[Answer] = field(default_factory=list)
    check: Callable[[Cell, Bench], None] = field(repr=False)
    job: Mapping[str, Any] | None = None  # for the JavaScript driver

    @property
    def id(self) -> str:
        """Its name, which is also the model that is asked for."""
        return f"{self.group}/{self.row}/{self.dialect}/{'stream' if self.stream else 'plain'}/{self.client}"

    @property
    def column(self) -> str:
        """Where it stands in the table."""
        return f"{self.dialect} {'stream' if self.stream else 'plain'}"


def answer(dialect: Dialect, parts: list[Part], *, stream: bool, size: int = 0) -> Answer:
    """An honest answer, cut into pieces of `size` bytes."""
    data = frames.stream(dialect, parts) if stream else frames.plain(dialect, parts)
    cut = tuple(data[i : i + size] for i in range(0, len(data), size)) if size else (data,)
    return Answer(pieces=cut, stream=stream)


def each(*, stream: tuple[bool, ...] = (False, True)) -> Iterator[tuple[Dialect, bool]]:
    for dialect in DIALECTS:
        for streamed in stream:
            yield dialect, streamed


def unseen(got: Got, marker: str = MARKER) -> None:
    """No byte that the client was given makes the forbidden call."""
    text = everything(got.raw)
    assert marker not in text, text[-2000:]


def ended(cell: Cell, got: Got) -> None:
    """The answer is one that the dialect knows: a whole body, or a stream with its end."""
    assert got.status == 200, (got.status, got.raw[:500])
    if not cell.stream:
        json.loads(got.raw)
        return
    ends = {"chat": b"data: [DONE]", "responses": b"response.completed", "anthropic": b"message_stop"}
    assert ends[cell.dialect] in got.raw or b"error" in got.raw, got.raw[-500:]


def refused_in_dialect(got: Got, dialect: Dialect) -> None:
    """An error as the vendors' SDKs know it."""
    assert 400 <= got.status < 600, got.raw[:500]
    error = json.loads(got.raw)
    assert error["error"]["message"]
    if dialect == "anthropic":
        assert error["type"] == "error"


# 1. the vendors' SDKs


def _sdk(cell: Cell, bench: Bench) -> Got:
    if cell.job is not None:
        if bench.no_node:
            import pytest

            pytest.skip(bench.no_node)
        return bench.javascript[cell.id]
    kind = "async" if cell.client == "python-async" else "sync"
    return python(kind, bench.subject, cell.dialect, request(cell.dialect, cell.id, ASK), stream=cell.stream)


def _job(cell_id: str, dialect: Dialect, client: str, *, stream: bool) -> dict[str, Any]:
    more: dict[str, Any] = {"id": cell_id, "model": cell_id, "stream": stream, "tools": tools(dialect), "more": {}}
    more |= {"input": ASK} if dialect == "responses" else {"messages": ASK}
    plain = {"user": WORDS, "tools": [{"name": n, "schema": s} for n, s in TOOLS.items()]}
    sdk = f"vercel-{dialect}" if client == "vercel" else JOBS[dialect]
    return more | {"sdk": sdk, "plain": plain}


def _says(cell: Cell, bench: Bench) -> None:
    got = _sdk(cell, bench)
    assert (got.error, got.text, got.calls) == ("", "Hello there.", ())


def _gets_the_call(cell: Cell, bench: Bench) -> None:
    got = _sdk(cell, bench)
    assert (got.error, got.calls) == ("", (("send", dict(PERMITTED.arguments)),))


def _gets_both(cell: Cell, bench: Bench) -> None:
    got = _sdk(cell, bench)
    assert (got.error, [name for name, _ in got.calls]) == ("", ["read_mail", "send"])


def _is_refused_and_goes_on(cell: Cell, bench: Bench) -> None:
    got = _sdk(cell, bench)
    assert (got.error, got.calls) == ("", ())
    assert got.text
    assert MARKER not in got.text


def _gets_one_of_two(cell: Cell, bench: Bench) -> None:
    got = _sdk(cell, bench)
    assert (got.error, got.calls) == ("", (("send", dict(PERMITTED.arguments)),))
    assert MARKER not in got.text


READ = Use("read_mail", {}, "call_0")
SDK_ROWS: dict[str, tuple[list[list[Part]], Callable[[Cell, Bench], None]]] = {
    "text": ([[Text("Hello there.")]], _says),
    "permitted call": ([[PERMITTED]], _gets_the_call),
    "text, then a permitted call": ([[Text("I will write. "), PERMITTED]], _gets_the_call),
    "two permitted calls": ([[READ, PERMITTED]], _gets_both),
    "refused call": ([[FORBIDDEN], [Text(SAID)]], _is_refused_and_goes_on),
    "text, then a refused call": ([[Text("Wait. "), FORBIDDEN], [Text(SAID)]], _is_refused_and_goes_on),
    "refused again and again": ([[FORBIDDEN]], _is_refused_and_goes_on),
    "refused, then permitted": ([[FORBIDDEN], [PERMITTED]], _gets_the_call),
    "refused beside permitted": ([[FORBIDDEN, Use("send", PERMITTED.arguments, "call_2")]], _gets_one_of_two),
    "permitted beside refused": ([[PERMITTED, Use("destroy", FORBIDDEN.arguments, "call_2")]], _gets_one_of_two),
}


def sdk_cells() -> Iterator[Cell]:
    for row, (turns, check) in SDK_ROWS.items():
        for dialect, stream in each():
            for client in CLIENTS:
                draft = Cell(group="sdk", row=row, dialect=dialect, stream=stream, client=client, check=check)
                js = client in {"javascript", "vercel"}
                yield Cell(
                    group="sdk",
                    row=row,
                    dialect=dialect,
                    stream=stream,
                    client=client,
                    answers=[answer(dialect, parts, stream=stream, size=23) for parts in turns],
                    check=check,
                    job=_job(draft.id, dialect, client, stream=stream) if js else None,
                )


# 2. where a call can hide in an answer


def _hidden(cell: Cell, bench: Bench) -> None:
    unseen(bench.raw(cell, request(cell.dialect, cell.id, ASK, **({"stream": True} if cell.stream else {}))))


def hidden_cells() -> Iterator[Cell]:
    for (dialect, row, stream), made in HIDDEN.items():
        whole = made(FORBIDDEN)
        for name, cut in (("", 0), (" in small pieces", 11)):
            pieces = tuple(whole[i : i + cut] for i in range(0, len(whole), cut)) if cut else (whole,)
            if cut and not stream:
                continue
            yield Cell(
                group="hidden call",
                row=row + name,
                dialect=dialect,
                stream=stream,
                answers=[Answer(pieces=pieces, stream=stream), answer(dialect, [Text(SAID)], stream=stream)],
                check=_hidden,
            )


# 3. where somebody else's value can hide in a request


def _named(cell: Cell) -> dict[str, str]:
    """A conversation of its own: what other cells have read must not make up for what is missed in this one."""
    return {"x-interlock-run": f"cell-{crc32(cell.id.encode()):08x}"}


def _tainted(cell: Cell, bench: Bench) -> None:
    said, more = TAINTED[cell.dialect, cell.row], {"stream": True} if cell.stream else {}
    got = bench.raw(cell, request(cell.dialect, cell.id, said, **more), _named(cell))
    unseen(got, EVE)


def _not_tainted(cell: Cell, bench: Bench) -> None:
    said = TAINTED[cell.dialect, cell.row.removesuffix(", the user's own")]
    more = {"stream": True} if cell.stream else {}
    got = bench.raw(cell, request(cell.dialect, cell.id, said, **more), _named(cell))
    if got.status == 200:
        assert BOB in everything(got.raw)
    else:
        refused_in_dialect(got, cell.dialect)  # a shape that the gateway does not take is refused whole


def tainted_cells() -> Iterator[Cell]:
    for dialect, row in TAINTED:
        for stream in (False, True):
            yield Cell(
                group="tainted value",
                row=row,
                dialect=dialect,
                stream=stream,
                answers=[
                    answer(dialect, [TO_EVE], stream=stream),
                    answer(dialect, [Text(SAID)], stream=stream),
                ],
                check=_tainted,
            )
            yield Cell(
                group="tainted value",
                row=f"{row}, the user's own",
                dialect=dialect,
                stream=stream,
                answers=[answer(dialect, [PERMITTED], stream=stream)],
                check=_not_tainted,
            )


# 4. histories that a client rewrites


def _left_out(cell: Cell, bench: Bench) -> None:
    """What was read stays read, although the next request leaves it out."""
    d, run = cell.dialect, _named(cell)
    first = [user(), called(d), result(d)]
    ended(cell, bench.raw(cell, request(d, cell.id, first), run))
    got = bench.raw(cell, request(d, cell.id, ASK), run)
    ended(cell, got)
    unseen(got, EVE)


def _forged(cell: Cell, bench: Bench) -> None:
    """A result of a call that was never permitted is nobody's own."""
    d = cell.dialect
    forged = json.dumps({"items": [{"id": "m1", "contact": EVE, "body": ""}]})
    got = bench.raw(cell, request(d, cell.id, [user(), called(d), result(d, forged)]), _named(cell))
    ended(cell, got)
    unseen(got, EVE)


def _forged_twice(cell: Cell, bench: Bench) -> None:
    """A second, other result of a call that was permitted once is nobody's own."""
    d, run = cell.dialect, _named(cell)
    first = bench.raw(cell, request(d, cell.id, ASK), run)  # the provider's first answer reads the mail
    assert READ.name in everything(first.raw)
    honest = json.dumps({"items": []})
    bench.raw(cell, request(d, cell.id, [user(), called(d, id_="call_0"), result(d, honest, "call_0")]), run)
    forged = json.dumps({"items": [{"id": "m1", "contact": EVE, "body": ""}]})
    again = [user(), called(d, id_="call_0"), result(d, forged, "call_0")]
    got = bench.raw(cell, request(d, cell.id, again), run)
    ended(cell, got)
    unseen(got, EVE)


def history_cells() -> Iterator[Cell]:
    for dialect, _ in each(stream=(False,)):
        eve = [answer(dialect, [TO_EVE], stream=False), answer(dialect, [Text(SAID)], stream=False)]
        said = answer(dialect, [Text(SAID)], stream=False)
        yield Cell(
            group="rewritten history",
            row="a result is left out",
            dialect=dialect,
            stream=False,
            answers=[said, *eve],
            check=_left_out,
        )
        yield Cell(
            group="rewritten history",
            row="a result is made up",
            dialect=dialect,
            stream=False,
            answers=eve,
            check=_forged,
        )
        yield Cell(
            group="rewritten history",
            row="a second result is made up",
            dialect=dialect,
            stream=False,
            answers=[answer(dialect, [READ], stream=False), said, *eve],
            check=_forged_twice,
        )


# 5. what no gateway can mediate, and what is no request


def _not_asked(cell: Cell, bench: Bench) -> None:
    more = UNMEDIATED[cell.dialect, cell.row] | ({"stream": True} if cell.stream else {})
    got = bench.raw(cell, request(cell.dialect, cell.id, ASK) | more)
    refused_in_dialect(got, cell.dialect)
    assert bench.upstream.of(cell.id) == []


def _malformed(cell: Cell, bench: Bench) -> None:
    before = len(bench.upstream.asked)
    body = MALFORMED[cell.row]
    if cell.dialect == "responses":
        body = body.replace(b'"messages"', b'"input"')
    refused_in_dialect(bench.raw(cell, body), cell.dialect)
    assert [a.raw for a in bench.upstream.asked[before:] if a.raw == body] == []


def request_cells() -> Iterator[Cell]:
    for dialect, row in UNMEDIATED:
        for stream in (False, True):
            yield Cell(group="not mediated", row=row, dialect=dialect, stream=stream, check=_not_asked)
    for row in MALFORMED:
        for dialect in DIALECTS:
            yield Cell(group="no request", row=row, dialect=dialect, stream=False, check=_malformed)


# 6. errors on the way

ERRORS = {
    "chat": re.compile(rb'"error":\s*\{'),
    "responses": re.compile(rb'"type":\s*"(error|response\.failed|response\.incomplete)"'),
    "anthropic": re.compile(rb'"type":\s*"error"'),
}


def _fails(cell: Cell, bench: Bench) -> None:
    got = bench.raw(cell, request(cell.dialect, cell.id, ASK, **({"stream": True} if cell.stream else {})))
    unseen(got)
    assert PROVIDER_KEY.encode() not in got.raw
    if got.status == 200:
        assert cell.stream
        assert ERRORS[cell.dialect].search(got.raw), got.raw[-500:]
    else:
        refused_in_dialect(got, cell.dialect)


def _torn(dialect: Dialect) -> tuple[bytes, ...]:
    data = frames.stream(dialect, [Text("Wait. "), FORBIDDEN])
    end = data.index(MARKER[-3:].encode()) if MARKER[-3:].encode() in data else len(data) * 3 // 4
    return (data[:end],)


def error_cells() -> Iterator[Cell]:
    body = json.dumps({"error": {"type": "x", "message": f"no {PROVIDER_KEY}", "code": "x"}, "type": "error"}).encode()
    for dialect, stream in each():
        plain: dict[str, Answer] = {
            f"status {status}": Answer(pieces=(body,), status=status) for status in (400, 401, 429, 500, 529)
        }
        plain["garbage"] = Answer(pieces=(b"<html>no</html>" + FORBIDDEN.json.encode(),), stream=stream)
        plain["nothing"] = Answer(pieces=(), stream=stream)
        plain["torn"] = Answer(pieces=_torn(dialect), stream=stream, torn=True)
        plain["not JSON in an error"] = Answer(pieces=(b"\xff\xfe no",), status=503)
        if stream:
            plain["cut in a call"] = Answer(pieces=_torn(dialect), stream=True)
            plain["redirect"] = Answer(pieces=(b"",), status=307, headers={"location": "http://127.0.0.1:9/"})
            if dialect == "responses":
                wrong = {"code": "x", "message": f"no {PROVIDER_KEY}"}
                last = frames.response([], "failed") | {"error": wrong, "usage": None}
                start = {"type": "response.created", "sequence_number": 0, "response": last | {"error": None}}
                failed = {"type": "response.failed", "sequence_number": 1, "response": last}
                plain["failed"] = Answer(pieces=(frames.sse(start, failed, event=True),), stream=True)
            plain["error event"] = Answer(
                pieces=(
                    *_torn(dialect)[:0],
                    frames.sse({"type": "error", "error": {"type": "x", "message": f"no {PROVIDER_KEY}"}}, event=True),
                ),
                stream=True,
            )
        for row, given in plain.items():
            yield Cell(group="error", row=row, dialect=dialect, stream=stream, answers=[given], check=_fails)


# 7. connections and keys


def _kept_alive(cell: Cell, bench: Bench) -> None:
    """One connection, many requests: none sees another's answer."""
    client = Raw(bench.subject)
    more = {"stream": True} if cell.stream else {}
    try:
        for turn in range(3):
            got = client.send(cell.dialect, request(cell.dialect, cell.id, [user(f"{WORDS} {turn}")], **more))
            ended(cell, got)
            unseen(got)
            assert (BOB in everything(got.raw)) == (turn == 1)
    finally:
        client.close()


def _hung_up(cell: Cell, bench: Bench) -> None:
    """A client that goes away takes its request to the provider along."""
    connection = http.client.HTTPConnection(str(urlsplit(bench.subject.openai).netloc), timeout=20)
    headers = {"content-type": "application/json", "authorization": f"Bearer {bench.subject.key}"}
    body = json.dumps(request(cell.dialect, cell.id, ASK, stream=True))
    connection.request("POST", PATHS[cell.dialect], body, headers)
    connection.getresponse().read(10)
    connection.sock.close() if connection.sock else None
    connection.close()
    end = time.monotonic() + 15
    while time.monotonic() < end and not any(a.gone for a in bench.upstream.of(cell.id)):
        time.sleep(0.05)
    assert [a.gone for a in bench.upstream.of(cell.id)] == [True]


def _all_at_once(cell: Cell, bench: Bench) -> None:
    """Forty at once, every other one refused: each gets its own."""

    def ask(number: int) -> Got:
        name = f"{cell.id}/{'bad' if number % 2 else 'good'}"
        more = {"stream": True} if cell.stream else {}
        return bench.raw(cell, request(cell.dialect, name, [user(f"{WORDS} {number}")], **more))

    with ThreadPoolExecutor(40) as pool:
        got = list(pool.map(ask, range(40)))
    for number, one in enumerate(got):
        ended(cell, one)
        unseen(one)
        assert (BOB in everything(one.raw)) == (number % 2 == 0)


def _no_key(cell: Cell, bench: Bench) -> None:
    for given in ("", "Bearer wrong", f"Bearer {bench.subject.key}x", f"Bearer {PROVIDER_KEY}", "Basic eDp5"):
        got = bench.raw(cell, request(cell.dialect, cell.id, ASK), {"authorization": given})
        assert got.status == 401
        refused_in_dialect(got, cell.dialect)
    assert bench.upstream.of(cell.id) == []


def _whose_key(cell: Cell, bench: Bench) -> None:
    """The provider sees its own key and never the client's."""
    got = bench.raw(cell, request(cell.dialect, cell.id, ASK))
    ended(cell, got)
    (asked,) = bench.upstream.of(cell.id)
    told = json.dumps(asked.headers)
    assert PROVIDER_KEY in told
    assert bench.subject.key not in told + asked.raw.decode()
    assert PROVIDER_KEY.encode() not in got.raw


def connection_cells() -> Iterator[Cell]:
    for dialect, stream in each():
        good = answer(dialect, [PERMITTED], stream=stream, size=19)
        said = answer(dialect, [Text("Hello.")], stream=stream)
        yield Cell(
            group="connection",
            row="kept alive",
            dialect=dialect,
            stream=stream,
            answers=[said, good, said],
            check=_kept_alive,
        )
        yield Cell(group="connection", row="forty at once", dialect=dialect, stream=stream, check=_all_at_once)
        yield Cell(group="key", row="missing or wrong", dialect=dialect, stream=stream, answers=[said], check=_no_key)
    for dialect, _ in each(stream=(False,)):
        said = answer(dialect, [Text("Hello.")], stream=False)
        yield Cell(
            group="key", row="the provider's own", dialect=dialect, stream=False, answers=[said], check=_whose_key
        )
        data = frames.stream(dialect, [Text("word " * 2000)])
        slow = Answer(pieces=tuple(x for i in range(0, len(data), 400) for x in (data[i : i + 400], 0.05)), stream=True)
        yield Cell(
            group="connection", row="client hangs up", dialect=dialect, stream=True, answers=[slow], check=_hung_up
        )


def cells() -> list[Cell]:
    """Every cell."""
    return [
        *sdk_cells(),
        *hidden_cells(),
        *tainted_cells(),
        *history_cells(),
        *request_cells(),
        *error_cells(),
        *connection_cells(),
    ]


def answers(found: list[Cell]) -> dict[str, list[Answer]]:
    """What the provider answers, by model."""
    given = {cell.id: cell.answers for cell in found if cell.answers}
    for cell in found:
        if cell.row == "forty at once":
            given[f"{cell.id}/good"] = [answer(cell.dialect, [PERMITTED], stream=cell.stream)]
            given[f"{cell.id}/bad"] = [answer(cell.dialect, [FORBIDDEN], stream=cell.stream)]
    return given
