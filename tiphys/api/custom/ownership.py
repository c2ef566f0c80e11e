"""Ownership of values of a structural schema: the `Schema` that server-side apply and managedFields go by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tiphys.api.custom.structural import NO_DEFAULT, Structural
from tiphys.api.machinery.apply.schema import DEDUCED, Member, Schema, members, schema_of
from tiphys.api.machinery.introspect import Field, Shape
from tiphys.api.meta.v1 import KubeObject, ObjectMeta

_ROOT = members(KubeObject)
_SHAPES = {"string": Shape("str"), "integer": Shape("int", bits=64), "number": Shape("float"), "boolean": Shape("bool")}
_ABOUT = Field(name="", attr="", shape=Shape("any"), nullable=True, always=False, default=None)
"""Parts that custom fields have in common with those of types: they differ in their name alone."""


@dataclass(frozen=True, slots=True)
class CustomSchema(Schema):
    """An object whose fields a structural schema names."""

    named: Mapping[str, Member] = field(default_factory=dict)

    def fields(self) -> Mapping[str, Member]:
        return self.named


def root_schema(node: Structural) -> Schema:
    """The schema of a custom kind."""
    named = {name: Member(_ABOUT, _schema(below)) for name, below in node.properties.items()}
    return CustomSchema("struct", named={**named, **_ROOT}, open=node.preserve or node.open)


def _schema(node: Structural) -> Schema:
    if node.int_or_string:
        return Schema("leaf")
    type_ = node.types[0] if node.types else ""
    if type_ == "array":
        return _list(node)
    if type_ == "object" or node.properties or node.additional is not None:
        return _object(node)
    if node.preserve or not type_:
        return DEDUCED
    return Schema("leaf", _SHAPES.get(type_))


def _list(node: Structural) -> Schema:
    if node.items is None or node.list_type not in ("set", "map"):
        return Schema("leaf")
    if node.list_type == "set":
        return Schema("set")
    defaults = {
        key: child.default
        for key in node.list_keys
        if (child := node.items.properties.get(key)) is not None and child.default is not NO_DEFAULT
    }
    return Schema("items", item=_schema(node.items), keys=node.list_keys, defaults=defaults)


def _object(node: Structural) -> Schema:
    if node.map_type == "atomic":
        return Schema("leaf")
    if node.additional is not None and not node.properties:
        return Schema("map", item=_schema(node.additional))
    if not node.properties and not node.embedded:
        return DEDUCED
    named = {name: Member(_ABOUT, _schema(below)) for name, below in node.properties.items()}
    if node.embedded:
        named |= {
            "apiVersion": Member(_ABOUT, Schema("leaf", Shape("str"))),
            "kind": Member(_ABOUT, Schema("leaf", Shape("str"))),
            "metadata": Member(_ABOUT, schema_of(ObjectMeta)),
        }
    return CustomSchema("struct", named=named, open=node.preserve or node.open)
