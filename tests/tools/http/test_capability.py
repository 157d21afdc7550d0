"""The kind as the monitor meets it: permit first, resource, proofs that can fail, what a model reads."""

import ast
import socket
import sys
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

import pytest

import interlock.tools.http as package
from interlock.kernel.call import Call, Resource
from interlock.kernel.decision import Mint, Permit
from interlock.kernel.errors import CallError, PermitError
from interlock.policy.errors import ConfigError
from interlock.tools.http import KIND, HttpKind
from interlock.tools.http.capability import World
from interlock.tools.http.dial import connect
from interlock.tools.http.perform import decode
from interlock.tools.http.table import Address, table
from interlock.tools.kind import Context
from tests.tools.http.server import reply, serving
from tests.tools.http.world import NO_AUTHORITIES, Loopback, Scripted, call_of, opened, perform

FOLDER = Path(package.__file__).parent


def test_m1_nothing_is_looked_up_or_dialled_without_a_permit_for_this_very_call() -> None:
    mint = Mint(b"k" * 32)
    world = Scripted()

    def check(permit: Any, call: Call) -> None:
        mint.check(permit, call.digest)

    with opened({"hosts": ["a.example.com"]}, world, check=check) as http:
        (operation,) = http.operations
        call = call_of(operation, {"url": "https://a.example.com/1"})
        other = mint.permit(call_of(operation, {"url": "https://a.example.com/2"}).digest, "n", approved=True)
        for permit in (None, other, Mint(b"x" * 32).permit(call.digest, "n", approved=True)):
            with pytest.raises(PermitError):
                operation.perform(cast("Permit", permit), call)
        assert (world.looked_up, world.dialled) == ([], [])
        with pytest.raises(Exception, match="cannot be reached"):
            operation.perform(mint.permit(call.digest, "n", approved=False), call)
        assert world.dialled == ["93.184.216.34:443"]


def test_the_resource_is_the_canonical_url_without_its_query_and_scope_touches_nothing() -> None:
    world = Scripted()
    with opened({"hosts": ["a.example.com", "a.example.com:8443"]}, world) as http:
        (operation,) = http.operations
        for text, same in (
            ("HTTPS://A.EXAMPLE.COM/x/../y?q=1#z", "https://a.example.com/y"),
            ("https://a.example.com:8443/", "https://a.example.com:8443/"),
        ):
            assert operation.scope(call_of(operation, {"url": text})) == Resource("Url", same)
    assert (world.looked_up, world.dialled) == ([], [])


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"url": 7},
        {"url": "https://a.example.com/", "body": "x"},
        {"url": "https://a.example.com/", "method": "POST"},
        {"url": "https://a.example.com/", "headers": {"x": 1}},
        {"url": "https://a.example.com/", "proxy": "http://127.0.0.1"},
    ],
)
def test_arguments_outside_of_the_schema_are_refused(arguments: dict[str, Any]) -> None:
    with opened({"hosts": ["a.example.com"]}, Scripted()) as http, pytest.raises(CallError):
        http.operations[0].validate(arguments)


