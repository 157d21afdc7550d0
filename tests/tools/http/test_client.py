"""Real sockets on loopback: redirects, bombs, slow and endless answers, TLS names, what is really sent."""

import gzip
import socket
import ssl
import time
import tracemalloc
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from interlock.tools.http.capability import Http
from interlock.tools.http.client import tls_context
from interlock.tools.http.errors import BadAnswer, NotReached, TooMuch
from interlock.tools.kind import ConfigError, ScopeError, ToolFailed
from tests.tools.http.server import Authority, Server, Talk, reply, serving
from tests.tools.http.world import Loopback, opened, perform

HOST = "a.example.com"


def fetch(http: Http, url: str, **arguments: Any) -> Any:
    operation = http.operations[-1 if "body" in arguments else 0]
    return perform(operation, {"url": url, **arguments})


def declared(*servers: Server, **more: Any) -> dict[str, Any]:
    """A configuration that declares `HOST` and `b.example.com` on the ports of `servers`."""
    hosts = [f"http://{host}:{s.port}" for s in servers for host in (HOST, "b.example.com")]
    return {"hosts": hosts, "seconds": 3, **more}


def test_an_answer_is_status_headers_and_text() -> None:
    outside = Loopback()
    talk = reply("grüße".encode("latin-1"), Content_Type="text/plain; charset=iso-8859-1", Set_Cookie="a=b", ETag='"1"')
    with serving(outside, talk) as server, opened(declared(server), outside) as http:
        url = f"http://{HOST}:{server.port}/x?y=1#z"
        assert fetch(http, url) == {
            "status": 200,
            "url": url.removesuffix("#z"),
            "headers": {"content-type": "text/plain; charset=iso-8859-1", "etag": '"1"'},
            "body": "grüße",
        }


def test_what_is_sent_is_the_canonical_request_and_nothing_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    outside = Loopback()
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    (tmp_path / ".netrc").write_text(f"machine {HOST} login me password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with serving(outside, reply()) as server, opened(declared(server), outside) as http:
        fetch(http, f"http://A.Example.COM.:{server.port}/a/../b%41?q=ü", headers={"X-Id": "7", "Accept": "text/plain"})
        lines = server.heads[0].split("\r\n")
        assert lines[0] == "GET /bA?q=%C3%BC HTTP/1.1"
        assert sorted(lines[1:-2]) == [
            "accept-encoding: identity",
            "accept: text/plain",
            "connection: close",
            f"host: {HOST}:{server.port}",
            "user-agent: interlock",
            "x-id: 7",
        ]


def test_data_is_sent_as_json_and_text_as_text() -> None:
    outside = Loopback()
    bodies = []

    def talk(sock: socket.socket, head: str) -> None:
        size = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
        body = head.partition("\r\n\r\n")[2].encode("latin-1")
        while len(body) < size:
            body += sock.recv(1000)
        bodies.append(body)
        reply()(sock, head)

    with serving(outside, talk) as server, opened(declared(server, methods=["POST"]), outside) as http:
        url = f"http://{HOST}:{server.port}/"
        fetch(http, url, body={"a": "ü", "b": [1]})
        fetch(http, url, body="plain", headers={"Content-Type": "text/csv"})
    assert bodies == ['{"a": "ü", "b": [1]}'.encode(), b"plain"]
    assert "content-type: application/json" in server.heads[0]
    assert "content-type: text/csv" in server.heads[1]


# redirects


def test_a_redirect_is_shown_not_followed() -> None:
    outside = Loopback()
    with (
        serving(outside, reply(status="302 Found", Location="/next")) as server,
        opened(declared(server), outside) as http,
    ):
        answer = fetch(http, f"http://{HOST}:{server.port}/")
        assert (answer["status"], answer["headers"]["location"], len(server.heads)) == (302, "/next", 1)


def routes(table: dict[str, Talk]) -> Talk:
    def talk(sock: socket.socket, head: str) -> None:
        path = head.split(" ")[1]
        table.get(path, reply(path.encode()))(sock, head)

    return talk


def to(location: str, status: Any = "302 Found") -> Talk:
    return reply(b"", status=status, Location=location)


@pytest.mark.parametrize(
    "location", ["/next", "next", "?q", "//a.example.com:{port}/next", "http://A.EXAMPLE.com.:{port}/x/../next", "#top"]
)
def test_a_redirect_inside_the_scope_is_followed_when_the_entry_says_so(location: str) -> None:
    outside = Loopback()
    table: dict[str, Talk] = {}
    with serving(outside, routes(table)) as server, opened(declared(server, redirects=2), outside) as http:
        table["/"] = to(location.format(port=server.port))
        if location == "#top":  # the same page for ever
            with pytest.raises(ScopeError, match="redirects"):
                fetch(http, f"http://{HOST}:{server.port}/")
        else:
            assert fetch(http, f"http://{HOST}:{server.port}/")["body"] in {"/next", "/?q"}


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{canary}/",
        "http://127.0.0.1:{port}/secret",
        "http://[::ffff:127.0.0.1]:{canary}/",
        "http://2130706433:{canary}/",
        "http://inside.example.com:{canary}/",
        "http://inside.example.com:{port}/secret",
        "//inside.example.com:{port}/secret",
        "http://169.254.169.254/latest/",
        "http://localhost:{canary}/",
        "http://a.example.com:{canary}/",  # another port
        "https://a.example.com:{port}/secret",  # another scheme
        "http://user@a.example.com:{port}/secret",
        "http://a.example.com\\@127.0.0.1:{canary}/",
        "\\\\127.0.0.1:{canary}\\",
        "file:///etc/passwd",
        "gopher://127.0.0.1:{canary}/",
        "javascript:alert(1)",
        "data:text/plain,x",
        "/ü\x85",
        "http://undeclared.example.net:{port}/secret",
    ],
)
def test_a_redirect_out_of_the_scope_reaches_nobody(location: str) -> None:
    outside = Loopback({"inside.example.com": ["127.0.0.2"]})
    table: dict[str, Talk] = {}
    with serving(Loopback(), reply()) as canary, serving(outside, routes(table)) as server:
        config = declared(server, redirects=5)
        config["hosts"].append(f"http://inside.example.com:{server.port}")
        with opened(config, outside) as http:
            table["/"] = to(location.format(port=server.port, canary=canary.port))
            with pytest.raises((ScopeError, NotReached)):
                fetch(http, f"http://{HOST}:{server.port}/")
        assert outside.dialled == [f"127.0.0.1:{server.port}"]
        assert (len(server.heads), canary.connections) == (1, 0)


