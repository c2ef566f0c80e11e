"""Sets of CPUs and of NUMA nodes as the kernel writes them: `0-3,8`."""

from __future__ import annotations

from collections.abc import Iterable


def parse(text: str) -> frozenset[int]:
    """Return the numbers of a list such as `0-3,8`; "" is the empty set. Raises ValueError."""
    numbers: set[int] = set()
    for part in text.strip().split(",") if text.strip() else ():
        first, dash, last = part.partition("-")
        if not _is_number(first) or (dash and not _is_number(last)):
            raise ValueError(f"{part!r} is neither a number nor a range such as 0-3")
        low, high = int(first), int(last if dash else first)
        if high < low:
            raise ValueError(f"the range {part} ends before it begins")
        numbers.update(range(low, high + 1))
    return frozenset(numbers)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def text_of(numbers: Iterable[int]) -> str:
    """Return the shortest list of a set of numbers, in order."""
    ranges: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
