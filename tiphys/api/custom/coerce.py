"""Bringing an object into the shape of its schema: unknown fields out, defaults in, embedded metadata in order.

Everything works in place on plain content. The order is `prune`, `drop_nulls`, `coerce_embedded`, `default`, for requests as for what
comes from the store, where nothing is a mistake any more ("Custom Resources: Pruning versus preserving unknown fields", "Defaulting").
"""

from __future__ import annotations

from typing import Any

import msgspec

from tiphys.api.custom.structural import META_FIELDS, NO_DEFAULT, Structural
from tiphys.api.machinery.conform import Walk
from tiphys.api.machinery.errors import FieldError, invalid
from tiphys.api.machinery.limits import MAX_BYTES, ObjectTooLarge
from tiphys.api.machinery.plain import copied
from tiphys.api.meta.v1 import ObjectMeta

_SCALARS = (str, int, float, bool)


class Growth:
    """The bytes that defaults may still add to an object."""

    __slots__ = ("left",)

    def __init__(self, left: int = MAX_BYTES) -> None:
        self.left = left

    def fresh(self, node: Structural, name: str) -> Any:
        """The node's default as a value of its own; raises ObjectTooLarge when it no longer fits."""
        value = node.default
        if value is NO_DEFAULT:
            return None
        self.left -= len(value) if isinstance(value, str) else 8 if isinstance(value, _SCALARS) else len(msgspec.json.encode(value))
        if self.left < 0:
            raise ObjectTooLarge(name)
        return value if isinstance(value, _SCALARS) else copied(value)


def default(value: Any, node: Structural | None) -> None:
    """Fill in missing fields, and those that are null where null is not allowed.

    Raises ObjectTooLarge, with the field that grew, as soon as the defaults alone are more than an object may have.
    """
    _default(value, node, Growth(), "")


def _default(value: Any, node: Structural | None, growth: Growth, path: str) -> None:
    if node is None or not node.has_defaults:
        return
    if isinstance(value, dict):
        for name, below in node.properties.items():
            if below.default is not NO_DEFAULT and (name not in value or (value[name] is None and not below.nullable)):
                value[name] = growth.fresh(below, _join(path, name))
        for name, item in value.items():
            child = node.properties.get(name)
            if child is None and (child := node.additional) is not None and item is None and not child.nullable:
                item = value[name] = growth.fresh(child, _join(path, name))
            if child is not None and child.has_defaults:
                _default(item, child, growth, _join(path, name))
    elif isinstance(value, list) and node.items is not None:
        for index, item in enumerate(value):
            if item is None and not node.items.nullable:
                item = value[index] = growth.fresh(node.items, path)
            _default(item, node.items, growth, f"{path}[{index}]")


def prune_root(content: dict[str, Any], node: Structural) -> list[str]:
    """Take out the fields that the schema does not know, apiVersion, kind and metadata apart; returns their paths."""
    unknown: list[str] = []
    _prune(content, node, "", unknown, embedded=True)
    return sorted(unknown)


def prune(value: Any, node: Structural) -> list[str]:
    """`prune_root` for a value inside an object."""
    unknown: list[str] = []
    _prune(value, node, "", unknown, embedded=node.embedded)
    return sorted(unknown)


def _prune(value: Any, node: Structural | None, path: str, unknown: list[str], *, embedded: bool) -> None:
    if node is not None and node.preserve:
        _skip(value, node, path, unknown, embedded=embedded)
    elif isinstance(value, dict):
        if node is None:
            unknown += [_join(path, name) for name in value]
            value.clear()
            return
        properties, additional = node.properties, node.additional
        mapping = additional is not None or node.open or node.closed
        gone: list[str] = []
        for name, item in value.items():
            if embedded and name in META_FIELDS:
                continue
            child = properties.get(name)
            if child is not None or mapping:
                if isinstance(item, dict | list):
                    child = child or additional
                    _prune(item, child, _join(path, name), unknown, embedded=child is not None and child.embedded)
            else:
                gone.append(name)
        for name in gone:
            if path or name not in META_FIELDS:
                unknown.append(_join(path, name))
            del value[name]
    elif isinstance(value, list):
        items = None if node is None else node.items
        for index, item in enumerate(value):
            if isinstance(item, dict | list):
                _prune(item, items, f"{path}[{index}]", unknown, embedded=items is not None and items.embedded)


