"""Objects of any type, filled at random with what their fields can hold."""

from __future__ import annotations

import importlib
import pkgutil
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import msgspec

import tiphys.api
from tiphys.api.apiextensions.v1 import JSONSchemaProps
from tiphys.api.machinery.base import time
from tiphys.api.machinery.introspect import Field, Shape, describe
from tiphys.api.machinery.protobuf.messages import is_known, message

WORDS = ("", "a", "web-0", "Ünïcödé ☸", "x" * 200)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@cache
def types() -> dict[str, type[msgspec.Struct]]:
    """Every type that has a message, by `core.v1.Pod`."""
    found = {}
    for info in pkgutil.walk_packages(tiphys.api.__path__, "tiphys.api."):
        parts = info.name.split(".")
        if len(parts) == 4 and parts[3].startswith("v") and parts[3][1:].isdigit():
            for name, item in vars(importlib.import_module(info.name)).items():
                if is_known(item) and item.__module__.startswith(info.name):
                    found[f"{parts[2]}.{parts[3]}.{name}"] = item
    return found


def fill(type_: type[msgspec.Struct], rng: random.Random, *, density: float = 0.5, depth: int = 6) -> Any:
    """An object whose fields are set with the probability `density`, the fewer the deeper it gets."""
    marks = {member.field.attr: member.mark for member in message(type_).members if member.field is not None}
    values = {}
    for field in describe(type_).fields.values():
        if field.name not in ("apiVersion", "kind") and rng.random() < density:
            values[field.attr] = _field(field, marks.get(field.attr, ""), rng, density * 0.8 if depth else 0.0, max(depth - 1, 0))
    if "kind" in describe(type_).fields and not describe(type_).kind and "kind" in marks:
        values["kind"] = rng.choice(WORDS)
    return type_(**values)


def _field(field: Field, mark: str, rng: random.Random, density: float, depth: int) -> Any:
    if field.shape.form == "any" and mark:
        return _union(mark, rng, depth)
    if mark and field.shape.form == "map" and mark != "json":
        return {"k": _union(mark, rng, depth)}
    return value(field.shape, rng, density, depth)


def value(shape: Shape, rng: random.Random, density: float, depth: int) -> Any:
    """A value of a shape."""
    form = shape.form
    if form == "struct":
        assert shape.struct is not None
        return fill(shape.struct, rng, density=density, depth=depth)
    if form in ("list", "map"):
        assert shape.item is not None
        items = [value(shape.item, rng, density, depth) for _ in range(rng.randint(1, 3))]
        return items if form == "list" else {f"k{index}" if index else "": item for index, item in enumerate(items)}
    if form == "int":
        limit = 1 << (shape.bits - 1)
        return rng.choice((0, 1, 127, 128, 300, -1, limit - 1, -limit, rng.randrange(-limit, limit)))
    moment = EPOCH + timedelta(seconds=rng.choice((0, -1, 1_800_000_000, rng.randrange(-(10**10), 10**11))))
    made: dict[str, Callable[[], Any]] = {
        "str": lambda: rng.choice(WORDS),
        "bool": lambda: rng.random() < 0.5,
        "float": lambda: rng.choice((0.0, 0.5, -1e300, 3.0)),
        "bytes": lambda: rng.randbytes(rng.choice((0, 1, 200))),
        "time": lambda: time(moment),
        "microtime": lambda: f"{moment:%Y-%m-%dT%H:%M:%S}.{rng.randrange(10**6):06}Z",
        "duration": lambda: rng.choice(("0s", "250ms", "1h30m0.5s", "15.023s")),
        "quantity": lambda: rng.choice(("0", "500m", "1Gi", "-1", "1e3")),
        "intorstring": lambda: rng.choice((0, 80, -1, "http", "25%", "")),
        "raw": lambda: msgspec.Raw(b'{"f:a":{},"f:b":{".":{}}}'),
        "any": lambda: rng.choice(({"a": [1, "b", None, 1.5]}, [], "x", 7, {}, False, {"k8s": {"é": True}})),
    }
    return made[form]()


def _union(mark: str, rng: random.Random, depth: int) -> Any:
    """Return a union that may stand in the place of a schema, as plain values."""

    def schema() -> Any:
        return msgspec.to_builtins(fill(JSONSchemaProps, rng, density=0.2, depth=min(depth, 1)))

    if rng.random() < 0.5:
        return schema()
    made: dict[str, Callable[[], Any]] = {
        "bool": lambda: rng.random() < 0.5,
        "array": lambda: [schema(), schema()],
        "strings": lambda: ["a", "b"],
    }
    return made[mark]()
