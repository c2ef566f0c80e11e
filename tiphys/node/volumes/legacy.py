"""Kinds of volumes that Kubernetes itself no longer mounts, or that need programs on the node: what to use instead.

Their drivers have left Kubernetes ("Volumes", the sections marked deprecated or removed); most live on as CSI drivers.
"""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.api.helpers.volume_plugins import ADVICE


def advice(volume: core.Volume, pv: core.PersistentVolume | None) -> str:
    """Return why a volume of no plugin cannot be mounted, and what to use in its place."""
    source: core.Volume | core.PersistentVolumeSpec = volume if pv is None else pv.spec
    for kind, hint in ADVICE.items():
        if getattr(source, kind, None) is not None:
            return f"no volume plugin matched: volumes of the kind {kind} are not mounted by the node; {hint}"
    return "no volume plugin matched: this kind of volume is not supported by this node"


def is_legacy(volume: core.Volume) -> bool:
    """Return whether a pod's volume is of one of these kinds."""
    return any(getattr(volume, kind, None) is not None for kind in ADVICE)
