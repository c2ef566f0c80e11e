"""Sets of cores as the kernel writes them: `0-3,8` (the "List format" of cpuset(7)). Pure."""

from __future__ import annotations

from collections.abc import Iterable

_LARGEST = 8192
"""Kernels have at most so many cores; a larger number is a mistake."""


def parse_cpus(text: str) -> frozenset[int]:
    """Return the numbers in a list such as `0-3,8`; "" is the empty set. Raises ValueError."""
    cores: set[int] = set()
    for part in text.split(",") if text.strip() else ():
        first, dash, last = part.strip().partition("-")
        numbers = (first, last if dash else first)
        if not all(one.isascii() and one.isdigit() and int(one) < _LARGEST for one in numbers):
            raise ValueError(f"{text} is not a list of cores such as 0-3,8")
        low, high = map(int, numbers)
        if low > high:
            raise ValueError(f"{part.strip()} is not a range: its first core is behind its last")
        cores.update(range(low, high + 1))
    return frozenset(cores)


def format_cpus(cores: Iterable[int]) -> str:
    """Return a set of cores in the kernel's form, with ranges where they are."""
    ranges: list[tuple[int, int]] = []
    for core in sorted(set(cores)):
        if ranges and core == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], core)
        else:
            ranges.append((core, core))
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)
