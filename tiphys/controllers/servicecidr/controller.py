"""Controller of ranges of Service IPs: marks them ready, and releases those that nothing needs."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tiphys.api.machinery.base import time
from tiphys.api.machinery.errors import NotFound
from tiphys.api.networking.v1 import IPAddress, ServiceCIDR
from tiphys.controllers.servicecidr.plan import FINALIZER, condition, is_held, is_in, is_ours, is_within, networks, with_condition
from tiphys.controllers.servicecidr.settings import ServiceCIDRSettings
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole, copied, write_status


class ServiceCIDRController:
    """Protects ranges. Keys are ServiceCIDRs."""

    declaration = Declaration(
        name="service-cidr-controller",
        kind=ServiceCIDR,
        roles=("service-cidrs-controller",),
        reads=(Whole(ServiceCIDR), Whole(IPAddress)),
        settings=ServiceCIDRSettings,
    )

    def __init__(self, settings: ServiceCIDRSettings) -> None:
        self._grace = settings.grace

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._ranges = ctx.read(ServiceCIDR)
        self._addresses = ctx.read(IPAddress)
        ctx.watch(self._ranges, self._concerned)
        # An address that comes holds nothing which is not held already: no server gives out addresses of a range that goes.
        ctx.watch(self._addresses, self._around, when=lambda old, new: new is None)

    def _concerned(self, changed: ServiceCIDR) -> Iterable[Key]:
        """Return the range itself and those that it covers: their removal may have become possible or impossible."""
        inner = [
            Key.of(other)
            for other in self._ranges.list()
            if any(is_within(network, wide) for network in networks(other) for wide in networks(changed))
        ]
        return {Key.of(changed), *inner}

    def _around(self, address: IPAddress) -> Iterable[Key]:
        return [Key.of(cidr) for cidr in self._ranges.list() if is_ours(address) and is_in(address.metadata.name, cidr)]

    async def reconcile(self, key: Key) -> Result:
        cidr = self._ranges.get(key)
        if cidr is None:
            return DONE
        try:
            if cidr.metadata.deletionTimestamp is not None:
                return await self._release(cidr)
            if FINALIZER not in cidr.metadata.finalizers:
                changed = copied(cidr)
                changed.metadata.finalizers = [*cidr.metadata.finalizers, FINALIZER]
                cidr = await self._ctx.client.update(changed)
            await self._write_condition(cidr, held=False)
        except NotFound:
            return DONE
        return DONE

    async def _release(self, cidr: ServiceCIDR) -> Result:
        if FINALIZER not in cidr.metadata.finalizers or cidr.metadata.deletionTimestamp is None:
            return DONE
        if is_held(cidr, self._ranges.list(), self._addresses.list()):
            await self._write_condition(cidr, held=True)
            return DONE
        left = self._grace - (self._ctx.clock.now() - cidr.metadata.deletionTimestamp).total_seconds()
        if left > 0:
            return Result(left)
        client = self._ctx.client
        # The caches may be behind: check once more before giving up.
        if is_held(cidr, (await client.list(ServiceCIDR)).items, (await client.list(IPAddress)).items):
            return Result(1.0)
        changed = copied(cidr)
        changed.metadata.finalizers = [name for name in cidr.metadata.finalizers if name != FINALIZER]
        await client.update(changed)
        return DONE

    async def _write_condition(self, cidr: ServiceCIDR, *, held: bool) -> None:
        conditions = with_condition(cidr.status.conditions, condition(held, time(self._ctx.clock.now())))
        if conditions is not None:
            await write_status(self._ctx.client, cidr, msgspec.structs.replace(cidr.status, conditions=conditions))
