"""Claims that a pod cannot run with on any node, before any node is looked at; and the other claims, by what is to be done for them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from tiphys.api.core import v1 as core
from tiphys.api.core.volumes.classes import class_of_claim
from tiphys.api.helpers.pod_claims import ownership_error
from tiphys.api.helpers.volume_binding import is_delayed
from tiphys.scheduler.template import PodInfo
from tiphys.scheduler.volumes.cache import VolumeCache, is_bound
from tiphys.scheduler.volumes.pod import PodVolumes

RESTRICTIONS, LIMITS, BINDING, ZONE = "VolumeRestrictions", "NodeVolumeLimits", "VolumeBinding", "VolumeZone"


class Refusal(NamedTuple):
    """Reason against all nodes, and the name of the plugin that has it."""

    rule: str
    reason: str


class Claims(NamedTuple):
    """Claims of a pod, in its order."""

    bound: list[core.PersistentVolumeClaim]
    delayed: list[core.PersistentVolumeClaim]
    """Those whose volume is chosen or made for the pod's node."""
    immediate: list[core.PersistentVolumeClaim]
    """Those that should have a volume already, wherever the pod runs."""


def sort_claims(volumes: PodVolumes, cache: VolumeCache) -> Claims:
    """Sort the claims of a pod; those that do not exist are left out."""
    claims = Claims([], [], [])
    for key in volumes.keys:
        claim = cache.claims.get(key)
        if claim is None:
            continue
        if is_bound(claim):
            claims.bound.append(claim)
        elif not claim.spec.volumeName and is_delayed(cache.classes.get(class_of_claim(claim))):
            claims.delayed.append(claim)
        else:
            claims.immediate.append(claim)
    return claims


def refuse(info: PodInfo, cache: VolumeCache, disabled: Collection[str] = ()) -> Refusal | None:
    """Return why a pod can run nowhere because of its claims, or None."""
    if info.volumes is None:
        return None
    for rule, check in ((RESTRICTIONS, _missing), (BINDING, _unusable), (ZONE, _without_zone)):
        if rule not in disabled:
            for reason in check(info, info.volumes, cache):
                return Refusal(rule, reason)
    return None


def _missing(info: PodInfo, volumes: PodVolumes, cache: VolumeCache) -> Iterator[str]:
    for key in volumes.named:
        if key not in cache.claims:
            yield f'persistentvolumeclaim "{key[1]}" not found'


def _unusable(info: PodInfo, volumes: PodVolumes, cache: VolumeCache) -> Iterator[str]:
    for use in volumes.claims:
        claim = cache.claims.get((volumes.namespace, use.name))
        if claim is None:
            if use.ephemeral:
                yield f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{use.name}"'
            else:
                yield f'persistentvolumeclaim "{use.name}" not found'
        elif claim.status.phase == "Lost":
            yield f'persistentvolumeclaim "{use.name}" bound to non-existent persistentvolume "{claim.spec.volumeName}"'
        elif claim.metadata.deletionTimestamp is not None:
            yield f'persistentvolumeclaim "{use.name}" is being deleted'
        elif use.ephemeral and (error := ownership_error(info.pod.metadata, claim)):
            yield error
    if sort_claims(volumes, cache).immediate:
        yield "pod has unbound immediate PersistentVolumeClaims"


def _without_zone(info: PodInfo, volumes: PodVolumes, cache: VolumeCache) -> Iterator[str]:
    for key in volumes.named:
        claim = cache.claims.get(key)
        if claim is None:
            yield f'persistentvolumeclaim "{key[1]}" not found'
        elif claim.spec.volumeName:
            if claim.spec.volumeName not in cache.volumes:
                yield f'persistentvolume "{claim.spec.volumeName}" not found'
        elif not (class_name := class_of_claim(claim)):
            yield "PersistentVolumeClaim had no pv name and storageClass name"
        elif class_name not in cache.classes:
            yield f'storageclass.storage.k8s.io "{class_name}" not found'
        elif not is_delayed(cache.classes[class_name]):
            yield "PersistentVolume had no name"
