"""The matrix: every dialect, plain and streamed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.gateway.clients import Client
from tests.stores.conftest import postgres_dsn, postgres_server  # noqa: F401 - fixtures

Make = Callable[..., Client]
DIALECTS = ("chat", "anthropic", "responses")


@pytest.fixture(
    params=[(d, s) for d in DIALECTS for s in (False, True)], ids=lambda p: f"{p[0]}-{'streamed' if p[1] else 'plain'}"
)
def client(request: pytest.FixtureRequest) -> Make:
    """Makes the client of this cell: `client(url, key=…)`."""
    dialect, stream = request.param

    def make(url: str, **more: object) -> Client:
        return Client(dialect=dialect, stream=stream, url=url, **more)  # type: ignore[arg-type]

    return make
