"""Layers of settings: what a configuration file sets, and over it what options set, each a sparse tree of plain values.

Sparse, because what nobody set keeps following its default. The tree is a dict by field names; leaves are values as JSON has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tiphys.settings.option import Bound, bound, fields, is_part

T = TypeVar("T")

Layer = Mapping[str, Any]


def to_builtins(value: Any) -> Any:
    """Return a value as JSON has it."""
    return msgspec.to_builtins(value, enc_hook=str)


def nest(values: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """Return the layer that has these values at these paths."""
    layer: dict[str, Any] = {}
    for path, value in values.items():
        inner = layer
        for name in path[:-1]:
            inner = inner.setdefault(name, {})
        inner[path[-1]] = to_builtins(value)
    return layer


def merged(type_: type, lower: Layer, upper: Layer) -> dict[str, Any]:
    """Return two layers of settings of a type as one; where both set a field, `upper` counts."""
    parts = {field.name: field.type for field in fields(type_) if is_part(field.type)}
    result = dict(lower)
    for name, value in upper.items():
        result[name] = merged(parts[name], lower.get(name, {}), value) if name in parts else value
    return result


def convert(type_: type[T], layer: Layer) -> T:
    """Return settings of a type, with the defaults of all that the layer does not set. Raises msgspec.ValidationError."""
    return msgspec.convert(layer, type_, dec_hook=_decode)


def _decode(type_: type, value: Any) -> Any:
    if type_ is Path and isinstance(value, str):
        return Path(value)
    raise msgspec.ValidationError(f"Expected `{type_.__name__}`, got {value!r}")


def value_at(settings: Any, one: Bound) -> Any:
    """Return the value of an option's field."""
    for name in one.path:
        settings = getattr(settings, name)
    return settings


def options_of(type_: type) -> dict[str, Bound]:
    """Return all options of a tree by name; where parts share one, the first."""
    options: dict[str, Bound] = {}
    for one in bound(type_):
        options.setdefault(one.option.name, one)
    return options
