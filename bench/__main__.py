"""Every benchmark that needs nothing but this repository: `python -m bench [name …]`.

AgentDojo has a target of its own, `make bench-agentdojo`, because it needs its packages and the instrument.
"""

from __future__ import annotations

import runpy
import sys

BENCHES = ("audit", "decision", "files", "limits", "wire")


def main() -> int:
    """Run the named benches, or all."""
    asked = sys.argv[1:] or list(BENCHES)
    if unknown := [name for name in asked if name not in BENCHES]:
        print(f"`{unknown[0]}` is no bench; there are {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    for name in asked:
        print(f"## {name}\n", flush=True)
        sys.argv = [f"bench.{name}"]
        try:
            runpy.run_module(f"bench.{name}", run_name="__main__")
        except SystemExit as done:
            if done.code not in {None, 0}:
                return 1
        print()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
