"""Load by `wrk`: requests as Lua, so that each is a conversation of its own, or the next turn of one that grows."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "read_mail",
            "description": "Reads the inbox.",
            "parameters": {"type": "object", "properties": {}},
        },
    },
    {
        "type": "function",
        "function": {
            "name": "send",
            "description": "Sends a mail.",
            "parameters": {
                "type": "object",
                "properties": {"to": {"type": "string"}, "body": {"type": "string"}},
                "required": ["to"],
            },
        },
    },
]
KEPT = 40  # conversations that grow; more than connections, so that an answer is there before the next question
TURNS = 20  # after which one ends and another begins
ANSWER = "word " * 180  # what the provider says to everything
WORDS = "Please look at the figures of the last quarter and tell me what has changed since the spring. "


def messages(size: int) -> list[dict[str, Any]]:
    """A history of about `size` bytes: mails that were read, and answers."""
    found: list[dict[str, Any]] = [
        {"role": "system", "content": "You are a careful assistant."},
        {"role": "user", "content": "Write a mail to bob@example.com once you have read my mail. #SEED#"},
    ]
    number = 0
    while len(json.dumps(found)) < size - 900:
        number += 1
        call = {"id": f"c{number}", "type": "function", "function": {"name": "read_mail", "arguments": "{}"}}
        mail = {"items": [{"id": f"m{number}", "contact": "ann@example.org", "body": WORDS * 15}]}
        found += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"c{number}", "content": json.dumps(mail)},
            {"role": "assistant", "content": WORDS},
            {"role": "user", "content": f"And the next one, number {number}."},
        ]
    return found


def short() -> list[dict[str, Any]]:
    """A history of about 2 KB with the tools: one question."""
    return [
        {"role": "system", "content": "You are a careful assistant. " + WORDS * 5},
        {"role": "user", "content": WORDS * 8 + " #SEED#"},
    ]


def script(folder: Path, name: str, said: list[dict[str, Any]], *, model: str, key: str, grows: bool) -> Path:
    """A Lua file for `wrk`. `#SEED#` tells conversations apart; one that `grows` is asked again, longer."""
    stream = model in {"events", "paced", "held"}
    body = json.dumps({"model": model, "stream": stream, "tools": TOOLS, "messages": said})
    head, tail = body[: body.rindex("]}")], body[body.rindex("]}") :]
    next_turn = f',{json.dumps({"role": "assistant", "content": ANSWER})},{{"role":"user","content":"Go on."}}'
    text = f"""
local head = {json.dumps(head)!s}
local tail = {json.dumps(tail)!s}
local more = {json.dumps(next_turn)!s}
local count, seed = 0, tostring(os.time()) .. tostring(math.random(1, 1e9))
local kept, turns = {{}}, {{}}
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer {key}"
function setup(thread) thread:set("id", math.random(1, 1e9)) end
function request()
  count = count + 1
  local slot = {f"count % {KEPT}" if grows else "count"}
  local text = kept[slot]
  if text == nil then text = string.gsub(head, "#SEED#", seed .. "-" .. count) else text = text .. more end
  if {"true" if grows else "false"} then
    turns[slot] = (turns[slot] or 0) + 1
    kept[slot] = text
    if turns[slot] == {TURNS} then kept[slot], turns[slot] = nil, 0 end
  end
  return wrk.format(nil, wrk.path, nil, text .. tail)
end
"""
    path = folder / f"{name}.lua"
    path.write_text(text)
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What `wrk` saw."""

    rps: float
    p50: float  # ms
    p99: float  # ms
    errors: int


_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


def wrk(url: str, lua: Path, *, connections: int, seconds: float, core: int) -> Load:
    """Load `url` from one core."""
    command = [
        "taskset",
        "-c",
        str(core),
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{max(1, round(seconds))}s",
        "--latency",
    ]
    done = subprocess.run(
        [*command, "--timeout", "30s", "-s", str(lua), url], capture_output=True, text=True, check=True
    )
    out = done.stdout

    def latency(name: str) -> float:
        found = re.search(rf"{name}%\s+([\d.]+)(us|ms|s|m)\b", out)
        return float(found[1]) * _UNITS[found[2]] if found else float("nan")

    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    wrong = sum(int(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", out))
    status = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    errors = wrong + (int(status[1]) if status else 0)
    return Load(rps=float(rate[1]) if rate else 0.0, p50=latency("50"), p99=latency("99"), errors=errors)
