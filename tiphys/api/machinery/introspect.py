"""Parts of a wire type, as data: its fields, their shapes and their list semantics.

Decoding, patches, OpenAPI and field ownership all read types through `describe`, which looks at each type once.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from tiphys.api.machinery.base import Atomic, Duration, MapList, MicroTime, Patch, Quantity, SetList

Form = Literal[
    "struct", "list", "map", "str", "int", "float", "bool", "bytes", "time", "microtime", "duration",
    "quantity", "intorstring", "raw", "any",
]  # fmt: skip

_SCALARS: Mapping[Any, Form] = {
    str: "str",
    int: "int",
    float: "float",
    bool: "bool",
    bytes: "bytes",
    datetime: "time",
    MicroTime: "microtime",
    Duration: "duration",
    Quantity: "quantity",
    msgspec.Raw: "raw",
    Any: "any",
}

_WIDE = frozenset(
    {
        "activeDeadlineSeconds", "capacity", "count", "deletionGracePeriodSeconds", "expirationSeconds", "fsGroup", "generation", "gid",
        "gracePeriodSeconds", "int", "ints", "maxItems", "maxLength", "maxProperties", "minItems", "minLength", "minProperties",
        "nodeAllocatableUpdatePeriodSeconds", "observedGeneration", "remainingItemCount", "resourceSliceCount", "revision", "runAsGroup",
        "runAsUser", "seconds", "sizeBytes", "startingDeadlineSeconds", "supplementalGroups", "terminationGracePeriodSeconds",
        "tolerationSeconds", "uid",
    }
)  # fmt: skip
"""Fields of 64 bits; every other whole number of the API has 32."""

_NARROW = frozenset(
    {
        ("CertificateSigningRequestSpec", "expirationSeconds"),
        ("Event", "count"),
        ("EventSeries", "count"),
        ("VolumeNodeResources", "count"),
    }
)
"""Exceptions to `_WIDE`, by type."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The type of a value: its form, the Struct of a struct, the items of a list or map, the bits of a whole number."""

    form: Form
    struct: type[msgspec.Struct] | None = None
    item: Shape | None = None
    bits: int = 0


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a Struct. `name` is the wire's, `attr` Python's (they differ for Python keywords)."""

    name: str
    attr: str
    shape: Shape
    nullable: bool
    """True if absence differs from the zero value (`T | None`)."""
    always: bool
    """True if the field is written even when zero."""
    default: Any
    """The value of the field when absent; a fresh copy must be made of anything mutable."""
    semantics: MapList | SetList | Atomic | None = None
    patch: Patch | None = None

    @property
    def atomic(self) -> bool:
        """True if the value is replaced whole: said of the field, or of the struct that is its type."""
        return isinstance(self.semantics, Atomic) or (self.shape.struct is not None and map_type(self.shape.struct) == "atomic")


@dataclass(frozen=True, slots=True)
class Description:
    """A Struct type and its fields in order of declaration, by wire name."""

    type: type[msgspec.Struct]
    fields: Mapping[str, Field]
    api_version: str = ""
    """`apps/v1` for types that are kinds of their own."""
    kind: str = ""


def map_type(type_: type[msgspec.Struct]) -> str:
    """`atomic` for a struct that is always replaced whole, else ""."""
    value = getattr(type_, "__map_type__", "")
    return value if isinstance(value, str) else ""


@cache
def describe(type_: type[msgspec.Struct]) -> Description:
    """The fields of a Struct type. Raises TypeError for a field that no wire type may have."""
    hints = get_type_hints(type_, include_extras=True)
    fields: dict[str, Field] = {}
    for info in msgspec.structs.fields(type_):
        bare, nullable, notes = _unwrap(hints[info.name])
        shape = _shape(type_.__name__, info.name, info.encode_name, bare)
        factory = info.default_factory
        default = factory() if factory is not msgspec.NODEFAULT else (None if info.default is msgspec.NODEFAULT else info.default)
        fields[info.encode_name] = Field(
            name=info.encode_name,
            attr=info.name,
            shape=shape,
            nullable=nullable,
            always=_is_always(info),
            default=default,
            semantics=next((note for note in notes if isinstance(note, MapList | SetList | Atomic)), None),
            patch=next((note for note in notes if isinstance(note, Patch)), None),
        )
    constants = {name: fields[name].default for name in ("apiVersion", "kind") if name in fields}
    return Description(type_, fields, constants.get("apiVersion") or "", constants.get("kind") or "")


def _is_always(info: Any) -> bool:
    """A default that omit_defaults does not recognize: any factory that is not list or dict itself."""
    return info.default_factory is not msgspec.NODEFAULT and info.default_factory not in (list, dict, set)


def _unwrap(hint: Any) -> tuple[Any, bool, tuple[Any, ...]]:
    """The type below Annotated and `| None`, whether None was allowed, and the annotations."""
    notes: tuple[Any, ...] = ()
    nullable = False
    while True:
        origin = get_origin(hint)
        if origin is Annotated:
            notes += hint.__metadata__
            hint = hint.__origin__
        elif origin in (Union, types.UnionType) and type(None) in get_args(hint):
            nullable = True
            rest = [arg for arg in get_args(hint) if arg is not type(None)]
            hint = rest[0] if len(rest) == 1 else Union[tuple(rest)]  # noqa: UP007
        else:
            return hint, nullable, notes


def _shape(owner: str, attr: str, name: str, hint: Any) -> Shape:
    origin = get_origin(hint)
    if origin is list:
        return Shape("list", item=_shape(owner, attr, name, _unwrap(get_args(hint)[0])[0]))
    if origin is dict:
        return Shape("map", item=_shape(owner, attr, name, _unwrap(get_args(hint)[1])[0]))
    if origin in (Union, types.UnionType) and set(get_args(hint)) == {int, str}:
        return Shape("intorstring", bits=32)
    if origin in (Union, types.UnionType) and set(get_args(hint)) == {int, float}:
        return Shape("float")
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return Shape("struct", struct=hint)
    if isinstance(hint, typing.TypeVar):
        return Shape("any")
    try:
        form = _SCALARS[hint]
    except (KeyError, TypeError):
        raise TypeError(f"{owner}.{attr}: {hint!r} is not a type of the wire") from None
    if form == "int":
        wide = name in _WIDE and (owner, name) not in _NARROW
        return Shape("int", bits=64 if wide else 32)
    return Shape(form)
