"""The proxy on its Unix socket: the same scope for programs inside, tunnels only by choice, and only to their own name."""

import socket
import ssl
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interlock.tools.http import hello
from interlock.tools.http import proxy as module
from interlock.tools.http.proxy import Proxy
from tests.tools.http.server import Authority, reply, serving
from tests.tools.http.world import PUBLIC, Loopback, Scripted, opened

HOST = "a.example.com"


def ask(path: str, data: bytes, *, more: Any = b"") -> bytes:
    """Everything that the proxy answers to `data`."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(path)
        sock.sendall(data + more)
        out = b""
        while data := sock.recv(65536):
            out += data
        return out


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Any]:
    """Opens a proxy; yields its path and what it reported."""
    stack: list[tuple[Any, Proxy]] = []

    def start(config: dict[str, Any], outside: Any, **more: Any) -> tuple[str, list[str]]:
        context = opened(config, outside, **more)
        http = context.__enter__()
        reports: list[str] = []
        proxy = http.proxy(str(tmp_path / f"p{len(stack)}"), report=reports.append)
        proxy.start()
        stack.append((context, proxy))
        return proxy.path, reports

    yield start
    for context, proxy in stack:
        proxy.close()
        context.__exit__(None, None, None)


def test_a_request_in_absolute_form_is_fetched_through_the_scope(proxied: Any) -> None:
    outside = Loopback()
    with serving(outside, reply(b"hi", X_A="b")) as server:
        path, _ = proxied({"hosts": [f"http://{HOST}:{server.port}"]}, outside)
        url = f"http://{HOST}:{server.port}/x/../y?z=1"
        head = f"GET {url} HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer own\r\nConnection: x-hop\r\nX-Hop: 1\r\n"
        answer = ask(path, f"{head}Proxy-Authorization: Basic x\r\nAccept-Encoding: br\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"\r\nx-a: b\r\n" in answer
        assert answer.endswith(b"\r\n\r\nhi")
        sent = server.heads[0]
        assert sent.startswith("GET /y?z=1 HTTP/1.1\r\n")
        assert f"host: {HOST}:{server.port}\r\n" in sent
        assert "authorization: Bearer own" in sent  # a program's own credential for a declared host
        assert "accept-encoding: identity" in sent
        for gone in ("evil", "x-hop", "proxy", "br\r\n"):
            assert gone not in sent


def test_a_body_goes_along_where_the_method_is_declared(proxied: Any) -> None:
    outside = Loopback()
    with serving(outside, reply()) as server:
        path, _ = proxied({"hosts": [f"http://{HOST}:{server.port}"], "methods": ["POST"]}, outside)
        url = f"http://{HOST}:{server.port}/"
        chunked = f"POST {url} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        assert ask(path, chunked.encode()).startswith(b"HTTP/1.1 200")
        assert "content-length: 3" in server.heads[0]
        assert "transfer-encoding" not in server.heads[0]


class Inside(Scripted):
    """`inside.example.com` is private, every other name public."""

    def resolve(self, host: str, seconds: float) -> list[str]:
        return ["127.0.0.1"] if host.startswith("inside.") else [PUBLIC]


ATTACKS = [
    b"GET http://127.0.0.1:{canary}/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://inside.example.com:{canary}/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://169.254.169.254/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://user@a.example.com:{canary}/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1:{canary}\r\n\r\n",
    b"POST http://a.example.com/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx",
    b"GET http://undeclared.example.net/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET https://a.example.com/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT undeclared.example.net:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT a.example.com:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"TRACE http://a.example.com/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET file:///etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://a.example.com/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET http://a.example.com/ HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n",
    b"GET http://a.example.com/ HTTP/1.1\r\nHost: x\r\nMetadata-Flavor: Google\r\n\r\n",
    b"GET http://a.example.com/ HTTP/1.1\r\nHost: x\r\nCookie: a\r\nCookie: b\r\n\r\n",
    b"CONNECT 127.0.0.1:{canary} HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT inside.example.com:{canary} HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT a.example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n",  # declared, but for no tunnel
    b"CONNECT t.example.com:22 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT t.example.com HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT t.example.com:443@127.0.0.1:{canary} HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT [::ffff:127.0.0.1]:{canary} HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT 2130706433:{canary} HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT localhost:{canary} HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT /var/run/docker.sock HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x05\x01\x00",  # SOCKS
    b"GET http://a.example.com/ HTTP/1.1\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
    b"nonsense\r\n\r\n",
]


@pytest.mark.parametrize("data", ATTACKS, ids=range(len(ATTACKS)))
def test_what_lies_outside_is_dialled_by_nobody(proxied: Any, data: bytes) -> None:
    outside = Inside()
    hosts = [f"http://{HOST}", {"host": "t.example.com", "tunnel": True}, "http://inside.example.com"]
    with serving(Loopback(), reply()) as canary:
        path, _ = proxied({"hosts": hosts}, outside)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(path)
            sock.sendall(data.replace(b"{canary}", str(canary.port).encode()))
            sock.shutdown(socket.SHUT_WR)
            answer = sock.recv(65536)
        assert answer.partition(b"\r\n\r\n")[2] in {b"", b"refused\n"}  # constant: the reason stays outside
        assert outside.dialled == []
        assert canary.connections == 0


def through(path: str, target: str, name: str | None, authority: Authority) -> ssl.SSLSocket:
    """A TLS connection to `name` through a tunnel to `target`."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(5)
    sock.connect(path)
    sock.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    head = sock.recv(1000)
    if not head.startswith(b"HTTP/1.1 200"):
        sock.close()
        raise ConnectionError(head)
    context = authority.trusted()
    context.check_hostname = False
    try:
        return context.wrap_socket(sock, server_hostname=name)
    except BaseException:
        sock.close()
        raise


