"""Tallies: which are newer, and which were dropped."""

from __future__ import annotations

from tiphys.scheduler.tally import Tallies, Tally


def tally() -> Tally:
    return Tally(3, lambda social, terminating: True)


def test_newer_tallies_are_told_from_older_ones_and_dropped_ones() -> None:
    tallies = Tallies(limit=2)
    first, second = tallies.of("first", tally), tallies.of("second", tally)
    assert list(tallies.since(0)) == [second, first]
    assert tallies.of("first", tally) is first
    third = tallies.of("third", tally)
    assert [tallies.has(one) for one in (first, second, third)] == [True, False, True], "the least recently used one is dropped"
    assert list(tallies.since(first.number)) == [third]
    tallies.clear()
    assert (list(tallies.since(0)), tallies.newest) == ([], third.number)
    assert list(tallies.since(third.number)) == []
    again = tallies.of("third", tally)
    assert list(tallies.since(third.number)) == [again]
