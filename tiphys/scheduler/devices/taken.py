"""Devices in use, and shares of devices, by claims with an allocation. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

from tiphys.api.machinery.quantity import parse
from tiphys.api.resource.v1 import AllocationResult
from tiphys.scheduler.devices.capacity import NOTHING, Amounts
from tiphys.scheduler.devices.pools import DeviceId


class Taken:
    """Devices in use, and capacities of those that several claims share. Devices for admin access are not in use by it."""

    def __init__(self, allocations: Iterable[AllocationResult] = ()) -> None:
        self._whole: Counter[DeviceId] = Counter()
        self._shares: dict[DeviceId, list[dict[str, Decimal]]] = {}
        for allocation in allocations:
            self.add(allocation)

    def add(self, allocation: AllocationResult) -> None:
        """Count an allocation."""
        for result in allocation.devices.results:
            ident = DeviceId(result.driver, result.pool, result.device)
            if result.adminAccess:
                continue
            if result.shareID is None:
                self._whole[ident] += 1
            else:
                self._shares.setdefault(ident, []).append({name: parse(amount) for name, amount in result.consumedCapacity.items()})

    def is_whole(self, ident: DeviceId) -> bool:
        """Return whether a claim has the device for itself."""
        return ident in self._whole

    def is_used(self, ident: DeviceId) -> bool:
        """Return whether any claim has the device or a share of it."""
        return ident in self._whole or ident in self._shares

    def amounts(self, ident: DeviceId) -> Amounts:
        """Return how much of a shared device's capacities is taken."""
        shares = self._shares.get(ident)
        if not shares:
            return NOTHING
        total: dict[str, Decimal] = {}
        for one in shares:
            for name, amount in one.items():
                total[name] = total.get(name, Decimal(0)) + amount
        return total
