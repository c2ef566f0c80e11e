"""The rules of volumes, claims, their classes, CSI objects and runtime classes."""

from __future__ import annotations

from datetime import datetime

from tiphys.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from tiphys.api.defaults import storage as defaults
from tiphys.api.helpers.node_labels import DEPRECATED, expression_warnings
from tiphys.api.kinds.rules_core import Uncounted
from tiphys.api.machinery.errors import FieldError
from tiphys.api.machinery.quantity import canonicalize
from tiphys.api.machinery.scheme import METADATA_STAYS, Rules
from tiphys.api.node.v1 import RuntimeClass
from tiphys.api.storage.v1 import CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment, VolumeAttributesClass
from tiphys.api.validation import persistent_volume, runtime_class, storage, volume_claim
from tiphys.api.well_known import STORAGE_CLASS_BETA

_OLD_ANNOTATIONS = {
    STORAGE_CLASS_BETA: 'deprecated since v1.8; use "storageClassName" attribute instead',
    persistent_volume.MOUNT_OPTIONS: 'deprecated since v1.31; use "mountOptions" attribute instead',
}
_GONE_SOURCES = {
    "cephfs": "spec.cephfs: deprecated in v1.28, non-functional in v1.31+",
    "photonPersistentDisk": "spec.photonPersistentDisk: deprecated in v1.11, non-functional in v1.16+",
    "scaleIO": "spec.scaleIO: deprecated in v1.16, non-functional in v1.22+",
    "storageos": "spec.storageOS: deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "spec.glusterfs: deprecated in v1.25, non-functional in v1.26+",
    "rbd": "spec.rbd: deprecated in v1.28, non-functional in v1.31+",
}
_TOKENS_IN_SECRETS = (
    "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in"
    " volume attributes"
)


def _since(new: PersistentVolume, old: PersistentVolume, now: datetime) -> None:
    """When the phase changed last, if whoever changed it does not say."""
    status, before = new.status, old.status
    if status.phase == before.phase:
        status.lastPhaseTransitionTime = status.lastPhaseTransitionTime or before.lastPhaseTransitionTime
    elif status.lastPhaseTransitionTime in (None, before.lastPhaseTransitionTime):
        status.lastPhaseTransitionTime = now


class PersistentVolumeRules(Uncounted[PersistentVolume]):
    stamp_status = staticmethod(_since)

    def default(self, obj: PersistentVolume) -> None:
        defaults.default_volume(obj)

    def prepare_create(self, obj: PersistentVolume) -> None:
        obj.status.phase = "Pending"
        obj.status.lastPhaseTransitionTime = obj.metadata.creationTimestamp

    def prepare_status_update(self, new: PersistentVolume, old: PersistentVolume) -> None:
        new.status.phase = new.status.phase or "Pending"

    def validate(self, obj: PersistentVolume) -> list[FieldError]:
        return persistent_volume.validate(obj)

    def validate_update(self, new: PersistentVolume, old: PersistentVolume) -> list[FieldError]:
        return persistent_volume.validate_update(new, old)

    def warnings(self, obj: PersistentVolume, old: PersistentVolume | None) -> list[str]:
        spec = obj.spec
        found = [f"metadata.annotations[{key}]: {said}" for key, said in _OLD_ANNOTATIONS.items() if key in obj.metadata.annotations]
        if spec.persistentVolumeReclaimPolicy == "Recycle":
            said = "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning."
            found.append(f"spec.persistentVolumeReclaimPolicy: {said}")
        if spec.nodeAffinity is not None and spec.nodeAffinity.required is not None:
            for index, term in enumerate(spec.nodeAffinity.required.nodeSelectorTerms):
                path = f"spec.nodeAffinity.required.nodeSelectorTerms[{index}].matchExpressions"
                found += expression_warnings(path, term.matchExpressions)
        return [*found, *(said for name, said in _GONE_SOURCES.items() if getattr(spec, name) is not None)]


