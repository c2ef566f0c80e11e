"""Bounds that hold at every moment, as data, checked over all changes that the store wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from tiphys.api.core import v1 as core
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


@dataclass(frozen=True)
class KeptForClaims:
    """Volumes stay with the claim that they name: neither released nor given to another one while it exists and names no other volume.

    Nor do two claims that exist name one volume.
    """

    def check(self, api: MemoryApi) -> None:
        claims: dict[str, core.PersistentVolumeClaim] = {}
        volumes: dict[str, core.PersistentVolume] = {}
        both: list[Any] = [*api.changes(core.PersistentVolumeClaim, "default"), *api.changes(core.PersistentVolume)]
        for kind, obj in sorted(both, key=lambda change: int(change.object.metadata.resourceVersion)):
            if isinstance(obj, core.PersistentVolume):
                self._check_owner(volumes.get(obj.metadata.name), obj, claims)
                volumes[obj.metadata.name] = obj
            elif kind == "delete":
                del claims[obj.metadata.uid]
            else:
                claims[obj.metadata.uid] = obj
            names = Counter(claim.spec.volumeName for claim in claims.values() if claim.spec.volumeName)
            assert max(names.values(), default=0) <= 1, names
            for volume in volumes.values():
                assert volume.status.phase not in ("Released", "Failed") or not _needs(claims, volume), volume

    def _check_owner(
        self, old: core.PersistentVolume | None, new: core.PersistentVolume, claims: dict[str, core.PersistentVolumeClaim]
    ) -> None:
        if old is not None and _needs(claims, old):
            assert new.spec.claimRef == old.spec.claimRef, (old, new)


def _needs(claims: dict[str, core.PersistentVolumeClaim], volume: core.PersistentVolume) -> bool:
    """Return whether the claim that a volume names exists, and names it or none."""
    claim = claims.get(volume.spec.claimRef.uid) if volume.spec.claimRef is not None else None
    return claim is not None and claim.spec.volumeName in ("", volume.metadata.name)


class Bound(Protocol):
    """Something that holds at every moment."""

    def check(self, api: MemoryApi) -> None:
        """Fail when it did not hold at one of them."""
