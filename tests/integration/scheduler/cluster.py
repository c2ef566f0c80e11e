"""Nodes of a cluster without the controllers."""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.client.client import Client


async def join(client: Client, wanted: core.Node) -> core.Node:
    """Create a node and take away the taint of a new node, as the node life-cycle controller does when it is ready."""
    created = await client.create(wanted)
    return await client.patch(core.Node, created.metadata.name, body={"spec": {"taints": wanted.spec.taints}}, kind="merge")
