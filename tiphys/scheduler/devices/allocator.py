"""Choice of devices for the claims of a pod on one node: a search with backtracking that takes the first complete solution. Pure.

The order is part of the behavior: pools by driver and name, slices by name, devices as in the slice; of a prioritized list the first way
that leads to a solution. So drivers and users set preferences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Final, NamedTuple

from tiphys.api.resource.resource_claim import MAX_RESULTS
from tiphys.api.resource.selectors import device_variables
from tiphys.api.resource.v1 import AllocationResult, DeviceClass, ResourceClaim, ResourceSlice
from tiphys.scheduler.devices.capacity import NOTHING, Amounts, fits, share
from tiphys.scheduler.devices.constraints import Constraint
from tiphys.scheduler.devices.pools import Candidate, Counters, DeviceId, NodeView, Pool, PoolId, consumed, gather
from tiphys.scheduler.devices.requests import AllocationError, Wish, matches, repels, wishes
from tiphys.scheduler.devices.result import Choice, allocation_of
from tiphys.scheduler.devices.taken import Taken

MOST_STEPS: Final = 20_000
"""Devices that a search looks at before it gives up."""


class World(NamedTuple):
    """Facts that an allocation depends on besides node and claims."""

    slices: Callable[[str], Sequence[ResourceSlice]]
    """Returns slices that may have devices for a node, each with all slices of its pool."""
    classes: Mapping[str, DeviceClass]
    taken: Taken
    verdicts: dict[tuple[str, str, DeviceId, int], bool]
    """Answers of selectors by claim, wish, device and generation of its pool, kept between nodes."""


def allocate(node: NodeView, claims: Sequence[ResourceClaim], world: World, new_id: Callable[[], str]) -> list[AllocationResult] | None:
    """Return an allocation for each claim, or None if the node does not have the devices. Raises AllocationError."""
    pools = gather(node, world.slices(node.name))
    search = _Search(claims, pools, world)
    if search.run():
        return [allocation_of(claim, choices, node.name, new_id) for claim, choices in zip(claims, search.choices, strict=True)]
    for pool in pools:
        if pool.invalid:
            raise AllocationError(f"invalid resource pools were encountered: {'/'.join(pool.id)}: {pool.invalid}")
    return None


class _Option(NamedTuple):
    """A wish with the devices it may get, in order."""

    wish: Wish
    devices: tuple[Candidate, ...]
    number: int


class _Search:
    def __init__(self, claims: Sequence[ResourceClaim], pools: Sequence[Pool], world: World) -> None:
        self.choices: list[list[Choice]] = [[] for _ in claims]
        self._claims = claims
        self._world = world
        self._pools = {pool.id: pool for pool in pools}
        self._constraints = [[Constraint(one) for one in claim.spec.devices.constraints] for claim in claims]
        self._whole: set[DeviceId] = set()
        self._shares: dict[DeviceId, list[Amounts]] = {}
        self._counters: dict[PoolId, Counters] = {}
        self._steps = 0
        self._options = [
            [
                [self._option(claim, wish, pools) for wish in wishes(claim, request, world.classes)]
                for request in claim.spec.devices.requests or []
            ]
            for claim in claims
        ]

    def run(self) -> bool:
        """Return whether there is a solution, which is then in `choices`."""
        return self._request(0, 0)

    # ---- what may be chosen -----------------------------------------------------------------------------------------------------------

    def _option(self, claim: ResourceClaim, wish: Wish, pools: Sequence[Pool]) -> _Option:
        devices: list[Candidate] = []
        for pool in pools:
            if wish.all_devices and (pool.is_incomplete or pool.invalid):
                state = "being updated" if pool.is_incomplete else "invalid"
                place = f"claim {claim.metadata.namespace}/{claim.metadata.name}, request {wish.name}"
                raise AllocationError(f"{place}: asks for all devices, but resource pool {'/'.join(pool.id)} is currently {state}")
            if not pool.invalid:
                devices += [candidate for candidate in pool.devices if self._is_selectable(claim, wish, candidate)]
        return _Option(wish, tuple(devices), len(devices) if wish.all_devices else wish.number)

    def _is_selectable(self, claim: ResourceClaim, wish: Wish, candidate: Candidate) -> bool:
        if candidate.device.bindingConditions:
            # Nobody here waits for them before a pod is bound.
            return False
        key = claim.metadata.uid, wish.name, candidate.id, candidate.slice.spec.pool.generation
        verdict = self._world.verdicts.get(key)
        if verdict is None:
            variables: Mapping[str, Any] = device_variables(candidate.id.driver, candidate.device)
            verdict = self._world.verdicts[key] = matches(claim, wish, variables)
        return verdict and share(candidate.device, wish.capacity) is not None

    # ---- the search -------------------------------------------------------------------------------------------------------------------

    def _request(self, claim: int, number: int) -> bool:
        if claim == len(self._claims):
            return True
        if number == len(self._options[claim]):
            return self._request(claim + 1, 0)
        for option in self._options[claim][number]:
            if option.number and len(self.choices[claim]) + option.number <= MAX_RESULTS and self._device(claim, number, option, 0, 0):
                return True
        return False

    def _device(self, claim: int, number: int, option: _Option, device: int, start: int) -> bool:
        if device == option.number:
            return self._request(claim, number + 1)
        # All devices are taken in their order; of a number, each combination is tried once.
        end = start + 1 if option.wish.all_devices else len(option.devices)
        for place in range(start, end):
            self._steps += 1
            if self._steps > MOST_STEPS:
                raise AllocationError("timed out trying to allocate devices")
            with self._chosen(claim, option.wish, option.devices[place]) as possible:
                if possible and self._device(claim, number, option, device + 1, place + 1):
                    return True
                if possible:
                    self.choices[claim].pop()
        return False

    @contextmanager
    def _chosen(self, claim: int, wish: Wish, candidate: Candidate) -> Iterator[bool]:
        """Count a device as chosen within the block, if that is possible."""
        ident, device = candidate.id, candidate.device
        amounts = share(device, wish.capacity) or NOTHING
        if not self._is_free(claim, wish, candidate, amounts):
            yield False
            return
        added: list[Constraint] = []
        for constraint in self._constraints[claim]:
            if not constraint.add(wish.name, device, ident.driver):
                break
            added.append(constraint)
        possible = len(added) == len(self._constraints[claim])
        if possible:
            self._count(wish, candidate, amounts, 1)
            self.choices[claim].append(Choice(wish, candidate, amounts))
        try:
            yield possible
        finally:
            for constraint in added:
                constraint.remove(wish.name)
            if possible:
                self._count(wish, candidate, amounts, -1)

    def _is_free(self, claim: int, wish: Wish, candidate: Candidate, amounts: Amounts) -> bool:
        ident, device, taken = candidate.id, candidate.device, self._world.taken
        if repels(device.taints, wish):
            return False
        if wish.admin:
            return all(choice.candidate.id != ident for choice in self.choices[claim])
        if ident in self._whole or taken.is_whole(ident):
            return False
        mine = self._shares.get(ident, [])
        if not fits(device, amounts, taken.amounts(ident), *mine):
            return False
        shared = device.allowMultipleAllocations and (mine or taken.is_used(ident))
        return bool(shared) or self._has_counters(candidate)

    def _has_counters(self, candidate: Candidate) -> bool:
        needs = consumed(candidate.device)
        if not needs:
            return True
        left = self._left(candidate)
        return all(amount <= left.get(name, Decimal(0)) for name, amount in needs.items())

    def _left(self, candidate: Candidate) -> Counters:
        """Return what is left of a pool's counters, worked out at the first question."""
        ident = candidate.id.driver, candidate.id.pool
        left = self._counters.get(ident)
        if left is None:
            pool = self._pools[ident]
            left = self._counters[ident] = dict(pool.counters or {})
            for other, device in pool.all_devices:
                if device.consumesCounters and self._world.taken.is_used(other):
                    for name, amount in consumed(device).items():
                        left[name] -= amount
        return left

    def _count(self, wish: Wish, candidate: Candidate, amounts: Amounts, sign: int) -> None:
        if wish.admin:
            return
        ident, device = candidate.id, candidate.device
        mine = self._shares.setdefault(ident, []) if device.allowMultipleAllocations else None
        if mine is not None and sign < 0:
            mine.pop()
        if not mine and device.consumesCounters and not self._world.taken.is_used(ident):
            left = self._left(candidate)
            for name, amount in consumed(device).items():
                left[name] -= sign * amount
        if mine is not None and sign > 0:
            mine.append(amounts)
        elif mine is None:
            (self._whole.add if sign > 0 else self._whole.discard)(ident)