def test_a_redirect_stays_on_its_port_even_where_both_are_declared() -> None:
    outside = Loopback()
    table: dict[str, Talk] = {}
    with serving(outside, routes(table)) as server, serving(outside, reply()) as other:
        table["/"] = to(f"http://{HOST}:{other.port}/")
        with opened(declared(server, other, redirects=3), outside) as http:
            assert fetch(http, f"http://{HOST}:{other.port}/")["status"] == 200
            with pytest.raises(ScopeError, match="scheme or port"):
                fetch(http, f"http://{HOST}:{server.port}/")
    assert len(other.heads) == 1


def test_redirects_are_counted() -> None:
    outside = Loopback()
    table = {f"/{n}": to(f"/{n + 1}") for n in range(10)}
    with serving(outside, routes(table)) as server, opened(declared(server, redirects=3), outside) as http:
        with pytest.raises(ScopeError, match="more than 3"):
            fetch(http, f"http://{HOST}:{server.port}/0")
        assert len(server.heads) == 4
        assert fetch(http, f"http://{HOST}:{server.port}/7")["body"] == "/10"


def test_two_locations_are_followed_nowhere() -> None:
    outside = Loopback()

    def talk(sock: socket.socket, head: str) -> None:
        sock.sendall(b"HTTP/1.1 302 F\r\nLocation: /a\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n")

    with (
        serving(outside, talk) as server,
        opened(declared(server, redirects=3), outside) as http,
        pytest.raises(ScopeError, match="two places"),
    ):
        fetch(http, f"http://{HOST}:{server.port}/")


def test_a_redirect_is_checked_against_path_prefixes_too() -> None:
    outside = Loopback()
    table = {"/api/x": to("/admin")}
    with serving(outside, routes(table)) as server:
        hosts = [{"host": f"http://{HOST}:{server.port}", "paths": ["/api/"]}]
        with opened({"hosts": hosts, "redirects": 3}, outside) as http, pytest.raises(ScopeError, match="prefix"):
            fetch(http, f"http://{HOST}:{server.port}/api/x")
        assert len(server.heads) == 1


def test_a_writing_method_follows_nothing() -> None:
    outside = Loopback()
    config = {"methods": ["POST"], "redirects": 3}
    for status in ("301 M", "302 F", "303 S", "307 T", "308 P"):
        with (
            serving(outside, routes({"/": to("/next", status)})) as server,
            opened(declared(server, **config), outside) as http,
        ):
            assert fetch(http, f"http://{HOST}:{server.port}/", body="x")["status"] == int(status[:3])
            assert len(server.heads) == 1


