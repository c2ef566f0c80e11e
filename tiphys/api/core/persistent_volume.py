"""PersistentVolume: defaults, validation, columns and registration."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.core.pods.scheduling import node_selector
from tiphys.api.core.uncounted import Uncounted
from tiphys.api.core.v1 import PersistentVolume, PersistentVolumeSpec, VolumeNodeAffinity
from tiphys.api.core.volumes import classes, sources
from tiphys.api.core.volumes.classes import class_of_volume
from tiphys.api.core.volumes.defaults import default_network_sources
from tiphys.api.core.volumes.shared import (
    ATTRIBUTES,
    MODE,
    MOUNT_OPTIONS,
    OLD_ANNOTATIONS,
    VOLUME_MODES,
    access_modes,
    difference,
    phase_cell,
)
from tiphys.api.core.volumes.sources import azure_disk, driver_name, fibre_channel, flocker, partition, quobyte, required_fields
from tiphys.api.core.volumes.validation import HOST_PATH_TYPES
from tiphys.api.enforcement import warn
from tiphys.api.helpers.node_labels import expression_warnings
from tiphys.api.machinery.columns import AGE, NAME, cell
from tiphys.api.machinery.errors import forbidden, invalid, not_supported, required
from tiphys.api.machinery.names import dns_label_messages, dns_subdomain_messages
from tiphys.api.machinery.quantity import parse, whole
from tiphys.api.machinery.scheme import Column, Kind
from tiphys.api.machinery.subresources import STATUS
from tiphys.api.rules.basics import Errors, dns_label, dns_subdomain, immutable, in_range, no_backsteps, text


def default_volume(volume: PersistentVolume) -> None:
    """Retain the volume as a file system, and default its source ("Persistent Volumes")."""
    spec = volume.spec
    spec.persistentVolumeReclaimPolicy = spec.persistentVolumeReclaimPolicy or "Retain"
    if spec.volumeMode is None:
        spec.volumeMode = "Filesystem"
    volume.status.phase = volume.status.phase or "Pending"
    if spec.hostPath is not None and spec.hostPath.type is None:
        spec.hostPath.type = ""
    default_network_sources(spec)


SOURCES: tuple[str, ...] = tuple(
    field.name
    for field in msgspec.structs.fields(PersistentVolumeSpec)
    if field.name
    not in (
        *("capacity", "accessModes", "claimRef", "persistentVolumeReclaimPolicy", "storageClassName", "mountOptions", "volumeMode"),
        *("nodeAffinity", "volumeAttributesClassName"),
    )
)
"""The fields of a volume that name its source, of which exactly one is set."""

_POLICIES = ("Delete", "Recycle", "Retain")
_INLINE = "in the context of inline volumes"

_REQUIRED: sources.Required = {"hostPath": ("path",), "local": ("path",)}

_MOUNT_OPTION_SOURCES = (
    *("gcePersistentDisk", "awsElasticBlockStore", "glusterfs", "nfs", "rbd", "quobyte", "iscsi", "cinder", "cephfs", "azureFile"),
    *("vsphereVolume", "azureDisk", "photonPersistentDisk"),
)

_BETA_LABELS = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
    "beta.kubernetes.io/os": "kubernetes.io/os",
    "beta.kubernetes.io/arch": "kubernetes.io/arch",
    "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
}


def validate_volume(volume: PersistentVolume) -> Errors:
    """Return the mistakes in a volume ("Persistent Volumes")."""
    errors: Errors = []
    validate_volume_spec(errors, "spec", volume.spec, name=volume.metadata.name)
    if MOUNT_OPTIONS in volume.metadata.annotations and all(getattr(volume.spec, name) is None for name in _MOUNT_OPTION_SOURCES):
        errors.append(forbidden(f"metadata.annotations.{MOUNT_OPTIONS}", "may not specify mount options for this volume type"))
    return errors


def validate_volume_spec(errors: Errors, path: str, spec: PersistentVolumeSpec, *, name: str = "", inline: bool = False) -> None:
    """A volume, or one that stands inside an attachment (`inline`) and has no life of its own."""
    if inline:
        _inline(errors, path, spec)
    access_modes(errors, f"{path}.accessModes", spec.accessModes)
    if not spec.accessModes:
        errors.append(required(f"{path}.accessModes"))
    if not inline:
        _capacity(errors, f"{path}.capacity", spec)
        if spec.persistentVolumeReclaimPolicy and spec.persistentVolumeReclaimPolicy not in _POLICIES:
            errors.append(not_supported(f"{path}.persistentVolumeReclaimPolicy", spec.persistentVolumeReclaimPolicy, _POLICIES))
        if spec.nodeAffinity is not None:
            _node_affinity(errors, f"{path}.nodeAffinity", spec.nodeAffinity)
    _source(errors, path, spec, name)
    if not inline:
        if spec.storageClassName:
            text(errors, f"{path}.storageClassName", spec.storageClassName, dns_subdomain_messages(spec.storageClassName))
        if spec.volumeMode is not None and spec.volumeMode not in VOLUME_MODES:
            errors.append(not_supported(f"{path}.volumeMode", spec.volumeMode, VOLUME_MODES))
        _attributes_class(errors, path, spec)


def _inline(errors: Errors, path: str, spec: PersistentVolumeSpec) -> None:
    for name in ("claimRef", "capacity", "nodeAffinity", "storageClassName"):
        if getattr(spec, name):
            errors.append(forbidden(f"{path}.{name}", f"may not be specified {_INLINE}"))
    if spec.csi is None:
        errors.append(required(f"{path}.csi", f"has to be specified {_INLINE}"))
    if spec.persistentVolumeReclaimPolicy not in ("", "Retain"):
        errors.append(forbidden(f"{path}.persistentVolumeReclaimPolicy", f"may only be Retain {_INLINE}"))
    if spec.volumeMode not in (None, "Filesystem"):
        errors.append(forbidden(f"{path}.volumeMode", f"may not specify volumeMode other than Filesystem {_INLINE}"))


def _capacity(errors: Errors, path: str, spec: PersistentVolumeSpec) -> None:
    if not spec.capacity:
        errors.append(required(path))
    if "storage" not in spec.capacity or len(spec.capacity) > 1:
        errors.append(not_supported(path, spec.capacity or None, ("storage",)))
    for name, quantity in spec.capacity.items():
        if whole(quantity) < 0:
            errors.append(invalid(f"{path}[{name}]", whole(quantity), "must be a valid resource quantity"))
        if parse(quantity) <= 0:
            errors.append(invalid(f"{path}[{name}]", quantity, "must be greater than zero"))


def _node_affinity(errors: Errors, path: str, affinity: VolumeNodeAffinity) -> None:
    if affinity.required is None:
        errors.append(required(f"{path}.required", "must specify required node constraints"))
    else:
        node_selector(errors, f"{path}.required", affinity.required)


def _attributes_class(errors: Errors, path: str, spec: PersistentVolumeSpec) -> None:
    name = spec.volumeAttributesClassName
    if name is None:
        return
    if not name:
        errors.append(required(f"{path}.volumeAttributesClassName", "an empty string is disallowed"))
    else:
        text(errors, f"{path}.volumeAttributesClassName", name, dns_subdomain_messages(name))
    if spec.csi is None:
        errors.append(required(f"{path}.csi", "has to be specified when using volumeAttributesClassName"))


def _source(errors: Errors, path: str, spec: PersistentVolumeSpec, volume: str) -> None:
    named = [name for name in SOURCES if getattr(spec, name) is not None]
    if not named:
        errors.append(required(path, "must specify a volume type"))
        return
    for extra in named[1:]:
        errors.append(forbidden(f"{path}.{extra}", "may not specify more than 1 volume type"))
    name = named[0]
    source = getattr(spec, name)
    here = required_fields(errors, path, name, source, _REQUIRED)
    if (check := _CHECKS.get(name)) is not None:
        check(errors, here, source)
    if name == "local" and spec.nodeAffinity is None:
        errors.append(required(f"{path}.nodeAffinity", "Local volume requires node affinity"))
    elif name == "iscsi" and source.initiatorName is not None and len(f"{volume}:{source.targetPortal}") > 64:
        message = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified."
        errors.append(invalid(f"{here}.targetportal", source.targetPortal, message))
    elif name == "hostPath" and posixpath.normpath(source.path) == "/" and spec.persistentVolumeReclaimPolicy == "Recycle":
        errors.append(forbidden(f"{path}.persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'"))


def _csi(errors: Errors, path: str, source: Any) -> None:
    driver_name(errors, f"{path}.driver", source.driver)
    if not source.volumeHandle:
        errors.append(required(f"{path}.volumeHandle"))
    for name in ("controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef"):
        reference = getattr(source, name)
        if reference is None:
            continue
        for part, rule in (("name", dns_subdomain), ("namespace", dns_label)):
            value = getattr(reference, part)
            if value:
                rule(errors, f"{path}.{name}.{part}", value)
            else:
                errors.append(required(f"{path}.{name}.{part}"))


def _host_path(errors: Errors, path: str, source: Any) -> None:
    if source.path:
        no_backsteps(errors, f"{path}.path", source.path)
        if source.type is not None and source.type not in HOST_PATH_TYPES:
            errors.append(not_supported(f"{path}.type", source.type, HOST_PATH_TYPES))


def _local(errors: Errors, path: str, source: Any) -> None:
    no_backsteps(errors, f"{path}.path", source.path)


def _iscsi(errors: Errors, path: str, source: Any) -> None:
    names = [("iqn", source.iqn)] if source.iqn else []
    if source.initiatorName is not None:
        names.append(("initiatorname", source.initiatorName))
    for field, name in names:
        rule = {"iqn": sources.IQN, "eui": sources.EUI, "naa": sources.NAA}.get(name[:3])
        if rule is None or not rule(name):
            errors.append(invalid(f"{path}.{field}", name, "must be valid format"))
    in_range(errors, f"{path}.lun", source.lun, 0, 255)
    if source.secretRef is None:
        if source.chapAuthDiscovery or source.chapAuthSession:
            errors.append(required(f"{path}.secretRef"))
    elif not source.secretRef.name:
        errors.append(required(f"{path}.secretRef.name"))


def _azure_file(errors: Errors, path: str, source: Any) -> None:
    if source.secretNamespace == "":
        errors.append(required(f"{path}.secretNamespace"))


def _glusterfs(errors: Errors, path: str, source: Any) -> None:
    namespace = source.endpointsNamespace
    if namespace == "":
        message = "if the endpointnamespace is set, it must be a valid namespace name"
        errors.append(invalid(f"{path}.endpointsNamespace", namespace, message))
    elif namespace is not None:
        text(errors, f"{path}.endpointsNamespace", namespace, dns_label_messages(namespace))


def _secret_in_full(errors: Errors, path: str, source: Any) -> None:
    if source.secretRef is not None:
        for name in ("name", "namespace"):
            if not getattr(source.secretRef, name):
                errors.append(required(f"{path}.secretRef.{name}"))


def _storage_os(errors: Errors, path: str, source: Any) -> None:
    for name in ("volumeName", "volumeNamespace"):
        if value := getattr(source, name):
            dns_label(errors, f"{path}.{name}", value)
    _secret_in_full(errors, path, source)


_CHECKS: dict[str, Callable[[Errors, str, Any], None]] = {
    "awsElasticBlockStore": partition,
    "azureDisk": azure_disk,
    "azureFile": _azure_file,
    "cinder": _secret_in_full,
    "csi": _csi,
    "fc": fibre_channel,
    "flexVolume": sources.flex,
    "flocker": flocker,
    "gcePersistentDisk": partition,
    "glusterfs": _glusterfs,
    "hostPath": _host_path,
    "iscsi": _iscsi,
    "local": _local,
    "nfs": sources.nfs,
    "quobyte": quobyte,
    "storageos": _storage_os,
}


def validate_volume_update(new: PersistentVolume, old: PersistentVolume) -> Errors:
    """Return the changes of a volume that are not allowed: its source stays; a secret for expansion may be added, once."""
    errors: Errors = []
    changed = [name for name in SOURCES if not _same_source(name, getattr(new.spec, name), getattr(old.spec, name))]
    if changed:
        message = f"spec.persistentvolumesource is immutable after creation\n{difference(new.spec, old.spec, changed)}"
        errors.append(forbidden("spec.persistentvolumesource", message))
    immutable(errors, "volumeMode", new.spec.volumeMode, old.spec.volumeMode)
    affinity, before = new.spec.nodeAffinity, old.spec.nodeAffinity
    if before is not None and affinity != before and _renewed(before, affinity) != affinity:
        errors.append(invalid("nodeAffinity", affinity, "field is immutable, except for updating from beta label to GA"))
    if old.spec.volumeAttributesClassName is not None and new.spec.volumeAttributesClassName is None:
        errors.append(forbidden("spec.volumeAttributesClassName", "update from non-nil value to nil is forbidden"))
    return errors


def _same_source(name: str, new: Any, old: Any) -> bool:
    if name == "csi" and new is not None and old is not None and old.controllerExpandSecretRef is None:
        return bool(msgspec.structs.replace(new, controllerExpandSecretRef=None) == old)
    return bool(new == old)


def _renewed(old: VolumeNodeAffinity, new: VolumeNodeAffinity | None) -> VolumeNodeAffinity:
    """The old affinity with the labels that the new one calls by their present names."""
    copy = msgspec.convert(msgspec.to_builtins(old), VolumeNodeAffinity)
    if copy.required is None or new is None or new.required is None:
        return copy
    for term, term_now in zip(copy.required.nodeSelectorTerms, new.required.nodeSelectorTerms, strict=False):
        for part in ("matchExpressions", "matchFields"):
            for requirement, now in zip(getattr(term, part), getattr(term_now, part), strict=False):
                if _BETA_LABELS.get(requirement.key) == now.key:
                    requirement.key = now.key
    return copy


_GONE_SOURCES = {
    "cephfs": "spec.cephfs: deprecated in v1.28, non-functional in v1.31+",
    "photonPersistentDisk": "spec.photonPersistentDisk: deprecated in v1.11, non-functional in v1.16+",
    "scaleIO": "spec.scaleIO: deprecated in v1.16, non-functional in v1.22+",
    "storageos": "spec.storageOS: deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "spec.glusterfs: deprecated in v1.25, non-functional in v1.26+",
    "rbd": "spec.rbd: deprecated in v1.28, non-functional in v1.31+",
}


def _since(new: PersistentVolume, old: PersistentVolume, now: datetime) -> None:
    """Time of the last change of the phase, if the writer does not give it."""
    status, before = new.status, old.status
    if status.phase == before.phase:
        status.lastPhaseTransitionTime = status.lastPhaseTransitionTime or before.lastPhaseTransitionTime
    elif status.lastPhaseTransitionTime in (None, before.lastPhaseTransitionTime):
        status.lastPhaseTransitionTime = now


class PersistentVolumeRules(Uncounted[PersistentVolume]):
    stamp_status = staticmethod(_since)
    default = staticmethod(default_volume)

    def prepare_create(self, obj: PersistentVolume) -> None:
        obj.status.phase = "Pending"
        obj.status.lastPhaseTransitionTime = obj.metadata.creationTimestamp

    def prepare_status_update(self, new: PersistentVolume, old: PersistentVolume) -> None:
        new.status.phase = new.status.phase or "Pending"

    validate = staticmethod(validate_volume)
    validate_update = staticmethod(validate_volume_update)

    def warnings(self, obj: PersistentVolume, old: PersistentVolume | None) -> list[str]:
        spec = obj.spec
        warnings = [
            f"metadata.annotations[{key}]: {message}" for key, message in OLD_ANNOTATIONS.items() if key in obj.metadata.annotations
        ]
        if spec.persistentVolumeReclaimPolicy == "Recycle":
            message = "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning."
            warnings.append(f"spec.persistentVolumeReclaimPolicy: {message}")
        if spec.nodeAffinity is not None and spec.nodeAffinity.required is not None:
            for index, term in enumerate(spec.nodeAffinity.required.nodeSelectorTerms):
                path = f"spec.nodeAffinity.required.nodeSelectorTerms[{index}].matchExpressions"
                warnings += expression_warnings(path, term.matchExpressions)
        warnings += [message for name, message in _GONE_SOURCES.items() if getattr(spec, name) is not None]
        return warnings + warn.warnings("spec", spec) if old is None else warnings


def _claim_of(volume: PersistentVolume) -> str:
    claim = volume.spec.claimRef
    return "" if claim is None else f"{claim.namespace}/{claim.name}"


COLUMNS = (
    NAME,
    Column("Capacity", cell(lambda obj: str(obj.spec.capacity.get("storage", "0"))), description="How large it is."),
    Column("Access Modes", cell(lambda obj: classes.access_modes(obj.spec.accessModes)), description="How it can be mounted."),
    Column("Reclaim Policy", cell(lambda obj: obj.spec.persistentVolumeReclaimPolicy), description="Fate of the volume after its claim."),
    Column("Status", cell(phase_cell), description="Whether it is free or bound."),
    Column("Claim", cell(_claim_of), description="The claim that it is bound to."),
    Column("StorageClass", cell(class_of_volume), description="Its class."),
    ATTRIBUTES,
    Column("Reason", cell(lambda obj: obj.status.reason), description="Why it is in this state."),
    AGE,
    MODE,
)

PERSISTENT_VOLUMES: Kind[core.PersistentVolume] = Kind(
    type=core.PersistentVolume,
    plural="persistentvolumes",
    rules=PersistentVolumeRules(),
    columns=COLUMNS,
    namespaced=False,
    short_names=("pv",),
    subresources=(STATUS,),
    selectable={"name": lambda volume: volume.metadata.name},
    shown_when_deleted=True,
)
