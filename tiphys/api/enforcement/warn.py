"""The warnings at creation, from the declaration: one walk over the parts of an object in which something is declared as warned."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from tiphys.api.enforcement.entry import Entry
from tiphys.api.enforcement.table import ENTRIES
from tiphys.api.machinery.introspect import describe

_UNSET: tuple[Any, ...] = (None, "", [], {})


class _Plan(NamedTuple):
    """Fields to look at in a value of one type."""

    own: tuple[tuple[Callable[[Any], Any], Entry], ...]
    """How to read the field, and its entry."""
    below: tuple[tuple[str, str], ...]
    """Attribute and name on the wire of the fields with something to look at."""


def warnings(path: str, obj: msgspec.Struct) -> list[str]:
    """Warnings about an object, which is at `path` ("" for a whole object): each names a field that is set and that nothing acts on."""
    warnings: list[str] = []
    _look(warnings, f"{path}." if path else "", obj)
    return warnings


def _look(warnings: list[str], prefix: str, obj: msgspec.Struct) -> None:
    own, below = _plan(type(obj))
    for read, entry in own:
        value = read(obj)
        if entry.keys:
            warnings += [f"{prefix}{entry.field}[{key}]: {entry.text}" for key in value if fnmatchcase(key, entry.keys)]
        elif entry.when(obj) if entry.when is not None else value not in _UNSET:
            warnings.append(f"{prefix}{entry.field}: {entry.text}")
    for attr, name in below:
        value = getattr(obj, attr)
        if not value:
            continue
        if isinstance(value, list):
            for index, item in enumerate(value):
                _look(warnings, f"{prefix}{name}[{index}].", item)
        else:
            _look(warnings, f"{prefix}{name}.", value)


@cache
def _plan(type_: type[msgspec.Struct]) -> _Plan:
    own = tuple((attrgetter(entry.field), entry) for entry in ENTRIES if _is_ours(entry, type_))
    below = []
    for field in describe(type_).fields.values():
        shape = field.shape.item if field.shape.form == "list" else field.shape
        if shape is not None and shape.struct is not None and _matters(shape.struct, frozenset((type_,))):
            below.append((field.attr, field.name))
    return _Plan(own, tuple(below))


def _is_ours(entry: Entry, type_: type[msgspec.Struct]) -> bool:
    return entry.owner is type_ and entry.effect == "warned" and not entry.elsewhere


def _matters(type_: type[msgspec.Struct], above: frozenset[type[msgspec.Struct]]) -> bool:
    """True if anything in a value of this type is declared as warned."""
    if any(_is_ours(entry, type_) for entry in ENTRIES):
        return True
    shapes = (field.shape.item if field.shape.form == "list" else field.shape for field in describe(type_).fields.values())
    return any(
        shape is not None and shape.struct is not None and shape.struct not in above and _matters(shape.struct, above | {type_})
        for shape in shapes
    )
