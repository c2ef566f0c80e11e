"""Upper bounds of an expression's cost, from its tree and the greatest sizes of its variables ("Common Expression Language in Kubernetes").

A unit is roughly one operation. Texts and lists that grow in the expression are followed by their size, since an expression of a few
hundred letters could otherwise double a text until the memory is full.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tiphys.cel.tree import Tree

LIMIT = 1_000_000
"""Greatest cost of an expression by default."""
UNKNOWN = 64
"""Size of a variable, or of a part of one, without a declared size."""
_MOST = 1 << 62

_PER_TEXT = ("matches", "contains", "startsWith", "endsWith", "indexOf", "lastIndexOf", "find", "findAll", "in", "@in", "_==_", "_!=_")
"""Functions that look at a whole text or list."""
_COPIES = (
    "replace",
    "split",
    "join",
    "lowerAscii",
    "upperAscii",
    "substring",
    "trim",
    "reverse",
    "format",
    "string",
    "bytes",
    "dyn",
    "quote",
)
"""Functions whose result may be as large as their arguments together."""


class Bound(NamedTuple):
    """Greatest cost, and size of the result: letters of a text, entries of a list."""

    cost: int
    size: int


def worst_case(tree: Tree, sizes: Mapping[str, int], costs: Mapping[str, int]) -> int:
    """Return the greatest cost of an expression. `sizes` are those of variables, `costs` those of functions of libraries."""
    return _bound(tree, sizes, costs).cost


def _bound(tree: Tree, sizes: Mapping[str, int], costs: Mapping[str, int]) -> Bound:
    if tree.form == "comprehension":
        return _loop(tree, sizes, costs)
    parts = [_bound(part, sizes, costs) for part in tree.parts]
    cost, total = sum(part.cost for part in parts), sum(part.size for part in parts)
    match tree.form:
        case "constant":
            return Bound(0, len(tree.text or "x"))
        case "name":
            return Bound(1, sizes.get(tree.name, UNKNOWN))
        case "select":
            return Bound(cost + 1, max(UNKNOWN, *(part.size for part in parts)))
        case "list" | "map":
            return _limited(cost + 10 + len(parts), max(total, len(parts)))
        case _:
            return _call(tree.name, cost, total, parts, costs)


def _call(name: str, cost: int, total: int, parts: list[Bound], costs: Mapping[str, int]) -> Bound:
    largest = max((part.size for part in parts), default=1)
    if name == "_+_":
        return _limited(cost + 1 + total // 10, total)
    if name == "replace":
        return _limited(cost + 1 + total, parts[0].size * max(1, parts[-1].size))
    if name in ("split", "format", "join"):
        return _limited(cost + 1 + total, total * max(1, parts[-1].size if name == "join" else 1))
    if name in _COPIES:
        return _limited(cost + 1 + total // 10, total)
    if name == "matches":
        # A pattern's automaton is walked once for each letter.
        return _limited(cost + 1 + (parts[0].size // 10 + 1) * (parts[-1].size // 4 + 1), 1)
    if name in _PER_TEXT:
        return _limited(cost + 1 + largest // 10, largest)
    return _limited(cost + costs.get(name, 1), max(largest, UNKNOWN))


def _loop(tree: Tree, sizes: Mapping[str, int], costs: Mapping[str, int]) -> Bound:
    """Bound a comprehension: `all`, `exists`, `map`, `filter`, and `cel.bind`, which has an empty range."""
    over, start, condition, step, result = tree.parts
    rounds, first = _bound(over, sizes, costs), _bound(start, sizes, costs)
    times = len(over.parts) if over.form == "list" else rounds.size
    inner = {**sizes, tree.name: max(UNKNOWN, rounds.size), tree.accumulator: first.size}
    once = _bound(step, inner, costs)
    # What one round adds to the result, every round may add; what it multiplies, likewise, which leads past any limit.
    grown = once.size - first.size
    size = first.size + max(0, grown) * times
    around = {**inner, tree.accumulator: size}
    each = _bound(condition, around, costs).cost + _bound(step, around, costs).cost + 1
    end = _bound(result, around, costs)
    return _limited(rounds.cost + first.cost + times * each + end.cost, end.size)


def _limited(cost: int, size: int) -> Bound:
    return Bound(min(cost, _MOST), min(size, _MOST))
