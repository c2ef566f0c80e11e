"""Feed of the volume cache from informers; each change comes with the hint which parked pods it may help."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tiphys.api.core import v1 as core
from tiphys.api.machinery.scheme import Scheme
from tiphys.api.meta.v1 import KubeObject
from tiphys.api.storage import v1 as storage
from tiphys.runtime.declaration import Slim
from tiphys.runtime.informer import InformerFactory
from tiphys.scheduler.hints import Hint
from tiphys.scheduler.volumes import hints, kept
from tiphys.scheduler.volumes.cache import VolumeCache

T = TypeVar("T", bound=KubeObject)
Wake = Callable[[Hint | None, str], None]
"""Function that wakes the parked pods of a hint, for an event under upstream's name."""


def feed_volumes(informers: InformerFactory, scheme: Scheme, cache: VolumeCache, wake: Wake) -> None:
    """Keep the cache up to date, as far as the kinds of storage are in the scheme."""
    served = {kind.type for kind in scheme}

    def follow(slim: Slim[T], handler: Callable[[T | None, T | None], Hint | None]) -> None:
        if slim.of not in served:
            return
        name = slim.of.__name__

        def changed(old: T | None, new: T | None) -> None:
            wake(handler(old, new), f"{name}{'Add' if old is None else 'Update' if new is not None else 'Delete'}")

        slim.informer(informers, scheme).subscribe(changed)

    changes = Changes(cache)
    follow(kept.CLAIMS, changes.claim)
    follow(kept.VOLUMES, changes.volume)
    follow(kept.CLASSES, changes.storage_class)
    follow(kept.CSI_NODES, changes.csi_node)
    follow(kept.DRIVERS, changes.driver)
    follow(kept.CAPACITIES, changes.capacity)
    follow(kept.ATTACHMENTS, changes.attachment)


class Changes:
    """Changes of each kind of storage, as the cache takes them in, with their hints."""

    def __init__(self, cache: VolumeCache) -> None:
        self._cache = cache

    def claim(self, old: core.PersistentVolumeClaim | None, new: core.PersistentVolumeClaim | None) -> Hint | None:
        if new is not None:
            self._cache.put_claim(new)
        elif old is not None:
            self._cache.drop_claim(old)
        return hints.claim_changed(old, new, self._cache)

    def volume(self, old: core.PersistentVolume | None, new: core.PersistentVolume | None) -> Hint | None:
        if new is not None:
            self._cache.put_volume(new)
        elif old is not None:
            self._cache.drop_volume(old)
        return hints.volume_changed(old, new, self._cache)

    def storage_class(self, old: storage.StorageClass | None, new: storage.StorageClass | None) -> Hint | None:
        self._cache.put_class(_name(old, new), new)
        return hints.class_changed(old, new, self._cache)

    def csi_node(self, old: storage.CSINode | None, new: storage.CSINode | None) -> Hint | None:
        self._cache.limits.put_csi_node(_name(old, new), new)
        return hints.csi_node_changed(old, new)

    def driver(self, old: storage.CSIDriver | None, new: storage.CSIDriver | None) -> Hint | None:
        self._cache.put_driver(_name(old, new), new)
        return hints.driver_changed(old, new, self._cache)

    def capacity(self, old: storage.CSIStorageCapacity | None, new: storage.CSIStorageCapacity | None) -> Hint | None:
        if old is not None:
            self._cache.put_capacity(old, removed=True)
        if new is not None:
            self._cache.put_capacity(new)
        return hints.capacity_changed(old, new, self._cache)

    def attachment(self, old: storage.VolumeAttachment | None, new: storage.VolumeAttachment | None) -> Hint | None:
        if old is not None:
            self._cache.limits.drop_attachment(old)
        if new is not None:
            self._cache.limits.put_attachment(new)
            return None
        return hints.attachment_removed


def _name(old: KubeObject | None, new: KubeObject | None) -> str:
    one = new if new is not None else old
    assert one is not None
    return one.metadata.name
