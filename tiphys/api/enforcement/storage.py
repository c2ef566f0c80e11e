"""Storage: claims, the volumes that they are bound to, their classes, and the drivers that make them."""

from __future__ import annotations

from typing import Any

from tiphys.api.core import v1 as core
from tiphys.api.enforcement.entry import Entry, Section, dropped, enforced, informational, warned
from tiphys.api.helpers.volume_plugins import ADVICE
from tiphys.api.storage import v1 as storage
from tiphys.api.well_known import DEFAULT_STORAGE_CLASS

_BINDING = "api.helpers.volume_binding"
_SELINUX = "containers are not labeled for SELinux by this cluster, it has no effect"
_HOST_PATH = {"hostPath": {"path": "/p"}}


def _legacy(field: str, **value: Any) -> tuple[Entry, ...]:
    text = f"is not mounted by nodes, pods that use it will not start; {ADVICE[field]}"
    return warned(core.PersistentVolumeSpec, field, text, {field: value})


def _deprecated(field: str, text: str, **value: Any) -> tuple[Entry, ...]:
    return warned(core.PersistentVolumeSpec, field, text, {field: value}, elsewhere=True)


CLAIMS = Section(
    title="Claims",
    kind="PersistentVolumeClaim",
    entries=(
        *enforced(core.PersistentVolumeClaimSpec, "accessModes", _BINDING, "scheduler.volumes.checks", "sidecar.access"),
        *enforced(core.PersistentVolumeClaimSpec, "selector", _BINDING, "sidecar.provision.plan"),
        *enforced(
            core.VolumeResourceRequirements, "requests", "controllers.persistentvolume.plan", "sidecar.provision.plan",
            "apiserver.admission.storage", text="They may grow where the class allows it.",
        ),
        *enforced(
            core.VolumeResourceRequirements, "limits", "sidecar.provision.plan", text="The largest volume that a driver may make.",
        ),
        *enforced(core.PersistentVolumeClaimSpec, "volumeName", "controllers.persistentvolume.plan"),
        *enforced(
            core.PersistentVolumeClaimSpec, "storageClassName", "apiserver.admission.default_classes", "controllers.persistentvolume.plan",
        ),
        *enforced(core.PersistentVolumeClaimSpec, "volumeMode", _BINDING, "node.volumes.resolve"),
        *enforced(
            core.PersistentVolumeClaimSpec, "dataSource dataSourceRef", "sidecar.provision.source",
            text="For drivers that clone or restore; other kinds are left to populators.",
        ),
        *dropped(
            core.TypedObjectReference, "namespace", {"dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "c", "namespace": "other"}},
        ),
        *enforced(core.TypedObjectReference, "apiGroup kind name", "sidecar.provision.source"),
        *enforced(
            core.PersistentVolumeClaimSpec, "volumeAttributesClassName", _BINDING, "sidecar.provision.controller", "sidecar.resize.modify",
        ),
    ),
)  # fmt: skip

PERSISTENT_VOLUMES = Section(
    title="Persistent volumes",
    kind="PersistentVolume",
    entries=(
        *enforced(core.PersistentVolumeSpec, "capacity", _BINDING, "node.volumes.expansion"),
        *enforced(core.PersistentVolumeSpec, "accessModes", _BINDING, "controllers.attachdetach.view", "node.volumes.mounter"),
        *enforced(core.PersistentVolumeSpec, "claimRef", "controllers.persistentvolume.release", "node.volumes.resolve"),
        *enforced(
            core.PersistentVolumeSpec, "persistentVolumeReclaimPolicy", "controllers.persistentvolume.release",
            "sidecar.provision.deletion",
            case="Delete, Retain",
        ),
        *warned(
            core.PersistentVolumeSpec, "persistentVolumeReclaimPolicy", "The Recycle reclaim policy is deprecated",
            {**_HOST_PATH, "persistentVolumeReclaimPolicy": "Recycle"}, case="Recycle", elsewhere=True,
        ),
        *enforced(core.PersistentVolumeSpec, "storageClassName", "api.core.volumes.classes"),
        *enforced(core.PersistentVolumeSpec, "mountOptions", "node.volumes.resolve"),
        *enforced(core.PersistentVolumeSpec, "volumeMode", _BINDING, "node.volumes.resolve"),
        *enforced(core.PersistentVolumeSpec, "nodeAffinity", "scheduler.volumes.reach", "node.volumes.mounter"),
        *enforced(core.PersistentVolumeSpec, "volumeAttributesClassName", _BINDING, "controllers.protection.plan"),
        *enforced(
            core.CSIPersistentVolumeSource, "driver volumeHandle fsType volumeAttributes", "node.csi.requests", "node.csi.plugin",
        ),
        *enforced(core.CSIPersistentVolumeSource, "readOnly controllerPublishSecretRef", "sidecar.attach.controller"),
        *enforced(
            core.CSIPersistentVolumeSource, "nodeStageSecretRef nodePublishSecretRef nodeExpandSecretRef", "node.csi.requests",
            "apiserver.auth.volume_secrets",
        ),
        *enforced(core.CSIPersistentVolumeSource, "controllerExpandSecretRef", "sidecar.resize.controller"),
        *enforced(core.PersistentVolumeSpec, "hostPath local", "node.volumes.local"),
        *enforced(core.LocalVolumeSource, "path fsType", "node.volumes.local"),
        *enforced(core.PersistentVolumeSpec, "nfs", "node.volumes.nfs"),
        *_legacy("iscsi", targetPortal="192.0.2.1", iqn="iqn.2001-04.com.example:x", lun=0),
        *_legacy("fc", targetWWNs=["50060e801049cfd1"], lun=0),
        *_legacy("flexVolume", driver="example.com/d"),
        *_legacy("awsElasticBlockStore", volumeID="v"),
        *_legacy("gcePersistentDisk", pdName="d"),
        *_legacy("azureDisk", diskName="d", diskURI="https://blob/d.vhd"),
        *_legacy("azureFile", secretName="s", shareName="n"),
        *_legacy("cinder", volumeID="v"),
        *_legacy("portworxVolume", volumeID="v"),
        *_legacy("vsphereVolume", volumePath="p"),
        *_legacy("flocker", datasetName="d"),
        *_legacy("quobyte", registry="r:1", volume="v"),
        *_deprecated("cephfs", "non-functional in v1.31+", monitors=["m"]),
        *_deprecated("photonPersistentDisk", "non-functional in v1.16+", pdID="d"),
        *_deprecated("scaleIO", "non-functional in v1.22+", gateway="g", system="s", volumeName="v", secretRef={"name": "s"}),
        *_deprecated("storageos", "non-functional in v1.25+", volumeName="v"),
        *_deprecated("glusterfs", "non-functional in v1.26+", endpoints="e", path="p"),
        *_deprecated("rbd", "non-functional in v1.31+", monitors=["m"], image="i"),
    ),
)  # fmt: skip

STORAGE_CLASSES = Section(
    title="Classes of storage",
    kind="StorageClass",
    entries=(
        *enforced(storage.StorageClass, "provisioner", "controllers.persistentvolume.plan", "sidecar.provision.controller"),
        *enforced(storage.StorageClass, "parameters", "sidecar.provision.plan", text="Those that the driver knows."),
        *enforced(storage.StorageClass, "reclaimPolicy mountOptions", "sidecar.provision.volume"),
        *enforced(storage.StorageClass, "allowVolumeExpansion", "apiserver.admission.storage"),
        *enforced(storage.StorageClass, "volumeBindingMode", _BINDING),
        *enforced(storage.StorageClass, "allowedTopologies", "scheduler.volumes.binding", "sidecar.topology"),
        *enforced(
            storage.StorageClass, "metadata.annotations", "api.storage.classes", "apiserver.admission.default_classes",
            keys=DEFAULT_STORAGE_CLASS,
        ),
        *enforced(storage.VolumeAttributesClass, "driverName parameters", "sidecar.provision.controller", "sidecar.resize.modify"),
    ),
)  # fmt: skip

STORAGE_DRIVERS = Section(
    title="Drivers of storage",
    kind="CSIDriver",
    entries=(
        *enforced(storage.CSIDriverSpec, "attachRequired", "controllers.attachdetach.controller", "node.csi.cluster"),
        *enforced(storage.CSIDriverSpec, "podInfoOnMount requiresRepublish serviceAccountTokenInSecrets", "node.csi.plugin"),
        *enforced(storage.CSIDriverSpec, "volumeLifecycleModes fsGroupPolicy", "node.csi.requests"),
        *enforced(storage.CSIDriverSpec, "storageCapacity", "scheduler.volumes.binding"),
        *enforced(storage.TokenRequest, "audience expirationSeconds", "node.csi.cluster"),
        *warned(
            storage.CSIDriverSpec, "seLinuxMount", _SELINUX, {"seLinuxMount": True}, case="true",
            when=lambda spec: bool(spec.seLinuxMount),
        ),
        *informational(storage.CSIDriverSpec, "seLinuxMount", "false is the default."),
        *enforced(storage.CSIDriverSpec, "nodeAllocatableUpdatePeriodSeconds", "node.csi.allocatable"),
        *dropped(storage.CSIDriverSpec, "preventPodSchedulingIfMissing", {"preventPodSchedulingIfMissing": True}),
        *enforced(storage.CSINodeDriver, "name nodeID", "sidecar.attach.plan", "node.csi.node_info"),
        *enforced(storage.CSINodeDriver, "topologyKeys", "sidecar.places"),
        *enforced(storage.CSINodeDriver, "allocatable", "scheduler.volumes.limits"),
        *enforced(storage.CSIStorageCapacity, "nodeTopology", "scheduler.volumes.binding"),
        *enforced(storage.CSIStorageCapacity, "storageClassName capacity maximumVolumeSize", "scheduler.volumes.cache"),
        *enforced(
            storage.VolumeAttachmentSpec, "attacher", "controllers.attachdetach.controller", "sidecar.attach.controller",
        ),
        *enforced(storage.VolumeAttachmentSpec, "nodeName", "controllers.attachdetach.controller", "sidecar.attach.controller"),
        *enforced(storage.VolumeAttachmentSource, "persistentVolumeName inlineVolumeSpec", "sidecar.attach.controller"),
    ),
)  # fmt: skip
