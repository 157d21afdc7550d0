"""A tool described by JSON Schema, as zod writes it, in place of type hints.

python examples/json_schema_tool.py --scripted   a script on loopback; no key
python examples/json_schema_tool.py              the real API; needs OPENAI_API_KEY
"""

import sys
import time
from contextlib import nullcontext
from typing import Any

from openai import OpenAI

from interlock import Interlock, MemoryAudit
from interlock.testing import ModelServer, Reply, ScriptedModel, Use

# What `z.toJSONSchema` makes of `z.object({order: z.int(), reason: z.enum([...]), copies: z.array(z.email())})`.
EMAIL = r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$"
ZOD = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "order": {"type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991},
        "reason": {"type": "string", "enum": ["broken", "late"]},
        "copies": {"type": "array", "items": {"type": "string", "format": "email", "pattern": EMAIL}},
    },
    "required": ["order", "reason", "copies"],
    "additionalProperties": False,
}
USER = "Open a return for order 1042, which arrived broken. A copy goes to bob@example.com."
OPENED: list[dict[str, Any]] = []


def open_return(**arguments: Any) -> str:
    """Open a return; gets what fits the schema."""
    OPENED.append(arguments)
    return "opened"


TOOL = {"name": "open_return", "description": "Open a return.", "parameters": ZOD, "call": open_return}
ROLES = {"order": "id:order", "reason": "option", "copies": "recipient"}
MANIFEST = {
    "version": 1,
    "agents": {"assistant": {"tools": ["open_return"]}},
    "tools": {"open_return": {"effect": "egress", "arguments": ROLES, "refers": "order"}},
}
WRONG = Use("open_return", {"order": 1042, "reason": "other", "copies": []})  # `other` is no reason: not made
RIGHT = Use("open_return", {"order": 1042, "reason": "broken", "copies": ["bob@example.com"]})
SCRIPT = ScriptedModel([Reply(calls=(WRONG, RIGHT)), "The return is open."])
lock = Interlock(MANIFEST, tools=[TOOL], audit=MemoryAudit(clock=time.time))

with ModelServer(SCRIPT) if "--scripted" in sys.argv else nullcontext() as server:
    client = OpenAI(api_key="none", base_url=server.openai_url) if server else OpenAI()
    run = lock.run(agent="assistant", principal="emma", user=USER)
    messages: list[Any] = [{"role": "user", "content": USER}]
    tools: Any = run.openai_tools()
    while True:
        reply = client.chat.completions.create(model="gpt-5.4-mini", messages=messages, tools=tools)
        messages.append(reply.choices[0].message)
        if not (results := run.openai_results(reply.choices[0].message)):
            break
        messages += results

print("opened:", OPENED)