def test_a_missing_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.startswith("interlock.tools.http.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "httpcore2", None)
    with pytest.raises(ConfigError, match="httpcore2") as caught:
        HttpKind().open("f", {"hosts": ["a.example.com"]}, Context(base_dir=".", secrets=str, check=lambda p, c: None))
    assert "interlock[tools]" in caught.value.hint
    assert KIND.specs("f", {"hosts": ["a.example.com"]})


# proofs


def test_every_claim_is_tried_and_holds_without_a_packet_leaving() -> None:
    outside = Scripted()
    with opened({"hosts": ["a.example.com"]}, outside) as http:
        proofs = http.prove()
    assert len(proofs) == 5
    assert all(proof.held for proof in proofs), proofs
    assert outside.dialled == []


class Broken:
    """A world whose judge is blind to what `blind` says; connections are real where they stay on this machine."""

    def __init__(self, blind: Callable[[Address], bool]) -> None:
        self.blind = blind

    def world(self, **more: Any) -> World:
        def judge(address: Address, port: int) -> str:
            return "" if self.blind(address) else table().why_not(address, port)

        def dial(address: Address, port: int, seconds: float) -> socket.socket:
            if address.is_loopback or getattr(address, "ipv4_mapped", None):
                return connect(address, port, seconds)
            raise OSError("not from a test")

        return World(judge=judge, resolve=lambda host, seconds: ["93.184.216.34"], connect=dial, tls=NO_AUTHORITIES)


@pytest.mark.parametrize(
    ("blind", "fails"),
    [
        (lambda a: True, 5),
        (lambda a: str(a) == "127.0.0.1", 2),  # the canary, directly and by redirect
        (lambda a: str(a) == "168.63.129.16", 1),
        (lambda a: str(a) == "10.0.0.1", 2),  # as a literal and among several answers
        (lambda a: str(a) == "64:ff9b::a00:1", 1),
    ],
)
def test_a_claim_does_not_hold_where_the_gate_is_open(blind: Callable[[Address], bool], fails: int) -> None:
    with opened({"hosts": ["a.example.com"]}, Broken(blind)) as http:
        proofs = http.prove()
    assert sum(not proof.held for proof in proofs) == fails, proofs


# what a model reads


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ("grün".encode(), "text/plain", "grün"),
        ("grün".encode(), "text/plain; charset=UTF-8", "grün"),
        ("grün".encode("latin-1"), 'text/html; charset="ISO-8859-1"', "grün"),
        ("„“".encode("cp1252"), "text/html; charset=iso-8859-1", "„“"),
        ("日本".encode("shift_jis"), "text/html; charset=Shift_JIS", "日本"),
        ("grün".encode("utf-16"), "text/plain; charset=utf-16", "grün"),
        ("grün".encode("utf-16"), "application/json", "grün"),
        (b"\xef\xbb\xbf{}", "application/json", "{}"),
        (b"\xff\xfa", "text/plain", "\ufffd\ufffd"),
        (b"{}", "application/problem+json", "{}"),
        (b"<svg/>", "image/svg+xml", "<svg/>"),
        (b"a,b", "text/csv; header=present", "a,b"),
        (b"plain", "", "plain"),
        (b"", "text/plain", ""),
        (b"", "", ""),
        (b"+ADw-script+AD4-", "text/html; charset=utf-7", "+ADw-script+AD4-"),
        (b"uryyb", "text/plain; charset=rot13", "uryyb"),
        (b"68656c6c6f", "text/plain; charset=hex", "68656c6c6f"),
        (b"\x89PNG\r\n\x1a\n\0", "image/png", None),
        (b"%PDF-1.7", "application/pdf", None),
        (b"\0\1\2", "text/plain", None),
        (b"\xff\xfa", "", None),
        (b"PK\3\4", "application/zip", None),
        (b"x", "application/octet-stream", None),
    ],
)
def test_text_is_decoded_and_the_rest_is_not_shown(body: bytes, kind: str, text: str | None) -> None:
    assert decode(body, kind) == text


def test_what_is_not_text_is_summed_up() -> None:
    outside = Loopback()
    with (
        serving(outside, reply(b"\x89PNG\0", Content_Type="image/png")) as server,
        opened({"hosts": [f"http://a.example.com:{server.port}"]}, outside) as http,
    ):
        (operation,) = http.operations
        answer = perform(operation, {"url": f"http://a.example.com:{server.port}/"})
    assert answer["body"] == ""
    assert answer["binary"]["type"] == "image/png"
    assert answer["binary"]["bytes"] == 5


# shape


@pytest.mark.parametrize("name", ["spec", "scope", "reach", "url", "names", "headers", "meter", "table"])
def test_what_decides_touches_nothing(name: str) -> None:
    foreign = {"os", "pathlib", "socket", "ssl", "subprocess", "sqlite3", "time", "random", "logging", "httpcore2"}
    for node in ast.walk(ast.parse((FOLDER / f"{name}.py").read_text())):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not {n.split(".")[0] for n in names} & foreign


def test_only_the_dialler_looks_names_up_and_connects() -> None:
    for path in FOLDER.glob("*.py"):
        if path.name in {"dial.py", "prove.py", "proxy.py"}:  # prove and proxy listen; the next test is about dialling
            continue
        source = path.read_text()
        for word in ("getaddrinfo", "gethostby", "create_connection", ".connect(", "socket.socket("):
            assert word not in source, path.name
    for name in ("prove.py", "proxy.py"):
        source = (FOLDER / name).read_text()
        assert "getaddrinfo" not in source
        assert "create_connection" not in source


def test_a_literal_s_judge_is_given_the_port() -> None:
    seen = []

    class Judged(Scripted):
        def world(self, **more: Any) -> World:
            def judge(address: Address, port: int) -> str:
                seen.append((address, port))
                return "no"

            return super().world(judge=judge, **more)

    with opened({"hosts": ["8.8.8.8"]}, Judged()) as http:
        (operation,) = http.operations
        with pytest.raises(Exception, match="not public"):
            operation.scope(call_of(operation, {"url": "https://8.8.8.8/"}))
    assert seen == [(ip_address("8.8.8.8"), 443)]
