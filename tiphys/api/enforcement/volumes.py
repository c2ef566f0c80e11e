"""Volumes: the kinds that the node makes, and those that need a driver."""

from __future__ import annotations

from typing import Any

from tiphys.api.core import v1 as core
from tiphys.api.enforcement.entry import Entry, Section, dropped, enforced, informational, warned
from tiphys.api.helpers.volume_plugins import ADVICE

_OBJECTS = "node.volumes.payload"


def _volume(field: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"volumes": [{"name": "v", field: value}]}


def _legacy(field: str, **value: Any) -> tuple[Entry, ...]:
    return warned(core.Volume, field, f"is not mounted by nodes, the pod will not start; {ADVICE[field]}", _volume(field, value))


def _deprecated(field: str, text: str, **value: Any) -> tuple[Entry, ...]:
    return warned(core.Volume, field, text, _volume(field, value), elsewhere=True)


def _projected(field: str, **value: Any) -> tuple[Entry, ...]:
    return dropped(core.VolumeProjection, field, _volume("projected", {"sources": [{field: value}]}))


VOLUMES = Section(
    title="Volumes",
    kind="Pod",
    entries=(
        *enforced(core.Volume, "name", "node.volumes.manager"),
        *enforced(core.EmptyDirVolumeSource, "medium", "node.volumes.empty_dir", case='"", Memory'),
        *enforced(core.EmptyDirVolumeSource, "medium", "node.volumes.empty_dir", "node.host.huge_pages", case="HugePages*"),
        *enforced(core.EmptyDirVolumeSource, "sizeLimit", "node.volumes.manager", case="medium Memory"),
        *enforced(core.EmptyDirVolumeSource, "sizeLimit", "node.eviction.local_storage", case="on disk", text="The pod is evicted."),
        *enforced(core.HostPathVolumeSource, "path type", "node.volumes.manager", "node.volumes.host_path"),
        *enforced(core.ConfigMapVolumeSource, "name items defaultMode optional", _OBJECTS),
        *enforced(core.SecretVolumeSource, "secretName items defaultMode optional", _OBJECTS),
        *enforced(core.KeyToPath, "key path mode", _OBJECTS),
        *enforced(core.DownwardAPIVolumeSource, "defaultMode", _OBJECTS),
        *enforced(core.DownwardAPIVolumeFile, "path mode", _OBJECTS),
        *enforced(core.ObjectFieldSelector, "fieldPath", "node.container.fields", _OBJECTS),
        *informational(core.ObjectFieldSelector, "apiVersion", "There is one version of pods."),
        *enforced(core.ResourceFieldSelector, "containerName resource divisor", "node.container.fields"),
        *enforced(core.ProjectedVolumeSource, "defaultMode", _OBJECTS),
        *enforced(core.SecretProjection, "name items optional", _OBJECTS),
        *enforced(core.ConfigMapProjection, "name items optional", _OBJECTS),
        *enforced(core.DownwardAPIProjection, "items", _OBJECTS),
        *enforced(core.ServiceAccountTokenProjection, "audience expirationSeconds path", _OBJECTS),
        *_projected("clusterTrustBundle", name="b", path="p"),
        *_projected("podCertificate", signerName="example.com/s", keyType="ED25519", credentialBundlePath="p"),
        *enforced(core.PersistentVolumeClaimVolumeSource, "claimName", "scheduler.volumes.pod", "node.volumes.resolve"),
        *enforced(core.PersistentVolumeClaimVolumeSource, "readOnly", "node.container.config", "node.csi.requests"),
        *enforced(
            core.EphemeralVolumeSource, "volumeClaimTemplate", "controllers.ephemeralvolume.plan", "node.volumes.resolve",
            text="The claim's own fields are below.",
        ),
        *enforced(
            core.CSIVolumeSource, "driver readOnly fsType volumeAttributes nodePublishSecretRef", "node.csi.requests", "node.csi.plugin",
            text="For drivers whose CSIDriver has the mode Ephemeral.",
        ),
        *enforced(core.ImageVolumeSource, "reference pullPolicy", "node.pod.actions", "node.volumes.image"),
        *enforced(core.NFSVolumeSource, "server path readOnly", "node.volumes.nfs"),
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
        *_deprecated("gitRepo", "disabled by default in v1.33+", repository="r"),
        *_deprecated("glusterfs", "non-functional in v1.26+", endpoints="e", path="p"),
        *_deprecated("cephfs", "non-functional in v1.31+", monitors=["m"]),
        *_deprecated("rbd", "non-functional in v1.31+", monitors=["m"], image="i"),
        *_deprecated("photonPersistentDisk", "non-functional in v1.16+", pdID="d"),
        *_deprecated("scaleIO", "non-functional in v1.22+", gateway="g", system="s", volumeName="v", secretRef={"name": "s"}),
        *_deprecated("flocker", "non-functional in v1.25+", datasetName="d"),
        *_deprecated("storageos", "non-functional in v1.25+", volumeName="v"),
        *_deprecated("quobyte", "non-functional in v1.25+", registry="r:1", volume="v"),
    ),
)  # fmt: skip
