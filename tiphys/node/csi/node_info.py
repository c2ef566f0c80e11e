"""Drivers of this node in the API: the CSINode, and labels and an annotation of the Node.

The functions that plan changes are pure; `NodeInfo` carries them out one at a time and repeats what another writer got in the way of.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from tiphys.aio.backoff import Backoff, BackoffPolicy
from tiphys.aio.clock import Clock
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import NotFound, ServiceUnavailable, StatusError, Timeout
from tiphys.api.meta.v1 import ObjectMeta, OwnerReference
from tiphys.api.storage import v1 as storage
from tiphys.client.client import Client

log = logging.getLogger(__name__)

NODE_ID: Final = "csi.volume.kubernetes.io/nodeid"
"""Annotation of a Node: its name in each driver, as JSON."""
MAX_COUNT: Final = (1 << 31) - 1
RETRY = BackoffPolicy(first=0.01, cap=0.25, factor=5.0, jitter=0.1)
TRIES = 4
"""Attempts at a change of the CSINode or the Node, upstream's."""
FIRST_RETRY = BackoffPolicy(first=0.05, cap=5.0)
_TROUBLE = (StatusError, ConnectionError, TimeoutError)
_NO_ANSWER = (ConnectionError, TimeoutError, ServiceUnavailable, Timeout)


class NodeInfoError(Exception):
    """The API does not show a driver of this node, or still shows one that is gone."""


class UnreachableError(NodeInfoError):
    """The API server does not answer."""


class DriverInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Description of this node by a driver."""

    name: str
    node_id: str
    topology: Mapping[str, str] = {}
    max_volumes: int = 0
    """Most volumes that the node takes, 0 for no limit."""


def csi_node_driver(info: DriverInfo) -> storage.CSINodeDriver:
    """Return the entry of a driver."""
    count = min(info.max_volumes, MAX_COUNT) if info.max_volumes > 0 else None
    return storage.CSINodeDriver(
        name=info.name,
        nodeID=info.node_id,
        topologyKeys=sorted(info.topology),
        allocatable=storage.VolumeNodeResources(count=count) if count is not None else None,
    )


def with_driver(node: storage.CSINode, info: DriverInfo) -> storage.CSINode | None:
    """Return a CSINode with the driver, or None when it is there already."""
    entry = csi_node_driver(info)
    drivers = node.spec.drivers or []
    if any(_normal(driver) == entry for driver in drivers):
        return None
    others = [driver for driver in drivers if driver.name != info.name]
    return msgspec.structs.replace(node, spec=storage.CSINodeSpec(drivers=[*others, entry]))


def without_driver(node: storage.CSINode, name: str) -> storage.CSINode | None:
    """Return a CSINode without the driver, or None when it is not there."""
    drivers = node.spec.drivers or []
    others = [driver for driver in drivers if driver.name != name]
    return msgspec.structs.replace(node, spec=storage.CSINodeSpec(drivers=others)) if len(others) < len(drivers) else None


def _normal(driver: storage.CSINodeDriver) -> storage.CSINodeDriver:
    return msgspec.structs.replace(driver, topologyKeys=sorted(driver.topologyKeys or []))


def node_patch(node: core.Node, info: DriverInfo) -> dict[str, Any] | None:
    """Return the merge patch that shows a driver on its Node, or None. Raises NodeInfoError for a label that has another value."""
    for key, value in info.topology.items():
        present = node.metadata.labels.get(key, value)
        if present != value:
            raise NodeInfoError(
                f'detected topology value collision: driver reported "{key}":"{value}" but existing label is "{key}":"{present}"'
            )
    labels = {key: value for key, value in info.topology.items() if key not in node.metadata.labels}
    ids = _node_ids(node)
    annotations = {NODE_ID: _encoded({**ids, info.name: info.node_id})} if ids.get(info.name) != info.node_id else {}
    return _patch(labels, annotations)


def node_patch_without(node: core.Node, name: str) -> dict[str, Any] | None:
    """Return the merge patch that takes a driver off its Node, or None. Topology labels stay: other drivers may share them."""
    ids = _node_ids(node)
    if name not in ids:
        return None
    others = {driver: ident for driver, ident in ids.items() if driver != name}
    return _patch({}, {NODE_ID: _encoded(others) if others else None})


def _patch(labels: dict[str, str], annotations: Mapping[str, str | None]) -> dict[str, Any] | None:
    metadata = {name: values for name, values in (("labels", labels), ("annotations", annotations)) if values}
    return {"metadata": metadata} if metadata else None


def _node_ids(node: core.Node) -> dict[str, str]:
    text = node.metadata.annotations.get(NODE_ID, "")
    try:
        return msgspec.json.decode(text, type=dict[str, str]) if text else {}
    except msgspec.DecodeError as error:
        raise NodeInfoError(f'failed to parse node\'s "{NODE_ID}" annotation value ("{text}") err={error}') from error


def _encoded(ids: Mapping[str, str]) -> str:
    return msgspec.json.encode(dict(sorted(ids.items()))).decode()


class NodeInfo:
    """Writer of a node's CSINode, and of its Node as far as drivers are concerned."""

    def __init__(self, client: Client, clock: Clock, node: str, *, rng: random.Random | None = None) -> None:
        self.node = node
        self._client = client
        self._clock = clock
        self._rng = rng or random.Random()
        self._lock = asyncio.Lock()

    async def ensure(self) -> None:
        """Create the CSINode, or take it over; waits until the API server and the Node are there."""
        backoff = Backoff(FIRST_RETRY, self._rng)
        while True:
            try:
                async with self._lock:
                    await self._csi_node()
                return
            except (*_TROUBLE, NodeInfoError) as error:
                log.info("CSINode not made yet", extra={"error": str(error)})
                await self._clock.sleep(backoff.next())

    async def install(self, info: DriverInfo) -> None:
        """Show a driver on the Node and in the CSINode. Raises NodeInfoError."""
        if not info.node_id:
            raise NodeInfoError("error adding CSI driver node info: driverNodeID must not be empty")
        await self._repeated("error updating Node object with CSI driver node info: error updating node", lambda: self._label(info))
        await self.update(info)

    async def update(self, info: DriverInfo) -> None:
        """Bring a driver's entry in the CSINode up to date. Raises NodeInfoError."""
        what = "error updating CSINode object with CSI driver node info: error updating CSINode"
        await self._repeated(what, lambda: self._change(lambda node: with_driver(node, info)))

    async def uninstall(self, name: str) -> None:
        """Remove a driver from the CSINode and the Node. Raises NodeInfoError."""
        what = "error uninstalling CSI driver from CSINode object error updating CSINode"
        await self._repeated(what, lambda: self._change(lambda node: without_driver(node, name), create=False))
        await self._repeated("error removing CSI driver node info from Node object error updating node", lambda: self._unlabel(name))

    async def _repeated(self, what: str, change: Callable[[], Awaitable[None]]) -> None:
        backoff = Backoff(RETRY, self._rng)
        for attempt in range(TRIES):
            try:
                async with self._lock:
                    await change()
                return
            except (*_TROUBLE, NodeInfoError) as error:
                if attempt == TRIES - 1:
                    kind = UnreachableError if isinstance(error, _NO_ANSWER) else NodeInfoError
                    raise kind(f"{what}: timed out waiting for the condition; caused by: {error}") from error
                await self._clock.sleep(backoff.next())

    async def _label(self, info: DriverInfo) -> None:
        await self._patch(node_patch(await self._client.get(core.Node, self.node), info))

    async def _unlabel(self, name: str) -> None:
        await self._patch(node_patch_without(await self._client.get(core.Node, self.node), name))

    async def _patch(self, body: dict[str, Any] | None) -> None:
        if body is not None:
            await self._client.patch(core.Node, self.node, body=body)

    async def _change(self, change: Callable[[storage.CSINode], storage.CSINode | None], *, create: bool = True) -> None:
        if create:
            node = await self._csi_node()
        else:
            try:
                node = await self._client.get(storage.CSINode, self.node)
            except NotFound:
                return
        changed = change(node)
        if changed is not None:
            await self._client.update(changed)

    async def _csi_node(self) -> storage.CSINode:
        """Return the CSINode of this very Node: one that a former Node of the name left behind is replaced."""
        owner = await self._client.get(core.Node, self.node)
        try:
            node = await self._client.get(storage.CSINode, self.node)
        except NotFound:
            return await self._client.create(_new(owner))
        if any(ref.kind == "Node" and ref.name == self.node and ref.uid == owner.metadata.uid for ref in node.metadata.ownerReferences):
            return node
        log.info("replacing the CSINode of a former Node", extra={"node": self.node})
        await self._client.delete(storage.CSINode, self.node, uid=node.metadata.uid)
        return await self._client.create(_new(owner))


def _new(owner: core.Node) -> storage.CSINode:
    reference = OwnerReference(apiVersion="v1", kind="Node", name=owner.metadata.name, uid=owner.metadata.uid)
    return storage.CSINode(metadata=ObjectMeta(name=owner.metadata.name, ownerReferences=[reference]), spec=storage.CSINodeSpec(drivers=[]))
