"""Sets of completion indexes as intervals, written `1,3-5,7` in the status of a Job ("Job": completion mode). Pure.

A Job of 100,000 indexes that succeed about in order has a few intervals, and everything here costs in proportion to those.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import NamedTuple

Interval = tuple[int, int]
"""First and last index."""


class Indexes(NamedTuple):
    """Set of indexes: intervals in order, with at least one index missing between two of them."""

    intervals: tuple[Interval, ...] = ()

    @classmethod
    def parse(cls, text: str, completions: int) -> Indexes:
        """Read the indexes below `completions`. What is no interval is left out: validation keeps it from getting here."""
        intervals = (_interval(part, completions) for part in text.split(",")) if text else ()
        return cls(tuple(_join(sorted(interval for interval in intervals if interval is not None))))

    @classmethod
    def of(cls, indexes: Iterable[int]) -> Indexes:
        """Return the set of single indexes, in any order."""
        return cls(tuple(_join((index, index) for index in sorted(indexes))))

    @property
    def total(self) -> int:
        """Number of indexes in the set."""
        return sum(last - first + 1 for first, last in self.intervals)

    def has(self, index: int) -> bool:
        """Return whether an index is in the set."""
        at = bisect_left(self.intervals, index, key=itemgetter(1))
        return at < len(self.intervals) and self.intervals[at][0] <= index

    def union(self, other: Indexes) -> Indexes:
        """Return the indexes of either set."""
        if not other.intervals:
            return self
        # Two sorted runs: sorting them is one merge.
        return Indexes(tuple(_join(sorted(self.intervals + other.intervals))))

    def overlap(self, other: Indexes) -> int:
        """Return the number of indexes that are in both sets."""
        common, at = 0, 0
        for first, last in self.intervals:
            while at < len(other.intervals) and other.intervals[at][1] < first:
                at += 1
            scan = at
            while scan < len(other.intervals) and other.intervals[scan][0] <= last:
                common += min(last, other.intervals[scan][1]) - max(first, other.intervals[scan][0]) + 1
                scan += 1
            at = max(at, scan - 1)
        return common

    def missing(self, count: int, completions: int) -> list[int]:
        """Return the first `count` indexes below `completions` that are not in the set."""
        result: list[int] = []
        candidate = 0
        for first, last in (*self.intervals, (completions, completions)):
            result.extend(range(candidate, min(first, completions, candidate + count - len(result))))
            candidate = max(candidate, last + 1)
            if len(result) >= count:
                break
        return result

    def __str__(self) -> str:
        return ",".join(_text(first, last) for first, last in self.intervals)


def _text(first: int, last: int) -> str:
    if first == last:
        return str(first)
    return f"{first},{last}" if last == first + 1 else f"{first}-{last}"


def _interval(text: str, completions: int) -> Interval | None:
    first, dash, last = text.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()) or int(first) >= completions:
        return None
    return int(first), min(int(last or first), completions - 1)


def _join(ordered: Iterable[Interval]) -> Iterator[Interval]:
    """Join intervals that touch or overlap; they come in order."""
    begun: Interval | None = None
    for first, last in ordered:
        if begun is None or first > begun[1] + 1:
            if begun is not None:
                yield begun
            begun = first, last
        elif last > begun[1]:
            begun = begun[0], last
    if begun is not None:
        yield begun
