"""Salts of audit records, drawn from the system by the hundred: one at a time each would cost as much as its hash.

Those that were drawn before a fork are the parent's: two processes that used the same salt would let whoever sees one's
records guess what the other erased. So a child begins with none.
"""

from __future__ import annotations

import os
from typing import Final

from interlock.audit.commitment import SALT

AT_ONCE: Final = 128
_drawn: Final[list[str]] = []
_watched: Final[list[bool]] = []  # not empty: a fork empties the others


def fresh() -> str:
    """Random hex digits that nobody else gets. Any thread may ask."""
    try:
        return _drawn.pop()  # atomic
    except IndexError:
        return _first_of_many()


def _first_of_many() -> str:
    if not _watched and hasattr(os, "register_at_fork"):
        _watched.append(True)
        os.register_at_fork(after_in_child=_drawn.clear)
    digits = os.urandom(AT_ONCE * SALT // 2).hex()
    _drawn.extend([digits[at : at + SALT] for at in range(SALT, len(digits), SALT)])
    return digits[:SALT]
