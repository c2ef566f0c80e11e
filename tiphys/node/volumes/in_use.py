"""The handshake with the controller that attaches volumes ("Persistent Volumes"; fields `volumesInUse` and `volumesAttached` of a Node).

The node names a volume as in use before it does anything with it, and until it has unmounted it: meanwhile the controller does not detach
it. The controller names it as attached when it may be mounted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import StatusError
from tiphys.client.client import Client
from tiphys.node.volumes.payload import VolumeError
from tiphys.runtime.informer import Informer


class VolumesInUse:
    """Volumes of this node that a controller attaches. `recorded` gives the names of those that are mounted, or may be."""

    def __init__(self, node: str, client: Client, nodes: Informer[core.Node], recorded: Callable[[], Iterable[str]]) -> None:
        self._name = node
        self._client = client
        self._nodes = nodes
        self._recorded = recorded
        self._desired: dict[str, set[str]] = {}
        self._reported: set[str] = set()
        self._changed = asyncio.Event()
        self.hurry: Callable[[], None] = lambda: None
        """Called when the Node's status should be written."""
        nodes.subscribe(lambda old, new: self._changed.set())

    def names(self) -> list[str]:
        """Return what the Node's status should name: volumes that pods wait for, and those that are mounted."""
        return sorted({*self._desired, *self._recorded()})

    def reported(self, names: Iterable[str]) -> None:
        """Note that the Node's status names exactly these: it has been written so."""
        self._reported = set(names)
        self._changed.set()

    def is_desired(self, unique_name: str) -> bool:
        """Return whether a pod is about to have a volume."""
        return unique_name in self._desired

    def desire(self, unique_name: str, uid: str) -> None:
        """Name a volume, because a pod is about to have it."""
        fresh = unique_name not in self.names()
        self._desired.setdefault(unique_name, set()).add(uid)
        if fresh:
            # Whatever was written before, a status without it may be on its way: only the next one counts.
            self._reported.discard(unique_name)
            self.hurry()

    def release(self, uid: str, unique_name: str | None = None) -> None:
        """Forget what a pod was about to have: one volume, or all."""
        for name in [name for name, uids in self._desired.items() if uid in uids and unique_name in (None, name)]:
            self._desired[name].discard(uid)
            if not self._desired[name]:
                del self._desired[name]
                self.hurry()

    def node(self) -> core.Node | None:
        """Return this node as the API server shows it."""
        return next(iter(self._nodes.list()), None)

    async def wait_attached(self, unique_name: str) -> str:
        """Wait until a volume is in use and attached; returns the path of its device. Raises VolumeError when the API server is away."""
        while True:
            self._changed.clear()
            if unique_name in self._reported and _path(self.node(), unique_name) is not None:
                # What is watched may be late: the volume may have been detached since.
                try:
                    node = await self._client.get(core.Node, self._name)
                except (StatusError, ConnectionError, TimeoutError) as error:
                    raise VolumeError(f"failed fetching node from API server: {error}") from error
                path = _path(node, unique_name)
                if path is not None and unique_name in node.status.volumesInUse:
                    return path
            await self._changed.wait()


def _path(node: core.Node | None, unique_name: str) -> str | None:
    """Return the path of the device of an attached volume, None if it is not attached."""
    attached = node.status.volumesAttached if node is not None else ()
    return next((volume.devicePath for volume in attached if volume.name == unique_name), None)
