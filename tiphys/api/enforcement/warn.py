"""The warnings at creation, from the declaration: one walk over the parts of an object in which something is declared as warned."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache, reduce
from typing import Any, NamedTuple

import msgspec

from tiphys.api.enforcement.entry import Entry
from tiphys.api.enforcement.table import ENTRIES
from tiphys.api.introspect import describe


class _Plan(NamedTuple):
    """What to look at in a value of one type."""

    own: tuple[Entry, ...]
    below: tuple[tuple[str, str, type[msgspec.Struct]], ...]
    """Attribute, name on the wire and type of the fields with something to look at."""


def warnings(path: str, obj: msgspec.Struct) -> list[str]:
    """Warnings about an object, which is at `path` ("" for a whole object): each names a field that is set and that nothing acts on."""
    said: list[str] = []
    _look(said, f"{path}." if path else "", obj)
    return said


def _look(said: list[str], prefix: str, obj: msgspec.Struct) -> None:
    own, below = _plan(type(obj))
    for entry in own:
        said.extend(f"{prefix}{where}: {entry.text}" for where in _found(entry, obj))
    for attr, name, _ in below:
        value = getattr(obj, attr)
        if not value:
            continue
        if isinstance(value, list):
            for index, item in enumerate(value):
                _look(said, f"{prefix}{name}[{index}].", item)
        else:
            _look(said, f"{prefix}{name}.", value)


def _found(entry: Entry, obj: Any) -> Iterator[str]:
    """Where in the object there is what the entry warns of."""
    value = reduce(getattr, entry.field.split("."), obj)
    if entry.keys:
        yield from (f"{entry.field}[{key}]" for key in value if fnmatchcase(key, entry.keys))
    elif entry.when(obj) if entry.when is not None else value not in (None, "", [], {}):
        yield entry.field


@cache
def _plan(type_: type[msgspec.Struct]) -> _Plan:
    own = tuple(entry for entry in ENTRIES if entry.owner is type_ and entry.effect == "warned" and not entry.elsewhere)
    below = []
    for field in describe(type_).fields.values():
        shape = field.shape.item if field.shape.form == "list" else field.shape
        if shape is not None and shape.struct is not None and _matters(shape.struct, frozenset((type_,))):
            below.append((field.attr, field.name, shape.struct))
    return _Plan(own, tuple(below))


def _matters(type_: type[msgspec.Struct], above: frozenset[type[msgspec.Struct]]) -> bool:
    """Whether anything in a value of this type is declared as warned."""
    if any(entry.owner is type_ and entry.effect == "warned" and not entry.elsewhere for entry in ENTRIES):
        return True
    shapes = (field.shape.item if field.shape.form == "list" else field.shape for field in describe(type_).fields.values())
    return any(
        shape is not None and shape.struct is not None and shape.struct not in above and _matters(shape.struct, above | {type_})
        for shape in shapes
    )
