"""References to objects of the API, which static pods may not have: they run without the API server ("Create static Pods"). Pure."""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.node.container.env import referenced

_VOLUMES = {
    "configMap": "configmaps (via configmap volumes)",
    "secret": "secrets (via secret volumes)",
    "csi": "csidrivers (via CSI volumes)",
    "glusterfs": "endpoints (via glusterFS volumes)",
    "persistentVolumeClaim": "persistentvolumeclaims",
    "ephemeral": "persistentvolumeclaims (via ephemeral volumes)",
    "azureFile": "secrets (via azureFile volumes)",
}
_PROJECTIONS = {
    "configMap": "configmaps (via projected volumes)",
    "secret": "secrets (via projected volumes)",
    "serviceAccountToken": "serviceaccounts (via projected volumes)",
    "clusterTrustBundle": "clustertrustbundles",
    "podCertificate": "podcertificates",
}
_SECRET_REFS = ("cephfs", "cinder", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos")
"""Volumes that may name a secret with their credentials."""


def api_references(pod: core.Pod) -> list[tuple[str, str]]:
    """Return the fields of a pod that refer to objects of the API, each with the resource that it refers to, by upstream's name."""
    spec = pod.spec
    result = [("spec.serviceAccountName", "serviceaccounts")] if spec.serviceAccountName else []
    if spec.imagePullSecrets:
        result.append(("spec.imagePullSecrets", "secrets"))
    config_maps, secrets = referenced(pod)
    result += [("spec.containers", f"secrets ({name})") for name in sorted(secrets)]
    result += [("spec.containers", f"configmaps ({name})") for name in sorted(config_maps)]
    if spec.resourceClaims:
        result.append(("spec.resourceClaims", "resourceclaims"))
    for index, volume in enumerate(spec.volumes):
        result += [(f"spec.volumes[{index}]{path}", resource) for path, resource in _of_volume(volume)]
    return result


def _of_volume(volume: core.Volume) -> list[tuple[str, str]]:
    result = [(f".{field}", resource) for field, resource in _VOLUMES.items() if getattr(volume, field) is not None]
    result += [
        (f".{field}.secretRef", "secrets") for field in _SECRET_REFS if getattr(getattr(volume, field), "secretRef", None) is not None
    ]
    for number, source in enumerate(volume.projected.sources if volume.projected is not None else ()):
        result += [
            (f".projected.sources[{number}].{field}", resource)
            for field, resource in _PROJECTIONS.items()
            if getattr(source, field) is not None
        ]
    return result
