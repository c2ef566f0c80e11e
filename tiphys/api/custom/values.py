"""Validation of values by schemas, in the words of the API ("Extend the Kubernetes API with CustomResourceDefinitions: Validation").

On updates what is equal to the old value at the same place is not judged again ("Validation ratcheting", KEP-4008), so a stricter schema
does not hold up objects of before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from tiphys.api.custom.formats import checker
from tiphys.api.custom.structural import Structural, scalar
from tiphys.api.machinery import ordered
from tiphys.api.machinery.budget import Budget, Exhausted
from tiphys.api.machinery.errors import MOST_ERRORS, OMITTED, FieldError, invalid, required, too_long, too_many
from tiphys.api.machinery.sink import Full, Sink

_encode = ordered.encoder("deterministic")

ABSENT: Any = object()
STEPS, STEPS_PER_VALUE, MAX_STEPS = 100_000, 8, 1_500_000
"""Steps that a validation may take, of two microseconds each: at least, more for each value in the object, and at most. Alternatives and
required fields multiply with the values that they are held against."""
_OUT_OF_STEPS = "validation failed due to running out of cost budget, no further validation rules will be run"
"""Upstream's words for rules (`x-kubernetes-validations`) that take too long."""
_SHORT = 8
"""Exponent of the characters of a text that are looked at in one step."""
_LIMITS = {"int32": (-(1 << 31), (1 << 31) - 1), "int64": (-(1 << 63), (1 << 63) - 1)}
_MAX_FLOAT = 3.4028234663852886e38


class Wrong(NamedTuple):
    """A mistake at a place below the root of the validated value; `field` is made from it. `place` is None without one."""

    place: str | None
    error: FieldError


class _Budget(Budget):
    """The steps of a validation."""

    __slots__ = ("_more", "_value")

    def __init__(self, value: Any) -> None:
        super().__init__(STEPS)
        self._value = value
        self._more = True

    def extend(self) -> None:
        """Add the steps for the values when the first ones are used up, so that few objects have theirs counted."""
        if self._more:
            self._more = False
            self.left += min(STEPS_PER_VALUE * _count(self._value), MAX_STEPS - STEPS)
        if self.left < 0:
            raise Exhausted


def _count(value: Any) -> int:
    """Return how many values a document has."""
    count = 0
    waiting = [value]
    while waiting:
        one = waiting.pop()
        count += 1
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return count


class _Result:
    """The mistakes of one value, and how much of the schema it met: of several alternatives the nearest is reported."""

    __slots__ = ("budget", "errors", "met")

    def __init__(self, budget: _Budget) -> None:
        self.budget = budget
        self.errors: Sink[Wrong] | None = None
        self.met = 0

    def add(self, place: str | None, error: FieldError) -> None:
        if self.errors is None:
            self.errors = Sink(MOST_ERRORS + 1)
        self.errors.append(Wrong(place, error))

    def merge(self, other: _Result) -> None:
        self.met += other.met
        if other.errors is not None:
            if self.errors is None:
                self.errors = Sink(MOST_ERRORS + 1)
            self.errors += other.errors


def validate(value: Any, node: Structural, *, root: str = "", old: Any = ABSENT) -> list[FieldError]:
    """The mistakes of a value, a few hundred of them at most. `root` is the path of the value in its object.

    A value that takes too many steps is invalid for that reason.
    """
    try:
        errors = _judge(value, node, "", old, _Budget(value))
    except Exhausted:
        return [invalid(root or "<nil>", OMITTED, _OUT_OF_STEPS)]
    if errors.errors is None:
        return []
    prefix = f"{root}." if root else ""
    out: list[FieldError] = []
    for place, error in errors.errors:
        field = (root or "<nil>") if not place else f"{prefix}{place.removeprefix('.')}"
        out.append(FieldError(error.type, field, error.detail, error.value))
    return out


def same(a: Any, b: Any) -> bool:
    """Return whether two JSON values are equal; 1 is not true."""
    return bool(a == b) and _encode(a) == _encode(b)


def _judge(value: Any, node: Structural, path: str, old: Any, budget: _Budget) -> _Result:
    budget.left -= 1
    if budget.left < 0:
        budget.extend()
    result = _Result(budget)
    if old is not ABSENT and same(value, old):
        result.met += 1
        return result
    try:  # `suppress` would take longer than the rest.
        _look(value, node, path, old, result)
    except Full:
        return result  # There is more wrong with it than is shown.
    if value is not None:
        result.met += 1
    return result


