"""Sums of named quantities."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.quantity import ZERO, add, compare, family_of, format_value, parse

Amounts = dict[str, Quantity]
ONE = Quantity("1")


def plus(left: Mapping[str, Quantity], right: Mapping[str, Quantity]) -> Amounts:
    """Both together."""
    result = dict(left)
    for name, quantity in right.items():
        result[name] = add(result[name], quantity) if name in result else quantity
    return result


def rise(new: Mapping[str, Quantity], old: Mapping[str, Quantity]) -> Amounts:
    """Growth from `old` to `new`; other amounts are left out."""
    result: Amounts = {}
    for name, quantity in new.items():
        more = parse(quantity) - parse(old.get(name, ZERO))
        if more > 0:
            result[name] = format_value(more, family_of(quantity))
    return result


def only(amounts: Mapping[str, Quantity], names: Collection[str]) -> Amounts:
    """The named ones of the amounts."""
    return {name: quantity for name, quantity in amounts.items() if name in names}


def same(left: Mapping[str, Quantity], right: Mapping[str, Quantity]) -> bool:
    """True if both name the same amounts, however they are spelled."""
    return left.keys() == right.keys() and all(not compare(quantity, right[name]) for name, quantity in left.items())


def above(amounts: Mapping[str, Quantity], bounds: Mapping[str, Quantity]) -> list[str]:
    """The names of which there is more than allowed."""
    return [name for name, quantity in amounts.items() if name in bounds and compare(quantity, bounds[name]) > 0]


def format_amounts(amounts: Mapping[str, Quantity]) -> str:
    """`cpu=1,memory=2Gi`."""
    return ",".join(f"{name}={amounts[name]}" for name in sorted(amounts))


def names(resources: Iterable[str]) -> str:
    return ",".join(sorted(resources))
