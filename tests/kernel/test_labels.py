"""K6, K7: labels form an order in which joining only ever loses."""

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given

from interlock.kernel.errors import LabelError
from interlock.kernel.labels import UNKNOWN, Integrity, Label, Readers, join_all
from tests.kernel import invariants
from tests.kernel.strategies import NAMES, labels, names, readers


@given(labels, labels, labels)
def test_k6_a_join_never_gains(a: Label, b: Label, need: Label) -> None:
    invariants.k6_joining_is_the_meet(a, b, need)


@given(labels, labels, labels)
def test_k6_order_grouping_and_repetition_of_joins_mean_nothing(a: Label, b: Label, c: Label) -> None:
    invariants.k6_joining_is_orderless(a, b, c)


@given(readers, readers, names)
def test_k6_only_those_read_the_join_who_may_read_both(a: Readers, b: Readers, name: str) -> None:
    invariants.k6_readers_only_shrink(a, b, name)


@given(readers, readers)
def test_k6_covering_is_including_each(a: Readers, b: Readers) -> None:
    invariants.k6_covering_is_including(a, b, [*NAMES, "zoe"])


@given(labels, labels)
def test_k6_neither_half_of_a_label_makes_up_for_the_other(a: Label, need: Label) -> None:
    invariants.flowing_takes_both(a, need)


@given(labels)
def test_k7_no_label_means_untrusted_and_readable_by_nobody(need: Label) -> None:
    invariants.k7_unknown_stands_nowhere(need)
    assert UNKNOWN.integrity is Integrity.EXTERNAL
    assert not any(UNKNOWN.readers.include(n) for n in NAMES)


@given(labels)
def test_k7_one_unknown_part_spoils_the_whole(a: Label) -> None:
    assert join_all([a, UNKNOWN, a]) == UNKNOWN
    assert join_all([a]) == a


@pytest.mark.parametrize("name", ["", None, 3])
def test_a_reader_has_a_name(name: str) -> None:
    with pytest.raises(LabelError, match="a reader is a name"):
        Readers.of("ann", name)


@pytest.mark.parametrize("make", [Label, partial(Label, Integrity.USER), Readers])
def test_a_label_has_no_default(make: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match="missing"):
        make()
