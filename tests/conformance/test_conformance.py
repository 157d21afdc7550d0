"""Each cell of the matrix, against the gateway as a process."""

from __future__ import annotations

import pytest

from tests.conformance.cells import Bench, Cell, cells


@pytest.mark.parametrize("cell", cells(), ids=lambda cell: cell.id)
def test_cell(cell: Cell, bench: Bench) -> None:
    cell.check(cell, bench)


def test_no_two_cells_are_the_same() -> None:
    names = [cell.id for cell in cells()]
    assert len(set(names)) == len(names)
