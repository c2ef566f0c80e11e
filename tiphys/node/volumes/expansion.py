"""Expansion of volumes on the node: the file system follows a volume that has grown, while pods use it or when it is mounted next.

The controller enlarges the storage and the persistent volume, and marks the claim; the node enlarges the file system and then shows the new
size in the claim's status (KEP-284 "Volume expansion", KEP-1790 "Recover from volume expansion failure").
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from tiphys.api.core import v1 as core
from tiphys.api.machinery import base, quantity
from tiphys.api.machinery.errors import StatusError
from tiphys.client.client import Client
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.plugin import DeviceRecord, MountRecord, UncertainError, UnsupportedError, VolumePlugin, VolumeSpec

STORAGE = "storage"
PENDING, IN_PROGRESS, INFEASIBLE = "NodeResizePending", "NodeResizeInProgress", "NodeResizeInfeasible"
CONDITIONS = ("Resizing", "FileSystemResizePending", "ControllerResizeError", "NodeResizeError")
"""Conditions of a claim that are about its expansion."""
NOT_REQUIRED = "volume.kubernetes.io/node-expansion-not-required"

Tell = Callable[[core.Pod | core.PersistentVolumeClaim, str, str, str], None]
"""Records an event about an object: type, reason, message."""


def size_of(resources: dict[str, base.Quantity]) -> int:
    """Return the bytes of storage, 0 if nothing is said."""
    text = resources.get(STORAGE)
    return quantity.whole(text) if text else 0


def is_unsettled(claim: core.PersistentVolumeClaim, here: int) -> bool:
    """Return whether an expansion of the claim is under way; `here` is the size that the file system on this node has."""
    status = claim.status
    size = size_of(status.capacity)
    marked = bool(status.allocatedResourceStatuses) or any(one.type in CONDITIONS for one in status.conditions)
    return marked or size > here or size_of(claim.spec.resources.requests) > size


def is_due(claim: core.PersistentVolumeClaim, pv: core.PersistentVolume, here: int) -> bool:
    """Return whether the node is to enlarge the volume now."""
    size = size_of(pv.spec.capacity)
    if size <= here:
        return False
    progress = claim.status.allocatedResourceStatuses.get(STORAGE, "")
    if progress:
        return progress in (PENDING, IN_PROGRESS)
    if is_finished(claim, size):
        # Another node has finished it: each node that has the volume mounted must follow.
        return "ReadWriteMany" in claim.spec.accessModes and NOT_REQUIRED not in claim.metadata.annotations
    # Resizers from before there was `allocatedResourceStatuses` mark the claim by the condition alone.
    return any(one.type == "FileSystemResizePending" and one.status == "True" for one in claim.status.conditions)


def is_finished(claim: core.PersistentVolumeClaim, size: int) -> bool:
    """Return whether the claim shows this size already."""
    return size_of(claim.status.capacity) >= size and not claim.status.allocatedResourceStatuses.get(STORAGE)


class Expander:
    """Carries expansions out and writes their progress into claims."""

    def __init__(self, client: Client, now: Callable[[], datetime], tell: Tell, node: str) -> None:
        self._client = client
        self._now = now
        self._tell = tell
        self._node = node

    async def expand(self, plugin: VolumePlugin, spec: VolumeSpec, record: MountRecord, device: DeviceRecord | None) -> None:
        """Enlarge a mounted volume whose expansion is due. Raises VolumeError; BusyError if it has to wait until nobody uses it."""
        assert spec.claim is not None
        assert spec.pv is not None
        claim, size = spec.claim, size_of(spec.pv.spec.capacity)
        finished = is_finished(claim, size)
        if not finished and claim.status.allocatedResourceStatuses.get(STORAGE) != IN_PROGRESS:
            claim = await self._patch(claim, {"allocatedResourceStatuses": {STORAGE: IN_PROGRESS}}, safe=True)
        try:
            if await plugin.needs_expansion_on_node(spec):
                await plugin.expand(spec, record, device, size)
        except UncertainError:
            raise
        except UnsupportedError as error:
            if finished:
                return
            await self._fail(claim, error, {"allocatedResourceStatuses": {STORAGE: INFEASIBLE}})
            raise
        except VolumeError as error:
            await self._fail(claim, error, {})
            raise
        message = f'MountVolume.NodeExpandVolume succeeded for volume "{spec.name}" {self._node}'
        self._tell(spec.pod, "Normal", "FileSystemResizeSuccessful", message)
        self._tell(claim, "Normal", "FileSystemResizeSuccessful", message)
        if not finished:
            await self._finish(claim, spec.pv.spec.capacity[STORAGE])

    async def _finish(self, claim: core.PersistentVolumeClaim, size: base.Quantity) -> None:
        gone = [{"type": one.type, "$patch": "delete"} for one in claim.status.conditions if one.type in CONDITIONS]
        status = {"capacity": {STORAGE: size}, "allocatedResourceStatuses": {STORAGE: None}, "conditions": gone}
        await self._patch(claim, status, safe=True)

    async def _fail(self, claim: core.PersistentVolumeClaim, error: VolumeError, status: dict[str, Any]) -> None:
        message = f"failed to expand pvc with {error}"
        old = next((one for one in claim.status.conditions if one.type == "NodeResizeError"), None)
        if old is not None and old.message == message and not status:
            return
        condition = {
            "type": "NodeResizeError",
            "status": "True",
            "message": message,
            "lastTransitionTime": base.time(self._now()).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        try:
            await self._patch(claim, {**status, "conditions": [condition]}, safe=False)
        except VolumeError:
            # What the driver said matters more than that it could not be written down.
            return

    async def _patch(self, claim: core.PersistentVolumeClaim, status: dict[str, Any], *, safe: bool) -> core.PersistentVolumeClaim:
        """Change the status; if `safe`, only if nobody changed the claim since it was read."""
        meta = claim.metadata
        body: dict[str, Any] = {"status": status}
        if safe:
            body["metadata"] = {"resourceVersion": meta.resourceVersion}
        try:
            return await self._client.patch(
                core.PersistentVolumeClaim, meta.name, meta.namespace, body=body, kind="strategic", subresource="status"
            )
        except (StatusError, ConnectionError, TimeoutError) as error:
            raise VolumeError(f'patchPVCStatus failed to patch PVC "{meta.name}": {error}') from error
