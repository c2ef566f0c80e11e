"""Arithmetic with quantities such as `500m`, `1Gi` or `2e3`.

`canonical` gives the spelling under which a quantity is stored: at most nine decimal places (rounded away from zero), no fraction,
the largest suffix that needs none, the family of suffixes (binary, decimal or exponent) as the user chose it. Spellings that meet this
stay as they are, signs and leading zeros included. Values are bounded by +-(2**63 - 1) in arithmetic; binary ones are stored so.
See "Resource Management for Pods and Containers" and the Quantity page of the API reference.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Iterable
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_UP, Context, Decimal
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import msgspec

from tiphys.api.base import Quantity
from tiphys.api.errors import BadRequest
from tiphys.api.meta.v1 import KubeObject

__all__ = [
    "ZERO",
    "QuantityError",
    "add",
    "canonical",
    "canonicalize",
    "compare",
    "contains_quantities",
    "format_value",
    "from_milli",
    "milli",
    "parse",
    "total",
    "whole",
]

Family = Literal["decimal", "binary", "exponent"]

ZERO = Quantity("0")

_PATTERN = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)")
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_DECIMAL_SUFFIX = {power: suffix for suffix, power in _DECIMAL.items()}
_BINARY_SUFFIX = {0: "", **{power // 10: suffix for suffix, power in _BINARY.items()}}
_LIMIT = Decimal(2**63 - 1)
_NANO = Decimal("1e-9")
_LONGEST = 256
_MILLI = Decimal("1e-3")
_LARGEST_EXPONENT = 2000
_WIDE = Context(prec=2600, Emax=999999, Emin=-999999)
"""Wide enough for the longest text with the largest exponent."""
_EXPONENT = re.compile(r"[-+]?[0-9]+")

_WRONG_FORMAT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_WRONG_SUFFIX = "unable to parse quantity's suffix"


class QuantityError(BadRequest, ValueError):
    """The text is not a quantity: to clients a 400, to Python a ValueError."""


class _Scanned(NamedTuple):
    """A quantity taken apart: a sign, the digits before and after the point, and what the suffix stands for."""

    sign: str
    number: str
    fraction: str
    family: Family
    power: int
    """Of two in the binary family, of ten in the others."""

    @property
    def value(self) -> Decimal:
        """The exact number, but for digits beyond the ninth decimal place, which round away from zero."""
        mantissa = Decimal(f"{self.sign}{self.number}.{self.fraction or 0}")
        if self.family == "binary":
            value = min(max(_WIDE.multiply(mantissa, Decimal(1 << self.power)), -_LIMIT), _LIMIT)
        else:
            value = _WIDE.scaleb(mantissa, self.power)
        fine: bool = value.as_tuple().exponent < -9  # type: ignore[operator]
        return value.quantize(_NANO, rounding=ROUND_UP, context=_WIDE) if fine else value

    @property
    def is_canonical(self) -> bool:
        """Whether the spelling stays as it is; the rules are those of upstream's parser, which keeps some that it could shorten."""
        digits = self.number + self.fraction
        if self.family == "binary":
            if self.fraction or len(self.number) + self.power * 3 // 10 > 14:
                return False
            return int(self.number) & 7 != 0
        scale = self.power - len(self.fraction)
        return len(digits) <= 18 and scale >= -9 and scale % 3 == 0 and not digits.endswith("000") and digits[0] != "0"


def _scan(text: str) -> _Scanned:
    match = _PATTERN.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None or not text:
        raise QuantityError(_WRONG_FORMAT)
    sign, number, fraction, suffix = match.groups()
    number = number.lstrip("0") or "0"
    family: Family
    if suffix in _DECIMAL:
        family, power = "decimal", _DECIMAL[suffix]
    elif suffix in _BINARY:
        family, power = "binary", _BINARY[suffix]
    elif suffix[:1] in ("e", "E") and _EXPONENT.fullmatch(suffix, 1):
        family, power = "exponent", max(-_LARGEST_EXPONENT, min(_LARGEST_EXPONENT, int(suffix[1:])))
    else:
        raise QuantityError(_WRONG_SUFFIX)
    return _Scanned(sign, number, fraction or "", family, power)


@lru_cache(8192)
def parse(text: Quantity | str) -> Decimal:
    """Return the number that a quantity stands for, in its unit (cores, bytes, pieces), within +-(2**63 - 1); raises QuantityError."""
    return min(max(_scan(text).value, -_LIMIT), _LIMIT)


@lru_cache(8192)
def canonical(text: Quantity | str) -> Quantity:
    """Return the stored spelling of a quantity; spaces around it are cut off. Raises QuantityError, also for the empty text."""
    text = text.strip(" ")
    scanned = _scan(text)
    return Quantity(text) if scanned.is_canonical else format_value(scanned.value, scanned.family)


def format_value(value: Decimal | int, family: Family = "decimal") -> Quantity:
    """The canonical spelling of a number with suffixes of the family."""
    if not value:
        return ZERO
    value = Decimal(value)
    if family == "binary" and not -1024 < value < 1024 and value == value.to_integral_value(context=_WIDE):
        number, power = int(value), 0
        while power < 6 and number % 1024 == 0:
            number, power = number // 1024, power + 1
        return Quantity(f"{number}{_BINARY_SUFFIX[power]}")
    nanos = int(_WIDE.scaleb(value.quantize(_NANO, rounding=ROUND_UP, context=_WIDE), 9))
    power = -9
    while (power < 18 or family == "exponent") and nanos % 1000 == 0:
        nanos, power = nanos // 1000, power + 3
    if family == "exponent":
        return Quantity(f"{nanos}e{power}" if power else str(nanos))
    return Quantity(f"{nanos}{_DECIMAL_SUFFIX[power]}")


