"""Bounded memory of functions of texts that users write: selectors, quantities, names, addresses, expressions.

`functools.lru_cache` counts entries, and a text can be as long as a body: two thousand selectors of 60 KB held 6 GB. Here long texts are
not kept, and what is kept has a weight in sum. A function takes one argument, a text or a tuple with texts, and what it knows is found
without a Python frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

K = TypeVar("K", str, bytes, tuple[Any, ...])
V = TypeVar("V")

MAX_TEXT = 256
"""Characters of the longest text that is kept."""
MAX_WEIGHT = 256 << 10
"""Characters of all texts that a function keeps, each counted with ENTRY more."""
ENTRY = 32


def cached(
    *, heaviest: int = MAX_TEXT, weight: int = MAX_WEIGHT, weigh: Callable[[Any, Any], int] | None = None
) -> Callable[[Callable[[K], V]], Callable[[K], V]]:
    """Remember the results of a function. Its results are shared: they must not be changed; exceptions are not remembered.

    `weigh` gives the weight of a key and its result, by default the characters of its texts. What weighs more than `heaviest` is not
    kept, and all is forgotten when it would weigh more than `weight` together.
    """

    def decorate(function: Callable[[K], V]) -> Callable[[K], V]:
        return _Known(function, heaviest, weight, weigh or _letters).__getitem__

    return decorate


def _letters(key: str | bytes | tuple[Any, ...], _: object) -> int:
    return sum([len(part) for part in key if isinstance(part, str | bytes)]) if isinstance(key, tuple) else len(key)


class _Known(dict[Any, V]):
    """Results by their keys."""

    def __init__(self, function: Callable[[Any], V], heaviest: int, weight: int, weigh: Callable[[Any, V], int]) -> None:
        super().__init__()
        self._function = function
        self._heaviest, self._weight, self._weigh = heaviest, weight, weigh
        self._left = weight

    def __missing__(self, key: Any) -> V:
        result = self._function(key)
        weight = self._weigh(key, result)
        if weight <= self._heaviest:
            weight += ENTRY
            if weight > self._left:
                self.clear()
                self._left = self._weight
            self._left -= weight
            self[key] = result
        return result
