"""From protobuf to typed objects.

Each message is compiled to a table from key (field number and wire type) to an action, when the first one of it is read. Zero values
that Go writes for every plain field leave no trace, as in JSON. Known fields with the wrong wire type are refused, unknown fields are
passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache, partial
from typing import Any, TypeVar

import msgspec

from tiphys.api.machinery.introspect import Field, Shape
from tiphys.api.machinery.protobuf import special
from tiphys.api.machinery.protobuf.messages import Message, message
from tiphys.api.machinery.protobuf.wire import FIXED64, LENGTH, VARINT, Malformed, read_varint, skip

T = TypeVar("T", bound=msgspec.Struct)
Read = Callable[[bytes, int, int], Any]
"""The value that stands between two places."""
Fill = Callable[[bytes, int, int, dict[str, Any]], dict[str, Any]]
"""Adds the fields that stand between two places to a type's arguments, and returns those."""

_TEXT, _STRUCT, _STRUCTS, _VALUE, _MAP, _LIST, _INLINE, _PACKED = range(8)
"""Styles of fields with a length."""
_NUMBER, _BOOL, _NUMBERS, _DOUBLE, _WRONG = range(8, 13)
Entry = tuple[int, str, Any, Any]
"""Style, attribute, what reads the value, and for structs their type."""

_LEAVES: dict[str, Read] = {
    "str": special.text,
    "bytes": special.raw,
    "time": special.time,
    "microtime": special.micro_time,
    "duration": special.duration,
    "quantity": special.quantity,
    "intorstring": special.int_or_string,
    "any": special.any_value,
}
_MARKS: dict[str, Read] = {"json": special.any_value, "[]": special.texts}


def read(type_: type[T], data: bytes) -> T:
    """The object in a message, without an envelope around it. Raises Malformed, and KeyError for types that have no message."""
    try:
        obj: T = struct_reader(type_)(data, 0, len(data))
    except IndexError:
        raise Malformed("unexpected EOF") from None
    except UnicodeDecodeError:
        raise Malformed("a string is not valid UTF-8") from None
    except RecursionError:
        raise Malformed("exceeded max depth") from None
    return obj


@cache
def struct_reader(type_: type[msgspec.Struct]) -> Read:
    """The reader of a type's messages."""
    fill = _filler(type_)

    def read_struct(data: bytes, at: int, end: int) -> Any:
        return type_(**fill(data, at, end, {}))

    return read_struct


@cache
def _filler(type_: type[msgspec.Struct], name: str = "") -> Fill:
    # The table is made when the first message comes: no object compiles all that it could ever hold, and types can hold themselves.
    table: dict[int, Entry] = {}
    silent: set[int] = set()

    def fill(data: bytes, at: int, end: int, out: dict[str, Any]) -> dict[str, Any]:
        if not table:
            about = message(type_, name)
            table.update(_table(about))
            silent.update(_silent(about))
        while at < end:
            tag = data[at]
            at += 1
            if tag > 127:
                more = data[at]
                if more < 128:
                    tag += (more << 7) - 128
                    at += 1
                else:
                    tag, at = read_varint(data, at - 1, end)
            if not data[at] and tag in silent:
                at += 1
                continue
            entry = table.get(tag)
            if entry is None:
                at = skip(data, at, end, tag)
                continue
            style, attr, read_value, make = entry
            if style >= _DOUBLE:
                at = _rare(data, at, end, tag, entry, out)
                continue
            size = data[at]
            at += 1
            if size > 127:
                more = data[at]
                if more < 128:
                    size += (more << 7) - 128
                    at += 1
                else:
                    size, at = read_varint(data, at - 1, end)
            if style >= _NUMBER:
                if style == _NUMBER:
                    out[attr] = size if size < 0x80000000 else read_value(size)
                elif style == _BOOL:
                    out[attr] = size != 0
                else:
                    out.setdefault(attr, []).append(read_value(size))
                continue
            stop = at + size
            if stop > end:
                raise Malformed("unexpected EOF")
            if style == _TEXT:
                out[attr] = str(data[at:stop], "utf-8")
            elif style == _STRUCT:
                out[attr] = make(**read_value(data, at, stop, {}))
            elif style == _VALUE:
                out[attr] = read_value(data, at, stop)
            elif style == _STRUCTS:
                value = make(**read_value(data, at, stop, {}))
                if attr in out:
                    out[attr].append(value)
                else:
                    out[attr] = [value]
            else:
                _gather(style, attr, read_value, data, at, stop, out)
            at = stop
        if at != end:
            raise Malformed("unexpected EOF")
        return out

    return fill


def _gather(style: int, attr: str, read_value: Any, data: bytes, at: int, stop: int, out: dict[str, Any]) -> None:
    """The styles that add to earlier values."""
    if style == _MAP:
        name, value = read_value(data, at, stop)
        out.setdefault(attr, {})[name] = value
    elif style == _LIST:
        out.setdefault(attr, []).append(read_value(data, at, stop))
    elif style == _INLINE:
        read_value(data, at, stop, out)
    else:
        out.setdefault(attr, []).extend(read_value(data, at, stop))


def _rare(data: bytes, at: int, end: int, tag: int, entry: Entry, out: dict[str, Any]) -> int:
    style, attr, _, _ = entry
    if style == _WRONG:
        raise Malformed(f"proto: wrong wireType = {tag & 7} for field {attr}")
    if at + 8 > end:
        raise Malformed("unexpected EOF")
    (out[attr],) = struct.unpack_from("<d", data, at)
    return at + 8


