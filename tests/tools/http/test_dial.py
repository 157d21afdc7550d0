"""What happens when the resolver lies, changes its mind, fails, hangs or answers nothing; what is dialled then."""

import socket
import threading
import time
from ipaddress import ip_address
from typing import Any

import pytest

from interlock.tools.http.dial import Connect, Dialler, Resolver, SystemResolver
from interlock.tools.http.errors import NotReached, TooMuch
from interlock.tools.http.meter import Meter
from interlock.tools.http.table import Address, Judge, table


class Recorder:
    def __init__(self, *, fails: Any = ()) -> None:
        self.dialled: list[str] = []
        self._fails = fails

    def __call__(self, address: Address, port: int, seconds: float) -> socket.socket:
        self.dialled.append(str(address))
        if str(address) in self._fails:
            raise OSError("connection refused")
        ours, theirs = socket.socketpair()
        theirs.close()
        return ours


def dialler(resolve: Resolver, connect: Connect, judge: Judge | None = None) -> Dialler:
    return Dialler(
        judge=judge or table().why_not, resolve=resolve, connect=connect, connect_seconds=1, resolve_seconds=1
    )


def meter(seconds: float = 5.0) -> Meter:
    return Meter(deadline=time.monotonic() + seconds, bytes_left=1000, clock=time.monotonic)


def test_the_first_checked_address_is_dialled_and_the_name_resolved_once() -> None:
    asked = []
    connect = Recorder()

    def resolve(host: str, seconds: float) -> list[str]:
        asked.append(host)
        return ["8.8.8.8", "1.1.1.1"] if len(asked) == 1 else ["127.0.0.1"]

    dialler(resolve, connect).dial("a.example.com", 443, meter()).close()
    assert (asked, connect.dialled) == (["a.example.com"], ["8.8.8.8"])


def test_when_one_does_not_answer_the_next_checked_one_is_tried_without_asking_again() -> None:
    asked = []
    connect = Recorder(fails={"8.8.8.8", "1.1.1.1"})

    def resolve(host: str, seconds: float) -> list[str]:
        asked.append(host)
        return ["8.8.8.8", "1.1.1.1", "9.9.9.9"] if len(asked) == 1 else ["127.0.0.1"]

    dialler(resolve, connect).dial("a.example.com", 443, meter()).close()
    assert (len(asked), connect.dialled) == (1, ["8.8.8.8", "1.1.1.1", "9.9.9.9"])


def test_a_long_list_of_dead_addresses_is_not_walked() -> None:
    every = [f"8.8.8.{n}" for n in range(60)]
    connect = Recorder(fails=set(every))
    with pytest.raises(NotReached):
        dialler(lambda host, seconds: every, connect).dial("a.example.com", 443, meter())
    assert len(connect.dialled) == 3


@pytest.mark.parametrize(
    "fails",
    [
        OSError("no such host"),
        socket.gaierror(-2, "Name or service not known"),
        TimeoutError("no answer"),
        UnicodeError("label too long"),
        ValueError("odd"),
    ],
)
def test_m9_a_resolver_that_raises_reaches_nothing(fails: Any) -> None:
    connect = Recorder()

    def resolve(host: str, seconds: float) -> list[str]:
        raise fails

    with pytest.raises(NotReached):
        dialler(resolve, connect).dial("a.example.com", 443, meter())
    assert connect.dialled == []


def test_m9_a_judge_that_raises_reaches_nothing() -> None:
    connect = Recorder()

    def judge(address: Address, port: int) -> str:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        dialler(lambda host, seconds: ["8.8.8.8"], connect, judge).dial("a.example.com", 443, meter())
    assert connect.dialled == []


def test_what_a_call_reads_is_the_same_for_nobody_there_and_for_somebody_private() -> None:
    said = set()
    for answers in ([], ["10.0.0.1"], ["8.8.8.8"]):
        with pytest.raises(NotReached) as caught:
            dialler(lambda host, seconds, a=answers: a, Recorder(fails={"8.8.8.8"})).dial("a.example.com", 443, meter())
        said.add(str(caught.value))
        assert caught.value.hint
    assert len(said) == 1


def test_the_deadline_is_over_before_anything_is_dialled() -> None:
    connect = Recorder()
    with pytest.raises(TooMuch):
        dialler(lambda host, seconds: ["8.8.8.8"], connect).dial("a.example.com", 443, meter(0))
    assert connect.dialled == []


def test_the_system_s_resolver_gives_addresses_and_errors() -> None:
    assert "127.0.0.1" in SystemResolver()("localhost", 5)
    with pytest.raises(OSError, match=r"."):
        SystemResolver()("no-such-host.invalid", 5)
    with pytest.raises(OSError, match=r"."):
        SystemResolver()("a" * 300, 5)


def test_m9_a_resolver_that_hangs_is_left_behind_and_never_more_than_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    calls = []

    def hang(*args: Any, **kwargs: Any) -> None:
        calls.append(args)
        release.wait(10)
        raise OSError("late")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    resolver = SystemResolver(lookups=2)
    connect = Recorder()
    made = dialler(resolver, connect)
    try:
        for _ in range(4):
            begin = time.monotonic()
            with pytest.raises(NotReached):
                made.addresses("a.example.com", 443, meter(0.2))
            assert time.monotonic() - begin < 2
        assert len(calls) == 2  # the others did not even start
    finally:
        release.set()
    monkeypatch.undo()
    time.sleep(0.1)
    assert resolver("localhost", 5)  # and the places are free again


def test_a_literal_is_not_looked_up() -> None:
    def resolve(host: str, seconds: float) -> list[str]:
        raise AssertionError(host)

    connect = Recorder()
    dialler(resolve, connect).dial("8.8.8.8", 443, meter()).close()
    assert connect.dialled == ["8.8.8.8"]
    assert dialler(resolve, connect).addresses("2606:4700::1", 443, meter()) == (ip_address("2606:4700::1"),)
