"""The encoding below all messages: varints, keys, and skipping of unknown fields ("Protocol Buffers: Encoding")."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

VARINT, FIXED64, LENGTH, GROUP, GROUP_END, FIXED32 = range(6)

_MAX_VARINT = 10


V = TypeVar("V", str, bytes)
R = TypeVar("R")
_REMEMBERED_SIZE = 80


class Malformed(ValueError):
    """The bytes are not a message of the expected type."""


def varint(value: int) -> bytes:
    """A whole number; negative ones take ten bytes, as their two's complement of 64 bits."""
    if 0 <= value < 128:
        return SMALL[value]
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


SMALL = tuple(bytes((value,)) for value in range(128))
"""The varints of one byte."""


def remembered(function: Callable[[V], R]) -> Callable[[V], R]:
    """Keep the last few hundred results for short values: the same few times and ports stand all over an object, and all over a list.

    Long values are what only somebody up to no good sends, and are not kept.
    """
    cached = lru_cache(maxsize=512)(function)

    def call(value: V) -> R:
        return cached(value) if len(value) < _REMEMBERED_SIZE else function(value)

    return call


def key(number: int, wire_type: int) -> bytes:
    """Encode the number and wire type that stand before a field's value."""
    return varint(number << 3 | wire_type)


def read_varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The number at `at`, and where it ends; bits beyond the 64th are dropped. Raises Malformed."""
    value = shift = 0
    for index in range(at, min(end, at + _MAX_VARINT)):
        byte = data[index]
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFFFFFFFFFFFFFF, index + 1
        shift += 7
    raise Malformed("unexpected EOF" if end - at < _MAX_VARINT else "proto: integer overflow")


def skip(data: bytes, at: int, end: int, tag: int) -> int:
    """Return the end of the value of an unknown field. Raises Malformed."""
    depth = 0
    while True:
        wire_type = tag & 7
        if tag >> 3 == 0:
            raise Malformed(f"proto: illegal tag 0 (wire type {wire_type})")
        if wire_type == VARINT:
            _, at = read_varint(data, at, end)
        elif wire_type == LENGTH:
            size, at = read_varint(data, at, end)
            at += size
        elif wire_type in (FIXED64, FIXED32):
            at += 8 if wire_type == FIXED64 else 4
        elif wire_type == GROUP:
            depth += 1
        elif wire_type == GROUP_END and depth:
            depth -= 1
        else:
            message = "wiretype end group for non-group" if wire_type == GROUP_END else f"illegal wireType {wire_type}"
            raise Malformed(f"proto: {message}")
        if at > end:
            raise Malformed("unexpected EOF")
        if not depth:
            return at
        tag, at = read_varint(data, at, end)
