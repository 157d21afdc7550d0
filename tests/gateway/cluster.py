"""Several `interlock serve` processes on one database, a provider with strings, and a wire that can be cut.

Each process has a folder of its own, as on a machine of its own; all they share is the database.
"""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import psycopg
import yaml
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from interlock.audit.chain import Verdict
from interlock.audit.record import Record
from interlock.stores.key import Kind, issue
from interlock.stores.place import keys_at
from interlock.stores.postgres.audit import PostgresAudit
from interlock.stores.postgres.database import PostgresDatabase
from interlock.testing import Use
from interlock.testing.model import Conversation, Failure, Reply
from tests.gateway.test_serve import Process
from tests.gateway.world import TOOLS, manifest

SHOP = TOOLS | {
    "find_order": TOOLS["find_order"] | {"returns": {"object": "order", "id": ["id"], "own": ["id", "contact"]}}
}
AGENTS: dict[str, Any] = {
    "support": {"tools": list(TOOLS), "mandate": "none"},
    "frugal": {"tools": ["find_order"], "mandate": "none", "budgets": {"calls": "40/day"}},
    "quiet": {"tools": [], "mandate": "none", "budgets": {"tokens": "40k/day"}},
    "bounded": {"tools": ["find_order"], "mandate": "none", "budgets": {"calls": "2/run"}},
}


class Puppet:
    """A model that does what the newest words of the user are said to mean; "Done." for all others, and for results."""

    def __init__(self, lines: Mapping[str, str | Use]) -> None:
        self.lines = dict(lines)

    def answer(self, conversation: Conversation) -> Reply | Failure:
        last = conversation.last
        line = self.lines.get(last.text, "Done.") if last.role == "user" else "Done."
        return Reply(line) if isinstance(line, str) else Reply(calls=(line,))


@dataclass
class Cluster:
    dsn: str
    nodes: Sequence[Process]
    keys: dict[str, str] = field(default_factory=dict)

    def key(self, holder: str, kind: Kind = "agent") -> str:
        """A fresh key; the nodes get to know it within seconds."""
        new = issue(kind, holder, now=time.time(), principal="emma" if kind == "agent" else "")
        keys_at(address(self.dsn)).add(new.key, new.digest)
        return new.text

    def ready(self, key: str) -> None:
        """Return once every node knows `key`."""
        for node in self.nodes:
            eventually(lambda n=node: models(n, key).status_code == 200)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn) as db:
            return db.execute(query.encode(), values or None).fetchall()

    def audits(self) -> Iterator[PostgresAudit]:
        database = PostgresDatabase(self.dsn, size=1)
        try:
            for name in PostgresAudit(database, read_only=True).streams():
                yield PostgresAudit(database, read_only=True, stream=name)
        finally:
            database.close()

    def verdicts(self) -> dict[str, Verdict]:
        return {a.stream: a.verify() for a in self.audits()}

    def records(self, *kinds: str, run: str = "") -> list[Record]:
        return [r for a in self.audits() for r in a.records() if r.kind in kinds and run in {"", r.run}]

    def handed_over(self, run: str = "") -> int:
        return len([r for r in self.records("outcome", run=run) if r.body["outcome"] == "handed over"])


def models(node: Process, key: str) -> httpx2.Response:
    return httpx2.get(f"{node.url}/v1/models", headers={"authorization": f"Bearer {key}"}, timeout=10)


def eventually(check: Any, seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while True:
        with suppress(httpx2.HTTPError):
            if check():
                return
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def address(dsn: str, **more: object) -> str:
    """The address of the database as `INTERLOCK_STORE` wants it."""
    return f"postgresql:///?{urlencode({k: v for k, v in (conninfo_to_dict(dsn) | more).items() if v is not None})}"


@contextmanager
def cluster(
    dsn: str, provider: str, count: int = 2, *, store: str = "", agents: Mapping[str, Any] = AGENTS, **env: str
) -> Iterator[Cluster]:
    """`count` gateways on the database `dsn`, which they may reach by another address, `store`."""
    with ExitStack() as stack:
        nodes = []
        for _ in range(count):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            nodes.append(start(folder, dsn, provider, store=store, agents=agents, **env))
            stack.callback(end, nodes[-1])
        yield Cluster(dsn, nodes)


def start(
    folder: Path, dsn: str, provider: str, *, store: str = "", agents: Mapping[str, Any] = AGENTS, **env: str
) -> Process:
    """One gateway in `folder`."""
    said = manifest(f"{provider}/v1", f"{provider}/v1") | {"agents": dict(agents), "tools": SHOP}
    (folder / "interlock.yaml").write_text(yaml.safe_dump(said))
    given = {"INTERLOCK_STORE": store or address(dsn), "INTERLOCK_LOG": "text"}
    given |= {"INTERLOCK_APPROVAL_WAIT": "0.3", "INTERLOCK_APPROVAL_WAIT_STREAMED": "0.3"}
    return Process(folder, env=given | {f"INTERLOCK_{k.upper()}": v for k, v in env.items()})


def end(process: Process) -> None:
    if process.popen.poll() is None:
        process.popen.kill()
        process.popen.wait()


@contextmanager
def database(server: Any, name: str) -> Iterator[str]:
    """A fresh database for as long as the block runs."""
    uri = server.get_uri()
    with psycopg.connect(uri, autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name}".encode())
    yield make_conninfo("", **(conninfo_to_dict(uri) | {"dbname": name}))
    with psycopg.connect(uri, autocommit=True) as db:
        db.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


class Wire:
    """A TCP port in front of a database: `cut` it, make it `late` (s), `stall` it, and `mend` it."""

    def __init__(self, dsn: str) -> None:
        told = conninfo_to_dict(dsn)
        self._target = str(told["host"]), int(str(told.get("port") or 5432))
        self._port = socket.create_server(("127.0.0.1", 0))
        self.store = address(dsn, host="127.0.0.1", port=self._port.getsockname()[1])
        self.late = 0.0
        self._open: set[socket.socket] = set()
        self._cut = False
        self._flowing = threading.Event()
        self._flowing.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Drop all connections, and every new one."""
        self._cut = True
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def stall(self) -> None:
        """Take what is said, and pass nothing on."""
        self._flowing.clear()

    def mend(self) -> None:
        self._cut, self.late = False, 0.0
        self._flowing.set()

    def close(self) -> None:
        self.cut()
        self._flowing.set()
        self._port.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._port.accept()
                if self._cut:
                    near.close()
                    continue
                far = self._dial()
                self._open |= {near, far}
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _dial(self) -> socket.socket:
        host, port = self._target
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        far = socket.socket(socket.AF_UNIX)
        far.connect(os.path.join(host, f".s.PGSQL.{port}"))  # noqa: PTH118 - a socket's name
        return far

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while piece := one.recv(65536):
                if self.late:
                    time.sleep(self.late / 2)  # each way
                self._flowing.wait()
                other.sendall(piece)
        for each in (one, other):
            self._open.discard(each)
            with suppress(OSError):
                each.close()


@contextmanager
def wire(dsn: str) -> Iterator[Wire]:
    found = Wire(dsn)
    try:
        yield found
    finally:
        found.close()
