"""An entry of the manifest: what it yields, and what it is told when it cannot be what it says."""

import socket
from typing import Any

import pytest

from interlock.kernel.spec import Effect, Role, ToolSpec
from interlock.policy.errors import ConfigError
from interlock.tools.http import KIND
from interlock.tools.http.spec import settings
from interlock.tools.kind import Injection


def tools(**config: Any) -> dict[str, ToolSpec]:
    return {tool.name: tool for tool in KIND.specs("fetch", {"kind": "http", **config})}


def test_reading_is_one_tool_with_the_entry_s_name() -> None:
    found = tools(hosts=["docs.example.com"])
    assert list(found) == ["fetch"]
    tool = found["fetch"]
    assert tool.effect is Effect.FETCH
    assert {a.path: a.role for a in tool.arguments} == {"url": Role.URL, "headers": Role.TEXT, "method": Role.OPTION}
    assert "'enum': ['GET', 'HEAD']" in str(tool.schema)
    assert "docs.example.com" in tool.description
    assert tool.returns.own == ()  # external, all of it


def test_every_writing_method_is_a_tool_of_its_own_and_an_egress() -> None:
    hosts = ["docs.example.com", {"host": "api.example.com", "methods": ["POST", "DELETE"]}]
    found = tools(hosts=hosts)
    assert {name: tool.effect for name, tool in found.items()} == {
        "fetch_get": Effect.FETCH,
        "fetch_post": Effect.EGRESS,
        "fetch_delete": Effect.EGRESS,
    }
    assert {a.path: a.role for a in found["fetch_post"].arguments}["body"] is Role.TEXT
    assert "docs.example.com" not in found["fetch_post"].description
    assert list(tools(hosts=["a.example.com"], methods=["POST"])) == ["fetch"]


def test_results_are_own_only_when_the_entry_says_trusted() -> None:
    assert tools(hosts=["a.example.com"], trusted=True)["fetch"].returns.own == ("*",)


def test_any_public_host_is_an_explicit_choice() -> None:
    assert "any public host" in tools(any_public_host=True)["fetch"].description
    wrong: tuple[dict[str, Any], ...] = ({}, {"hosts": []}, {"any_public_host": False})
    for config in wrong:
        with pytest.raises(ConfigError, match="no host is declared"):
            tools(**config)


def test_what_is_left_out_is_the_safe_case() -> None:
    found = settings({"hosts": ["a.example.com"]})
    (rule,) = found.rules
    assert rule.schemes == {"https"}
    assert rule.ports == {80, 443}
    assert rule.methods == {"GET", "HEAD"}
    assert (found.redirects, found.trusted, rule.tunnel) == (0, False, False)


