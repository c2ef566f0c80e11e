"""The places that a driver knows: nodes with their topology keys and labels, from caches or, for one node alone, from the server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import constant
from tiphys.api.machinery.errors import NotFound
from tiphys.api.meta.v1 import KubeObject, ObjectMeta
from tiphys.api.storage.v1 import CSINode
from tiphys.client.client import Client
from tiphys.runtime import ControllerContext, Key, Slim, Whole
from tiphys.sidecar.topology import Place, is_reachable


class LabeledNode(KubeObject, forbid_unknown_fields=False):
    """A node's name and labels."""

    apiVersion: str = constant("v1")
    kind: str = constant("Node")


def _labels_only(node: LabeledNode) -> LabeledNode:
    meta = node.metadata
    node.metadata = ObjectMeta(name=meta.name, uid=meta.uid, labels=meta.labels, resourceVersion=meta.resourceVersion)
    return node


NODES = Slim(LabeledNode, of=core.Node, compact=_labels_only)
CSI_NODES = Whole(CSINode)


class Places(Protocol):
    """Source of places."""

    async def all(self) -> list[Place]:
        """Return the places that are known here. Raises StatusError."""
        ...


class CachedPlaces:
    """All nodes, from caches that the loop declares (`NODES`, `CSI_NODES`)."""

    def __init__(self, ctx: ControllerContext, driver: str) -> None:
        self._nodes = ctx.read(LabeledNode)
        self._csi_nodes = ctx.read(CSINode)
        self._driver = driver

    async def all(self) -> list[Place]:
        """Return the nodes on which the driver is registered."""
        places = []
        for csi_node in self._csi_nodes.list():
            node = self._nodes.get(Key("", csi_node.metadata.name))
            if node is not None and (keys := keys_of(csi_node, self._driver)):
                places.append(Place(node.metadata.name, keys, node.metadata.labels))
        return places


class OnePlace:
    """One node, asked for each time: a cache of all nodes on each of them would be many."""

    def __init__(self, client: Client, driver: str, node: str) -> None:
        self._client = client
        self._driver = driver
        self._node = node

    async def all(self) -> list[Place]:
        """Return the node, if the driver is registered on it."""
        try:
            csi_node = await self._client.get(CSINode, self._node)
            node = await self._client.get(core.Node, self._node)
        except NotFound:
            return []
        keys = keys_of(csi_node, self._driver)
        return [Place(self._node, keys, node.metadata.labels)] if keys else []


async def is_served_by(client: Client, node: str, volume: core.PersistentVolume) -> bool:
    """Return whether the loops of a node serve a volume: it is bound to a place that the node can reach. Raises StatusError.

    Without a node, the loops serve all volumes.
    """
    if not node:
        return True
    if volume.spec.nodeAffinity is None:
        return False
    labels = (await client.get(core.Node, node)).metadata.labels
    return is_reachable(volume.spec.nodeAffinity, labels)


def keys_of(csi_node: CSINode, driver: str) -> tuple[str, ...]:
    """Return the topology keys of a driver on a node."""
    entries: Iterable[str] = next((one.topologyKeys or () for one in csi_node.spec.drivers or () if one.name == driver), ())
    return tuple(entries)
