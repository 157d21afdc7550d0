"""`python -m tests.chaos --kills 1000`: the long run, on a SQLite file and on PostgreSQL, each with half of the kills."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.harness import Chaos
from tests.chaos.server import postgres


def run() -> int:
    """1 if anything was lost or happened twice."""
    parser = argparse.ArgumentParser(description="Kill everything at random instants and count what is left.")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--store", choices=["sqlite", "postgres", "both"], default="both")
    options = parser.parse_args()
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)  # that the server is away is the point
    stores = ["sqlite", "postgres"] if options.store == "both" else [options.store]
    wrong = False
    for store in stores:
        kills = options.kills // len(stores)
        print(f"{store}: {kills} kills, seed {options.seed}", flush=True)
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            if store == "sqlite":
                found = Chaos(str(Path(folder) / "state.db"), Path(folder), kills, options.seed).run()
            else:
                with postgres() as server:
                    found = Chaos(server.dsn, Path(folder), kills, options.seed, restart=server.cut).run()
        print(f"{found}\n{time.monotonic() - start:.0f} s", flush=True)
        wrong = wrong or bool(found.wrong)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(run())