class PersistentVolumeClaimRules(Uncounted[PersistentVolumeClaim]):
    def default(self, obj: PersistentVolumeClaim) -> None:
        defaults.default_claim(obj)

    def prepare_create(self, obj: PersistentVolumeClaim) -> None:
        obj.status.phase = "Pending"
        defaults.align_data_sources(obj.spec, None)

    def prepare_update(self, new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> None:
        defaults.align_data_sources(new.spec, old.spec)

    def prepare_status_update(self, new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> None:
        canonicalize(new)
        new.status.phase = new.status.phase or "Pending"

    def validate(self, obj: PersistentVolumeClaim) -> list[FieldError]:
        return volume_claim.validate(obj)

    def validate_update(self, new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> list[FieldError]:
        return volume_claim.validate_update(new, old)

    def validate_status_update(self, new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> list[FieldError]:
        return volume_claim.validate_status(new)

    def warnings(self, obj: PersistentVolumeClaim, old: PersistentVolumeClaim | None) -> list[str]:
        found = []
        if STORAGE_CLASS_BETA in obj.metadata.annotations:
            found.append(f"metadata.annotations[{STORAGE_CLASS_BETA}]: {_OLD_ANNOTATIONS[STORAGE_CLASS_BETA]}")
        return found + volume_claim.size_warnings("spec", obj.spec)


class StorageClassRules(Rules[StorageClass]):
    def default(self, obj: StorageClass) -> None:
        defaults.default_class(obj)

    def validate(self, obj: StorageClass) -> list[FieldError]:
        return storage.validate_class(obj)

    def validate_update(self, new: StorageClass, old: StorageClass) -> list[FieldError]:
        return storage.validate_class_update(new, old)

    def warnings(self, obj: StorageClass, old: StorageClass | None) -> list[str]:
        return [
            f"allowedTopologies[{index}].matchLabelExpressions[{number}].key: {DEPRECATED[requirement.key]}"
            for index, term in enumerate(obj.allowedTopologies)
            for number, requirement in enumerate(term.matchLabelExpressions)
            if requirement.key in DEPRECATED
        ]


class VolumeAttributesClassRules(Rules[VolumeAttributesClass]):
    def validate(self, obj: VolumeAttributesClass) -> list[FieldError]:
        return storage.validate_attributes_class(obj)

    def validate_update(self, new: VolumeAttributesClass, old: VolumeAttributesClass) -> list[FieldError]:
        return storage.validate_attributes_class_update(new, old)


class VolumeAttachmentRules(Uncounted[VolumeAttachment]):
    resets = METADATA_STAYS
    needs_version = True

    def validate(self, obj: VolumeAttachment) -> list[FieldError]:
        return storage.validate_attachment(obj)

    def validate_update(self, new: VolumeAttachment, old: VolumeAttachment) -> list[FieldError]:
        return storage.validate_attachment_update(new, old)

    def validate_status_update(self, new: VolumeAttachment, old: VolumeAttachment) -> list[FieldError]:
        return storage.validate_attachment_status(new)

    def prepare_status_update(self, new: VolumeAttachment, old: VolumeAttachment) -> None:
        new.metadata.labels, new.metadata.annotations = old.metadata.labels, old.metadata.annotations


class CSIDriverRules(Rules[CSIDriver]):
    counted = False
    needs_version = True

    def default(self, obj: CSIDriver) -> None:
        defaults.default_driver(obj)

    def prepare_create(self, obj: CSIDriver) -> None:
        obj.spec.preventPodSchedulingIfMissing = None

    def prepare_update(self, new: CSIDriver, old: CSIDriver) -> None:
        if old.spec.preventPodSchedulingIfMissing is None:
            new.spec.preventPodSchedulingIfMissing = None

    def validate(self, obj: CSIDriver) -> list[FieldError]:
        return storage.validate_driver(obj)

    def validate_update(self, new: CSIDriver, old: CSIDriver) -> list[FieldError]:
        return storage.validate_driver_update(new, old)

    def warnings(self, obj: CSIDriver, old: CSIDriver | None) -> list[str]:
        requests = obj.spec.tokenRequests
        same = old is not None and old.spec.tokenRequests == requests
        return [] if same or not requests or obj.spec.serviceAccountTokenInSecrets is not None else [_TOKENS_IN_SECRETS]


class CSINodeRules(Uncounted[CSINode]):
    needs_version = True

    def validate(self, obj: CSINode) -> list[FieldError]:
        return storage.validate_node(obj)

    def validate_update(self, new: CSINode, old: CSINode) -> list[FieldError]:
        return storage.validate_node_update(new, old)


class CSIStorageCapacityRules(Rules[CSIStorageCapacity]):
    needs_version = True

    def validate(self, obj: CSIStorageCapacity) -> list[FieldError]:
        return storage.validate_capacity(obj)

    def validate_update(self, new: CSIStorageCapacity, old: CSIStorageCapacity) -> list[FieldError]:
        return storage.validate_capacity_update(new, old)

    def warnings(self, obj: CSIStorageCapacity, old: CSIStorageCapacity | None) -> list[str]:
        if obj.nodeTopology is None:
            return []
        labels = [f"nodeTopology.matchLabels.{key}: {DEPRECATED[key]}" for key in obj.nodeTopology.matchLabels if key in DEPRECATED]
        return [*expression_warnings("nodeTopology.matchExpressions", obj.nodeTopology.matchExpressions), *labels]


class RuntimeClassRules(Rules[RuntimeClass]):
    names_finalizers = False
    create_on_update = True
    needs_version = True

    def validate(self, obj: RuntimeClass) -> list[FieldError]:
        return runtime_class.validate(obj)

    def validate_update(self, new: RuntimeClass, old: RuntimeClass) -> list[FieldError]:
        return runtime_class.validate_update(new, old)

    def warnings(self, obj: RuntimeClass, old: RuntimeClass | None) -> list[str]:
        if obj.scheduling is None:
            return []
        return [f"scheduling.nodeSelector: {DEPRECATED[key]}" for key in obj.scheduling.nodeSelector if key in DEPRECATED]
