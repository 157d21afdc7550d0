"""Who asks: keys, claims, and what becomes of everything that looks like one."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from interlock.gateway.errors import GatewayError
from interlock.policy.errors import PolicyError
from interlock.testing import ModelServer, ScriptedModel
from tests.gateway.world import KEY, PROVIDER_KEY, World, world

ISSUER, AUDIENCE = "https://login.example.com", "interlock"
SECRET = "u" * 40  # what `secret://USERS` is in `world`
PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CURVE = ec.generate_private_key(ec.SECP256R1())
USERS: dict[str, Any] = {
    "issuer": ISSUER,
    "audience": AUDIENCE,
    "algorithms": ["RS256"],
    "jwks": "jwks.json",
    "me": ["email"],
}
SHARED: dict[str, Any] = {"issuer": ISSUER, "audience": AUDIENCE, "algorithms": ["HS256"], "secret": "secret://USERS"}
BODY: dict[str, Any] = {"model": "gpt-test", "messages": [{"role": "user", "content": "Hi"}]}
GOOD: dict[str, Any] = {"iss": ISSUER, "aud": AUDIENCE, "sub": "maria", "email": "maria@example.com"}


def public(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def jwks(**keys: Any) -> dict[str, Any]:
    return {
        "keys": [json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(k.public_key())) | {"kid": n} for n, k in keys.items()]
    }


def token(claims: dict[str, Any] | None = None, *, key: Any = PRIVATE, alg: str = "RS256", **head: Any) -> str:
    body = {"exp": time.time() + 60} | (GOOD if claims is None else claims)
    body = {name: value for name, value in body.items() if value is not None}
    return jwt.encode(body, key, algorithm=alg, headers={"kid": "one"} | head)


@contextmanager
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, users: Any) -> Iterator[tuple[ModelServer, World]]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jwks.json").write_text(json.dumps(jwks(one=PRIVATE)))
    with ModelServer(ScriptedModel(["Hello"] * 50)) as model, world(model.openai_url, users=users) as w:
        yield model, w


def ask(w: World, claim: str | None = None, **headers: str) -> httpx2.Response:
    sent = {"authorization": f"Bearer {KEY}"} | ({"x-interlock-user": claim} if claim is not None else {}) | headers
    return httpx2.post(f"{w.url}/v1/chat/completions", json=BODY, headers=sent, timeout=20)


def principals(w: World) -> list[object]:
    return [r.body["principal"] for r in w.records("run")]


# keys


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {KEY}"},
        {"authorization": KEY},
        {"authorization": "Bearer"},
        {"x-api-key": KEY + "x"},
        {"x-api-key": KEY.upper()},
        {"x-api-key": "k" * 100_00},
        {"authorization": f"Bearer {PROVIDER_KEY}"},
        {"cookie": f"authorization=Bearer {KEY}"},
        {"proxy-authorization": f"Bearer {KEY}"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/messages/count_tokens"])
def test_without_an_issued_key_nothing_passes(path: str, headers: dict[str, str]) -> None:
    with ModelServer(ScriptedModel(["Hello"])) as model, world(model.openai_url, model.url) as w:
        with httpx2.Client() as c:
            request = httpx2.Request("POST", f"{w.url}{path}", json=BODY, headers=list(headers.items()))
            answer = c.send(request)
        assert answer.status_code == 401
        assert ("error" if "messages" in path else None) == answer.json().get("type")
        assert KEY not in answer.text
        assert answer.headers["x-should-retry"] == "false"
        assert model.requests == []


@pytest.mark.parametrize(
    "headers", [{"authorization": f"Bearer {KEY}"}, {"x-api-key": KEY}, {"authorization": f"bearer {KEY}"}]
)
def test_an_issued_key_is_an_agent(headers: dict[str, str]) -> None:
    with ModelServer(ScriptedModel(["Hello"])) as model, world(model.openai_url) as w:
        answer = httpx2.post(f"{w.url}/v1/chat/completions", json=BODY, headers=headers)
        assert answer.status_code == 200
        assert [(r.body["agent"], r.body["principal"]) for r in w.records("run")] == [("support", "emma")]


def test_a_store_of_keys_that_is_away_lets_nobody_in() -> None:
    with ModelServer(ScriptedModel(["Hello"])) as model, world(model.openai_url) as w:

        def broken(presented: str) -> None:
            raise OSError("away")

        w.serving.gateway.doorkeeper._keys.find = broken  # type: ignore[method-assign]
        answer = ask(w)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert model.requests == []


# claims


def test_a_signed_claim_is_the_principal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gateway(tmp_path, monkeypatch, USERS) as (model, w):
        assert ask(w, token()).status_code == 200
        assert principals(w) == ["maria"]
        assert "x-interlock-user" not in model.requests[0].headers


def test_a_shared_secret_serves_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gateway(tmp_path, monkeypatch, SHARED) as (_, w):
        assert ask(w, token(key=SECRET, alg="HS256")).status_code == 200
        assert ask(w, token(key="another secret, just as long as that", alg="HS256")).status_code == 401
        assert principals(w) == ["maria"]


def _with_public_key() -> str:
    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    head = part(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "one"}).encode())
    body = part(json.dumps(GOOD | {"exp": int(time.time()) + 60}).encode())
    return f"{head}.{body}.{part(hmac.digest(public(PRIVATE), f'{head}.{body}'.encode(), 'sha256'))}"


def _with_another_body() -> str:
    head, _, signature = token().split(".")
    return f"{head}.{token(GOOD | {'sub': 'oscar'}).split('.')[1]}.{signature}"


FORGED: dict[str, Any] = {
    "no claim": lambda: None,
    "no JWT": lambda: "maria",
    "unsigned": lambda: token(key=None, alg="none"),
    "a stranger's signature": lambda: token(key=STRANGER),
    "the public key as a secret": _with_public_key,
    "another algorithm": lambda: token(key=CURVE, alg="ES256"),
    "an algorithm that is not on the list": lambda: token(alg="RS512"),
    "another issuer": lambda: token(GOOD | {"iss": "https://evil.example"}),
    "no issuer": lambda: token(GOOD | {"iss": None}),
    "another audience": lambda: token(GOOD | {"aud": "shop"}),
    "no audience": lambda: token(GOOD | {"aud": None}),
    "expired": lambda: token(GOOD | {"exp": time.time() - 60}),
    "never expiring": lambda: token(GOOD | {"exp": None}),
    "not yet": lambda: token(GOOD | {"nbf": time.time() + 600}),
    "an unknown key": lambda: token(kid="two"),
    "no key's name": lambda: token(kid=""),
    "a critical extension": lambda: token(crit=["x"], x=1),
    "nobody": lambda: token(GOOD | {"sub": ""}),
    "a list of people": lambda: token(GOOD | {"sub": None, "sub2": ["maria"]}),
    "a name that draws": lambda: token(GOOD | {"sub": "maria\u202e"}),
    "a name without end": lambda: token(GOOD | {"sub": "m" * 300}),
    "a key of its own": lambda: token(key=STRANGER, jwk=jwks(one=STRANGER)["keys"][0], jku="https://evil.example"),
    "cut": lambda: token()[:-10],
    "another body": _with_another_body,
}


@pytest.mark.parametrize("how", FORGED)
def test_what_is_not_proven_is_nobody(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gateway(tmp_path, monkeypatch, USERS) as (model, w):
        answer = ask(w, FORGED[how]())
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_user")
        assert model.requests == []
        assert principals(w) == []
        assert ask(w, token()).status_code == 200


def test_a_claim_that_nobody_can_verify_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gateway(tmp_path, monkeypatch, None) as (_, w):
        assert ask(w, token()).status_code == 401
        assert ask(w).status_code == 200


def test_where_claims_are_optional_the_key_speaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gateway(tmp_path, monkeypatch, USERS | {"required": False}) as (_, w):
        assert ask(w).status_code == 200
        assert ask(w, token(key=STRANGER)).status_code == 401
        assert principals(w) == ["emma"]


@pytest.mark.parametrize(
    "users",
    [
        USERS | {"algorithms": ["RS256", "HS256"], "secret": "secret://USERS"},
        USERS | {"algorithms": ["HS256"]},
        SHARED | {"algorithms": ["RS256"]},
        USERS | {"jwks": "http://login.example.com/jwks"},
        USERS | {"jwks": "nowhere.json"},
        USERS | {"algorithms": ["none"]},
        USERS | {"algorithms": []},
    ],
    ids=str,
)
def test_what_could_not_verify_does_not_start(users: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((GatewayError, PolicyError)), gateway(tmp_path, monkeypatch, users):
        pass


# operators


def test_metrics_and_posture_are_the_operators() -> None:
    told = {"operator_token": "secret://OPERATOR"}
    with ModelServer(ScriptedModel(["Hello"])) as model, world(model.openai_url, settings=told) as w:
        assert ask(w).status_code == 200
        for headers in ({}, {"authorization": f"Bearer {KEY}"}, {"authorization": "Bearer wrong"}):
            assert httpx2.get(f"{w.url}/metrics", headers=headers).status_code == 404
            assert httpx2.get(f"{w.url}/readyz", headers=headers).json() == {"status": "ready"}
        operator = {"authorization": "Bearer operator-token-77aa"}
        page = httpx2.get(f"{w.url}/metrics", headers=operator).text
        assert 'interlock_requests_total{route="chat:create",status="200"' in page
        posture = httpx2.get(f"{w.url}/readyz", headers=operator).json()["posture"]
        assert posture["not_enforced"]["performed_elsewhere"] == ["find_order", "read_mail", "send_email"]
        assert PROVIDER_KEY not in page + json.dumps(posture)
        assert "gpt-test" not in page


def test_health_asks_nobody() -> None:
    with ModelServer(ScriptedModel([])) as model, world(model.openai_url) as w:
        assert httpx2.get(f"{w.url}/healthz").json() == {"status": "ok"}
        assert httpx2.post(f"{w.url}/healthz").status_code == 405
