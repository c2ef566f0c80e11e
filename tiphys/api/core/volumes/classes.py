"""The class that a volume or a claim names, and how its access modes are shown."""

from __future__ import annotations

from collections.abc import Sequence

from tiphys.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from tiphys.api.well_known import STORAGE_CLASS_BETA

_MODES = (("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP"))


def class_of_volume(volume: PersistentVolume) -> str:
    """Return the storage class of a volume: its beta annotation before its field."""
    return volume.metadata.annotations.get(STORAGE_CLASS_BETA, volume.spec.storageClassName)


def class_of_claim(claim: PersistentVolumeClaim) -> str:
    """Return the storage class of a claim: its beta annotation before its field; "" for none."""
    return claim.metadata.annotations.get(STORAGE_CLASS_BETA, claim.spec.storageClassName or "")


def names_class(claim: PersistentVolumeClaim) -> bool:
    """True if a claim says which class it wants, even if that is none (`""`)."""
    return STORAGE_CLASS_BETA in claim.metadata.annotations or claim.spec.storageClassName is not None


def access_modes(modes: Sequence[str]) -> str:
    """Access modes as `kubectl get` shows them: `RWO,ROX`."""
    return ",".join(short for name, short in _MODES if name in modes)
