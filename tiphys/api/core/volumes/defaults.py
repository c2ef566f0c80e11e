"""Defaults of volumes."""

from __future__ import annotations

import msgspec

from tiphys.api.core.pods.image import pull_policy
from tiphys.api.core.resource_defaults import round_to_milli
from tiphys.api.core.v1 import (
    DownwardAPIVolumeFile,
    EmptyDirVolumeSource,
    PersistentVolumeSpec,
    ProjectedVolumeSource,
    ResourceFieldSelector,
    Volume,
)
from tiphys.api.machinery.quantity import ZERO

DEFAULT_MODE = 0o644

SOURCES: tuple[str, ...] = tuple(field.name for field in msgspec.structs.fields(Volume) if field.name != "name")
"""The fields of a Volume that name a source, of which exactly one is set."""


def default_volume(volume: Volume) -> None:
    """Default modes and types of a volume's source, and an empty directory when it has none ("Volumes")."""
    if volume.configMap is not None:
        if volume.configMap.defaultMode is None:
            volume.configMap.defaultMode = DEFAULT_MODE
    elif volume.secret is not None:
        if volume.secret.defaultMode is None:
            volume.secret.defaultMode = DEFAULT_MODE
    elif volume.projected is not None:
        _default_projected(volume.projected)
    elif volume.downwardAPI is not None:
        if volume.downwardAPI.defaultMode is None:
            volume.downwardAPI.defaultMode = DEFAULT_MODE
        _default_files(volume.downwardAPI.items)
    elif volume.emptyDir is not None:
        return
    elif volume.hostPath is not None:
        if volume.hostPath.type is None:
            volume.hostPath.type = ""
    else:
        _default_rare(volume)


def _default_projected(projected: ProjectedVolumeSource) -> None:
    if projected.defaultMode is None:
        projected.defaultMode = DEFAULT_MODE
    for source in projected.sources:
        if source.serviceAccountToken is not None and source.serviceAccountToken.expirationSeconds is None:
            source.serviceAccountToken.expirationSeconds = 3600
        if source.downwardAPI is not None:
            _default_files(source.downwardAPI.items)


def _default_files(items: list[DownwardAPIVolumeFile]) -> None:
    for item in items:
        if item.fieldRef is not None and not item.fieldRef.apiVersion:
            item.fieldRef.apiVersion = "v1"
        if item.resourceFieldRef is not None:
            default_divisor(item.resourceFieldRef)


def default_divisor(ref: ResourceFieldSelector) -> None:
    """An amount is always written, without one as zero."""
    if ref.divisor is None:
        ref.divisor = ZERO


def _default_rare(volume: Volume) -> None:
    if volume.image is not None:
        volume.image.pullPolicy = volume.image.pullPolicy or pull_policy(volume.image.reference)
    elif volume.ephemeral is not None and volume.ephemeral.volumeClaimTemplate is not None:
        claim = volume.ephemeral.volumeClaimTemplate.spec
        claim.volumeMode = claim.volumeMode or "Filesystem"
        round_to_milli(claim.resources.limits)
        round_to_milli(claim.resources.requests)
    elif all(getattr(volume, name) is None for name in SOURCES):
        volume.emptyDir = EmptyDirVolumeSource()
    else:
        default_network_sources(volume)


def default_network_sources(source: Volume | PersistentVolumeSpec) -> None:
    """Sources that pods and persistent volumes share: disks and file systems on the network."""
    if source.iscsi is not None:
        source.iscsi.iscsiInterface = source.iscsi.iscsiInterface or "default"
    elif source.rbd is not None:
        source.rbd.pool = source.rbd.pool or "rbd"
        source.rbd.user = source.rbd.user or "admin"
        source.rbd.keyring = source.rbd.keyring or "/etc/ceph/keyring"
    elif source.azureDisk is not None:
        disk = source.azureDisk
        disk.cachingMode = "ReadWrite" if disk.cachingMode is None else disk.cachingMode
        disk.kind = "Shared" if disk.kind is None else disk.kind
        disk.fsType = "ext4" if disk.fsType is None else disk.fsType
        disk.readOnly = bool(disk.readOnly)
    elif source.scaleIO is not None:
        source.scaleIO.storageMode = source.scaleIO.storageMode or "ThinProvisioned"
        source.scaleIO.fsType = source.scaleIO.fsType or "xfs"
