"""Rules and columns that volumes and claims share."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tiphys.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from tiphys.api.core.volumes import classes
from tiphys.api.machinery.columns import cell
from tiphys.api.machinery.errors import forbidden, not_supported
from tiphys.api.machinery.scheme import Column
from tiphys.api.rules.basics import Errors
from tiphys.api.well_known import STORAGE_CLASS_BETA

MOUNT_OPTIONS = "volume.beta.kubernetes.io/mount-options"
"""Annotation: how a volume is mounted, before there was a field for it."""

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")


def access_modes(errors: Errors, path: str, modes: Sequence[str]) -> None:
    """Known modes; one that asks for a single pod stands alone."""
    for mode in modes:
        if mode not in ACCESS_MODES:
            errors.append(not_supported(path, mode, ACCESS_MODES))
    if "ReadWriteOncePod" in modes and any(mode in ACCESS_MODES and mode != "ReadWriteOncePod" for mode in modes):
        errors.append(forbidden(path, "may not use ReadWriteOncePod with other access modes"))


def difference(new: msgspec.Struct, old: msgspec.Struct, fields: Sequence[str]) -> str:
    """Two lines for each of the fields: its old and its new value."""
    lines = []
    for name in fields:
        lines.append(f"-\t{name}: {msgspec.json.encode(getattr(old, name)).decode()}")
        lines.append(f"+\t{name}: {msgspec.json.encode(getattr(new, name)).decode()}")
    return "\n".join(lines)


OLD_ANNOTATIONS = {
    STORAGE_CLASS_BETA: 'deprecated since v1.8; use "storageClassName" attribute instead',
    MOUNT_OPTIONS: 'deprecated since v1.31; use "mountOptions" attribute instead',
}

UNSET = "<unset>"


def or_unset(value: str | None) -> str:
    """Return the text, or `<unset>` for a table."""
    return UNSET if value is None else value


def phase_cell(obj: PersistentVolume | PersistentVolumeClaim) -> str:
    """Return the phase for a table; Terminating for an object that is being deleted."""
    return obj.status.phase if obj.metadata.deletionTimestamp is None else "Terminating"


ATTRIBUTES = Column(
    "VolumeAttributesClass", cell(lambda obj: or_unset(obj.spec.volumeAttributesClassName)), description="The class of its attributes."
)

MODE = Column(
    "VolumeMode", cell(lambda obj: or_unset(obj.spec.volumeMode)), priority=1, description="Whether it is a file system or a disk."
)


def modes_cell(claim: PersistentVolumeClaim) -> str:
    """Return the access modes of a bound claim for a table."""
    return classes.access_modes(claim.status.accessModes) if claim.spec.volumeName else ""
