"""Code of a model runs, yields JSON, and reaches nothing but the tools it was given."""

import os
import socket
import threading
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from interlock.kernel.call import Call, Json
from interlock.kernel.decision import Mint, Permit
from interlock.kernel.errors import InterlockError, PermitError
from interlock.tools.compute import ComputeKind
from interlock.tools.compute.capability import Compute
from interlock.tools.kind import ConfigError, Context, ScopeError, ToolFailed

pytest.importorskip("pydantic_monty", reason="the extra `tools` is not installed")
CASES = tomllib.loads((Path(__file__).parents[2] / "corpora" / "compute.toml").read_text())["case"]
MINT = Mint(bytes(range(32)))


def check(permit: Permit, call: Call) -> None:
    MINT.check(permit, call.digest)


CONTEXT = Context(base_dir="/", secrets=lambda name: name, check=check)
SEEN: list[tuple[str, str, Mapping[str, Json]]] = []


def host(outer: Call, name: str, arguments: Mapping[str, Json]) -> Json:
    SEEN.append((outer.principal, name, arguments))
    if name == "forbidden":
        raise InterlockError("rule 7 says no because of 4711")
    if name == "broken":
        raise ToolFailed("no such row")
    return {"echo": dict(arguments)}


@pytest.fixture(scope="module")
def compute() -> Iterator[Compute]:
    config = {"tools": ["docs", "forbidden", "broken"], "limits": {"seconds": 0.5, "result_bytes": 10_000, "calls": 5}}
    opened = ComputeKind(host).open("calc", config, CONTEXT)
    yield opened
    opened.close()


def run(compute: Compute, code: str, **inputs: Any) -> Any:
    call = Call(tool="calc", arguments={"code": code, "inputs": inputs}, agent="a", principal="ann", run="r")
    operation = compute.operations[0]
    operation.validate({"code": code, "inputs": inputs})
    assert operation.scope(call).id == "calc"
    return operation.perform(MINT.permit(call.digest, "n", approved=False), call)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["id"]))
