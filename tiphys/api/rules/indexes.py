"""Indexes of indexed jobs, written as `1,3-5,7`."""

from __future__ import annotations

import re

_NUMBER = re.compile("[+-]?[0-9]{1,18}")


class BadIndexes(ValueError):
    """A list of indexes that cannot be parsed."""


def intervals(text: str, completions: int) -> list[tuple[int, int]]:
    """First and last index of every interval, in order. Raises BadIndexes."""
    result: list[tuple[int, int]] = []
    for part in text.split(",") if text else ():
        interval = _interval(part, completions)
        if result and result[-1][1] >= interval[0]:
            raise BadIndexes(f"non-increasing order, previous: {result[-1][1]}, current: {interval[0]}")
        result.append(interval)
    return result


def count(text: str, completions: int) -> int:
    """Count the indexes in the text. Raises BadIndexes."""
    return sum(last - first + 1 for first, last in intervals(text, completions))


def first_common(text: str, other: str, completions: int) -> int | None:
    """The first index that both texts name. Unreadable intervals are left out: another check reports them."""
    mine, theirs = _readable(text, completions), _readable(other, completions)
    at = 0
    for first, last in mine:
        while at < len(theirs) and theirs[at][1] < first:
            at += 1
        if at < len(theirs) and theirs[at][0] <= last:
            return max(first, theirs[at][0])
    return None


def _readable(text: str, completions: int) -> list[tuple[int, int]]:
    result = []
    for part in text.split(",") if text else ():
        try:
            result.append(_interval(part, completions))
        except BadIndexes:
            continue
    return sorted(result)


def _interval(text: str, completions: int) -> tuple[int, int]:
    limits = text.split("-")
    if len(limits) > 2:
        raise BadIndexes(
            f"the fragment \"{text}\" violates the requirement that an index interval can have at most two parts separated by '-'"
        )
    numbers = []
    for limit in limits:
        if not _NUMBER.fullmatch(limit):
            raise BadIndexes(f'cannot convert string to integer for index: "{limit}"')
        if int(limit) >= completions:
            raise BadIndexes(f'too large index: "{limit}"')
        numbers.append(int(limit))
    if len(numbers) == 2 and numbers[0] >= numbers[1]:
        raise BadIndexes(f"non-increasing order, previous: {numbers[0]}, current: {numbers[1]}")
    return numbers[0], numbers[-1]