def test_a_tunnel_carries_tls_to_the_name_that_it_is_for(proxied: Any, tmp_path: Path) -> None:
    outside, authority = Loopback(), Authority()
    with serving(outside, reply(b"x" * 300_000), authority.server(HOST, tmp_path)) as server:
        path, _ = proxied({"hosts": [{"host": f"{HOST}:{server.port}", "tunnel": True}]}, outside)
        with through(path, f"{HOST}:{server.port}", HOST, authority) as tls:
            tls.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            read = b""
            while len(read.partition(b"\r\n\r\n")[2]) < 300_000:
                read += tls.recv(65536)
        assert len(server.heads) == 1
        assert outside.dialled == [f"127.0.0.1:{server.port}"]


@pytest.mark.parametrize("name", ["other.example.com", None])
def test_a_tunnel_leads_to_no_other_name_behind_the_same_address(
    proxied: Any, tmp_path: Path, name: str | None
) -> None:
    outside, authority = Loopback(), Authority()
    with serving(outside, reply(), authority.server("other.example.com", tmp_path)) as server:
        path, reports = proxied({"hosts": [{"host": f"{HOST}:{server.port}", "tunnel": True}]}, outside)
        with pytest.raises((ssl.SSLError, OSError)):
            through(path, f"{HOST}:{server.port}", name, authority)
        assert server.heads == []
        assert "another name" in reports[0]


def test_a_tunnel_carries_nothing_but_tls(proxied: Any) -> None:
    outside = Loopback()
    with serving(outside, reply()) as server:
        path, reports = proxied({"hosts": [{"host": f"{HOST}:{server.port}", "tunnel": True}]}, outside)
        answer = ask(
            path, f"CONNECT {HOST}:{server.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), more=b"GET / HTTP/1.1\r\n\r\n"
        )
        assert answer == b"HTTP/1.1 200 Connection established\r\n\r\n"
        assert server.heads == []
        assert reports


def hello_of(name: str | None) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def test_the_name_is_read_from_a_real_hello_and_from_no_broken_one() -> None:
    whole = hello_of("a.example.com")
    assert hello.server_name(whole) == "a.example.com"
    assert hello.server_name(hello_of(None)) == ""
    for cut in range(len(whole)):
        assert hello.server_name(whole[:cut]) == ""
    ech = whole.replace(b"\x00\x00\x00\x12\x00\x10\x00\x00\x0d", b"\xfe\x0d\x00\x12\x00\x10\x00\x00\x0d")
    assert ech != whole
    assert hello.server_name(ech) == ""


def test_only_this_user_may_connect_and_nothing_stays_behind(proxied: Any, tmp_path: Path) -> None:
    with opened({"hosts": [HOST]}, Scripted()) as http:
        proxy = http.proxy(str(tmp_path / "own"))
        proxy.start()
        assert stat.S_IMODE(Path(proxy.path).stat().st_mode) == 0o600
        again = http.proxy(proxy.path)
        with pytest.raises(OSError, match="in use"):
            again.start()
        again.close()
        assert Path(proxy.path).exists()
        proxy.close()
        assert not Path(proxy.path).exists()


def test_a_client_that_says_nothing_is_let_go(proxied: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEAD_SECONDS", 0.2)
    path, _ = proxied({"hosts": [HOST], "seconds": 0.2}, Scripted())
    begin = time.monotonic()
    ask(path, b"GET http://a.example")
    assert time.monotonic() - begin < 3


def test_there_are_only_so_many_clients(proxied: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CLIENTS", 2)
    path, _ = proxied({"hosts": [HOST]}, Scripted())
    held = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    try:
        for sock in held:
            sock.settimeout(5)
            sock.connect(path)
        assert held[2].recv(1) == b""  # shown the door
    finally:
        for sock in held:
            sock.close()
