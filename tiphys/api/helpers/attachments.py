"""Names of attached volumes and of their VolumeAttachments, which controllers, kubelets and drivers agree on. Pure.

Only volumes of CSI drivers are attached ("Volume Attachment": CSI Volume Plugins in Kubernetes Design Doc).
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

PLUGIN: Final = "kubernetes.io/csi"
_SHARING: Final = frozenset(("ReadWriteMany", "ReadOnlyMany"))


def unique_name(driver: str, handle: str) -> str:
    """Return the name of a volume in `volumesInUse` and `volumesAttached` of a node's status."""
    return f"{PLUGIN}/{driver}^{handle}"


def parse_unique_name(name: str) -> tuple[str, str] | None:
    """Return the driver and the handle of a volume's name, None for one that is not of a CSI driver."""
    prefix = f"{PLUGIN}/"
    driver, separator, handle = name.removeprefix(prefix).partition("^")
    return (driver, handle) if name.startswith(prefix) and separator else None


def attachment_name(driver: str, handle: str, node: str) -> str:
    """Return the name of the VolumeAttachment of a volume and a node."""
    return f"csi-{sha256(f'{handle}{driver}{node}'.encode()).hexdigest()}"


def is_exclusive(access_modes: Iterable[str]) -> bool:
    """Return whether a volume with these access modes is for one node at a time. Without any nobody knows, so the driver decides."""
    modes = set(access_modes)
    return bool(modes) and not modes & _SHARING
