"""Bounds that hold at every moment, as data, checked over all changes that the store wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any

from tiphys.api.meta.v1 import KubeObject
from tiphys.testing.memory_api import MemoryApi

Objects = dict[str, Any]
"""Objects by uid."""


def everything(obj: Any) -> bool:
    return True


def together(obj: Any) -> Hashable:
    return ""


def moments(api: MemoryApi, type_: type[KubeObject]) -> Iterator[Objects]:
    """Yield the objects in `default` after each change of one of them."""
    there: Objects = {}
    for change in api.changes(type_, "default"):
        there.pop(change.object.metadata.uid, None)
        if change.kind != "delete":
            there[change.object.metadata.uid] = change.object
        yield there


@dataclass(frozen=True)
class AtMost:
    """Maximum number of objects of a group (`per`) at a time."""

    count: int
    type_: type[KubeObject]
    of: Callable[[Any], bool] = everything
    per: Callable[[Any], Hashable] = together

    def check(self, api: MemoryApi) -> None:
        for objects in moments(api, self.type_):
            groups = Counter(self.per(obj) for obj in objects.values() if self.of(obj))
            assert max(groups.values(), default=0) <= self.count, f"{self}: {groups}"


@dataclass(frozen=True)
class AtMostEver:
    """Maximum number of objects of a group that are ever created."""

    count: int
    type_: type[KubeObject]
    of: Callable[[Any], bool] = everything
    per: Callable[[Any], Hashable] = together

    def check(self, api: MemoryApi) -> None:
        created = [change.object for change in api.changes(self.type_, "default") if change.kind == "create"]
        groups = Counter(self.per(obj) for obj in created if self.of(obj))
        assert max(groups.values(), default=0) <= self.count, f"{self}: {groups}"


@dataclass(frozen=True)
class AtLeast:
    """Minimum number of objects, once there were `full`."""

    count: int
    full: int
    type_: type[KubeObject]
    of: Callable[[Any], bool] = everything

    def check(self, api: MemoryApi) -> None:
        reached = False
        for objects in moments(api, self.type_):
            number = sum(map(self.of, objects.values()))
            reached = reached or number >= self.full
            assert not reached or number >= self.count, f"{self}: {number}"
        assert reached


Bound = AtMost | AtMostEver | AtLeast
