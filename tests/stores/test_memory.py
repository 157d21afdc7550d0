from __future__ import annotations

from collections.abc import Callable

import pytest

from interlock.stores.memory.audit import MemoryAudit
from tests.stores.conformance import AuditConformance


class TestMemoryAudit(AuditConformance):
    @pytest.fixture
    def make(self) -> Callable[..., MemoryAudit]:
        return lambda clock: MemoryAudit(clock=clock)
