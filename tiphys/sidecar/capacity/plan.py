"""The CSIStorageCapacity objects that there should be. Pure ("Storage Capacity")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from tiphys.api.machinery.quantity import format_value
from tiphys.api.meta.v1 import LabelSelector, ObjectMeta
from tiphys.api.storage.v1 import CSIStorageCapacity, StorageClass
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.sidecar.topology import Place, Segment

DRIVER_LABEL: Final = "csi.storage.k8s.io/drivername"
MANAGER_LABEL: Final = "csi.storage.k8s.io/managed-by"


class Cell(NamedTuple):
    """A class at a place, for which there is one object."""

    segment: Segment
    class_name: str


def cells(places: Iterable[Place], classes: Iterable[StorageClass], *, driver: str, immediate: bool) -> set[Cell]:
    """Return all cells of a driver. Classes that bind at once count with `immediate` alone: no scheduler asks about them."""
    segments = {segment for place in places if (segment := place.segment()) is not None}
    names = [
        one.metadata.name for one in classes if one.provisioner == driver and (immediate or one.volumeBindingMode == "WaitForFirstConsumer")
    ]
    return {Cell(segment, name) for segment in segments for name in names}


def cell_of(capacity: CSIStorageCapacity) -> Cell:
    """Return the cell of an object."""
    labels = capacity.nodeTopology.matchLabels if capacity.nodeTopology is not None else {}
    return Cell(tuple(sorted(labels.items())), capacity.storageClassName)


def filled(cell: Cell, answer: pb.GetCapacityResponse, *, namespace: str, labels: Mapping[str, str]) -> CSIStorageCapacity:
    """Return the object for a cell by a driver's answer."""
    largest = answer.maximum_volume_size.value if answer.HasField("maximum_volume_size") else None
    return CSIStorageCapacity(
        metadata=ObjectMeta(generateName="csisc-", namespace=namespace, labels=dict(labels)),
        nodeTopology=LabelSelector(matchLabels=dict(cell.segment)),
        storageClassName=cell.class_name,
        capacity=format_value(answer.available_capacity, "binary"),
        maximumVolumeSize=format_value(largest, "binary") if largest is not None else None,
    )


def updated(old: CSIStorageCapacity, new: CSIStorageCapacity) -> CSIStorageCapacity | None:
    """Return the object with new numbers, None if they are the same."""
    if (old.capacity, old.maximumVolumeSize) == (new.capacity, new.maximumVolumeSize):
        return None
    return msgspec.structs.replace(old, capacity=new.capacity, maximumVolumeSize=new.maximumVolumeSize)
