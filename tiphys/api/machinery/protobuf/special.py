"""Values with a message or a conversion of their own, as they are read: times, quantities, ports, and JSON inside protobuf."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from tiphys.api.machinery import durations
from tiphys.api.machinery.base import Duration, MicroTime, Quantity
from tiphys.api.machinery.protobuf.wire import LENGTH, VARINT, Malformed, read_varint, remembered, skip

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SIGN32, _SIGN64 = 1 << 31, 1 << 63
Place = tuple[int, int]


def int32(value: int) -> int:
    """A varint as a number of 32 bits with a sign; higher bits are dropped, as in Go."""
    if value < _SIGN32:
        return value
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value & _SIGN32 else value


def int64(value: int) -> int:
    """A varint as a number of 64 bits with a sign."""
    return value - (1 << 64) if value & _SIGN64 else value


def text(data: bytes, at: int, end: int) -> str:
    return str(data[at:end], "utf-8")


def raw(data: bytes, at: int, end: int) -> bytes:
    return data[at:end]


def fields(data: bytes, at: int, end: int) -> dict[int, list[Any]]:
    """The fields of a small message by number: numbers, and the places of values with a length; others are passed over."""
    by_number: dict[int, list[Any]] = {}
    while at < end:
        tag, at = read_varint(data, at, end)
        if tag & 7 not in (VARINT, LENGTH) or tag < 8:
            at = skip(data, at, end, tag)
            continue
        item: Any
        item, at = read_varint(data, at, end)
        if tag & 7 == LENGTH:
            item = (at, at + item)
            at = item[1]
            if at > end:
                raise Malformed("unexpected EOF")
        by_number.setdefault(tag >> 3, []).append(item)
    return by_number


def place(value: Any) -> Place:
    """The place of a value that must have a length in front of it."""
    if not isinstance(value, tuple):
        raise Malformed("proto: wrong wireType = 0")
    return value


def number(value: Any) -> int:
    """The value of a field that must be a number."""
    if isinstance(value, tuple):
        raise Malformed("proto: wrong wireType = 2")
    return int(value)


def texts(data: bytes, at: int, end: int) -> list[str]:
    """The list of strings of a message that holds nothing else."""
    return [text(data, *place(item)) for item in fields(data, at, end).get(1, [])]


def quantity(data: bytes, at: int, end: int) -> Quantity:
    """A quantity; without its text it is 0."""
    if end - at >= 2 and data[at] == 0x0A and data[at + 1] == end - at - 2:
        return Quantity(text(data, at + 2, end) or "0")
    texts = fields(data, at, end).get(1)
    return Quantity((text(data, *place(texts[-1])) if texts else "") or "0")


def int_or_string(data: bytes, at: int, end: int) -> int | str:
    """A port or a percentage."""
    return _int_or_string(data[at:end])


@remembered
def _int_or_string(data: bytes) -> int | str:
    parts = fields(data, 0, len(data))
    if number(parts.get(1, [0])[-1]) == 0:
        return int32(number(parts.get(2, [0])[-1]))
    strings = parts.get(3)
    return text(data, *place(strings[-1])) if strings else ""


def time(data: bytes, at: int, end: int) -> datetime | None:
    """A moment; an empty message is none. Fractions of a second are dropped."""
    return None if at == end else _moment(data[at:end]).replace(microsecond=0)


def micro_time(data: bytes, at: int, end: int) -> MicroTime | None:
    """A moment with six digits of fraction."""
    return None if at == end else MicroTime(f"{_moment(data[at:end]).replace(tzinfo=None).isoformat(timespec='microseconds')}Z")


def duration(data: bytes, at: int, end: int) -> Duration:
    """A length of time; an empty message is none at all."""
    return Duration(durations.written(int64(number(fields(data, at, end).get(1, [0])[-1]))))


@remembered
def _moment(data: bytes) -> datetime:
    parts = fields(data, 0, len(data))
    seconds, nanos = int64(number(parts.get(1, [0])[-1])), int32(number(parts.get(2, [0])[-1]))
    try:
        return EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)
    except OverflowError:
        raise Malformed("a time is outside the years 1 to 9999") from None


def raw_value(data: bytes, at: int, end: int, absent: msgspec.Raw) -> msgspec.Raw:
    """Like `any_value`, left as text. `absent` is the default of the field: any other empty text would be written as no JSON at all."""
    value = any_value(data, at, end)
    return absent if value is None else msgspec.Raw(msgspec.json.encode(value))


def any_value(data: bytes, at: int, end: int) -> Any:
    """A value that is JSON inside protobuf; an empty one is none."""
    texts = fields(data, at, end).get(1)
    if not texts:
        return None
    start, stop = place(texts[-1])
    if start == stop:
        return None
    try:
        return msgspec.json.decode(data[start:stop])
    except msgspec.DecodeError as error:
        raise Malformed(f"an embedded value is not JSON: {error}") from None
