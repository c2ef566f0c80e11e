"""Steps of an expansion as the status of the claim tells them. Pure ("Recovering from Failure when Expanding Volumes", KEP-1790).

""                          -> ControllerResizeInProgress   before the driver is asked
ControllerResizeInProgress  -> NodeResizePending            the volume has grown, its file system has not: the kubelet goes on
                            -> ""                           all is done: the claim has its new capacity
                            -> ControllerResizeInfeasible   the driver never can: the claim may ask for less
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.quantity import format_value, whole
from tiphys.csi.errors import CsiError, InvalidArgument, NotFound, OutOfRange

Status = core.PersistentVolumeClaimStatus

STORAGE: Final = "storage"
IN_PROGRESS: Final = "ControllerResizeInProgress"
INFEASIBLE: Final = "ControllerResizeInfeasible"
NODE_PENDING: Final = "NodeResizePending"
OF_NODE: Final = (NODE_PENDING, "NodeResizeInProgress", "NodeResizeInfeasible")

RESIZING: Final = "Resizing"
ERROR: Final = "ControllerResizeError"
FILE_SYSTEM_PENDING: Final = "FileSystemResizePending"
CONDITIONS: Final = (RESIZING, ERROR, FILE_SYSTEM_PENDING, "NodeResizeError")


def matters(old: core.PersistentVolumeClaim | None, new: core.PersistentVolumeClaim | None) -> bool:
    """Return whether a change is a reason to look at a claim again; what the loops write into its status is none."""
    if old is None or new is None:
        return new is not None
    return old.spec != new.spec or old.status.phase != new.status.phase or old.metadata.uid != new.metadata.uid


def is_bound(claim: core.PersistentVolumeClaim, volume: core.PersistentVolume | None, driver: str) -> bool:
    """Return whether claim and volume are bound to one another, and the volume is the driver's."""
    if volume is None or volume.spec.csi is None or volume.spec.csi.driver != driver or claim.metadata.deletionTimestamp is not None:
        return False
    of = volume.spec.claimRef
    return claim.status.phase == "Bound" and of is not None and of.uid == claim.metadata.uid


def target(claim: core.PersistentVolumeClaim, volume: core.PersistentVolume) -> int | None:
    """Return the size in bytes to which the driver is to grow a volume now, None if nothing is to be done.

    An expansion that may be under way is finished before another size is asked for. One without a file system to grow, whose last
    write was lost, is asked for again: only the driver knows what is left to do.
    """
    status = claim.status
    state = status.allocatedResourceStatuses.get(STORAGE, "")
    desired = whole(claim.spec.resources.requests.get(STORAGE, "0"))
    if state == IN_PROGRESS:
        return max(whole(status.allocatedResources.get(STORAGE, "0")), min(desired, size_of(volume)))
    if desired <= whole(status.capacity.get(STORAGE, "0")):
        return None
    if state in OF_NODE and desired <= size_of(volume):
        return None
    return desired


def size_of(volume: core.PersistentVolume) -> int:
    """Return the capacity of a volume in bytes."""
    return whole(volume.spec.capacity.get(STORAGE, "0"))


def quantity(size: int) -> Quantity:
    """Return a number of bytes as it is written in the API."""
    return format_value(size, "binary")


def started(status: Status, size: int, now: datetime) -> Status:
    """Return the status before the driver is asked for a size."""
    return _with(status, IN_PROGRESS, size, [condition(status, RESIZING, now)])


def waiting_for_node(status: Status, now: datetime) -> Status:
    """Return the status when the kubelet is to grow the file system."""
    message = "Waiting for user to (re-)start a pod to finish file system resize of volume on node."
    return _with(status, NODE_PENDING, None, [condition(status, FILE_SYSTEM_PENDING, now, message)])


def finished(status: Status, size: int) -> Status:
    """Return the status when all is done."""
    done = _with(status, "", None, [])
    return msgspec.structs.replace(done, capacity={**status.capacity, STORAGE: quantity(size)})


def failed(status: Status, error: CsiError, now: datetime) -> Status:
    """Return the status after an error."""
    state = INFEASIBLE if is_infeasible(error) else IN_PROGRESS
    conditions = [one for one in status.conditions if one.type == RESIZING]
    return _with(status, state, None, [*conditions, condition(status, ERROR, now, f"failed to expand pvc with {error}")])


def is_infeasible(error: CsiError) -> bool:
    """Return whether a driver can never do what it was asked for."""
    return isinstance(error, InvalidArgument | OutOfRange | NotFound)


def condition(status: Status, type_: str, now: datetime, message: str = "") -> core.PersistentVolumeClaimCondition:
    """Return a condition that is true; one that is true already keeps its time."""
    known = next((one for one in status.conditions if one.type == type_ and one.status == "True"), None)
    since = known.lastTransitionTime if known is not None else now
    return core.PersistentVolumeClaimCondition(type=type_, status="True", lastTransitionTime=since, message=message)


def without(status: Status, types: Iterable[str]) -> list[core.PersistentVolumeClaimCondition]:
    """Return the conditions of other types."""
    types = set(types)
    return [one for one in status.conditions if one.type not in types]


def _with(status: Status, state: str, size: int | None, conditions: list[core.PersistentVolumeClaimCondition]) -> Status:
    states = {key: value for key, value in status.allocatedResourceStatuses.items() if key != STORAGE}
    if state:
        states[STORAGE] = state
    allocated = dict(status.allocatedResources)
    if size is not None:
        allocated[STORAGE] = quantity(size)
    return msgspec.structs.replace(
        status, allocatedResourceStatuses=states, allocatedResources=allocated, conditions=[*without(status, CONDITIONS), *conditions]
    )
