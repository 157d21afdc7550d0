"""`python -m bench.gateway [--litellm PYTHON] [--seconds S]`: the gateway on one core, provider and load on the other.

`--only memory --requests 1e6` shows what a worker takes over that many requests, and nothing else.

Policy, provenance and audit are on, as in `tests/conformance/subject.py`. `--litellm` names the interpreter of a
virtual environment with `litellm[proxy]`; its proxy then serves the same requests in the same run. Needs `wrk` and two
cores. Figures of a shared machine are worth their ratios, and CPU per request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.gateway.load import Load, messages, script, short, wrk
from tests.conformance.subject import interlock

GATEWAY_CORE, LOAD_CORE = 0, 1
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A running server."""

    name: str
    url: str
    key: str
    pids: tuple[int, ...]

    def cpu(self) -> float:
        """Seconds of CPU that its processes have used."""
        return sum(_cpu(pid) for pid in self.pids)

    def memory(self, *, anonymous: bool = False) -> float:
        """MB resident, of its largest process; `anonymous`: without what is mapped from files."""
        return max((_rss(pid, anonymous=anonymous) for pid in self.pids), default=0.0)


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def _rss(pid: int, *, anonymous: bool) -> float:
    _, resident, shared, *_ = map(int, Path(f"/proc/{pid}/statm").read_text().split())
    return (resident - shared if anonymous else resident) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _family(pid: int) -> tuple[int, ...]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return (pid, *(p for child in children for p in _family(int(child))))


def _pin(pids: tuple[int, ...], core: int) -> None:
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {core})


def _port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _listening(port: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"nothing listens on port {port}")


@contextmanager
def provider() -> Iterator[str]:
    """The upstream, on the load's core."""
    port = _port()
    process = subprocess.Popen(
        ["taskset", "-c", str(LOAD_CORE), sys.executable, "-m", "bench.gateway.upstream", str(port)]
    )
    try:
        _listening(port, 20)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@contextmanager
def ours(upstream: str, *, detect: bool = False) -> Iterator[Peer]:
    """Interlock's gateway; `detect`: what others wrote is looked at, too."""
    before = set(_family(os.getpid()))
    more = "" if detect else "detect: false\n"
    with interlock(upstream, more=more, settings={"INTERLOCK_MAX_REQUESTS_PER_KEY": "256"}) as subject:
        pids = tuple(p for p in _family(os.getpid()) if p not in before)
        _pin(pids, GATEWAY_CORE)
        name = "Interlock, with detection" if detect else "Interlock"
        yield Peer(name=name, url=subject.openai, key=subject.key, pids=pids)


@contextmanager
def bare(upstream: str) -> Iterator[Peer]:
    """The same stack with nothing in it: what any gateway on it takes at least."""
    port = _port()
    command = ["taskset", "-c", str(GATEWAY_CORE), sys.executable, "-m", "bench.gateway.bare", upstream, str(port)]
    process = subprocess.Popen(command)
    try:
        _listening(port, 20)
        yield Peer(name="uvicorn and aiohttp alone", url=f"http://127.0.0.1:{port}/v1", key="x", pids=(process.pid,))
    finally:
        process.kill()
        process.wait()


