"""`interlock serve`: the gateway. What may be done stands in the manifest; the environment says where and how much.

Options stand above the environment. Before it listens it prints what is enforced and what is not (M10).
"""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from dataclasses import replace

from interlock.cli.errors import UsageError
from interlock.cli.show import table
from interlock.config import Settings, described


def arguments(parser: ArgumentParser) -> None:
    """Where, and with how many processes."""
    parser.add_argument("--manifest", metavar="FILE", help="default: INTERLOCK_MANIFEST, else interlock.yaml")
    parser.add_argument("--host", help="default: INTERLOCK_HOST, else 127.0.0.1")
    parser.add_argument("--port", type=int, help="default: PORT, else 8080")
    parser.add_argument("--workers", type=int, metavar="N", help="default: INTERLOCK_WORKERS, else 1")
    parser.add_argument("--settings", action="store_true", help="list every setting of the environment, and end")


def run(options: Namespace) -> int:
    """Serve until a signal; the exit status."""
    if options.settings:
        print("\n".join(table([("key", "default", "what it sets"), *((k, str(d), t) for k, d, t in described())])))
        return 0
    given = {n: getattr(options, n) for n in ("manifest", "host", "port", "workers") if getattr(options, n) is not None}
    settings = replace(Settings.read(os.environ), **given)
    try:
        from interlock.gateway.serve import run as serve
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing.startswith("interlock"):
            raise
        raise UsageError(f"`{missing}` is missing", hint="`pip install interlock[gateway]`") from None
    return serve(settings)
