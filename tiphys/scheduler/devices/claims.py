"""Claims with which a pod can run on no node now, found before any node is looked at. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from tiphys.api.resource.resource_claim import MAX_CONSUMERS
from tiphys.api.resource.v1 import ResourceClaim
from tiphys.runtime import controller_of
from tiphys.scheduler.devices.cache import DeviceCache
from tiphys.scheduler.devices.pod import ClaimUse, PodDevices
from tiphys.scheduler.devices.requests import class_names
from tiphys.scheduler.template import PodInfo
from tiphys.scheduler.volumes.claims import Refusal

RULE = "DynamicResources"


def refuse(info: PodInfo, cache: DeviceCache) -> Refusal | None:
    """Return why a pod can run nowhere because of its claims for devices, or None."""
    if info.devices is None:
        return None
    reasons = (reason for use in info.devices.claims for reason in _reasons(info, info.devices, use, cache))
    reason = next(reasons, None)
    return Refusal(RULE, reason) if reason is not None else None


def is_reserved_for(claim: ResourceClaim, uid: str) -> bool:
    """Return whether a pod may use the claim already."""
    return any(consumer.uid == uid for consumer in claim.status.reservedFor)


def _reasons(info: PodInfo, devices: PodDevices, use: ClaimUse, cache: DeviceCache) -> Iterator[str]:
    if not use.name:
        yield f'pod "{info.key}": ResourceClaim not created yet'
        return
    claim = cache.claims.get((devices.namespace, use.name))
    if claim is None:
        yield f'could not find resourceclaim "{use.name}"'
        return
    if claim.metadata.deletionTimestamp is not None:
        yield f'resourceclaim "{use.name}" is being deleted'
    owner = controller_of(claim)
    if use.is_made and (owner is None or owner.uid != info.uid):
        yield f"ResourceClaim {devices.namespace}/{use.name} was not created for Pod {info.key} (Pod is not owner)"
    if claim.status.allocation is not None:
        if len(claim.status.reservedFor) >= MAX_CONSUMERS and not is_reserved_for(claim, info.uid):
            yield "resourceclaim in use"
        return
    if cache.is_pending(claim):
        yield f"resource claim {devices.namespace}/{use.name} is in the process of being allocated"
    for request in claim.spec.devices.requests or []:
        for name, class_name in class_names(request):
            if class_name not in cache.classes:
                yield f"request {name}: device class {class_name} does not exist"
