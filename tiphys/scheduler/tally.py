"""Counts of a group's pods per node and per topology domain: counted once, then updated pod by pod."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator

import numpy as np

from tiphys.scheduler.columns import ABSENT, Bools, Codes, Ints, grown
from tiphys.scheduler.social import Social


class Domains:
    """Counts of a tally per value of a node label. Values are codes of the label's column."""

    def __init__(self, codes: Codes, counts: Ints, values: int) -> None:
        self.codes = codes
        self.counts: Ints = _sums(codes, counts, values)

    def count(self, row: int, change: int) -> None:
        """Update for a change of the tally in a row."""
        code = self.codes[row]
        if code != ABSENT:
            self.counts[code] += change

    def per_row(self) -> Ints:
        """Return the count of each row's domain; 0 for rows without the label."""
        result: Ints = np.append(self.counts, 0).take(self.codes)
        return result

    def is_empty(self) -> Bools:
        """Return the rows whose domain has no pods, and those without the label."""
        result: Bools = np.append(self.counts <= 0, True).take(self.codes)
        return result


def _sums(codes: Codes, counts: Ints, values: int) -> Ints:
    there = codes != ABSENT
    sums: Ints = np.bincount(codes[there], weights=counts[there], minlength=values).astype(np.int64)
    return sums


class Tally:
    """Count of pods that `counts_pod` accepts, given their Social and whether they are being deleted."""

    def __init__(self, rows: int, counts_pod: Callable[[Social, bool], bool]) -> None:
        self.counts: Ints = np.zeros(rows, dtype=np.int64)
        self.counts_pod = counts_pod
        self.number = 0
        """Number by which `Tallies` tells older ones from newer ones."""
        self._domains: dict[str, Domains] = {}

    def change(self, row: int, change: int) -> None:
        """Count pods that entered a row or left it."""
        self.counts[row] += change
        for domains in self._domains.values():
            domains.count(row, change)

    def grow(self, rows: int) -> None:
        """Make room for more rows."""
        self.counts = grown(self.counts, rows)
        self._domains.clear()

    def labels_changed(self) -> None:
        """Update for changed labels of nodes, and so of domains."""
        self._domains.clear()

    def domains(self, key: str, codes: Codes, values: int) -> Domains:
        """Return the counts per value of the label `key`, whose column is given."""
        domains = self._domains.get(key)
        if domains is None:
            domains = self._domains[key] = Domains(codes, self.counts, values)
        return domains

    def among(self, codes: Codes, values: int, included: Bools) -> Ints:
        """Return the counts per value over some rows only."""
        return _sums(np.where(included, codes, ABSENT), self.counts, values)


class Tallies:
    """Tallies by what they count. Those not used for a long time are dropped; they can be counted again."""

    def __init__(self, limit: int = 512) -> None:
        self._limit = limit
        self._known: dict[Hashable, Tally] = {}
        self._by_number: dict[int, Tally] = {}
        self.newest = 0
        """Number of the tally that was created last."""

    def __len__(self) -> int:
        return len(self._known)

    def of(self, what: Hashable, make: Callable[[], Tally]) -> Tally:
        """Return a tally, created (and counted) by `make` when it is new."""
        tally = self._known.pop(what, None)
        if tally is None:
            tally = make()
            if len(self._known) >= self._limit:
                del self._by_number[self._known.pop(next(iter(self._known))).number]
            self.newest = tally.number = self.newest + 1
            self._by_number[tally.number] = tally
        self._known[what] = tally
        return tally

    def __iter__(self) -> Iterator[Tally]:
        return iter(self._known.values())

    def clear(self) -> None:
        """Drop all tallies; they are counted again on use."""
        self._known.clear()
        self._by_number.clear()

    def has(self, tally: Tally) -> bool:
        """Return whether a tally has not been dropped."""
        return tally.number in self._by_number

    def since(self, number: int) -> Iterator[Tally]:
        """Yield the tallies that are newer than a number."""
        for newer, tally in reversed(self._by_number.items()):
            if newer <= number:
                return
            yield tally
