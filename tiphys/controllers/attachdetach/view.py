"""Volumes, their attachments and the pods that need them, found over the caches."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tiphys.api.core import v1 as core
from tiphys.api.helpers.attachments import attachment_name, is_exclusive, unique_name
from tiphys.api.machinery.conditions import is_true
from tiphys.api.storage.v1 import CSIDriver, VolumeAttachment
from tiphys.controllers.attachdetach.plan import Claimant, Health, is_bound, needs_volumes
from tiphys.controllers.shared.nodes import ON_NODE, index_nodes, is_out_of_service
from tiphys.controllers.shared.slim import PODS, SlimPod
from tiphys.controllers.shared.volumes import CLAIM, claims_of, index_claims, may_use
from tiphys.runtime import ControllerContext, Key, Whole

READS = (
    Whole(VolumeAttachment),
    Whole(CSIDriver),
    Whole(core.PersistentVolume),
    Whole(core.PersistentVolumeClaim),
    Whole(core.Node),
    PODS,
)
"""Caches that a view is made of."""

VOLUME = "name of a CSI volume"
"""Index of PersistentVolumes."""
PERSISTENT = "volume of an attachment"
AT_NODE = "node of an attachment"
"""Indexes of VolumeAttachments."""
_NAME = re.compile(r"csi-[0-9a-f]{64}")


class Volume(NamedTuple):
    """A volume of a CSI driver, which several PersistentVolumes may stand for."""

    name: str
    """Name of the volume in nodes' statuses."""
    driver: str
    handle: str
    persistent: tuple[core.PersistentVolume, ...]

    @property
    def exclusive(self) -> bool:
        """True if it may be attached to one node at a time."""
        return any(is_exclusive(one.spec.accessModes) for one in self.persistent)

    def attachment(self, node: str) -> str:
        """Return the name of its VolumeAttachment at a node."""
        return attachment_name(self.driver, self.handle, node)


def name_of(volume: core.PersistentVolume) -> str:
    """Return the name of a volume in nodes' statuses, "" unless it is of a CSI driver."""
    csi = volume.spec.csi
    return unique_name(csi.driver, csi.volumeHandle) if csi is not None else ""


def volume_of(attachment: VolumeAttachment) -> str:
    """Return the name of the PersistentVolume that is attached, "" for one that an attachment carries inline."""
    return attachment.spec.source.persistentVolumeName or ""


def _name_index(volume: core.PersistentVolume) -> Iterable[str]:
    return (name,) if (name := name_of(volume)) else ()


def _volume_index(attachment: VolumeAttachment) -> Iterable[str]:
    return (volume_of(attachment),)


def _node_index(attachment: VolumeAttachment) -> Iterable[str]:
    return (attachment.spec.nodeName,)