@pytest.mark.parametrize(
    ("config", "path", "says"),
    [
        ({"host": ["a.example.com"]}, ("host",), "no key"),
        ({"hosts": "a.example.com"}, ("hosts",), "list"),
        ({"hosts": [7]}, ("hosts", "0"), "name"),
        ({"hosts": [{"methods": ["GET"]}]}, ("hosts", "0", "host"), "text"),
        ({"hosts": ["a.example.com", {"host": "b.example.com", "path": ["/"]}]}, ("hosts", "1", "path"), "no key"),
        ({"hosts": ["https://a.example.com/path"]}, ("hosts", "0", "host"), "label"),
        ({"hosts": ["ftp://a.example.com"]}, ("hosts", "0", "host"), "http or https"),
        ({"hosts": ["*"]}, ("hosts", "0", "host"), "label"),
        ({"hosts": ["*.com"]}, ("hosts", "0", "host"), "wider"),
        ({"hosts": ["*.10.0.0.1"]}, ("hosts", "0", "host"), "wider"),
        ({"hosts": ["a.*.example.com"]}, ("hosts", "0", "host"), "label"),
        ({"hosts": ["user@a.example.com"]}, ("hosts", "0", "host"), "user info"),
        ({"hosts": ["localhost"]}, ("hosts", "0", "host"), "never reached"),
        ({"hosts": ["db.internal"]}, ("hosts", "0", "host"), "never reached"),
        ({"hosts": ["metadata.google.internal"]}, ("hosts", "0", "host"), "never reached"),
        ({"hosts": ["0x7f.1"]}, ("hosts", "0", "host"), "odd spelling"),
        ({"hosts": ["a.example.com:99999"]}, ("hosts", "0", "host"), "port"),
        ({"hosts": [{"host": "a.example.com", "paths": []}]}, ("hosts", "0", "paths"), "at least one"),
        ({"hosts": [{"host": "a.example.com", "paths": ["api/"]}]}, ("hosts", "0", "paths"), "no path prefix"),
        ({"hosts": [{"host": "a.example.com", "paths": ["/a/../b/"]}]}, ("hosts", "0", "paths"), "plain spelling"),
        ({"hosts": [{"host": "a.example.com", "paths": ["/a?b"]}]}, ("hosts", "0", "paths"), "no path prefix"),
        ({"hosts": [{"host": "a.example.com", "methods": ["get"]}]}, ("hosts", "0", "methods"), "not possible"),
        ({"hosts": ["a.example.com"], "methods": ["CONNECT"]}, ("methods",), "not possible"),
        ({"hosts": ["a.example.com"], "methods": []}, ("methods",), "at least one"),
        ({"hosts": ["a.example.com"], "schemes": ["ftp"]}, ("schemes",), "not possible"),
        ({"hosts": ["a.example.com"], "ports": [0]}, ("ports",), "no port"),
        ({"hosts": ["a.example.com"], "ports": [True]}, ("ports",), "no port"),
        ({"hosts": ["a.example.com"], "ports": []}, ("ports",), "list"),
        ({"hosts": [{"host": "http://a.example.com", "secret": "secret://K"}]}, ("hosts", "0"), "over https"),
        ({"hosts": [{"host": "*.example.com", "secret": "secret://K"}]}, ("hosts", "0"), "exact host"),
        ({"hosts": ["*.example.com", {"host": "a.example.com", "secret": "secret://K"}]}, ("hosts",), "named twice"),
        ({"hosts": [{"host": "a.example.com", "secret": "literal"}]}, ("hosts", "0", "secret"), "no handle"),
        ({"hosts": [{"host": "a.example.com", "secret": "x secret://K"}]}, ("hosts", "0", "secret"), "no handle"),
        (
            {"hosts": [{"host": "a.example.com", "headers": {"X": "literal"}}]},
            ("hosts", "0", "headers", "X"),
            "no handle",
        ),
        ({"hosts": [{"host": "a.example.com", "headers": ["X"]}]}, ("hosts", "0", "headers"), "names"),
        ({"hosts": ["a.example.com"], "redirects": 11}, ("redirects",), "between"),
        ({"hosts": ["a.example.com"], "redirects": True}, ("redirects",), "number"),
        ({"hosts": ["a.example.com"], "seconds": 0}, ("seconds",), "between"),
        ({"hosts": ["a.example.com"], "seconds": float("nan")}, ("seconds",), "between"),
        ({"hosts": ["a.example.com"], "max_bytes": 1.5}, ("max_bytes",), "whole"),
        ({"hosts": ["a.example.com"], "max_bytes": "2MB"}, ("max_bytes",), "number"),
        ({"hosts": ["a.example.com"], "trusted": "yes"}, ("trusted",), "true or false"),
        ({"hosts": ["a.example.com"], "any_public_host": 1}, ("any_public_host",), "true or false"),
    ],
)
def test_a_mistake_is_named_with_its_place(config: dict[str, Any], path: tuple[str, ...], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        tools(**config)
    assert caught.value.path == path


def test_a_misspelt_key_is_recognised() -> None:
    with pytest.raises(ConfigError) as caught:
        tools(hosts=["a.example.com"], redirect=3)
    assert caught.value.hint == "did you mean `redirects`?"


def test_specs_touch_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError(args)

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert tools(hosts=["a.example.com"])


def test_a_secret_is_for_one_host_its_methods_https_and_one_port() -> None:
    hosts = [
        {"host": "api.openai.com", "methods": ["POST"], "secret": "secret://OPENAI_KEY", "tunnel": True},
        {"host": "a.example.com:8443", "headers": {"Authorization": "Bearer secret://KEY"}},
        "b.example.com",
    ]
    found = settings({"hosts": hosts, "schemes": ["http", "https"], "any_public_host": True})
    assert found.injections == (
        Injection(secret="secret://OPENAI_KEY", host="api.openai.com", port=443, methods=("POST",)),
        Injection(
            secret="secret://KEY",
            host="a.example.com",
            port=8443,
            methods=("GET", "HEAD"),
            header="Authorization",
            prefix="Bearer ",
        ),
    )
    for rule, port in zip(found.rules, (443, 8443), strict=False):
        assert (set(rule.schemes), set(rule.ports), rule.tunnel) == ({"https"}, {port}, False)  # nowhere else


def test_a_literal_in_place_of_a_handle_is_not_repeated() -> None:
    for wrong in ({"secret": "s3cr3t"}, {"headers": {"X-Key": "s3cr3t"}}):
        with pytest.raises(ConfigError) as caught:
            tools(hosts=[{"host": "a.example.com", **wrong}])
        assert "s3cr3t" not in f"{caught.value} {caught.value.hint}"
