"""Ownership of the values of each type: whole, or part by part. Read from the types (`tiphys.api.machinery.introspect`).

leaf    a scalar, or a struct, map or list that is replaced whole
struct  an object with declared fields, each owned by itself
map     an object with any keys, each owned by itself
items   a list whose items are identified by some of their fields
set     a list of distinct scalars
deduced anything: objects part by part, lists whole; for documents without a type
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import msgspec

from tiphys.api.machinery.base import MapList, SetList
from tiphys.api.machinery.introspect import Field, Shape, describe, map_type

Sort = Literal["leaf", "struct", "map", "items", "set", "deduced"]

_DEFAULT_KEYS: Mapping[tuple[str, str], Any] = {
    ("ContainerPort", "protocol"): "TCP",
    ("ServicePort", "protocol"): "TCP",
    ("LocalObjectReference", "name"): "",
    ("ObjectReference", "name"): "",
}
"""Values of keys that an item leaves out; an item that leaves out any other is a mistake."""


@dataclass(frozen=True, slots=True)
class Schema:
    """Ownership of the values of one type. `shape` says which values are right for a leaf."""

    sort: Sort
    shape: Shape | None = None
    type: type[msgspec.Struct] | None = None
    item: Schema | None = None
    """The values of a map, the items of a list of items."""
    keys: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    open: bool = False
    """True if a struct may have fields that are not declared."""

    def fields(self) -> Mapping[str, Member]:
        """The fields of a struct."""
        assert self.type is not None
        return members(self.type)


@dataclass(frozen=True, slots=True)
class Member:
    """A field of a struct and how it is owned."""

    about: Field
    schema: Schema


DEDUCED = Schema("deduced")


@cache
def members(type_: type[msgspec.Struct]) -> Mapping[str, Member]:
    """The fields of a Struct type by wire name."""
    return {name: Member(about, _of_field(about)) for name, about in describe(type_).fields.items()}


def schema_of(type_: type[msgspec.Struct]) -> Schema:
    """The schema of a kind."""
    model = getattr(type_, "__model__", None)
    if model is not None:
        custom: Schema = model.ownership
        return custom
    return _schema_of(type_)


@cache
def _schema_of(type_: type[msgspec.Struct]) -> Schema:
    return Schema("struct", Shape("struct", struct=type_), type_)


def _of_field(about: Field) -> Schema:
    shape, message = about.shape, about.semantics
    if about.atomic:
        return Schema("leaf", shape)
    if shape.form == "list":
        assert shape.item is not None
        if isinstance(message, MapList) and shape.item.struct is not None:
            owner = shape.item.struct.__name__
            defaults = {key: _DEFAULT_KEYS[owner, key] for key in message.keys if (owner, key) in _DEFAULT_KEYS}
            return Schema("items", shape, item=_of_shape(shape.item), keys=message.keys, defaults=defaults)
        return Schema("set" if isinstance(message, SetList) else "leaf", shape)
    return _of_shape(shape)


def _of_shape(shape: Shape) -> Schema:
    if shape.form == "struct":
        assert shape.struct is not None
        return Schema("leaf", shape) if map_type(shape.struct) == "atomic" else schema_of(shape.struct)
    if shape.form == "map":
        assert shape.item is not None
        return Schema("map", shape, item=_of_shape(shape.item))
    return Schema("leaf", shape)
