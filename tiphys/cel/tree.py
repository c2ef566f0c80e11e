"""The checked tree of an expression, read from its serialized form (cel.expr.CheckedExpr): no more than bounds of cost need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

Form = Literal["constant", "name", "select", "call", "list", "map", "comprehension"]
_FORMS: dict[int, Form] = {3: "constant", 4: "name", 5: "select", 6: "call", 7: "list", 8: "map", 9: "comprehension"}


class Tree(NamedTuple):
    """A part of an expression."""

    form: Form
    name: str = ""
    """Function, variable or field; the loop's variable for a comprehension."""
    text: str | None = None
    """A constant, if it is a string."""
    parts: tuple[Tree, ...] = ()
    """The target of a call, then its arguments; elements; for a comprehension its range, start, condition, step and result."""
    accumulator: str = ""
    """For a comprehension: the variable that gathers its result."""

    def walk(self) -> Iterator[Tree]:
        """Yield this part and all below."""
        pending = [self]
        while pending:
            part = pending.pop()
            yield part
            pending += part.parts


Value = int | bytes


def read_tree(serialized: bytes) -> Tree:
    """Return the tree of a serialized expression (a CheckedExpr in an Any)."""
    checked = _last(serialized, 2)
    return _expression(_last(checked, 4))


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Yield number and value of each field of a message."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        match key & 7:
            case 0:
                value, place = _varint(data, place)
                yield key >> 3, value
            case 1 | 5 as kind:
                width = 8 if kind == 1 else 4
                yield key >> 3, data[place : place + width]
                place += width
            case _:
                length, place = _varint(data, place)
                yield key >> 3, data[place : place + length]
                place += length


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place


def _last(data: bytes, number: int) -> bytes:
    content = b""
    for key, value in _fields(data):
        if key == number and isinstance(value, bytes):
            content = value
    return content


def _messages(data: bytes, *numbers: int) -> Iterator[bytes]:
    for key, value in _fields(data):
        if key in numbers and isinstance(value, bytes):
            yield value


def _expression(data: bytes) -> Tree:
    for key, value in _fields(data):
        if key in _FORMS and isinstance(value, bytes):
            return _of_form(_FORMS[key], value)
    return Tree("constant")


def _of_form(form: Form, data: bytes) -> Tree:
    match form:
        case "constant":
            texts = [value.decode("utf-8", "replace") for key, value in _fields(data) if key in (6, 7) and isinstance(value, bytes)]
            return Tree(form, text=texts[0] if texts else None)
        case "name":
            return Tree(form, _last(data, 1).decode())
        case "select":
            return Tree(form, _last(data, 2).decode(), parts=tuple(map(_expression, _messages(data, 1))))
        case "call":
            operands = (*_messages(data, 1), *_messages(data, 3))
            return Tree(form, _last(data, 2).decode(), parts=tuple(map(_expression, operands)))
        case "list":
            return Tree(form, parts=tuple(map(_expression, _messages(data, 1))))
        case "map":
            entries = [_expression(part) for entry in _messages(data, 2) for part in _messages(entry, 3, 4)]
            return Tree(form, parts=tuple(entries))
        case "comprehension":
            parts = tuple(_expression(_last(data, number)) for number in (2, 4, 5, 6, 7))
            return Tree(form, _last(data, 1).decode(), parts=parts, accumulator=_last(data, 3).decode())