def _look(value: Any, node: Structural, path: str, old: Any, result: _Result) -> None:
    _type(value, node, path, result)
    if value is None:
        _enum(value, node, path, result)
        return
    if node.combinators or node.negated is not None:
        _compose(value, node, path, result)
    if isinstance(value, str):
        _text(value, node, path, result)
    elif isinstance(value, bool):
        pass
    elif isinstance(value, int | float):
        _number(value, node, path, result)
    elif isinstance(value, list):
        _list(value, node, path, old, result)
    if node.choices is not None:
        _enum(value, node, path, result)
    if isinstance(value, dict):
        _object(value, node, path, old, result)


def type_of(value: Any) -> str:
    """The JSON type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def _message(path: str, what: str) -> str:
    return f"{path} in body {what}"


def _type(value: Any, node: Structural, path: str, result: _Result) -> None:
    if not node.types:
        return
    type_ = type_of(value)
    fits = (
        type_ in node.types
        or (type_ == "null" and node.nullable)
        or (type_ == "integer" and "number" in node.types)
        or (type_ == "number" and "integer" in node.types and value.is_integer())
    )
    if fits:
        result.met += 1
    else:
        expected = ",".join(node.types)
        error = FieldError("FieldValueTypeInvalid", "", _message(path, f'must be of type {expected}: "{type_}"'), type_)
        result.add(path, error)


def _enum(value: Any, node: Structural, path: str, result: _Result) -> None:
    choices = node.choices
    if choices is None:
        return
    if isinstance(value, dict | list):
        result.budget.spend(len(choices.composed))
        if any(same(value, one) for one in choices.composed):
            return
    elif scalar(value) in choices.scalars:
        return
    result.add(path, FieldError("FieldValueNotSupported", "", choices.detail, value))


def _text(value: str, node: Structural, path: str, result: _Result) -> None:
    document = node.document
    if node.pattern is not None:
        result.budget.spend(len(value) >> _SHORT)
    longest, shortest = document.get("maxLength"), document.get("minLength")
    if longest is not None and len(value) > longest:
        result.add(path, too_long("", longest))
    elif shortest is not None and len(value) < shortest:
        result.add(path, invalid("", value, _message(path, f"should be at least {shortest} chars long")))
    elif node.pattern is not None and not node.pattern.search(value):
        result.add(path, invalid("", value, _message(path, f"should match '{document['pattern']}'")))
    format_ = document.get("format")
    if format_ and document.get("type", "") in ("", "string") and (check := checker(format_)) is not None and not check(value):
        quoted = msgspec.json.encode(value).decode()
        error = FieldError("FieldValueTypeInvalid", "", _message(path, f"must be of type {format_}: {quoted}"), value)
        result.add(path, error)


def _shown(number: float) -> str:
    return str(int(number)) if float(number).is_integer() and abs(number) < 1e21 else repr(float(number))


def _number(value: int | float, node: Structural, path: str, result: _Result) -> None:
    document = node.document
    format_, type_ = document.get("format", ""), document.get("type", "")
    if type_ == "integer" and format_ in _LIMITS and not _LIMITS[format_][0] <= value <= _LIMITS[format_][1]:
        result.add(None, invalid("", "", f"Checked value must be of type integer with format {format_} in {path}"))
    elif type_ == "number" and format_ == "float" and abs(value) > _MAX_FLOAT:
        result.add(None, invalid("", "", f"Checked value must be of type number with format float in {path}"))
    factor = document.get("multipleOf")
    if factor is not None and not _is_multiple(value, factor):
        result.add(path, invalid("", value, _message(path, f"should be a multiple of {_shown(factor)}")))
    high, low = document.get("maximum"), document.get("minimum")
    if high is not None and (value >= high if document.get("exclusiveMaximum") else value > high):
        words = "less than" if document.get("exclusiveMaximum") else "less than or equal to"
        result.add(path, invalid("", value, _message(path, f"should be {words} {_shown(high)}")))
    if low is not None and (value <= low if document.get("exclusiveMinimum") else value < low):
        words = "greater than" if document.get("exclusiveMinimum") else "greater than or equal to"
        result.add(path, invalid("", value, _message(path, f"should be {words} {_shown(low)}")))


def _is_multiple(value: float, factor: float) -> bool:
    if factor <= 0:
        return False
    if isinstance(value, int) and float(factor).is_integer():
        return value % int(factor) == 0
    quotient = value / factor
    return math.isclose(quotient, round(quotient), rel_tol=1e-9, abs_tol=1e-9)


def _list(value: list[Any], node: Structural, path: str, old: Any, result: _Result) -> None:
    document = node.document
    if node.items is not None:
        result.budget.spend(len(value) * (len(path) >> _SHORT))
        before = _correlated(node, old)
        for index, item in enumerate(value):
            was = before.get(_key(node, item), ABSENT) if before else ABSENT
            result.merge(_judge(item, node.items, f"{path}[{index}]", was, result.budget))
    least, most = document.get("minItems"), document.get("maxItems")
    if least is not None and len(value) < least:
        result.add(path, invalid("", len(value), _message(path, f"should have at least {least} items")))
    if most is not None and len(value) > most:
        result.add(path, too_many("", len(value), most))


def _correlated(node: Structural, old: Any) -> dict[bytes, Any]:
    """The old items of a map list by their keys; items of other lists have no identity."""
    if node.list_type != "map" or not isinstance(old, list):
        return {}
    return {_key(node, item): item for item in old}


def _key(node: Structural, item: Any) -> bytes:
    keys = [item.get(name) for name in node.list_keys] if isinstance(item, dict) else [item]
    return _encode(keys)


def _object(value: dict[str, Any], node: Structural, path: str, old: Any, result: _Result) -> None:
    document = node.document
    least, most = document.get("minProperties"), document.get("maxProperties")
    if least is not None and len(value) < least:
        result.add(path, invalid("", len(value), _message(path, f"should have at least {least} properties")))
    if most is not None and len(value) > most:
        result.add(path, too_many("", len(value), most))
    before = old if isinstance(old, dict) else {}
    result.budget.spend(len(value) * (len(path) >> _SHORT) + len(node.required))
    for name, item in value.items():
        child = node.properties.get(name)
        if child is None:
            if node.closed:
                result.add(path, invalid("", "", f"{path}.{name} in body is a forbidden property"))
                continue
            child = node.additional
            at = f"{path}.{name}"
        else:
            at = f"{path}.{name}" if path else name
        if child is not None:
            result.merge(_judge(item, child, at, before.get(name, ABSENT), result.budget))
    for name in node.required:
        if name not in value:
            result.add(f"{path}.{name}", required(""))


def _compose(value: Any, node: Structural, path: str, result: _Result) -> None:
    """anyOf, oneOf, allOf and not: beside their failure, the nearest alternative is reported. Old values do not help here."""
    if some := node.combinators.get("anyOf"):
        _any(value, some, path, result)
    if one := node.combinators.get("oneOf"):
        _exactly_one(value, one, path, result)
    if every := node.combinators.get("allOf"):
        results = [_judge(value, each, path, ABSENT, result.budget) for each in every]
        for each in results:
            result.merge(each)
        failed = sum(1 for each in results if each.errors)
        if failed:
            more = ". None validated" if failed == len(results) else ""
            result.add(None, invalid("", "", f'"{path}" must validate all the schemas (allOf){more}'))
    if node.negated is not None and not _judge(value, node.negated, path, ABSENT, result.budget).errors:
        result.add(None, invalid("", "", f'"{path}" must not validate the schema (not)'))
    result.met += 1


def _any(value: Any, nodes: Sequence[Structural], path: str, result: _Result) -> None:
    best: _Result | None = None
    for node in nodes:
        errors = _judge(value, node, path, ABSENT, result.budget)
        if not errors.errors:
            result.merge(errors)
            return
        if best is None or errors.met > best.met:
            best = errors
    result.add(None, invalid("", "", f'"{path}" must validate at least one schema (anyOf)'))
    if best is not None:
        result.merge(best)


def _exactly_one(value: Any, nodes: Sequence[Structural], path: str, result: _Result) -> None:
    best: _Result | None = None
    fitting: list[_Result] = []
    for node in nodes:
        errors = _judge(value, node, path, ABSENT, result.budget)
        if not errors.errors:
            fitting.append(errors)
            best = None
        elif not fitting and (best is None or errors.met > best.met):
            best = errors
    if len(fitting) == 1:
        result.merge(fitting[0])
        return
    more = f"Found {len(fitting)} valid alternatives" if fitting else "Found none valid"
    result.add(None, invalid("", "", f'"{path}" must validate one and only one schema (oneOf). {more}'))
    if best is not None:
        result.merge(best)
