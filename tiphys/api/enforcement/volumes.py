"""Volumes: the kinds that the node makes, and those that need a driver."""

from __future__ import annotations

from typing import Any

from tiphys.api.core import v1 as core
from tiphys.api.enforcement.entry import Entry, Section, dropped, enforced, informational, warned

_WILL_NOT_START = "is not supported by this cluster yet, the pod will not start"
_OBJECTS = "node.volumes.payload"
_CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}


def _volume(field: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"volumes": [{"name": "v", field: value}]}


def _unsupported(field: str, **value: Any) -> tuple[Entry, ...]:
    return warned(core.Volume, field, _WILL_NOT_START, _volume(field, value))


def _deprecated(field: str, text: str, **value: Any) -> tuple[Entry, ...]:
    return warned(core.Volume, field, text, _volume(field, value), elsewhere=True)


def _projected(field: str, **value: Any) -> tuple[Entry, ...]:
    return dropped(core.VolumeProjection, field, _volume("projected", {"sources": [{field: value}]}))


VOLUMES = Section(
    title="Volumes",
    kind="Pod",
    entries=(
        *enforced(core.Volume, "name", "node.volumes.manager"),
        *enforced(core.EmptyDirVolumeSource, "medium", "node.volumes.manager", case='"", Memory'),
        *warned(
            core.EmptyDirVolumeSource, "medium", "no node of this cluster offers huge pages, the pod will not start",
            _volume("emptyDir", {"medium": "HugePages"}), case="HugePages*", when=lambda source: source.medium.startswith("HugePages"),
        ),
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
        *_unsupported("persistentVolumeClaim", claimName="c"),
        *_unsupported("ephemeral", volumeClaimTemplate={"spec": _CLAIM}),
        *_unsupported("csi", driver="example.com"),
        *enforced(core.ImageVolumeSource, "reference pullPolicy", "node.pod.actions", "node.volumes.image"),
        *enforced(core.NFSVolumeSource, "server path readOnly", "node.volumes.nfs"),
        *_unsupported("iscsi", targetPortal="192.0.2.1", iqn="iqn.2001-04.com.example:x", lun=0),
        *_unsupported("fc", targetWWNs=["50060e801049cfd1"], lun=0),
        *_unsupported("flexVolume", driver="example.com/d"),
        *_unsupported("awsElasticBlockStore", volumeID="v"),
        *_unsupported("gcePersistentDisk", pdName="d"),
        *_unsupported("azureDisk", diskName="d", diskURI="https://blob/d.vhd"),
        *_unsupported("azureFile", secretName="s", shareName="n"),
        *_unsupported("cinder", volumeID="v"),
        *_unsupported("portworxVolume", volumeID="v"),
        *_unsupported("vsphereVolume", volumePath="p"),
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