def test_secrets_and_headers_stay_behind_at_another_origin_and_do_not_come_back() -> None:
    outside = Loopback()
    table: dict[str, Talk] = {}

    def inject(host: str, method: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer for-{host}-{method}"}

    with (
        serving(outside, routes(table)) as server,
        opened(declared(server, redirects=3), outside, inject=inject) as http,
    ):
        table["/"] = to("/second")
        table["/second"] = to(f"http://b.example.com:{server.port}/third")
        table["/third"] = to(f"http://{HOST}:{server.port}/fourth")
        fetch(http, f"http://{HOST}:{server.port}/", headers={"X-Tenant": "7", "Accept": "text/plain"})
    first, second, third, fourth = server.heads
    for head in (first, second):
        assert f"authorization: Bearer for-{HOST}-GET" in head
        assert "x-tenant: 7" in head
    for head in (third, fourth):
        assert "authorization" not in head
        assert "x-tenant" not in head
        assert "accept: text/plain" in head


# secrets


def test_a_secret_is_in_no_result_and_no_error() -> None:
    outside = Loopback()
    secret = "s3cr3t\r\nX: y"
    with (
        serving(outside, reply()) as server,
        opened(declared(server), outside, inject=lambda h, m: {"X-Key": secret}) as http,
        pytest.raises(ToolFailed) as caught,
    ):
        fetch(http, f"http://{HOST}:{server.port}/")
    assert "s3cr3t" not in f"{caught.value} {caught.value.hint}"
    assert server.heads == []


def test_an_injector_that_fails_sends_nothing_and_says_nothing() -> None:
    outside = Loopback()

    def inject(host: str, method: str) -> Mapping[str, str]:
        raise RuntimeError("could not decrypt s3cr3t")

    with (
        serving(outside, reply()) as server,
        opened(declared(server), outside, inject=inject) as http,
        pytest.raises(ToolFailed) as caught,
    ):
        fetch(http, f"http://{HOST}:{server.port}/")
    assert "s3cr3t" not in f"{caught.value} {caught.value.hint}"
    assert server.heads == []


def test_an_injected_header_wins_over_a_call_s() -> None:
    outside = Loopback()
    with (
        serving(outside, reply()) as server,
        opened(declared(server), outside, inject=lambda h, m: {"X-Key": "ours"}) as http,
    ):
        fetch(http, f"http://{HOST}:{server.port}/", headers={"x-key": "theirs"})
        assert "x-key: ours" in server.heads[0]
        assert "theirs" not in server.heads[0]


# size


def chunked(chunks: Iterable[bytes]) -> Talk:
    def talk(sock: socket.socket, head: str) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for chunk in chunks:
            sock.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        sock.sendall(b"0\r\n\r\n")

    return talk


BIG = 200_000_000  # bytes: what a bomb unpacks to


def bomb() -> bytes:
    packer = zlib.compressobj(wbits=31)
    return b"".join(packer.compress(bytes(1_000_000)) for _ in range(BIG // 1_000_000)) + packer.flush()


@pytest.mark.parametrize(
    "talk",
    [
        reply(b"x" * 10_001),
        chunked([b"x" * 1000] * 11),
        chunked(b"x" for _ in range(10_001)),
        reply(gzip.compress(b"x" * 10_001, mtime=0), Content_Encoding="gzip"),
        reply(zlib.compress(b"x" * 10_001), Content_Encoding="deflate"),
        lambda sock, head: sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nx"),
        lambda sock, head: sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 10_001) or "close",
    ],
    ids=["length", "chunks", "tiny-chunks", "gzip", "deflate", "declared", "until-close"],
)
def test_an_answer_one_byte_too_large_is_refused(talk: Talk) -> None:
    outside = Loopback()
    with (
        serving(outside, talk) as server,
        opened(declared(server, max_bytes=10_000), outside) as http,
        pytest.raises(TooMuch),
    ):
        fetch(http, f"http://{HOST}:{server.port}/")


def test_an_answer_of_exactly_the_limit_is_read() -> None:
    outside = Loopback()
    for talk in (
        reply(b"x" * 10_000),
        chunked([b"x" * 1000] * 10),
        reply(gzip.compress(b"x" * 10_000, mtime=0), Content_Encoding="gzip"),
    ):
        with serving(outside, talk) as server, opened(declared(server, max_bytes=10_000), outside) as http:
            assert fetch(http, f"http://{HOST}:{server.port}/")["body"] == "x" * 10_000


def test_a_bomb_is_not_unpacked() -> None:
    outside = Loopback()
    with serving(outside, reply(bomb(), Content_Encoding="gzip")) as server, opened(declared(server), outside) as http:
        tracemalloc.start()
        try:
            with pytest.raises(TooMuch, match="decoded"):
                fetch(http, f"http://{HOST}:{server.port}/")
            assert tracemalloc.get_traced_memory()[1] < 20_000_000
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(
    ("body", "coding"),
    [(b"x", "br"), (b"x", "zstd"), (gzip.compress(gzip.compress(b"x", mtime=0), mtime=0), "gzip, gzip"), (b"no gzip", "gzip"),
     (gzip.compress(b"x", mtime=0)[:-4], "gzip"), (gzip.compress(b"x", mtime=0) * 2, "gzip")],
)  # fmt: skip
def test_an_encoding_that_is_not_plain_is_refused(body: bytes, coding: str) -> None:
    outside = Loopback()
    with (
        serving(outside, reply(body, Content_Encoding=coding)) as server,
        opened(declared(server), outside) as http,
        pytest.raises(BadAnswer),
    ):
        fetch(http, f"http://{HOST}:{server.port}/")


def endless(start: bytes, piece: bytes) -> Talk:
    def talk(sock: socket.socket, head: str) -> None:
        sock.sendall(start)
        while True:
            sock.sendall(piece)

    return talk


@pytest.mark.parametrize(
    "talk",
    [
        endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 10_000),
        endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000),
        endless(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 10_000),
        endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 5_000 + b"\r\nx\r\n"),
        endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 1000),
        endless(b"", b"nonsense"),
        lambda sock, head: sock.sendall(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"Content-Length: 0\r\n\r\n"),
    ],
    ids=["body", "headers", "header", "informational", "chunk-extensions", "trailers", "no-http", "header-count"],
)
def test_an_endless_answer_ends(talk: Talk) -> None:
    outside = Loopback()
    with serving(outside, talk) as server, opened(declared(server, max_bytes=100_000, seconds=20), outside) as http:
        begin = time.monotonic()
        with pytest.raises(ToolFailed):
            fetch(http, f"http://{HOST}:{server.port}/")
        assert time.monotonic() - begin < 15  # by size, not by time


