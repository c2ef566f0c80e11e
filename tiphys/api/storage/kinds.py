"""Storage classes, attachments and what CSI drivers say about themselves: `storage.k8s.io`."""

from __future__ import annotations

from typing import Any

from tiphys.api.machinery.scheme import Kind
from tiphys.api.storage.csi_driver import CSI_DRIVERS
from tiphys.api.storage.csi_node import CSI_NODES
from tiphys.api.storage.csi_storage_capacity import CSI_STORAGE_CAPACITIES
from tiphys.api.storage.storage_class import STORAGE_CLASSES
from tiphys.api.storage.volume_attachment import VOLUME_ATTACHMENTS
from tiphys.api.storage.volume_attributes_class import VOLUME_ATTRIBUTES_CLASSES

KINDS: tuple[Kind[Any], ...] = (
    CSI_DRIVERS,
    CSI_NODES,
    CSI_STORAGE_CAPACITIES,
    STORAGE_CLASSES,
    VOLUME_ATTACHMENTS,
    VOLUME_ATTRIBUTES_CLASSES,
)
