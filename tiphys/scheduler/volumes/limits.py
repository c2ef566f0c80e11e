"""Volumes that nodes have attached, counted against the limits of their CSI drivers ("Node-specific Volume Limits"). Pure bookkeeping.

A volume counts once per node, however many pods use it, and also while only a VolumeAttachment is left of it. What a node has is worked
out when it is asked for, and again after something about it changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from tiphys.api.storage import v1 as storage
from tiphys.scheduler.volumes.nested import discard
from tiphys.scheduler.volumes.pod import ClaimKey, PodVolumes

Attached = Mapping[str, frozenset[str]]
"""Handles of volumes by driver."""
Identify = Callable[[ClaimKey], tuple[str, str] | None]
"""Function that returns the driver and the handle of a claim's volume; None if it does not count."""
Handle = Callable[[str, str], str | None]
"""Function that returns the handle under which a driver knows a PersistentVolume; None if it is unknown."""


class AttachLimits:
    """Limits by driver and node, and what counts against them."""

    def __init__(self, identify: Identify, handle: Handle) -> None:
        self._identify = identify
        self._handle = handle
        self._limits: dict[str, dict[str, int]] = {}
        self._pods: dict[str, dict[str, PodVolumes]] = {}
        self._attachments: dict[str, dict[str, tuple[str, str]]] = {}
        """Node to name of the VolumeAttachment to driver and name of the PersistentVolume."""
        self._nodes_of: dict[str, dict[str, str]] = {}
        """PersistentVolume to name of the VolumeAttachment to node."""
        self._known: dict[str, Attached] = {}

    # ---- changes ----------------------------------------------------------------------------------------------------------------------

    def put_csi_node(self, node: str, csi_node: storage.CSINode | None) -> None:
        """Record the drivers of a node, or that it has none any more."""
        for by_node in self._limits.values():
            by_node.pop(node, None)
        for driver, limit in limits_of(csi_node).items():
            self._limits.setdefault(driver, {})[node] = limit

    def put_attachment(self, attachment: storage.VolumeAttachment) -> None:
        """Record a VolumeAttachment."""
        spec, name = attachment.spec, attachment.metadata.name
        volume = spec.source.persistentVolumeName
        if spec.attacher and volume:
            self._attachments.setdefault(spec.nodeName, {})[name] = (spec.attacher, volume)
            self._nodes_of.setdefault(volume, {})[name] = spec.nodeName
        self.forget(spec.nodeName)

    def drop_attachment(self, attachment: storage.VolumeAttachment) -> None:
        """Remove a VolumeAttachment."""
        spec, name = attachment.spec, attachment.metadata.name
        discard(self._attachments, spec.nodeName, name)
        discard(self._nodes_of, spec.source.persistentVolumeName or "", name)
        self.forget(spec.nodeName)

    def put_pod(self, uid: str, volumes: PodVolumes, node: str) -> None:
        """Count a pod's volumes on a node."""
        self._pods.setdefault(node, {})[uid] = volumes
        self.forget(node)

    def drop_pod(self, uid: str, node: str) -> None:
        """Stop counting a pod's volumes."""
        discard(self._pods, node, uid)
        self.forget(node)

    def volume_changed(self, name: str) -> None:
        """Count anew where a PersistentVolume is attached."""
        for node in self._nodes_of.get(name, {}).values():
            self.forget(node)

    def forget(self, node: str) -> None:
        """Count the volumes of a node anew."""
        self._known.pop(node, None)

    def forget_all(self) -> None:
        """Count the volumes of all nodes anew."""
        self._known.clear()

    # ---- lookups ----------------------------------------------------------------------------------------------------------------------

    def crowded(self, claims: Iterable[ClaimKey]) -> Iterator[str]:
        """Yield the nodes on which a pod with these claims would exceed the limit of a driver."""
        for driver, handles in self._handles(claims).items():
            for node, limit in self._limits.get(driver, {}).items():
                if self._exceeds(node, driver, handles, limit):
                    yield node

    def is_crowded(self, claims: Iterable[ClaimKey], node: str) -> bool:
        """Return whether a pod with these claims would exceed the limit of a driver on a node."""
        for driver, handles in self._handles(claims).items():
            limit = self._limits.get(driver, {}).get(node)
            if limit is not None and self._exceeds(node, driver, handles, limit):
                return True
        return False

    def _exceeds(self, node: str, driver: str, handles: frozenset[str], limit: int) -> bool:
        there = self._attached(node).get(driver, frozenset())
        new = len(handles - there)
        return new > 0 and len(there) + new > limit

    def _attached(self, node: str) -> Attached:
        known = self._known.get(node)
        if known is None:
            keys = (key for volumes in self._pods.get(node, {}).values() for key in volumes.keys)
            handles: dict[str, set[str]] = {driver: set(names) for driver, names in self._handles(keys).items()}
            for driver, volume in self._attachments.get(node, {}).values():
                handle = self._handle(driver, volume)
                if handle is not None:
                    handles.setdefault(driver, set()).add(handle)
            known = self._known[node] = {driver: frozenset(names) for driver, names in handles.items()}
        return known

    def _handles(self, claims: Iterable[ClaimKey]) -> Attached:
        handles: dict[str, set[str]] = {}
        for key in claims:
            identity = self._identify(key)
            if identity is not None:
                handles.setdefault(identity[0], set()).add(identity[1])
        return {driver: frozenset(names) for driver, names in handles.items()}


def limits_of(csi_node: storage.CSINode | None) -> dict[str, int]:
    """Return the limits of a node by driver; a driver without one is left out."""
    drivers = (csi_node.spec.drivers or ()) if csi_node is not None else ()
    return {one.name: one.allocatable.count for one in drivers if one.allocatable is not None and one.allocatable.count is not None}
