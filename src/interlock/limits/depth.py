"""Recursion across agents: who started whom, as a chain of names, and how long it may get.

A run that an agent starts for another carries its parent's chain and its own name. The chain is what ends a recursion
that no single run can see: A asks B, B asks A, and each run has made one call only.
"""

from __future__ import annotations

from typing import Final

MAX_DEPTH: Final = 8  # agents in a chain, unless the manifest says less or more


def descend(chain: tuple[str, ...], agent: str) -> tuple[str, ...]:
    """The chain of a run of `agent` that the last agent of `chain` starts."""
    return (*chain, agent)


def too_deep(chain: tuple[str, ...], limit: int) -> str:
    """Why a run with this chain may make no call; empty if it may. `limit` counts agents, the first included."""
    if len(chain) <= limit:
        return ""
    return f"{len(chain)} agents deep ({' > '.join(chain[-5:])}); the limit is {limit}"
