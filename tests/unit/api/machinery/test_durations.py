"""Lengths of time as Go writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.api.machinery.durations import FIRST, NEVER, later, nanoseconds, seconds, written


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


@given(st.datetimes(timezones=st.just(UTC)), st.integers(-(2**63), 2**63 - 1) | st.just(float("inf")))
def test_every_period_after_every_moment_is_a_moment(moment: datetime, period: float) -> None:
    result = later(moment, period)
    if result not in (FIRST, NEVER):
        assert result - moment == timedelta(seconds=period)
    else:
        assert (result > moment) == (period > 0) or result == moment


def test_a_moment_too_far_away_never_comes() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert later(moment, 300_000_000_000) == later(moment, 2**63 - 1) == NEVER
    assert later(moment, -(2**63)) == FIRST
    assert later(moment, -1.5) == moment - timedelta(seconds=1.5)
