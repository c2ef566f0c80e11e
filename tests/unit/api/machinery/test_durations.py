"""Lengths of time as Go writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.api.machinery.durations import nanoseconds, seconds, written


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("0s", 0),
        ("0", 0),
        ("15.02s", 15_020_000_000),
        ("1h30m0s", 5_400 * 10**9),
        ("-250ms", -250 * 10**6),
        ("1.5h", 5_400 * 10**9),
        ("1.s", 10**9),
        ("1μs", 1000),
        ("1µs", 1000),
    ],
)
def test_reads(text: str, nanos: int) -> None:
    assert nanoseconds(text) == nanos


@pytest.mark.parametrize("text", ["", "5", "s", "1d", "1s ", "--1s", "1s-", "1e3s", "1.5.5s", "9999999h"])
def test_rejects(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration, such as 30s"):
        seconds(text)


@pytest.mark.parametrize(
    ("nanos", "text"),
    [(0, "0s"), (15_023_000_000, "15.023s"), (5_400 * 10**9, "1h30m0s"), (-60 * 10**9, "-1m0s"), (1_500, "1.5µs"), (250 * 10**6, "250ms")],
)
def test_writes(nanos: int, text: str) -> None:
    assert written(nanos) == text


@given(st.integers(-(2**62), 2**62))
def test_reads_what_it_writes(nanos: int) -> None:
    assert nanoseconds(written(nanos)) == nanos
