"""The handshake with the controller that attaches volumes ("Persistent Volumes"; fields `volumesInUse` and `volumesAttached` of a Node).

The node names a volume as in use before it does anything with it, and until it has unmounted it: meanwhile the controller does not detach
it. The controller names it as attached when it may be mounted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from tiphys.api.core import v1 as core
from tiphys.node.volumes.payload import VolumeError
from tiphys.runtime.informer import Informer


class VolumesInUse:
    """Volumes of this node that a controller attaches. `recorded` gives the names of those that are mounted, or may be."""

    def __init__(self, nodes: Informer[core.Node], recorded: Callable[[], Iterable[str]]) -> None:
        self._nodes = nodes
        self._recorded = recorded
        self._desired: dict[str, set[str]] = {}
        self._changed = asyncio.Event()
        self.hurry: Callable[[], None] = lambda: None
        """Called when the Node's status should be written."""
        nodes.subscribe(lambda old, new: self._changed.set())

    def names(self) -> list[str]:
        """Return what the Node's status should name: volumes that pods wait for, and those that are mounted."""
        return sorted({*self._desired, *self._recorded()})

    def is_desired(self, unique_name: str) -> bool:
        """Return whether a pod is about to have a volume."""
        return unique_name in self._desired

    def desire(self, unique_name: str, uid: str) -> None:
        """Name a volume, because a pod is about to have it."""
        fresh = unique_name not in self.names()
        self._desired.setdefault(unique_name, set()).add(uid)
        if fresh:
            self.hurry()

    def release(self, uid: str) -> None:
        """Forget what a pod was about to have."""
        for name in [name for name, uids in self._desired.items() if uid in uids]:
            self._desired[name].discard(uid)
            if not self._desired[name]:
                del self._desired[name]
        self.hurry()

    def node(self) -> core.Node | None:
        """Return this node as the API server shows it."""
        return next(iter(self._nodes.list()), None)

    def attached(self, unique_name: str) -> str:
        """Return the path of the device of a volume that is in use and attached. Raises VolumeError."""
        node = self.node()
        if node is None or unique_name not in node.status.volumesInUse:
            self.hurry()
            raise VolumeError("Volume has not been added to the list of VolumesInUse in the node's volume status")
        for volume in node.status.volumesAttached:
            if volume.name == unique_name:
                return volume.devicePath
        raise VolumeError("Volume not attached according to node status")

    async def wait_attached(self, unique_name: str) -> str:
        """Wait until a volume is in use and attached; returns the path of its device."""
        while True:
            self._changed.clear()
            try:
                return self.attached(unique_name)
            except VolumeError:
                await self._changed.wait()