class View:
    """Lookups over the caches of a loop. Volumes are known by name, attachments whose volume is gone only by their own."""

    def __init__(self, ctx: ControllerContext) -> None:
        self.attachments = ctx.read(VolumeAttachment)
        self.drivers = ctx.read(CSIDriver)
        self.persistent = ctx.read(core.PersistentVolume)
        self.claims = ctx.read(core.PersistentVolumeClaim)
        self.nodes = ctx.read(core.Node)
        self.pods = index_claims(index_nodes(ctx.read(SlimPod)))
        self.persistent.add_index(VOLUME, _name_index)
        self.attachments.add_index(PERSISTENT, _volume_index)
        self.attachments.add_index(AT_NODE, _node_index)
        self._orphans: set[Key] = set()
        """Attachments whose PersistentVolume is not there."""
        self.attachments.subscribe(self._on_attachment)
        self.persistent.subscribe(self._on_volume)

    def _on_attachment(self, old: VolumeAttachment | None, new: VolumeAttachment | None) -> None:
        if new is None:
            if old is not None:
                self._orphans.discard(Key.of(old))
        elif old is None and self.persistent.get(Key("", volume_of(new))) is None:
            self._orphans.add(Key.of(new))

    def _on_volume(self, old: core.PersistentVolume | None, new: core.PersistentVolume | None) -> None:
        volume = new or old
        if volume is None or (old is not None and new is not None):
            return
        keys = {Key.of(one) for one in self.attachments.by_index(PERSISTENT, volume.metadata.name)}
        if new is None:
            self._orphans |= keys
        else:
            self._orphans -= keys

    def volume(self, name: str) -> Volume | None:
        """Return the volume of a name, None when no PersistentVolume stands for it."""
        persistent = tuple(self.persistent.by_index(VOLUME, name))
        csi = persistent[0].spec.csi if persistent else None
        return Volume(name, csi.driver, csi.volumeHandle, persistent) if csi is not None else None

    def attached_volume(self, attachment: VolumeAttachment) -> Volume | None:
        """Return the volume of an attachment, None when its PersistentVolume is gone."""
        persistent = self.persistent.get(Key("", volume_of(attachment)))
        return self.volume(name_of(persistent)) if persistent is not None else None

    def is_attachable(self, driver: str) -> bool:
        """Return whether volumes of a driver are attached at all: so they are unless the driver says otherwise."""
        known = self.drivers.get(Key("", driver))
        return known is None or known.spec.attachRequired is not False

    def health(self, node: str) -> Health:
        """Return the health of a node; one that is not there is unhealthy."""
        return health_of(self.nodes.get(Key("", node)))

    def claimants(self, volume: Volume) -> list[Claimant]:
        """Return the nodes with pods that need a volume, by claims that are bound to it."""
        if not self.is_attachable(volume.driver):
            return []
        nodes: dict[str, tuple[str, list[SlimPod]]] = {}
        for persistent in volume.persistent:
            claim = self.claim(persistent)
            if claim is None or not is_bound(persistent, claim):
                continue
            for pod in self.pods.by_index(CLAIM, str(Key.of(claim))):
                node = pod.spec.nodeName
                if node and may_use(pod, claim) and needs_volumes(pod, self.health(node)):
                    nodes.setdefault(node, (persistent.metadata.name, []))[1].append(pod)
        return [Claimant(node, name, tuple(pods)) for node, (name, pods) in nodes.items()]

    def claim(self, volume: core.PersistentVolume) -> core.PersistentVolumeClaim | None:
        """Return the claim that a PersistentVolume is for."""
        ref = volume.spec.claimRef
        return self.claims.get(Key(ref.namespace, ref.name)) if ref is not None else None

    def attachments_of(self, volume: Volume) -> Iterator[VolumeAttachment]:
        """Yield the attachments of a volume, those under its name whose PersistentVolume is gone included."""
        for persistent in volume.persistent:
            for attachment in self.attachments.by_index(PERSISTENT, persistent.metadata.name):
                if attachment.metadata.name == volume.attachment(attachment.spec.nodeName):
                    yield attachment
        for key in self._orphans:
            orphan = self.attachments.get(key)
            if orphan is not None and key.name == volume.attachment(orphan.spec.nodeName):
                yield orphan

    def volumes_of(self, pod: SlimPod) -> list[str]:
        """Return the names of the volumes behind the claims of a pod."""
        claims = (self.claims.get(Key(pod.metadata.namespace, name)) for name in claims_of(pod))
        persistent = (self.persistent.get(Key("", claim.spec.volumeName)) for claim in claims if claim is not None)
        return [name for one in persistent if one is not None and (name := name_of(one))]

    def may_need(self, attachment: VolumeAttachment, pods: Iterable[SlimPod]) -> bool:
        """Return whether one of the pods of its node may need what is attached. A claim that is not known counts for its pod."""
        volume, health = self.attached_volume(attachment), self.health(attachment.spec.nodeName)
        users = [pod for pod in pods if needs_volumes(pod, health)]
        if volume is None:
            node = attachment.spec.nodeName
            return any(self._attachment(name, node) == attachment.metadata.name for pod in users for name in self.volumes_of(pod))
        return self.is_attachable(volume.driver) and any(
            self._may_hold(one, pod) for one in volume.persistent for pod in users if pod.spec.volumes
        )

    def _may_hold(self, volume: core.PersistentVolume, pod: SlimPod) -> bool:
        ref = volume.spec.claimRef
        if ref is None or ref.namespace != pod.metadata.namespace or ref.name not in claims_of(pod):
            return False
        claim = self.claim(volume)
        return claim is None or (ref.uid in ("", claim.metadata.uid) and may_use(pod, claim))

    def _attachment(self, name: str, node: str) -> str:
        volume = self.volume(name)
        return volume.attachment(node) if volume is not None else ""

    def is_ours(self, attachment: VolumeAttachment) -> bool:
        """Return whether an attachment has the name that this controller gives it, as far as that can be known."""
        name, node = attachment.metadata.name, attachment.spec.nodeName
        volume = self.attached_volume(attachment)
        return name == volume.attachment(node) if volume is not None else _NAME.fullmatch(name) is not None

    def pods_on(self, node: str) -> list[SlimPod]:
        """Return the pods that are bound to a node."""
        return self.pods.by_index(ON_NODE, node)


def health_of(node: core.Node | None) -> Health:
    """Return the health of a node: healthy when it says that it is ready."""
    if node is None:
        return "unhealthy"
    if is_out_of_service(node):
        return "out-of-service"
    return "healthy" if is_true(node.status.conditions, "Ready") else "unhealthy"
