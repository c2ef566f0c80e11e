"""Sources of volumes that pods and persistent volumes share, most of them disks and file systems of a vendor ("Volumes")."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tiphys.api.machinery.errors import invalid, not_supported, required, too_long
from tiphys.api.machinery.names import dns_subdomain_messages
from tiphys.api.rules.basics import Errors, dns_label, in_range, relative_path, text

_PARTITION = "must be between 1 and 255, inclusive"
IQN = re.compile(r"iqn\.\d{4}-\d{2}\.([0-9a-zA-Z-.]+)(:[^,;*&$|\s]+)$").match
EUI = re.compile(r"^eui.[0-9A-Za-z]{16}$").match
NAA = re.compile(r"^naa.[0-9A-Za-z]{32}$").match
_HOST_PORT = re.compile(r"(\[[^][]*\]|[^][:]*):[^][:]*").fullmatch


_REQUIRED: dict[str, tuple[str, ...]] = {
    "awsElasticBlockStore": ("volumeID",),
    "azureDisk": ("diskName", "diskURI"),
    "azureFile": ("secretName", "shareName"),
    "cephfs": ("monitors",),
    "cinder": ("volumeID",),
    "flexVolume": ("driver",),
    "gcePersistentDisk": ("pdName",),
    "glusterfs": ("endpoints", "path"),
    "iscsi": ("targetPortal", "iqn"),
    "nfs": ("server", "path"),
    "photonPersistentDisk": ("pdID",),
    "portworxVolume": ("volumeID",),
    "rbd": ("monitors", "image"),
    "scaleIO": ("gateway", "system", "volumeName"),
    "storageos": ("volumeName",),
    "vsphereVolume": ("volumePath",),
}
"""Fields without which a source means nothing."""

_PATHS = {"gcePersistentDisk": "persistentDisk"}
"""Sources whose mistakes are reported under another name."""

Required = Mapping[str, tuple[str, ...]]


def required_fields(errors: Errors, path: str, name: str, source: Any, own: Required) -> str:
    """Require the fields of a source, those of `own` for sources that only one owner of volumes has; return the path of the source."""
    here = f"{path}.{_PATHS.get(name, name)}"
    for field in _REQUIRED.get(name) or own.get(name, ()):
        if not getattr(source, field):
            errors.append(required(f"{here}.{field}"))
    return here


def driver_name(errors: Errors, path: str, name: str) -> None:
    """The name of a CSI driver: a domain, in any case of letters."""
    if not name:
        errors.append(required(path))
        return
    if len(name) > 63:
        errors.append(too_long(path, 63))
    text(errors, path, name, dns_subdomain_messages(name.lower()))


def nfs(errors: Errors, path: str, source: Any) -> None:
    """An NFS export, by its path on the server."""
    if not source.path.startswith("/"):
        errors.append(invalid(f"{path}.path", source.path, "must be an absolute path"))


def partition(errors: Errors, path: str, source: Any) -> None:
    """The number of a partition, 0 for the whole disk."""
    if not 0 <= source.partition <= 255:
        errors.append(invalid(f"{path}.partition", source.partition, _PARTITION))


def fibre_channel(errors: Errors, path: str, source: Any) -> None:
    """A Fibre Channel device, named in one of two ways."""
    here = f"{path}.targetWWNs"
    if not source.targetWWNs and not source.wwids:
        errors.append(required(here, "must specify either targetWWNs or wwids, but not both"))
    elif source.targetWWNs and source.wwids:
        errors.append(invalid(here, source.targetWWNs, "targetWWNs and wwids can not be specified simultaneously"))
    if source.targetWWNs:
        if source.lun is None:
            errors.append(required(f"{path}.lun", "lun is required if targetWWNs is specified"))
        else:
            in_range(errors, f"{path}.lun", source.lun, 0, 255)


def flex(errors: Errors, path: str, source: Any) -> None:
    """Options of a FlexVolume driver."""
    for key in source.options:
        domain = f".{key.partition('/')[0].lower()}"
        if domain.endswith((".kubernetes.io", ".k8s.io")):
            errors.append(invalid(f"{path}.options[{key}]", key, "kubernetes.io and k8s.io namespaces are reserved"))


def flocker(errors: Errors, path: str, source: Any) -> None:
    """A Flocker dataset, named in one of two ways."""
    if not source.datasetName and not source.datasetUUID:
        errors.append(required(path, "one of datasetName and datasetUUID is required"))
    elif source.datasetName and source.datasetUUID:
        errors.append(invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously"))
    if "/" in source.datasetName:
        errors.append(invalid(f"{path}.datasetName", source.datasetName, "must not contain '/'"))


def quobyte(errors: Errors, path: str, source: Any) -> None:
    """A Quobyte volume and its registries."""
    message = "must be a host:port pair or multiple pairs separated by commas"
    if not source.registry:
        errors.append(required(f"{path}.registry", message))
    elif len(source.tenant) >= 65:
        errors.append(required(f"{path}.tenant", "must be a UUID and may not exceed a length of 64 characters"))
    else:
        for pair in source.registry.split(","):
            if not _HOST_PORT(pair):
                errors.append(invalid(f"{path}.registry", source.registry, message))
    if not source.volume:
        errors.append(required(f"{path}.volume"))


def azure_disk(errors: Errors, path: str, source: Any) -> None:
    """An Azure disk."""
    for name, choices in (("cachingMode", ("None", "ReadOnly", "ReadWrite")), ("kind", ("Dedicated", "Managed", "Shared"))):
        value = getattr(source, name)
        if value is not None and value not in choices:
            errors.append(not_supported(f"{path}.{name}", value, choices))
    if source.kind == "Managed":
        if not source.diskURI.startswith("/subscriptions/"):
            form = "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
            errors.append(not_supported(f"{path}.diskURI", source.diskURI, (form,)))
    elif source.kind is not None and not source.diskURI.startswith("https://"):
        form = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"
        errors.append(not_supported(f"{path}.diskURI", source.diskURI, (form,)))


def _git(errors: Errors, path: str, source: Any) -> None:
    relative_path(errors, f"{path}.directory", source.directory)


def _iscsi(errors: Errors, path: str, source: Any) -> None:
    if source.iqn:
        _initiator(errors, f"{path}.iqn", source.iqn)
    in_range(errors, f"{path}.lun", source.lun, 0, 255)
    if (source.chapAuthDiscovery or source.chapAuthSession) and source.secretRef is None:
        errors.append(required(f"{path}.secretRef"))
    if source.initiatorName is not None:
        _initiator(errors, f"{path}.initiatorname", source.initiatorName)


def _initiator(errors: Errors, path: str, name: str) -> None:
    rule = {"iqn": IQN, "eui": EUI, "naa": NAA}.get(name[:3])
    if rule is None:
        errors.append(invalid(path, name, "must be valid format starting with iqn, eui, or naa"))
    elif not rule(name):
        errors.append(invalid(path, name, "must be valid format"))


def _secret(errors: Errors, path: str, source: Any) -> None:
    if source.secretRef is not None and not source.secretRef.name:
        errors.append(required(f"{path}.secretRef.name"))


def _storage_os(errors: Errors, path: str, source: Any) -> None:
    for name in ("volumeName", "volumeNamespace"):
        if value := getattr(source, name):
            dns_label(errors, f"{path}.{name}", value)
    _secret(errors, path, source)


def _csi(errors: Errors, path: str, source: Any) -> None:
    driver_name(errors, f"{path}.driver", source.driver)
    secret = source.nodePublishSecretRef
    if secret is None:
        return
    if secret.name:
        text(errors, f"{path}.name", secret.name, dns_subdomain_messages(secret.name))
    else:
        errors.append(required(f"{path}.nodePublishSecretRef.name"))


POD_CHECKS: dict[str, Callable[[Errors, str, Any], None]] = {
    "awsElasticBlockStore": partition,
    "azureDisk": azure_disk,
    "cinder": _secret,
    "csi": _csi,
    "fc": fibre_channel,
    "flexVolume": flex,
    "flocker": flocker,
    "gcePersistentDisk": partition,
    "gitRepo": _git,
    "iscsi": _iscsi,
    "nfs": nfs,
    "quobyte": quobyte,
    "storageos": _storage_os,
}
"""Further checks of a source in a pod, once its required fields are there."""
