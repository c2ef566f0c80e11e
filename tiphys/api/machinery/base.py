"""The vocabulary in which wire types are written.

A type is a `Struct` whose attributes carry the wire names, with its list semantics in `Annotated` and its documentation as a string
below each field. Everything else (strict decoding, defaults, patches, field ownership, OpenAPI, `kubectl explain`) is derived from that.

    containers: Annotated[list[Container], MapList("name"), Patch("merge", "name")] = []
    \"\"\"Containers of the pod, at least one.\"\"\"

Absence on the wire and the zero value are the same thing for plain fields, as in Kubernetes; a field that must tell them apart is
`T | None`. Fields that are always written, even when zero, use `always(factory)`, and those that are null then `null()`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, NewType, TypeVar

import msgspec
from msgspec import field

__all__ = [
    "Atomic",
    "Duration",
    "IntOrString",
    "MapList",
    "MicroTime",
    "Number",
    "Patch",
    "Quantity",
    "SetList",
    "Struct",
    "Time",
    "always",
    "constant",
    "field",
    "filled",
    "is_micro_time",
    "micro_time",
    "null",
    "parse_micro_time",
    "time",
]

T = TypeVar("T")

Time = Annotated[datetime, msgspec.Meta(tz=True)]
"""RFC 3339 with seconds, UTC. Make one with `time(now)`, which drops the fraction as the wire format does."""

MicroTime = NewType("MicroTime", str)
"""RFC 3339 with exactly six digits of fraction: clients refuse anything else. See `micro_time` and `parse_micro_time`."""

Duration = NewType("Duration", str)
"""Length of time as Go writes it, such as `1m30s`; see `tiphys.api.machinery.durations`."""

Quantity = NewType("Quantity", str)
"""A number with a unit such as `500m` or `1Gi`, in canonical form once stored; arithmetic is in `tiphys.api.machinery.quantity`."""

Number = int | float
"""Any number, written as it was sent: a whole one has no fraction."""

IntOrString = int | str
"""A number or a name or a percentage, such as a port or `25%`."""


class Struct(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """The base of every wire type."""

    __model__: ClassVar[Any] = None
    """Stand-in for the type's own fields (`tiphys.api.custom`); None for every type that is written in Python."""


@dataclass(frozen=True, slots=True)
class MapList:
    """A list whose items are identified by these fields (`x-kubernetes-list-type: map`)."""

    keys: tuple[str, ...]

    def __init__(self, *keys: str) -> None:
        object.__setattr__(self, "keys", keys)


@dataclass(frozen=True, slots=True)
class SetList:
    """A list of distinct scalars (`x-kubernetes-list-type: set`)."""


@dataclass(frozen=True, slots=True)
class Atomic:
    """A list or map that is replaced whole, never merged."""


@dataclass(frozen=True, slots=True)
class Patch:
    """Strategic merge of the field: `merge`, `replace`, `retainKeys` or `merge,retainKeys`, and the merge key of a list."""

    strategy: str
    key: str = ""


def always(factory: Callable[[], T]) -> T:
    """A field that is written even when it holds the zero value."""

    def fill() -> T:
        _filled[0] += 1
        return factory()

    value: T = field(default_factory=fill)
    return value


_filled = [0]


def filled() -> int:
    """Return how many fields that are always written have been filled in so far, in all objects.

    Two counts tell how many fields of an object decoded in between are not from its document; never too few, if threads decode too.
    """
    return _filled[0]


def null() -> Any:
    """A field that is written as null when there is no value: upstream's type has neither a pointer nor `omitzero` there."""
    return always(lambda: None)


def constant(value: str) -> str:
    """A field with this default that is always written: `apiVersion` and `kind`."""
    return always(lambda: value)


def time(now: datetime) -> datetime:
    """`now` as it is written on the wire: UTC, whole seconds."""
    if now.tzinfo is not UTC:
        now = now.astimezone(UTC)
    return now.replace(microsecond=0) if now.microsecond else now


def micro_time(now: datetime) -> MicroTime:
    """`now` as a MicroTime."""
    return MicroTime(now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"))


_MICRO_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")


def is_micro_time(text: str) -> bool:
    """True if a text is a MicroTime as the server writes it."""
    if not _MICRO_TIME.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def parse_micro_time(text: MicroTime | str) -> datetime:
    """The moment that a MicroTime names; raises ValueError."""
    return datetime.fromisoformat(text)