def test_every_case(compute: Compute, case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    if case["expect"] == "value":
        assert run(compute, case["code"], **case.get("inputs", {}))["result"] == case["value"]
        return
    start = time.monotonic()
    with pytest.raises(ToolFailed) as refused:
        run(compute, case["code"], **case.get("inputs", {}))
    assert time.monotonic() - start < 5
    assert len(str(refused.value)) <= 500
    assert run(compute, "1 + 1")["result"] == 2  # and the next call is served


def test_nothing_survives_a_call(compute: Compute) -> None:
    run(compute, "kept = 1")
    with pytest.raises(ToolFailed, match="kept"):
        run(compute, "kept")


def test_a_call_without_its_permit_does_nothing(compute: Compute) -> None:
    call = Call(tool="calc", arguments={"code": "docs(path='x')"}, agent="a", principal="ann", run="r")
    other = Call(tool="calc", arguments={"code": "1"}, agent="a", principal="ann", run="r")
    SEEN.clear()
    with pytest.raises(PermitError):
        compute.operations[0].perform(MINT.permit(other.digest, "n", approved=False), call)
    assert SEEN == []


def test_a_tool_is_called_through_the_port_for_the_same_principal(compute: Compute) -> None:
    SEEN.clear()
    assert run(compute, "docs(path='a')['echo']['path'] * 2")["result"] == "aa"
    assert SEEN == [("ann", "docs", {"path": "a"})]


def test_a_refusal_inside_is_constant(compute: Compute) -> None:
    code = "try:\n    forbidden(x=4711)\nexcept PermissionError as e:\n    why = str(e)\nwhy"
    assert run(compute, code)["result"] == "the call of forbidden was refused"


def test_a_failure_inside_can_be_handled(compute: Compute) -> None:
    assert (
        run(compute, "try:\n    broken()\nexcept RuntimeError as e:\n    why = str(e)\nwhy")["result"] == "no such row"
    )


def test_a_tool_that_is_not_listed_does_not_exist(compute: Compute) -> None:
    SEEN.clear()
    with pytest.raises(ToolFailed, match="NameError"):
        run(compute, "send_email(to='x')")
    assert SEEN == []


def test_calls_of_tools_are_counted(compute: Compute) -> None:
    SEEN.clear()
    with pytest.raises(ToolFailed, match="more than 5 calls"):
        run(compute, "[docs(i=i) for i in range(50)]")
    assert len(SEEN) == 5


def test_time_in_tools_counts_towards_the_deadline() -> None:
    def slow(outer: Call, name: str, arguments: Mapping[str, Json]) -> Json:
        time.sleep(0.3)
        return None

    opened = ComputeKind(slow).open("calc", {"tools": ["docs"], "limits": {"deadline": 0.5}}, CONTEXT)
    try:
        with pytest.raises(ToolFailed, match="ran for more than"):
            run(opened, "[docs() for i in range(20)]")
    finally:
        opened.close()


def test_calls_at_the_same_time_do_not_mix(compute: Compute) -> None:
    got: dict[int, Any] = {}

    def one(i: int) -> None:
        got[i] = run(compute, "docs(i=i)['echo']['i'] + base", i=i, base=100)["result"]

    threads = [threading.Thread(target=one, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {i: 100 + i for i in range(8)}


def test_the_worker_holds_no_secret_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_KEY", "sk-canary")
    with socket.socket() as ours:
        os.set_inheritable(ours.fileno(), True)
        opened = ComputeKind().open("calc", {}, CONTEXT)
        try:
            (worker,) = opened._pool._idle
            pids = [worker._process.pid, *children(worker._process.pid)]
            assert len(pids) == 2
            for pid in pids:
                assert b"sk-canary" not in Path(f"/proc/{pid}/environ").read_bytes()
                held = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
                assert str(Path(f"/proc/self/fd/{ours.fileno()}").readlink()) not in held
        finally:
            opened.close()
        assert not any(Path(f"/proc/{pid}").exists() and state(pid) != "Z" for pid in pids)


def children(pid: int) -> list[int]:
    return [int(p) for task in Path(f"/proc/{pid}/task").iterdir() for p in (task / "children").read_text().split()]


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_what_it_claims_is_proven_by_trying(compute: Compute) -> None:
    proofs = compute.prove()
    assert len(proofs) >= 6
    assert all(proof.held for proof in proofs), proofs


def test_a_proof_fails_where_the_wall_is_missing(compute: Compute, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.tools.compute.capability.ATTEMPTS", {"no sums": ("1 + 1",)})
    assert [proof.held for proof in compute.prove()] == [False, True]


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ({"limit": {}}, "did you mean `limits`"),
        ({"limits": {"second": 1}}, "did you mean `seconds`"),
        ({"limits": {"seconds": 0}}, "`seconds`"),
        ({"limits": {"memory": True}}, "`memory`"),
        ({"limits": {"calls": 1.5}}, "whole"),
        ({"limits": 3}, "mapping"),
        ({"tools": "docs"}, "list"),
        ({"tools": ["a.b"]}, "identifier"),
        ({"parallel": 0}, "`parallel`"),
        ({"description": ""}, "`description`"),
    ],
)
def test_a_wrong_entry_is_refused(config: dict[str, object], what: str) -> None:
    with pytest.raises(ConfigError) as refused:
        ComputeKind().specs("calc", config)
    assert what in f"{refused.value} {refused.value.hint}"


def test_tools_without_a_port_are_refused() -> None:
    with pytest.raises(ConfigError, match="nothing here can call"):
        ComputeKind().open("calc", {"tools": ["docs"]}, CONTEXT)


@pytest.mark.parametrize(
    "arguments", [{}, {"code": 1}, {"code": "", "inputs": []}, {"code": "", "inputs": {"a b": 1}}, {"code": "", "x": 1}]
)
def test_wrong_arguments_are_refused(compute: Compute, arguments: dict[str, Json]) -> None:
    with pytest.raises(ScopeError):
        compute.operations[0].validate(arguments)


def test_input_has_a_limit(compute: Compute) -> None:
    call = Call(
        tool="calc", arguments={"code": "1", "inputs": {"a": "x" * (1 << 20)}}, agent="a", principal="p", run="r"
    )
    with pytest.raises(ScopeError, match="input_bytes"):
        compute.operations[0].scope(call)
