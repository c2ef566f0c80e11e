"""Options in a query string as typed values, with the conversions of Kubernetes ("Kubernetes API Concepts").

    decode_query(ListOptions, [("watch", ""), ("limit", "5")])  ->  ListOptions(watch=True, limit=5)

One table of converters per type is derived from its fields. A parameter without a field is ignored. The first of a repeated one counts;
lists take all. A flag is true with any value except "false" and "0", also with none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from functools import cache
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin

import msgspec

from tiphys.api.machinery.errors import BadRequest

T = TypeVar("T")
Converter = Callable[[str], Any]

_INTEGER = re.compile(r"[+-]?[0-9]+")
_INT64 = 1 << 63
_PORTS = 1 << 16
_SHOWN = 100
"""Characters of a wrong value that its error repeats."""


def decode_query(type_: type[T], query: Sequence[tuple[str, str]]) -> T:
    """The options that a query sets; raises BadRequest for a number or a time that is none."""
    converters, repeated = _table(cast("Hashable", type_))
    values: dict[str, Any] = {}
    for name, text in query:
        converter = converters.get(name)
        if converter is None:
            continue
        attribute, convert = converter
        if name in repeated:
            values[attribute] = [*values.get(attribute, ()), *convert(text)]
        elif attribute not in values:
            values[attribute] = convert(text)
    return type_(**values)


def flag(text: str) -> bool:
    """A boolean parameter that is there: every value but these two means true."""
    return text != "0" and text.lower() != "false"


def _integer(text: str) -> int:
    if len(text) < 19 and text.isascii() and text.isdigit():
        return int(text)
    if not _INTEGER.fullmatch(text):
        raise BadRequest(f"strconv.ParseInt: parsing {_quoted(text)}: invalid syntax")
    value = int(text) if len(text) < 30 else _INT64
    if not -_INT64 <= value < _INT64:
        raise BadRequest(f"strconv.ParseInt: parsing {_quoted(text)}: value out of range")
    return value


def _small_integers(text: str) -> list[int]:
    """Comma-separated ports."""
    values = []
    for part in text.split(","):
        if not (part.isascii() and part.isdigit()):
            raise BadRequest(f"cannot convert to []int32: strconv.ParseUint: parsing {_quoted(part)}: invalid syntax")
        if len(part) > 5 or int(part) >= _PORTS:
            raise BadRequest(f"cannot convert to []int32: strconv.ParseUint: parsing {_quoted(part)}: value out of range")
        values.append(int(part))
    return values


def _time(text: str) -> datetime | None:
    if text in ("", "null"):
        return None
    try:
        moment: datetime = msgspec.convert(text, Annotated[datetime, msgspec.Meta(tz=True)])
    except msgspec.ValidationError:
        raise BadRequest(f'parsing time {_quoted(text)} as "2006-01-02T15:04:05Z07:00": cannot parse it') from None
    return moment


def _quoted(text: str) -> str:
    return msgspec.json.encode(text[:_SHOWN]).decode()


_CONVERTERS: dict[Any, Converter] = {bool: flag, int: _integer, str: str, datetime: _time}
_LISTS: dict[Any, Converter] = {str: lambda text: [text], int: _small_integers}


@cache
def _table(type_: Any) -> tuple[dict[str, tuple[str, Converter]], frozenset[str]]:
    """Converters by the name of the parameter, with the attribute that each sets; and the names that may be repeated."""
    table: dict[str, tuple[str, Converter]] = {}
    repeated = set()
    for field in msgspec.structs.fields(type_):
        plain = plain_type(field.type)
        if get_origin(plain) is list:
            table[field.encode_name] = field.name, _LISTS[get_args(plain)[0]]
            repeated.add(field.encode_name)
        elif plain in _CONVERTERS:
            table[field.encode_name] = field.name, _CONVERTERS[plain]
    return table, frozenset(repeated)


def plain_type(type_: Any) -> Any:
    """A field's type without its annotations and without None."""
    if get_origin(type_) is Annotated:
        return plain_type(get_args(type_)[0])
    if get_origin(type_) in (Union, UnionType):
        return plain_type(next(arg for arg in get_args(type_) if arg is not type(None)))
    return type_
