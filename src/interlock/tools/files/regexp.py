"""Regular expressions under a time bound that holds: in a process of their own, which is killed when time is up.

The worker gets pattern and texts through a pipe and has nothing else: an empty environment, no descriptor, limits on
CPU, memory and file size that it sets before it reads the pattern. Killing needs no cooperation of the engine, so
neither nested quantifiers nor a pattern that takes long to compile can hold us. Starting it costs some 15 ms.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

from interlock.tools.kind import ToolFailed

MAX_PATTERN = 1_000  # characters
MEMORY = 512 * 1024 * 1024  # bytes of address space
_WORKER = f"""
import json, math, re, resource, sys
head = json.loads(sys.stdin.buffer.readline())
seconds = math.ceil(head["seconds"]) + 1
for what, most in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, {MEMORY}), (resource.RLIMIT_FSIZE, 0),
                   (resource.RLIMIT_NOFILE, 3), (resource.RLIMIT_NPROC, 0), (resource.RLIMIT_CORE, 0)):
    resource.setrlimit(what, (most, most))
pattern = sys.stdin.buffer.read(head["pattern"]).decode()
try:
    search = re.compile(pattern, re.IGNORECASE if head["ignore_case"] else 0).search
except (re.error, OverflowError, RecursionError) as error:
    print(json.dumps({{"error": str(error)[:200]}}))
    sys.exit()
found = []
for number, size in enumerate(head["texts"]):
    if len(found) > head["most"]:
        break
    for line, text in enumerate(sys.stdin.buffer.read(size).decode().split("\\n"), 1):
        match = search(text)
        if match:
            found.append((number, line, match.start()))
            if len(found) > head["most"]:
                break
print(json.dumps({{"found": found}}))
"""


def search(
    pattern: str, texts: Sequence[str], *, seconds: float, most: int, ignore_case: bool
) -> list[tuple[int, int, int]]:
    """(text, line from 1, column from 0) of the first match in each line, up to `most` + 1 of them.

    Raises:
        ToolFailed: it is no regular expression, or it needs more than `seconds`.
    """
    if len(pattern) > MAX_PATTERN:
        raise ToolFailed(f"`query` is longer than {MAX_PATTERN} characters, too long for a regular expression")
    asked, bodies = pattern.encode(), [text.encode() for text in texts]
    sizes = {"pattern": len(asked), "texts": [len(body) for body in bodies]}
    head = json.dumps(sizes | {"most": most, "seconds": seconds, "ignore_case": ignore_case}).encode()
    try:
        done = subprocess.run(  # noqa: S603 - our interpreter, our program; the pattern is data on a pipe
            [sys.executable, "-I", "-S", "-c", _WORKER],
            input=b"".join((head, b"\n", asked, *bodies)),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=seconds,  # the child is killed
            check=False,
            env={},
            cwd="/",
        )
    except subprocess.TimeoutExpired:
        raise ToolFailed(
            f"`query` needs more than {seconds:g} s as a regular expression; use a simpler one", layer="watchdog"
        ) from None
    if done.returncode != 0:
        raise ToolFailed("`query` needs more time or memory than a regular expression may have", layer="watchdog")
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise ToolFailed(f"`query` is no regular expression: {answer['error']}")
    return [(text, line, column) for text, line, column in answer["found"]]
