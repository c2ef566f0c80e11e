"""Arithmetic with quantities such as `500m`, `1Gi` or `2e3`.

`canonical` gives the spelling under which a quantity is stored. Numbers that fit 64 bits and whose exponent is a multiple of three keep the
user's spelling (`+1`, `1E3`, `010`). Others are rewritten: at most nine decimal places (rounded away from zero), no fraction, the largest
suffix that needs none, the family of suffixes (binary, decimal or exponent) as the user chose it. Binary quantities are bounded by
+-(2**63 - 1). See "Resource Management for Pods and Containers" and the Quantity page of the API reference. One difference from Kubernetes
1.36: it loses the exponent of decimal quantities from 1000E on when it rewrites them (`1000E` is stored as `1`); here they keep `E`.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Iterable
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_UP, Context, Decimal
from typing import Any, Literal, NamedTuple

import msgspec

from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.cached import cached
from tiphys.api.machinery.errors import BadRequest
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
_AS_DECIMAL: Family = "decimal"
_AS_EXPONENT: Family = "exponent"

ZERO = Quantity("0")

_PATTERN = re.compile(r"([+-]?)0*+([0-9]*+)(?:\.([0-9]*+))?([eEinumkKMGTP]*+[-+]?[0-9]*+)")
_EXPONENT = re.compile(r"[eE][+-]?[0-9]+")
_SPACES = " \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
"""Cut off around a quantity: white space that JSON does not escape. An escaped one (a tab, say) is part of the text, and wrong."""
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_DECIMAL_SUFFIX = {power: suffix for suffix, power in _DECIMAL.items()}
_BINARY_SUFFIX = {0: "", **{power // 10: suffix for suffix, power in _BINARY.items()}}
_LIMIT = 2**63 - 1
_EXACT_DIGITS = 18
"""Decimal digits that always fit 64 bits: longer numbers are rewritten."""
_EXACT_BINARY_DIGITS = 14
"""The same for numbers with a binary suffix, less three for every ten bits of the suffix."""
_FINEST, _LARGEST = -9, 18
"""Powers of ten of the smallest and the largest decimal suffix."""
_HIGHEST = 99
"""Arithmetic counts higher powers of ten as this one."""
_NANO = Decimal("1e-9")
_LONGEST = 256
_MILLI = Decimal("1e-3")
_WIDE = Context(prec=512, Emax=999999, Emin=-999999)

_WRONG_FORMAT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_WRONG_SUFFIX = "unable to parse quantity's suffix"


class QuantityError(BadRequest, ValueError):
    """The text is not a quantity: to clients a 400, to Python a ValueError."""


class _Reading(NamedTuple):
    """A quantity taken apart: `number * 10**power`, rounded to nine decimal places."""

    number: int
    power: int
    family: Family
    spelled: str
    """The user's spelling when it is stored as it is, else empty."""


def _read(text: str) -> _Reading:
    text = text.strip(_SPACES)
    match = _PATTERN.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None or not text:
        raise QuantityError(_WRONG_FORMAT)
    sign, whole_part, fraction, suffix = match.groups()
    fraction = fraction or ""
    digits = (whole_part or "0") + fraction
    number = -int(digits) if sign == "-" else int(digits)
    if suffix in _BINARY:
        return _read_binary(number, whole_part or "0", fraction, suffix, text)
    if suffix in _DECIMAL:
        power, family = _DECIMAL[suffix], _AS_DECIMAL
    elif _EXPONENT.fullmatch(suffix):
        power, family = max(-_LIMIT, min(_LIMIT, int(suffix[1:]))), _AS_EXPONENT
    else:
        raise QuantityError(_WRONG_SUFFIX)
    power -= len(fraction)
    fits = len(digits) <= _EXACT_DIGITS and power >= _FINEST
    kept = fits and power % 3 == 0 and digits[0] != "0" and not digits.endswith("000")
    return _Reading(*_rounded(number, power), family, text if kept else "")


