"""Time zones as spans of a constant offset to UTC, so that a search need not look at every minute. Pure.

Moments are whole seconds since the epoch (`datetime.timestamp`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import NamedTuple

DAY = 86400
MAX_YEAR = 9990
"""Year in which searches end: the calendar of `datetime` ends soon after."""


class Span(NamedTuple):
    """Moments from `start` up to `end`, which is not part of it, in which clocks differ from UTC by `offset` seconds."""

    start: int
    end: int
    offset: int


@lru_cache(512)
def spans(zone: tzinfo, year: int) -> tuple[Span, ...]:
    """Return the spans of a year (of UTC). Clocks that change twice within a day and end up as before are taken not to change."""
    start, end = _start(year), _start(year + 1)
    ends = [change for day in range(start, end, DAY) for change in _changes(zone, day, min(day + DAY, end - 1))]
    starts = [start, *ends]
    return tuple(Span(first, last, _offset(zone, first)) for first, last in zip(starts, [*ends, end], strict=True))


def forward(zone: tzinfo, moment: int, years: int) -> Iterator[Span]:
    """Yield the spans from the one with this moment on, for some years."""
    first = year_of(moment)
    for year in range(first, min(first + years, MAX_YEAR)):
        yield from (span for span in spans(zone, year) if span.end > moment)


def backward(zone: tzinfo, moment: int, until: int) -> Iterator[Span]:
    """Yield the spans from the one with this moment back to the one with the moment `until`."""
    for year in range(year_of(moment), year_of(until) - 1, -1):
        yield from (span for span in reversed(spans(zone, year)) if span.start <= moment and span.end > until)


def year_of(moment: int) -> int:
    """Return the year of a moment (of UTC)."""
    return datetime.fromtimestamp(moment, UTC).year


def _start(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp())


def _offset(zone: tzinfo, moment: int) -> int:
    offset = datetime.fromtimestamp(moment, UTC).astimezone(zone).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def _changes(zone: tzinfo, low: int, high: int) -> list[int]:
    """Return the moments after `low` up to `high` at which the offset changes."""
    if _offset(zone, low) == _offset(zone, high):
        return []
    if high - low == 1:
        return [high]
    middle = (low + high) // 2
    return _changes(zone, low, middle) + _changes(zone, middle, high)
