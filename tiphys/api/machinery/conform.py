"""Fits a generic document to a type the way clients of Kubernetes expect, and reports everything that does not fit.

The typed decoder is strict and stops at the first surprise. When it refuses a document this walk takes over: a null stands for the zero
value, a number may stand for a Quantity, unknown fields are dropped and reported, and every value of the wrong type is found in one go.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import Any

import msgspec

from tiphys.api.machinery.base import Time, micro_time
from tiphys.api.machinery.introspect import Description, Field, Shape, describe

LIMIT = 100
"""Maximum number of problems of each sort that are reported; a document with more is not worth more words."""

_ZEROS: dict[str, Any] = {"str": "", "int": 0, "float": 0.0, "bool": False, "bytes": b"", "quantity": "0", "intorstring": 0}
_TYPES = {
    "str": "string", "float": "float64", "bool": "bool", "bytes": "[]uint8", "time": "v1.Time", "microtime": "v1.MicroTime",
    "duration": "v1.Duration",
    "quantity": "resource.Quantity", "intorstring": "intstr.IntOrString", "any": "interface {}", "raw": "json.RawMessage",
}  # fmt: skip
_SIX_DIGITS = re.compile(r"\.[0-9]{6}(?![0-9])")
_MICRO_SAMPLE = "2026-01-02T03:04:05.000000Z"


class Node(dict[str, Any]):
    """An object as parsed, which remembers the keys that stood in it more than once.

    `repeated` has for each of them how many other keys had been seen before it stood there again.
    """

    __slots__ = ("repeated",)

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.repeated: dict[str, int] = {}
        if len(self) != len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    self.repeated.setdefault(key, len(seen))
                seen.add(key)


_ESCAPED_COLONS = (b"\\u003a", b"\\u003A")
_encode = msgspec.json.Encoder().encode


def may_repeat(body: bytes, document: Any, filled: int = 0) -> bool:
    """True if an object in JSON may hold a key twice, by what was decoded from it: written again it would have fewer keys.

    Colons are counted, one for each key and those in texts, which are the same in both. A typed object has `filled` keys that the body
    lacks, and lacks those of zero values: of such a body nothing is certain.
    """
    if _encode(document).count(b":") - filled != body.count(b":"):
        return True
    return b"\\u003" in body and any(colon in body for colon in _ESCAPED_COLONS)


class Walk:
    """One walk over one document. `problems` are what strict validation objects to, `mistakes` make the document unusable."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.mistakes: list[str] = []

    def problem(self, what: str, path: str) -> None:
        if len(self.problems) < LIMIT and (text := f'{what} field "{path}"') not in self.problems:
            self.problems.append(text)

    def mistake(self, text: str) -> None:
        if len(self.mistakes) < LIMIT:
            self.mistakes.append(text)

    def struct(self, type_: type[msgspec.Struct], value: dict[str, Any], path: str) -> Any:
        """The Struct of the object."""
        about = describe(type_)
        taken: dict[str, Any] = {}
        for name, item in self._members(value, path):
            below = f"{path}.{name}" if path else name
            field = about.fields.get(name)
            if field is None:
                self.problem("unknown", below)
            elif item is not None:
                taken[field.attr] = self.value(field.shape, item, below, about, field)
        return type_(**taken)

    def value(self, shape: Shape, value: Any, path: str, owner: Description, field: Field) -> Any:
        """The value of a shape, or its zero value after a mistake was noted."""
        form = shape.form
        if value is None:
            return zero(shape)
        if form == "struct":
            assert shape.struct is not None
            if isinstance(value, dict):
                return self.struct(shape.struct, value, path)
        elif form == "list":
            assert shape.item is not None
            if isinstance(value, list):
                return [self.value(shape.item, item, f"{path}[{index}]", owner, field) for index, item in enumerate(self._needed(value))]
        elif form == "map":
            assert shape.item is not None
            if isinstance(value, dict):
                return {key: self.value(shape.item, item, f"{path}.{key}", owner, field) for key, item in self._members(value, path)}
        elif form == "any":
            return self.plain(value, path)
        elif form == "raw":
            return msgspec.Raw(msgspec.json.encode(self.plain(value, path)))
        elif form == "int":
            if isinstance(value, int) and not isinstance(value, bool) and in_range(value, shape.bits):
                return value
        elif form in ("str", "bool"):
            if isinstance(value, bool if form == "bool" else str):
                return value
        else:
            return self._special(shape, value, path, owner, field)
        return self._mismatch(shape, value, path, owner)

    def _special(self, shape: Shape, value: Any, path: str, owner: Description, field: Field) -> Any:
        """Forms that more than one sort of value, or only some values, can stand for."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if shape.form == "quantity" and (isinstance(value, str) or number):
            return value if isinstance(value, str) else msgspec.json.encode(value).decode()
        if shape.form == "intorstring" and (isinstance(value, str) or (type(value) is int and in_range(value, 32))):
            return value
        if shape.form == "float" and number:
            return value
        if shape.form == "time" and isinstance(value, str):
            try:
                return msgspec.convert(value, Time).astimezone(UTC).replace(microsecond=0)
            except (msgspec.ValidationError, OverflowError):
                self.mistake(f"parsing time {quote(value)} of field {path}: it is not RFC 3339, such as 2026-01-02T03:04:05Z")
                return None
        if shape.form == "microtime" and isinstance(value, str):
            try:
                if _SIX_DIGITS.search(value):
                    return micro_time(msgspec.convert(value, Time))
            except (msgspec.ValidationError, OverflowError):
                pass
            self.mistake(f"parsing time {quote(value)} of field {path}: it is not RFC 3339 with six digits, such as {_MICRO_SAMPLE}")
            return None
        if shape.form == "bytes" and isinstance(value, str):
            try:
                return msgspec.convert(value.replace("\n", "").replace("\r", ""), bytes)
            except msgspec.ValidationError:
                self.mistake(f"illegal base64 data at input byte {first_illegal(value.encode())}")
                return b""
        return self._mismatch(shape, value, path, owner)

    def plain(self, value: Any, path: str) -> Any:
        """A value without a type, free of `Node`."""
        if isinstance(value, dict):
            return {key: self.plain(item, f"{path}.{key}" if path else key) for key, item in self._members(value, path)}
        if isinstance(value, list):
            return [self.plain(item, f"{path}[{index}]") for index, item in enumerate(value)]
        return value

    def _needed(self, items: list[Any]) -> Iterator[Any]:
        """The items of a list, no more of them once the document has more mistakes than an error tells."""
        for item in items:
            if len(self.mistakes) >= LIMIT:
                return
            yield item

    def _members(self, value: dict[str, Any], path: str) -> Iterable[tuple[str, Any]]:
        """The keys and values of an object; repeated keys become problems in the order of the document, as clients expect them."""
        repeated = value.repeated if isinstance(value, Node) else None
        return self._with_repetitions(value, path, repeated) if repeated else value.items()

    def _with_repetitions(self, value: dict[str, Any], path: str, repeated: dict[str, int]) -> Iterator[tuple[str, Any]]:
        repetitions = iter(repeated.items())  # In the order of their places, since they were noted one after the other.
        key, due = next(repetitions, ("", -1))
        for place, member in enumerate((*value.items(), None)):
            while due == place:
                self.problem("duplicate", f"{path}.{key}" if path else key)
                key, due = next(repetitions, ("", -1))
            if member is not None:
                yield member

    def _mismatch(self, shape: Shape, value: Any, path: str, owner: Description) -> Any:
        # The words are upstream's, which clients match on; the path also says which item of a list is meant.
        self.mistake(
            f"json: cannot unmarshal {name_of(value, shape)} into Go struct field {owner.type.__name__}.{path} of type {type_name(shape)}"
        )
        return zero(shape)


def first_illegal(text: bytes) -> int:
    """Return where text stops being base64, as reported to clients.

    That is an odd byte itself; for a group cut short its first byte, or the end when it was being padded.
    """
    group = padding = 0
    for place, byte in enumerate(text):
        if byte in b"\r\n":
            continue
        if padding:
            if padding == 1 or byte != _PAD:
                return place - padding + 1
            padding = 1
        elif byte == _PAD:
            if group < 2:
                return place
            padding = 4 - group
        elif byte not in _ALPHABET:
            return place
        else:
            group = (group + 1) % 4
    return len(text) if padding else len(text) - group


_PAD = ord("=")
_ALPHABET = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


def zero(shape: Shape) -> Any:
    """The zero value of a null inside a list or a map."""
    if shape.form == "struct":
        assert shape.struct is not None
        return shape.struct()
    if shape.form == "raw":
        return msgspec.Raw()
    if shape.form in ("list", "map"):
        return [] if shape.form == "list" else {}
    return copy.copy(_ZEROS.get(shape.form))


def in_range(value: int, bits: int) -> bool:
    return -(1 << bits - 1) <= value < 1 << bits - 1


def quote(text: str) -> str:
    return msgspec.json.encode(text).decode()


def name_of(value: Any, shape: Shape | None = None) -> str:
    """Name the kind of a JSON value, in the words of error messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return f"number {msgspec.json.encode(value).decode()}" if shape and shape.form in ("int", "intorstring") else "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def type_name(shape: Shape) -> str:
    """The type of a shape, in the words of error messages."""
    if shape.form == "struct":
        assert shape.struct is not None
        version = next((part for part in shape.struct.__module__.split(".") if part[:1] == "v" and part[1:].isdigit()), "v1")
        return f"{version}.{shape.struct.__name__}"
    if shape.form == "int":
        return f"int{shape.bits}"
    if shape.item is not None:
        return f"[]{type_name(shape.item)}" if shape.form == "list" else f"map[string]{type_name(shape.item)}"
    return _TYPES[shape.form]