def _read_binary(number: int, whole_part: str, fraction: str, suffix: str, text: str) -> _Reading:
    bits = _BINARY[suffix]
    fits = not fraction and len(whole_part) <= _EXACT_BINARY_DIGITS - bits * 3 // 10
    value = number << bits
    if fits and abs(value) <= _LIMIT:
        # Upstream compares three bits of the number, not ten: multiples of 8 are rewritten, mostly to themselves.
        return _Reading(value, 0, "binary", text if number & 7 else "")
    value, power = _rounded(value, -len(fraction))
    if abs(value) > _LIMIT * 10**-power:
        value, power = _LIMIT if value > 0 else -_LIMIT, 0
    return _Reading(value, power, "binary", "")


def _rounded(number: int, power: int) -> tuple[int, int]:
    """`number * 10**power` with at most nine decimal places, rounded away from zero."""
    if power >= _FINEST or not number:
        return number, max(power, _FINEST)
    finer = min(_FINEST - power, 2 * _LONGEST)
    amount = -(-abs(number) // 10**finer)
    return amount if number > 0 else -amount, _FINEST


@cached()
def parse(text: Quantity | str) -> Decimal:
    """The value of a quantity, in its unit (cores, bytes, pieces); raises QuantityError."""
    reading = _read(text)
    return _WIDE.scaleb(Decimal(reading.number), min(reading.power, _HIGHEST))


@cached()
def canonical(text: Quantity | str) -> Quantity:
    """The stored spelling of a quantity; raises QuantityError."""
    number, power, family, spelled = _read(text)
    if spelled:
        return Quantity(spelled)
    if family == "binary":
        return format_value(_WIDE.scaleb(Decimal(number), power), family)
    return _format_scaled(number, power, family)


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
    return _format_scaled(nanos, _FINEST, family)


def _format_scaled(number: int, power: int, family: Family) -> Quantity:
    """`number * 10**power` with the largest suffix or exponent, a multiple of three, that needs no fraction."""
    if not number:
        return ZERO
    number, power = number * 10 ** (power % 3), power - power % 3
    exponent = family == "exponent"
    while number % 1000 == 0 and (exponent or power < _LARGEST):
        number, power = number // 1000, power + 3
    if exponent:
        return Quantity(f"{number}e{power}" if power else str(number))
    if power > _LARGEST:
        number, power = number * 10 ** (power - _LARGEST), _LARGEST
    return Quantity(f"{number}{_DECIMAL_SUFFIX[power]}")


def from_milli(value: int) -> Quantity:
    """Thousandths as a quantity: 1500 is `1500m`, 2000 is `2`."""
    return format_value(Decimal(value).scaleb(-3, context=_WIDE))


@cached()
def milli(text: Quantity | str) -> int:
    """The quantity in thousandths, rounded up: how CPU is counted. At most 1000 * (2**63 - 1)."""
    return _whole(_WIDE.scaleb(parse(text), 3), 1000 * _LIMIT)


@cached()
def whole(text: Quantity | str) -> int:
    """The quantity in whole units, rounded up: how memory is counted. At most 2**63 - 1."""
    return _whole(parse(text), _LIMIT)


def _whole(value: Decimal, limit: int) -> int:
    return max(-limit, min(limit, int(value.to_integral_value(rounding=ROUND_CEILING, context=_WIDE))))


def is_whole(text: Quantity | str) -> bool:
    """True if the quantity has no fraction."""
    value = parse(text)
    return value == value.to_integral_value(rounding=ROUND_DOWN, context=_WIDE)


def compare(left: Quantity | str, right: Quantity | str) -> int:
    """-1, 0 or 1."""
    a, b = parse(left), parse(right)
    return (a > b) - (a < b)


def family_of(text: Quantity | str) -> Family:
    """Return the family of suffixes that the quantity is spelled with."""
    return _read(text).family if text else "decimal"


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

    Which fields to look at is computed once per type, and types without quantities cost one dictionary look-up.
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
    """True if values of the type can hold a quantity anywhere."""
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
    """A function that canonicalizes a value in place and returns what to put in its place; None if the type holds no quantity."""
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
            if inner or (step is canonical and inner == ""):
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
