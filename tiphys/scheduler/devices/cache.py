"""Claims, slices and classes as the informers show them, and beside them the allocations that decisions made.

What a decision gives a claim counts from then on, beside the object and not in it, so that no event undoes it, until the claim itself shows
an allocation or the pod is given up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import NamedTuple

from tiphys.api.resource.v1 import AllocationResult, DeviceClass, ResourceClaim, ResourceSlice
from tiphys.scheduler.devices.allocator import World
from tiphys.scheduler.devices.pod import ClaimKey
from tiphys.scheduler.devices.pools import DeviceId, PoolId
from tiphys.scheduler.devices.taken import Taken


class Give(NamedTuple):
    """Allocation and reservation that a claim gets before its pod is bound."""

    key: ClaimKey
    uid: str
    allocation: AllocationResult | None
    """None if it has an allocation already."""


class DevicePlan(NamedTuple):
    """Writes to the claims of a pod before the pod is bound to a node."""

    node: str
    gives: tuple[Give, ...]


class DeviceCache:
    """Objects by name; `version` grows with each change that matters."""

    def __init__(self) -> None:
        self.claims: dict[ClaimKey, ResourceClaim] = {}
        self.classes: dict[str, DeviceClass] = {}
        self.version = 0
        self._slices: dict[str, ResourceSlice] = {}
        self._pools: dict[PoolId, dict[str, ResourceSlice]] = {}
        self._reserved: dict[str, DevicePlan] = {}
        self._world: tuple[int, World] | None = None
        self._verdicts: dict[tuple[str, str, DeviceId, int], bool] = {}

    def put_claim(self, claim: ResourceClaim) -> None:
        """Record an added or changed claim, unless it is known in a newer version: own writes are recorded before they are observed."""
        key = claim.metadata.namespace, claim.metadata.name
        known = self.claims.get(key)
        if known is not None and known.metadata.uid == claim.metadata.uid and _version(known) > _version(claim):
            return
        self.claims[key] = claim
        self.version += 1

    def drop_claim(self, claim: ResourceClaim) -> None:
        """Forget a claim."""
        self.claims.pop((claim.metadata.namespace, claim.metadata.name), None)
        self.version += 1

    def put_class(self, name: str, device_class: DeviceClass | None) -> None:
        """Record a class, or forget it if it is None."""
        if device_class is None:
            self.classes.pop(name, None)
        else:
            self.classes[name] = device_class
        self._verdicts.clear()
        self.version += 1

    def put_slice(self, name: str, new: ResourceSlice | None) -> None:
        """Record a slice, or forget it if it is None."""
        old = self._slices.pop(name, None)
        if old is not None:
            pool = self._pools[_pool_of(old)]
            del pool[name]
            if not pool:
                del self._pools[_pool_of(old)]
        if new is not None:
            self._slices[name] = new
            self._pools.setdefault(_pool_of(new), {})[name] = new
        self._verdicts.clear()
        self.version += 1

    # ---- decisions --------------------------------------------------------------------------------------------------------------------

    def reserve(self, uid: str, plan: DevicePlan) -> None:
        """Count what a decision gives the claims of a pod."""
        self._reserved[uid] = plan
        self.version += 1

    def release(self, uid: str) -> bool:
        """Forget what a decision gave; returns whether there was anything."""
        self.version += 1
        return self._reserved.pop(uid, None) is not None

    def is_pending(self, claim: ResourceClaim) -> bool:
        """Return whether a decision gave the claim an allocation that is being written."""
        return any(
            give.uid == claim.metadata.uid and give.allocation is not None for plan in self._reserved.values() for give in plan.gives
        )

    # ---- the view of the allocator ----------------------------------------------------------------------------------------------------

    def world(self) -> World:
        """Return what allocations depend on now."""
        if self._world is None or self._world[0] != self.version:
            by_node: dict[str, list[ResourceSlice]] = {}
            shared: list[ResourceSlice] = []
            for pool in self._pools.values():
                slices = list(pool.values())
                nodes = {one.spec.nodeName or "" for one in slices}
                for name in nodes if "" not in nodes else ():
                    by_node.setdefault(name, []).extend(slices)
                if "" in nodes:
                    shared += slices
            world = World(lambda node: [*by_node.get(node, ()), *shared], self.classes, Taken(self._allocations()), self._verdicts)
            self._world = self.version, world
        return self._world[1]

    def _allocations(self) -> Iterable[AllocationResult]:
        written = {claim.metadata.uid: claim.status.allocation for claim in self.claims.values() if claim.status.allocation is not None}
        pending: Mapping[str, AllocationResult] = {
            give.uid: give.allocation
            for plan in self._reserved.values()
            for give in plan.gives
            if give.allocation is not None and give.uid not in written
        }
        return chain(written.values(), pending.values())


def _version(claim: ResourceClaim) -> int:
    return int(claim.metadata.resourceVersion or 0)


def _pool_of(one: ResourceSlice) -> PoolId:
    return one.spec.driver, one.spec.pool.name
