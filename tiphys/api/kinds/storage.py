"""Storage classes, attachments and what CSI drivers say about themselves: `storage.k8s.io`."""

from __future__ import annotations

from typing import Any

from tiphys.api.columns import storage as columns
from tiphys.api.kinds import rules_storage as rules
from tiphys.api.machinery.scheme import Kind
from tiphys.api.machinery.subresources import STATUS
from tiphys.api.storage import v1 as storage

GROUP = "storage.k8s.io"

CSI_DRIVERS: Kind[storage.CSIDriver] = Kind(
    type=storage.CSIDriver,
    plural="csidrivers",
    rules=rules.CSIDriverRules(),
    columns=columns.CSI_DRIVERS,
    group=GROUP,
    namespaced=False,
    unattended=True,
)

CSI_NODES: Kind[storage.CSINode] = Kind(
    type=storage.CSINode,
    plural="csinodes",
    rules=rules.CSINodeRules(),
    columns=columns.CSI_NODES,
    group=GROUP,
    namespaced=False,
    unattended=True,
)

CSI_STORAGE_CAPACITIES: Kind[storage.CSIStorageCapacity] = Kind(
    type=storage.CSIStorageCapacity,
    plural="csistoragecapacities",
    rules=rules.CSIStorageCapacityRules(),
    columns=columns.CSI_STORAGE_CAPACITIES,
    group=GROUP,
    unattended=True,
)

STORAGE_CLASSES: Kind[storage.StorageClass] = Kind(
    type=storage.StorageClass,
    plural="storageclasses",
    rules=rules.StorageClassRules(),
    columns=columns.STORAGE_CLASSES,
    group=GROUP,
    namespaced=False,
    short_names=("sc",),
    unattended=True,
)

VOLUME_ATTACHMENTS: Kind[storage.VolumeAttachment] = Kind(
    type=storage.VolumeAttachment,
    plural="volumeattachments",
    rules=rules.VolumeAttachmentRules(),
    columns=columns.VOLUME_ATTACHMENTS,
    group=GROUP,
    namespaced=False,
    subresources=(STATUS,),
    unattended=True,
)

VOLUME_ATTRIBUTES_CLASSES: Kind[storage.VolumeAttributesClass] = Kind(
    type=storage.VolumeAttributesClass,
    plural="volumeattributesclasses",
    rules=rules.VolumeAttributesClassRules(),
    columns=columns.VOLUME_ATTRIBUTES_CLASSES,
    group=GROUP,
    namespaced=False,
    short_names=("vac",),
    unattended=True,
)

KINDS: tuple[Kind[Any], ...] = (
    CSI_DRIVERS,
    CSI_NODES,
    CSI_STORAGE_CAPACITIES,
    STORAGE_CLASSES,
    VOLUME_ATTACHMENTS,
    VOLUME_ATTRIBUTES_CLASSES,
)
