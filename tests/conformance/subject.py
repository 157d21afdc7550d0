"""The gateway under test, as this suite sees it: two addresses, a key, and what it must have been told beforehand.

To measure another gateway, give `CONFORMANCE_SUBJECT=module:function`: a context manager that takes the upstream's
address and yields a `Subject`. It must hold the agent to `MANIFEST`'s sense: `read_mail` reads what others wrote (only
`id` is the service's own), `send` needs a receiver that the user named, `destroy` is not this agent's, nobody approves
anything, and provider-run tools are refused.
"""

from __future__ import annotations

import importlib
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

PROVIDER_KEY = "sk-provider-0123456789abcdefghijklmnop"
MANIFEST = """\
version: 1
agents:
  support: {{tools: [read_mail, send], mandate: none}}
  janitor: {{tools: [destroy], mandate: none}}
tools:
  read_mail:
    kind: function
    effect: read
    arguments: {{}}
    schema: {{type: object, properties: {{}}}}
    returns: {{object: mail, records: items, id: [id], own: [id, contact]}}
  send:
    kind: function
    effect: egress
    arguments: {{to: recipient, body: text}}
    schema: {{type: object, properties: {{to: {{type: string}}, body: {{type: string}}}}, required: [to]}}
  destroy:
    kind: function
    effect: destroy
    arguments: {{name: entity}}
    schema: {{type: object, properties: {{name: {{type: string}}}}}}
gateway:
  upstreams:
    openai: {{url: "{upstream}/v1", key: secret://OPENAI_API_KEY, dialect: openai}}
    anthropic: {{url: "{upstream}/v1", key: secret://ANTHROPIC_API_KEY, dialect: anthropic}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A running gateway: the `base_url`s of OpenAI's and of Anthropic's SDK, and a client's key."""

    name: str
    openai: str
    anthropic: str
    key: str


Starter = Callable[[str], AbstractContextManager[Subject]]


def starter() -> Starter:
    """What starts the gateway under test."""
    named = os.environ.get("CONFORMANCE_SUBJECT")
    if not named:
        return interlock
    module, _, function = named.partition(":")
    return cast("Starter", getattr(importlib.import_module(module), function))


@contextmanager
def interlock(
    upstream: str, *, more: str = "", workers: int = 1, settings: Mapping[str, str] | None = None
) -> Iterator[Subject]:
    """Our own, as a process of its own, started the way its README says; `settings` are more of the environment."""
    with TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "interlock.yaml").write_text(MANIFEST.format(upstream=upstream) + more)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("INTERLOCK_", "COV_"))}
        environment |= {"OPENAI_API_KEY": PROVIDER_KEY, "ANTHROPIC_API_KEY": PROVIDER_KEY, "PORT": "0"}
        environment |= {"INTERLOCK_APPROVAL_WAIT": "0", "INTERLOCK_APPROVAL_WAIT_STREAMED": "0"}  # nobody is there
        environment |= settings or {}
        environment |= {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
        command = [sys.executable, "-m", "interlock.cli"]
        made = subprocess.run(
            [*command, "keys", "create", "--agent", "support"],
            cwd=here,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        key = re.search(r"ilk_\S+", made.stdout)
        if key is None:
            raise RuntimeError(f"no key was made: {made.stdout}{made.stderr}")
        log = (here / "log").open("w+")
        process = subprocess.Popen(
            [*command, "serve", "--host", "127.0.0.1", "--workers", str(workers)],
            cwd=here,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            url = _address(process, here / "log")
            yield Subject(name="interlock", openai=f"{url}/v1", anthropic=url, key=key[0])
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            log.close()


@contextmanager
def nothing(upstream: str) -> Iterator[Subject]:
    """No gateway at all: what the matrix looks like where nobody mediates, and the proof that its cells can fail."""
    yield Subject(name="nothing", openai=f"{upstream}/v1", anthropic=upstream, key="none")


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where it listens, once it says so and answers."""
    for _ in range(600):
        if process.poll() is not None:
            break
        if found := re.search(r"127\.0\.0\.1:\d+", log.read_text()):
            url = f"http://{found[0]}"
            try:
                with urllib.request.urlopen(f"{url}/healthz", timeout=2):  # noqa: S310 - http, as written
                    return url
            except (urllib.error.URLError, OSError):
                pass
        time.sleep(0.05)
    raise RuntimeError(f"the gateway did not start:\n{log.read_text()}")