def _table(about: Message) -> dict[int, Entry]:
    table: dict[int, Entry] = {-1: (_WRONG, "", None, None)}
    for member in about.members:
        if member.field is None:
            entries = {LENGTH: (_INLINE, member.inline, _filler(about.type, member.inline), None)}
        else:
            entries = _entries(member.field, member.mark, about.type)
        name = member.inline if member.field is None else member.field.name
        for wire_type in range(8):
            table[member.number << 3 | wire_type] = entries.get(wire_type, (_WRONG, name, None, None))
    return table


def _entries(field: Field, mark: str, owner: type[msgspec.Struct]) -> dict[int, Entry]:
    """Return the action for each field of `owner`, by wire type."""
    shape, attr = field.shape, field.attr
    if shape.form == "raw":
        absent = next(one.default for one in msgspec.structs.fields(owner) if one.name == attr)
        return {LENGTH: (_VALUE, attr, partial(special.raw_value, absent=absent), None)}
    if mark in _MARKS:
        return {LENGTH: (_VALUE, attr, _MARKS[mark], None)}
    if shape.form == "list":
        assert shape.item is not None
        if shape.item.form in ("int", "bool"):
            number = _number(shape.item)
            return {VARINT: (_NUMBERS, attr, number, None), LENGTH: (_PACKED, attr, _packed(number), None)}
        if shape.item.struct is not None:
            return {LENGTH: (_STRUCTS, attr, _filler(shape.item.struct), shape.item.struct)}
        return {LENGTH: (_LIST, attr, _value(shape.item, mark, owner), None)}
    if shape.form == "map":
        assert shape.item is not None
        return {LENGTH: (_MAP, attr, _map_entry(shape.item, mark, owner), None)}
    if shape.form == "float":
        return {FIXED64: (_DOUBLE, attr, None, None)}
    if shape.form in ("int", "bool"):
        return {VARINT: (_NUMBER, attr, _number(shape), None) if shape.form == "int" else (_BOOL, attr, None, None)}
    if shape.struct is not None:
        return {LENGTH: (_STRUCT, attr, _filler(shape.struct), shape.struct)}
    return {LENGTH: (_TEXT if shape.form == "str" else _VALUE, attr, _value(shape, mark, owner), None)}


def _silent(about: Message) -> set[int]:
    """The keys of fields that say nothing when a zero byte follows: a length of 0 or the number 0, which Go writes for all of them."""
    plain = [
        (member.number, member.field.shape.form)
        for member in about.members
        if member.field is not None and not member.field.nullable and not member.mark
    ]
    wire_types = {"str": LENGTH, "bytes": LENGTH, "struct": LENGTH, "int": VARINT, "bool": VARINT}
    return {number << 3 | wire_types[form] for number, form in plain if form in wire_types}


def _number(shape: Shape) -> Callable[[int], int]:
    if shape.form == "bool":
        return bool
    return special.int32 if shape.bits == 32 else special.int64


def _packed(number: Callable[[int], int]) -> Read:
    def read_packed(data: bytes, at: int, end: int) -> list[Any]:
        values = []
        while at < end:
            value, at = read_varint(data, at, end)
            values.append(number(value))
        return values

    return read_packed


def _value(shape: Shape, mark: str, owner: type[msgspec.Struct]) -> Read:
    """The reader of a value that has a length in front of it."""
    if mark:
        return _union(mark, owner)
    if shape.form == "struct":
        assert shape.struct is not None
        return struct_reader(shape.struct)
    if shape.form == "list":
        return special.texts
    return _LEAVES[shape.form]


def _map_entry(item: Shape, mark: str, owner: type[msgspec.Struct]) -> Read:
    """A key and a value; an entry that leaves one out means its zero value."""
    value = _value(item, mark, owner)
    text = item.form == "str"

    def read_entry(data: bytes, at: int, end: int) -> tuple[str, Any]:
        name, start, stop = "", at, at
        while at < end:
            tag = data[at]
            if tag not in (0x0A, 0x12):
                tag, at = read_varint(data, at, end)
                if tag in (0x0A, 0x12):
                    raise Malformed("proto: a key of a map entry is not in its shortest form")
                at = skip(data, at, end, tag)
                continue
            size = data[at + 1]
            at += 2
            if size > 127:
                size, at = read_varint(data, at - 1, end)
            if at + size > end:
                raise Malformed("unexpected EOF")
            if tag == 0x0A:
                name = str(data[at : at + size], "utf-8")
            else:
                start, stop = at, at + size
            at += size
        return name, str(data[start:stop], "utf-8") if text else value(data, start, stop)

    return read_entry


def _union(mark: str, owner: type[msgspec.Struct]) -> Read:
    """The places of a JSON schema that hold another one or something else, as plain values."""
    schemas = struct_reader(owner)

    def read_union(data: bytes, at: int, end: int) -> Any:
        fields = special.fields(data, at, end)

        def builtins(place: Any) -> Any:
            return msgspec.to_builtins(schemas(data, *special.place(place)))

        number = 2 if mark == "bool" else 1
        if fields.get(number):
            return builtins(fields[number][-1])
        others = fields.get(3 - number, [])
        if mark == "bool":
            return bool(others and others[-1])
        if mark == "array":
            return [builtins(item) for item in others]
        return [special.text(data, *special.place(item)) for item in others]

    return read_union
