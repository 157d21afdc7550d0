"""A secret goes to its hosts, in its header, with its methods, over TLS; anything else is refused."""

from collections.abc import Mapping
from typing import Any

import pytest

from interlock.secrets.errors import InjectRefused, SecretError
from interlock.secrets.handles import Secret
from interlock.secrets.inject import PRESETS, Binding, Injector, preset
from tests.secrets.vaults import CALL, PERMIT, VALUE, vault


def headers(injector: Injector, *arguments: Any, **more: Any) -> Mapping[str, str]:
    with BOX.performing(PERMIT, CALL, injector.handles):
        return injector.headers_for(*arguments, **more)


BOX = vault({"KEY": VALUE, "TWO": "second-value-2"}, "secret://KEY", "secret://TWO")
KEY: Secret = BOX.get("secret://KEY")
OPENAI = Injector([preset("openai", KEY)])


@pytest.mark.parametrize(
    ("service", "host", "header", "value"),
    [
        ("openai", "api.openai.com", "Authorization", f"Bearer {VALUE}"),
        ("anthropic", "api.anthropic.com", "x-api-key", VALUE),
        ("pinecone", "api.pinecone.io", "Api-Key", VALUE),
        ("langsmith", "api.smith.langchain.com", "x-api-key", VALUE),
    ],
)
def test_presets(service: str, host: str, header: str, value: str) -> None:
    for method in ("GET", "POST"):
        assert dict(headers(Injector([preset(service, KEY)]), host, method)) == {header: value}


def test_every_preset_is_tested() -> None:
    assert set(PRESETS) == {"openai", "anthropic", "pinecone", "langsmith"}


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "api.openai.com.evil.example",
        "xapi.openai.com",
        "openai.com",
        "API.OPENAI.COM",
        "api.openai.com.",
        "api.openai.com:443",
        "api.openai.com@evil.example",
        "user@api.openai.com",
        "api.openai.com/",
        "api.openai.com\n",
        " api.openai.com",
        "api\u2024openai.com",
        "арi.openai.com",
        "*.openai.com",
        "127.0.0.1",
        "",
    ],
)
def test_other_hosts_are_refused(host: str) -> None:
    with pytest.raises(InjectRefused) as caught:
        headers(OPENAI, host, "POST")
    assert VALUE not in str(caught.value)


@pytest.mark.parametrize("method", ["DELETE", "PUT", "post", "CONNECT", "TRACE", "", "POST\r\nX: 1"])
def test_other_methods_are_refused(method: str) -> None:
    with pytest.raises(InjectRefused):
        headers(OPENAI, "api.openai.com", method)


@pytest.mark.parametrize(
    "more", [{"scheme": "http"}, {"scheme": "HTTPS"}, {"scheme": ""}, {"port": 80}, {"port": 8443}]
)
def test_only_tls_and_only_the_bound_port(more: dict[str, Any]) -> None:
    with pytest.raises(InjectRefused):
        headers(OPENAI, "api.openai.com", "POST", **more)


@pytest.mark.parametrize("given", ["Authorization", "authorization", "AUTHORIZATION"])
def test_a_request_does_not_bring_the_header_itself(given: str) -> None:
    with pytest.raises(InjectRefused):
        headers(OPENAI, "api.openai.com", "POST", given=["accept", given])
    assert headers(OPENAI, "api.openai.com", "POST", given=["accept", "x-api-key"])


def test_outside_perform_there_is_nothing_to_inject() -> None:
    with pytest.raises(SecretError):
        OPENAI.headers_for("api.openai.com", "POST")
    with BOX.performing(PERMIT, CALL, ["secret://TWO"]), pytest.raises(SecretError):
        OPENAI.headers_for("api.openai.com", "POST")


@pytest.mark.parametrize(
    "value", ["two\nlines", "two\r\nX-Injected: 1", "tab\tinside", "umläut-value", " edge", "edge "]
)
def test_a_value_that_would_start_another_header_is_refused(value: str) -> None:
    box = vault({"KEY": value})
    injector = Injector([preset("openai", box.get("secret://KEY"))])
    with box.performing(PERMIT, CALL, injector.handles), pytest.raises(SecretError) as caught:
        injector.headers_for("api.openai.com", "POST")
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"hosts": ()},
        {"hosts": ("*.x.example",)},
        {"hosts": ("X.example",)},
        {"hosts": ("x.example/",)},
        {"hosts": ("https://x.example",)},
        {"hosts": ("x..example",)},
        {"hosts": ("x.example:80",)},
        {"hosts": ("",)},
        {"methods": ()},
        {"methods": ("CONNECT",)},
        {"methods": ("get",)},
        {"header": "Host"},
        {"header": "content-length"},
        {"header": "Transfer-Encoding"},
        {"header": "Proxy-Authorization"},
        {"header": "X: 1"},
        {"header": "X\r\nY"},
        {"header": ""},
        {"prefix": "Bearer\r\nX: "},
        {"prefix": "\0"},
    ],
)
def test_bindings_that_cannot_be(wrong: dict[str, Any]) -> None:
    good: dict[str, Any] = {"secret": KEY, "hosts": ("x.example",), "header": "X-Key", "methods": ("GET",)}
    assert Binding(**good).hosts == ("x.example",)
    with pytest.raises(SecretError):
        Binding(**(good | wrong))


def test_a_preset_goes_to_its_service_only() -> None:
    index = "shop-a1b2c3.svc.us-east-1.pinecone.io"
    binding = preset("pinecone", KEY, hosts=["api.pinecone.io", index], methods=["POST"])
    assert headers(Injector([binding]), index, "POST")
    with pytest.raises(InjectRefused):
        headers(Injector([binding]), index, "DELETE")
    assert preset("langsmith", KEY, hosts=["eu.api.smith.langchain.com"]).header == "x-api-key"
    for service, host in [("pinecone", "evil-pinecone.io"), ("openai", "openai.com"), ("anthropic", "x.example")]:
        with pytest.raises(SecretError):
            preset(service, KEY, hosts=[host])
    with pytest.raises(SecretError, match="openai"):
        preset("unknown", KEY)


def test_two_secrets_on_one_host() -> None:
    two = BOX.get("secret://TWO")
    a = Binding(secret=KEY, hosts=("x.example",), header="X-Key", methods=("GET", "POST"))
    b = Binding(secret=two, hosts=("x.example",), header="X-App", methods=("POST",))
    assert dict(headers(Injector([a, b]), "x.example", "POST")) == {"X-Key": VALUE, "X-App": "second-value-2"}
    assert dict(headers(Injector([a, b]), "x.example", "GET")) == {"X-Key": VALUE}
    with pytest.raises(SecretError, match="twice"):
        Injector([a, Binding(secret=two, hosts=("x.example",), header="x-key", methods=("PUT",))])


def test_headers_and_bindings_print_no_value() -> None:
    found = headers(OPENAI, "api.openai.com", "POST")
    assert VALUE not in repr(found) + str(found) + f"{found}" + repr(OPENAI)
    assert found["Authorization"].endswith(VALUE)
    assert OPENAI.hosts == {"api.openai.com"}
    assert OPENAI.handles == ("secret://KEY",)