def from_milli(value: int) -> Quantity:
    """Thousandths as a quantity: 1500 is `1500m`, 2000 is `2`."""
    return format_value(Decimal(value).scaleb(-3, context=_WIDE))


@lru_cache(8192)
def milli(text: Quantity | str) -> int:
    """The quantity in thousandths, rounded up: how CPU is counted."""
    return int(_WIDE.scaleb(parse(text), 3).to_integral_value(rounding=ROUND_CEILING, context=_WIDE))


@lru_cache(8192)
def whole(text: Quantity | str) -> int:
    """The quantity in whole units, rounded up: how memory is counted."""
    return int(parse(text).to_integral_value(rounding=ROUND_CEILING, context=_WIDE))


def is_whole(text: Quantity | str) -> bool:
    """Whether the quantity has no fraction."""
    value = parse(text)
    return value == value.to_integral_value(rounding=ROUND_DOWN, context=_WIDE)


def compare(left: Quantity | str, right: Quantity | str) -> int:
    """-1, 0 or 1."""
    a, b = parse(left), parse(right)
    return (a > b) - (a < b)


def family_of(text: Quantity | str) -> Family:
    """Which suffixes the quantity is spelled with."""
    return _scan(text).family if text else "decimal"


def add(left: Quantity | str, right: Quantity | str) -> Quantity:
    """The sum, spelled like the left one (like the right one when the left one is zero)."""
    a, b = parse(left), parse(right)
    return format_value(_WIDE.add(a, b), family_of(left if a else right))


def total(quantities: Iterable[Quantity | str]) -> Quantity:
    """The sum of all, spelled like the first that is not zero."""
    result = ZERO
    for quantity in quantities:
        result = add(result, quantity)
    return result


# ---- every quantity inside an object -------------------------------------------------------------------------------------------------

_Visit = Callable[[Any], Any]
_visits: dict[Any, _Visit | None] = {}


def canonicalize(obj: Any) -> None:
    """Rewrite every quantity inside a typed object to its canonical spelling, in place; raises QuantityError.

    Which fields to look at is worked out once per type, and types without quantities cost one dictionary look-up.
    """
    try:
        visit = _visits[type(obj)]
    except KeyError:
        visit = _compile(type(obj))
    if visit is None:
        return
    try:
        visit(obj)
    except QuantityError as wrong:
        if not isinstance(obj, KubeObject):
            raise
        version = obj.apiVersion.rpartition("/")[2]
        raise QuantityError(f'{obj.kind} in version "{version}" cannot be handled as a {obj.kind}: {wrong.message}') from None


def contains_quantities(type_: Any) -> bool:
    """Whether values of the type can hold a quantity anywhere."""
    return _contains(type_, frozenset())


def _contains(type_: Any, seen: frozenset[Any]) -> bool:
    if type_ is Quantity:
        return True
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        if type_ in seen:
            return False
        inside = seen | {type_}
        return any(_contains(hint, inside) for hint in typing.get_type_hints(type_).values())
    return any(_contains(argument, seen) for argument in typing.get_args(type_))


def _compile(type_: Any) -> _Visit | None:
    """A function that canonicalises a value in place and returns what to put in its place; None if the type holds no quantity."""
    if type_ in _visits:
        return _visits[type_]
    if not contains_quantities(type_):
        visit: _Visit | None = None
    elif type_ is Quantity:
        visit = canonical
    elif isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return _compile_struct(type_)
    else:
        origin, arguments = typing.get_origin(type_), typing.get_args(type_)
        if origin is list:
            visit = _list_visit(arguments[0])
        elif origin is dict:
            visit = _dict_visit(arguments[1])
        elif origin in (typing.Union, types.UnionType):
            visit = _compile(next(a for a in arguments if contains_quantities(a)))
        else:
            raise TypeError(f"quantities inside {type_} are not supported")
    _visits[type_] = visit
    return visit


def _compile_struct(type_: type[msgspec.Struct]) -> _Visit:
    steps: list[tuple[str, _Visit]] = []

    def visit(value: Any) -> Any:
        for name, step in steps:
            inner = getattr(value, name)
            if inner or inner == "":
                changed = step(inner)
                if changed is not inner:
                    setattr(value, name, changed)
        return value

    _visits[type_] = visit  # before the fields, for types that contain themselves
    for name, hint in typing.get_type_hints(type_).items():
        if typing.get_origin(hint) is not typing.ClassVar and (step := _compile(hint)) is not None:
            steps.append((name, step))
    return visit


def _list_visit(item_type: Any) -> _Visit:
    if item_type is Quantity:
        return lambda values: [canonical(value) for value in values]

    def visit(values: list[Any]) -> list[Any]:
        step = _visits[item_type]
        assert step is not None
        for value in values:
            step(value)
        return values

    _compile(item_type)
    return visit


def _dict_visit(item_type: Any) -> _Visit:
    def visit(values: dict[str, Any]) -> dict[str, Any]:
        step = _visits[item_type]
        assert step is not None
        for key, value in values.items():
            changed = step(value)
            if changed is not value:
                values[key] = changed
        return values

    _compile(item_type)
    return visit
