"""Those who talk to a gateway: the vendors' SDKs in Python and JavaScript, and one that keeps every byte."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.conformance.frames import PATHS, Dialect
from tests.conformance.subject import Subject

TIMEOUT = 10  # seconds that any client waits
JS = Path(__file__).with_name("js")


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """What a client was given: the calls that it would now make, and what was said."""

    text: str = ""
    calls: tuple[tuple[str, Any], ...] = ()
    error: str = ""
    status: int = 200
    raw: bytes = b""


def _arguments(text: object) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


# every byte


@dataclass(slots=True)
class Raw:
    """A connection of its own, which stays open from request to request."""

    subject: Subject
    connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection(str(urlsplit(self.subject.openai).netloc), timeout=TIMEOUT)

    def send(self, dialect: Dialect, body: Mapping[str, Any] | bytes, headers: Mapping[str, str] | None = None) -> Got:
        """All that comes back, whatever it is."""
        data = body if isinstance(body, bytes) else json.dumps(dict(body)).encode()
        given = {"content-type": "application/json", "authorization": f"Bearer {self.subject.key}"}
        self.connection.request("POST", PATHS[dialect], data, given | dict(headers or {}))
        answer = self.connection.getresponse()
        try:
            raw = answer.read()
        except http.client.IncompleteRead as error:
            raw = error.partial
        return Got(status=answer.status, raw=raw)

    def close(self) -> None:
        self.connection.close()


def everything(raw: bytes) -> str:
    """All text in an answer, as a client could put it together: strings in their order, with and without gaps."""
    found: list[str] = [raw.decode(errors="replace")]
    strings: dict[str, list[str]] = {}
    lines = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    frames = [b"\n".join(re.findall(rb"^data:(.*)$", frame, re.MULTILINE)) for frame in lines.split(b"\n\n")]
    for data in (raw, *lines.split(b"\n"), *frames):
        try:
            value = json.loads(data.removeprefix(b"data:").strip())
        except ValueError:
            continue
        for name, text in _strings(value, ""):
            strings.setdefault(name, []).append(text)
            found.append(text)
    return "\n".join([*found, *("".join(texts) for texts in strings.values())])


def _strings(value: object, name: str) -> Iterator[tuple[str, str]]:
    match value:
        case str():
            yield name, value
        case dict():
            for key, inner in value.items():
                yield from _strings(inner, str(key))
        case list():
            for inner in value:
                yield from _strings(inner, name)
        case _:
            pass


# Python


def python(kind: str, subject: Subject, dialect: Dialect, request: Mapping[str, Any], *, stream: bool) -> Got:
    """What OpenAI's or Anthropic's SDK makes of the answer; `kind` is sync or async."""
    work = {
        ("sync", "chat"): _chat,
        ("sync", "responses"): _responses,
        ("sync", "anthropic"): _anthropic,
    }
    try:
        if kind == "sync":
            return work[kind, dialect](subject, dict(request), stream)
        return asyncio.run(_async(subject, dialect, dict(request), stream))
    except Exception as error:  # noqa: BLE001 - whatever an SDK raises is what its user gets
        return Got(error=f"{type(error).__name__}: {error}", status=getattr(error, "status_code", 0))


def _openai(subject: Subject) -> Any:
    import openai

    return openai.OpenAI(base_url=subject.openai, api_key=subject.key, max_retries=0, timeout=TIMEOUT)


def _chat(subject: Subject, request: dict[str, Any], stream: bool) -> Got:
    with _openai(subject) as client:
        if not stream:
            return _of_chat(client.chat.completions.create(**request))
        with client.chat.completions.stream(**request) as events:
            for _ in events:
                pass
            return _of_chat(events.get_final_completion())


def _of_chat(answer: Any) -> Got:
    message = answer.choices[0].message
    calls = [
        (c.function.name, _arguments(c.function.arguments))
        if c.type == "function"
        else (c.custom.name, _arguments(c.custom.input))
        for c in message.tool_calls or ()
    ]
    if message.function_call:
        calls.append((message.function_call.name, _arguments(message.function_call.arguments)))
    return Got(text=message.content or "", calls=tuple(calls))


def _responses(subject: Subject, request: dict[str, Any], stream: bool) -> Got:
    with _openai(subject) as client:
        if not stream:
            return _of_responses(client.responses.create(**request))
        with client.responses.stream(**request) as events:
            for _ in events:
                pass
            return _of_responses(events.get_final_response())


def _of_responses(answer: Any) -> Got:
    items = [i for i in answer.output if i.type not in {"message", "reasoning"}]
    calls = [(getattr(i, "name", i.type), _arguments(getattr(i, "arguments", getattr(i, "input", "")))) for i in items]
    return Got(text=answer.output_text or "", calls=tuple(calls))


def _anthropic(subject: Subject, request: dict[str, Any], stream: bool) -> Got:
    import anthropic

    with anthropic.Anthropic(base_url=subject.anthropic, api_key=subject.key, max_retries=0, timeout=TIMEOUT) as client:
        if not stream:
            return _of_message(client.messages.create(**request))
        with client.messages.stream(**request) as events:
            return _of_message(events.get_final_message())


def _of_message(message: Any) -> Got:
    text = "".join(b.text for b in message.content if b.type == "text")
    calls = [(getattr(b, "name", b.type), getattr(b, "input", None)) for b in message.content if b.type != "text"]
    return Got(text=text, calls=tuple(calls))


async def _async(subject: Subject, dialect: Dialect, request: dict[str, Any], stream: bool) -> Got:
    import anthropic
    import openai

    if dialect == "anthropic":
        async with anthropic.AsyncAnthropic(
            base_url=subject.anthropic, api_key=subject.key, max_retries=0, timeout=TIMEOUT
        ) as client:
            if not stream:
                return _of_message(await client.messages.create(**request))
            async with client.messages.stream(**request) as messages:
                return _of_message(await messages.get_final_message())
    async with openai.AsyncOpenAI(
        base_url=subject.openai, api_key=subject.key, max_retries=0, timeout=TIMEOUT
    ) as other:
        if dialect == "chat" and not stream:
            return _of_chat(await other.chat.completions.create(**request))
        if dialect == "chat":
            async with other.chat.completions.stream(**request) as chunks:
                return _of_chat(await chunks.get_final_completion())
        if not stream:
            return _of_responses(await other.responses.create(**request))
        async with other.responses.stream(**request) as events:
            return _of_responses(await events.get_final_response())


# JavaScript


class NoNode(Exception):
    """Node.js or its packages are not to be had here."""


def node_modules(folder: Path) -> Path:
    """A folder with the driver and the SDKs, installed from the lock file.

    Raises:
        NoNode: with the reason.
    """
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        raise NoNode("there is no Node.js on this machine")
    for name in ("package.json", "package-lock.json", "driver.mjs"):
        shutil.copy(JS / name, folder / name)
    done = subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise NoNode(f"npm could not install the SDKs: {done.stderr[-400:]}")
    return folder


def javascript(folder: Path, jobs: Sequence[Mapping[str, Any]]) -> dict[str, Got]:
    """What the SDKs make of the answers, by job id; one process does all jobs, one after the other."""
    done = subprocess.run(
        ["node", "driver.mjs"],
        cwd=folder,
        input="\n".join(json.dumps(dict(j)) for j in jobs),
        capture_output=True,
        text=True,
        timeout=TIMEOUT + 5 * len(jobs),
        check=True,
    )
    return dict(_answers(done.stdout.splitlines()))


def _answers(lines: Iterable[str]) -> Iterator[tuple[str, Got]]:
    for line in lines:
        answer = json.loads(line)
        calls = tuple((c["name"], _arguments(c["arguments"])) for c in answer["calls"])
        yield answer["id"], Got(text=answer["text"], calls=calls, error=answer["error"])
