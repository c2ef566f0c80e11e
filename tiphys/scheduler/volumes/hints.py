"""Queueing hints of storage: the parked pods that a changed claim, volume, class, driver or attachment may help. Pure, like other hints."""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.api.core.volumes.classes import class_of_claim, class_of_volume
from tiphys.api.storage import v1 as storage
from tiphys.scheduler.hints import Hint
from tiphys.scheduler.queue import Waiting
from tiphys.scheduler.volumes.cache import VolumeCache, key_of, volume_limit
from tiphys.scheduler.volumes.claims import BINDING, LIMITS, ZONE
from tiphys.scheduler.volumes.limits import limits_of
from tiphys.scheduler.volumes.pod import ClaimKey

PLACES = frozenset((BINDING, ZONE))
"""Rules about where claims can be used."""


def _is_concerned(waiting: Waiting, *rules: str) -> bool:
    """Return whether a pod with volumes was turned down by any of the rules."""
    return waiting.info.volumes is not None and (not waiting.rules or not waiting.rules.isdisjoint(rules))


def claim_changed(old: core.PersistentVolumeClaim | None, new: core.PersistentVolumeClaim | None, cache: VolumeCache) -> Hint:
    """Return the hint for a claim that was added, changed or removed: for its pods, and where it counts against limits."""
    claim = new if new is not None else old
    assert claim is not None
    key = key_of(claim)
    counts_otherwise = old is not None and (new is None or old.spec.volumeName != new.spec.volumeName) and bool(cache.users(key))

    def helps(waiting: Waiting) -> bool:
        volumes = waiting.info.volumes
        if volumes is None:
            return False
        # Its own claims, whatever the last try failed for: they may have got worse since, and hidden what has become better.
        return volumes.uses(key) or (counts_otherwise and _is_concerned(waiting, LIMITS))

    return helps


def volume_changed(old: core.PersistentVolume | None, new: core.PersistentVolume | None, cache: VolumeCache) -> Hint:
    """Return the hint for a volume: for pods with a claim that names it, that it names or named, or that it is free for."""
    volume = new if new is not None else old
    assert volume is not None
    name = volume.metadata.name
    named = {_reference(one) for one in (old, new) if one is not None}
    free_in = class_of_volume(new) if new is not None and new.spec.claimRef is None else None
    counts_otherwise = old is None or new is None or old.spec.csi != new.spec.csi

    def suits(key: ClaimKey) -> bool:
        claim = cache.claims.get(key)
        if claim is None:
            return False
        return claim.spec.volumeName == name or key in named or (not claim.spec.volumeName and class_of_claim(claim) == free_in)

    def helps(waiting: Waiting) -> bool:
        if counts_otherwise and _is_concerned(waiting, LIMITS):
            return True
        volumes = waiting.info.volumes
        return volumes is not None and (old is None or _is_concerned(waiting, *PLACES)) and any(map(suits, volumes.keys))

    return helps


def class_changed(old: storage.StorageClass | None, new: storage.StorageClass | None, cache: VolumeCache) -> Hint | None:
    """Return the hint for a class, whose claims may become possible in other places."""
    if old is not None and new is not None and _meaning(old) == _meaning(new):
        return None
    one = new if new is not None else old
    assert one is not None
    name = one.metadata.name

    def helps(waiting: Waiting) -> bool:
        if old is not None and _is_concerned(waiting, LIMITS):
            return True
        return (old is None or _is_concerned(waiting, *PLACES)) and name in _classes(waiting, cache)

    return helps


def csi_node_changed(old: storage.CSINode | None, new: storage.CSINode | None) -> Hint | None:
    """Return the hint for the drivers of a node, if one of them takes more volumes than before."""
    after = limits_of(new)
    if all(driver in after and after[driver] <= limit for driver, limit in limits_of(old).items()):
        return None
    return lambda waiting: _is_concerned(waiting, LIMITS)


def driver_changed(old: storage.CSIDriver | None, new: storage.CSIDriver | None, cache: VolumeCache) -> Hint | None:
    """Return the hint for a driver that does not report capacity any more."""
    if old is None or not old.spec.storageCapacity or (new is not None and new.spec.storageCapacity):
        return None
    name = old.metadata.name

    def helps(waiting: Waiting) -> bool:
        if not _is_concerned(waiting, BINDING):
            return False
        return any(one in cache.classes and cache.classes[one].provisioner == name for one in _classes(waiting, cache))

    return helps


def capacity_changed(old: storage.CSIStorageCapacity | None, new: storage.CSIStorageCapacity | None, cache: VolumeCache) -> Hint | None:
    """Return the hint for capacity that was added or has grown."""
    if new is None:
        return None
    limit = volume_limit(new)
    before = volume_limit(old) if old is not None and old.nodeTopology == new.nodeTopology else None
    if limit is None or (before is not None and limit <= before):
        return None
    return lambda waiting: _is_concerned(waiting, BINDING) and new.storageClassName in _classes(waiting, cache)


def attachment_removed(waiting: Waiting) -> bool:
    """Return the hint for a removed VolumeAttachment: its volume does not count on the node any more."""
    return _is_concerned(waiting, LIMITS)


def volumes_released(waiting: Waiting) -> bool:
    """Return the hint for volumes that a decision had taken and that its pod did not get."""
    return _is_concerned(waiting, BINDING)


def _classes(waiting: Waiting, cache: VolumeCache) -> set[str]:
    """Return the classes of the pod's claims."""
    volumes = waiting.info.volumes
    claims = (cache.claims.get(key) for key in volumes.keys) if volumes is not None else ()
    return {class_of_claim(claim) for claim in claims if claim is not None}


def _reference(volume: core.PersistentVolume) -> ClaimKey | None:
    reference = volume.spec.claimRef
    return (reference.namespace, reference.name) if reference is not None else None


def _meaning(one: storage.StorageClass) -> object:
    return one.provisioner, one.volumeBindingMode, one.allowedTopologies
