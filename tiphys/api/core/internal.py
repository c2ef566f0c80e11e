"""Structs as errors quote them: the API's own refusals print objects with the names of their internal types, not those of the wire."""

from __future__ import annotations

import difflib
import json
from typing import Any, Final

import msgspec

from tiphys.api.core.v1 import PodSpec

_INITIALISMS: Final = {
    "apiVersion": "APIVersion", "awsElasticBlockStore": "AWSElasticBlockStore", "cephfs": "CephFS", "csi": "CSI",
    "dnsConfig": "DNSConfig", "dnsPolicy": "DNSPolicy", "fc": "FC", "fsGroup": "FSGroup", "fsGroupChangePolicy": "FSGroupChangePolicy",
    "fsType": "FSType", "gcePersistentDisk": "GCEPersistentDisk", "gmsaCredentialSpec": "GMSACredentialSpec",
    "gmsaCredentialSpecName": "GMSACredentialSpecName", "grpc": "GRPC", "httpGet": "HTTPGet", "httpHeaders": "HTTPHeaders", "ip": "IP",
    "iscsi": "ISCSI", "nfs": "NFS", "os": "OS", "rbd": "RBD", "seLinuxChangePolicy": "SELinuxChangePolicy",
    "seLinuxOptions": "SELinuxOptions", "storageos": "StorageOS", "tcpSocket": "TCPSocket", "tty": "TTY",
}  # fmt: skip

_OF_THE_HOST: Final = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers")
"""Fields of a spec that its security context has inside."""

_FIRST: Final = {
    "PodSpec": (
        "volumes", "initContainers", "containers", "ephemeralContainers", "restartPolicy", "terminationGracePeriodSeconds",
        "activeDeadlineSeconds", "dnsPolicy", "nodeSelector", "serviceAccountName", "automountServiceAccountToken", "nodeName",
        "securityContext", "imagePullSecrets", "hostname", "subdomain", "setHostnameAsFQDN", "affinity", "schedulerName", "tolerations",
        "hostAliases", "priorityClassName", "priority", "preemptionPolicy", "dnsConfig", "readinessGates", "runtimeClassName", "overhead",
        "enableServiceLinks", "topologySpreadConstraints", "os", "schedulingGates", "resourceClaims", "resources", "hostnameOverride",
    ),
    "Probe": ("exec", "httpGet", "tcpSocket", "grpc"),
    "Volume": (
        "name", "hostPath", "emptyDir", "gcePersistentDisk", "awsElasticBlockStore", "gitRepo", "secret", "nfs", "iscsi", "glusterfs",
        "persistentVolumeClaim", "rbd", "quobyte", "flexVolume", "cinder", "cephfs", "flocker", "downwardAPI", "fc", "azureFile",
        "configMap", "vsphereVolume", "azureDisk", "photonPersistentDisk", "projected", "portworxVolume", "scaleIO", "storageos", "csi",
        "ephemeral", "image",
    ),
}  # fmt: skip
"""Fields that come first in types whose order differs from that of the wire."""


def internal(value: Any) -> Any:
    """A value to put into an error: fields in capitals, those without a value too, empty lists and maps as null."""
    if isinstance(value, PodSpec):
        return _pod_spec(value)
    if isinstance(value, msgspec.Struct):
        return _struct(value)
    if isinstance(value, list):
        return [internal(item) for item in value] or None
    return value if value != {} else None


def _struct(value: msgspec.Struct, without: tuple[str, ...] = ()) -> dict[str, Any]:
    first = _FIRST.get(type(value).__name__, ())
    places = {name: place for place, name in enumerate(first)}
    fields = sorted(msgspec.structs.fields(value), key=lambda field: places.get(field.name, len(first)))
    return {_name(field.encode_name): internal(getattr(value, field.name)) for field in fields if field.name not in without}


def _pod_spec(spec: PodSpec) -> dict[str, Any]:
    shown = _struct(spec, ("serviceAccount", *_OF_THE_HOST))
    if spec.securityContext is not None:
        host = {_name(name): internal(getattr(spec, name)) for name in _OF_THE_HOST}
        shown["SecurityContext"] = host | shown["SecurityContext"]
    return shown


def _name(wire: str) -> str:
    return _INITIALISMS.get(wire) or wire[:1].upper() + wire[1:]


def difference(old: msgspec.Struct, new: msgspec.Struct) -> str:
    """Return a unified diff of two objects."""
    before, after = (json.dumps(internal(one), indent=1, ensure_ascii=False, default=str).split("\n") for one in (old, new))
    return "".join(f"{line}\n" for line in list(difflib.unified_diff(before, after, lineterm=""))[2:])
