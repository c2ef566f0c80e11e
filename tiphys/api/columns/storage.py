"""Tables of volumes, claims, their classes, CSI objects and runtime classes."""

from __future__ import annotations

from typing import Any

from tiphys.api.columns.base import AGE, NAME, NONE, cell
from tiphys.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from tiphys.api.helpers.storage import access_modes, class_of_claim, class_of_volume, is_default_class
from tiphys.api.machinery.scheme import Column
from tiphys.api.storage.v1 import CSIDriver, StorageClass

_UNSET = "<unset>"


def _set(value: str | None) -> str:
    return _UNSET if value is None else value


def _phase(obj: PersistentVolume | PersistentVolumeClaim) -> str:
    return obj.status.phase if obj.metadata.deletionTimestamp is None else "Terminating"


def _claim_of(volume: PersistentVolume) -> str:
    claim = volume.spec.claimRef
    return "" if claim is None else f"{claim.namespace}/{claim.name}"


_ATTRIBUTES = Column(
    "VolumeAttributesClass", cell(lambda obj: _set(obj.spec.volumeAttributesClassName)), description="The class of its attributes."
)
_MODE = Column("VolumeMode", cell(lambda obj: _set(obj.spec.volumeMode)), priority=1, description="Whether it is a file system or a disk.")

PERSISTENT_VOLUMES = (
    NAME,
    Column("Capacity", cell(lambda obj: str(obj.spec.capacity.get("storage", "0"))), description="How large it is."),
    Column("Access Modes", cell(lambda obj: access_modes(obj.spec.accessModes)), description="How it can be mounted."),
    Column("Reclaim Policy", cell(lambda obj: obj.spec.persistentVolumeReclaimPolicy), description="What becomes of it without its claim."),
    Column("Status", cell(_phase), description="Whether it is free or bound."),
    Column("Claim", cell(_claim_of), description="The claim that it is bound to."),
    Column("StorageClass", cell(class_of_volume), description="Its class."),
    _ATTRIBUTES,
    Column("Reason", cell(lambda obj: obj.status.reason), description="Why it is in this state."),
    AGE,
    _MODE,
)


def _capacity(claim: PersistentVolumeClaim) -> str:
    return str(claim.status.capacity.get("storage", "0")) if claim.spec.volumeName else ""


def _modes(claim: PersistentVolumeClaim) -> str:
    return access_modes(claim.status.accessModes) if claim.spec.volumeName else ""


PERSISTENT_VOLUME_CLAIMS = (
    NAME,
    Column("Status", cell(_phase), description="Whether it has its volume."),
    Column("Volume", cell(lambda obj: obj.spec.volumeName), description="The volume that it is bound to."),
    Column("Capacity", cell(_capacity), description="How large the volume is."),
    Column("Access Modes", cell(_modes), description="How it can be mounted."),
    Column("StorageClass", cell(class_of_claim), description="Its class."),
    _ATTRIBUTES,
    AGE,
    _MODE,
)


def _class_name(value: StorageClass) -> str:
    return f"{value.metadata.name} (default)" if is_default_class(value) else value.metadata.name


STORAGE_CLASSES = (
    Column("Name", cell(_class_name), format="name", description=NAME.description),
    Column("Provisioner", cell(lambda obj: obj.provisioner), description="Who makes its volumes."),
    Column("ReclaimPolicy", cell(lambda obj: obj.reclaimPolicy or "Delete"), description="What becomes of volumes without their claims."),
    Column("VolumeBindingMode", cell(lambda obj: obj.volumeBindingMode or "Immediate"), description="When claims get their volumes."),
    Column("AllowVolumeExpansion", cell(lambda obj: bool(obj.allowVolumeExpansion)), description="Whether claims may grow."),
    AGE,
)

CSI_NODES = (
    NAME,
    Column("Drivers", cell(lambda obj: len(obj.spec.drivers or ())), type="integer", description="How many drivers it has."),
    AGE,
)


def _flag(name: str, *, unset: bool = False) -> Any:
    return cell(lambda obj: unset if getattr(obj.spec, name) is None else getattr(obj.spec, name))


def _audiences(driver: CSIDriver) -> str:
    return ",".join(request.audience for request in driver.spec.tokenRequests) if driver.spec.tokenRequests else _UNSET


CSI_DRIVERS = (
    NAME,
    Column("AttachRequired", _flag("attachRequired", unset=True), type="boolean", description="Whether volumes are attached first."),
    Column("PodInfoOnMount", _flag("podInfoOnMount"), type="boolean", description="Whether it is told about the pod."),
    Column("StorageCapacity", _flag("storageCapacity"), type="boolean", description="Whether it reports what is free."),
    Column("TokenRequests", cell(_audiences), description="Audiences of the tokens that it wants."),
    Column("RequiresRepublish", _flag("requiresRepublish"), type="boolean", description="Whether volumes are mounted again and again."),
    Column("Modes", cell(lambda obj: ",".join(obj.spec.volumeLifecycleModes) or NONE), description="The kinds of volumes that it serves."),
    AGE,
)

CSI_STORAGE_CAPACITIES = (
    NAME,
    Column("StorageClassName", cell(lambda obj: obj.storageClassName), description="The class that it is about."),
    Column("Capacity", cell(lambda obj: _set(obj.capacity)), description="What is free."),
)

VOLUME_ATTACHMENTS = (
    NAME,
    Column("Attacher", cell(lambda obj: obj.spec.attacher), format="name", description="The driver."),
    Column("PV", cell(lambda obj: obj.spec.source.persistentVolumeName or ""), description="The volume."),
    Column("Node", cell(lambda obj: obj.spec.nodeName), description="The node that it is attached to."),
    Column("Attached", cell(lambda obj: obj.status.attached), type="boolean", description="Whether it is attached."),
    AGE,
)

VOLUME_ATTRIBUTES_CLASSES = (NAME, Column("DriverName", cell(lambda obj: obj.driverName), description="The driver that knows them."), AGE)

RUNTIME_CLASSES = (NAME, Column("Handler", cell(lambda obj: obj.handler), description="What runs its pods, as the runtime calls it."), AGE)