def _skip(value: Any, node: Structural | None, path: str, unknown: list[str], *, embedded: bool) -> None:
    """Go on below a value whose unknown fields stay."""
    if node is None:
        return
    if isinstance(value, dict):
        for name, item in value.items():
            if not (embedded and name in META_FIELDS) and (child := node.child(name)) is not None:
                _prune(item, child, _join(path, name), unknown, embedded=child.embedded)
    elif isinstance(value, list) and node.items is not None:
        for index, item in enumerate(value):
            _skip(item, node.items, f"{path}[{index}]", unknown, embedded=node.items.embedded)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def drop_nulls(value: Any, node: Structural | None) -> None:
    """Remove fields that are null where null is not allowed and there is no default."""
    if isinstance(value, dict):
        gone: list[str] = []
        for name, item in value.items():
            child = None if node is None else node.child(name)
            if item is None:
                if child is not None and not child.nullable and child.default is NO_DEFAULT:
                    gone.append(name)
            elif isinstance(item, dict | list):
                drop_nulls(item, child)
        for name in gone:
            del value[name]
    elif isinstance(value, list):
        items = None if node is None else node.items
        for item in value:
            if isinstance(item, dict | list):
                drop_nulls(item, items)


def coerce_embedded(value: Any, node: Structural | None, path: str = "") -> tuple[FieldError | None, list[str]]:
    """Bring the metadata of embedded objects in order: the first mistake, and the paths of unknown fields, which are taken out."""
    unknown: list[str] = []
    return _coerce(value, node, path, unknown), unknown


def _coerce(value: Any, node: Structural | None, path: str, unknown: list[str]) -> FieldError | None:
    if node is None or not node.has_embedded:
        return None
    if isinstance(value, dict):
        if node.embedded and (wrong := _coerce_object(value, path, unknown)) is not None:
            return wrong
        for name, item in value.items():
            child = node.child(name)
            below = _join(path, name) if name in node.properties else f"{path}[{name}]"
            if child is not None and (wrong := _coerce(item, child, below, unknown)) is not None:
                return wrong
    elif isinstance(value, list) and node.items is not None:
        for index, item in enumerate(value):
            if (wrong := _coerce(item, node.items, f"{path}[{index}]", unknown)) is not None:
                return wrong
    return None


def _coerce_object(value: dict[str, Any], path: str, unknown: list[str]) -> FieldError | None:
    for name in ("apiVersion", "kind"):
        if name in value and not isinstance(value[name], str):
            return invalid(_join(path, name), value[name], "must be a string")
    if "metadata" in value:
        at = _join(path, "metadata")
        meta, walk = read_metadata(value["metadata"])
        if walk.mistakes:
            return invalid(at, value["metadata"], ", ".join(walk.mistakes))
        unknown += [f"{at}.{text[len('unknown field ') :].strip(chr(34))}" for text in walk.problems if text.startswith("unknown field ")]
        value["metadata"] = plain_metadata(meta)
    return None


def read_metadata(value: Any) -> tuple[ObjectMeta, Walk]:
    """The metadata in a document, and its mistakes."""
    walk = Walk()
    if value is None:
        return ObjectMeta(), walk
    if not isinstance(value, dict):
        walk.mistake("json: cannot unmarshal into Go value of type v1.ObjectMeta")
        return ObjectMeta(), walk
    meta: ObjectMeta = walk.struct(ObjectMeta, value, "")
    return meta, walk


def plain_metadata(meta: ObjectMeta) -> dict[str, Any]:
    """Metadata as a document."""
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(meta))
    return document
