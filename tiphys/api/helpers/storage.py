"""Questions about volumes, claims and their classes that several parts ask."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from tiphys.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from tiphys.api.meta.v1 import KubeObject
from tiphys.api.storage.v1 import StorageClass
from tiphys.api.well_known import DEFAULT_STORAGE_CLASS, DEFAULT_STORAGE_CLASS_BETA, STORAGE_CLASS_BETA

ObjectT = TypeVar("ObjectT", bound=KubeObject)

_MODES = (("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP"))


def is_default_class(value: StorageClass) -> bool:
    """Whether claims that name no class get this one."""
    annotations = value.metadata.annotations
    return annotations.get(DEFAULT_STORAGE_CLASS) == "true" or annotations.get(DEFAULT_STORAGE_CLASS_BETA) == "true"


def newest(classes: Iterable[ObjectT]) -> ObjectT | None:
    """Of several that are marked as default the one made last; of those of the same second the first by name."""
    by_name = sorted(classes, key=lambda value: value.metadata.name)
    return max(by_name, key=lambda value: str(value.metadata.creationTimestamp), default=None)


def class_of_volume(volume: PersistentVolume) -> str:
    return volume.metadata.annotations.get(STORAGE_CLASS_BETA, volume.spec.storageClassName)


def class_of_claim(claim: PersistentVolumeClaim) -> str:
    return claim.metadata.annotations.get(STORAGE_CLASS_BETA, claim.spec.storageClassName or "")


def names_class(claim: PersistentVolumeClaim) -> bool:
    """Whether a claim says which class it wants, even if that is none (`""`)."""
    return STORAGE_CLASS_BETA in claim.metadata.annotations or claim.spec.storageClassName is not None


def access_modes(modes: Sequence[str]) -> str:
    """Access modes as `kubectl get` shows them: `RWO,ROX`."""
    return ",".join(short for name, short in _MODES if name in modes)
