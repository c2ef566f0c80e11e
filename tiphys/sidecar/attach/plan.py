"""Steps of an attachment. Pure ("CSI Volume Attach and Detach", external-attacher)."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from tiphys.api.core import v1 as core
from tiphys.api.machinery import base
from tiphys.api.storage.v1 import CSINode, VolumeAttachment, VolumeError
from tiphys.csi.errors import CsiError

Step = Literal["nothing", "attach", "detach"]

NODE_ID: Final = "csi.alpha.kubernetes.io/node-id"
"""Annotation of an attachment: the node's name in the driver, kept for the day on which the node is gone."""

_CODES: Final = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
    "UNAUTHENTICATED",
)  # fmt: skip
"""Names of gRPC's status codes in the order of their numbers."""


def finalizer(driver: str) -> str:
    """Return the finalizer of attachments and volumes that a driver has attached."""
    return f"external-attacher/{driver.replace('/', '-')}"


def step(attachment: VolumeAttachment, driver: str) -> Step:
    """Return the next step for an attachment."""
    if attachment.spec.attacher != driver:
        return "nothing"
    if attachment.metadata.deletionTimestamp is None:
        return "nothing" if attachment.status.attached else "attach"
    return "detach" if finalizer(driver) in attachment.metadata.finalizers else "nothing"


def is_of(volume: core.PersistentVolume, attachment: VolumeAttachment) -> bool:
    """Return whether an attachment is of a volume."""
    return attachment.spec.source.persistentVolumeName == volume.metadata.name


def node_id(csi_node: CSINode, driver: str) -> str:
    """Return the node's name in a driver, "" if the driver is not registered there."""
    return next((one.nodeID for one in csi_node.spec.drivers or () if one.name == driver), "")


def volume_error(error: Exception, now: datetime) -> VolumeError:
    """Return an error as statuses of attachments have it; `errorCode` tells schedulers that a node is full."""
    code = _CODES.index(error.code) if isinstance(error, CsiError) and error.code in _CODES else None
    return VolumeError(time=base.time(now), message=str(error), errorCode=code)
