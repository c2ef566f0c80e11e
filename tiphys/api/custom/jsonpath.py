"""The JSONPath of printer columns, selectable fields and scale subresources ("JSONPath Support"), on plain documents.

.spec.replicas  .status.conditions[?(@.type=="Ready")].status  .spec['a.b']  .items[0]  .items[*].name  ..name
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from tiphys.api.machinery import ordered
from tiphys.api.machinery.base import Time
from tiphys.api.machinery.budget import Budget, Exhausted
from tiphys.api.machinery.cached import cached
from tiphys.api.machinery.columns import duration

_encode = ordered.encoder("deterministic")

MAX_LENGTH = 4096
"""Characters of a path."""
MAX_VISITS = 20_000
"""Values that one evaluation may look at: a few milliseconds. Nested lookups of any depth (`..a..a`) multiply."""
_SHORT = 6
"""Exponent of the characters of a cell that count as one look."""
_NAME = re.compile(r"\.(\.?)((?:\\.|[^.\[\]\s\\])+)")
_INDEX = re.compile(r"\[\s*+(-?\d*+)\s*+(:?)\s*+(-?\d*+)\s*+(?::\s*+(-?\d++))?\s*+\]")
_KEY = re.compile(r"""\[\s*(?:'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)")\s*\]""")
_STAR = re.compile(r"\.?\[\s*\*\s*\]|\.\*")
_FILTER = re.compile(r"\[\?\((.+?)\)\]")
_COMPARISON = re.compile(r"@(\S*?)\s*(==|!=|<=|>=|<|>)\s*(.+)")


class BadPath(ValueError):
    """Not a JSONPath; the text says where it ends to be one."""


Step = Callable[[Any, Budget], Iterable[Any]]


def compile_path(text: str) -> Callable[[Any], list[Any]]:
    """A function from a document to the values that the path finds, in order; raises BadPath.

    It finds nothing in a document where that would take more than MAX_VISITS steps.
    """
    evaluate = _compile(text)

    def find(document: Any) -> list[Any]:
        try:
            return evaluate(document, Budget(MAX_VISITS))
        except Exhausted:
            return []

    return find


@cached()
def _compile(text: str) -> Callable[[Any, Budget], list[Any]]:
    if len(text) > MAX_LENGTH:
        raise BadPath(f"a path has at most {MAX_LENGTH} characters")
    steps: list[Step] = []
    position = 0
    while position < len(text):
        step, position = _step(text, position)
        if step is not None:
            steps.append(step)

    def evaluate(document: Any, budget: Budget) -> list[Any]:
        values = [document]
        for step in steps:
            if not values:
                break
            budget.spend(len(values))
            values = [below for value in values for below in step(value, budget)]
        return values

    return evaluate


def _step(text: str, position: int) -> tuple[Step | None, int]:
    if text[position:] == ".":
        return None, len(text)
    if match := _STAR.match(text, position):
        return _each, match.end()
    if match := _FILTER.match(text, position):
        return _filter(match[1].strip()), match.end()
    if match := _KEY.match(text, position):
        return _field(re.sub(r"\\(.)", r"\1", match[1] if match[1] is not None else match[2])), match.end()
    if match := _INDEX.match(text, position):
        return _slice(match), match.end()
    if match := _NAME.match(text, position):
        name = re.sub(r"\\(.)", r"\1", match[2])
        return (_deep(name) if match[1] else _field(name)), match.end()
    raise BadPath(f"unrecognized path at {text[position:]!r}")


def _field(name: str) -> Step:
    def step(value: Any, _: Budget) -> Iterable[Any]:
        return (value[name],) if isinstance(value, dict) and name in value else ()

    return step


def _each(value: Any, budget: Budget) -> Iterable[Any]:
    if not isinstance(value, dict | list):
        return ()
    budget.spend(len(value))
    return value.values() if isinstance(value, dict) else value


def _deep(name: str) -> Step:
    def step(value: Any, budget: Budget) -> Iterator[Any]:
        waiting = [value]
        while waiting:
            value = waiting.pop()
            if isinstance(value, dict) and name in value:
                yield value[name]
            waiting += reversed([*_each(value, budget)])

    return step


def _slice(match: re.Match[str]) -> Step:
    first, colon, last, stride = match.groups()
    if (not colon and not first) or "-" in (first, last) or (stride is not None and int(stride) == 0):
        raise BadPath(f"unrecognized path at {match[0]!r}")

    def step(value: Any, budget: Budget) -> Iterable[Any]:
        if not isinstance(value, list):
            return ()
        if colon:
            budget.spend(len(value))
            return value[int(first) if first else None : int(last) if last else None : int(stride) if stride else None]
        return (value[int(first)],) if -len(value) <= int(first) < len(value) else ()

    return step


def _filter(condition: str) -> Step:
    compared = _COMPARISON.fullmatch(condition)
    if compared is None:
        if not condition.startswith("@"):
            raise BadPath(f"unrecognized filter {condition!r}")
        there = _compile(condition[1:])
        return lambda value, budget: (item for item in _each(value, budget) if there(item, budget))
    path, operator, literal = _compile(compared[1]), compared[2], _literal(compared[3])

    def step(value: Any, budget: Budget) -> Iterator[Any]:
        for item in _each(value, budget):
            operands = path(item, budget)
            if operands and _holds(operands[0], operator, literal):
                yield item

    return step


def _literal(text: str) -> Any:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise BadPath(f"unrecognized literal {text!r}") from None


def _holds(left: Any, operator: str, right: Any) -> bool:
    if operator == "==":
        return bool(left == right)
    if operator == "!=":
        return bool(left != right)
    try:
        holds = left < right if operator[0] == "<" else left > right
    except TypeError:
        return False
    return bool(holds) or (len(operator) == 2 and left == right)


def shown(value: Any) -> str:
    """A value as text, as `kubectl -o jsonpath` prints it."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return _encode(value).decode()
    return "" if value is None else msgspec.json.encode(value).decode()


def cell(path: str, type_: str) -> Callable[[Any, datetime, Budget], Any]:
    """A table cell of a column's type: from a document, the time, and the budget of the answer, which the look at each value is taken from.

    What does not fit the type is left out, as are cells for which nothing is left.
    """
    find = _compile(path)

    def read(document: Any, now: datetime, budget: Budget) -> Any:
        try:
            budget.spend()
            values = find(document, budget)
            shown = _cell(values[0], type_, now) if values else None
            if isinstance(shown, str):
                budget.spend(len(shown) >> _SHORT)
        except Exhausted:
            return None
        return shown

    return read


def _cell(value: Any, type_: str, now: datetime) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if type_ == "string":
        return shown(value)
    if type_ == "integer":
        return int(value) if number else None
    if type_ == "number":
        return float(value) if number else None
    if type_ == "boolean":
        return value if isinstance(value, bool) else None
    if type_ == "date" and isinstance(value, str):
        try:
            return duration((now - msgspec.convert(value, Time)).total_seconds())
        except msgspec.ValidationError:
            return "<invalid>"
    return None