@pytest.mark.parametrize(
    "talk",
    [
        reply(b"", status="101 Switching Protocols", Upgrade="websocket", Connection="Upgrade"),
        lambda sock, head: sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
        lambda sock, head: sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort") or "close",
        lambda sock, head: sock.sendall(b"HTTP/9.9 200 OK\r\n\r\n") or "close",
        lambda sock, head: sock.sendall(b"SSH-2.0-OpenSSH\r\n\r\n") or "close",
        lambda sock, head: "close",
    ],
    ids=["upgrade", "two-lengths", "broken-off", "version", "ssh", "silence"],
)
def test_what_is_no_answer_is_an_error(talk: Talk) -> None:
    outside = Loopback()
    with serving(outside, talk) as server, opened(declared(server), outside) as http, pytest.raises(ToolFailed):
        fetch(http, f"http://{HOST}:{server.port}/")


# time


def drip(first: bytes, piece: bytes) -> Talk:
    def talk(sock: socket.socket, head: str) -> None:
        sock.sendall(first)
        for _ in range(100):
            time.sleep(0.1)
            sock.sendall(piece)

    return talk


@pytest.mark.parametrize(
    "talk",
    [
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n", b"x"),
        drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        drip(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", b"data: x\n\n"),
        lambda sock, head: time.sleep(10),
    ],
    ids=["body", "headers", "informational", "events", "silence"],
)
def test_a_deadline_is_for_the_whole(talk: Talk) -> None:
    outside = Loopback()
    with serving(outside, talk) as server, opened(declared(server, seconds=0.5), outside) as http:
        begin = time.monotonic()
        with pytest.raises(TooMuch, match="longer"):
            fetch(http, f"http://{HOST}:{server.port}/")
        assert time.monotonic() - begin < 3


def test_redirects_share_the_deadline() -> None:
    outside = Loopback()

    def talk(sock: socket.socket, head: str) -> None:
        time.sleep(0.2)
        to("/" + head.split(" ")[1].strip("/") + "x")(sock, head)

    with serving(outside, talk) as server, opened(declared(server, seconds=0.7, redirects=10), outside) as http:
        with pytest.raises(TooMuch, match="longer"):
            fetch(http, f"http://{HOST}:{server.port}/")
        assert len(server.heads) <= 4


def test_after_a_refused_answer_the_connection_is_not_used_again() -> None:
    outside = Loopback()
    table = {"/big": reply(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged" * 1000)}
    with serving(outside, routes(table)) as server, opened(declared(server, max_bytes=1000), outside) as http:
        with pytest.raises(TooMuch):
            fetch(http, f"http://{HOST}:{server.port}/big")
        assert fetch(http, f"http://{HOST}:{server.port}/ok")["body"] == "/ok"
        assert server.connections == 2


def test_what_a_server_says_out_of_turn_answers_no_later_request() -> None:
    outside = Loopback()

    def talk(sock: socket.socket, head: str) -> None:
        reply(head.split(" ")[1].encode())(sock, head)
        reply(b"forged")(sock, head)

    with serving(outside, talk) as server, opened(declared(server), outside) as http:
        for path in ("/1", "/2", "/3"):
            assert fetch(http, f"http://{HOST}:{server.port}{path}")["body"] == path
            time.sleep(0.05)


# names and connections


def test_no_name_rides_on_another_s_connection() -> None:
    outside = Loopback()
    with serving(outside, reply()) as server, opened(declared(server), outside) as http:
        for host in (HOST, HOST, "b.example.com", "b.example.com"):
            fetch(http, f"http://{host}:{server.port}/")
        assert server.connections == 4


def test_every_new_connection_is_checked_anew() -> None:
    outside = Loopback({HOST: ["127.0.0.1"]})

    def talk(sock: socket.socket, head: str) -> object:
        reply(Connection="close")(sock, head)
        return "close"

    with serving(outside, talk) as server, opened(declared(server), outside) as http:
        fetch(http, f"http://{HOST}:{server.port}/")
        outside.hosts[HOST] = ["127.0.0.2"]
        with pytest.raises(NotReached):
            fetch(http, f"http://{HOST}:{server.port}/")
        assert outside.dialled == [f"127.0.0.1:{server.port}"]


def test_tls_is_checked_against_the_name_that_was_asked_for(tmp_path: Path) -> None:
    outside, authority = Loopback(), Authority()
    tls = authority.server("b.example.com", tmp_path)
    with serving(outside, reply(), tls) as server:
        config = {"hosts": [f"{HOST}:{server.port}", f"b.example.com:{server.port}"]}
        with opened(config, outside, tls=authority.trusted()) as http:
            assert fetch(http, f"https://b.example.com:{server.port}/")["body"] == "hello"
            with pytest.raises(NotReached):
                fetch(http, f"https://{HOST}:{server.port}/")
        with opened(config, outside, tls=Authority().trusted()) as http, pytest.raises(NotReached):
            fetch(http, f"https://b.example.com:{server.port}/")
    assert len(server.heads) == 1


def test_a_context_that_checks_nothing_is_refused(tmp_path: Path) -> None:
    outside, authority = Loopback(), Authority()
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname = False
    with (
        serving(outside, reply(), authority.server(HOST, tmp_path)) as server,
        opened({"hosts": [f"{HOST}:{server.port}"]}, outside, tls=blind) as http,
        pytest.raises(BadAnswer),
    ):
        fetch(http, f"https://{HOST}:{server.port}/")
    assert server.heads == []


def test_a_server_that_stalls_in_tls_meets_the_deadline() -> None:
    outside = Loopback()
    with (
        serving(outside, lambda sock, head: time.sleep(10)) as server,
        opened({"hosts": [f"{HOST}:{server.port}"], "seconds": 0.5}, outside) as http,
    ):
        begin = time.monotonic()
        with pytest.raises(ToolFailed):
            fetch(http, f"https://{HOST}:{server.port}/")
        assert time.monotonic() - begin < 3


def test_which_authorities_are_believed_is_not_the_environment_s_choice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    outside, authority = Loopback(), Authority()
    (tmp_path / "own.pem").write_bytes(authority.certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "own.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    assert ssl.create_default_context().keylog_filename  # the usual way would read them
    with (
        serving(outside, reply(), authority.server(HOST, tmp_path)) as server,
        opened({"hosts": [f"{HOST}:{server.port}"]}, outside, tls=tls_context()) as http,
    ):
        with pytest.raises(NotReached):
            fetch(http, f"https://{HOST}:{server.port}/")
        assert server.heads == []
    assert tls_context().keylog_filename is None


def test_m9_without_authorities_an_entry_does_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*args: Any, **kwargs: Any) -> None:
        raise FileNotFoundError("no such file")

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", load)
    with pytest.raises(ConfigError, match="authorities"), opened({"hosts": [HOST]}, Loopback(), tls=None):
        pass
