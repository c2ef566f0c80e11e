"""Writes to the claims of a pod before it is bound: finalizer, then allocation and reservation ("Dynamic Resource Allocation").

All of it is in the API: a scheduler that starts anew finds claims with their allocations and goes on from there.
"""

from __future__ import annotations

import msgspec

from tiphys.aio.clock import Clock
from tiphys.api.machinery import base
from tiphys.api.machinery.errors import Conflict, NotFound, StatusError
from tiphys.api.resource.v1 import ResourceClaim, ResourceClaimConsumerReference
from tiphys.client.client import Client
from tiphys.obs.logging import get_logger
from tiphys.scheduler.devices.cache import DeviceCache, DevicePlan, Give
from tiphys.scheduler.devices.claims import is_reserved_for
from tiphys.scheduler.template import PodInfo

log = get_logger(__name__)

FINALIZER = "resource.kubernetes.io/delete-protection"
TRIES = 5


class DevicesNotGiven(Exception):
    """Failure to write claims; the message says why. The pod needs another decision."""


class DeviceBinder:
    """Writes what decisions give."""

    def __init__(self, client: Client, cache: DeviceCache, *, clock: Clock) -> None:
        self._client = client
        self._cache = cache
        self._clock = clock

    async def write(self, info: PodInfo, plan: DevicePlan) -> None:
        """Write allocations and reservations. Raises DevicesNotGiven; what was reserved until then is taken back."""
        done: list[Give] = []
        try:
            for give in plan.gives:
                await self._give(info, give)
                done.append(give)
        except (StatusError, ConnectionError) as error:
            await self.take_back(info, done)
            raise DevicesNotGiven(str(error)) from error
        except DevicesNotGiven:
            await self.take_back(info, done)
            raise

    async def take_back(self, info: PodInfo, gives: list[Give]) -> None:
        """Remove a pod's reservations, after it was not bound; the claims keep their devices."""
        for namespace, name in (give.key for give in gives):
            body = {"status": {"reservedFor": [{"$patch": "delete", "uid": info.uid}]}}
            try:
                claim = await self._client.patch(ResourceClaim, name, namespace, body=body, kind="strategic", subresource="status")
                self._cache.put_claim(claim)
            except (StatusError, ConnectionError) as error:
                log.info("reservation not taken back", extra={"claim": f"{namespace}/{name}", "error": str(error)})

    async def deallocate(self, info: PodInfo, idle: ResourceClaim) -> None:
        """Take the devices from a claim that nobody uses, but perhaps the pod itself."""
        meta = idle.metadata
        try:
            claim = await self._client.get(ResourceClaim, meta.name, meta.namespace)
            if claim.metadata.uid != meta.uid or any(one.uid != info.uid for one in claim.status.reservedFor):
                return
            status = msgspec.structs.replace(claim.status, allocation=None, reservedFor=[])
            self._cache.put_claim(await self._client.update(msgspec.structs.replace(claim, status=status), subresource="status"))
        except (StatusError, ConnectionError) as error:
            log.info("claim not deallocated", extra={"claim": f"{meta.namespace}/{meta.name}", "error": str(error)})

    async def _give(self, info: PodInfo, give: Give) -> None:
        namespace, name = give.key
        for attempt in range(TRIES):
            try:
                claim = await self._client.get(ResourceClaim, name, namespace)
                self._check(claim, give)
                await self._write(info, claim, give)
                return
            except NotFound as error:
                raise DevicesNotGiven(f"claim {namespace}/{name} got deleted in the meantime") from error
            except Conflict:
                # Others write to the claim, too.
                if attempt == TRIES - 1:
                    raise

    def _check(self, claim: ResourceClaim, give: Give) -> None:
        name = "/".join(give.key)
        if claim.metadata.uid != give.uid or claim.metadata.deletionTimestamp is not None:
            raise DevicesNotGiven(f"claim {name} got deleted in the meantime")
        if give.allocation is None and claim.status.allocation is None:
            raise DevicesNotGiven(f"claim {name} got deallocated elsewhere in the meantime")
        if give.allocation is not None and claim.status.allocation is not None and not _is_same(claim, give):
            raise DevicesNotGiven(f"claim {name} got allocated elsewhere in the meantime")

    async def _write(self, info: PodInfo, claim: ResourceClaim, give: Give) -> None:
        status = claim.status
        if give.allocation is not None and status.allocation is None:
            if FINALIZER not in claim.metadata.finalizers:
                meta = msgspec.structs.replace(claim.metadata, finalizers=[*claim.metadata.finalizers, FINALIZER])
                claim = await self._client.update(msgspec.structs.replace(claim, metadata=meta))
            allocation = msgspec.structs.replace(give.allocation, allocationTimestamp=base.time(self._clock.now()))
            status = msgspec.structs.replace(claim.status, allocation=allocation)
        if not is_reserved_for(claim, info.uid):
            consumer = ResourceClaimConsumerReference(resource="pods", name=info.key.name, uid=info.uid)
            status = msgspec.structs.replace(status, reservedFor=[*status.reservedFor, consumer])
        if status != claim.status:
            claim = await self._client.update(msgspec.structs.replace(claim, status=status), subresource="status")
        # What was reserved in memory is given up next: from now on the claim itself counts.
        self._cache.put_claim(claim)


def _is_same(claim: ResourceClaim, give: Give) -> bool:
    """Return whether an earlier try, whose answer was lost, wrote this very allocation."""
    written = claim.status.allocation
    return written is not None and give.allocation is not None and written.devices == give.allocation.devices
