"""Sets of indexes as intervals, against sets of numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.api.rules.indexes import intervals
from tiphys.controllers.job.indexes import Indexes

sets = st.sets(st.integers(0, 30))


def numbers(indexes: Indexes) -> set[int]:
    return {number for first, last in indexes.intervals for number in range(first, last + 1)}


@pytest.mark.parametrize(("found", "text"), [(set(), ""), ({3}, "3"), ({3, 4}, "3,4"), ({1, 3, 4, 5, 7}, "1,3-5,7")])
def test_are_written_as_the_status_has_them(found: set[int], text: str) -> None:
    assert str(Indexes.of(found)) == text
    assert Indexes.parse(text, 100) == Indexes.of(found)


@given(sets)
def test_written_ones_are_valid_and_read_back(found: set[int]) -> None:
    indexes = Indexes.of(found)
    assert numbers(indexes) == found
    assert indexes.total == len(found)
    intervals(str(indexes), 31)
    assert Indexes.parse(str(indexes), 31) == indexes


@given(sets, st.integers(0, 31))
def test_those_beyond_the_completions_are_forgotten(found: set[int], completions: int) -> None:
    assert numbers(Indexes.parse(str(Indexes.of(found)), completions)) == {number for number in found if number < completions}


@pytest.mark.parametrize("text", ["x", "1-x", "-1", "1-", "1,,2", "５"])
def test_malformed_indexes_are_left_out(text: str) -> None:
    assert numbers(Indexes.parse(f"{text},7", 10)) <= {1, 2, 5, 7}
    assert Indexes.parse(f"{text},7", 10).has(7)


@given(sets, sets)
def test_union_and_overlap(one: set[int], other: set[int]) -> None:
    first, second = Indexes.of(one), Indexes.of(other)
    assert numbers(first.union(second)) == one | other
    assert first.union(second) == Indexes.of(one | other)
    assert first.overlap(second) == second.overlap(first) == len(one & other)
    assert {number for number in range(32) if first.has(number)} == one


@given(sets, st.integers(0, 12), st.integers(0, 31))
def test_missing_ones_come_in_order(found: set[int], count: int, completions: int) -> None:
    expected = [number for number in range(completions) if number not in found][:count]
    assert Indexes.of(found).missing(count, completions) == expected
