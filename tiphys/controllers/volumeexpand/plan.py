"""Expansion of the volume of a claim. Pure ("Expanding Persistent Volumes Claims")."""

from __future__ import annotations

from typing import Final, NamedTuple

from tiphys.api.core import v1 as core
from tiphys.api.helpers.volume_binding import storage
from tiphys.api.helpers.volume_plugins import ADVICE, MIGRATED, PLUGINS

_SOURCES: Final = tuple(
    name for name in ("csi", "hostPath", "local", "nfs", *ADVICE) if name in core.PersistentVolumeSpec.__struct_fields__
)
EXTERNAL: Final = "waiting for an external controller to expand this PVC"


class Expansion(NamedTuple):
    """Answer to a claim that grew."""

    type: str
    """Type of the event."""
    message: str
    resizer: str = ""
    """Driver that the claim's annotation must name, "" for none."""


def expansion(claim: core.PersistentVolumeClaim, volume: core.PersistentVolume) -> Expansion | None:
    """Return who expands the volume of a claim, None when it need not grow or is not bound to this volume."""
    ref = volume.spec.claimRef
    if ref is None or (ref.namespace, ref.uid) != (claim.metadata.namespace, claim.metadata.uid) or not grows(claim):
        return None
    source = source_of(volume)
    plugin = PLUGINS.get(source, "")
    if plugin in MIGRATED:
        message = f"CSI migration enabled for {plugin}; waiting for external resizer to expand the pvc"
        return Expansion("Normal", message, MIGRATED[plugin])
    if source in ("", "csi"):
        return Expansion("Normal", EXTERNAL)
    return Expansion("Warning", f"{EXTERNAL}: volumes of the kind {source} are expanded by nothing in this cluster")


def grows(claim: core.PersistentVolumeClaim) -> bool:
    """Return whether a bound claim requests more than it has."""
    return claim.status.phase == "Bound" and storage(claim.spec.resources.requests) > storage(claim.status.capacity)


def source_of(volume: core.PersistentVolume) -> str:
    """Return the field that says where the data of a volume is, "" if none is set."""
    return next((name for name in _SOURCES if getattr(volume.spec, name) is not None), "")
