"""What stores raise.

StoreError            a store cannot do what was asked: budgets and approvals then refuse, taint is assumed
└── StoreAway         it cannot be reached, or does not answer in time
"""

from __future__ import annotations

from interlock.kernel.errors import InterlockError


class StoreError(InterlockError):
    """A store cannot do what was asked of it. Nothing was changed."""


class StoreAway(StoreError):
    """A store cannot be reached, or did not answer in time. What it was asked to change may or may not have changed."""
