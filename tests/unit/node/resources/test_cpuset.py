"""Lists of CPUs as the kernel writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.node.resources.cpuset import parse, text_of


@pytest.mark.parametrize(
    ("text", "numbers"), [("", set()), ("0", {0}), ("0-3,8\n", {0, 1, 2, 3, 8}), ("3,1", {1, 3}), ("2-2", {2}), (" 1 ", {1})]
)
def test_parses(text: str, numbers: set[int]) -> None:
    assert parse(text) == numbers


@pytest.mark.parametrize("text", ["a", "1-", "-1", "1--2", "3-1", "1,,2", "1;2", "²"])
def test_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"range|before it begins"):
        parse(text)


def test_writes_ranges() -> None:
    assert text_of([8, 3, 2, 1, 0]) == "0-3,8"
    assert text_of([]) == ""


@given(st.frozensets(st.integers(0, 300)))
def test_round_trip(numbers: frozenset[int]) -> None:
    assert parse(text_of(numbers)) == numbers