@contextmanager
def litellm(upstream: str, python: str) -> Iterator[Peer]:
    """LiteLLM's proxy: one worker, no database, no callbacks, no guardrail."""
    port, key = _port(), f"sk-{os.urandom(24).hex()}"
    models = "\n".join(
        f"  - model_name: {m}\n    litellm_params: {{model: openai/{m}, api_base: {upstream}/v1, api_key: x}}"
        for m in ("plain", "events", "paced", "held")
    )
    with TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(f"model_list:\n{models}\ngeneral_settings: {{master_key: {key}}}\n")
        command = [str(Path(python).with_name("litellm")), "--config", str(config), "--port", str(port)]
        with (Path(folder) / "log").open("w") as log:
            process = subprocess.Popen(
                ["taskset", "-c", str(GATEWAY_CORE), *command, "--num_workers", "1", "--host", "127.0.0.1"],
                stdout=log,
                stderr=log,
                env=os.environ | {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
            )
        try:
            _listening(port, 120)
            time.sleep(3)
            yield Peer(name="LiteLLM", url=f"http://127.0.0.1:{port}/v1", key=key, pids=_family(process.pid))
        finally:
            process.kill()
            process.wait()


def measure(peer: Peer, lua: Path, seconds: float, *, connections: int = 32) -> tuple[Load, float]:
    """Load at full throttle, and ms of CPU a request."""
    wrk(f"{peer.url}/chat/completions", lua, connections=4, seconds=min(2.0, seconds), core=LOAD_CORE)  # warm
    before, start = peer.cpu(), time.monotonic()
    load = wrk(f"{peer.url}/chat/completions", lua, connections=connections, seconds=seconds, core=LOAD_CORE)
    done = load.rps * (time.monotonic() - start)
    return load, (peer.cpu() - before) / max(done, 1) * 1000


async def _stream(peer: Peer, model: str) -> list[tuple[float, bytes]]:
    """One streamed answer: the pieces with the time (ns) at which they came."""
    host, port = peer.url.split("//")[1].split("/")[0].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    said = [{"role": "user", "content": f"Write to bob@example.com. {time.monotonic_ns()}"}]
    tools = [{"type": "function", "function": {"name": "send", "parameters": {"type": "object", "properties": {}}}}]
    body = json.dumps({"model": model, "stream": True, "messages": said, "tools": tools}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {peer.key}\r\n"
    writer.write(
        f"{head}connection: close\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        + body
    )
    found: list[tuple[float, bytes]] = []
    while not found or not (found[-1][1].endswith(b"0\r\n\r\n")):
        piece = await asyncio.wait_for(reader.read(65536), 60)
        if not piece:
            break
        found.append((time.monotonic_ns(), piece))
    writer.close()
    if not found or b" 200 " not in found[0][1][:16]:
        raise SystemExit(f"{peer.name} did not answer a stream: {found[:1]}")
    return found


async def _paced(peer: Peer, streams: int) -> tuple[float, float]:
    """CPU in µs an event, and the median length of a stream in ms, of `streams` at once."""
    before = peer.cpu()

    async def timed() -> float:
        start = time.monotonic()
        await _stream(peer, "paced")
        return (time.monotonic() - start) * 1000

    lengths = await asyncio.gather(*(timed() for _ in range(streams)))
    return (peer.cpu() - before) * 1e6 / (streams * 52), statistics.median(lengths)


async def _held(peer: Peer, times: int) -> list[float]:
    """Ms between the provider's sending the last piece of a call and the client's having the call."""
    delays = []
    for _ in range(times):
        pieces = await _stream(peer, "held")
        whole = b"".join(p for _, p in pieces)
        digits = "".join(c for c in whole.decode().rpartition("word ")[2].split('\\"}')[0] if c.isdigit())
        sent = int(digits[-len(str(time.monotonic_ns())) :])
        arrived = next(at for at, piece in reversed(pieces) if b"arguments" in piece)
        delays.append((arrived - sent) / 1e6)
    return delays


def _turns(peer: Peer, turns: int) -> tuple[float, float]:
    """Ms of CPU of the first ten and the last ten turns of conversations that grow (5 conversations)."""
    first: list[float] = []
    last: list[float] = []
    for number in range(5):
        said: list[dict[str, object]] = [{"role": "user", "content": f"Read my mail. {number} {time.monotonic_ns()}"}]
        for turn in range(turns):
            body = json.dumps({"model": "plain", "messages": said}).encode()
            ask = urllib.request.Request(f"{peer.url}/chat/completions", body)  # noqa: S310 - http, ours
            ask.add_header("authorization", f"Bearer {peer.key}")
            ask.add_header("content-type", "application/json")
            before = time.monotonic()
            urllib.request.urlopen(ask, timeout=30).read()  # noqa: S310 - as above
            took = (time.monotonic() - before) * 1000
            (first if turn < 10 else last if turn >= turns - 10 else []).append(took)
            call = {"id": f"c{turn}", "type": "function", "function": {"name": "read_mail", "arguments": "{}"}}
            mail = {"items": [{"id": f"m{turn}", "contact": "ann@example.org", "body": "word " * 200 + str(turn)}]}
            said += [
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": f"c{turn}", "content": json.dumps(mail)},
                {"role": "user", "content": f"And now {turn}?"},
            ]
    return statistics.median(first), statistics.median(last)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.gateway")
    parser.add_argument("--litellm", metavar="PYTHON", help="interpreter of an environment with litellm[proxy]")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--requests", type=float, default=0.0, help="requests of the memory test, for example 1e6")
    parser.add_argument("--only", choices=["memory"], help="nothing but the memory test")
    given = parser.parse_args()
    if not shutil.which("wrk") or not shutil.which("taskset"):
        print("this bench needs `wrk` and `taskset`: apt install wrk util-linux", file=sys.stderr)
        return 2
    with TemporaryDirectory() as name, provider() as upstream:
        folder = Path(name)
        if given.only == "memory":
            for detect in (False, True):
                with ours(upstream, detect=detect) as peer:
                    _memory(peer, folder, given.requests or 1e5, given.seconds)
            return 0
        direct = Peer(name="no gateway", url=f"{upstream}/v1", key="x", pids=())
        peers: list[Callable[[], AbstractContextManager[Peer]]] = [
            partial(bare, upstream),
            partial(ours, upstream),
            partial(ours, upstream, detect=True),
        ]
        if given.litellm:
            peers.append(partial(litellm, upstream, given.litellm))
        print("| | 2 KB /s | CPU ms | p50 ms, 1 conn. | 50 KB /s | CPU ms | p50 | 50 events /s | CPU ms | MB |")
        print("|---|---|---|---|---|---|---|---|---|---|")
        _row(direct, folder, given.seconds)
        for start in peers:
            with start() as peer:
                _row(peer, folder, given.seconds)
                event, length = asyncio.run(_paced(peer, 100))
                held = asyncio.run(_held(peer, 40))
                early, late = _turns(peer, 40)
                tail = sorted(held)[-3]
                print(
                    f"\n{peer.name}: 100 paced streams at once: {event:.0f} µs CPU an event, {length:.0f} ms a stream;"
                )
                print(f"a held call arrives {statistics.median(held):.2f} ms after its last piece (p95 {tail:.2f});")
                print(f"a turn takes {early:.2f} ms among the first ten of forty, {late:.2f} ms among the last ten;")
                print(f"{peer.memory():.0f} MB\n", flush=True)
                if given.requests and peer.name == "Interlock":
                    _memory(peer, folder, given.requests, given.seconds)
    return 0


def _row(peer: Peer, folder: Path, seconds: float) -> None:
    cells = []
    for kind, said, grows in (("plain", short(), False), ("plain", messages(40_000), True), ("events", short(), False)):
        lua = script(folder, f"{kind}{grows}", said, model=kind, key=peer.key, grows=grows)
        load, cpu = measure(peer, lua, seconds)
        wrong = f" ({load.errors} errors)" if load.errors else ""
        cells.append(f"{load.rps:,.0f}{wrong} | {cpu:.2f}")
        if kind == "plain":
            alone = wrk(f"{peer.url}/chat/completions", lua, connections=1, seconds=seconds / 2, core=LOAD_CORE)
            cells[-1] += f" | {alone.p50:.2f}"
    print(f"| {peer.name} | {' | '.join(cells)} | {peer.memory() if peer.pids else 0:.0f} |", flush=True)


def _memory(peer: Peer, folder: Path, requests: float, seconds: float) -> None:
    """What a worker takes as requests go by: six slots of eight begin conversations, one grows them, one streams."""
    lua = script(folder, "memory", short(), model="plain", key=peer.key, grows=False)
    grown = script(folder, "memory-grown", messages(40_000), model="plain", key=peer.key, grows=True)
    events = script(folder, "memory-events", short(), model="events", key=peer.key, grows=False)
    slots = [("2 KB", lua)] * 3 + [("40 KB", grown)] + [("2 KB", lua)] * 3 + [("50 events", events)]
    print(f"\n| {peer.name}: requests | the last of them | MB | of these not code in files |\n|---|---|---|---|")
    print(f"| 0 | | {peer.memory():.1f} | {peer.memory(anonymous=True):.1f} |", flush=True)
    done = 0.0
    while done < requests:
        for name, path in slots:
            load = wrk(f"{peer.url}/chat/completions", path, connections=32, seconds=seconds, core=LOAD_CORE)
            done += load.rps * max(1, round(seconds))
            wrong = f" ({load.errors} errors)" if load.errors else ""
            print(
                f"| {done:,.0f} | {name}{wrong} | {peer.memory():.1f} | {peer.memory(anonymous=True):.1f} |", flush=True
            )
            if done >= requests:
                break


if __name__ == "__main__":
    try:
        sys.exit(main())
    except urllib.error.URLError as error:
        sys.exit(f"a server did not answer: {error}")
