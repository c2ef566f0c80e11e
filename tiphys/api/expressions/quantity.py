"""The library of quantities."""

from __future__ import annotations

from decimal import Context, Decimal

from tiphys.api.machinery import quantity
from tiphys.cel.library import Library, Opaque, Overload

NAME = "kubernetes.Quantity"
_WIDE = Context(prec=60)
_LIMIT = 1 << 63


def _read(text: str) -> Decimal:
    return quantity.parse(text)


def _is_quantity(text: str) -> bool:
    try:
        quantity.parse(text)
    except quantity.QuantityError:
        return False
    return True


def _is_integer(value: Decimal) -> bool:
    return value == value.to_integral_value() and -_LIMIT <= value < _LIMIT


def _as_integer(value: Decimal) -> int:
    if not _is_integer(value):
        raise ValueError("cannot convert value to integer")
    return int(value)


def _write(value: Decimal) -> str:
    return format(_WIDE.normalize(value), "f") if value else "0"


def _compare(left: Decimal, right: Decimal) -> int:
    return (left > right) - (left < right)


QUANTITIES = Library(
    opaque=(Opaque(NAME, Decimal, _write, Decimal),),
    overloads=(
        Overload("quantity", ("string",), NAME, _read, member=False),
        Overload("isQuantity", ("string",), "bool", _is_quantity, member=False),
        Overload("isInteger", (NAME,), "bool", _is_integer),
        Overload("asInteger", (NAME,), "int", _as_integer),
        Overload("asApproximateFloat", (NAME,), "double", float),
        Overload("sign", (NAME,), "int", lambda value: _compare(value, Decimal(0))),
        Overload("add", (NAME, NAME), NAME, _WIDE.add),
        Overload("add", (NAME, "int"), NAME, lambda left, right: _WIDE.add(left, Decimal(right))),
        Overload("sub", (NAME, NAME), NAME, _WIDE.subtract),
        Overload("sub", (NAME, "int"), NAME, lambda left, right: _WIDE.subtract(left, Decimal(right))),
        Overload("isLessThan", (NAME, NAME), "bool", lambda left, right: left < right),
        Overload("isGreaterThan", (NAME, NAME), "bool", lambda left, right: left > right),
        Overload("compareTo", (NAME, NAME), "int", _compare),
    ),
    costs={"quantity": 7, "isQuantity": 7},
)
"""`quantity("1Gi")` and what can be done with one ("Kubernetes quantity library")."""
