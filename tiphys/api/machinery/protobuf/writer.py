"""From documents to protobuf.

What is written is a document, an object as plain values with the names of JSON: that is what the server stores and what `msgspec` makes of
any object, it holds only what is set, and an absent field needs no second look. Each message is compiled to a table from JSON name to what
to write, when the first one of it is written.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

import msgspec

from tiphys.api.machinery import durations
from tiphys.api.machinery.introspect import Shape
from tiphys.api.machinery.protobuf.messages import Member, Message, message
from tiphys.api.machinery.protobuf.special import EPOCH
from tiphys.api.machinery.protobuf.wire import FIXED64, LENGTH, SMALL, VARINT, key, remembered, varint

Body = Callable[[Any], bytes]
"""The bytes of a value, without key and length."""
Many = Callable[[Any, list[bytes]], None]
"""Appends a field of several values: keys, lengths and bodies."""
_SINGLE, _NUMBER, _MANY = range(3)
Put = tuple[int, bytes, Callable[..., Any]]
"""Way to write a field: a body with a length in front, a number, or a function that appends keys, lengths and bodies itself."""

_encode_json = msgspec.json.Encoder().encode


@cache
def struct_writer(type_: type[msgspec.Struct], name: str = "") -> Body:
    """The writer of a type's messages, or of the inline one of that name, from documents. Raises KeyError for types that have none."""
    # The table is made when the first document comes: types can hold themselves.
    table: dict[str, Put] = {}
    inline: list[tuple[frozenset[str], bytes, Body]] = []
    about: Message | None = None

    def write(document: Mapping[str, Any]) -> bytes:
        nonlocal about
        if about is None:
            about = message(type_, name)
            table.update({member.field.name: _put(member, about.type) for member in about.members if member.field is not None})
            inline.extend(_inline(about, member) for member in about.members if member.field is None)
        parts: list[bytes] = []
        for field, value in document.items():
            put = table.get(field)
            if put is None or value is None:
                continue
            style, start, body = put
            if style == _SINGLE:
                data = body(value)
                size = len(data)
                parts += (start, SMALL[size] if size < 128 else varint(size), data)
            elif style == _NUMBER:
                parts += (start, body(value))
            else:
                body(value, parts)
        for names, start, body in inline:
            within = {field: value for field, value in document.items() if field in names}
            if within:
                _add(parts, start, body(within))
        return b"".join(parts)

    return write


def _add(parts: list[bytes], start: bytes, data: bytes) -> None:
    parts += (start, varint(len(data)), data)


def _inline(about: Message, member: Member) -> tuple[frozenset[str], bytes, Body]:
    """An inline message: the JSON names that belong to it, its key and its writer."""
    return frozenset(_names(about.inner(member))), key(member.number, LENGTH), struct_writer(about.type, member.inline)


def _names(about: Message) -> list[str]:
    names = []
    for member in about.members:
        names += [member.field.name] if member.field is not None else _names(about.inner(member))
    return names


def _put(member: Member, owner: type[msgspec.Struct]) -> Put:
    """The writer of one field of `owner`."""
    assert member.field is not None
    shape, mark, number = member.field.shape, member.mark, member.number
    if mark in ("json", "[]"):
        return _SINGLE, key(number, LENGTH), _texts if mark == "[]" else _any
    if shape.form == "list":
        assert shape.item is not None
        return _MANY, b"", _repeated(number, shape.item, mark, owner)
    if shape.form == "map":
        assert shape.item is not None
        return _MANY, b"", _map(number, _body(shape.item, mark, owner))
    if shape.form in _PLAIN:
        return _NUMBER, key(number, FIXED64 if shape.form == "float" else VARINT), _PLAIN[shape.form]
    return _SINGLE, key(number, LENGTH), _body(shape, mark, owner)


def _repeated(number: int, item: Shape, mark: str, owner: type[msgspec.Struct]) -> Many:
    start = key(number, VARINT if item.form in _PLAIN else LENGTH)
    if item.form in _PLAIN:
        plain = _PLAIN[item.form]

        def put_numbers(value: Any, parts: list[bytes]) -> None:
            for one in value:
                parts += (start, plain(one))

        return put_numbers
    body = _body(item, mark, owner)

    def put(value: Any, parts: list[bytes]) -> None:
        for one in value:
            data = body(one)
            size = len(data)
            parts += (start, SMALL[size] if size < 128 else varint(size), data)

    return put


def _map(number: int, body: Body) -> Many:
    start = key(number, LENGTH)

    def put(value: Any, parts: list[bytes]) -> None:
        for name, one in value.items():
            head, data = name.encode(), body(one)
            entry = b"\n%b%b\x12%b%b" % (varint(len(head)), head, varint(len(data)), data)
            parts += (start, varint(len(entry)), entry)

    return put


def _body(shape: Shape, mark: str, owner: type[msgspec.Struct]) -> Body:
    """Return the function that writes a value of this shape after its length."""
    if mark:
        return _UNIONS[mark](struct_writer(owner))
    if shape.form == "struct":
        assert shape.struct is not None
        return struct_writer(shape.struct)
    return _BODIES[shape.form]


def _message(*fields: tuple[int, Any]) -> bytes:
    """A small message of numbers and bytes."""
    parts: list[bytes] = []
    for number, value in fields:
        if isinstance(value, bytes):
            _add(parts, key(number, LENGTH), value)
        else:
            parts += (key(number, VARINT), varint(value))
    return b"".join(parts)


@remembered
def _time(text: str) -> bytes:
    # Seconds and nanoseconds are written even when they are 0: an empty message is no time at all.
    try:
        since = datetime.fromisoformat(text) - EPOCH
    except ValueError:
        return b""  # Nobody reads a time from it in JSON either, and it must not make the object unreadable.
    return _message((1, since.days * 86400 + since.seconds), (2, since.microseconds * 1000))


def _duration(text: str) -> bytes:
    try:
        return _message((1, durations.nanoseconds(text)))
    except ValueError:
        return _message((1, 0))  # As for times.


@remembered
def _quantity(text: str) -> bytes:
    return _message((1, text.encode()))


def _int_or_string(value: int | str) -> bytes:
    if isinstance(value, str):
        return _message((1, 1), (2, 0), (3, value.encode()))
    return _message((1, 0), (2, value), (3, b""))


def _any(value: Any) -> bytes:
    return _message((1, _encode_json(value)))


def _texts(value: list[str]) -> bytes:
    return _message(*((1, item.encode()) for item in value))


def _schema_or_array(schema: Body) -> Body:
    return lambda value: _message((1, schema(value))) if isinstance(value, dict) else _message(*((2, schema(item)) for item in value))


def _schema_or_bool(schema: Body) -> Body:
    return lambda value: _message((1, 1), (2, schema(value))) if isinstance(value, dict) else _message((1, int(bool(value))))


def _schema_or_strings(schema: Body) -> Body:
    return lambda value: _message((1, schema(value))) if isinstance(value, dict) else _message(*((2, item.encode()) for item in value))


_PLAIN: dict[str, Body] = {"int": varint, "bool": varint, "float": struct.Struct("<d").pack}
_BODIES: dict[str, Body] = {
    "str": str.encode,
    "bytes": base64.b64decode,
    "time": _time,
    "microtime": _time,
    "duration": _duration,
    "quantity": _quantity,
    "intorstring": _int_or_string,
    "any": _any,
    "list": _texts,
}
_UNIONS: dict[str, Callable[[Body], Body]] = {"array": _schema_or_array, "bool": _schema_or_bool, "strings": _schema_or_strings}
