"""Dictionaries of dictionaries without empty entries."""

from __future__ import annotations

from typing import TypeVar

K = TypeVar("K")
L = TypeVar("L")
V = TypeVar("V")


def discard(nested: dict[K, dict[L, V]], outer: K, inner: L) -> None:
    """Remove an entry if it is there, and its dictionary when that is empty."""
    entries = nested.get(outer)
    if entries is not None:
        entries.pop(inner, None)
        if not entries:
            del nested[outer]
