"""Execution of a plan for slices."""

from __future__ import annotations

from tiphys.api.discovery import v1 as discovery
from tiphys.api.meta.v1 import KubeObject
from tiphys.client.client import Client
from tiphys.controllers.endpoints import slices
from tiphys.controllers.shared.claim import reference
from tiphys.controllers.shared.namespaces import skip_ended
from tiphys.runtime import delete_exact


async def write(client: Client, owner: KubeObject, step: slices.Plan) -> None:
    """Apply a plan for the slices of an owner; failures because its namespace is terminating are ignored."""
    with skip_ended():
        for slice_ in step.create:
            slice_.metadata.ownerReferences = [reference(owner)]
            await client.create(slice_)
        for slice_ in step.update:
            await client.update(slice_)
    for slice_ in step.delete:
        await delete_exact(client, discovery.EndpointSlice, slice_.metadata)
