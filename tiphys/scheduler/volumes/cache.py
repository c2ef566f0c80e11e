"""Claims, volumes and what describes them, as decisions see them: as read, with what earlier decisions took. Pure: no I/O, no clock.

A decision takes volumes at once and by name (`reserve`), before anything is written, so that no later one takes them too. What it took is
kept apart from the objects, until its pod is bound or given up (`release`); changes that are read meanwhile cannot undo it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.core.volumes.classes import class_of_claim, class_of_volume
from tiphys.api.helpers.volume_binding import bind_volume
from tiphys.api.machinery.quantity import whole
from tiphys.api.storage import v1 as storage
from tiphys.api.well_known import BIND_COMPLETED, SELECTED_NODE
from tiphys.scheduler.volumes.limits import AttachLimits
from tiphys.scheduler.volumes.nested import discard
from tiphys.scheduler.volumes.pod import ClaimKey, Disk, PodVolumes

ONE_POD = "ReadWriteOncePod"


class VolumePlan(msgspec.Struct, frozen=True):
    """Volumes that a pod needs bound before it can be bound to its node."""

    node: str
    bindings: tuple[tuple[str, ClaimKey], ...] = ()
    """Names of volumes, each with the claim that it gets."""
    provisions: tuple[ClaimKey, ...] = ()
    """Claims whose volumes are to be made for the node."""


class VolumeCache:
    """See the module. The dictionaries are for reading; change them through the methods."""

    def __init__(self) -> None:
        self.claims: dict[ClaimKey, core.PersistentVolumeClaim] = {}
        self.volumes: dict[str, core.PersistentVolume] = {}
        self.classes: dict[str, storage.StorageClass] = {}
        self.drivers: dict[str, storage.CSIDriver] = {}
        self.version = 0
        """Increased by everything that can change where the claims of a pod can be used, apart from other pods and nodes."""
        self.limits = AttachLimits(self._identity, self._handle)
        self._capacities: dict[str, dict[ClaimKey, storage.CSIStorageCapacity]] = {}
        self._available: dict[str, dict[str, core.PersistentVolume]] = {}
        """Volumes that name no claim, by class and name."""
        self._naming: dict[ClaimKey, dict[str, core.PersistentVolume]] = {}
        """Volumes by the claim that they name."""
        self._named_by: dict[str, dict[ClaimKey, None]] = {}
        """Claims by the volume that they name."""
        self._taken: dict[str, dict[str, ClaimKey]] = {}
        """Volume to uid of a pod to the claim that gets it."""
        self._chosen: dict[ClaimKey, dict[str, str]] = {}
        """Claim to uid of a pod to the node for which its volume is made."""
        self._plans: dict[str, VolumePlan] = {}
        self._users: dict[ClaimKey, dict[str, str]] = {}
        """Claim to uid of a placed pod to its node."""
        self._disks: dict[str, dict[str, tuple[Disk, ...]]] = {}
        """Node to uid of a pod to its disks."""

    # ---- objects ----------------------------------------------------------------------------------------------------------------------

    def put_claim(self, claim: core.PersistentVolumeClaim) -> None:
        """Record a claim."""
        key = key_of(claim)
        before = self.claims.get(key)
        if before is not None:
            discard(self._named_by, before.spec.volumeName, key)
        self.claims[key] = claim
        if claim.spec.volumeName:
            self._named_by.setdefault(claim.spec.volumeName, {})[key] = None
        self._recount(key)

    def drop_claim(self, claim: core.PersistentVolumeClaim) -> None:
        """Remove a claim."""
        key = key_of(claim)
        known = self.claims.pop(key, None)
        if known is not None:
            discard(self._named_by, known.spec.volumeName, key)
        self._recount(key)

    def put_volume(self, volume: core.PersistentVolume) -> None:
        """Record a volume."""
        name = volume.metadata.name
        before = self.volumes.get(name)
        if before is not None:
            self._unlist(before)
        self.volumes[name] = volume
        reference = volume.spec.claimRef
        if reference is not None:
            self._naming.setdefault((reference.namespace, reference.name), {})[name] = volume
        else:
            self._available.setdefault(class_of_volume(volume), {})[name] = volume
        self._volume_changed(name)

    def drop_volume(self, volume: core.PersistentVolume) -> None:
        """Remove a volume."""
        known = self.volumes.pop(volume.metadata.name, None)
        if known is not None:
            self._unlist(known)
        self._volume_changed(volume.metadata.name)

    def put_class(self, name: str, storage_class: storage.StorageClass | None) -> None:
        """Record a class, or its removal (None)."""
        if storage_class is None:
            self.classes.pop(name, None)
        else:
            self.classes[name] = storage_class
        self.version += 1
        self.limits.forget_all()

    def put_driver(self, name: str, driver: storage.CSIDriver | None) -> None:
        """Record a CSIDriver, or its removal (None)."""
        if driver is None:
            self.drivers.pop(name, None)
        else:
            self.drivers[name] = driver
        self.version += 1

    def put_capacity(self, capacity: storage.CSIStorageCapacity, *, removed: bool = False) -> None:
        """Record a CSIStorageCapacity, or its removal."""
        key = (capacity.metadata.namespace, capacity.metadata.name)
        of_class = self._capacities.setdefault(capacity.storageClassName, {})
        if removed:
            of_class.pop(key, None)
        else:
            of_class[key] = capacity
        self.version += 1

    def _recount(self, key: ClaimKey) -> None:
        self.version += 1
        for node in self._users.get(key, {}).values():
            self.limits.forget(node)

    def _volume_changed(self, name: str) -> None:
        self.version += 1
        self.limits.volume_changed(name)
        for key in self._named_by.get(name, ()):
            self._recount(key)

    def _unlist(self, volume: core.PersistentVolume) -> None:
        reference, name = volume.spec.claimRef, volume.metadata.name
        if reference is not None:
            discard(self._naming, (reference.namespace, reference.name), name)
        else:
            discard(self._available, class_of_volume(volume), name)

    # ---- pods -------------------------------------------------------------------------------------------------------------------------

    def put_pod(self, uid: str, volumes: PodVolumes, node: str) -> None:
        """Record a pod on a node."""
        for key in volumes.keys:
            self._users.setdefault(key, {})[uid] = node
        if volumes.disks:
            self._disks.setdefault(node, {})[uid] = volumes.disks
        if volumes.claims:
            self.limits.put_pod(uid, volumes, node)

    def drop_pod(self, uid: str, volumes: PodVolumes, node: str) -> None:
        """Remove a pod from its node."""
        for key in volumes.keys:
            discard(self._users, key, uid)
        if volumes.disks:
            discard(self._disks, node, uid)
        if volumes.claims:
            self.limits.drop_pod(uid, node)

    def users(self, key: ClaimKey) -> Mapping[str, str]:
        """Return the nodes of the placed pods that use a claim, by uid."""
        return self._users.get(key, {})

    def disks(self) -> Iterator[tuple[str, tuple[Disk, ...]]]:
        """Yield the nodes on which pods have disks of in-tree plugins, with the disks of each pod."""
        for node, pods in self._disks.items():
            for disks in pods.values():
                yield node, disks

    def disks_on(self, node: str) -> Iterable[tuple[Disk, ...]]:
        """Return the disks of in-tree plugins of each pod on a node."""
        return self._disks.get(node, {}).values()

    # ---- decisions --------------------------------------------------------------------------------------------------------------------

    def reserve(self, uid: str, plan: VolumePlan) -> None:
        """Take what a plan needs, for a pod."""
        self._plans[uid] = plan
        for volume, key in plan.bindings:
            self._taken.setdefault(volume, {})[uid] = key
        for key in plan.provisions:
            self._chosen.setdefault(key, {})[uid] = plan.node
        self.version += 1

    def release(self, uid: str) -> bool:
        """Give back what a pod took, or has got by now. Returns whether there was anything."""
        plan = self._plans.pop(uid, None)
        if plan is None:
            return False
        for volume, _ in plan.bindings:
            discard(self._taken, volume, uid)
        for key in plan.provisions:
            discard(self._chosen, key, uid)
        self.version += 1
        return True

    def is_reserved(self, key: ClaimKey) -> bool:
        """Return whether a decision has taken something for a claim that its pod has not got yet."""
        return any(key in plan.provisions or any(key == one for _, one in plan.bindings) for plan in self._plans.values())

    def selected_node(self, claim: core.PersistentVolumeClaim) -> str | None:
        """Return the node for which a claim's volume is made, as soon as that is decided."""
        chosen = self._chosen.get(key_of(claim))
        if chosen:
            return next(iter(chosen.values()))
        return claim.metadata.annotations.get(SELECTED_NODE)

    def offered(self, claim: core.PersistentVolumeClaim) -> Iterator[core.PersistentVolume]:
        """Yield the volumes of the claim's class that name this claim or none; one that a decision took for the claim names it."""
        key, class_name = key_of(claim), class_of_claim(claim)
        for volume in self._naming.get(key, {}).values():
            if class_of_volume(volume) == class_name:
                yield volume
        for name, volume in self._available.get(class_name, {}).items():
            taken = self._taken.get(name)
            if not taken:
                yield volume
            elif key in taken.values():
                yield bind_volume(volume, claim)

    # ---- lookups ----------------------------------------------------------------------------------------------------------------------

    def capacities(self, class_name: str, size: int) -> Iterator[storage.CSIStorageCapacity]:
        """Yield what is known of places with room for a volume of this size, in bytes."""
        for capacity in self._capacities.get(class_name, {}).values():
            limit = volume_limit(capacity)
            if limit is not None and limit >= size:
                yield capacity

    def _identity(self, key: ClaimKey) -> tuple[str, str] | None:
        """Return the driver and the handle of a claim's volume; one that does not exist yet counts for the driver of its class."""
        claim = self.claims.get(key)
        if claim is None:
            return None
        volume = self.volumes.get(claim.spec.volumeName)
        if volume is not None:
            return (volume.spec.csi.driver, volume.spec.csi.volumeHandle) if volume.spec.csi is not None else None
        storage_class = self.classes.get(class_of_claim(claim))
        # No handle of a driver begins like this, so a volume to come is never taken for another.
        return (storage_class.provisioner, f"\0{key[0]}/{key[1]}") if storage_class is not None else None

    def _handle(self, driver: str, volume_name: str) -> str | None:
        volume = self.volumes.get(volume_name)
        return volume.spec.csi.volumeHandle if volume is not None and volume.spec.csi is not None else None


def volume_limit(capacity: storage.CSIStorageCapacity) -> int | None:
    """Return the size of the largest volume that can be made, in bytes, as far as it is known ("Storage Capacity")."""
    limit = capacity.maximumVolumeSize if capacity.maximumVolumeSize is not None else capacity.capacity
    return whole(limit) if limit is not None else None


def is_bound(claim: core.PersistentVolumeClaim) -> bool:
    """Return whether a claim and its volume are bound to each other."""
    return bool(claim.spec.volumeName) and BIND_COMPLETED in claim.metadata.annotations


def key_of(claim: core.PersistentVolumeClaim) -> ClaimKey:
    """Return the key of a claim."""
    return claim.metadata.namespace, claim.metadata.name
