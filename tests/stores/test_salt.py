"""Salts: each is used once, also by the children of a process that has some at hand."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from interlock.audit.commitment import SALT
from interlock.stores.salt import AT_ONCE, fresh


def test_none_is_given_twice() -> None:
    with ThreadPoolExecutor(8) as threads:
        salts = list(threads.map(lambda _: fresh(), range(AT_ONCE * 10)))
    assert len(set(salts)) == len(salts)
    assert {len(salt) for salt in salts} == {SALT}
    assert all(bytes.fromhex(salt) for salt in salts)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_has_none_of_its_parents() -> None:
    fresh()  # so that some are at hand
    into, out = os.pipe()
    if (child := os.fork()) == 0:
        os.write(out, "".join(fresh() for _ in range(AT_ONCE)).encode())
        os._exit(0)
    os.close(out)
    with os.fdopen(into, encoding="ascii") as said:
        theirs = said.read()
    os.waitpid(child, 0)
    mine = {fresh() for _ in range(AT_ONCE)}
    assert len(theirs) == AT_ONCE * SALT
    assert not mine & {theirs[at : at + SALT] for at in range(0, len(theirs), SALT)}
